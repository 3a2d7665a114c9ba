"""Phase dispersion minimisation (R. F. Stellingwerf, 1978, ApJ 224, 953).

Fold the measurements with a trial period and sort them into bins by phase. With the right period
the measurements of one bin agree, so the period to find is the one with the least scatter in bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BINS = 16
STEPS_PER_CYCLE = 8  # over the whole time span, neighbouring trials differ by 1/8 of a cycle
REFINEMENTS = 4


def phase(time: float, period: float) -> float:
    """Where in its cycle a star of that period (days) is: 0 <= phase < 1."""
    return time / period % 1


def dispersion(times: Sequence[float], values: Sequence[float], frequency: float) -> float:
    """Scatter within phase bins over the scatter of all values: 1 is noise, 0 a perfect period.

    `values` must have a mean of zero. `frequency` is in cycles per day.
    """
    counts = [0] * BINS
    sums = [0.0] * BINS
    for time, value in zip(times, values, strict=True):
        index = int(time * frequency % 1 * BINS)
        counts[index] += 1
        sums[index] += value
    filled = [(total, count) for total, count in zip(sums, counts, strict=True) if count]
    if len(values) <= len(filled):
        return 1.0  # one measurement a bin: nothing can scatter
    squares = sum(value * value for value in values)
    explained = sum(total * total / count for total, count in filled)
    return (squares - explained) / (len(values) - len(filled)) / (squares / (len(values) - 1))


def find_period(
    times: Sequence[float],
    magnitudes: Sequence[float],
    shortest: float = 0.4,
    longest: float = 12.0,
) -> float:
    """The period in days, between `shortest` and `longest`, that explains the measurements best."""
    start, mean = min(times), math.fsum(magnitudes) / len(magnitudes)
    days = [time - start for time in times]
    values = [magnitude - mean for magnitude in magnitudes]

    step = 1 / (STEPS_PER_CYCLE * max(days))
    trials = int((1 / shortest - 1 / longest) / step)
    frequencies = [1 / longest + step * index for index in range(trials + 1)]
    best = min(frequencies, key=lambda frequency: dispersion(days, values, frequency))
    for _ in range(REFINEMENTS):
        nearby = [best + step * offset / 10 for offset in range(-10, 11)]
        best = min(nearby, key=lambda frequency: dispersion(days, values, frequency))
        step /= 5
    return 1 / best
