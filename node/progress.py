"""What a running build tells those who watch it.

State changes (a task started, ended) are kept, so that whoever comes late sees all of them; output
is passed on live only, and a reader too slow for it is told that some was left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

Event = dict[str, Any]
_WAITING_MAX = 1000


class Progress:
    """The events of one build. To be used on the event loop's thread alone."""

    def __init__(self) -> None:
        self._kept: list[Event] = []
        self._readers: set[_Reader] = set()
        self._over = False

    def tell(self, event: Event) -> None:
        """Pass on and keep a change of state."""
        self._kept.append(event)
        for reader in self._readers:
            reader.add(event)

    def tell_output(self, event: Event) -> None:
        """Pass on a piece of output; it is not kept."""
        for reader in self._readers:
            reader.add_output(event)

    def close(self) -> None:
        """End all streams after what was told so far; who comes later gets the last event alone,
        which tells the outcome."""
        self._over = True
        del self._kept[:-1]
        for reader in self._readers:
            reader.wake()

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[list[Event]]]:
        """Open a stream of all events from the first one on, in batches; it ends with the build."""
        reader = _Reader(list(self._kept))
        self._readers.add(reader)
        try:
            yield self._batches(reader)
        finally:
            self._readers.discard(reader)

    async def _batches(self, reader: _Reader) -> AsyncIterator[list[Event]]:
        while True:
            batch = reader.take()
            if batch:
                yield batch
            elif self._over:
                return
            else:
                await reader.wait()


class _Reader:
    def __init__(self, waiting: list[Event]) -> None:
        self._waiting = waiting
        self._outputs = 0
        self._left_out = 0
        self._news = asyncio.Event()

    def add(self, event: Event) -> None:
        self._waiting.append(event)
        self._news.set()

    def add_output(self, event: Event) -> None:
        if self._outputs >= _WAITING_MAX:
            self._left_out += 1
            return
        if self._left_out:
            self._waiting.append({"type": "output_left_out", "pieces": self._left_out})
            self._left_out = 0
        self._outputs += 1
        self.add(event)

    def wake(self) -> None:
        self._news.set()

    def take(self) -> list[Event]:
        batch, self._waiting = self._waiting, []
        self._outputs = 0
        if not batch and self._left_out:
            batch.append({"type": "output_left_out", "pieces": self._left_out})
            self._left_out = 0
        return batch

    async def wait(self) -> None:
        await self._news.wait()
        self._news.clear()
