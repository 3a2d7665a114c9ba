"""Reads everything again and again, slowly, so that damage is found while peers still have what is
lost: SQLite does not notice a flipped bit by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from buildnet.ledger.store.database import read_setting, write_setting
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerError
from buildnet.ledger.store.folding import wrong_rows
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import COLUMNS, is_pruned
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.tables import TABLES
from buildnet.mesh import cbor

SLICE = 200
REMEMBER_EACH = 50
"""Slices after which the place is kept, so that the next start goes on there."""
_PLACE = "scrub"


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """One slice: ``after`` is where the next one goes on; None: the pass is done."""

    checked: int
    wrong: int
    after: int | None


def scrub_slice(
    reader: Reader, after: int, verify: Callable[[bytes, bytes, bytes], bool]
) -> Scrubbed:
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


def wrong_tables(reader: Reader) -> list[str]:
    """Return the derived tables that are not what was written."""
    return [one.name for one in TABLES if wrong_rows(reader.connection, one)]


class Scrubber:
    """Scrubs a store; :meth:`run` for ever. ``per_second``: entries."""

    def __init__(
        self,
        store: LedgerStore,
        verify: Callable[[bytes, bytes, bytes], bool],
        *,
        per_second: float = 500.0,
        pause_s: float = 6 * 3600.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._verify = verify
        self._per_second = per_second
        self._pause_s = pause_s
        self._sleep = sleep
        self.passes = 0
        self.wrong = 0
        """Damaged entries met since the start."""

    async def run(self) -> None:
        """Scrub until cancelled; goes on where the last run was."""
        after = await self._store.read(_place)
        while True:
            await self.scrub(after)
            after = -1
            await self._sleep(self._pause_s)

    async def scrub(self, after: int = -1) -> None:
        """Check all entries after a key, then the derived tables; those that are wrong are built
        again."""
        slices = 0
        at: int | None = after
        while at is not None:
            check = partial(scrub_slice, after=at, verify=self._verify)
            done = await self._store.read(check)
            self.wrong += done.wrong
            at = done.after
            slices += 1
            if slices % REMEMBER_EACH == 0 and at is not None:
                await self._remember(at)
            await self._sleep(done.checked / self._per_second)
        if await self._store.read(wrong_tables):
            await self._store.rebuild()
        await self._remember(-1)
        self.passes += 1

    async def _remember(self, place: int) -> None:
        body = cbor.encode(place)
        await self._store.write(lambda writer: write_setting(writer.connection, _PLACE, body))


def _place(reader: Reader) -> int:
    try:
        body = read_setting(reader.connection, reader.path, _PLACE)
    except LedgerError:
        return -1
    return -1 if body is None else int(cbor.decode(body))
