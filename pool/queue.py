"""The coordinator's queue: which build may have how much of which host.

Pure; times are seconds of a monotonic clock. What builds want and what owners have free is told by
them, again to each new coordinator, so nothing here outlives the process. The queue asks owners for
leases; owners decide (:mod:`buildnet.pool.leases`). What is told is only noted;
:meth:`Queue.decide` looks at all of it at once.

Fairness is weighted by priority and over actors first: of two actors with work of one priority each
gets half, however many builds they have. Whoever has the fewest slots for its weight comes next; a
weight grows with the time that nothing was had, so nobody starves. Room that somebody waits for who
has had nothing for long is given to nobody after him. A build that has more than its share is asked
to give leases back, once the commands that run on them are over.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from buildnet.pool.demand import Demand, Orders
from buildnet.pool.leases import RESERVED_S, Amount
from buildnet.pool.queue_view import Queued, queue_view
from buildnet.pool.queued import (
    AGEING_S,
    PENDING,
    Actor,
    Entry,
    HeldLease,
    Owner,
    State,
    actors_of,
    excess,
    is_before,
    keeps,
    rank,
    room_for,
)

_AGAIN_S = 1.0
"""An owner that refused is asked again after this, or once it tells of something else free."""

_REST_S = 10.0
"""Who gave something back asks for leases of other sizes than its own only after this: what is fair
might go round and round among builds that use different amounts."""


# --- effects -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskLease:
    """Ask an owner to reserve something for a build that ``driver`` drives for ``actor``."""

    owner: bytes
    lease: bytes
    build: str
    driver: bytes
    amount: Amount
    actor: str = ""


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


class Queue:
    """One coordinator's queue. ``new_id`` makes ids of leases (16 bytes)."""

    def __init__(self, new_id: Callable[[], bytes]) -> None:
        self._new_id = new_id
        self._entries: dict[str, Entry] = {}
        self._owners: dict[bytes, Owner] = {}
        self._leases: dict[bytes, HeldLease] = {}
        self._numbers = itertools.count()
        self._effects: list[Effect] = []
        self.paused = False
        """Nobody gets anything."""

    # --- what is told --------------------------------------------------------------------------

    def demanded(self, demand: Demand, now: float) -> None:
        """Take note of what a build wants now."""
        entry = self._entries.get(demand.build)
        if entry is None:
            entry = Entry(demand, now, next(self._numbers))
            self._entries[demand.build] = entry
            entry.leases = {
                key: lease for key, lease in self._leases.items() if lease.build == demand.build
            }
        if entry.demand.units != demand.units or not entry.owners:
            entry.owners = tuple(frozenset(want.owners) for want in demand.units)
        if entry.demand.orders != demand.orders:
            entry.gave_at = -math.inf
        entry.demand = demand
        if demand.orders.paused:
            self._cancel(each for each in entry.leases.values() if each.state in PENDING)
        entry.is_stale = True

    def ended(self, build: str) -> None:
        """Take a build out: it is over, cancelled, or its driver is gone."""
        entry = self._entries.pop(build, None)
        if entry is not None:
            self._cancel(each for each in entry.leases.values() if each.state in PENDING)

    def owner_told(
        self,
        owner: bytes,
        free: Amount,
        leases: Mapping[bytes, tuple[str, Amount]],
        now: float,
        reserved: Collection[bytes] = (),
    ) -> None:
        """Take note of what an owner has free and has granted; ``leases``: build and amount by id;
        ``reserved``: ids of what it keeps until it is told to grant it. What it does not name is
        over, or was not asked for yet when it said this: that is not free."""
        known = self._owners.setdefault(owner, Owner(free))
        if known.told != free:
            known.told, known.not_before = free, 0.0
        for key, lease in tuple(known.leases.items()):
            if lease.state is not State.ASKED and key not in leases and key not in reserved:
                self._forget(lease)
            elif lease.state is State.ASKED and key in reserved:  # its answer may have been lost
                self._become(lease, State.RESERVED)
                lease.until = now + RESERVED_S
        for key, (build, amount) in leases.items():
            held = self._leases.get(key)
            if held is None:
                self._note(HeldLease(key, owner, build, amount, State.GRANTED))
            elif held.owner == owner:  # nobody tells of what another has granted
                self._become(held, State.GRANTED)

    def owner_gone(self, owner: bytes) -> None:
        """Forget an owner that can't be reached, and its leases."""
        known = self._owners.get(owner)
        for lease in () if known is None else tuple(known.leases.values()):
            self._forget(lease)
        self._owners.pop(owner, None)

    def reserved(self, lease_id: bytes, owner: bytes, free: Amount, now: float) -> None:
        """Take note that an owner reserved what it was asked for, and what it has left."""
        lease = self._leases.get(lease_id)
        if lease is None or lease.owner != owner:
            self._effects.append(CancelLease(owner, lease_id))
        elif lease.state is State.ASKED:
            self._owners[owner].told = free
            self._become(lease, State.RESERVED)
            lease.until = now + RESERVED_S

    def refused(self, lease_id: bytes, owner: bytes, free: Amount, now: float) -> None:
        """Take note that an owner has not that much."""
        lease = self._leases.get(lease_id)
        if lease is None or lease.owner != owner or lease.state not in PENDING:
            return
        self._forget(lease)
        self._owners[owner].told, self._owners[owner].not_before = free, now + _AGAIN_S
        entry = self._entries.get(lease.build)
        if entry is not None:
            self._give_up(entry)

    def tick(self, now: float) -> None:
        """Give up questions that nobody answered."""
        over = [
            lease
            for lease in self._leases.values()
            if lease.state is not State.GRANTED and lease.until <= now
        ]
        for lease in over:
            if lease.state is State.CONFIRMED:  # its owner had let go of it
                self._forget(lease)
            else:
                self._cancel((lease,))

    # --- what people say -----------------------------------------------------------------------

    def placed(
        self,
        build: str,
        place: int,
        now: float,
        among: Callable[[Demand], bool] | None = None,
    ) -> list[tuple[Demand, Orders]]:
        """Return what has to be said to whose builds so that one comes at a place (from 1) of the
        queue, or ``among`` some of the builds in it: those before it keep theirs, and those
        behind it that were placed go on by as much: two with one place would stand as they came."""
        order = [
            entry.demand for entry in self._ranked(now) if among is None or among(entry.demand)
        ]
        moved = self._entries[build].demand
        order.remove(moved)
        order.insert(max(0, place - 1), moved)
        last = order.index(moved) + 1
        return [
            (demand, replace(demand.orders, place=number, ahead=among is None))
            for number, demand in enumerate(order, 1)
            if number <= last or (demand.orders.place and (demand.orders.ahead or among))
        ]

    def find(self, prefix: str) -> list[Demand]:
        """Return the builds whose id begins so."""
        return [entry.demand for build, entry in self._entries.items() if build.startswith(prefix)]

    def view(self, now: float) -> list[Queued]:
        """Return the builds, who comes next first."""
        slots = sum(lease.size for lease in self._leases.values() if lease.state not in PENDING)
        slots += sum(owner.free.slots for owner in self._owners.values())
        ranked = [(entry.demand, entry.has) for entry in self._ranked(now)]
        return queue_view(ranked, slots, paused=self.paused)

    def _ranked(self, now: float) -> list[Entry]:
        self._count()
        actors = actors_of(self._entries.values(), now)
        return sorted(self._entries.values(), key=lambda entry: rank(entry, actors, now))

    # --- deciding ------------------------------------------------------------------------------

    def decide(self, now: float) -> list[Effect]:
        """Return what is to be said to owners and drivers after all that was told."""
        self._count()
        for entry in self._entries.values():
            if entry.pending:
                self._confirm(entry, now)
            if entry.has:
                entry.since = now
        hungry = [entry for entry in self._entries.values() if entry.is_hungry]
        if hungry and not self.paused:
            actors = actors_of(self._entries.values(), now)
            self._ask(hungry, actors, now)
            self._take_back(hungry, actors, now)
        effects, self._effects = self._effects, []
        return effects

    def _confirm(self, entry: Entry, now: float) -> None:
        """Confirm what is reserved, unless it is worth nothing without the rest."""
        complete = not any(
            want.at_least and self._sure(entry, index) < want.at_least
            for index, want in enumerate(entry.demand.units)
        )
        for lease in entry.leases.values():
            if lease.state is not State.RESERVED:
                continue
            index = entry.of.get(lease.id)
            if complete or index is None or not entry.demand.units[index].at_least:
                lease.state, lease.until = State.CONFIRMED, now + RESERVED_S
                self._effects.append(ConfirmLease(lease.owner, lease.id))
        entry.count()

    def _sure(self, entry: Entry, index: int) -> int:
        return sum(
            at == index and entry.leases[key].state is not State.ASKED
            for key, at in entry.of.items()
        )

    def _ask(self, hungry: list[Entry], actors: dict[str, Actor], now: float) -> None:
        """Ask owners for what they have free, for who is due first."""
        amounts = {
            want.amount
            for entry in hungry
            for want, lack in zip(entry.demand.units, entry.lacks, strict=True)
            if lack
        }
        room = {
            key: owner.free
            for key, owner in self._owners.items()
            if owner.not_before <= now and any(each.fits(owner.free) for each in amounts)
        }
        self._keep_promises(hungry, room, actors, now)
        turns = [(rank(entry, actors, now), entry.order, entry) for entry in hungry]
        heapq.heapify(turns)
        while turns and room:
            place, order, entry = heapq.heappop(turns)
            current = rank(entry, actors, now)
            if current > place:  # its actor has got something since
                heapq.heappush(turns, (current, order, entry))
                continue
            chosen = room_for(entry, room)
            if not chosen:
                if not entry.has + entry.pending and now - entry.since >= AGEING_S:
                    self._keep_for(entry, room)
                continue
            self._ask_for(entry, chosen, room, actors, now)
            if entry.is_hungry:
                heapq.heappush(turns, (rank(entry, actors, now), order, entry))

    def _ask_for(
        self,
        entry: Entry,
        chosen: Iterable[tuple[bytes, Amount]],
        room: dict[bytes, Amount],
        actors: Mapping[str, Actor],
        now: float,
    ) -> None:
        build, driver = entry.demand.build, entry.demand.driver
        actor = entry.demand.actor
        for owner, amount in chosen:
            until = now + RESERVED_S
            lease = HeldLease(self._new_id(), owner, build, amount, State.ASKED, until)
            self._leases[lease.id] = entry.leases[lease.id] = lease
            self._owners[owner].leases[lease.id] = lease
            self._owners[owner].asked += amount
            room[owner] -= amount
            actors[entry.demand.actor].has += lease.size
            self._effects.append(AskLease(owner, lease.id, build, driver, amount, actor))
        entry.promised = None
        entry.count()

    def _keep_promises(
        self,
        hungry: list[Entry],
        room: dict[bytes, Amount],
        actors: Mapping[str, Actor],
        now: float,
    ) -> None:
        """Give what came back for somebody to him alone, and to nobody while it is not enough."""
        for entry in hungry:
            owner = entry.promised
            if owner is None:
                continue
            if owner in room and (chosen := room_for(entry, {owner: room[owner]})):
                self._ask_for(entry, chosen, room, actors, now)
                continue
            known = self._owners.get(owner)
            if known is not None and any(each.wanted_back for each in known.leases.values()):
                room.pop(owner, None)
            else:
                entry.promised = None

    def _keep_for(self, entry: Entry, room: dict[bytes, Amount]) -> None:
        """Give nobody else what somebody waits for who has had nothing for long."""
        for index, want in enumerate(entry.demand.units):
            if not entry.lacks[index]:
                continue
            for owner in entry.owners[index] & room.keys():
                known = self._owners[owner]
                lent = Amount.sum(each.amount for each in known.leases.values())
                if want.amount.fits(known.told + lent):
                    del room[owner]

    # --- taking back ---------------------------------------------------------------------------

    def _take_back(self, hungry: list[Entry], actors: dict[str, Actor], now: float) -> None:
        """Ask those who have more than their share for what those with less could use."""
        coming = {lease.owner for lease in self._leases.values() if lease.wanted_back}
        givers = [each for each in self._entries.values() if each.has and not each.waits_for_all]
        most = max((actors[each.demand.actor].share() for each in givers), default=0.0)
        most_of: dict[str, float] = {}
        for each in givers:
            actor = each.demand.actor
            most_of[actor] = max(most_of.get(actor, 0.0), each.share(now))
        turns = [(rank(entry, actors, now), entry.order, entry) for entry in hungry]
        for _, _, entry in sorted(turns):
            actor = entry.demand.actor
            above = most - actors[actor].share(entry.size)
            placed = entry.demand.orders.place > 0
            if (
                not placed
                and max(above, most_of.get(actor, 0.0) - entry.share(now, entry.size)) <= 0
            ):
                continue  # nobody has more than it would have
            if entry.pending or any(coming & owners for owners in entry.owners):
                continue
            for lease in self._spared_for(entry, givers, actors, now):
                lease.wanted_back = True
                entry.promised = lease.owner
                coming.add(lease.owner)
                giver = self._entries[lease.build]
                giver.count()
                giver.gave_at = now
                actors[giver.demand.actor].has -= lease.size
                self._effects.append(AskBack(giver.demand.driver, lease.id))

    def _spared_for(
        self, entry: Entry, givers: list[Entry], actors: dict[str, Actor], now: float
    ) -> list[HeldLease]:
        """Return leases of one owner that make room for a unit of ``entry``, of those who have most
        for their weight; none where nobody has more than ``entry`` would have with that unit."""
        for want, lack, owners in zip(entry.demand.units, entry.lacks, entry.owners, strict=True):
            if not lack:
                continue
            size, rests = max(1, want.amount.slots), now - entry.gave_at < _REST_S
            ranked = sorted(
                ((excess(giver, entry, size, actors, now), giver.order, giver) for giver in givers),
                reverse=True,
            )
            room = {key: self._owners[key].free for key in owners if key in self._owners}
            spared: dict[bytes, list[HeldLease]] = {}
            for more, _, giver in ranked:
                if more <= 0:
                    break
                left = giver.has - keeps(giver)
                for lease in giver.leases.values():
                    if lease.owner not in room or not lease.may_come_back or lease.size > left:
                        continue
                    if lease.size > size and excess(giver, entry, lease.size, actors, now) <= 0:
                        continue
                    if lease.size != size and rests and not is_before(entry, giver):
                        continue
                    left -= lease.size
                    room[lease.owner] += lease.amount
                    spared.setdefault(lease.owner, []).append(lease)
                    if want.amount.fits(room[lease.owner]):
                        return spared[lease.owner]
        return []

    # --- counting ------------------------------------------------------------------------------

    def _count(self) -> None:
        for entry in self._entries.values():
            if entry.is_stale:
                entry.count()

    def _note(self, lease: HeldLease) -> None:
        self._leases[lease.id] = lease
        self._owners[lease.owner].leases[lease.id] = lease
        entry = self._entries.get(lease.build)
        if entry is not None:
            entry.leases[lease.id] = lease
            entry.is_stale = True

    def _become(self, lease: HeldLease, state: State) -> None:
        if lease.state is state:
            return
        if lease.state is State.ASKED:
            self._owners[lease.owner].asked -= lease.amount
        lease.state = state
        entry = self._entries.get(lease.build)
        if entry is not None:
            entry.is_stale = True

    def _give_up(self, entry: Entry) -> None:
        """Cancel what is pending and worth nothing without what was refused."""
        entry.count()
        short = entry.short
        if any(short):
            units = entry.demand.units
            self._cancel(
                lease
                for key, lease in entry.leases.items()
                if lease.state in PENDING and key in entry.of and units[entry.of[key]].at_least
            )

    def _cancel(self, leases: Iterable[HeldLease]) -> None:
        for lease in tuple(leases):
            self._effects.append(CancelLease(lease.owner, lease.id))
            self._forget(lease)

    def _forget(self, lease: HeldLease) -> None:
        owner, entry = self._owners[lease.owner], self._entries.get(lease.build)
        if lease.state is State.ASKED:
            owner.asked -= lease.amount
        del self._leases[lease.id], owner.leases[lease.id]
        if entry is not None:
            entry.leases.pop(lease.id, None)
            entry.is_stale = True
