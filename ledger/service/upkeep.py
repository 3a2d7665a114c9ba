"""What a node does for its ledger's file by itself: reads it again and again, has what is damaged
fetched from peers, and forgets what is older than the owner wants to keep."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from buildnet.ledger.entry import Entry
from buildnet.ledger.seal import Seal
from buildnet.ledger.service.damage import DamageRecord
from buildnet.ledger.service.settings import DAY_S, LedgerSettings
from buildnet.ledger.store.errors import LedgerError
from buildnet.ledger.store.pruning import pruned_to
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import place_of
from buildnet.ledger.store.scrubbing import Pass, Scrubber, Verify
from buildnet.ledger.store.sealing import mend_seal, rebuild
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.writer import Writer

AGAIN_S = 60.0
"""After a failure, such as a full disk."""
FIRST_PRUNE_S = 600.0
"""After a start: peers come first."""
PRUNE_EACH_S = DAY_S
MAX_SEALS = 1000
"""Damaged seals that are remembered at once."""
_log = logging.getLogger("buildnet.ledger")


class Upkeep:
    """The upkeep of one ledger. ``fetch(heights)`` has damaged seals fetched: :meth:`mend`."""

    def __init__(
        self,
        store: LedgerStore,
        verify: Verify,
        settings: LedgerSettings,
        fetch: Callable[[tuple[int, ...]], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._fetch = fetch
        self._sleep = sleep
        self.settings = settings
        self.damage = DamageRecord(store)
        self.scrubber = Scrubber(
            store,
            verify,
            pause_s=settings.scrub_s,
            on_seal=self._seal_damaged,
            on_pass=self._scrubbed,
            sleep=sleep,
        )
        self._seals: set[int] = set()
        self._entries: list[Entry] = []
        self._turn = asyncio.Lock()

    @property
    def damaged_seals(self) -> tuple[int, ...]:
        """The heights of seals that wait for a peer's."""
        return tuple(sorted(self._seals))

    async def scrub(self) -> None:
        """Read everything again and again, until cancelled."""
        await self._for_ever(self.scrubber.run)

    async def retain(self) -> None:
        """Forget what is too old, until cancelled; nothing is, where the owner set no bound."""
        await self._for_ever(self._retain)

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except LedgerError as error:
                _log.warning("the upkeep of the ledger waits: %s", error.message)
            except Exception:
                _log.exception("a bug in the upkeep of the ledger")
            await self._sleep(AGAIN_S)

    async def _retain(self) -> None:
        keep_s = self.settings.retention_s
        pause_s = FIRST_PRUNE_S
        while True:
            await self._sleep(pause_s)
            pause_s = PRUNE_EACH_S
            if keep_s is not None:
                forgotten = await self.prune(int((time.time() - keep_s) * 1000))
                _log.info("the ledger forgot what %d entries said", forgotten)

    async def height_before(self, before_ms: int) -> int:
        """Return up to which seal a moment (milliseconds since 1970 UTC) lets entries be pruned;
        the newest seal is never among them."""

        def find(reader: Reader) -> int:
            last = reader.last_seal()
            newest = 0 if last is None else last.height - 1
            return max(0, min(newest, reader.height_at((before_ms << 16) - 1)))

        return await self._store.read(find)

    async def prune(self, before_ms: int) -> int:
        """Forget what entries sealed before a moment say; return how many were forgotten.

        Raises:
            LedgerError: an entry among them is damaged, or the disk takes nothing.
        """
        height = await self.height_before(before_ms)
        if height <= await self._store.read(pruned_to):
            return 0
        return await self._store.prune(height)

    # --- what peers bring ----------------------------------------------------------------------

    async def _scrubbed(self, found: Pass, is_whole: bool) -> None:
        if found.wrong or found.tables:
            parts = (f"{found.wrong} entries and seals", f"{found.tables} derived tables")
            count = found.wrong + found.tables
            await self.damage.found("scrub", count, " and ".join(parts), awaited=True)
        elif is_whole:
            await self.damage.clean("scrub")

    def _seal_damaged(self, height: int) -> None:
        if len(self._seals) < MAX_SEALS:
            self._seals.add(height)
        _log.warning("the seal of height %d is damaged; it is fetched from a peer", height)
        self._fetch((height,))

    async def mend(self, entries: Iterable[Entry], seals: Iterable[Seal]) -> None:
        """Put entries and final seals of a peer, which were checked, in the place of damaged ones.
        Entries that come while others are written are written together: to build the derived tables
        again takes as long for one as for many."""
        self._entries += entries
        async with self._turn:
            brought, self._entries = self._entries, []
            if brought:
                await self._store.write(partial(_put_back, entries=brought))
        for seal in seals:
            await self._store.write(partial(_mend, seal=seal))
            self._seals.discard(seal.height)
            _log.info("the seal of height %d is mended", seal.height)


def _put_back(writer: Writer, entries: list[Entry]) -> None:
    writer.take_all(entries, {})
    rebuild(writer)


def _mend(writer: Writer, seal: Seal) -> None:
    mend_seal(writer, seal)
    places = (place_of(seal.height, 0), place_of(seal.height + 1, 0))
    writer.connection.execute(
        "UPDATE seals SET earliest=min(hlc, ifnull((SELECT min(hlc) FROM entries "
        "WHERE id>=? AND id<?), hlc)) WHERE height=?",
        (*places, seal.height),
    )
