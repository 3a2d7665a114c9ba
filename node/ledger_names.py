"""What people call nodes, builds and other things, as the ledger's filters take it.

A node is named by its name, or the beginning of its id or key; a build by the beginning of its id;
what is shared by the beginning of its entity. What nobody here knows stays as it was said: the
ledger may have it all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from buildnet.ledger.query import Query
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.suggest import did_you_mean

if TYPE_CHECKING:
    from buildnet.ledger.service.cluster_ledger import ClusterLedger
    from buildnet.mesh.service.view import MeshView

_SHOWN = 5
_ID_DIGITS = 16
_LEAST_DIGITS = 4  # of an id, where a node has just that name
_NODE, _BUILD = "node", "build"
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Known:
    """One node that this node has heard of. ``key``: hexadecimal; its id is the beginning."""

    key: str
    name: str | None
    is_member: bool

    def __str__(self) -> str:
        return f"{self.name} ({self.key[:_ID_DIGITS]})" if self.name else self.key[:_ID_DIGITS]


def known_nodes(view: MeshView, origins: Iterable[bytes]) -> tuple[Known, ...]:
    """Return the members, those who were, and who else has a chain (``origins``)."""
    found = {one.key: Known(one.key.hex(), one.name, True) for one in view.members}
    for former in view.former:
        found.setdefault(former.key, Known(former.key.hex(), former.name, False))
    for key in origins:
        found.setdefault(key, Known(key.hex(), None, False))
    return tuple(found.values())


def find_node(text: str, nodes: tuple[Known, ...]) -> Known | None:
    """Return whom ``text`` names; None: it looks like an id, and nobody here has it.

    Raises:
        UsageError: several fit.
        NotFoundError: it is no name of a node.
    """
    low = text.lower()
    is_id = bool(low) and _DIGITS.issuperset(low)
    by_id = [one for one in nodes if is_id and one.key.startswith(low)]
    if is_id and len(low) >= _ID_DIGITS:
        return _only(text, by_id)
    exact = [one for one in nodes if one.name == text]
    named = exact or [one for one in nodes if one.name and one.name.startswith(text)]
    named = [one for one in named if one.is_member] or named
    if exact and len(low) < _LEAST_DIGITS:
        by_id = []  # or nobody could be called b where an id begins so
    found = [*named, *(one for one in by_id if one not in named)]
    if found or is_id:
        return _only(text, found)
    names = [one.name for one in nodes if one.name]
    raise NotFoundError(
        f"no node is called {text!r:.80}",
        hint=did_you_mean(text, names) or "buildnet node list --all shows names and ids",
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """What somebody asks for: a query, but for the ``origin``, which is as they said it."""

    query: Query = field(default_factory=Query)
    origin: str | None = None


class Names:
    """Reads what people say by what one node knows."""

    def __init__(self, view: MeshView, ledger: ClusterLedger) -> None:
        self._store: LedgerStore = ledger.store
        self._nodes = known_nodes(view, (chain.origin for chain in ledger.core.heads))

    async def query(self, wanted: Filters) -> Query:
        """Return the query with the ids of what origin, entity and build name.

        Raises:
            UsageError: a name or beginning fits several.
            NotFoundError: nobody has that name.
            QueryError: an id is too short.
        """
        query, changes = wanted.query, dict[str, str]()
        if wanted.origin is not None:
            found = find_node(wanted.origin, self._nodes)
            changes["origin"] = wanted.origin.lower() if found is None else found.key
        if query.entity is not None:
            changes["entity"] = await self.entity(query.entity)
        if query.build is not None:
            changes["build"] = await self._build(query.build)
        return replace(query, **changes)  # type: ignore[arg-type]

    async def entity(self, text: str) -> str:
        """Return the entity that ``text`` names or begins; see :meth:`query`."""
        kind, colon, rest = text.partition(":")
        if not colon:
            return text
        if kind == _NODE:
            found = find_node(rest, self._nodes)
            return text if found is None else f"{_NODE}:{node_id_of(bytes.fromhex(found.key))}"
        if kind == _BUILD:
            return f"{_BUILD}:{await self._build(rest)}"
        return _only_text(text, await self._store.read(lambda at: _begins(at, "facts", text)))

    async def noted(self, text: str) -> str:
        """Return what a note about ``text`` is about: nodes and builds by their ids, so that the
        filters find it; all else as it is said, which may be there only later. See :meth:`query`.
        """
        return await self.entity(text) if text.startswith((f"{_NODE}:", f"{_BUILD}:")) else text

    async def _build(self, text: str) -> str:
        return _only_text(text, await self._store.read(lambda at: _begins(at, "builds", text)))


def _begins(reader: Reader, table: str, text: str) -> list[str]:
    """Return keys of a derived table that begin so, some more than are shown."""
    key = {"facts": "entity", "builds": "id"}[table]
    return [
        found
        for (found,) in reader.connection.execute(
            f"SELECT {key} FROM {table} WHERE {key}>=? AND {key}<? ORDER BY {key} LIMIT ?",
            (text, text + "\U0010ffff", _SHOWN + 1),
        )
    ]


def _only(text: str, found: list[Known]) -> Known | None:
    if len(found) > 1:
        raise _ambiguous(text, [str(one) for one in found])
    return found[0] if found else None


def _only_text(text: str, found: list[str]) -> str:
    if not found or text in found:
        return text
    if len(found) > 1:
        raise _ambiguous(text, found)
    return found[0]


def _ambiguous(text: str, found: list[str]) -> UsageError:
    listed = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
    return UsageError(f"{text!r:.80} may mean several: {listed}", hint="give more of it")
