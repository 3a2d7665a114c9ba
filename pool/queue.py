"""The coordinator's queue: which build may have how much of which host.

Pure; times are seconds of a monotonic clock. What builds want and what owners have free is told by
them, again to each new coordinator, so nothing here outlives the process. The queue asks owners for
leases; owners decide (:mod:`buildnet.pool.leases`).

Fairness is weighted by priority and over actors first: of two actors with work of one priority each
gets half, however many builds they have. Whoever has the least for its weight comes next; a weight
grows with the time that nothing was had, so nobody starves. A build that has more than its share is
asked to give leases back, once the commands that run on them are over.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from buildnet.pool.leases import RESERVED_S, Amount

AGEING_S = 30.0
"""Who has nothing counts more from then on: twice after twice as long, and so on."""
_AGAIN_S = 1.0
"""An owner that refused is asked again after this, or once it tells of something else free."""


class Priority(IntEnum):
    """How urgent a build is; the number is its weight."""

    CRITICAL = 100
    HIGH = 50
    NORMAL = 10
    LOW = 1


@dataclass(frozen=True, slots=True)
class Demand:
    """What a build would use besides its own node.

    ``driver``: key of the node that drives it; ``unit``: what one command needs; ``wanted``: how
    many such units it could use now; ``at_least``: it can use no fewer, all or none; ``owners``:
    keys of who could run its commands, the best first; ``work_ms``: what is left to do, in
    milliseconds of one slot, 0: unknown.
    """

    build: str
    driver: bytes
    actor: str
    priority: Priority
    unit: Amount
    wanted: int
    owners: tuple[bytes, ...]
    at_least: int = 1
    work_ms: int = 0


# --- effects -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskLease:
    """Ask an owner to reserve something for a build."""

    owner: bytes
    lease: bytes
    demand: Demand


@dataclass(frozen=True, slots=True)
class ConfirmLease:
    """Tell an owner to grant what it reserved."""

    owner: bytes
    lease: bytes


@dataclass(frozen=True, slots=True)
class CancelLease:
    """Tell an owner that a reservation is not needed."""

    owner: bytes
    lease: bytes


@dataclass(frozen=True, slots=True)
class AskBack:
    """Ask a driver to give a lease back as soon as nothing runs on it."""

    driver: bytes
    lease: bytes


Effect = AskLease | ConfirmLease | CancelLease | AskBack


@dataclass(slots=True)
class _Lease:
    owner: bytes
    build: str
    amount: Amount
    reserved: bool = False
    granted: bool = False
    wanted_back: bool = False
    until: float = 0.0
    """When a question that nobody answered is given up."""


@dataclass(slots=True)
class _Entry:
    demand: Demand
    since: float
    """When it last had nothing, or came."""
    order: int
    paused: bool = False
    leases: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Actor:
    has: int
    weight: float


@dataclass(slots=True)
class _Owner:
    free: Amount
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """One build of the queue, for people. ``has``: units it has; ``starts_in_s``: when it may be
    expected to get its first one, None: unknown or it has some."""

    demand: Demand
    waited_s: float
    has: int
    paused: bool
    position: int
    starts_in_s: float | None


class Queue:
    """One coordinator's queue. ``new_id`` makes ids of leases (16 bytes)."""

    def __init__(self, new_id: Callable[[], bytes]) -> None:
        self._new_id = new_id
        self._entries: dict[str, _Entry] = {}
        self._owners: dict[bytes, _Owner] = {}
        self._leases: dict[bytes, _Lease] = {}
        self._numbers = itertools.count()

    # --- what is told --------------------------------------------------------------------------

    def demanded(self, demand: Demand, now: float) -> list[Effect]:
        """Take note of what a build wants now."""
        entry = self._entries.get(demand.build)
        if entry is None:
            entry = _Entry(demand, now, next(self._numbers))
            self._entries[demand.build] = entry
            entry.leases = {
                key for key, lease in self._leases.items() if lease.build == demand.build
            }
        entry.demand = demand
        return self._decide(now)

    def ended(self, build: str, now: float) -> list[Effect]:
        """Take a build out: it is over, cancelled, or its driver is gone."""
        entry = self._entries.pop(build, None)
        effects: list[Effect] = []
        for key in () if entry is None else tuple(entry.leases):
            lease = self._leases[key]
            if not lease.granted:
                effects.append(CancelLease(lease.owner, key))
                self._forget(key)
        return effects + self._decide(now)

    def owner_told(
        self,
        owner: bytes,
        free: Amount,
        leases: Mapping[bytes, tuple[str, Amount]],
        now: float,
        reserved: Collection[bytes] = (),
    ) -> list[Effect]:
        """Take note of what an owner has free and has granted; ``leases``: build and amount by id;
        ``reserved``: ids of what it keeps until it is told to grant it. What it does not name is
        over, or was not asked for yet when it said this: that is not free."""
        known = self._owners.get(owner)
        for key, lease in tuple(self._leases.items()):
            if lease.owner != owner or key in leases or key in reserved:
                continue
            if lease.granted:
                self._forget(key)
            elif not lease.reserved:
                free -= lease.amount
        self._owners[owner] = _Owner(free)
        if known is not None and known.free == free:
            self._owners[owner].not_before = known.not_before
        for key, (build, amount) in leases.items():
            if key not in self._leases:
                self._leases[key] = _Lease(owner, build, amount)
                if build in self._entries:
                    self._entries[build].leases.add(key)
            if self._leases[key].owner == owner:  # nobody tells of what another has granted
                self._leases[key].reserved = self._leases[key].granted = True
        effects: list[Effect] = []
        for key in reserved:  # its answer may have been lost
            known_lease = self._leases.get(key)
            if known_lease and known_lease.owner == owner and not known_lease.reserved:
                effects += self.reserved(key, owner, now)
        return effects + self._decide(now)

    def owner_gone(self, owner: bytes, now: float) -> list[Effect]:
        """Forget an owner that can't be reached, and its leases."""
        self._owners.pop(owner, None)
        for key in [key for key, lease in self._leases.items() if lease.owner == owner]:
            self._forget(key)
        return self._decide(now)

    def reserved(self, lease_id: bytes, owner: bytes, now: float) -> list[Effect]:
        """Take note that an owner reserved what it was asked for."""
        lease = self._leases.get(lease_id)
        entry = None if lease is None else self._entries.get(lease.build)
        if lease is None or entry is None or lease.owner != owner:
            return [CancelLease(owner, lease_id)]
        lease.reserved = True
        lease.until = now + RESERVED_S
        return self._confirm(entry, now) + self._decide(now)

    def refused(self, lease_id: bytes, owner: bytes, free: Amount, now: float) -> list[Effect]:
        """Take note that an owner has not that much."""
        lease = self._leases.get(lease_id)
        if lease is None or lease.owner != owner or lease.granted:
            return []
        entry = self._entries[lease.build]
        self._forget(lease_id)
        self._owners[owner] = _Owner(free, now + _AGAIN_S)
        effects: list[Effect] = []
        if self._has(entry) + self._pending(entry) < entry.demand.at_least:
            effects = self._give_up(entry)
        return effects + self._decide(now)

    # --- what people say -----------------------------------------------------------------------

    def pause(self, build: str, paused: bool, now: float) -> list[Effect]:
        """Give a build nothing new, or again."""
        entry = self._entries[build]
        entry.paused = paused
        return (self._give_up(entry) if paused else []) + self._decide(now)

    def move(self, build: str, position: int, now: float) -> list[Effect]:
        """Put a build at a place among those of its priority (0: first)."""
        entry = self._entries[build]
        others = sorted(
            (each for each in self._entries.values() if each is not entry),
            key=lambda each: each.order,
        )
        others.insert(position, entry)
        for order, each in enumerate(others):
            each.order = order
        self._numbers = itertools.count(len(others))
        return self._decide(now)

    def tick(self, now: float) -> list[Effect]:
        """Give up questions that nobody answered, and look again."""
        effects: list[Effect] = []
        for key, lease in tuple(self._leases.items()):
            if not lease.granted and lease.until <= now:
                effects.append(CancelLease(lease.owner, key))
                self._forget(key)
        return effects + self._decide(now)

    def view(self, now: float) -> list[Waiting]:
        """Return the builds, who comes next first."""
        actors = self._actors(now)
        ranked = sorted(
            self._entries.values(),
            key=lambda entry: self._rank(entry, actors[entry.demand.actor], now),
        )
        slots = sum(lease.amount.slots for lease in self._leases.values() if lease.granted)
        slots += sum(owner.free.slots for owner in self._owners.values())
        found: list[Waiting] = []
        before_ms: float | None = 0.0
        for position, entry in enumerate(ranked):
            has, demand = self._has(entry), entry.demand
            known = before_ms is not None and slots > 0 and not has and not entry.paused
            starts = before_ms / slots / 1000 if known and before_ms is not None else None
            found.append(Waiting(demand, now - entry.since, has, entry.paused, position, starts))
            if demand.wanted and not entry.paused and before_ms is not None:
                before_ms = before_ms + demand.work_ms if demand.work_ms else None
        return found

    # --- deciding ------------------------------------------------------------------------------

    def _decide(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for entry in self._entries.values():
            if self._has(entry):
                entry.since = now
        while (chosen := self._next(now)) is not None:
            entry, owners = chosen
            for owner in owners:
                key = self._new_id()
                unit = entry.demand.unit
                self._leases[key] = _Lease(owner, entry.demand.build, unit, until=now + RESERVED_S)
                entry.leases.add(key)
                self._owners[owner].free -= unit
                effects.append(AskLease(owner, key, entry.demand))
        return effects + self._take_back(now)

    def _next(self, now: float) -> tuple[_Entry, list[bytes]] | None:
        """Return who is due, and the owners to ask for it: one, or as many as it needs at least."""
        for entry in self._hungry(now):
            have = self._has(entry) + self._pending(entry)
            count = max(1, entry.demand.at_least - have)
            owners = self._room_for(entry.demand, count, now)
            if len(owners) == count:
                return entry, owners
            if entry.demand.at_least > 1 and now - entry.since >= AGEING_S:
                return None  # it waited long for room at once: nobody goes before it any more
        return None

    def _room_for(self, demand: Demand, count: int, now: float) -> list[bytes]:
        """Return owners that seem to have room for ``count`` units, as many times as they have."""
        found: list[bytes] = []
        for owner in demand.owners:
            known = self._owners.get(owner)
            if known is None or known.not_before > now:
                continue
            free = known.free
            while len(found) < count and demand.unit.fits(free):
                found.append(owner)
                free -= demand.unit
        return found

    def _confirm(self, entry: _Entry, now: float) -> list[Effect]:
        reserved = [
            key
            for key in entry.leases
            if self._leases[key].reserved and not self._leases[key].granted
        ]
        if self._has(entry) + len(reserved) < entry.demand.at_least:
            return []
        effects: list[Effect] = []
        for key in reserved:
            self._leases[key].granted = True
            effects.append(ConfirmLease(self._leases[key].owner, key))
        entry.since = now
        return effects

    def _give_up(self, entry: _Entry) -> list[Effect]:
        """Cancel what a build has not got yet."""
        effects: list[Effect] = []
        for key in tuple(entry.leases):
            lease = self._leases[key]
            if not lease.granted:
                effects.append(CancelLease(lease.owner, key))
                if lease.owner in self._owners:
                    self._owners[lease.owner].free += lease.amount
                self._forget(key)
        return effects

    def _take_back(self, now: float) -> list[Effect]:
        """Ask those who have more than their share for what those with less could use."""
        effects: list[Effect] = []
        for entry in self._hungry(now):
            if self._pending(entry) or self._coming(entry):
                continue
            giver = self._giver(entry, now)
            if giver is None:
                continue
            other, key = giver
            self._leases[key].wanted_back = True
            effects.append(AskBack(other.demand.driver, key))
        return effects

    def _giver(self, entry: _Entry, now: float) -> tuple[_Entry, bytes] | None:
        """Return who has most for its weight, if that is more than ``entry`` would have with one
        unit more, and the lease that it is to give back."""
        actors = self._actors(now)
        wanting = _share(actors[entry.demand.actor], 1)
        best: tuple[float, _Entry, bytes] | None = None
        for other in self._entries.values():
            keeps = other.demand.at_least if other.demand.at_least > 1 else 0
            if other.demand.actor == entry.demand.actor or self._has(other) <= keeps:
                continue
            has = _share(actors[other.demand.actor], 0)
            if has <= wanting or (best is not None and has <= best[0]):
                continue
            key = next((key for key in other.leases if self._could_use(entry, key)), None)
            if key is not None:
                best = (has, other, key)
        return None if best is None else best[1:]

    def _could_use(self, entry: _Entry, key: bytes) -> bool:
        """Tell whether a build could use another's lease, if it were given back."""
        lease = self._leases[key]
        fits = lease.owner in entry.demand.owners and entry.demand.unit.fits(lease.amount)
        return lease.granted and not lease.wanted_back and fits

    def _coming(self, entry: _Entry) -> bool:
        """Tell whether something was asked back already that this build could use."""
        return any(
            lease.wanted_back and lease.owner in entry.demand.owners
            for lease in self._leases.values()
        )

    # --- counting ------------------------------------------------------------------------------

    def _has(self, entry: _Entry) -> int:
        return sum(
            self._leases[key].granted and not self._leases[key].wanted_back for key in entry.leases
        )

    def _pending(self, entry: _Entry) -> int:
        return sum(not self._leases[key].granted for key in entry.leases)

    def _lacks(self, entry: _Entry) -> int:
        if entry.paused:
            return 0
        return entry.demand.wanted - self._has(entry) - self._pending(entry)

    def _weight(self, entry: _Entry, now: float) -> float:
        waited = 0.0 if self._has(entry) else now - entry.since
        return entry.demand.priority * max(1.0, waited / AGEING_S)

    def _actors(self, now: float) -> dict[str, _Actor]:
        """Return what each actor has, and the weight of its most urgent build."""
        found: dict[str, _Actor] = {}
        for entry in self._entries.values():
            known = found.get(entry.demand.actor, _Actor(0, 0.0))
            found[entry.demand.actor] = _Actor(
                known.has + self._has(entry) + self._pending(entry),
                max(known.weight, self._weight(entry, now)),
            )
        return found

    def _hungry(self, now: float) -> list[_Entry]:
        """Return the builds that lack something, who is due first."""
        actors = self._actors(now)

        def rank(entry: _Entry) -> tuple[float, float, int]:
            return self._rank(entry, actors[entry.demand.actor], now)

        return sorted((each for each in self._entries.values() if self._lacks(each) > 0), key=rank)

    def _rank(self, entry: _Entry, actor: _Actor, now: float) -> tuple[float, float, int]:
        own = (self._has(entry) + self._pending(entry)) / self._weight(entry, now)
        return _share(actor, 1), own, entry.order

    def _forget(self, key: bytes) -> None:
        lease = self._leases.pop(key)
        entry = self._entries.get(lease.build)
        if entry is not None:
            entry.leases.discard(key)


def _share(actor: _Actor, more: int) -> float:
    """Return what an actor would have for its weight with ``more`` units."""
    return (actor.has + more) / actor.weight
