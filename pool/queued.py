"""What the coordinator's queue knows of builds, leases and owners, and who is due before whom.

Pure; times are seconds of a monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from buildnet.pool.demand import Demand
from buildnet.pool.leases import Amount

AGEING_S = 30.0
"""Who has nothing counts more from then on: twice after twice as long, and so on."""


class State(Enum):
    """How far a lease is."""

    ASKED = auto()
    RESERVED = auto()
    CONFIRMED = auto()
    """Its owner has not told of it yet: what it told meanwhile may be older."""
    GRANTED = auto()


PENDING = frozenset({State.ASKED, State.RESERVED})
"""Not promised to anybody yet."""


@dataclass(slots=True, eq=False)
class HeldLease:
    """What the queue knows of a lease."""

    id: bytes
    owner: bytes
    build: str
    amount: Amount
    state: State
    until: float = 0.0
    """When it is given up if nothing is heard of it until then, unless it is granted."""
    wanted_back: bool = False

    @property
    def may_come_back(self) -> bool:
        """Tell whether its holder can be asked for it."""
        return self.state is State.GRANTED and not self.wanted_back

    @property
    def size(self) -> int:
        """What it counts among shares."""
        return max(1, self.amount.slots)


@dataclass(slots=True, eq=False)
class Entry:
    """A build of the queue."""

    demand: Demand
    since: float
    """When it last had nothing, or came."""
    order: int
    leases: dict[bytes, HeldLease] = field(default_factory=dict)
    has: int = 0
    """Slots that it has; what is to be given back does not count."""
    pending: int = 0
    lacks: tuple[int, ...] = ()
    """Units that it lacks, by class; what is pending is not lacked."""
    of: dict[bytes, int] = field(default_factory=dict)
    """Which class its leases count for."""
    owners: tuple[frozenset[bytes], ...] = ()
    """By class, for looking up."""
    is_stale: bool = True
    """Whether it has to be counted anew before it is looked at."""
    promised: bytes | None = None
    """An owner of whom others were asked to give leases back, for this one."""
    gave_at: float = -math.inf
    """When it was last asked to give something back."""

    @property
    def is_hungry(self) -> bool:
        """Tell whether it would take more."""
        return not self.demand.orders.paused and any(self.lacks)

    @property
    def size(self) -> int:
        """How many slots it would have more with the least unit that it lacks."""
        units = zip(self.demand.units, self.lacks, strict=True)
        return min((max(1, want.amount.slots) for want, lack in units if lack), default=1)

    @property
    def waits_for_all(self) -> bool:
        """Tell whether it lacks some of what it needs at least."""
        return any(self.short)

    @property
    def short(self) -> tuple[int, ...]:
        """How many units it lacks of what it needs at least, by class."""
        return tuple(
            max(0, min(want.at_least, want.count) - (want.count - lack))
            for want, lack in zip(self.demand.units, self.lacks, strict=True)
        )

    def count(self) -> None:
        """Count anew what it has and lacks."""
        lacks = [want.count for want in self.demand.units]
        self.of, self.has, self.pending, self.is_stale = {}, 0, 0, False
        for lease in self.leases.values():
            if lease.wanted_back:
                continue
            if lease.state in PENDING:
                self.pending += lease.size
            else:
                self.has += lease.size
            for index, want in enumerate(self.demand.units):
                if (
                    lacks[index]
                    and lease.amount == want.amount
                    and lease.owner in self.owners[index]
                ):
                    lacks[index] -= 1
                    self.of[lease.id] = index
                    break
        self.lacks = tuple(lacks)

    def share(self, now: float, more: int = 0) -> float:
        """Return what it has for its weight, or would have with ``more`` slots."""
        return (self.has + self.pending + more) / self.weight(now)

    def weight(self, now: float) -> float:
        """Return its priority, and more if it waits long."""
        waited = 0.0 if self.has else now - self.since
        return self.demand.orders.priority * max(1.0, waited / AGEING_S)


@dataclass(slots=True)
class Actor:
    """What all builds of one have."""

    has: int = 0
    weight: float = 0.0
    turns: dict[str, Entry] = field(default_factory=dict)
    """Whose turn each build takes, where some were placed among its own."""

    def share(self, more: int = 0) -> float:
        """Return what it would have for its weight with ``more`` slots."""
        return (self.has + more) / self.weight


@dataclass(slots=True)
class Owner:
    """What an owner has."""

    told: Amount
    asked: Amount = field(default_factory=Amount)
    """What was asked for that it has not answered yet, so ``told`` may hold it still."""
    not_before: float = 0.0
    leases: dict[bytes, HeldLease] = field(default_factory=dict)

    @property
    def free(self) -> Amount:
        """What may be asked for."""
        return self.told - self.asked


def actors_of(entries: Iterable[Entry], now: float) -> dict[str, Actor]:
    """Return what each actor has, the weight of its most urgent build, and the turns of its own."""
    found: dict[str, Actor] = {}
    own: dict[tuple[str, bool], list[Entry]] = {}
    for entry in entries:
        name = entry.demand.actor
        actor = found.setdefault(name, Actor())
        actor.has += entry.has + entry.pending
        actor.weight = max(actor.weight, entry.weight(now))
        if not entry.demand.orders.ahead:  # who has all waits for no turn, so gives none away
            own.setdefault((name, any(entry.lacks)), []).append(entry)
    for (name, _), builds in own.items():
        if any(each.demand.orders.place for each in builds):
            found[name].turns |= _turns(builds, now)
    return found


def _turns(own: Sequence[Entry], now: float) -> dict[str, Entry]:
    """Return whose turn each of somebody's builds takes. They have the turns that they would have
    if none had been placed, so whoever is moved among them passes no build of anybody else."""

    def due(entry: Entry) -> tuple[int, float, int]:
        return entry.size, entry.share(now, entry.size), entry.order

    def wanted(entry: Entry) -> tuple[bool, int, tuple[int, float, int]]:
        place = entry.demand.orders.place
        return not place, place, due(entry)

    pairs = zip(sorted(own, key=wanted), sorted(own, key=due), strict=True)
    return {entry.demand.build: turn for entry, turn in pairs}


Rank = tuple[bool, int, float, float, int]


def rank(entry: Entry, actors: Mapping[str, Actor], now: float) -> Rank:
    """Return where a build stands: who is due first has the least."""
    orders, actor = entry.demand.orders, actors[entry.demand.actor]
    turn = actor.turns.get(entry.demand.build, entry)
    return (
        not orders.ahead,
        orders.place if orders.ahead else 0,
        actor.share(turn.size),
        turn.share(now, turn.size),
        turn.order,
    )


def excess(
    giver: Entry, taker: Entry, slots: int, actors: Mapping[str, Actor], now: float
) -> float:
    """Tell how much more one has for its weight than the other would have with so many slots
    more; who was placed before another one may have all of it."""
    if giver is taker:
        return 0.0
    if is_before(taker, giver):
        return math.inf
    if is_before(giver, taker):
        return 0.0
    if giver.demand.actor == taker.demand.actor:
        return giver.share(now) - taker.share(now, slots)
    return actors[giver.demand.actor].share() - actors[taker.demand.actor].share(slots)


def is_before(one: Entry, other: Entry) -> bool:
    """Tell whether people placed a build before another one."""
    first, second = one.demand.orders, other.demand.orders
    if first.ahead or second.ahead:
        return first.ahead and (not second.ahead or first.place < second.place)
    if one.demand.actor != other.demand.actor:
        return False
    return first.place > 0 and (not second.place or first.place < second.place)


def keeps(giver: Entry) -> int:
    """Return how many slots a build can't do without."""
    return sum(max(1, want.amount.slots) * want.at_least for want in giver.demand.units)


def room_for(entry: Entry, room: Mapping[bytes, Amount]) -> list[tuple[bytes, Amount]]:
    """Return owners that seem to have room for what is due, each with the amount: one unit, or all
    that the build needs at least."""
    short = entry.short
    if any(short) and (chosen := _room_for_all(entry, short, room)):
        return chosen
    for index, want in enumerate(entry.demand.units):
        if not entry.lacks[index] or (want.at_least and any(short)):
            continue
        if not entry.owners[index].isdisjoint(room):
            for owner in want.owners:
                if owner in room and want.amount.fits(room[owner]):
                    return [(owner, want.amount)]
    return []


def _room_for_all(
    entry: Entry, short: tuple[int, ...], room: Mapping[bytes, Amount]
) -> list[tuple[bytes, Amount]]:
    left, chosen = dict(room), list[tuple[bytes, Amount]]()
    for want, missing in zip(entry.demand.units, short, strict=True):
        for owner in want.owners:
            while missing and owner in left and want.amount.fits(left[owner]):
                left[owner] -= want.amount
                chosen.append((owner, want.amount))
                missing -= 1
        if missing:
            return []
    return chosen
