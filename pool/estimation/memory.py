"""What is learned of one workspace: its tasks, and what builds take besides commands. Pure.

All of it is measured; what was measured last counts most, and how much is kept is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildnet.pool.estimation.sample import Expected, Sample, TaskMemory
from buildnet.pool.estimation.spread import (
    LEAST_MS,
    Spread,
    fading,
    fit,
    spread_around,
    weighted_median,
)

MOST_KEPT = 16
_GUESS = Spread(1000.0, 1.5, 0)
"""Of a command where nothing at all ever ran."""
_STRANGE_SIGMA = 0.8
"""What commands of one kind differ by at least, where one of them never ran."""
_FINDING = Spread(5.0, 0.7, 0)
"""Of putting a result into place that was never done."""
_OVERHEAD = (5.0, 2.0)
"""Milliseconds of a build, and of each of its tasks, besides commands, before any was measured."""
_COMMON_SIGMA, _COMMON_WEIGHT = 0.06, 3.0
"""What all commands of one build are slower or faster together, before it was measured."""
_LATEST_TASKS = 12
"""What staging takes is told by so many tasks."""
_USUAL_WEIGHT = 2.0
"""What a task's own outcomes are weighed against."""
_WANTED = 0.8
_WIDEST = 2.0
"""The range is made no wider than so many times what was computed: one build that went wrong would
make it worthless for many."""


@dataclass(slots=True)
class Chances:
    """How often something happened, of how often it could have; ``usual`` before it was seen."""

    usual: float
    weight: float
    yes: float = 0.0
    no: float = 0.0

    def add(self, happened: bool) -> None:
        """Take note of one time."""
        self.yes, self.no = self.yes * 0.98, self.no * 0.98
        if happened:
            self.yes += 1.0
        else:
            self.no += 1.0

    @property
    def chance(self) -> float:
        """How likely it is."""
        return (self.yes + self.usual * self.weight) / (self.yes + self.no + self.weight)


@dataclass(slots=True)
class WorkspaceMemory:
    """See the module's text. ``finding_ms``: putting results into place; ``transfer_ms``: what
    commands took besides themselves that ran elsewhere; ``overhead``: (tasks, milliseconds) of
    builds besides what their tasks took; ``common``: by what factor, as a logarithm, all commands
    of a build took longer than expected; ``ranks``: how far builds ended from what was expected,
    1: at the end of the range that was computed for four fifths of them."""

    tasks: dict[str, TaskMemory] = field(default_factory=dict)
    finding_ms: list[float] = field(default_factory=list)
    transfer_ms: list[float] = field(default_factory=list)
    overhead: list[tuple[int, float]] = field(default_factory=list)
    common: list[float] = field(default_factory=list)
    ranks: list[float] = field(default_factory=list)
    near: Chances = field(default_factory=lambda: Chances(0.95, 4.0))
    """A task runs after something that it depends on ran which was changed itself."""
    far: Chances = field(default_factory=lambda: Chances(0.8, 3.0))
    """A task runs after something that it depends on ran, which only depends on a change."""
    changed: Chances = field(default_factory=lambda: Chances(0.95, 3.0))
    """A task runs of which something was changed."""
    runs_at_all: Chances = field(default_factory=lambda: Chances(0.05, 2.0))
    """A task runs whose dependencies were all found."""
    is_elsewhere: Chances = field(default_factory=lambda: Chances(0.0, 2.0))
    """What has no result here has one on another node."""

    @classmethod
    def told(cls, durations_ms: Mapping[str, float]) -> WorkspaceMemory:
        """Return what another node knows of a workspace that has told what its tasks take."""
        found = cls()
        for name, took_ms in durations_ms.items():
            found.tasks[name] = TaskMemory([Sample(took_ms, 0.0)])
        return found

    @property
    def is_measured(self) -> bool:
        """Whether any command of the workspace ever ran."""
        return any(memory.samples for memory in self.tasks.values())

    def expected(self, wanted: Iterable[tuple[str, str, int]]) -> list[Expected]:
        """Return what tasks take on this node; of those that never ran, what others like them do.

        Args:
            wanted: of each its name, what such tasks are called in all packages, and how many bytes
                it reads, 0: unknown.
        """
        around_ms, alike = self._around_ms(), dict[str, Expected]()
        found: list[Expected] = []
        for name, task, input_bytes in wanted:
            known = self.tasks.get(name)
            if known is not None and known.samples:
                found.append(known.expected(input_bytes, around_ms))
                continue
            if task not in alike:
                alike[task] = Expected(self._like(task, around_ms), around_ms)
            found.append(alike[task])
        return found

    def _like(self, task: str, around_ms: float | None) -> Spread:
        """Return what a task that never ran takes, by what the others take."""
        logs = {
            each: math.log(memory.expected(0, around_ms).whole.median_ms)
            for each, memory in self.tasks.items()
            if memory.samples
        }
        alike = [value for each, value in logs.items() if each.rpartition("#")[2] == task]
        values = alike or list(logs.values())
        if not values:
            return _GUESS
        equal = [1.0] * len(values)
        middle = weighted_median(values, equal)
        away = weighted_median([abs(each - middle) for each in values], equal)
        return Spread(math.exp(middle), max(_STRANGE_SIGMA, 1.5 * away), 0)

    def _around_ms(self) -> float | None:
        """Return what staging and delivery take, usually."""
        latest = [
            around
            for memory in list(self.tasks.values())[-_LATEST_TASKS:]
            for sample in memory.samples[-1:]
            if (around := sample.around_ms) is not None
        ]
        return weighted_median(latest, [1.0] * len(latest)) if latest else None

    def chance_to_run(self, name: str, *, near: bool) -> float:
        """Return how likely a task runs if something that it depends on did; ``near``: which was
        changed itself."""
        usual, known = self.near if near else self.far, self.tasks.get(name)
        if known is None:
            return usual.chance
        yes, no = known.near if near else known.far
        return (yes + usual.chance * _USUAL_WEIGHT) / (yes + no + _USUAL_WEIGHT)

    @property
    def _chances(self) -> tuple[Chances, ...]:
        return self.near, self.far, self.changed, self.runs_at_all, self.is_elsewhere

    @property
    def finding(self) -> Spread:
        """What putting a result into place takes."""
        return fit(self.finding_ms) if self.finding_ms else _FINDING

    @property
    def transfer(self) -> Spread | None:
        """What a command takes besides itself that runs elsewhere; None: none did."""
        return fit(self.transfer_ms) if self.transfer_ms else None

    def overhead_of(self, tasks: int) -> Spread:
        """Return what a build of so many tasks takes besides them."""
        base_ms, each_ms = self._overhead()
        told = [base_ms + each_ms * count for count, _ in self.overhead]
        logs = [
            math.log(max(LEAST_MS, took_ms) / max(LEAST_MS, expected))
            for expected, (_, took_ms) in zip(told, self.overhead, strict=True)
        ]
        sigma = spread_around(logs, 0.0, 0.5) if logs else 0.7
        return Spread(max(LEAST_MS, base_ms + each_ms * tasks), sigma, len(self.overhead))

    def _overhead(self) -> tuple[float, float]:
        """Return what builds take besides their tasks: at any rate, and for each of them."""
        if not self.overhead:
            return _OVERHEAD
        counts = [count for count, _ in self.overhead]
        weights = fading(len(self.overhead))
        slopes = [
            ((later_ms - first_ms) / (later - first), weights[a] * weights[b])
            for a, (first, first_ms) in enumerate(self.overhead)
            for b, (later, later_ms) in enumerate(self.overhead)
            if later > first
        ]
        if len(set(counts)) < 2 or not slopes:
            share = weighted_median([ms / max(1, n) for n, ms in self.overhead], weights)
            return 0.0, share
        slope = max(0.0, weighted_median(*map(list, zip(*slopes, strict=True))))
        rest = [ms - slope * count for count, ms in self.overhead]
        return max(0.0, weighted_median(rest, weights)), slope

    @property
    def common_sigma(self) -> float:
        """By how much all commands of a build differ from what is expected, together."""
        if not self.common:
            return _COMMON_SIGMA
        weights = fading(len(self.common))
        measured = 1.4826 * weighted_median([abs(each) for each in self.common], weights)
        total = sum(weights)
        known = _COMMON_WEIGHT * _COMMON_SIGMA**2 + total * measured**2
        return math.sqrt(known / (_COMMON_WEIGHT + total))

    @property
    def widening(self) -> float:
        """How many times as wide as computed the range has to be that holds four fifths of the
        builds, by how the latest ones ended."""
        assumed = [0.2, 0.4, 0.6, 0.8, 1.0]  # as it would be if the computed range were right
        known = sorted([*assumed, *self.ranks])
        place = min(len(known) - 1, math.ceil(_WANTED * (len(known) + 1)) - 1)
        return min(_WIDEST, max(0.3, known[place]))

    def keep(self, values: list[float], value: float) -> None:
        """Add to one of the lists above."""
        values.append(value)
        del values[:-MOST_KEPT]

    def keep_overhead(self, tasks: int, took_ms: float) -> None:
        """Take note of what a build took besides its tasks."""
        self.overhead.append((tasks, took_ms))
        del self.overhead[:-MOST_KEPT]

    def as_dict(self) -> dict[str, Any]:
        """Return what is kept of the workspace itself, without its tasks."""
        return {
            "finding_ms": _rounded(self.finding_ms),
            "transfer_ms": _rounded(self.transfer_ms),
            "overhead": [[count, round(ms, 2)] for count, ms in self.overhead],
            "common": _rounded(self.common, 4),
            "ranks": _rounded(self.ranks, 4),
            "chances": [[round(each.yes, 3), round(each.no, 3)] for each in self._chances],
        }

    @classmethod
    def read(cls, kept: Any) -> WorkspaceMemory:
        """Return what was kept.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(kept, dict):
            raise ValueError("no memory of a workspace")
        found = cls(
            finding_ms=_floats(kept.get("finding_ms")),
            transfer_ms=_floats(kept.get("transfer_ms")),
            overhead=[(int(n), float(ms)) for n, ms in kept.get("overhead", ())][-MOST_KEPT:],
            common=_floats(kept.get("common")),
            ranks=_floats(kept.get("ranks")),
        )
        for each, (yes, no) in zip(found._chances, kept.get("chances", ()), strict=False):
            each.yes, each.no = float(yes), float(no)
        return found


def _rounded(values: Sequence[float], digits: int = 2) -> list[float]:
    return [round(each, digits) for each in values]


def _floats(values: Any) -> list[float]:
    return [float(each) for each in values or ()][-MOST_KEPT:]
