"""This node as who drives builds: borrows hosts of others for them, and has actions run there."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from buildnet.mesh.events import LinkDown, LinkUp, Received, Status, StatusChanged
from buildnet.mesh.local import Local
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.guest import GuestEvent
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.pool_results import may_ask, name_of
from buildnet.node.sharing.demands import Demands
from buildnet.node.sharing.errands import Errands, LostHostError
from buildnet.pool.demand import Want
from buildnet.pool.leases import Amount
from buildnet.pool.messages.lending import (
    LeaseGiven,
    LeaseGone,
    LeaseKeep,
    LeaseReturn,
    LeaseWanted,
)
from buildnet.pool.messages.work import WorkAsk, WorkDone
from buildnet.pool.placement import ONE_SLOT

_RETURNED = 1024
"""Leases that were given back and are remembered: their owner may tell of them again."""
MAX_BORROWED = 1024
"""Leases of one build; more are given back."""
KEEP_S = 3.0
"""Leases are renewed so often."""
_GONE = "it is gone, or does not lend any more"
IDLE_S = 1.0
"""A lease that is not used for so long goes back, unless commands wait."""


@dataclass(slots=True, eq=False)
class Borrowed:
    """A lease of ``owner``: one command at once, which has ``amount`` of it."""

    id: bytes
    owner: bytes
    build: str
    amount: Amount = ONE_SLOT
    busy: bool = False
    wanted_back: bool = False
    is_gone: bool = False
    idle_since: float = 0.0


@dataclass(slots=True)
class Borrowing:
    """What one build borrows. ``on_change`` is called when it has more or fewer leases."""

    borrower: Borrower
    build: str
    on_change: Callable[[], None]
    on_lost: Callable[[bytes, int], None] = lambda owner, left: None
    """Told of a worker that is lost, and how many are left, this node included."""
    on_tick: Callable[[float], None] = lambda now: None
    unfit: set[bytes] = field(default_factory=set)
    """Owners that could not run an action of this build."""
    leases: dict[bytes, Borrowed] = field(default_factory=dict)
    waiting: tuple[Want, ...] = ()
    """What waits for a lease."""
    kept: tuple[Want, ...] = ()
    """What is kept to the build's end, used or not."""
    waits_for_home: bool = False
    """Whether it is to be looked at again once this node has other room."""

    @property
    def members(self) -> tuple[bytes, ...]:
        """The members that may run its commands: workers with a link, but for unfit ones."""
        return self.borrower.members(self)

    def want(self, waiting: tuple[Want, ...], wants: tuple[Want, ...]) -> None:
        """Tell what commands need that wait and could run elsewhere, and what they and those that
        run there need."""
        self.waiting = waiting
        self.borrower.demand(self, wants)

    def is_wanted(self, lease: Borrowed, *, exactly: bool = False) -> bool:
        """Tell whether a lease would serve something that waits; ``exactly``: of just its
        amount."""
        return _serves(lease, self.waiting, exactly=exactly)

    def is_kept(self, lease: Borrowed) -> bool:
        """Tell whether a lease was reserved for the whole build."""
        return _serves(lease, self.kept, exactly=True)

    def close(self) -> None:
        """Give all back; the build is over."""
        self.borrower.over(self)


class Borrower:
    """One node's borrowing, for all its builds."""

    def __init__(
        self, local: Local, say: Callable[[bytes, Message], None], demands: Demands
    ) -> None:
        self._local = local
        self._say = say
        self._demands = demands
        self._builds: dict[str, Borrowing] = {}
        self._returned: deque[bytes] = deque(maxlen=_RETURNED)
        self.errands = Errands(say)

    def begin(self, build: str, on_change: Callable[[], None]) -> Borrowing:
        """Begin to borrow for a build of the queue."""
        borrowing = Borrowing(self, build, on_change)
        self._builds[build] = borrowing
        return borrowing

    def home_changed(self) -> None:
        """Have builds look again that wait for room on this node."""
        for borrowing in tuple(self._builds.values()):
            if borrowing.waits_for_home:
                borrowing.waits_for_home = False
                borrowing.on_change()

    def take(self, event: GuestEvent) -> None:
        """Take note of what happens, and of what others say."""
        match event:
            case LinkUp(peer):
                self.errands.linked(peer)
                self._changed()
            case LinkDown(peer):
                self._lost(peer)
            case StatusChanged(peer, Status.DEAD | Status.LEFT):
                self._lost(peer, for_good=True)
            case Received(sender, message):
                self._received(sender, message)

    def _received(self, sender: bytes, message: Message) -> None:
        office = self._local.office
        match message:
            case LeaseGiven(lease, build, amount):
                borrowing = self._builds.get(build)
                if (
                    borrowing is None
                    or lease in self._returned  # it was told twice
                    or not self._may_lend(sender)  # and see what commands see
                    or len(borrowing.leases) >= MAX_BORROWED
                ):
                    self._say(sender, LeaseReturn(lease))
                elif lease not in borrowing.leases:
                    borrowing.leases[lease] = Borrowed(
                        lease, sender, build, amount.amount, idle_since=time.monotonic()
                    )
                    borrowing.on_change()
            case LeaseGone(lease):
                for borrowing in list(self._builds.values()):
                    known = borrowing.leases.get(lease)
                    if known is not None and known.owner == sender:
                        self._drop(borrowing, known)
            case LeaseWanted(lease):
                by_coordinator = office is not None and office.coordinator == sender
                for borrowing in list(self._builds.values()):
                    known = borrowing.leases.get(lease)
                    if known is not None and (by_coordinator or known.owner == sender):
                        self._wanted(borrowing, known)
            case _:
                self.errands.take(sender, message)

    def name_of(self, owner: bytes) -> str:
        """Return what people call an owner."""
        return name_of(self._local.members, owner)

    # --- leases --------------------------------------------------------------------------------

    def demand(self, borrowing: Borrowing, wants: tuple[Want, ...]) -> None:
        """Tell the coordinator what a build could use elsewhere, if anything."""
        self._demands.want(borrowing.build, wants)

    def members(self, borrowing: Borrowing) -> tuple[bytes, ...]:
        """See :attr:`Borrowing.members`."""
        return tuple(peer for peer in self.lenders if peer not in borrowing.unfit)

    @property
    def lenders(self) -> tuple[bytes, ...]:
        """The members that may run commands of this node's builds: workers with a link."""
        local = self._local
        return tuple(
            peer for peer in sorted(local.links) if local.alive(peer) and self._may_lend(peer)
        )

    def give_back(self, borrowing: Borrowing, lease: Borrowed) -> None:
        """Return a lease that is not needed."""
        self._returned.append(lease.id)
        self._say(lease.owner, LeaseReturn(lease.id))
        self._drop(borrowing, lease)

    def give_back_idle(self, now: float) -> None:
        """Return what nothing has run on for a while, and nothing that waits could use."""
        for borrowing in list(self._builds.values()):
            is_held = self._demands.is_held(borrowing.build)
            for lease in list(borrowing.leases.values()):
                if lease.busy or now - lease.idle_since <= IDLE_S:
                    continue
                if is_held or not (borrowing.is_wanted(lease) or borrowing.is_kept(lease)):
                    self.give_back(borrowing, lease)

    def over(self, borrowing: Borrowing) -> None:
        """Forget a build and give back what it has."""
        self._builds.pop(borrowing.build, None)
        borrowing.on_change = lambda: None
        for lease in list(borrowing.leases.values()):
            self.give_back(borrowing, lease)

    def keep(self) -> None:
        """Renew all leases."""
        owners: dict[bytes, list[bytes]] = {}
        for borrowing in self._builds.values():
            for lease in borrowing.leases.values():
                owners.setdefault(lease.owner, []).append(lease.id)
        for owner, leases in owners.items():
            self._say(owner, LeaseKeep(tuple(leases[:1024])))

    def close(self) -> None:
        """Forget everything: the node leaves the cluster, or stops."""
        for borrowing in list(self._builds.values()):
            for lease in list(borrowing.leases.values()):
                self._drop(borrowing, lease)

    def _wanted(self, borrowing: Borrowing, lease: Borrowed) -> None:
        lease.wanted_back = True
        if not lease.busy:
            self.give_back(borrowing, lease)
        else:
            borrowing.on_change()

    def _lost(self, peer: bytes, *, for_good: bool = False) -> None:
        """Take note that a peer is gone, or that the link with it is: what it ran is lost. Who was
        of no use to a build counts for it only if it is gone."""
        for borrowing in list(self._builds.values()):
            lost = [each for each in borrowing.leases.values() if each.owner == peer]
            for lease in lost:
                self._drop(borrowing, lease)
            if lost or (for_good and self._may_lend(peer)):
                left = sum(each != peer for each in borrowing.members)
                borrowing.on_lost(peer, left + 1)
        self._changed()

    def _changed(self) -> None:
        """Let builds look again: there are other members than before."""
        for borrowing in list(self._builds.values()):
            borrowing.on_change()

    def _may_lend(self, peer: bytes) -> bool:
        """Tell whether commands may run there: a worker whose owner may build."""
        members = self._local.members
        return may_ask(members, peer) and members.members[peer].role == "worker"

    def tick(self, now: float) -> None:
        """Do what time alone brings about."""
        self.errands.tick()
        self.give_back_idle(now)
        for borrowing in list(self._builds.values()):
            borrowing.on_tick(now)

    def _drop(self, borrowing: Borrowing, lease: Borrowed) -> None:
        del borrowing.leases[lease.id]
        lease.is_gone = True
        self.errands.lost(lease.id, _GONE)
        borrowing.on_change()

    # --- work ----------------------------------------------------------------------------------

    async def run(
        self,
        lease: Borrowed,
        ask: Callable[[bytes], WorkAsk],
        on_output: Callable[[bytes], None],
        token: CancelToken,
    ) -> WorkDone:
        """Have an action run on a lease that :meth:`Borrowing.idle` gave and the caller marked as
        busy; ``ask`` makes the request from the id of the work.

        Raises:
            LostHostError: nobody knows how it went.
            WrongHostError: it said what it may not.
        """
        if lease.is_gone:  # since it was chosen: nobody would answer
            raise LostHostError(_GONE)
        return await self.errands.run(lease.owner, lease.id, ask, on_output, token)

    def end_of(self, borrowing: Borrowing, lease: Borrowed) -> None:
        """Take note that nothing runs on a lease any more."""
        lease.busy, lease.idle_since = False, time.monotonic()
        if lease.wanted_back and lease.id in borrowing.leases:
            self.give_back(borrowing, lease)


def _serves(lease: Borrowed, wants: tuple[Want, ...], *, exactly: bool) -> bool:
    return any(
        lease.owner in want.owners
        and (want.amount == lease.amount if exactly else want.amount.fits(lease.amount))
        for want in wants
    )
