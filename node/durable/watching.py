"""Builds seen from every node: who drives one sends its events to whoever watches."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from buildnet.ledger.history import History
from buildnet.mesh.errors import NotFoundError
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.build_lines import last_line, line, lines_of, until
from buildnet.node.builder import Builder
from buildnet.node.durable.circle import Circle
from buildnet.node.durable.waiting import Waiting
from buildnet.node.running import BUILD_FINISHED, TOLD_NO_MORE, RunningBuild
from buildnet.pool.messages.durable import (
    KEPT,
    MAX_WATCHED_BYTES,
    WatchAsk,
    WatchOver,
    WatchTold,
)

ANSWER_S = 2.0
"""So long the others may take to say whether they have a build."""
SEARCH_S = 60.0
"""So long the one is looked for that goes on where the sender of a build's events was lost."""
AGAIN_S = 1.0
MAX_WATCHED = 64
"""Builds that others watch here at once."""
_log = logging.getLogger("buildnet.pool")


class _SlowReaderError(Exception):
    """Who watches reads less than is sent, or what is sent never makes a line; in words."""


@dataclass(slots=True, eq=False)
class _Watch:
    """One question. ``source``: who sends the events; ``silent``: who has not answered yet;
    ``is_kept``: somebody could go on with the build should the one who drives it be lost;
    ``slow``: why no more is told, None: it is."""

    silent: set[bytes]
    source: bytes | None = None
    is_kept: bool = False
    slow: str | None = None
    parts: asyncio.Queue[WatchTold | None] = field(default_factory=asyncio.Queue)

    def drop(self, why: str) -> None:
        """Tell no more; what waits goes at once, for whoever is to read it may never do so."""
        self.slow = why
        while not self.parts.empty():
            self.parts.get_nowait()
        self.parts.put_nowait(None)

    def settle(self) -> None:
        if not self.silent and self.source is None:
            self.parts.put_nowait(None)


@dataclass(frozen=True, slots=True, eq=False)
class _Watcher:
    """A ``node`` that watches a build here; ``enough`` is set once it has seen enough, or is
    gone."""

    node: bytes
    enough: asyncio.Event = field(default_factory=asyncio.Event)


class Watching:
    """See the module's text; this node as who watches, and as who is watched. ``keeps`` tells
    whether this node stands in for a build with that id, or one that begins so."""

    def __init__(
        self, circle: Circle, builder: Builder, history: History, keeps: Callable[[str], bool]
    ) -> None:
        self._circle = circle
        self._keeps = keeps
        self._builder = builder
        self._history = history
        self._watches: dict[bytes, _Watch] = {}
        self._waiting = Waiting()
        self._watchers: dict[bytes, _Watcher] = {}

    # --- watching ------------------------------------------------------------------------------

    async def open(self, build: str) -> AsyncIterator[bytes]:
        """Return the events of a build that another node drives, or drove: whole lines of JSON.
        Where that node is lost, before or meanwhile, those of who goes on follow.

        Raises:
            NotFoundError: neither this node nor any that it is linked with knows it.
            NotAllowedError: this node may not see builds of others.
        """
        lines = self._lines(build)
        first = await anext(lines, None)
        if first is None and self._circle.only_looks:
            raise NotAllowedError(
                "this node may only look at the pool: it does not see builds of others",
                hint="ask on the node that was asked for it, or on one that may build",
            )
        if first is None:
            raise NotFoundError(
                f"no build {build!r} runs in the pool", hint="buildnet history lists earlier builds"
            )
        return _chained(first, lines)

    async def _lines(self, build: str) -> AsyncIterator[bytes]:
        found, searched_s = False, 0.0
        while searched_s < SEARCH_S:
            links = () if self._circle.cluster is None else self._circle.cluster.local.links
            watch = _Watch(set(links), is_kept=self._keeps(build))
            try:
                here = self._builder.find(build)  # this node may have gone on with it
                told = self._once(build, watch) if here is None or here.handed_over else _own(here)
                async for lines in told:
                    yield lines
                    found, searched_s = True, 0.0
                    if _is_last(lines):
                        return
            except _SlowReaderError as slow:
                _log.warning("the events of build %s are not read as they come: %s", build, slow)
                yield line({"type": TOLD_NO_MORE, "why": f"it was not read as it came: {slow}"})
                return
            if not (found or watch.is_kept):
                return
            if not searched_s:
                yield line({"type": "waiting", "for": "the node that goes on with the build"})
            await asyncio.sleep(AGAIN_S)
            searched_s += AGAIN_S

    async def _once(self, build: str, watch: _Watch) -> AsyncIterator[bytes]:
        """Yield what one node tells of a build, up to its end or to the loss of that node."""
        if self._circle.cluster is None:
            return
        number = os.urandom(16)
        self._watches[number] = watch
        self._circle.say_all(WatchAsk(number, build))
        rest = b""
        try:
            while True:
                wait_s = ANSWER_S if watch.source is None else None
                part = await asyncio.wait_for(watch.parts.get(), wait_s)
                if watch.slow is not None:
                    raise _SlowReaderError(watch.slow)
                if part is None:
                    return
                whole, newline, rest = (rest + part.data).rpartition(b"\n")
                if newline:
                    yield whole + newline
                    self._waiting.read(number, len(whole) + 1)
                if part.last:
                    return
        except TimeoutError:
            return
        finally:
            del self._watches[number]
            self._waiting.forget(number)
            if watch.source is not None:
                self._circle.say(watch.source, WatchOver(number))

    def told(self, sender: bytes, part: WatchTold) -> None:
        """Take in a part of a build's events."""
        watch = self._watches.get(part.watch)
        if watch is None:
            if part.known and not part.last:
                self._circle.say(sender, WatchOver(part.watch))
            return
        watch.silent.discard(sender)
        if not part.known and part.data == KEPT:
            watch.is_kept = True
        if part.known and watch.source is None:
            watch.source = sender
        if watch.source == sender:
            self._take(watch, part)
        elif part.known:
            self._circle.say(sender, WatchOver(part.watch))
        else:
            watch.settle()

    def _take(self, watch: _Watch, part: WatchTold) -> None:
        if watch.slow is not None:
            return
        watch.parts.put_nowait(part if part.known else None)
        for number, why in self._waiting.add(part.watch, len(part.data)).items():
            slow = self._watches[number]
            slow.drop(why)
            if slow.source is not None:
                self._circle.say(slow.source, WatchOver(number))

    def lost(self, peer: bytes) -> None:
        """Take note that a node is gone."""
        for watch in self._watches.values():
            watch.silent.discard(peer)
            if watch.source == peer:
                watch.parts.put_nowait(None)
            else:
                watch.settle()
        for watcher in self._watchers.values():
            if watcher.node == peer:
                watcher.enough.set()

    # --- being watched -------------------------------------------------------------------------

    async def asked(self, sender: bytes, ask: WatchAsk) -> None:
        """Send a build's events to another node until they end or it has seen enough."""
        build = self._builder.find(ask.build)
        if len(self._watchers) >= MAX_WATCHED or ask.watch in self._watchers:
            build = None
        elif build is None and (recorded := await self._recorded(ask.build)) is not None:
            await self._send(sender, ask.watch, recorded, last=True)
            return
        if build is None or build.handed_over:
            data = KEPT if self._keeps(ask.build) else b""
            self._circle.say(sender, WatchTold(ask.watch, data, False, True))
            return
        watcher = self._watchers[ask.watch] = _Watcher(sender)
        try:
            async for lines in until(watcher.enough, lines_of(build)):
                if self._circle.cluster is None:
                    return
                if build.handed_over:  # its end is another node's to tell
                    self._circle.say(sender, WatchTold(ask.watch, b"", False, True))
                    return
                await self._send(sender, ask.watch, lines, last=_is_last(lines))
        finally:
            del self._watchers[ask.watch]

    def over(self, sender: bytes, ask: WatchOver) -> None:
        """Take in that a node has seen enough."""
        watcher = self._watchers.get(ask.watch)
        if watcher is not None and watcher.node == sender:
            watcher.enough.set()

    async def _recorded(self, prefix: str) -> bytes | None:
        """Return the last event of a build that was over before somebody wanted to see it."""
        try:
            build = await self._history.build(prefix)
        except NotFoundError:
            return None
        return None if build.status == "running" else last_line(build)

    async def _send(self, to: bytes, watch: bytes, data: bytes, *, last: bool) -> None:
        pieces = [
            data[start : start + MAX_WATCHED_BYTES]
            for start in range(0, len(data), MAX_WATCHED_BYTES)
        ] or [b""]
        for number, piece in enumerate(pieces, 1):
            self._circle.say(to, WatchTold(watch, piece, True, last and number == len(pieces)))
            if self._circle.cluster is not None:
                await self._circle.cluster.drained(to)


async def _own(build: RunningBuild) -> AsyncIterator[bytes]:
    """Yield the events of a build that this node drives, as long as it does."""
    async for lines in lines_of(build):
        if build.handed_over:  # its end is another node's to tell
            return
        yield lines


def _is_last(lines: bytes) -> bool:
    last = lines.rstrip(b"\n").rpartition(b"\n")[2]
    return last.startswith(b'{"type": "' + BUILD_FINISHED.encode())


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for each in rest:
        yield each
