"""What an owner has granted of its host to builds of other nodes: leases.

Pure; times are seconds of the owner's monotonic clock. The owner alone grants, from the same room
that its own commands run in, so two coordinators can waste work, not over-commit a host. A lease is
*reserved* when a coordinator asks for it and *granted* once the same coordinator confirms it, so
that it can ask several owners and take all or none. Its holder, the node that drives the build,
keeps it by renewing it; it outlives the coordinator.

The owner's own commands come first: where they wait for what is lent, leases are *called back*, as
many as they need. Their holders give them back once no command runs on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

RESERVED_S = 2.0
"""A reservation that nobody confirms lapses after this."""
KEPT_S = 15.0
"""A lease that its holder does not renew lapses after this."""
CALLED_S = 0.5
"""A lease that was called back and that nothing runs on ends after this, if its holder has not
given it back: what it asked for before it was told still runs."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Of a host: commands at once, memory, disk."""

    slots: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.slots + other.slots,
            self.memory_bytes + other.memory_bytes,
            self.disk_bytes + other.disk_bytes,
        )

    def __sub__(self, other: Amount) -> Amount:
        return Amount(
            self.slots - other.slots,
            self.memory_bytes - other.memory_bytes,
            self.disk_bytes - other.disk_bytes,
        )

    def over(self, other: Amount) -> Amount:
        """Return how much more than another it is; nothing where it is less."""
        return Amount(
            max(0, self.slots - other.slots),
            max(0, self.memory_bytes - other.memory_bytes),
            max(0, self.disk_bytes - other.disk_bytes),
        )

    def helps(self, lacking: Amount) -> bool:
        """Tell whether it has something of what is lacking."""
        return (
            min(self.slots, lacking.slots) > 0
            or min(self.memory_bytes, lacking.memory_bytes) > 0
            or min(self.disk_bytes, lacking.disk_bytes) > 0
        )

    def times(self, count: int) -> Amount:
        """Return it ``count`` times."""
        return Amount(self.slots * count, self.memory_bytes * count, self.disk_bytes * count)

    def fits(self, room: Amount) -> bool:
        """Tell whether there is room for it."""
        return (
            self.slots <= room.slots
            and self.memory_bytes <= room.memory_bytes
            and self.disk_bytes <= room.disk_bytes
        )

    @property
    def size(self) -> tuple[int, int, int]:
        """What sorts small ones before large ones."""
        return self.slots, self.memory_bytes, self.disk_bytes

    @property
    def is_sound(self) -> bool:
        """Tell whether it is something that can be asked for."""
        parts = (self.slots, self.memory_bytes, self.disk_bytes)
        return min(parts) >= 0 and max(parts) > 0

    @classmethod
    def sum(cls, amounts: Iterable[Amount]) -> Amount:
        """Return all together."""
        total = cls()
        for amount in amounts:
            total += amount
        return total


@dataclass(frozen=True, slots=True)
class Lease:
    """What one owner has given, or keeps free, for one build.

    ``holder``: key of the node that drives the build; ``coordinator`` and ``term``: who asked for
    it; ``expires``: when it lapses unless something happens before; ``since``: when it was asked
    for, or granted; ``actor``: who asked for the build, for people.
    """

    id: bytes
    build: str
    holder: bytes
    coordinator: bytes
    term: int
    amount: Amount
    granted: bool
    expires: float
    since: float
    actor: str = ""


@dataclass(frozen=True, slots=True)
class CalledBack:
    """Leases that an owner needs for itself: the holders of ``asked`` are to give them back,
    ``ended`` are over."""

    asked: tuple[Lease, ...] = ()
    ended: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an owner gives nothing, in words, and what it could give now."""

    why: str
    free: Amount


class Room(Protocol):
    """What a host has for commands, its own and those of leases."""

    @property
    def free(self) -> Amount:
        """What nobody has now."""

    def take(self, key: bytes, amount: Amount) -> bool:
        """Keep an amount for ``key``, at once or not at all; tell which."""

    def give_back(self, key: bytes) -> None:
        """Let go of what ``key`` has."""


class LeaseBook:
    """One owner's leases, of what ``room`` has."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._leases: dict[bytes, Lease] = {}
        self._called: dict[bytes, float] = {}
        """Leases that were called back, and when."""
        self._term = 0

    # --- looking -------------------------------------------------------------------------------

    @property
    def free(self) -> Amount:
        """What could be given now."""
        return self._room.free

    @property
    def leases(self) -> tuple[Lease, ...]:
        """All of them, oldest first, reservations among them."""
        return tuple(self._leases.values())

    def held(self, lease_id: bytes, holder: bytes) -> Lease | None:
        """Return a granted lease of that holder; None: it has none of that id."""
        lease = self._leases.get(lease_id)
        return lease if lease is not None and lease.granted and lease.holder == holder else None

    # --- the coordinator -----------------------------------------------------------------------

    def ask(
        self,
        lease_id: bytes,
        *,
        build: str,
        holder: bytes,
        coordinator: bytes,
        term: int,
        amount: Amount,
        now: float,
        actor: str = "",
    ) -> Lease | Refusal:
        """Keep something free for a build until it is confirmed. Asking again for the same lease
        changes nothing.

        The caller has seen to it that ``coordinator`` is whom this node follows in ``term``.
        """
        self.lapse(now)
        known = self._leases.get(lease_id)
        if known is not None:
            same = (known.build, known.holder, known.amount) == (build, holder, amount)
            return known if same else Refusal("another lease has this id", self.free)
        if term < self._term:
            return Refusal(f"term {term} is over: it is {self._term} now", self.free)
        self._term = term
        if not amount.is_sound:
            return Refusal("nothing was asked for", self.free)
        if not self._room.take(lease_id, amount):
            return Refusal("there is not that much left", self.free)
        until = now + RESERVED_S
        lease = Lease(lease_id, build, holder, coordinator, term, amount, False, until, now, actor)
        self._leases[lease_id] = lease
        return lease

    def confirm(self, lease_id: bytes, coordinator: bytes, now: float) -> Lease | None:
        """Grant what was reserved; None: it has lapsed, or somebody else reserved it."""
        self.lapse(now)
        lease = self._leases.get(lease_id)
        if lease is None or lease.coordinator != coordinator:
            return None
        if not lease.granted:
            lease = replace(lease, granted=True, expires=now + KEPT_S, since=now)
            self._leases[lease_id] = lease
        return lease

    def cancel(self, lease_id: bytes, coordinator: bytes) -> Lease | None:
        """Drop a reservation, not a grant; return what was dropped."""
        lease = self._leases.get(lease_id)
        if lease is None or lease.granted or lease.coordinator != coordinator:
            return None
        return self._drop(lease)

    # --- the holder ----------------------------------------------------------------------------

    def renew(self, lease_id: bytes, holder: bytes, now: float) -> bool:
        """Keep a lease; False: it is gone."""
        self.lapse(now)
        lease = self.held(lease_id, holder)
        if lease is None:
            return False
        self._leases[lease_id] = replace(lease, expires=now + KEPT_S)
        return True

    def release(self, lease_id: bytes, holder: bytes) -> Lease | None:
        """Give a lease back; return it, None: it was gone."""
        lease = self.held(lease_id, holder)
        return None if lease is None else self._drop(lease)

    # --- the owner -----------------------------------------------------------------------------

    def lapse(self, now: float) -> list[Lease]:
        """Drop what was not confirmed or renewed in time; return what was granted of it: commands
        that run on it have to be ended."""
        over = [each for each in self._leases.values() if each.expires <= now]
        for lease in over:
            self._drop(lease)
        return [lease for lease in over if lease.granted]

    def call_back(
        self, lacking: Amount, is_busy: Callable[[bytes], bool], now: float
    ) -> CalledBack:
        """Get back what the owner's own commands lack, as far as it is lent: reservations first,
        then leases on which nothing runs, the newest first. To be asked again whenever something
        has changed, and now and then; ``lacking`` nothing: none is needed any more.

        ``is_busy`` tells whether a command runs on a lease.
        """
        if lacking == Amount():
            self._called.clear()
            return CalledBack()
        ended = [
            self._drop(self._leases[key])
            for key, called in tuple(self._called.items())
            if now - called >= CALLED_S and not is_busy(key)
        ]
        for lease in (*ended, *(self._leases[key] for key in self._called)):
            lacking = lacking.over(lease.amount)
        asked: list[Lease] = []
        for lease in sorted(self._leases.values(), key=lambda each: _dearness(each, is_busy)):
            if lease.id in self._called or not lease.amount.helps(lacking):
                continue
            lacking = lacking.over(lease.amount)
            if lease.granted:
                self._called[lease.id] = now
                asked.append(lease)
            else:
                ended.append(self._drop(lease))
        return CalledBack(tuple(asked), tuple(ended))

    def _drop(self, lease: Lease) -> Lease:
        del self._leases[lease.id]
        self._called.pop(lease.id, None)
        self._room.give_back(lease.id)
        return lease


def _dearness(lease: Lease, is_busy: Callable[[bytes], bool]) -> tuple[bool, bool, float]:
    """Order leases by how little is lost with them."""
    return lease.granted, is_busy(lease.id), -lease.since
