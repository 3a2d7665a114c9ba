"""What became of keys is put on record once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.ledger.entry import Actor
from buildnet.ledger.service.errors import FactConflictError
from buildnet.node.auth.key_facts import KeyFact, KeyFacts

ANNA = Actor("anna", "anna", "user")


class FakeLedger:
    """One fact that holds until it is revoked, and no longer, as the ledger has it."""

    def __init__(self) -> None:
        self.version, self.value = 1, cast("dict[str, Any] | None", {"name": "ci"})
        self.entries: list[str] = []
        self.store = self.facts = self

    async def fact(self, entity: str) -> object:
        return SimpleNamespace(version=self.version, value=self.value)

    async def change(self, entity: str, *, kind: str, value: Any, **more: object) -> None:
        self.entries.append(kind)
        if self.value is None:
            raise FactConflictError("another change was sealed first")
        self.version += 1
        self.value = None if kind == "key.revoked" else value


def test_a_key_that_is_revoked_twice_is_on_record_once(caplog: pytest.LogCaptureFixture) -> None:
    ledger = FakeLedger()

    async def opened() -> Any:
        return ledger

    async def run() -> None:
        facts = KeyFacts(opened)
        for reason in ("lost", "lost, too"):
            facts.put(KeyFact("2f6c1a08d94be317", "key.revoked", {"name": "ci"}, ANNA, reason))
        facts.put(KeyFact("2f6c1a08d94be318", "key.created", {}, ANNA))
        recording = asyncio.create_task(facts.run())
        while "key.created" not in ledger.entries:
            assert not recording.done()
            await asyncio.sleep(0)
        recording.cancel()

    asyncio.run(asyncio.wait_for(run(), 20))
    assert ledger.entries == ["key.revoked", "key.created"]
    assert "not recorded" not in caplog.text
