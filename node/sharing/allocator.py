"""This node as the coordinator: its queue, fed by what builds want and owners have."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from buildnet.mesh.events import LinkDown, OfficeChanged, Received, Status, StatusChanged
from buildnet.mesh.local import Local
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.guest import GuestEvent
from buildnet.node.pool_results import may_ask
from buildnet.pool.demand import Demand
from buildnet.pool.messages.lending import (
    DemandOver,
    DemandTold,
    LeaseAnswer,
    LeaseAsk,
    LeaseCancel,
    LeaseConfirm,
    LeaseWanted,
    RoomTold,
    WireAmount,
)
from buildnet.pool.queue import (
    AskBack,
    AskLease,
    CancelLease,
    ConfirmLease,
    Queue,
)

TICK_S = 0.5
DECIDES_AFTER_S = 0.005
"""What is told within this is looked at together."""
SILENT_S = 20.0
"""A build that its driver has not told of for so long is over: that it was told may be lost."""
MAX_BUILDS = 256
"""Builds of one driver that the queue takes in; others run on their own node."""


def _new_id() -> bytes:
    return os.urandom(16)


class Allocator:
    """The queue while this node coordinates; without office it does nothing."""

    def __init__(
        self, local: Local, say: Callable[[bytes, Message], None], clock: Callable[[], float]
    ) -> None:
        self._local = local
        self._say = say
        self._clock = clock
        self.queue: Queue | None = None
        """None: another node coordinates."""
        self._term = 0
        self._drivers: dict[str, bytes] = {}
        self._heard: dict[str, float] = {}
        self._deciding: asyncio.TimerHandle | None = None

    def pause(self, paused: bool) -> None:
        """Give nobody anything, or give again."""
        if self.queue is not None:
            self.queue.paused = paused
            self._decide_soon()

    def demanded(self, demand: Demand) -> None:
        """Take note of what a build is to do from now on, before its driver tells it."""
        if self.queue is not None:
            self.queue.demanded(demand, self._clock())
            self._decide_soon()

    def take(self, event: GuestEvent) -> None:
        """Take note of what happens, and of what others say."""
        match event:
            case OfficeChanged(office):
                mine = office is not None and office.coordinator == self._local.key
                if office is None or not mine:
                    self.queue = None
                elif self.queue is None or office.counter != self._term:
                    self.queue, self._term = Queue(_new_id), office.counter
                    self._drivers, self._heard = {}, {}
            case LinkDown(peer) | StatusChanged(peer, Status.DEAD | Status.LEFT):
                self._gone(peer)
            case Received(sender, message) if self.queue is not None:
                self._received(self.queue, sender, message)

    def _received(self, queue: Queue, sender: bytes, message: Message) -> None:
        now = self._clock()
        match message:
            case DemandTold() if may_ask(self._local.members, sender):
                if not self._is_of(message.build, sender):
                    return
                self._heard[message.build] = now
                queue.demanded(_demand(sender, message), now)
            case DemandOver(build) if self._drivers.get(build) == sender:
                self._ended(queue, build)
            case RoomTold(free, leases):
                told = {
                    each.lease: (each.build, each.amount.amount) for each in leases if each.granted
                }
                reserved = {each.lease for each in leases if not each.granted}
                queue.owner_told(sender, free.amount, told, now, reserved)
            case LeaseAnswer(lease, True, free):
                queue.reserved(lease, sender, free.amount, now)
            case LeaseAnswer(lease, False, free):
                queue.refused(lease, sender, free.amount, now)
            case _:
                return
        self._decide_soon()

    def _is_of(self, build: str, driver: bytes) -> bool:
        """Tell whether a driver may speak of a build: it was the first to, and has few enough."""
        known = self._drivers.get(build)
        if known is None:
            if sum(each == driver for each in self._drivers.values()) >= MAX_BUILDS:
                return False
            self._drivers[build] = known = driver
        return known == driver

    def _gone(self, peer: bytes) -> None:
        if self.queue is None:
            return
        self.queue.owner_gone(peer)
        for build in [build for build, driver in self._drivers.items() if driver == peer]:
            self._ended(self.queue, build)
        self._decide_soon()

    def _ended(self, queue: Queue, build: str) -> None:
        del self._drivers[build]
        self._heard.pop(build, None)
        queue.ended(build)

    def tick(self, now: float) -> None:
        """Look again: questions lapse, and who waits grows older."""
        if self.queue is None:
            return
        for build in [each for each, at in self._heard.items() if now - at >= SILENT_S]:
            self._ended(self.queue, build)
        self.queue.tick(now)
        self._decide()

    def close(self) -> None:
        """Decide nothing more."""
        self.queue = None

    def _decide_soon(self) -> None:
        if self._deciding is None:
            loop = asyncio.get_running_loop()
            self._deciding = loop.call_later(DECIDES_AFTER_S, self._decide)

    def _decide(self) -> None:
        if self._deciding is not None:
            self._deciding.cancel()
            self._deciding = None
        for effect in [] if self.queue is None else self.queue.decide(self._clock()):
            match effect:
                case AskLease(owner, lease, build, driver, amount, actor):
                    wire = WireAmount.of(amount)
                    self._say(owner, LeaseAsk(lease, self._term, build, driver, wire, actor))
                case ConfirmLease(owner, lease):
                    self._say(owner, LeaseConfirm(lease))
                case CancelLease(owner, lease):
                    self._say(owner, LeaseCancel(lease))
                case AskBack(driver, lease):
                    self._say(driver, LeaseWanted(lease))


def _demand(driver: bytes, told: DemandTold) -> Demand:
    return Demand(
        build=told.build,
        driver=driver,
        actor=told.actor,
        units=tuple(each.want for each in told.wants),
        orders=told.orders.orders,
        how_far=told.how_far.how_far,
    )
