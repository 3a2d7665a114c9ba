"""Builds that outlive the node that was asked: this node as who drives, stands in, or has lost one.

The decisions are those of :mod:`buildnet.pool.durable`; what happens in the mesh is handed to them
here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from buildnet.mesh.events import LinkDown, LinkUp, Received, Stalled, Status, StatusChanged
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.durable.circle import Circle
from buildnet.node.durable.drives import FETCHING, Drives
from buildnet.node.durable.lost_builds import LostBuilds
from buildnet.node.durable.stands_in import StandsIn
from buildnet.node.durable.watching import Watching
from buildnet.node.unstopped import Unstopped
from buildnet.pool.messages.durable import (
    BuildAsk,
    BuildTold,
    DriveTold,
    FinishedTold,
    KeepAnswer,
    KeepAsk,
    KeepOver,
    WatchAsk,
    WatchOver,
    WatchTold,
)

TICK_S = 0.25
TELL_S = 3.0
"""Who drives builds says so to those that stand in, and who lost some asks, so often."""
_log = logging.getLogger("buildnet.pool")


class DurableBuilds:
    """See the module's text. :meth:`guest` is for the mesh."""

    def __init__(
        self,
        circle: Circle,
        drives: Drives,
        stands_in: StandsIn,
        lost: LostBuilds,
        watching: Watching,
    ) -> None:
        self._circle = circle
        self._drives = drives
        self._stands_in = stands_in
        self._lost = lost
        self.watching = watching
        """Builds seen from every node."""

    async def restore(self) -> None:
        """Take up again what was kept, and what was lost, when the node stopped."""
        await self._stands_in.restore()
        await self._lost.restore()

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        self._circle.cluster = cluster
        ticking = asyncio.create_task(self._tick())
        try:
            yield self
        finally:
            ticking.cancel()
            self._circle.cluster = None
            self._circle.gone.clear()
            self._drives.alone()

    def take(self, event: GuestEvent) -> None:
        """Take note of what happens, and of what others say."""
        match event:
            case LinkUp(peer):
                self._circle.gone.discard(peer)
                self._stands_in.met(peer)
                self._drives.tell(peer)
                self._lost.ask()
            case LinkDown(peer):
                self.watching.lost(peer)
            case StatusChanged(peer, Status.DEAD | Status.LEFT):
                self._circle.gone.add(peer)
                self._stands_in.gone(peer)
                self._drives.look()
            case StatusChanged(peer, Status.ALIVE):
                self._circle.gone.discard(peer)
                self._stands_in.back(peer)
            case Stalled():
                self._stands_in.stalled()
            case Received(sender, message) if self._circle.may_ask(sender):
                self._received(sender, message)

    def _received(self, sender: bytes, message: Message) -> None:
        match message:
            case KeepAsk():
                self._circle.spawn(self._stands_in.keep, sender, message)
            case KeepAnswer():
                self._drives.answered(sender, message)
            case KeepOver():
                self._stands_in.released(sender, message)
            case DriveTold():
                self._stands_in.driven(sender, message)
            case BuildAsk():
                self._stands_in.asked(sender, message)
                self._circle.spawn(self._lost.asked, sender, message)
            case BuildTold() if message.phase == FETCHING:
                self._drives.told(sender, message)
            case BuildTold():
                self._stands_in.told(sender, message)
                self._drives.told(sender, message)
                self._circle.spawn(self._lost.told, sender, message)
            case FinishedTold():
                self._stands_in.finished(sender, message)
            case WatchAsk():
                self._circle.spawn(self.watching.asked, sender, message)
            case WatchTold():
                self.watching.told(sender, message)
            case WatchOver():
                self.watching.over(sender, message)

    async def _tick(self) -> None:
        told_at, do = 0.0, Unstopped(_log).do
        while True:
            await asyncio.sleep(TICK_S)
            do(self._stands_in.tick)
            do(self._drives.look)
            now = time.monotonic()
            if now - told_at >= TELL_S:
                told_at = now
                do(self._drives.tell)
                do(self._stands_in.put_away)
                do(self._lost.ask)
                do(self._lost.look)
