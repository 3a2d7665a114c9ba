"""What is remembered of one task: its latest runs, and how often it had to run at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from buildnet.pool.estimation.size_law import fit_to_size
from buildnet.pool.estimation.spread import Spread, fading, fit_logs, weighted_median

MOST_SAMPLES = 16
_MOST_MS = 1e10
_FORGETTING = 0.9
"""What an earlier outcome counts less than the next one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run to a good end. ``command_ms``: the command alone, at this node's speed;
    ``around_ms``: staging before it and delivery after it, None: it ran elsewhere, where that is
    another thing;
    ``cpu_ms``: processor time at this node's speed, 0: not told; ``input_bytes``: of what it read,
    0: unknown."""

    command_ms: float
    around_ms: float | None
    cpu_ms: float = 0.0
    input_bytes: int = 0

    def as_list(self) -> list[float | None]:
        """Return what is kept of it."""
        around = None if self.around_ms is None else round(self.around_ms, 2)
        return [round(self.command_ms, 2), around, round(self.cpu_ms), self.input_bytes]

    @classmethod
    def read(cls, kept: Any) -> Sample:
        """Return what was kept.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(kept, list) or len(kept) != 4:
            raise ValueError("no sample")
        command, around, cpu, size = kept
        return cls(
            _number(command), None if around is None else _number(around), _number(cpu), int(size)
        )


@dataclass(frozen=True, slots=True)
class Expected:
    """What a task is expected to take on this node: ``whole`` with staging and delivery, of which
    ``around_ms`` (None: not measured). ``cores``: what its command keeps busy, None: not told."""

    whole: Spread
    around_ms: float | None = None
    cores: float | None = None

    @property
    def command_ms(self) -> float:
        """The command alone."""
        return max(0.0, self.whole.median_ms - (self.around_ms or 0.0))


@dataclass(slots=True)
class TaskMemory:
    """See the module's text. ``near``: how often it ran, and did not have to, after something that
    it depends on had run which was changed itself; ``far``: after something had run that only
    depends on what was changed. Later builds count more."""

    samples: list[Sample] = field(default_factory=list)
    near: tuple[float, float] = (0.0, 0.0)
    far: tuple[float, float] = (0.0, 0.0)
    _expected: dict[int, Expected] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        """Take note of a run."""
        self.samples.append(sample)
        del self.samples[:-MOST_SAMPLES]
        self._expected.clear()

    def decided(self, *, ran: bool, near: bool) -> None:
        """Take note of whether it had to run, though something before it did."""
        yes, no = (_FORGETTING * each for each in (self.near if near else self.far))
        counted = (yes + 1.0, no) if ran else (yes, no + 1.0)
        if near:
            self.near = counted
        else:
            self.far = counted

    def expected(self, input_bytes: int, usual_around_ms: float | None) -> Expected:
        """Return what the next run takes; there must be a sample. ``usual_around_ms``: what others
        of the workspace take around their commands, for one that never ran here."""
        known = self._expected.get(input_bytes)
        if known is None:
            known = _expected(self.samples, input_bytes, usual_around_ms)
            if len(self._expected) < MOST_SAMPLES:
                self._expected[input_bytes] = known
        return known

    def as_dict(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {
            "samples": [each.as_list() for each in self.samples],
            "near": [round(each, 3) for each in self.near],
            "far": [round(each, 3) for each in self.far],
        }

    @classmethod
    def read(cls, kept: Any) -> TaskMemory:
        """Return what was kept.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(kept, dict) or not isinstance(kept.get("samples"), list):
            raise ValueError("no memory of a task")
        samples = [Sample.read(each) for each in kept["samples"][-MOST_SAMPLES:]]
        return cls(samples, _pair(kept.get("near")), _pair(kept.get("far")))


def _expected(
    samples: Sequence[Sample], input_bytes: int, usual_around_ms: float | None
) -> Expected:
    arounds = [each.around_ms for each in samples if each.around_ms is not None]
    around_ms = weighted_median(arounds, fading(len(arounds))) if arounds else usual_around_ms
    wholes = [
        each.command_ms + (around_ms or 0.0 if each.around_ms is None else each.around_ms)
        for each in samples
    ]
    logs = [math.log(max(0.05, each)) for each in wholes]
    whole = fit_to_size(logs, [each.input_bytes for each in samples], input_bytes)
    busy = [each.cpu_ms / each.command_ms for each in samples if each.cpu_ms and each.command_ms]
    cores = weighted_median(busy, fading(len(busy))) if busy else None
    return Expected(whole or fit_logs(logs), around_ms, cores)


def _pair(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        return 0.0, 0.0
    return _number(value[0]), _number(value[1])


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= _MOST_MS:
        raise ValueError("no number that could be")
    return float(value)
