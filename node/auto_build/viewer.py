"""Somebody who looks on while a workspace is watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from buildnet.node.build_lines import line, lines_of
from buildnet.node.running import RunningBuild

Event = dict[str, Any]

MOST_WAITING = 1_000
"""So many events wait for one who does not read them; then he is told no more."""


class Viewer:
    """Takes events, and builds whose events follow in their place. For the event loop's thread."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Event | RunningBuild | None] = asyncio.Queue()
        self._over = False

    def tell(self, item: Event | RunningBuild) -> None:
        """Tell something after all that was told before."""
        if self._waiting.qsize() >= MOST_WAITING:
            self.close()
        if not self._over:
            self._waiting.put_nowait(item)

    def close(self) -> None:
        """End the stream after what was told."""
        if not self._over:
            self._over = True
            self._waiting.put_nowait(None)

    async def lines(self, *, every: bool) -> AsyncIterator[bytes]:
        """Yield what is told as lines of JSON; ``every``: reports have each package, else those
        that do not stand as before."""
        while (item := await self._waiting.get()) is not None:
            if isinstance(item, RunningBuild):
                async for lines in lines_of(item, every=every):
                    yield lines
            else:
                yield line(item)
