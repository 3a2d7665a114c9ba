"""Who may change what is shared, as the coordinator judges it; a revocation is never too late."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.entry import Actor, ActorKind
from buildnet.ledger.facts import REVOKED, FactDraft
from buildnet.ledger.messages import FactAnswer, FactAsk
from buildnet.ledger.service.shared_facts import Ports, SharedFacts
from buildnet.mesh.members.member_list import Rights
from testbed.pool_keys import ADMIN, BUILDER, MEMBERS

ANNA = Actor("anna", "anna", ActorKind.USER.value)


class Coordinator:
    """The coordinator's side, with one fact in version 3."""

    def __init__(self, rights: Rights = Rights.ADMIN) -> None:
        self.appended = list[EntryDraft]()
        member = replace(MEMBERS.members[BUILDER.public_key], rights=rights)
        members = replace(MEMBERS, members={**MEMBERS.members, member.key: member})
        office = SimpleNamespace(quorum=True, coordinator=ADMIN.public_key)
        local = SimpleNamespace(members=members, office=office, key=ADMIN.public_key)
        self.fact = SimpleNamespace(version=3, entry=bytes(32))
        self.answers = list[FactAnswer]()
        self.work = list[Any]()
        ports = Ports(
            append=self._append,
            sealed=self._sealed,
            say=lambda to, said: self.answers.append(cast(FactAnswer, said)),
            spawn=self.work.append,
        )
        store = SimpleNamespace(fact=self._fact, entry=self._entry)
        self.facts = SharedFacts(cast(Any, local), cast(Any, store), ports)

    async def _fact(self, entity: str) -> Any:
        return self.fact

    async def _entry(self, entry_id: str) -> Any:
        body = SimpleNamespace(request=b"")
        return SimpleNamespace(entry=SimpleNamespace(body=body, hash=b""))

    async def _append(self, draft: EntryDraft) -> Any:
        self.appended.append(draft)
        self.fact = SimpleNamespace(version=4, entry=b"e" * 32)
        return SimpleNamespace(id=(b"e" * 32).hex(), hash=b"e" * 32)

    async def _sealed(self, entry: Any) -> int:
        return 1

    def outcome(self, kind: str, entity: str, expects: int) -> str:
        draft = FactDraft(kind, ANNA, "", "", None if kind == REVOKED else "{}")
        ask = FactAsk(b"r" * 16, entity, expects, draft.encode())
        self.facts.asked(BUILDER.public_key, ask)
        asyncio.run(self.work.pop())
        return self.answers.pop().outcome


@pytest.mark.parametrize(
    ("kind", "entity"),
    [("config.modified", "config:a"), ("key.modified", "key:a"), ("rights.modified", "rights:a")],
)
def test_only_an_admin_changes_what_is_shared(kind: str, entity: str) -> None:
    assert Coordinator(Rights.ADMIN).outcome(kind, entity, 3) == "done"
    for rights in (Rights.BUILDER, Rights.OBSERVER):
        other = Coordinator(rights)
        assert other.outcome(kind, entity, 3) == "refused"
        assert other.appended == []


def test_a_change_from_an_old_version_conflicts_and_a_revocation_holds() -> None:
    assert Coordinator().outcome("key.modified", "key:a", 2) == "conflict"
    coordinator = Coordinator()
    assert coordinator.outcome(REVOKED, "key:a", 0) == "done"
    assert [draft.type for draft in coordinator.appended] == [REVOKED]
