"""What a workspace's memory takes from a build that went to its end. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from buildnet.pool.estimation.forecast import Forecast, Forecaster
from buildnet.pool.estimation.memory import WorkspaceMemory
from buildnet.pool.estimation.piece import Ended, Fate
from buildnet.pool.estimation.sample import Sample, TaskMemory
from buildnet.pool.estimation.spread import LEAST_MS, weighted_median

MOST_TASKS = 5000
"""Of so many tasks of one workspace something is remembered."""
_LEAST_RUN_MS = 5.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """A build that went to its good end. ``forecaster``, ``forecast``: what was looked ahead with,
    and what came of it; ``ended``: what became of its pieces; ``took_ms``: from that moment to the
    build's end."""

    forecaster: Forecaster
    forecast: Forecast
    ended: Sequence[Ended]
    took_ms: float


def learn_build(memory: WorkspaceMemory, lesson: Lesson) -> None:
    """Take note of how a build went; before :func:`learn_runs` of it."""
    forecaster, ended = lesson.forecaster, lesson.ended
    _learn_chances(memory, lesson)
    besides_ms = max(0.0, lesson.took_ms - forecaster.as_it_was(ended))
    memory.keep_overhead(len(ended), besides_ms)
    memory.keep(memory.ranks, _rank(lesson.forecast, lesson.took_ms))
    off = [
        (math.log(each.duration_ms / expected.whole.median_ms), expected.whole.median_ms)
        for each, expected, piece in zip(ended, forecaster.expected, forecaster.pieces, strict=True)
        if each.ran
        and expected.whole.count > 0
        and piece.running_ms is None
        and each.duration_ms > _LEAST_RUN_MS
    ]
    if off:
        memory.keep(memory.common, weighted_median(*map(list, zip(*off, strict=True))))
    for each, piece in zip(ended, forecaster.pieces, strict=True):
        if piece.has_command and not each.ran and each.duration_ms > 0:
            memory.keep(memory.finding_ms, each.duration_ms)


def learn_runs(memory: WorkspaceMemory, runs: Mapping[str, Sample]) -> None:
    """Take note of commands that ran to a good end, whatever became of the build."""
    for name, sample in runs.items():
        known = memory.tasks.pop(name, None) or TaskMemory()
        memory.tasks[name] = known  # the latest ones stand last
        known.add(sample)
    for name in list(memory.tasks)[: max(0, len(memory.tasks) - MOST_TASKS)]:
        del memory.tasks[name]


def _learn_chances(memory: WorkspaceMemory, lesson: Lesson) -> None:
    moved: list[tuple[bool, bool]] = []
    for piece, each in zip(lesson.forecaster.pieces, lesson.ended, strict=True):
        near = any(moved[needed][0] for needed in piece.needs)
        far = any(moved[needed][1] for needed in piece.needs)
        if not piece.has_command:
            moved.append((near, far))
            continue
        is_own = piece.fate is not Fate.UNKNOWN
        moved.append((each.ran and is_own, each.ran and not is_own))
        match piece.fate:
            case Fate.RUN:
                memory.is_elsewhere.add(not each.ran)
            case Fate.CHANGED:
                memory.changed.add(each.ran)
            case Fate.UNKNOWN if near or far:
                (memory.near if near else memory.far).add(each.ran)
                known = memory.tasks.setdefault(piece.name, TaskMemory())
                known.decided(ran=each.ran, near=near)
            case Fate.UNKNOWN:
                memory.runs_at_all.add(each.ran)


def _rank(forecast: Forecast, took_ms: float) -> float:
    """Return how far from the middle a build ended, 1: at the end of the range as computed."""
    middle = max(LEAST_MS, forecast.middle_ms)
    off = math.log(max(LEAST_MS, took_ms) / middle)
    end = forecast.raw_high_ms if off >= 0 else forecast.raw_low_ms
    reach = abs(math.log(max(LEAST_MS, end) / middle))
    return min(10.0, abs(off) / max(0.01, reach))
