"""The coordinator's queue as people see it: order, state in words, estimated start and end. Pure.

When a build ends its driver foretells (:mod:`buildnet.pool.estimation`); who waits begins when the
work before it is done. What is not known is None: a build of a workspace of which nothing ever ran,
and all that wait behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from buildnet.pool.demand import Demand


class QueueState(StrEnum):
    """What a build of the queue does."""

    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Queued:
    """One build of the queue. ``place``: from 1; ``leases``: slots that it has of other hosts;
    ``starts_in_ms``: None: it runs, or nobody knows; ``ends_in_ms``: None: nobody knows."""

    demand: Demand
    place: int
    leases: int
    state: QueueState
    starts_in_ms: int | None
    ends_in_ms: int | None


def queue_view(ranked: Sequence[tuple[Demand, int]], slots: int, *, paused: bool) -> list[Queued]:
    """Return the queue as people see it.

    Args:
        ranked: builds and the slots that each has elsewhere, who comes next first.
        slots: how many there are to be given, given ones among them.
        paused: the whole queue is.
    """
    found: list[Queued] = []
    before_ms: float | None = 0.0
    for place, (demand, leases) in enumerate(ranked, 1):
        orders, far = demand.orders, demand.how_far
        left_ms, ends_ms = far.left_ms, far.ends_ms
        starts: float | None = None
        ends: float | None = None
        if paused or orders.paused:
            state = QueueState.PAUSED
        elif far.running:
            state = QueueState.RUNNING
            ends = ends_ms
        else:
            state = QueueState.WAITING
            if before_ms is not None and far.waits_for is None:
                starts = before_ms / max(1, slots)
                if ends_ms is not None:
                    ends = starts + ends_ms
        if state is not QueueState.PAUSED and before_ms is not None:
            before_ms = None if left_ms is None else before_ms + left_ms
        found.append(Queued(demand, place, leases, state, _whole(starts), _whole(ends)))
    return found


def in_words(entry: Queued) -> str:
    """Return what a build does."""
    far = entry.demand.how_far
    hosts = "one host" if far.hosts == 1 else f"{far.hosts} hosts"
    if entry.state is QueueState.RUNNING:
        return f"running on {hosts}"
    if entry.state is QueueState.PAUSED:
        if not far.running:
            return "paused"
        commands = "a command ends" if far.running == 1 else f"{far.running} commands end"
        return f"paused; {commands} on {hosts} first"
    return "waiting" if far.waits_for is None else f"waiting for {far.waits_for}"


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
