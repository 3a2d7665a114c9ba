"""What a node hands out from its store, and how much of that one peer may ask for at once."""

from __future__ import annotations

import asyncio
from typing import cast

from tests.ledger.entries import ANN, chain_of, run

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import ServeEntries
from buildnet.ledger.messages import Entries
from buildnet.ledger.service.serving import MAX_AT_ONCE, Serving
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.messages.kinds import Message

FOUND = tuple(run(3))


class Disk:
    """A store that answers once it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.ready = asyncio.Event()

    async def range(
        self, chain: Chain, first: int, last: int, *, max_count: int, max_bytes: int
    ) -> tuple[Entry, ...]:
        self.asked += 1
        await self.ready.wait()
        return FOUND


def test_who_asks_without_end_keeps_nobody_else_from_being_answered() -> None:
    one, other = b"1" * 32, b"2" * 32

    def ask(peer: bytes) -> ServeEntries:
        return ServeEntries(peer, chain_of(ANN), 1, 3)

    async def work() -> None:
        disk, said = Disk(), list[tuple[bytes, Message]]()
        serving = Serving(cast(LedgerStore, disk), lambda to, message: said.append((to, message)))
        async with asyncio.TaskGroup() as group:
            for _ in range(3 * MAX_AT_ONCE):
                group.create_task(serving.answer(ask(one)))
            group.create_task(serving.answer(ask(other)))
            await asyncio.sleep(0)
            assert disk.asked == MAX_AT_ONCE + 1
            disk.ready.set()
        assert [to for to, _ in said].count(one) == MAX_AT_ONCE
        assert said[-1] == (other, Entries(tuple(entry.signed for entry in FOUND)))
        await serving.answer(ask(one))
        assert len(said) == MAX_AT_ONCE + 2

    asyncio.run(work())
