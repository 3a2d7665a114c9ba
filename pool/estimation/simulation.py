"""One build played through: who runs what when, if each task takes what is said. Pure.

It goes by the rules of a real build (:mod:`buildnet.pool.build` over its places): the longest
remaining path first, what is small does not overtake what is large and more urgent, and a command
may wait for a faster slot that is busy (:mod:`buildnet.pool.outlook`). It keeps no states and makes
no effects, for it is played hundreds of times.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from buildnet.pool.outlook import Outlook

HERE = 0
"""The place of this node among the hosts."""
NOWHERE = -1
"""Where a task is that needs no slot."""
_LOOKED_BEYOND = 32


@dataclass(frozen=True, slots=True)
class SimulatedHost:
    """Slots that a build may have on one host; ``speed``: how many times as fast as this node."""

    slots: int
    speed: float = 1.0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One task. ``needs``: the steps before it, each of a lower number; ``slots``: what its command
    takes; ``may_move``: it may run on other hosts; ``running_on``: the host where it runs
    already."""

    needs: tuple[int, ...] = ()
    slots: int = 1
    may_move: bool = False
    running_on: int | None = None


@dataclass(frozen=True, slots=True)
class Takes:
    """What each step takes. ``here_ms``: on this node; ``away_ms``: its command at this node's
    speed; ``transfer_ms``: of one that runs elsewhere, besides its command; ``runs``: whether it
    needs a slot."""

    here_ms: Sequence[float]
    away_ms: Sequence[float]
    runs: Sequence[bool]
    transfer_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Played:
    """How it went: when all was over, and for each step when it began and ended, and where."""

    end_ms: float
    began_ms: Sequence[float]
    ended_ms: Sequence[float]
    hosts: Sequence[int]


class Simulation:
    """A plan on some hosts; the first of them is this node. ``expected_ms``: what the steps take as
    far as the build knows, which the order goes by."""

    def __init__(
        self,
        steps: Sequence[Step],
        hosts: Sequence[SimulatedHost],
        expected_ms: Sequence[float],
    ) -> None:
        self._steps = steps
        self._hosts = hosts
        self._after: list[list[int]] = [[] for _ in steps]
        for number, step in enumerate(steps):
            for needed in step.needs:
                self._after[needed].append(number)
        self._path = [0.0] * len(steps)
        for number in range(len(steps) - 1, -1, -1):
            after = max((self._path[each] for each in self._after[number]), default=0.0)
            self._path[number] = after + expected_ms[number]
        self._slots = [min(step.slots, hosts[HERE].slots) for step in steps]
        self._may_wait = len({host.speed for host in hosts}) > 1

    @property
    def path_ms(self) -> float:
        """The longest chain of what is expected."""
        return max(self._path, default=0.0)

    def play(self, takes: Takes) -> Played:
        """Play it through."""
        steps, path, after = self._steps, self._path, self._after
        count = len(steps)
        left = [len(step.needs) for step in steps]
        began, ended, where = [0.0] * count, [0.0] * count, [NOWHERE] * count
        free = [host.slots for host in self._hosts]
        busy: list[tuple[float, int]] = []
        ready: list[tuple[float, int]] = []
        now = 0.0

        def begin(number: int) -> None:
            """Begin what needs no slot, or runs already; what needs one waits for it."""
            running_on = steps[number].running_on
            if running_on is None and takes.runs[number]:
                heapq.heappush(ready, (-path[number], number))
                return
            began[number] = now
            if running_on is not None:
                where[number] = running_on
                free[running_on] -= self._slots[number]
            heapq.heappush(busy, (now + takes.here_ms[number], number))

        def start() -> None:
            """Let begin what has a slot now."""
            if ready:
                for number, host, took_ms in self._started(takes, ready, free, busy, where, now):
                    where[number], began[number] = host, now
                    free[host] -= self._slots[number]
                    heapq.heappush(busy, (now + took_ms, number))

        for number in range(count):
            if not left[number]:
                begin(number)
        start()
        while busy:
            now, number = heapq.heappop(busy)
            ended[number] = now
            if where[number] != NOWHERE:
                free[where[number]] += self._slots[number]
            start()  # what only now becomes ready is looked at first, and comes too late
            for each in after[number]:
                left[each] -= 1
                if not left[each]:
                    begin(each)
            start()
        return Played(now, began, ended, where)

    def _started(
        self,
        takes: Takes,
        ready: list[tuple[float, int]],
        free: list[int],
        busy: list[tuple[float, int]],
        where: list[int],
        now: float,
    ) -> list[tuple[int, int, float]]:
        """Take from ``ready`` what begins now; return its numbers, hosts and durations."""
        if len(free) == 1:
            return self._started_here(takes, ready, free[HERE])
        found: list[tuple[int, int, float]] = []
        room, passed, is_kept = list(free), list[tuple[float, int]](), False
        outlook: Outlook | None = None
        while ready and len(passed) < _LOOKED_BEYOND:
            if (is_kept or room[HERE] <= 0) and not any(slots > 0 for slots in room[1:]):
                break
            entry = heapq.heappop(ready)
            host, took_ms = self._best(takes, entry[1], room, is_kept)
            if host != NOWHERE and self._may_wait and self._steps[entry[1]].may_move:
                if outlook is None:
                    speeds = [each.speed for each in self._hosts]
                    outlook = Outlook(
                        (end - now, speeds[where[number]])
                        for end, number in busy
                        if where[number] != NOWHERE
                    )
                speed = self._hosts[host].speed
                if outlook.waits(takes.away_ms[entry[1]], speed):
                    passed.append(entry)
                    continue
                outlook.taken(took_ms, speed)
            if host == NOWHERE:
                is_kept = True
                passed.append(entry)
                continue
            room[host] -= self._slots[entry[1]]
            found.append((entry[1], host, took_ms))
        for entry in passed:
            heapq.heappush(ready, entry)
        if not found and not busy:  # nothing to wait for after all
            _, number = heapq.heappop(ready)
            found.append((number, HERE, takes.here_ms[number]))
        return found

    def _started_here(
        self, takes: Takes, ready: list[tuple[float, int]], room: int
    ) -> list[tuple[int, int, float]]:
        found: list[tuple[int, int, float]] = []
        while ready and self._slots[ready[0][1]] <= room:
            _, number = heapq.heappop(ready)
            room -= self._slots[number]
            found.append((number, HERE, takes.here_ms[number]))
        return found

    def _best(
        self, takes: Takes, number: int, room: Sequence[int], is_kept: bool
    ) -> tuple[int, float]:
        """Return the free host where a step is over first, and what it takes there."""
        slots, best, best_ms = self._slots[number], NOWHERE, 0.0
        if not is_kept and slots <= room[HERE]:
            best, best_ms = HERE, takes.here_ms[number]
        if self._steps[number].may_move:
            for host in range(1, len(room)):
                if slots <= room[host]:
                    took_ms = takes.away_ms[number] / self._hosts[host].speed + takes.transfer_ms
                    if best == NOWHERE or took_ms < best_ms:
                        best, best_ms = host, took_ms
        return best, best_ms
