"""Which chain of tasks a build's time hung on, and what it would have taken with more room.

Both from what was measured: the chain follows, from the task that ended last, always the one that
its task waited for longest; room is had as much as is wanted where no task waits for a place, and
everything else takes what it took.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from buildnet.pool.recorded import RecordedTask, Waits
from buildnet.pool.timeline import EXECUTION, QUEUE

_MS_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """One task of the path. ``before_ms``: between the end of what it waited for and its begin;
    ``waited_ms``: for a place; ``work_ms``: the rest of its time."""

    task: str
    began_ns: int
    ended_ns: int
    before_ms: float
    waited_ms: float
    work_ms: float

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "task": self.task,
            "began_ns": self.began_ns,
            "ended_ns": self.ended_ns,
            "before_ms": round(self.before_ms, 3),
            "waited_ms": round(self.waited_ms, 3),
            "work_ms": round(self.work_ms, 3),
        }


def critical_path(tasks: Sequence[RecordedTask]) -> tuple[Step, ...]:
    """Return the chain that ended last, its first task first; empty: nothing was measured."""
    measured = [task for task in tasks if task.timeline is not None]
    if not measured:
        return ()
    waits = Waits(tasks)
    task: RecordedTask | None = max(measured, key=lambda each: (each.ended_ns, each.name))
    seen: set[str] = set()
    steps: list[Step] = []
    while task is not None and task.name not in seen:
        seen.add(task.name)
        needed = waits.of(task)
        last = max(needed, key=lambda each: (each.ended_ns, each.name), default=None)
        before_ms = 0.0 if last is None else max(0, task.began_ns - last.ended_ns) / _MS_NS
        steps.append(
            Step(task.name, task.began_ns, task.ended_ns, before_ms, task.waited_ms, task.work_ms)
        )
        task = last
    return tuple(reversed(steps))


def elapsed_ms(tasks: Sequence[RecordedTask]) -> float:
    """Return how long it was from the first thing measured to the last."""
    measured = [task for task in tasks if task.timeline is not None]
    if not measured:
        return 0.0
    began = min(task.began_ns for task in measured)
    return (max(task.ended_ns for task in measured) - began) / _MS_NS


def held_up(tasks: Sequence[RecordedTask]) -> list[RecordedTask]:
    """Return the tasks that waited while others' commands ran: with more room they would not have,
    or not as long. Who waits alone waits for something else than a place."""
    running = [
        (each.began_ns + part.at_us * 1000, each.began_ns + part.end_us * 1000)
        for each in tasks
        if each.timeline is not None
        for part in each.timeline.parts
        if part.name == EXECUTION
    ]
    begins, ends = sorted(one for one, _ in running), sorted(one for _, one in running)

    def waited(task: RecordedTask) -> bool:
        for part in () if task.timeline is None else task.timeline.parts:
            middle_ns = task.began_ns + (part.at_us + part.end_us) * 500
            at_once = bisect_right(begins, middle_ns) - bisect_right(ends, middle_ns)
            if part.name == QUEUE and at_once > 0:
                return True
        return False

    return [task for task in tasks if waited(task)]


def with_room_ms(tasks: Sequence[RecordedTask], waited: Collection[str]) -> float:
    """Return how long all would have taken at least, had none of the tasks ``waited`` waited for a
    place: the longest chain of what each took else."""
    waits = Waits(tasks)
    ended: dict[str, float] = {}
    # What a task waited for ended before it did, so this order knows it first.
    for task in sorted(tasks, key=lambda each: (each.ended_ns, each.began_ns)):
        if task.timeline is not None:
            ready = max((ended.get(each.name, 0.0) for each in waits.of(task)), default=0.0)
            waited_ms = 0.0 if task.name in waited else task.waited_ms
            ended[task.name] = ready + waited_ms + task.work_ms
    return max(ended.values(), default=0.0)
