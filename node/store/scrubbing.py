"""Reads all blobs again and again, slowly, so that damage is found before a build waits for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from buildnet.mesh.errors import BuildNetError
from buildnet.node.store.store import Store

BYTES_PER_S = 8 << 20
"""On average: a 256th of the store is read at once, then there is a pause."""

_PAUSE_S = 1.0
_LOOK_AGAIN_S = 60.0
_log = logging.getLogger("buildnet.store")


class Scrubber:
    """Scrubs a store; :meth:`run` for ever.

    Args:
        busy: whether something is built; then nothing is read.
        interval_s: from the end of one reading of everything to the beginning of the next.
        bytes_per_s: how much is read, on average.
    """

    def __init__(
        self,
        store: Store,
        busy: Callable[[], bool],
        *,
        interval_s: float,
        bytes_per_s: float = BYTES_PER_S,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._busy = busy
        self._interval_s = interval_s
        self._bytes_per_s = bytes_per_s
        self._sleep = sleep
        self._clock = clock
        self._stopped = False

    async def run(self) -> None:
        """Read for ever, until cancelled."""
        pause_s = _LOOK_AGAIN_S  # the start of a node is not the time for it
        try:
            while True:
                await self._sleep(pause_s)
                pause_s = _LOOK_AGAIN_S
                try:
                    if not self._must_wait() and await asyncio.to_thread(self._is_due):
                        pause_s = await self._scrub()
                except (BuildNetError, OSError) as error:
                    _log.warning("stored blobs could not be checked: %s", error)
        finally:
            self._stopped = True

    def _must_wait(self) -> bool:
        return self._stopped or self._busy()

    def _is_due(self) -> bool:
        last = self._store.scrubbed()
        is_under_way = last.next_part > 0
        return is_under_way or self._clock() - (last.finished_at or 0.0) >= self._interval_s

    async def _scrub(self) -> float:
        """Check a part; return for how long to pause."""
        found = await asyncio.to_thread(self._store.scrub, self._must_wait)
        for hash in found.damaged:
            _log.warning(
                "the stored blob %s was damaged and has been dropped: check the disk", hash
            )
        return _LOOK_AGAIN_S if found.cancelled else _PAUSE_S + found.bytes / self._bytes_per_s
