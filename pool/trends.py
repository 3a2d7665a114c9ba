"""How packages fared over many builds: how long their commands took, how often results were there,
how often they failed. Counted are the tasks that builds had to look at; what stands as before costs
nothing, and is not told one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from buildnet.pool.recorded import FULL

MOST_BUILDS: Final = 500
MOST_POINTS: Final = 60
"""Of one package's latest durations that are told."""
MOST_TASKS: Final = 1000


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One task in one build. ``executed_ms``: how long its command ran, if it ran then."""

    build_id: str
    started_at: float
    name: str
    status: str
    tier: str | None
    executed_ms: float | None


@dataclass(slots=True)
class _Counts:
    looked_at: int = 0
    there: int = 0
    ran: int = 0
    failed: int = 0
    took: list[tuple[float, str, float]] = field(default_factory=list)

    def take(self, run: TaskRun) -> None:
        if run.tier is None and run.status != "failed":
            return  # it was not looked at: skipped, or cancelled
        self.looked_at += 1
        if run.status == "failed":
            self.failed += 1
        if run.tier == FULL:
            self.ran += 1
            if run.status == "succeeded" and run.executed_ms is not None:
                self.took.append((run.started_at, run.build_id, run.executed_ms))
        elif run.status == "succeeded":
            self.there += 1


@dataclass(frozen=True, slots=True)
class Trend:
    """One task over many builds; ``points``: its latest durations with their builds, oldest first;
    ``p50_ms``, ``p90_ms`` of all of them, None: it never ran to its end."""

    task: str
    looked_at: int
    there: int
    ran: int
    failed: int
    p50_ms: float | None
    p90_ms: float | None
    points: tuple[tuple[float, str, float], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "task": self.task,
            "looked_at": self.looked_at,
            "there": self.there,
            "ran": self.ran,
            "failed": self.failed,
            "hit_rate": rate(self.there, self.there + self.ran),
            "p50_ms": self.p50_ms,
            "p90_ms": self.p90_ms,
            "points": [
                {"started_at": at, "build_id": build, "executed_ms": ms}
                for at, build, ms in self.points
            ],
        }


def trends(runs: Iterable[TaskRun], *, package: str | None = None) -> tuple[Trend, ...]:
    """Return the trend of each task, those first that took most time in all; ``package``: of its
    tasks alone."""
    counts: dict[str, _Counts] = {}
    for run in sorted(runs, key=lambda each: (each.started_at, each.build_id)):
        if package is None or package in (run.name, run.name.partition("#")[0]):
            counts.setdefault(run.name, _Counts()).take(run)
    found = [_trend(name, each) for name, each in counts.items() if each.looked_at]
    total = {name: sum(ms for _, _, ms in each.took) for name, each in counts.items()}
    found.sort(key=lambda trend: (-total[trend.task], trend.task))
    return tuple(found[:MOST_TASKS])


def overall(found: Sequence[Trend]) -> dict[str, Any]:
    """Return what holds of all tasks together."""
    there, ran = sum(one.there for one in found), sum(one.ran for one in found)
    return {
        "looked_at": sum(one.looked_at for one in found),
        "there": there,
        "ran": ran,
        "failed": sum(one.failed for one in found),
        "hit_rate": rate(there, there + ran),
    }


def rate(part: int, whole: int) -> float | None:
    """Return a share from 0 to 1; None: of nothing."""
    return round(part / whole, 3) if whole else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value that such a share of the values does not exceed, between two of them in
    proportion; None: there are none."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _trend(name: str, counts: _Counts) -> Trend:
    took = [ms for _, _, ms in counts.took]
    p50, p90 = percentile(took, 0.5), percentile(took, 0.9)
    return Trend(
        name,
        counts.looked_at,
        counts.there,
        counts.ran,
        counts.failed,
        None if p50 is None else round(p50, 1),
        None if p90 is None else round(p90, 1),
        tuple(counts.took[-MOST_POINTS:]),
    )
