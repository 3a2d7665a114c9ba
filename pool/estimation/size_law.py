"""Whether a command takes longer the more it reads, and what follows from that. Pure.

The size of the inputs counts only once it has proved itself: if each earlier run is told better
from the others with it than without.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from buildnet.pool.estimation.spread import Spread, fading, spread_around, weighted_median

_LEAST_RUNS = 5
_LEAST_RANGE = math.log(1.2)
"""Where sizes differ by less than a fifth, they tell nothing."""
_BETTER = 0.8
"""The mean error has to be so many times what it was, at most."""
_STEEPEST = 2.0


def fit_to_size(logs: Sequence[float], sizes: Sequence[int], input_bytes: int) -> Spread | None:
    """Return what a run takes that reads ``input_bytes``; None: the size has not proved itself.

    Args:
        logs: logarithms of earlier durations, the latest last.
        sizes: what those runs read, 0: unknown.
    """
    if len(logs) < _LEAST_RUNS or input_bytes <= 0 or min(sizes) <= 0:
        return None
    scale = [math.log(each) for each in sizes]
    if max(scale) - min(scale) < _LEAST_RANGE:
        return None
    weights = fading(len(logs))
    if _error(logs, scale, weights) > _BETTER * _error(logs, None, weights):
        return None
    slope, middle, center = _line(logs, scale, weights)
    left = [y - slope * (x - center) for x, y in zip(scale, logs, strict=True)]
    # Beyond what was seen the law is not trusted.
    x = min(max(math.log(input_bytes), min(scale) - _LEAST_RANGE), max(scale) + _LEAST_RANGE)
    return Spread(math.exp(middle + slope * (x - center)), spread_around(left, middle), len(logs))


def _line(
    logs: Sequence[float], scale: Sequence[float], weights: Sequence[float]
) -> tuple[float, float, float]:
    """Return slope, middle, and where on the scale the middle is."""
    total = sum(weights)
    center = sum(w * x for w, x in zip(weights, scale, strict=True)) / total
    mean = sum(w * y for w, y in zip(weights, logs, strict=True)) / total
    wide = sum(w * (x - center) ** 2 for w, x in zip(weights, scale, strict=True))
    both = sum(w * (x - center) * (y - mean) for w, x, y in zip(weights, scale, logs, strict=True))
    slope = min(_STEEPEST, max(0.0, both / wide)) if wide > 0 else 0.0
    left = [y - slope * (x - center) for x, y in zip(scale, logs, strict=True)]
    return slope, weighted_median(left, weights), center


def _error(logs: Sequence[float], scale: Sequence[float] | None, weights: Sequence[float]) -> float:
    """Return how far each value lies from what the others tell, on the weighted average."""
    found = 0.0
    for place, value in enumerate(logs):
        rest = [each for each in range(len(logs)) if each != place]
        some, some_weights = [logs[each] for each in rest], [weights[each] for each in rest]
        if scale is None:
            told = weighted_median(some, some_weights)
        else:
            slope, middle, center = _line(some, [scale[each] for each in rest], some_weights)
            told = middle + slope * (scale[place] - center)
        found += weights[place] * abs(value - told)
    return found / sum(weights)
