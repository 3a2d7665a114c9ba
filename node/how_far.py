"""How far a build is: what runs, and how long the rest takes by what was measured before. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from buildnet.pool.workspace import Task, TaskId


def time_left(
    tasks: Mapping[TaskId, Task], ended: Collection[TaskId], durations_ms: Mapping[TaskId, float]
) -> tuple[int | None, int | None]:
    """Return how long the commands of the tasks take that have not ended, in milliseconds: one
    after the other, and the longest chain of them; None: one of them never ran.

    ``tasks`` stand in the order of their dependencies.
    """
    total, longest = 0.0, 0.0
    until: dict[TaskId, float] = {}
    for task, known in tasks.items():
        if task in ended:
            continue
        took = 0.0 if known.command is None else durations_ms.get(task)
        if took is None:
            return None, None
        total += took
        until[task] = took + max((until.get(each, 0.0) for each in known.depends_on), default=0.0)
        longest = max(longest, until[task])
    return round(total), round(longest)
