"""Measures when the parts of a build's tasks are, as they happen on this node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from buildnet.pool.timeline import QUEUE, STAGING, Timed, Timeline
from buildnet.pool.workspace import TaskId


class Laps:
    """Measures one part after the other; for one thread at a time. ``times``: those so far."""

    __slots__ = ("began_ns", "last_ns", "times")

    def __init__(self) -> None:
        self.began_ns = self.last_ns = time.monotonic_ns()
        self.times: list[Timed] = []

    def lap(self, name: str) -> tuple[Timed, ...]:
        """End a part that began where the last one ended; return all so far."""
        now = time.monotonic_ns()
        self.times.append(Timed(name, self.last_ns, now))
        self.last_ns = now
        return tuple(self.times)

    def take(self, times: Sequence[Timed]) -> None:
        """Take in what somebody else measured since; what was before that is staging."""
        if times:
            self.times.append(Timed(STAGING, self.last_ns, max(self.last_ns, times[0].began_ns)))
            self.times += times
            self.last_ns = max(self.last_ns, *(each.ended_ns for each in times))


def _anchor_ns() -> int:
    return time.time_ns() - time.monotonic_ns()


@dataclass(slots=True)
class Timings:
    """What is measured of one build's tasks besides their commands. From any thread, one at a time
    for each task. ``anchor_ns``: unix time at zero of the monotonic clock, for the whole build."""

    anchor_ns: int = field(default_factory=_anchor_ns)
    _parts: dict[TaskId, list[Timed]] = field(default_factory=dict)
    _waits: dict[TaskId, int] = field(default_factory=dict)

    def took(self, task: TaskId, name: str, began_s: float) -> None:
        """Take note of a part of a task that began at a time of ``time.monotonic`` and ends now."""
        part = Timed(name, round(began_s * 1e9), time.monotonic_ns())
        self._parts.setdefault(task, []).append(part)

    def waits(self, task: TaskId) -> None:
        """Take note that a task's command could run from now on, and waits for a place; one that
        waits already, and had a place in vain, has waited since before."""
        self._waits.setdefault(task, time.monotonic_ns())

    def begins(self, task: TaskId) -> None:
        """Take note that a task's command has its place."""
        since = self._waits.pop(task, None)
        if since is not None:
            part = Timed(QUEUE, since, time.monotonic_ns())
            self._parts.setdefault(task, []).append(part)

    def of(self, task: TaskId, command: Sequence[Timed]) -> Timeline | None:
        """Return a task's timeline; ``command``: what was measured of its command. None: nothing
        was measured of it."""
        if command and (since := self._waits.pop(task, None)) is not None:
            waited = Timed(QUEUE, since, max(since, command[0].began_ns))
            self._parts.setdefault(task, []).append(waited)
        self.begins(task)
        parts = self._parts.pop(task, [])
        if command and parts and parts[-1].name == QUEUE:  # that it began is heard a bit later
            last = parts[-1]
            ended_ns = max(last.began_ns, min(last.ended_ns, command[0].began_ns))
            parts[-1] = last._replace(ended_ns=ended_ns)
        return Timeline.of((*parts, *command), self.anchor_ns)
