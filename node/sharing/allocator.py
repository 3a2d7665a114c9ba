"""This node as the coordinator: its queue, fed by what builds want and owners have."""

from __future__ import annotations

import os
from collections.abc import Callable

from buildnet.mesh.events import LinkDown, OfficeChanged, Received, Status, StatusChanged
from buildnet.mesh.local import Local
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.guest import GuestEvent
from buildnet.node.pool_results import may_ask
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
    Demand,
    Effect,
    Priority,
    Queue,
    Waiting,
)

TICK_S = 0.5


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
        self._queue: Queue | None = None
        self._term = 0
        self._drivers: dict[str, bytes] = {}

    @property
    def waiting(self) -> list[Waiting]:
        """The builds of the queue, who comes next first; none where another node coordinates."""
        return [] if self._queue is None else self._queue.view(self._clock())

    def take(self, event: GuestEvent) -> None:
        """Take note of what happens, and of what others say."""
        match event:
            case OfficeChanged(office):
                mine = office is not None and office.coordinator == self._local.key
                if office is None or not mine:
                    self._queue = None
                elif self._queue is None or office.counter != self._term:
                    self._queue, self._term, self._drivers = Queue(_new_id), office.counter, {}
            case LinkDown(peer) | StatusChanged(peer, Status.DEAD | Status.LEFT):
                self._gone(peer)
            case Received(sender, message) if self._queue is not None:
                self._received(self._queue, sender, message)

    def _received(self, queue: Queue, sender: bytes, message: Message) -> None:
        now = self._clock()
        match message:
            case DemandTold() if may_ask(self._local.members, sender):
                if self._drivers.setdefault(message.build, sender) == sender:
                    self._perform(queue.demanded(_demand(sender, message), now))
            case DemandOver(build) if self._drivers.get(build) == sender:
                del self._drivers[build]
                self._perform(queue.ended(build, now))
            case RoomTold(free, leases):
                told = {
                    each.lease: (each.build, each.amount.amount) for each in leases if each.granted
                }
                reserved = {each.lease for each in leases if not each.granted}
                self._perform(queue.owner_told(sender, free.amount, told, now, reserved))
            case LeaseAnswer(lease, True):
                self._perform(queue.reserved(lease, sender, now))
            case LeaseAnswer(lease, False, free):
                self._perform(queue.refused(lease, sender, free.amount, now))

    def _gone(self, peer: bytes) -> None:
        if self._queue is None:
            return
        now = self._clock()
        self._perform(self._queue.owner_gone(peer, now))
        for build in [build for build, driver in self._drivers.items() if driver == peer]:
            del self._drivers[build]
            self._perform(self._queue.ended(build, now))

    def tick(self, now: float) -> None:
        """Look again: questions lapse, and who waits grows older."""
        if self._queue is not None:
            self._perform(self._queue.tick(now))

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case AskLease(owner, lease, demand):
                    amount = WireAmount.of(demand.unit)
                    ask = LeaseAsk(lease, self._term, demand.build, demand.driver, amount)
                    self._say(owner, ask)
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
        priority=Priority(told.priority),
        unit=told.unit.amount,
        wanted=told.wanted,
        owners=told.owners,
        at_least=told.at_least,
        work_ms=told.work_ms,
    )
