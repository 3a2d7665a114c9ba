"""Durations that are known from a few measurements: where most lie, and how far they scatter.

Durations of commands are skewed, so their logarithms are looked at. What was measured last counts
most: each one before it counts :data:`FADING` as much. Median and median deviation are used, for a
single measurement beside a stalled disk must not be believed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FADING = 0.85
LEAST_MS = 0.05
"""Nothing is taken to be shorter: the logarithm of 0 is none."""
_USUAL_SPREAD = 0.15
"""What commands scatter by, as long as too few measurements tell it."""
_USUAL_WEIGHT = 2.0
"""That counts as so many measurements."""
_LEAST_BEFORE, _LEAST_SINCE, _MOST_SINCE = 3, 2, 8
_STRANGE = 3.5
_CHANGED = math.log(1.3)
"""Two runs in a row that are so much longer or shorter, and so many deviations away, are the
command's that was changed, and not chance."""
_DEVIATIONS = 1.4826  # of the median deviation: the standard deviation of a normal distribution


@dataclass(frozen=True, slots=True)
class Spread:
    """A log-normal duration: its median, the standard deviation ``sigma`` of its logarithm, and so
    many measurements (``count``) that stand behind it; 0: it is a guess from others."""

    median_ms: float
    sigma: float
    count: float

    def scaled(self, factor: float) -> Spread:
        """Return it as so many times as long."""
        return Spread(self.median_ms * factor, self.sigma, self.count)


def fading(count: int) -> list[float]:
    """Return what each of so many measurements counts; the last one is the latest."""
    return [FADING ** (count - 1 - place) for place in range(count)]


def weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """Return the value that half of all weight lies on either side of; there must be one."""
    ordered = sorted(zip(values, weights, strict=True))
    half, below = sum(weights) / 2, 0.0
    for place, (value, weight) in enumerate(ordered):
        below += weight
        if math.isclose(below, half) and place + 1 < len(ordered):
            return (value + ordered[place + 1][0]) / 2
        if below > half:
            return value
    return ordered[-1][0]


def fit(durations_ms: Sequence[float]) -> Spread:
    """Return what is to be expected after these measurements, the latest last; at least one."""
    logs = [math.log(max(LEAST_MS, each)) for each in durations_ms]
    return fit_logs(logs)


def fit_logs(logs: Sequence[float]) -> Spread:
    """Do so of logarithms of milliseconds."""
    since = since_change(logs)
    middle = weighted_median(since, fading(len(since)))
    return Spread(math.exp(middle), spread_around(since, middle), len(since))


def since_change(logs: Sequence[float]) -> Sequence[float]:
    """Return the latest values from where all of them are something else than those before; all,
    if there is no such place."""
    for count in range(min(_MOST_SINCE, len(logs) - _LEAST_BEFORE), _LEAST_SINCE - 1, -1):
        before, since = logs[:-count], logs[-count:]
        middle = weighted_median(before, fading(len(before)))
        least = max(_CHANGED, _STRANGE * spread_around(before, middle))
        if min(since) > middle + least or max(since) < middle - least:
            return since
    return logs


def spread_around(logs: Sequence[float], middle: float, usual: float = _USUAL_SPREAD) -> float:
    """Return how far values scatter around ``middle``; where few are known, nearly ``usual``."""
    weights = fading(len(logs))
    total = sum(weights)
    away = [abs(each - middle) for each in logs]
    measured = _DEVIATIONS * weighted_median(away, weights) if len(logs) > 1 else usual
    known = _USUAL_WEIGHT * usual**2 + total * measured**2
    variance = known / (_USUAL_WEIGHT + total)
    # The middle itself is known only so well.
    return math.sqrt(variance * (1.0 + 1.0 / (1.0 + total)))
