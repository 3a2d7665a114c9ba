"""Reads everything again and again, slowly, so that damage is found while peers still have what is
lost: SQLite does not notice a flipped bit by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from buildnet.ledger.seal import Seal
from buildnet.ledger.store.database import read_setting, write_setting
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerError
from buildnet.ledger.store.folding import wrong_rows
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import COLUMNS, is_pruned
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.tables import TABLES, Table
from buildnet.mesh import cbor
from buildnet.mesh.wire import WireError

SLICE = 200
SEALS = 50
"""Seals in one slice; each has some signatures."""
REMEMBER_EACH = 50
"""Slices after which the place is kept, so that the next start goes on there."""
_EMPTY_PAUSE_S = 60.0
_PLACE = "scrub"
_RESULT = "scrubbed"

Verify = Callable[[bytes, bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """One slice: ``after`` is where the next one goes on; None: the pass is done."""

    checked: int
    wrong: int
    after: int | None


@dataclass(frozen=True, slots=True)
class Pass:
    """What the last whole reading found. ``wrong``: damaged entries and seals; ``tables``: derived
    tables that were built again."""

    finished_ms: int
    entries: int
    seals: int
    wrong: int
    tables: int


def scrub_slice(reader: Reader, after: int, verify: Verify) -> Scrubbed:
    """Check the next entries with their signatures; what is damaged is told to the reader's
    ``report``."""
    rows = reader.connection.execute(
        f"SELECT {COLUMNS} FROM entries WHERE id>? ORDER BY id LIMIT {SLICE}", (after,)
    ).fetchall()
    wrong = 0
    for row in rows:
        if is_pruned(row):
            continue
        try:
            good = reader.rows.to_entry(row).entry.is_signed(verify)
        except LedgerDamagedError:
            good = False
        if not good:
            wrong += 1
            reader.tell(row)
    return Scrubbed(len(rows), wrong, rows[-1][0] if len(rows) == SLICE else None)


def wrong_seals(reader: Reader, after: int, verify: Verify) -> tuple[int, list[int]]:
    """Check the seals of the next heights; return how many are there, and which are damaged or
    missing."""
    rows = reader.connection.execute(
        f"SELECT height, hlc, hash, record FROM seals WHERE height>? ORDER BY height LIMIT {SEALS}",
        (after,),
    ).fetchall()
    wrong: list[int] = []
    for height, hlc, seal_hash, record in rows:
        wrong += range(after + 1, height)
        after = height
        try:
            seal = Seal.decode(record)
            good = (seal.height, seal.value.hlc, seal.hash) == (height, hlc, seal_hash)
        except (WireError, TypeError):
            good = False
        if not (good and seal.is_final(verify)):
            wrong.append(height)
    return len(rows), wrong


def is_wrong(reader: Reader, table: Table) -> bool:
    """Tell whether a derived table is not what was written."""
    return bool(wrong_rows(reader.connection, table))


def last_pass(reader: Reader) -> Pass | None:
    """Return what the last whole reading found; None: there was none yet."""
    try:
        body = read_setting(reader.connection, reader.path, _RESULT)
    except LedgerError:
        return None
    return None if body is None else Pass(*cbor.decode(body))


async def _nothing(found: Pass, is_whole: bool) -> None:
    """Do nothing."""


class Scrubber:
    """Scrubs a store; :meth:`run` for ever. ``per_second``: entries. ``on_seal``: told which seals
    are damaged; ``on_pass``: what a reading found, and whether it began at the beginning."""

    def __init__(
        self,
        store: LedgerStore,
        verify: Verify,
        *,
        per_second: float = 500.0,
        pause_s: float = 6 * 3600.0,
        on_seal: Callable[[int], None] = lambda _: None,
        on_pass: Callable[[Pass, bool], Awaitable[None]] = _nothing,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._verify = verify
        self._per_second = per_second
        self._pause_s = pause_s
        self._on_seal = on_seal
        self._on_pass = on_pass
        self._sleep = sleep
        self._now_s = now_s
        self.running = False
        """Whether everything is being read now."""
        self.checked = 0
        """Entries of this pass so far."""

    async def run(self) -> None:
        """Scrub until cancelled; goes on where the last run was."""
        after = await self._store.read(_place)
        last = await self._store.read(last_pass)
        if after < 0 and last is not None:
            await self._sleep(self._rest(last))
        while True:
            done = await self.scrub(after)
            after = -1
            await self._sleep(self._rest(done))

    def _rest(self, last: Pass) -> float:
        if last.entries == 0:  # nothing was there to be read: that says nothing of what came since
            return min(self._pause_s, _EMPTY_PAUSE_S)
        since = self._now_s() - last.finished_ms / 1000
        return self._pause_s - min(max(since, 0.0), self._pause_s)

    async def scrub(self, after: int = -1) -> Pass:
        """Check all entries after a key, all seals, then the derived tables; those that are wrong
        are built again."""
        self.running, self.checked = True, 0
        try:
            wrong = await self._entries(after)
            seals, wrong_here = await self._seals()
            tables = await self._tables()
        finally:
            self.running = False
        found = Pass(int(self._now_s() * 1000), self.checked, seals, wrong + wrong_here, tables)
        body = cbor.encode(
            [found.finished_ms, found.entries, found.seals, found.wrong, found.tables]
        )
        await self._store.write(lambda writer: write_setting(writer.connection, _RESULT, body))
        await self._remember(-1)
        await self._on_pass(found, after < 0)
        return found

    async def _entries(self, after: int) -> int:
        slices = wrong = 0
        at: int | None = after
        while at is not None:
            check = partial(scrub_slice, after=at, verify=self._verify)
            done = await self._store.read(check)
            self.checked += done.checked
            wrong += done.wrong
            at = done.after
            slices += 1
            if slices % REMEMBER_EACH == 0 and at is not None:
                await self._remember(at)
            await self._sleep(done.checked / self._per_second)
        return wrong

    async def _seals(self) -> tuple[int, int]:
        after = wrong = 0
        while True:
            check = partial(wrong_seals, after=after, verify=self._verify)
            count, damaged = await self._store.read(check)
            for height in damaged:
                self._on_seal(height)
            wrong += len(damaged)
            after = await self._store.read(partial(_height_after, height=after))
            if count < SEALS:
                return await self._store.read(_seals), wrong
            await self._sleep(count / self._per_second)

    async def _tables(self) -> int:
        wrong = 0
        for table in TABLES:
            wrong += await self._store.read(partial(is_wrong, table=table))
            await self._sleep(1 / self._per_second)
        if wrong:
            await self._store.rebuild()
        return wrong

    async def _remember(self, place: int) -> None:
        body = cbor.encode(place)
        await self._store.write(lambda writer: write_setting(writer.connection, _PLACE, body))


def _height_after(reader: Reader, height: int) -> int:
    row = reader.connection.execute(
        f"SELECT max(height) FROM (SELECT height FROM seals WHERE height>? "
        f"ORDER BY height LIMIT {SEALS})",
        (height,),
    ).fetchone()
    return height if row[0] is None else int(row[0])


def _seals(reader: Reader) -> int:
    (count,) = reader.connection.execute("SELECT count(*) FROM seals").fetchone()
    return int(count)


def _place(reader: Reader) -> int:
    try:
        body = read_setting(reader.connection, reader.path, _PLACE)
    except LedgerError:
        return -1
    return -1 if body is None else int(cbor.decode(body))
