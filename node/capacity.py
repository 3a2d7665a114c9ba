"""Who may run now on this host, and on which of its cores: pure, first come, first served.

What there is may change while commands run: those that run keep what they have, and those that wait
for more than there is now get all there is.

Slots bound how many commands run at once. Cores, memory and disk that a command asks for are
reserved: while it runs they are not given to another one. A command that asks for no cores takes
one slot and runs on all cores that were not reserved when it started, idle ones among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from buildnet.pool.requirements import Requirements

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Share:
    """What one command has: ``cores`` are the CPU ids that it may run on (None: any); ``own``:
    nobody else that starts meanwhile gets them."""

    slots: int = 1
    memory_bytes: int = 0
    cores: tuple[int, ...] | None = None
    own: bool = False
    disk_bytes: int = 0


class CoreAssigner:
    """Deals out a host's cores: those that were assigned the fewest times so far come first."""

    def __init__(self, cores: Iterable[int]) -> None:
        self._uses = Counter(dict.fromkeys(sorted(cores), 0))
        self._taken: set[int] = set()

    @property
    def all(self) -> tuple[int, ...]:
        """Every core, taken or not."""
        return tuple(self._uses)

    @property
    def free(self) -> tuple[int, ...]:
        """The cores that nobody has taken."""
        return tuple(core for core in self._uses if core not in self._taken)

    def take(self, count: int, wished: Collection[int] = ()) -> tuple[int, ...]:
        """Take ``count`` of the free cores, first those that are ``wished``; there have to be as
        many."""
        chosen = sorted(self.free, key=lambda core: (core not in wished, self._uses[core], core))[
            :count
        ]
        if len(chosen) < count:
            raise ValueError(f"{count} cores were asked for, {len(chosen)} are free")
        self._uses.update(chosen)
        self._taken.update(chosen)
        return tuple(sorted(chosen))

    def change(self, cores: Iterable[int]) -> None:
        """Deal out these from now on; what is taken of others is not given out again."""
        self._uses = Counter({core: self._uses[core] for core in sorted(cores)})

    def give_back(self, cores: Iterable[int]) -> None:
        """Take back what :meth:`take` gave."""
        self._taken.difference_update(cores)


class Capacity(Generic[Key]):
    """What of a host is in use, and who waits for what. A key names one command.

    Args:
        slots: how many commands run at once.
        cores: the CPU ids that commands may run on; None: any, and none are assigned.
        memory_bytes: what commands may reserve together; None: it is not counted.
        disk_bytes: returns what of the disk they may now; None: it is not counted.
    """

    def __init__(
        self,
        slots: int,
        cores: Iterable[int] | None = None,
        memory_bytes: int | None = None,
        disk_bytes: Callable[[], int] | None = None,
    ) -> None:
        self.slots = slots
        self._assigner = None if cores is None else CoreAssigner(cores)
        self._memory_bytes = memory_bytes
        self._free_slots = slots
        self._reserved_bytes = 0
        self._disk_bytes = disk_bytes
        self._reserved_disk_bytes = 0
        self._shares: dict[Key, Share] = {}
        self._waiting: dict[Key, Requirements] = {}
        self._wished: dict[Key, Collection[int]] = {}

    @property
    def cores(self) -> tuple[int, ...] | None:
        """All CPU ids that commands may run on; None: any."""
        return None if self._assigner is None else self._assigner.all

    @property
    def cores_at_most(self) -> int:
        """How many cores one command can have."""
        return self.slots if self._assigner is None else min(self.slots, len(self._assigner.all))

    @property
    def memory_bytes(self) -> int | None:
        """What commands may reserve together; None: it is not counted."""
        return self._memory_bytes

    def change(
        self, slots: int, cores: Iterable[int] | None, memory_bytes: int | None
    ) -> list[tuple[Key, Share]]:
        """Let there be more or less from now on, as for a new one; returns who starts now."""
        self._free_slots += slots - self.slots
        self.slots = slots
        self._memory_bytes = memory_bytes
        if self._assigner is not None and cores is not None:
            self._assigner.change(cores)
        return self._admit()

    @property
    def slots_in_use(self) -> int:
        """How many slots are taken."""
        return self.slots - self._free_slots

    def ask(
        self, key: Key, needed: Requirements, wished: Collection[int] = ()
    ) -> list[tuple[Key, Share]]:
        """Let a command start when its turn comes. Returns who starts now, with what. ``wished``:
        CPU ids that it is to run on, as far as they can be had; none: any.

        What it needs must not be more than the host has: it would wait for ever.
        """
        self._waiting[key] = needed
        if wished:
            self._wished[key] = wished
        return self._admit()

    def reserve(self, key: Key, needed: Requirements) -> Share | None:
        """Give ``key`` what it needs at once, or nothing; those who wait come first."""
        if self._waiting or not self._has_room(needed):
            return None
        self._shares[key] = share = self._take(needed)
        return share

    @property
    def free_slots(self) -> int:
        """How many slots can be had at once: none while somebody waits, who comes first."""
        return 0 if self._waiting else max(0, self._free_slots)

    @property
    def lacking(self) -> tuple[int, int, int]:
        """Slots, bytes of memory and of disk that those who wait want more than there is now."""
        waiting = [self._fitted(each) for each in self._waiting.values()]
        slots = sum(each.slots for each in waiting) - self._free_slots
        memory_bytes = sum(each.memory_bytes or 0 for each in waiting)
        disk_bytes = sum(each.disk_bytes or 0 for each in waiting)
        free_bytes = self.free_memory_bytes
        free_disk_bytes = self.free_disk_bytes if disk_bytes else None
        return (
            max(0, slots),
            0 if free_bytes is None else max(0, memory_bytes - free_bytes),
            0 if free_disk_bytes is None else max(0, disk_bytes - free_disk_bytes),
        )

    @property
    def free_memory_bytes(self) -> int | None:
        """What of the memory nobody has reserved; None: it is not counted."""
        return None if self._memory_bytes is None else self._memory_bytes - self._reserved_bytes

    @property
    def free_disk_bytes(self) -> int | None:
        """What of the disk nobody has reserved; None: it is not counted."""
        if self._disk_bytes is None:
            return None
        return max(0, self._disk_bytes() - self._reserved_disk_bytes)

    def end(self, key: Key) -> list[tuple[Key, Share]]:
        """Take back what a command has, or its wish; returns who starts now, with what."""
        self._waiting.pop(key, None)
        self._wished.pop(key, None)
        share = self._shares.pop(key, None)
        if share is not None:
            self._free_slots += share.slots
            self._reserved_bytes -= share.memory_bytes
            self._reserved_disk_bytes -= share.disk_bytes
            if self._assigner is not None and share.own:
                self._assigner.give_back(share.cores or ())
        return self._admit()

    def _admit(self) -> list[tuple[Key, Share]]:
        started: list[tuple[Key, Share]] = []
        while self._waiting:
            key, asked = next(iter(self._waiting.items()))
            needed = self._fitted(asked)
            if not self._has_room(needed):
                break  # what is small does not overtake what is large, or that would never start
            del self._waiting[key]
            self._shares[key] = share = self._take(needed, self._wished.pop(key, ()))
            started.append((key, share))
        return started

    def _fitted(self, needed: Requirements) -> Requirements:
        """Return what there is at most of what is needed: it may have become less since."""
        cores, memory_bytes, disk_bytes = needed.cores, needed.memory_bytes, needed.disk_bytes
        if cores is not None:
            cores = min(cores, self.cores_at_most)
        if memory_bytes is not None and self._memory_bytes is not None:
            memory_bytes = min(memory_bytes, self._memory_bytes)
        if disk_bytes is not None and self._disk_bytes is not None:
            disk_bytes = min(disk_bytes, self._disk_bytes())
        return replace(needed, cores=cores, memory_bytes=memory_bytes, disk_bytes=disk_bytes)

    def _has_room(self, needed: Requirements) -> bool:
        if needed.slots > self._free_slots:
            return False
        if self._assigner is not None and (needed.cores or 0) > len(self._assigner.free):
            return False
        free_bytes, free_disk_bytes = self.free_memory_bytes, None
        if free_bytes is not None and (needed.memory_bytes or 0) > max(0, free_bytes):
            return False
        if needed.disk_bytes:  # to ask the volume costs a system call
            free_disk_bytes = self.free_disk_bytes
        return free_disk_bytes is None or (needed.disk_bytes or 0) <= free_disk_bytes

    def _take(self, needed: Requirements, wished: Collection[int] = ()) -> Share:
        cores: tuple[int, ...] | None = None
        if self._assigner is not None:
            if needed.cores is not None:
                cores = self._assigner.take(needed.cores, wished)
            else:
                cores = self._assigner.free or self._assigner.all
                cores = tuple(core for core in cores if core in wished) or cores
        memory_bytes = (needed.memory_bytes or 0) if self._memory_bytes is not None else 0
        disk_bytes = (needed.disk_bytes or 0) if self._disk_bytes is not None else 0
        self._free_slots -= needed.slots
        self._reserved_bytes += memory_bytes
        self._reserved_disk_bytes += disk_bytes
        own = needed.cores is not None
        return Share(needed.slots, memory_bytes, cores, own, disk_bytes)
