"""Writes what the core wants kept, in its order, and again until it is on disk."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from buildnet.ledger.events import Keep
from buildnet.ledger.restored import Restored
from buildnet.ledger.store.errors import ContradictionError, LedgerError, PrunedError
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.voters import VoterHistory

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
TOGETHER_S = 0.01
"""So long entries of others wait for more to be written with them, unless something hurries."""
_IN_VAIN = (ContradictionError, PrunedError)
"""What no other attempt changes. A full or read-only volume, and damage, may be put right."""
_log = logging.getLogger("buildnet.ledger")


class Keeper:
    """One node's writes for its core. ``kept(token)``: told once a write is on disk.

    While the disk takes nothing, nothing is told: what is not on disk is neither acknowledged nor
    cosigned, and the node waits with the rest of what the core has to say of it. What can never be
    written is left out: ``failed`` is told why, and the writes after it go on. No acceptance of a
    value is told any more then, since the value may rest on it: as a voter the node is silent until
    it starts again.
    """

    def __init__(
        self,
        store: LedgerStore,
        kept: Callable[[int], None],
        failed: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._store = store
        self._kept = kept
        self._failed = failed
        self._waiting: deque[Keep] = deque()
        self.left_out: str | None = None
        """Why something was left out; None: nothing was."""
        self._something = asyncio.Event()
        self._hurry = asyncio.Event()
        self._put = self._done = 0
        """How many writes were put, and how many of them are done."""
        self._progress = asyncio.Event()

    def put(self, keep: Keep) -> None:
        """Take a write; returns at once."""
        self._waiting.append(keep)
        self._put += 1
        self._something.set()
        if not _is_patient(keep):
            self._hurry.set()

    async def written(self) -> None:
        """Wait until all that was put so far is on disk."""
        last = self._put
        while self._done < last:
            await self._progress.wait()

    async def rewind(self, height: int, voters: VoterHistory) -> Restored:
        """Set final seals aside (see :meth:`LedgerStore.rewind`) once all that was put before is on
        disk: a seal that comes there later stands in the way of those that come instead.
        While the disk takes nothing, it is tried again."""
        await self.written()
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await self._store.rewind(height, voters)
            except LedgerError as error:
                _log.error("the ledger can't set seals aside: %s", error.message)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def run(self) -> None:
        """Write until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            await self._something.wait()
            self._something.clear()
            while self._waiting:
                await self._gather()
                batch = tuple(self._waiting)
                try:
                    done = await self._write(batch)
                except LedgerError as error:
                    _log.error("the ledger can't be written: %s", error.message)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                    continue
                pause_s = FIRST_PAUSE_S
                for _ in batch:
                    self._waiting.popleft()
                self._done += len(batch)
                self._progress.set()
                self._progress.clear()
                for keep in done:
                    if keep.accepted is None or self.left_out is None:
                        self._kept(keep.token)

    async def _gather(self) -> None:
        """Wait a moment for more; each transaction costs as much as many entries."""
        if not self._hurry.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(TOGETHER_S):
                    await self._hurry.wait()
        self._hurry.clear()

    async def _write(self, batch: tuple[Keep, ...]) -> tuple[Keep, ...]:
        """Write all; return what was written: what can never be is left out."""
        try:
            await self._store.keep(*batch)
        except Exception as error:
            if isinstance(error, LedgerError) and not isinstance(error, _IN_VAIN):
                raise
            if len(batch) == 1:
                why = error.message if isinstance(error, LedgerError) else repr(error)
                _log.error("not written to the ledger, for ever: %s", why, exc_info=error)
                self.left_out = why
                self._failed(why)
                return ()
            done = [await self._write((keep,)) for keep in batch]
            return tuple(keep for each in done for keep in each)
        return batch


def _is_patient(keep: Keep) -> bool:
    """Tell whether nobody waits for a write: it is of entries only, and whatever rests on them is
    written after them."""
    return keep == Keep(keep.token, entries=keep.entries)
