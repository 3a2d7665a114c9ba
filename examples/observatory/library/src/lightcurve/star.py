"""One star with everything that was measured of it, and what follows from that."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from lightcurve.observation import Observation
from lightcurve.period import find_period, phase


class Point(NamedTuple):
    """A measurement at its place in the cycle."""

    phase: float
    magnitude: float


@dataclass(frozen=True, slots=True)
class Star:
    """A variable star, its observations in time order, and the period (days) they show."""

    name: str
    observations: tuple[Observation, ...]
    period: float

    @property
    def folded(self) -> list[Point]:
        """All measurements by phase. Phase 0 is the brightest measurement."""
        brightest = min(self.observations, key=lambda one: one.magnitude)
        return sorted(
            Point(phase(one.time - brightest.time, self.period), one.magnitude)
            for one in self.observations
        )

    def mean_curve(self, bins: int = 24) -> list[Point]:
        """The mean brightness in equal steps of phase; steps without a measurement are absent."""
        groups: defaultdict[int, list[float]] = defaultdict(list)
        for point in self.folded:
            groups[int(point.phase * bins)].append(point.magnitude)
        return [
            Point((index + 0.5) / bins, math.fsum(group) / len(group))
            for index, group in sorted(groups.items())
        ]

    @property
    def amplitude(self) -> float:
        """Magnitudes between the brightest and the faintest step of the mean curve."""
        magnitudes = [point.magnitude for point in self.mean_curve()]
        return max(magnitudes) - min(magnitudes)

    @property
    def kind(self) -> str:
        """A star that is eclipsed shines evenly most of the time; a pulsating one never rests."""
        magnitudes = sorted(one.magnitude for one in self.observations)
        middle = magnitudes[len(magnitudes) // 2]
        bright_half = middle - magnitudes[0]
        return "eclipsing" if bright_half < self.amplitude / 4 else "pulsating"


def read_stars(lines: Iterable[str]) -> list[Star]:
    """Read a table of observations (CSV with a header) and find the period of each star."""
    groups: defaultdict[str, list[Observation]] = defaultdict(list)
    for row in csv.DictReader(lines):
        observation = Observation.from_row(row)
        groups[observation.star].append(observation)
    return [_star(name, observations) for name, observations in sorted(groups.items())]


def _star(name: str, observations: list[Observation]) -> Star:
    ordered = tuple(sorted(observations, key=lambda one: one.time))
    period = find_period([one.time for one in ordered], [one.magnitude for one in ordered])
    return Star(name, ordered, period)
