"""This node as an owner: lends what its own commands do not use, and calls it back for them."""

from __future__ import annotations

import math
from collections.abc import Callable

from buildnet.mesh.digest import Digest
from buildnet.mesh.events import LinkUp, OfficeChanged, Received
from buildnet.mesh.local import Local
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.guest import GuestEvent
from buildnet.node.pool_results import may_ask
from buildnet.node.sharing.guest_work import GuestWork
from buildnet.node.workers import Workers
from buildnet.pool.leases import KEPT_S, Amount, Lease, LeaseBook
from buildnet.pool.messages.lending import (
    MAX_LEASES,
    LeaseAnswer,
    LeaseAsk,
    LeaseCancel,
    LeaseConfirm,
    LeaseGiven,
    LeaseGone,
    LeaseKeep,
    LeaseReturn,
    LeaseTold,
    LeaseWanted,
    RoomTold,
    WireAmount,
)
from buildnet.pool.messages.work import MAX_MESSAGE_BYTES, WorkAsk, WorkCancel, WorkDone
from buildnet.pool.requirements import Requirements

_PLENTY_BYTES = 1 << 60
"""Of memory or disk that is not counted."""
_EVERYTHING = Amount(_PLENTY_BYTES, _PLENTY_BYTES, _PLENTY_BYTES)
_TOLD_EVERY_S = 5.0
"""The coordinator is told so often even if nothing changed: what was told before may be lost."""
_NEW_OFFICE_S = 3.0
"""So long after it changed: who begins to coordinate may take note of that later than others."""
_MAY_NOT = "the owner of the node that builds may not build"
_LEASE_BYTES = 48
"""Of a lease as it is told, beside the name of its build."""
_TOLD_BYTES = MAX_MESSAGE_BYTES - 1024
"""Of all leases: a lease that is not told of is over for the coordinator, so no more are kept."""
_GIVEN_AGAIN_S = 4.0
"""A lease that its holder has not renewed by then it may never have heard of."""


class WorkersRoom:
    """What the node's runner has, as room for leases."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    @property
    def free(self) -> Amount:
        """What nobody has or waits for."""
        slots, memory_bytes = self._workers.free
        plenty = _PLENTY_BYTES if memory_bytes is None else memory_bytes
        disk_bytes = self._workers.free_disk_bytes
        return Amount(slots, plenty, _PLENTY_BYTES if disk_bytes is None else disk_bytes)

    @property
    def lacking(self) -> Amount:
        """What the node's own commands wait for."""
        return Amount(*self._workers.lacking)

    def take(self, key: bytes, amount: Amount) -> bool:
        """See :class:`~buildnet.pool.leases.Room`."""
        needed = Requirements(
            cores=amount.slots if amount.slots > 1 else None,
            memory_bytes=amount.memory_bytes or None,
            disk_bytes=amount.disk_bytes or None,
        )
        return self._workers.reserve(room_key(key), needed)

    def give_back(self, key: bytes) -> None:
        """See :class:`~buildnet.pool.leases.Room`."""
        self._workers.let_go(room_key(key))


def room_key(lease: bytes) -> Digest:
    """Return what a lease is called where room is reserved."""
    return Digest(lease.hex(), 0)


class Lender:
    """One node's leases to others. ``refusal``: why its owner lends nothing now, None: it lends;
    ``on_lent`` and ``on_ended`` are told of each lease that is granted, and of its end."""

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
        self._room = WorkersRoom(workers)
        self._book = LeaseBook(self._room)
        self._told: tuple[bytes, RoomTold] | None = None
        self._told_at = -math.inf
        self._office_at = -math.inf
        self.on_lent: Callable[[Lease], None] = lambda lease: None
        self.on_ended: Callable[[Lease, str], None] = lambda lease, why: None

    @property
    def leases(self) -> tuple[Lease, ...]:
        """What is lent now."""
        return self._book.leases

    def take(self, event: GuestEvent) -> None:
        """Take note of what happens, and of what others say."""
        match event:
            case OfficeChanged():
                self._office_at = self._clock()
                self._told = None
                self.tell_room()
            case LinkUp(peer):
                office = self._local.office
                if office is not None and office.coordinator == peer:
                    self._told = None
                    self.tell_room()
            case Received(sender, message):
                self._received(sender, message)

    def _received(self, sender: bytes, message: Message) -> None:
        now = self._clock()
        self._lapse(now)  # the book would do so too, and end nothing
        match message:
            case LeaseAsk():
                self._say(sender, self._answer(sender, message, now))
            case LeaseConfirm(lease):
                lent = any(each.id == lease and each.granted for each in self._book.leases)
                granted = self._book.confirm(lease, sender, now)
                if granted is not None:
                    self._give(granted)
                    if not lent:
                        self.on_lent(granted)
            case LeaseCancel(lease):
                self._book.cancel(lease, sender)
                self._told = None  # who asks counts what it asked for as taken
            case LeaseKeep(leases):
                may = may_ask(self._local.members, sender)
                for lease in leases:
                    if not may or not self._book.renew(lease, sender, now):
                        why = "it was not renewed in time" if may else _MAY_NOT
                        self._say(sender, LeaseGone(lease, why))
                return
            case LeaseReturn(lease):
                returned = self._book.release(lease, sender)
                if returned is not None:
                    self._end(returned, "it was given back")
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
        why = self._objection(sender, ask)
        if why is None:
            said = self._book.ask(
                ask.lease,
                build=ask.build,
                holder=ask.holder,
                coordinator=sender,
                term=ask.term,
                amount=ask.amount.amount,
                now=now,
                actor=ask.actor,
            )
            if isinstance(said, Lease):
                return LeaseAnswer(ask.lease, True, self._free, "")
            why = said.why
        return LeaseAnswer(ask.lease, False, self._free, why)

    def _objection(self, sender: bytes, ask: LeaseAsk) -> str | None:
        """Say why nothing is lent, whatever there is; None: nothing speaks against it."""
        office = self._local.office
        if office is None or (office.coordinator, office.counter) != (sender, ask.term):
            return "this node follows another coordinator"
        if not may_ask(self._local.members, ask.holder):
            return _MAY_NOT
        leases = self._book.leases
        told_bytes = sum(_LEASE_BYTES + len(each.build.encode()) for each in leases)
        if len(leases) >= MAX_LEASES or told_bytes > _TOLD_BYTES:
            return "this node can't keep more leases"
        return self._refusal()

    def _give(self, lease: Lease) -> None:
        self._say(lease.holder, LeaseGiven(lease.id, lease.build, WireAmount.of(lease.amount)))

    def _begin(self, sender: bytes, ask: WorkAsk) -> None:
        if self._work.does(sender, ask.work):  # asked again, over a new link
            return
        lease = self._book.held(ask.lease, sender)
        if lease is None:  # it lapsed, or was needed, which says nothing about this host
            self._say(sender, LeaseGone(ask.lease, "there is no such lease"))
            return
        why: str | None = None
        if not may_ask(self._local.members, sender):
            why = _MAY_NOT
        elif self._work.is_busy(ask.lease):
            why = "the lease is in use"
        elif not Amount(0, ask.memory_bytes, ask.disk_bytes).fits(lease.amount):
            why = "it asks for more than its lease has"
        if why is not None:
            self._say(sender, WorkDone(ask.work, why, None, None, None, (), (), ()))
            return
        self._work.start(sender, ask, room_key(ask.lease), lease.amount, lease.build)

    def tick(self, now: float) -> None:
        """Let leases lapse, and say again what may not have been heard."""
        self._lapse(now)
        for lease in self._book.leases:
            unheard = lease.granted and lease.expires == lease.since + KEPT_S
            if unheard and now - lease.since >= _GIVEN_AGAIN_S:
                self._give(lease)
        if now - self._told_at >= _TOLD_EVERY_S or now - self._office_at < _NEW_OFFICE_S:
            self._told = None
        self.room_changed()

    def _lapse(self, now: float) -> None:
        for lease in self._book.lapse(now):
            self._end(lease, "it was not renewed in time", tell=True)

    def room_changed(self) -> None:
        """Take note that the node's own commands want more or less than before, or that its owner
        lends again or does not."""
        refusal = self._refusal()
        lacking = self._room.lacking if refusal is None else _EVERYTHING
        called = self._book.call_back(lacking, self._work.is_busy, self._clock())
        for lease in called.asked:
            self._say(lease.holder, LeaseWanted(lease.id))
        for lease in called.ended:
            if lease.granted:
                self._end(lease, refusal or "its owner needs it", tell=True)
        self.tell_room()

    def _end(self, lease: Lease, why: str, *, tell: bool = False) -> None:
        """See to it that nothing goes on with a lease that the book has dropped."""
        self._work.end_lease(lease.id)
        if tell:
            self._say(lease.holder, LeaseGone(lease.id, why))
        self.on_ended(lease, why)

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
            self._told, self._told_at = told, self._clock()
            self._say(*told)

    def close(self) -> None:
        """End what runs for others; the node leaves the cluster, or stops."""
        self._work.end_all()
        for lease in self._book.lapse(math.inf):
            self._end(lease, "its owner leaves", tell=True)
