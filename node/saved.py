"""What the cluster keeps of configurations, templates and profiles: shared facts of the ledger, and
those that every node has built in.

Any node lists and shows what is sealed in its own store. A change goes to the coordinator
(:mod:`buildnet.ledger.service.shared_facts`), made from the version that whoever makes it has seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from buildnet.ledger.entry import MAX_DATA_CHARACTERS, Actor, ActorKind, as_data
from buildnet.ledger.messages import FactAsk
from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.ledger.service.errors import (
    FactConflictError,
    FactRefusedError,
    NotSealedError,
)
from buildnet.ledger.store.fact_reading import FactRecord
from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.mesh.suggest import did_you_mean
from buildnet.mesh.wire import WireError
from buildnet.node.ledger_upkeep_view import milliseconds_text
from buildnet.node.service import NodeService
from buildnet.pool.builtin_templates import TEMPLATES
from buildnet.pool.configuration import BuildConfiguration, read_configuration
from buildnet.pool.profile import PROFILES, Profile, read_profile
from buildnet.pool.strict_model import InvalidDocumentError
from buildnet.pool.template import Template, read_template
from buildnet.pool.without_effect import warnings_of_configuration, warnings_of_profile

_SEEN_S = 10.0
_LOOK_S = 0.02
_MAX_CHARACTERS = MAX_DATA_CHARACTERS - 1024
"""The version stands beside it in the entry."""


class Document(Protocol):
    """What all three kinds can do."""

    @property
    def id(self) -> str | None:
        """What it is kept under."""

    def document(self) -> dict[str, Any]:
        """What it says, as it is kept."""


Kept = TypeVar("Kept", bound=Document)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Kept]):
    """One kind. ``name``: what its entities and entry types begin with; ``word``: for people;
    ``read``: makes one of plain data, ``where`` naming it in errors; ``built_in``: by id;
    ``warnings``: what of one has no effect; ``noun``: of its commands, where that is not its name;
    ``verbs``: what the types of its entries call making, changing and deleting one."""

    name: str
    word: str
    read: Callable[[object, str], Kept]
    built_in: Mapping[str, Kept]
    warnings: Callable[[Kept], tuple[str, ...]] = lambda kept: ()
    noun: str = ""
    verbs: tuple[str, str, str] = ("created", "modified", "deleted")

    @property
    def command(self) -> str:
        """How commands about it begin."""
        return f"buildnet {self.noun or self.name}"


CONFIGURATIONS: Kind[BuildConfiguration] = Kind(
    "config", "configuration", read_configuration, {}, warnings_of_configuration
)
TEMPLATES_KEPT: Kind[Template] = Kind("template", "template", read_template, TEMPLATES)
PROFILES_KEPT: Kind[Profile] = Kind(
    "profile", "profile", read_profile, PROFILES, warnings_of_profile
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """One as it is sealed, or built in. ``version`` 0: it is built in; ``height``: of the seal that
    it is under; times in milliseconds since 1970 UTC; None: nobody knows any more. ``unreadable``:
    what is sealed, where that is none that this version of BuildNet can read; ``problem``: why;
    ``warnings``: what of it has no effect in this version."""

    id: str
    document: Mapping[str, Any]
    unreadable: Mapping[str, Any] | None = None
    problem: str | None = None
    version: int = 0
    height: int | None = None
    entry: str | None = None
    created_ms: int | None = None
    created_by: str | None = None
    changed_ms: int | None = None
    changed_by: str | None = None
    warnings: tuple[str, ...] = ()

    def view(self) -> dict[str, Any]:
        """Return it as JSON: what it says, and beside it what the ledger says of it."""
        return {
            "id": self.id,
            **self.document,
            **({} if self.unreadable is None else {"unreadable": self.unreadable}),
            "problem": self.problem,
            "warnings": list(self.warnings),
            "system": self.version == 0,
            "version": self.version,
            "sealed": self.height,
            "entry": self.entry,
            "created_at": _moment(self.created_ms),
            "created_by": self.created_by,
            "changed_at": _moment(self.changed_ms),
            "changed_by": self.changed_by,
        }


class SavedDocuments(Generic[Kept]):
    """Those of one kind. ``ledger`` returns the one that is open; ``rights``: what this node's
    owner may do in the cluster."""

    def __init__(
        self,
        kind: Kind[Kept],
        ledger: Callable[[], Awaitable[ClusterLedger]],
        rights: Callable[[], str],
    ) -> None:
        self.kind = kind
        self._ledger = ledger
        self._rights = rights

    async def all(self) -> list[Sealed]:
        """Return all of them: those that are built in, then the others by id."""
        built_in = [self._built_in(name) for name in self.kind.built_in]
        store = (await self._ledger()).store
        kept = map(self._sealed, await store.facts(self.kind.name))
        return built_in + [one for one in kept if one.id not in self.kind.built_in]

    async def drafts(self) -> list[dict[str, Any]]:
        """Return the changes that wait on this node for a quorum: id, expected version, since."""
        found = []
        for kept in await (await self._ledger()).store.drafts():
            try:
                ask = FactAsk.decode(kept.body)
            except WireError:
                continue
            kind, _, name = ask.entity.partition(":")
            if kind == self.kind.name:
                since = milliseconds_text(kept.kept_ms)
                found.append({"id": name, "expects": ask.expects, "kept_at": since})
        return found

    async def one(self, name: str) -> Sealed:
        """Return one by its id.

        Raises:
            NotFoundError: there is none.
        """
        if name in self.kind.built_in:
            return self._built_in(name)
        store = (await self._ledger()).store
        found = await store.facts(self.kind.name, name)
        if not found:
            known = [one.id for one in await self.all()]
            raise NotFoundError(
                f"there is no {self.kind.word} {name!r:.80}",
                hint=did_you_mean(name, known) or f"{self.kind.command} list shows them",
            )
        return self._sealed(found[0])

    async def read(self, name: str) -> tuple[Kept, int]:
        """Return one by its id, as a model, and its version.

        Raises:
            NotFoundError: there is none.
            InvalidDocumentError: another version of BuildNet wrote it, and this one can't read it.
        """
        found = await self.one(name)
        said = found.document if found.unreadable is None else found.unreadable
        where = f"the {self.kind.word} {name}"
        return self.kind.read({**said, "id": name}, where), found.version

    async def create(self, document: Kept, *, actor: str, reason: str = "") -> Sealed:
        """Keep a new one under its id.

        Raises:
            FactConflictError: there is one of this id.
            FactRefusedError: this node's owner may change nothing, or its id is built in.
            NoSealsError: there is no quorum; it is kept as a draft.
        """
        self.require_rights()
        name = self._own(document.id)
        before = await (await self._ledger()).store.fact(self._entity(name))
        if before is not None and before.value is not None:
            raise FactConflictError(
                f"the {self.kind.word} {name} is there already",
                hint=f"{self.kind.command} list shows it; or choose another name",
            )
        expects = 0 if before is None else before.version
        return await self._change(name, self.kind.verbs[0], document, expects, actor, reason)

    async def replace(
        self, name: str, document: Kept, *, expects: int, actor: str, reason: str = ""
    ) -> Sealed:
        """Put another one in place of version ``expects``.

        Raises:
            FactConflictError: another version holds.
            FactRefusedError, NoSealsError: see :meth:`create`.
        """
        self.require_rights()
        self._own(name)
        return await self._change(name, self.kind.verbs[1], document, expects, actor, reason)

    async def delete(
        self, name: str, *, expects: int | None = None, actor: str, reason: str = ""
    ) -> Sealed:
        """Delete one, in version ``expects``; None: in the one that this node knows. Return it as
        it was.

        Raises:
            NotFoundError: there is none.
            FactConflictError, FactRefusedError, NoSealsError: see :meth:`create`.
        """
        self.require_rights()
        self._own(name)
        found = await self.one(name)
        version = found.version if expects is None else expects
        await self._ask(name, self.kind.verbs[2], version, None, actor, reason)
        return found

    def require_rights(self) -> None:
        """See that this node's owner may change something shared.

        Raises:
            FactRefusedError: they may not.
        """
        if self._rights() != "admin":
            raise FactRefusedError(
                f"the owner of this node is no admin, so it changes no {self.kind.word}",
                hint="ask on the node of an admin: buildnet rights list",
            )

    async def _change(
        self, name: str, what: str, document: Kept, expects: int, actor: str, reason: str
    ) -> Sealed:
        value = document.document()
        if (size := len(as_data(value))) > _MAX_CHARACTERS:
            raise UsageError(
                f"the {self.kind.word} {name} is too large: {size} characters of JSON",
                hint=f"{_MAX_CHARACTERS} is the most; leave something away, or make two of it",
            )
        await self._ask(name, what, expects, value, actor, reason)
        return await self.one(name)

    async def _ask(
        self,
        name: str,
        what: str,
        expects: int,
        value: dict[str, Any] | None,
        actor: str,
        reason: str,
    ) -> None:
        """Have a change made; return once this node has it too, so that who asks next sees it."""
        ledger, entity = await self._ledger(), self._entity(name)
        kind = f"{self.kind.name}.{what}"
        made = await ledger.facts.change(
            entity, kind=kind, expects=expects, value=value, actor=_actor(actor), reason=reason
        )
        try:
            async with asyncio.timeout(_SEEN_S):
                while (fact := await ledger.store.fact(entity)) is None or (
                    fact.version < made.version
                ):
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as error:
            raise NotSealedError(
                f"{entity} is changed, but the seal did not come to this node within {_SEEN_S:g} s",
                hint="it is shown here once it has come: do not change it again",
            ) from error

    def _built_in(self, name: str) -> Sealed:
        found = self.kind.built_in[name]
        return Sealed(name, found.document(), warnings=self.kind.warnings(found))

    def _sealed(self, record: FactRecord) -> Sealed:
        fact = record.fact
        name, sealed = fact.entity.partition(":")[2], fact.data or {}
        document: Mapping[str, Any] = {}
        unreadable: Mapping[str, Any] | None = None
        problem: str | None = None
        warnings: tuple[str, ...] = ()
        try:
            # The ledger sorts keys; people read them in the order of the reference.
            found = self.kind.read({**sealed, "id": name}, name)
            document, warnings = found.document(), self.kind.warnings(found)
        except InvalidDocumentError as error:
            unreadable, problem = sealed, error.message
        return Sealed(
            name,
            document,
            unreadable,
            problem,
            fact.version,
            record.height,
            fact.entry.hex(),
            record.created_ms,
            record.created_by,
            record.changed_ms,
            record.changed_by,
            warnings,
        )

    def _entity(self, name: str) -> str:
        return f"{self.kind.name}:{name}"

    def _own(self, name: str | None) -> str:
        if not name:
            raise UsageError(f"the {self.kind.word} has no id", hint="give it a name")
        if name in self.kind.built_in:
            raise FactRefusedError(
                f"the {self.kind.word} {name} is built in and can't be changed",
                hint="keep what you want under another name",
            )
        return name


def saved_in(service: NodeService, kind: Kind[Kept]) -> SavedDocuments[Kept]:
    """Return those of one kind, as the node's cluster keeps them."""
    return SavedDocuments(kind, lambda: service.ledger.current(), lambda: service.rights)


def _actor(name: str) -> Actor:
    try:
        return Actor(name, name, ActorKind.USER.value)
    except ValueError as error:
        raise UsageError(f"{name!r:.80} can't be an actor", cause=str(error)) from error


def _moment(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else milliseconds_text(milliseconds)
