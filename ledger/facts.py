"""Shared facts: what all nodes agree on, changed by compare-and-set in sealed order.

A change names the version that it expects, and makes the next one. Of two changes that expect the
same version the one that is sealed first holds; the other is void: kept, shown, without effect. A
deletion is a version, too, so who has seen the fact before it was deleted can't change it after.
Revocations always win: they hold whatever they expect, and nothing follows them.

Only what a voter recorded counts: changes are the coordinator's to record, which knows the rights
of who asks, and only voters coordinate. What any other member signs itself is void. Who the voters
were is told by the seal that the change is under, so all nodes judge alike.

An entry of a fact has the type ``KIND.what``, the entity ``KIND:NAME`` and the data
``{"expects": 3, "value": {…} or null, "version": 4}``. Members are no such facts: they have
their own agreement (:mod:`buildnet.mesh.members`), which the ledger records.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.entry import MAX_DATA_CHARACTERS, Actor, Entry, TypeName, as_data
from buildnet.ledger.postings import changed
from buildnet.mesh.wire import MAX_COUNTER, Limit, Wire

FACT_KINDS = frozenset({"config", "template", "profile", "key", "rights"})
NO_FACTS = frozenset({"key.used"})
"""Types of entries about facts that change none."""
REVOKED = "key.revoked"
"""The type that holds whatever it expects, and after which nothing holds."""


@dataclass(frozen=True, slots=True)
class FactDraft(Wire):
    """What somebody asks the coordinator to record about a fact; entity, expected version and
    request go beside it. ``value``: a JSON object as text; None: the fact is deleted."""

    type: TypeName
    actor: Actor
    reason: Annotated[str, Limit(0, 1024)]
    correlation: Annotated[str, Limit(0, 128)]
    value: Annotated[str, Limit(2, MAX_DATA_CHARACTERS)] | None

    def entry(self, entity: str, *, expects: int, request: bytes) -> EntryDraft:
        """Return it as a draft of the entry to append.

        Raises:
            ValueError: the value is no JSON.
        """
        value = None if self.value is None else json.loads(self.value)
        version = expects + 1
        postings = changed(entity, str(expects) if expects else None, str(version))
        return EntryDraft(
            self.type,
            self.actor,
            self.reason,
            self.correlation,
            entity,
            request,
            {"expects": expects, "value": value, "version": version},
            () if self.type == REVOKED else postings,
        )


@dataclass(frozen=True, slots=True)
class Fact:
    """A shared fact at one version. ``value``: JSON object as text; None: it is deleted or revoked;
    ``entry``: hash of the entry that made it so."""

    entity: str
    version: int
    value: str | None
    entry: bytes
    is_revoked: bool = False

    @property
    def data(self) -> dict[str, Any] | None:
        """The value, read."""
        if self.value is None:
            return None
        found: dict[str, Any] = json.loads(self.value)
        return found


@dataclass(frozen=True, slots=True)
class Void:
    """A change that does not hold: ``proposed`` is what it would have made of ``current``.

    ``why``: a few stable words; ``conflict`` where another change was first.
    """

    why: str
    current: Fact | None
    proposed: Fact


CONFLICT = "conflict"


@lru_cache(maxsize=1024)
def is_fact(type_name: str) -> bool:
    """Tell whether entries of a type change a shared fact, in sealed order."""
    return type_name.partition(".")[0] in FACT_KINDS and type_name not in NO_FACTS


def judge(current: Fact | None, entry: Entry, *, by_voter: bool = True) -> Fact | Void | None:
    """Return what a sealed entry makes of the fact that it is about; None: it is about none.

    ``current``: that fact (``entry.body.entity``) as the entries sealed before left it;
    ``by_voter``: whether the entry's seal names its origin as a voter.
    """
    body = entry.body
    kind = body.type.partition(".")[0]
    if not is_fact(body.type):
        return None
    version = 0 if current is None else current.version
    data = entry.data
    expects, value = _version(data.get("expects")), data.get("value")
    text = as_data(value) if isinstance(value, dict) else None
    if body.type == REVOKED:
        proposed = Fact(body.entity, version + 1, None, entry.hash, is_revoked=True)
    else:
        base = version if expects is None else expects
        proposed = Fact(body.entity, base + 1, text, entry.hash)
    if not by_voter:
        return Void("not recorded by a voter", current, proposed)
    if not body.entity.startswith(f"{kind}:"):
        return Void("about something else", current, proposed)
    if current is not None and current.is_revoked:
        return Void("revoked", current, proposed)
    if body.type == REVOKED:
        return proposed
    if expects is None or data.get("version") != expects + 1:
        return Void("no version", current, proposed)
    if "value" not in data or (text is None and value is not None):
        return Void("no value", current, proposed)
    if expects != version:
        return Void(CONFLICT, current, proposed)
    return proposed


def _version(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < MAX_COUNTER else None


class Facts:
    """All shared facts, in memory."""

    def __init__(self) -> None:
        self._facts: dict[str, Fact] = {}

    def apply(self, entry: Entry) -> Fact | Void | None:
        """Take the next entry in sealed order into account; return what became of it."""
        found = judge(self._facts.get(entry.body.entity), entry)
        if isinstance(found, Fact):
            self._facts[found.entity] = found
        return found

    def fact(self, entity: str) -> Fact | None:
        """Return a fact, deleted or not; None: there never was one."""
        return self._facts.get(entity)

    def version(self, entity: str) -> int:
        """Return what the next change has to expect."""
        found = self._facts.get(entity)
        return 0 if found is None else found.version

    def names(self) -> tuple[str, ...]:
        """Return the entities of all facts that are there, sorted."""
        return tuple(sorted(name for name, one in self._facts.items() if one.value is not None))
