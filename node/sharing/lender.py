"""This node as an owner: lends what its own commands do not use."""

from __future__ import annotations

import math
from collections.abc import Callable

from buildnet.mesh.digest import Digest
from buildnet.mesh.events import OfficeChanged, Received
from buildnet.mesh.local import Local
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.guest import GuestEvent
from buildnet.node.pool_results import may_ask
from buildnet.node.sharing.guest_work import GuestWork
from buildnet.node.workers import Workers
from buildnet.pool.leases import Amount, Lease, LeaseBook
from buildnet.pool.messages.lending import (
    LeaseAnswer,
    LeaseAsk,
    LeaseCancel,
    LeaseConfirm,
    LeaseGiven,
    LeaseGone,
    LeaseKeep,
    LeaseReturn,
    LeaseTold,
    RoomTold,
    WireAmount,
)
from buildnet.pool.messages.work import WorkAsk, WorkCancel, WorkDone
from buildnet.pool.requirements import Requirements

_PLENTY_BYTES = 1 << 60
"""Of memory or disk that is not counted."""


class WorkersRoom:
    """What the node's runner has, as room for leases."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    @property
    def free(self) -> Amount:
        """What nobody has or waits for."""
        slots, memory_bytes = self._workers.free
        plenty = _PLENTY_BYTES if memory_bytes is None else memory_bytes
        return Amount(slots, plenty, _PLENTY_BYTES)

    def take(self, key: bytes, amount: Amount) -> bool:
        """See :class:`~buildnet.pool.leases.Room`."""
        needed = Requirements(
            cores=amount.slots if amount.slots > 1 else None,
            memory_bytes=amount.memory_bytes or None,
        )
        return self._workers.reserve(room_key(key), needed)

    def give_back(self, key: bytes) -> None:
        """See :class:`~buildnet.pool.leases.Room`."""
        self._workers.let_go(room_key(key))


def room_key(lease: bytes) -> Digest:
    """Return what a lease is called where room is reserved."""
    return Digest(lease.hex(), 0)


class Lender:
    """One node's leases to others. ``refusal``: why its owner lends nothing now, None: it lends."""

    def __init__(
        self,
        local: Local,
        say: Callable[[bytes, Message], None],
        workers: Workers,
        work: GuestWork,
        refusal: Callable[[], str | None],
        clock: Callable[[], float],
    ) -> None:
        self._local = local
        self._say = say
        self._work = work
        self._refusal = refusal
        self._clock = clock
        self._book = LeaseBook(WorkersRoom(workers))
        self._told: tuple[bytes, RoomTold] | None = None

    @property
    def leases(self) -> tuple[Lease, ...]:
        """What is lent now."""
        return self._book.leases

    @property
    def deadline(self) -> float:
        """When :meth:`tick` has something to do."""
        return self._book.deadline

    def drain(self, draining: bool = True) -> None:
        """Lend nothing new, or lend again."""
        self._book.drain(draining)
        self.tell_room()

    def take(self, event: GuestEvent) -> None:
        """Take note of what happens, and of what others say."""
        match event:
            case OfficeChanged():
                self._told = None
                self.tell_room()
            case Received(sender, message):
                self._received(sender, message)

    def _received(self, sender: bytes, message: Message) -> None:
        now = self._clock()
        match message:
            case LeaseAsk():
                self._say(sender, self._answer(sender, message, now))
            case LeaseConfirm(lease):
                granted = self._book.confirm(lease, sender, now)
                if granted is not None:
                    amount = WireAmount.of(granted.amount)
                    self._say(granted.holder, LeaseGiven(lease, granted.build, amount))
            case LeaseCancel(lease):
                self._book.cancel(lease, sender)
            case LeaseKeep(leases):
                for lease in leases:
                    if not self._book.renew(lease, sender, now):
                        self._say(sender, LeaseGone(lease, "it was not renewed in time"))
                return
            case LeaseReturn(lease):
                if self._book.release(lease, sender) is not None:
                    self._work.end_lease(lease)
            case WorkAsk():
                self._begin(sender, message)
                return
            case WorkCancel(work):
                self._work.cancel(sender, work)
                return
            case _:
                return
        self.tell_room()

    def _answer(self, sender: bytes, ask: LeaseAsk, now: float) -> LeaseAnswer:
        office = self._local.office
        follows = office is not None and office.coordinator == sender and office.counter == ask.term
        why = None if follows else "this node follows another coordinator"
        if why is None and not may_ask(self._local.members, ask.holder):
            why = "the owner of the node that builds may not build"
        why = why or self._refusal()
        if why is None:
            said = self._book.ask(
                ask.lease,
                build=ask.build,
                holder=ask.holder,
                coordinator=sender,
                term=ask.term,
                amount=ask.amount.amount,
                now=now,
            )
            if isinstance(said, Lease):
                return LeaseAnswer(ask.lease, True, self._free, "")
            why = said.why
        return LeaseAnswer(ask.lease, False, self._free, why)

    def _begin(self, sender: bytes, ask: WorkAsk) -> None:
        if self._work.does(sender, ask.work):  # asked again, over a new link
            return
        lease = self._book.held(ask.lease, sender)
        if lease is None or self._work.is_busy(ask.lease):
            why = "there is no such lease" if lease is None else "the lease is in use"
            self._say(sender, WorkDone(ask.work, why, None, None, None, (), (), ()))
            return
        self._work.start(sender, ask, room_key(ask.lease))

    def tick(self, now: float) -> None:
        """Let leases lapse."""
        for lease in self._book.lapse(now):
            self._work.end_lease(lease.id)
            self._say(lease.holder, LeaseGone(lease.id, "it was not renewed in time"))
        self.tell_room()

    @property
    def _free(self) -> WireAmount:
        nothing = Amount()
        return WireAmount.of(nothing if self._refusal() is not None else self._book.free)

    def tell_room(self) -> None:
        """Tell the coordinator what is free and lent, if that is news."""
        office = self._local.office
        if office is None:
            return
        leases = tuple(
            LeaseTold(each.id, each.build, WireAmount.of(each.amount), each.granted)
            for each in self._book.leases
        )
        told = (office.coordinator, RoomTold(self._free, leases))
        if told != self._told:
            self._told = told
            self._say(*told)

    def close(self) -> None:
        """End what runs for others; the node leaves the cluster, or stops."""
        self._work.end_all()
        for lease in self._book.lapse(math.inf):
            self._say(lease.holder, LeaseGone(lease.id, "its owner leaves"))
