"""The events of a node: runs the sources that somebody wants to hear of, and serves readers.

Where nobody listens nothing is looked at. A source goes on for a while after its last reader, so
that who lost a connection can go on after its last cursor.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from buildnet.mesh.errors import BuildNetError, StoppingError
from buildnet.node.events.channel import Channel, Wanted
from buildnet.node.events.event import Event
from buildnet.node.events.hub import Hub, Opening
from buildnet.node.events.joined import Joiner
from buildnet.node.events.reader import Reader

LINGER_S = 60.0
READY_S = 3.0
TICK_S = 0.05
AGAIN_S = 1.0
MOST_AT_ONCE = 64 << 10
"""About so many characters are handed to a reader at once."""
MOST_READERS = 4096
MOST_EACH = 256
"""WebSockets of one key or session, and of one node's owner as many as there is room for."""
_log = logging.getLogger("buildnet.node")


class TooManyReadersError(BuildNetError):
    """As many as this node can serve are told events already."""

    code = "TOO_MANY_READERS"
    http_status = 503


Ready = Callable[[Channel], None]


class Source(Protocol):
    """Feeds the hub with what happens on some channels."""

    channels: frozenset[Channel]

    async def run(self, ready: Ready) -> None:
        """Feed until it is cancelled; says of each channel once all is told that there is by now,
        and nothing that follows will be missed."""


@dataclass(slots=True)
class _Running:
    source: Source
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Subscription:
    """One reader's events. ``opening`` is what it is told first."""

    opening: Opening
    reader: Reader
    news: asyncio.Event

    @property
    def over(self) -> str | None:
        """Why there are no more; None: there may be."""
        return self.reader.over

    async def next(self, wait_s: float) -> list[Event]:
        """Return the next events; none if there were none for so long, or they are :attr:`over`."""
        batch = self.reader.take(MOST_AT_ONCE)
        if batch or self.over is not None:
            return batch
        self.news.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self.news.wait()
        except TimeoutError:
            pass
        return self.reader.take(MOST_AT_ONCE)


class Events:
    """See the module's text. Works within :meth:`running`."""

    def __init__(self) -> None:
        self.hub = Hub(secrets.token_hex(4))
        self.message = Joiner().message
        self._sources: list[_Running] = []
        self._ready = {channel: asyncio.Event() for channel in Channel}
        self._wanted_at: dict[Channel, float] = {}
        self._group: asyncio.TaskGroup | None = None
        self._seats: Counter[str] = Counter()

    @asynccontextmanager
    async def running(self, sources: Sequence[Source]) -> AsyncIterator[None]:
        """Serve readers until the context ends; then they are told that the node stops."""
        self._sources = [_Running(source) for source in sources]
        async with asyncio.TaskGroup() as group:
            self._group = group
            keeping = group.create_task(self._keep())
            try:
                yield
            finally:
                self._group = None
                keeping.cancel()
                for each in self._sources:
                    self._stop(each)
                self.hub.end_readers("the node stops")

    @contextmanager
    def seat(self, credential: str) -> Iterator[None]:
        """Count a WebSocket of a key or session ("": of the owner) while the context is open.

        Raises:
            TooManyReadersError: there is no room for another one.
        """
        most = MOST_EACH if credential else MOST_READERS
        if self._seats[credential] >= most or self._seats.total() >= MOST_READERS:
            raise TooManyReadersError(
                f"{self._seats[credential]} WebSockets are open already", hint="close some of them"
            )
        self._seats[credential] += 1
        try:
            yield
        finally:
            self._seats[credential] -= 1
            if not self._seats[credential]:
                del self._seats[credential]

    @asynccontextmanager
    async def open(self, wanted: Wanted, cursor: str | None) -> AsyncIterator[Subscription]:
        """Subscribe, for as long as the context is open.

        Raises:
            StoppingError: the node stops, or has only begun.
            TooManyReadersError: there is no room for another one.
        """
        if self.hub.readers >= MOST_READERS:
            raise TooManyReadersError(
                f"{MOST_READERS} readers are told events here already",
                hint="ask another node of the cluster: each tells of all",
            )
        await self._make_live(wanted.channels)
        news = asyncio.Event()
        reader, opening = self.hub.subscribe(wanted, cursor, news.set, time.time())
        try:
            yield Subscription(opening, reader, news)
        finally:
            self.hub.leave(reader)
            self._note_wanted(wanted.channels)

    async def _make_live(self, channels: frozenset[Channel]) -> None:
        if self._group is None:
            raise StoppingError("the node tells no events now", hint="try again in a moment")
        self._note_wanted(channels)
        for each in self._sources:
            if each.task is None and each.source.channels & channels:
                each.task = self._group.create_task(self._feed(each))
        with suppress(TimeoutError):  # the keeper lets a channel begin once it is ready
            async with asyncio.timeout(READY_S):
                for channel in channels:
                    await self._ready[channel].wait()
        self._begin(channels)

    def _note_wanted(self, channels: frozenset[Channel]) -> None:
        for channel in channels:
            self._wanted_at[channel] = time.monotonic()

    def _begin(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            if self._ready[channel].is_set():
                self.hub.begin(channel)

    async def _feed(self, running: _Running) -> None:
        channels = running.source.channels
        while True:
            try:
                await running.source.run(lambda channel: self._ready[channel].set())
            except Exception:
                _log.exception("events of %s broke off", ", ".join(sorted(channels)))
            self.hub.end_readers("the events broke off: subscribe again", channels)
            self._forget(channels)
            await asyncio.sleep(AGAIN_S)

    async def _keep(self) -> None:
        """Tell what was gathered, and let go of what nobody wants any more."""
        while True:
            await asyncio.sleep(TICK_S if self.hub.readers else AGAIN_S)
            self.hub.tick(time.time())
            self._note_wanted(self.hub.wanted)
            self._begin(self._wanted_at)
            long_ago = time.monotonic() - LINGER_S
            for channel in [each for each, at in self._wanted_at.items() if at < long_ago]:
                del self._wanted_at[channel]
                self.hub.rest(channel)
            for each in self._sources:
                if not each.source.channels & self._wanted_at.keys():
                    self._stop(each)

    def _stop(self, running: _Running) -> None:
        if running.task is not None:
            running.task.cancel()
            running.task = None
            self._forget(running.source.channels)

    def _forget(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            self._ready[channel].clear()
            self.hub.end(channel)
