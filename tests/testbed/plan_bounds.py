"""What no way of placing a plan's commands gets below; commands don't move once they have begun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from buildnet.pool.placement import Host
from buildnet.pool.workspace import TaskId
from testbed.plans import Plan

_CUTS = 16
"""So many heads and tails are looked at; any choice of them gives a bound."""


def least_ms(plan: Plan, hosts: Sequence[Host]) -> float:
    """Return a bound that is at least that of :meth:`Plan.bound_ms`, which takes a command for
    something that all hosts may run a part of at once.

    Of all tasks before which at least a time (head) passes and after which at least another (tail)
    does: these, and between them what the tasks alone take, see :func:`_alone_ms`. For the heads
    and tails cf. Carlier, "The one-machine sequencing problem" (1982).
    """
    speeds = sorted(
        (host.speed or 1.0 for host in hosts for _ in range(host.slots or 1)), reverse=True
    )
    heads, tails = _heads_and_tails(plan, speeds[0])
    largest_first = sorted(plan.durations_ms, key=lambda task: -plan.durations_ms[task])
    least = plan.bound_ms(hosts)
    for head in _cuts(heads.values()):
        for tail in _cuts(tails.values()):
            some = [task for task in largest_first if heads[task] >= head and tails[task] >= tail]
            if some:
                alone_ms = _alone_ms([plan.durations_ms[task] for task in some], speeds)
                least = max(least, head + alone_ms + tail)
    return least


def _heads_and_tails(plan: Plan, speed: float) -> tuple[dict[TaskId, float], dict[TaskId, float]]:
    """Return what passes before and after each task, if nothing waits for a slot."""
    heads: dict[TaskId, float] = {}

    def head(task: TaskId) -> float:
        if task not in heads:
            needs = plan.dependencies[task]
            heads[task] = max((head(each) + took_ms(each) for each in needs), default=0.0)
        return heads[task]

    def took_ms(task: TaskId) -> float:
        return plan.durations_ms[task] / speed

    for task in plan.durations_ms:
        head(task)
    tails = dict.fromkeys(heads, 0.0)
    for task in reversed(heads):  # what needs a task was put there after it
        for each in plan.dependencies[task]:
            tails[each] = max(tails[each], tails[task] + took_ms(task))
    return heads, tails


def _alone_ms(sizes: Sequence[float], speeds: Sequence[float]) -> float:
    """Return what commands take at least that nothing precedes; the largest and the fastest first.

    The ``n`` largest are on the ``n`` fastest slots at once at most. And each of them is at least
    as large as the last one, so they end no sooner than ``n`` commands of that size would, each of
    which is run as a whole by one slot.
    """
    least = work = power = 0.0
    for count, size in enumerate(sizes, 1):
        work += size
        power += speeds[count - 1] if count <= len(speeds) else 0.0
        least = max(least, work / power)
        ends = (nth * size / speed for speed in speeds for nth in range(1, count + 1))
        if count <= 4 * len(speeds):  # with more the parts hardly count
            least = max(least, sorted(ends)[count - 1])
    return least


def _cuts(times: Iterable[float]) -> list[float]:
    found = sorted(set(times))
    step = max(1, -(-len(found) // _CUTS))
    return found[::step]
