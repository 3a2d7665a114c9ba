"""Blobs that may be needed soon are fetched while nothing else is, and never twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from buildnet.mesh.digest import Digest


@dataclass(slots=True, eq=False)
class _Current:
    """What is fetched ahead now; ``joined``: somebody needs it by now, and waits for it."""

    blobs: frozenset[Digest]
    task: asyncio.Future[None]
    joined: bool = False


class Ahead:
    """See the module's text. For the event loop's thread."""

    def __init__(self) -> None:
        self._needed = 0
        self._free = asyncio.Event()
        self._free.set()
        self._current: _Current | None = None

    @asynccontextmanager
    async def first(self, blobs: Collection[Digest]) -> AsyncIterator[None]:
        """Fetch blobs that are needed now, within the context. What is under way ahead is waited
        for if it brings any of them, else it is interrupted."""
        self._needed += 1
        self._free.clear()
        try:
            current = self._current
            if current is not None and not current.blobs.isdisjoint(blobs):
                current.joined = True
                await asyncio.wait((current.task,))
            else:
                self.interrupt()
            yield
        finally:
            self._needed -= 1
            if not self._needed:
                self._free.set()

    def interrupt(self) -> None:
        """Fetch no more what nobody needs yet."""
        if self._current is not None and not self._current.joined:
            self._current.task.cancel()

    async def fetch(self, blobs: Collection[Digest], work: Callable[[], Awaitable[None]]) -> bool:
        """Fetch blobs by ``work`` once nothing is needed; for one at a time. Return whether it came
        to its end; False: it was interrupted.

        Raises:
            BaseException: what ``work`` raises.
        """
        await self._free.wait()
        task = asyncio.ensure_future(work())
        self._current = _Current(frozenset(blobs), task)
        try:
            await asyncio.wait((task,))
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
            self._current = None
        if task.cancelled():
            return False
        task.result()
        return True
