"""Leases of hosts: what builds want, what owners have, who gets what."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Key, Limit, Name, RandomId, Text, Wire
from buildnet.pool import demand
from buildnet.pool.leases import Amount

MAX_OWNERS = 512
"""Of all classes of one demand together."""
MAX_WANTS = 16
MAX_LEASES = 1024

LeaseId = RandomId
_Slots = Annotated[int, Limit(0, 4096)]


@dataclass(frozen=True, slots=True)
class WireAmount(Wire):
    """Commands at once, memory and disk (bytes)."""

    slots: _Slots
    memory_bytes: Counter
    disk_bytes: Counter

    @classmethod
    def of(cls, amount: Amount) -> WireAmount:
        """Return an amount in the form that travels; less than nothing is nothing."""
        return cls(max(0, amount.slots), max(0, amount.memory_bytes), max(0, amount.disk_bytes))

    @property
    def amount(self) -> Amount:
        """The amount."""
        return Amount(self.slots, self.memory_bytes, self.disk_bytes)


@dataclass(frozen=True, slots=True)
class LeaseTold(Wire):
    """A lease that an owner has granted, or reserved and waits to be told to grant."""

    lease: LeaseId
    build: Name
    amount: WireAmount
    granted: bool


@dataclass(frozen=True, slots=True)
class WireWant(Wire):
    """``count`` times ``amount`` of these owners, the best first; of no use are fewer than
    ``at_least``."""

    amount: WireAmount
    count: Annotated[int, Limit(0, 4096)]
    owners: Annotated[tuple[Key, ...], Limit(0, MAX_OWNERS)]
    at_least: Annotated[int, Limit(0, 4096)]

    def __post_init__(self) -> None:
        if not self.amount.slots:  # room for any number of them would be everywhere
            raise ValueError("a unit of no slots")

    @classmethod
    def of(cls, want: demand.Want) -> WireWant:
        """Return a want in the form that travels."""
        return cls(WireAmount.of(want.amount), want.count, want.owners, want.at_least)

    @property
    def want(self) -> demand.Want:
        """The want."""
        return demand.Want(self.amount.amount, self.count, self.owners, self.at_least)


@dataclass(frozen=True, slots=True)
class WireOrders(Wire):
    """What people said of a build: its weight, whether it is paused, its place (0: none), and
    whether that is one among all builds."""

    priority: Annotated[int, Limit(1, 100)]
    paused: bool
    place: Counter
    ahead: bool

    def __post_init__(self) -> None:
        if self.priority not in set(demand.Priority):
            raise ValueError("no priority")

    @classmethod
    def of(cls, orders: demand.Orders) -> WireOrders:
        """Return orders in the form that travels."""
        return cls(int(orders.priority), orders.paused, orders.place, orders.ahead)

    @property
    def orders(self) -> demand.Orders:
        """The orders."""
        priority = demand.Priority(self.priority)
        return demand.Orders(priority, self.paused, self.place, self.ahead)


@dataclass(frozen=True, slots=True)
class WireHowFar(Wire):
    """How far a build is: when it was asked for (milliseconds since 1970), commands that run, on
    how many hosts, how long the rest takes one after the other, and when it ends, from now."""

    workspace: Annotated[str, Limit(0, 128)]
    asked_ms: Counter
    running: Annotated[int, Limit(0, 65536)]
    hosts: Annotated[int, Limit(0, 65536)]
    left_ms: Counter | None
    ends_ms: Counter | None
    waits_for: Annotated[str, Limit(0, 128)] | None

    @classmethod
    def of(cls, far: demand.HowFar) -> WireHowFar:
        """Return it in the form that travels; what is too long is cut off."""
        return cls(
            far.workspace[:128],
            far.asked_ms,
            min(far.running, 65536),
            min(far.hosts, 65536),
            far.left_ms,
            far.ends_ms,
            None if far.waits_for is None else far.waits_for[:128],
        )

    @property
    def how_far(self) -> demand.HowFar:
        """It, as the queue keeps it."""
        return demand.HowFar(
            self.workspace,
            self.asked_ms,
            self.running,
            self.hosts,
            self.left_ms,
            self.ends_ms,
            self.waits_for,
        )


@message(
    122,
    priority=Priority.OTHER,
    sender="a node that drives a build, when it wants more or less or is further",
    receiver="the coordinator",
    effect="gives it leases as they come free and its turn comes",
)
@dataclass(frozen=True, slots=True)
class DemandTold(Message):
    """A build could use this of other hosts; a lease counts for the first of the wants that it
    fits."""

    build: Name
    actor: Annotated[str, Limit(0, 128)]
    wants: Annotated[tuple[WireWant, ...], Limit(0, MAX_WANTS)]
    orders: WireOrders
    how_far: WireHowFar

    def __post_init__(self) -> None:
        if sum(len(want.owners) for want in self.wants) > MAX_OWNERS:
            raise ValueError("too many owners")

    def supersedes(self) -> Hashable | None:
        """What it wanted before does not matter any more."""
        return type(self), self.build


@message(
    123,
    priority=Priority.OTHER,
    sender="a node that drives a build, once that is over",
    receiver="the coordinator",
    effect="takes it out of the queue",
)
@dataclass(frozen=True, slots=True)
class DemandOver(Message):
    """A build wants nothing any more."""

    build: Name


@message(
    124,
    priority=Priority.OTHER,
    sender="an owner, when that changes, and to each new coordinator",
    receiver="the coordinator",
    effect="asks it for leases that fit; takes over those that an earlier coordinator gave",
)
@dataclass(frozen=True, slots=True)
class RoomTold(Message):
    """What the sender has free for builds of others, and what it has granted and reserved."""

    free: WireAmount
    leases: Annotated[tuple[LeaseTold, ...], Limit(0, MAX_LEASES)]

    def supersedes(self) -> Hashable | None:
        """What it had before does not matter any more."""
        return (type(self),)


@message(
    125,
    priority=Priority.OTHER,
    sender="the coordinator",
    receiver="an owner",
    effect="keeps that much free for two seconds, or refuses; answers with LeaseAnswer",
)
@dataclass(frozen=True, slots=True)
class LeaseAsk(Message):
    """Reserve something for a build that ``holder`` drives; ``actor``: who asked for it."""

    lease: LeaseId
    term: Counter
    build: Name
    holder: Key
    amount: WireAmount
    actor: Annotated[str, Limit(0, 128)]


@message(
    126,
    priority=Priority.OTHER,
    sender="an owner",
    receiver="the coordinator that asked",
    effect="confirms or cancels what was reserved",
)
@dataclass(frozen=True, slots=True)
class LeaseAnswer(Message):
    """It is reserved, or not, and ``why``; ``free`` is what is left."""

    lease: LeaseId
    reserved: bool
    free: WireAmount
    why: Text


@message(
    127,
    priority=Priority.OTHER,
    sender="the coordinator that reserved it",
    receiver="an owner",
    effect="grants the lease and tells its holder by LeaseGiven",
)
@dataclass(frozen=True, slots=True)
class LeaseConfirm(Message):
    """The build gets what was reserved."""

    lease: LeaseId


@message(
    128,
    priority=Priority.OTHER,
    sender="the coordinator that reserved it",
    receiver="an owner",
    effect="lets go of what was reserved",
)
@dataclass(frozen=True, slots=True)
class LeaseCancel(Message):
    """What was reserved is not needed."""

    lease: LeaseId


@message(
    129,
    priority=Priority.OTHER,
    sender="an owner",
    receiver="the holder of a lease",
    effect="may run that much there; keeps the lease by LeaseKeep",
)
@dataclass(frozen=True, slots=True)
class LeaseGiven(Message):
    """The receiver's build may use that much of the sender's host."""

    lease: LeaseId
    build: Name
    amount: WireAmount


@message(
    130,
    priority=Priority.OTHER,
    sender="the coordinator, or the lease's owner",
    receiver="the holder of a lease",
    effect="gives it back once no command runs on it",
)
@dataclass(frozen=True, slots=True)
class LeaseWanted(Message):
    """Others have less for their weight, or its owner's own commands wait: give it back soon."""

    lease: LeaseId


@message(
    131,
    priority=Priority.PROBE,
    sender="the holder of leases, every few seconds",
    receiver="their owner",
    effect="keeps them; answers with LeaseGone for those that it does not know",
)
@dataclass(frozen=True, slots=True)
class LeaseKeep(Message):
    """The sender still drives the builds of these leases."""

    leases: Annotated[tuple[LeaseId, ...], Limit(1, MAX_LEASES)]


@message(
    132,
    priority=Priority.OTHER,
    sender="the holder of a lease",
    receiver="its owner",
    effect="ends what runs on it and gives it to others",
)
@dataclass(frozen=True, slots=True)
class LeaseReturn(Message):
    """The lease is not needed any more."""

    lease: LeaseId


@message(
    133,
    priority=Priority.OTHER,
    sender="an owner",
    receiver="the holder of a lease",
    effect="runs nothing there any more; what ran there runs elsewhere",
)
@dataclass(frozen=True, slots=True)
class LeaseGone(Message):
    """The lease does not hold any more."""

    lease: LeaseId
    why: Text
