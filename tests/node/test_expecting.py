"""What a node does of what others expect of it: what its owner lets it, and no longer than that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.events import LinkDown, Received
from buildnet.mesh.members.genesis import Rights
from buildnet.node.fetching_ahead import Ahead
from buildnet.node.sharing.expecting import Expecting
from buildnet.node.store import Store
from buildnet.pool.expectations import WITHIN_S
from buildnet.pool.messages.expecting import LONGEST_MS, WorkExpected
from buildnet.pool.messages.results import WireDigest

HOLDER, OBSERVER, STRANGER = b"h" * 32, b"o" * 32, b"s" * 32
BLOBS = tuple(bytes([number]) * 100_000 for number in range(3))
DIGESTS = tuple(map(Digest.of, BLOBS))
WATCH = b"w" * 16


class Exchange:
    """Brings blobs of :data:`BLOBS`, each once it may come."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ahead = Ahead()
        self.may_come = asyncio.Event()
        self.asked: asyncio.Queue[Digest] = asyncio.Queue()

    async def fetch_ahead(self, blobs: Iterable[Digest], peer: bytes) -> Collection[Digest] | None:
        (digest,) = blobs

        async def work() -> None:
            self.asked.put_nowait(digest)
            await self.may_come.wait()
            self.store.put(BLOBS[DIGESTS.index(digest)])

        return [digest] if await self.ahead.fetch((digest,), work) else None

    def interrupt_ahead(self) -> None:
        self.ahead.interrupt()


class Node:
    """A node that is told what others expect."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.exchange = Exchange(store)
        self.willing = True
        self.looked_at: list[str] = []
        exchange = cast(Any, self.exchange)
        self.expecting = Expecting(
            store, exchange, self.looked_at.append, lambda: self.willing, clock
        )

    def told(self, sender: bytes, *blobs: Digest, tools: tuple[str, ...] = ()) -> None:
        wire = tuple(map(WireDigest.of, blobs))
        self.expecting.take(Received(sender, WorkExpected(WATCH, LONGEST_MS, wire, tools)))

    async def asks(self) -> Digest:
        async with asyncio.timeout(20):
            return await self.exchange.asked.get()

    async def settled(self) -> None:
        """Return once it has nothing to do."""
        async with asyncio.timeout(20):
            while self.expecting._under_way is not None or self.expecting._news.is_set():
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(
    directory: Path,
    capacity_bytes: int = 10_000_000,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Node]:
    rights = {HOLDER: Rights.BUILDER, OBSERVER: Rights.OBSERVER}
    members = {key: SimpleNamespace(rights=each, role="worker") for key, each in rights.items()}
    listed = SimpleNamespace(members=members, is_member=members.__contains__)
    local = SimpleNamespace(members=listed)
    with Store.open(directory / "store", capacity_bytes) as store:
        node = Node(store, clock)
        async with node.expecting.guest(cast(Any, SimpleNamespace(local=local))):
            yield node


def test_what_comes_is_fetched_and_counted_and_stays_while_it_is_expected(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as node:
            node.exchange.may_come.set()
            node.told(HOLDER, *DIGESTS[:2], tools=("node", "tsc"))
            assert [await node.asks(), await node.asks()] == list(DIGESTS[:2])
            await node.settled()
            assert node.looked_at == ["node", "tsc"]
            node.exchange.store.clear()
            assert not node.exchange.store.missing(DIGESTS[:2])
            node.expecting.used(DIGESTS[1:])
            assert node.expecting.fetched_bytes == 200_000
            assert node.expecting.used_bytes == 100_000
            node.told(HOLDER)
            await node.settled()
            node.exchange.store.clear()
            assert node.exchange.store.missing(DIGESTS[:2])

    asyncio.run(main())


@pytest.mark.parametrize("end", ["withdrawn", "other", "gone"])
def test_what_is_not_expected_any_more_is_fetched_no_further(tmp_path: Path, end: str) -> None:
    async def main() -> None:
        async with running(tmp_path) as node:
            node.told(HOLDER, DIGESTS[0])
            assert await node.asks() == DIGESTS[0]
            match end:
                case "withdrawn":
                    node.told(HOLDER)
                case "other":
                    node.told(HOLDER, DIGESTS[1])
                    assert await node.asks() == DIGESTS[1]
                    node.told(HOLDER)
                case "gone":
                    node.expecting.take(LinkDown(HOLDER))
            await node.settled()
            node.exchange.may_come.set()
            assert node.exchange.asked.empty()
            assert node.exchange.store.missing(DIGESTS) == set(DIGESTS)

    asyncio.run(main())


def test_who_may_not_build_is_not_heard_nor_anybody_if_the_owner_does_not_want(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with running(tmp_path) as node:
            node.exchange.may_come.set()
            node.told(OBSERVER, DIGESTS[0], tools=("node",))
            node.told(STRANGER, DIGESTS[0], tools=("node",))
            node.willing = False
            node.told(HOLDER, DIGESTS[0], tools=("node",))
            await node.settled()
            assert (node.exchange.asked.empty(), node.looked_at) == (True, [])
            node.willing = True
            node.told(HOLDER, DIGESTS[2])
            assert await node.asks() == DIGESTS[2]

    asyncio.run(main())


def test_who_goes_on_expecting_keeps_no_more_of_the_store_for_that(tmp_path: Path) -> None:
    async def main() -> None:
        now = 0.0
        async with running(tmp_path, capacity_bytes=800_000, clock=lambda: now) as node:
            node.exchange.may_come.set()
            for each in DIGESTS:
                now += WITHIN_S / 2  # what it said last counts still, and new bytes come
                node.told(HOLDER, each)
                assert await node.asks() == each
                await node.settled()
            node.exchange.store.clear()
            assert node.exchange.store.missing(DIGESTS) == {DIGESTS[0]}
            node.expecting.used(DIGESTS)
            assert node.expecting.used_bytes == 200_000

    asyncio.run(main())
