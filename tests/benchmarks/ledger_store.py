"""How fast and how small the ledger's file is.

    uv run python tests/benchmarks/ledger_store.py [--entries 1000000] [--short] [--json FILE]
        [--directory DIR]

Entries of 400 signed bytes by real keys, three origins, sealed by three voters, 100 under a seal.
A new process opens the file for each of the figures of a start, of queries and of memory.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

from buildnet.ledger.chain import START, check_links
from buildnet.ledger.entry import NO_ENTRY, Actor, Body, Chain, Entry, as_data
from buildnet.ledger.events import Keep
from buildnet.ledger.frontier import Advance, Frontier, Head
from buildnet.ledger.merkle import CompactRange, root_of
from buildnet.ledger.opening import OPENED, Opening, Why
from buildnet.ledger.query import Cursor
from buildnet.ledger.seal import (
    Cosignature,
    Seal,
    SealRecord,
    SealValue,
    cosign_statement,
    hash_of_value,
)
from buildnet.ledger.store.rows import place_of
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.verifying import Trust
from buildnet.ledger.store.writer import Place
from buildnet.mesh.identity import NodeKey, is_signed_by
from testbed.figures import Figure, report

CLUSTER = b"c" * 32
KEYS = sorted(
    (NodeKey.from_seed(hashlib.sha256(b"%d" % n).digest()) for n in range(3)),
    key=lambda key: key.public_key,
)
SEALED_TOGETHER = 100
A_TRANSACTION = 20
"""Seals kept at once."""
BEGAN = 1_790_000_000_000 << 16
TYPES = ("build.started", "build.completed", "resource.allocated", "cache.filled", "node.load")
OPENING = """
import asyncio, json, sys, time
from pathlib import Path
import psutil
from buildnet.ledger.query import Cursor, Query
from buildnet.ledger.store.store import LedgerStore
async def main():
    process = psutil.Process()
    start = time.perf_counter()
    store = await LedgerStore.open(Path(sys.argv[1]), cluster=b"c" * 32, sign=lambda _: b"")
    await store.restored()
    opened = time.perf_counter() - start
    pages, cpu = [], []
    middle = Cursor.parse(sys.argv[3])
    for each in json.loads(sys.argv[2]):
        query = Query(**each)
        for backwards in (False, True):
            for cursor in (None, middle):
                for _ in range(5):
                    start, used = time.perf_counter(), time.process_time()
                    page = await store.query(query, cursor=cursor, limit=50, backwards=backwards)
                    pages.append((time.perf_counter() - start) * 1000)
                    cpu.append((time.process_time() - used) * 1000)
                    cursor = page.next
                    if cursor is None:
                        break
    print(json.dumps([opened, pages, cpu, process.memory_info().rss / 1e6]))
    await store.close()
asyncio.run(main())
"""


def body_of(place: Place, number: int, key: NodeKey) -> Body:
    """Return the body of entry ``number``: 400 bytes with its signature."""
    first = place.sequence == 1
    padding = hashlib.sha256(b"%d" % number).hexdigest()
    data = {"number": number, "digest": padding}
    return Body(
        cluster=CLUSTER,
        origin=key.public_key,
        incarnation=place.chain.incarnation,
        previous=place.previous,
        sequence=place.sequence,
        hlc=place.hlc,
        type=OPENED if first else TYPES[number % len(TYPES)],
        actor=Actor(key.node_id, "worker", "node"),
        reason="the plan says so",
        correlation=f"request-{number // 7}",
        entity=f"build:{number // 5:016x}",
        request=b"",
        data=as_data(Opening(Why.FIRST).as_data() if first else data),
        postings=(),
    )


class Maker:
    """Makes entries of three chains and seals over them."""

    def __init__(self) -> None:
        self.heads = {Chain(key.public_key, bytes(8)): Head(0, NO_ENTRY) for key in KEYS}
        self.frontier = Frontier()
        self.history = CompactRange()
        self.previous = CLUSTER
        self.height = 0
        self.number = 0
        self.hlc = BEGAN

    def keep(self, seals: int) -> Keep:
        """Return the next seals with their entries."""
        entries: list[Entry] = []
        made: list[Seal] = []
        for _ in range(seals):
            under = [self._entry() for _ in range(SEALED_TOGETHER)]
            entries += under
            made.append(self._seal(under))
        sealed = [
            tuple((one.chain, one.body.sequence) for one in entries[at : at + SEALED_TOGETHER])
            for at in range(0, len(entries), SEALED_TOGETHER)
        ]
        return Keep(self.height, entries=tuple(entries), seals=tuple(made), sealed=tuple(sealed))

    def _entry(self) -> Entry:
        key = KEYS[self.number % len(KEYS)]
        chain = Chain(key.public_key, bytes(8))
        head = self.heads[chain]
        self.hlc += 1 << 10
        place = Place(CLUSTER, chain, head.sequence + 1, head.hash, self.hlc)
        entry = Entry.sign(body_of(place, self.number, key), key.sign)
        self.heads[chain] = Head(head.sequence + 1, entry.hash)
        self.number += 1
        return entry

    def _seal(self, under: Sequence[Entry]) -> Seal:
        advances = tuple(
            Advance(chain.origin, chain.incarnation, head.sequence, head.hash)
            for chain, head in sorted(self.heads.items(), key=lambda item: item[0])
        )
        self.frontier = self.frontier.advanced(advances)
        self.height += 1
        value = SealValue(
            cluster=CLUSTER,
            epoch=0,
            height=self.height,
            previous=self.previous,
            history=self.history.root,
            frontier=self.frontier.digest(),
            advances=advances,
            count=len(under),
            root=root_of(one.hash for one in under),
            members=0,
            voters=tuple(key.public_key for key in KEYS),
            hlc=self.hlc,
        ).encode()
        self.previous = hash_of_value(value)
        self.history = self.history.appended(self.previous)
        said = cosign_statement(CLUSTER, self.height, self.previous, 1)
        signed = tuple(Cosignature(key.public_key, key.sign(said)) for key in KEYS[:2])
        return Seal.read(SealRecord(value, 1, signed))


async def fill(path: Path, count: int) -> float:
    """Write ``count`` sealed entries; return how many a second the store kept."""
    store = await LedgerStore.open(path, cluster=CLUSTER, sign=KEYS[0].sign)
    maker, kept_s = Maker(), 0.0
    while maker.number < count:
        what = maker.keep(min(A_TRANSACTION, (count - maker.number) // SEALED_TOGETHER))
        start = time.perf_counter()
        await store.keep(what)
        kept_s += time.perf_counter() - start
    await store.close()
    return count / kept_s


async def verify(path: Path) -> tuple[float, float]:
    """Verify everything; return microseconds an entry, by the clock and by the processor."""
    store = await LedgerStore.open(path, cluster=CLUSTER, sign=KEYS[0].sign)
    start, used = time.perf_counter(), time.process_time()
    found = await store.verify(Trust(is_signed_by))
    took, used = time.perf_counter() - start, time.process_time() - used
    await store.close()
    assert found.verified, found.errors[:3]
    return took / found.entries_checked * 1e6, used / found.entries_checked * 1e6


async def links(path: Path, count: int) -> float:
    """Check the links of one chain; return entries a second, reading them included."""
    store = await LedgerStore.open(path, cluster=CLUSTER, sign=KEYS[0].sign)
    chain = Chain(KEYS[0].public_key, bytes(8))

    def work(reader: object) -> float:
        connection = store._reader.connection
        start = time.perf_counter()
        rows = connection.execute(
            "SELECT signed FROM entries WHERE chain=? ORDER BY sequence LIMIT ?",
            (store._reader.names.chain(chain), count),
        )
        checked = check_links(chain, START, (row[0] for row in rows))
        assert not checked.faults
        return checked.head.sequence / (time.perf_counter() - start)

    rate = await store.read(work)
    await store.close()
    return rate


async def append(path: Path, count: int) -> list[float]:
    """Append one by one; return milliseconds of each."""
    store = await LedgerStore.open(path, cluster=CLUSTER, sign=KEYS[0].sign)
    await store.use(Chain(KEYS[0].public_key, b"appended"))
    taken: list[float] = []
    for number in range(count):
        start = time.perf_counter()
        await store.append([partial(body_of, number=number, key=KEYS[0])], hlc=BEGAN)
        taken.append((time.perf_counter() - start) * 1000)
    await store.close()
    return taken


async def append_many(path: Path, writers: int, each: int) -> float:
    """Append by many writers at once; return entries a second."""
    store = await LedgerStore.open(path, cluster=CLUSTER, sign=KEYS[0].sign)
    await store.use(Chain(KEYS[0].public_key, b"together"))

    async def write() -> None:
        for number in range(each):
            await store.append([partial(body_of, number=number, key=KEYS[0])], hlc=BEGAN)

    start = time.perf_counter()
    await asyncio.gather(*(write() for _ in range(writers)))
    rate = writers * each / (time.perf_counter() - start)
    await store.close()
    return rate


@dataclass(frozen=True)
class Opened:
    """What a new process met: seconds to open; milliseconds of each page, by the clock and by the
    processor; megabytes."""

    seconds: float
    pages: tuple[float, ...]
    cpu: tuple[float, ...]
    megabytes: float


def queries(count: int) -> list[dict[str, object]]:
    """Every filter, alone and with others: what is frequent, rare, and nowhere."""
    at_ms = (BEGAN >> 16) + ((count // 2) << 10 >> 16)
    one, other = KEYS[1].node_id, KEYS[2].node_id
    entity, correlation = f"build:{count // 9:016x}", f"request-{count // 20}"
    filters: list[dict[str, object]] = [
        {"types": ["build.*"]},
        {"types": [OPENED]},
        {"types": ["no.such"]},
        {"origin": one},
        {"origin": "ab" * 8},
        {"actor": other},
        {"actor": "nobody"},
        {"entity": entity},
        {"correlation": correlation},
        {"build": entity.removeprefix("build:")},
        {"from_ms": at_ms, "to_ms": at_ms + 500},
        {"to_ms": at_ms},
        {"from_ms": at_ms},
        {"text": "the plan"},
        {"text": "nowhere to be found"},
        {"sealed": True},
        {"sealed": False},
    ]
    pairs = [{**a, **b} for a, b in combinations(filters, 2) if not a.keys() & b.keys()]
    return [{}, *filters, *pairs]


def opened(path: Path, count: int) -> Opened:
    """Open and query in a new process: first pages, and those after the middle."""
    middle = Cursor(place_of(count // SEALED_TOGETHER // 2, 0))
    found = subprocess.run(
        [sys.executable, "-c", OPENING, str(path), json.dumps(queries(count)), str(middle)],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, pages, cpu, megabytes = json.loads(found.stdout)
    return Opened(seconds, tuple(pages), tuple(cpu), megabytes)


def measure(directory: Path, count: int) -> list[Figure]:
    """Fill a store and measure it."""
    path = directory / "ledger.db"
    kept = asyncio.run(fill(path, count))
    size = path.stat().st_size / count
    starts = [opened(path, count) for _ in range(3)]
    checked_us, checked_cpu_us = asyncio.run(verify(path))
    chained = [asyncio.run(links(path, count)) for _ in range(3)]
    single = asyncio.run(append(directory / "own.db", 500))
    together = asyncio.run(append_many(directory / "own.db", 128, 40))
    signed = len(Entry.sign(body_of(_somewhere(), 12345, KEYS[0]), KEYS[0].sign).signed)
    return [
        Figure("an entry, signed", (float(signed),), "bytes"),
        Figure("an entry on disk, all in all", (size,), "bytes", 1000.0),
        Figure("keep sealed entries", (kept,), "entries/s"),
        Figure("verify in full: time an entry", (checked_us,), "us", 1e6 / 15_000),
        Figure("the same, of processors", (checked_cpu_us,), "us"),
        Figure(
            "verify links only: time an entry",
            tuple(1e6 / one for one in chained),
            "us",
            1e6 / 150_000,
        ),
        Figure("append one, on disk", tuple(single), "ms", 5.0),
        Figure("append by 128 writers", (together,), "entries/s"),
        Figure(f"open {count:,} entries", tuple(one.seconds for one in starts), "s", 2.0),
        Figure("a page of 50, any filters", _all(one.pages for one in starts), "ms", 50.0, 50.0),
        Figure("the same, of processors", _all(one.cpu for one in starts), "ms", 50.0, 50.0),
        Figure("memory after that", tuple(one.megabytes for one in starts), "MB", 200.0),
    ]


def _all(parts: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(one for part in parts for one in part)


def _somewhere() -> Place:
    return Place(CLUSTER, Chain(KEYS[0].public_key, bytes(8)), 4115, bytes(32), BEGAN)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--short", action="store_true", help="20,000 entries, for CI")
    parser.add_argument("--directory", type=Path, help="where the files are made")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    count = 20_000 if arguments.short else arguments.entries
    with tempfile.TemporaryDirectory(
        prefix="buildnet-ledger-", dir=arguments.directory
    ) as directory:
        figures = measure(Path(directory), count)
    report(f"The ledger's file, {count:,} entries", figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
