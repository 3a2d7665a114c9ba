"""A ledger of one chain that records are written to, and some records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.ledger.entries import ANN, CLUSTER, START, chain_of

from buildnet.ledger.chain import Tip
from buildnet.ledger.draft import EntryDraft, next_body, node_actor, opening_body
from buildnet.ledger.entry import Entry
from buildnet.ledger.opening import Opening, Why
from buildnet.ledger.query import Query
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.writer import MakeBody, Place
from buildnet.mesh.identity import node_id_of
from buildnet.node.build_record import BuildBegan
from buildnet.node.recording import OpenLedger, Recording
from buildnet.pool.resources import (
    CpuResources,
    MemoryResources,
    NodeResources,
    OperatingSystem,
    Program,
    StorageVolume,
)
from buildnet.pool.warrant import Warrant

NODE = node_id_of(ANN.public_key)
GIB = 1 << 30


class OneLedger:
    """A real file and chain; ``failures`` are raised by the next appends, one each."""

    def __init__(self, store: LedgerStore) -> None:
        self.store = store
        self.key = ANN.public_key
        self.failures: list[Exception] = []
        self.waited_for: list[Entry] = []
        self._clock = START

    async def current(self) -> OneLedger:
        return self

    async def append(self, drafts: Sequence[EntryDraft]) -> tuple[Entry, ...]:
        if self.failures:
            raise self.failures.pop(0)
        self._clock += 1 << 16
        return await self.store.append([body_of(draft) for draft in drafts], hlc=self._clock)

    async def sealed(self, entry: Entry, timeout_s: float) -> int:
        self.waited_for.append(entry)
        return 1

    async def entries(self, *types: str) -> list[Entry]:
        page = await self.store.query(Query(types=types))
        found = [one.entry for one in page.entries]
        return [one for one in found if one.body.type != "chain.opened"]


def body_of(draft: EntryDraft) -> MakeBody:
    def make(place: Place) -> Any:
        tip = Tip(place.sequence - 1, place.previous, place.hlc - 1)
        return next_body(place.cluster, place.chain, tip, draft, clock=place.hlc)

    return make


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[OneLedger]:
    store = await LedgerStore.open(path / "ledger.db", cluster=CLUSTER, sign=ANN.sign)
    try:
        chain = chain_of(ANN)
        await store.use(chain)
        body = opening_body(CLUSTER, chain, Opening(Why.FIRST), clock=START)
        await store.append([lambda place: body], hlc=START)
        yield OneLedger(store)
    finally:
        await store.close()


def run(path: Path, work: Callable[[OneLedger, Recording], Awaitable[None]]) -> None:
    async def go() -> None:
        async with opened(path) as ledger:
            await work(ledger, Recording(ledger))

    asyncio.run(go())


class Said:
    """A record of one word."""

    def __init__(self, word: str, error: Exception | None = None) -> None:
        self.word = word
        self.error = error

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        if self.error is not None:
            raise self.error
        return [EntryDraft("system.note", node_actor(ledger.key), data={"text": self.word})]


def words(entries: Sequence[Entry]) -> list[str]:
    return [entry.data["text"] for entry in entries]


async def written(ledger: OneLedger, *records: Any) -> list[Entry]:
    """Write records as the queue does; return all entries."""
    for record in records:
        drafts = await record.drafts(ledger)
        if drafts:
            await ledger.append(drafts)
    return await ledger.entries()


def resources(cores: int = 4, free: int = GIB, *volumes: StorageVolume) -> NodeResources:
    return NodeResources(
        system=OperatingSystem(name="linux"),
        cpu=CpuResources(cores=cores, logical=cores, architecture="x86_64"),
        memory=MemoryResources(total_bytes=8 * GIB, available_bytes=free, installed_bytes=8 * GIB),
        storage=volumes or (volume("/", 100 * GIB),),
        tools=(Program(name="git", version="2.43", path="/usr/bin/git"),),
        scanned_at=datetime(2026, 11, 21, tzinfo=UTC),
    )


def volume(path: str, size: int, free: int = 5) -> StorageVolume:
    return StorageVolume(
        path=path, mount_point=path, total_bytes=size, available_bytes=free, file_system="ext4"
    )


def offers(entries: Sequence[Entry]) -> dict[tuple[str, str], int]:
    """What the entries' postings sum up to, by account and unit."""
    found: dict[tuple[str, str], int] = {}
    for entry in entries:
        for one in entry.body.postings:
            key = (one.account.removeprefix(f"node:{NODE}/"), one.unit)
            sign = 1 if one.side == "credit" else -1
            found[key] = found.get(key, 0) + sign * one.amount
    return {key: amount for key, amount in found.items() if amount}


WARRANT = Warrant(bytes(32), bytes(16))
BEGAN = BuildBegan("b1", WARRANT, "ann", "shop", "build", ("core", "page"))
