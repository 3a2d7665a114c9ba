"""How good estimates were: what was foretold beside what it took. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

LATEST = 20
"""So many of the latest builds are summed up."""


def error_of(estimate: Mapping[str, Any] | None, took_ms: float | None) -> float | None:
    """Return by which part of what a build took its estimate was off; None: there is none."""
    if estimate is None or not took_ms:
        return None
    return round(float(abs(estimate["estimated_ms"] - took_ms) / took_ms), 3)


def is_within(estimate: Mapping[str, Any], took_ms: float) -> bool:
    """Tell whether a build ended in the range that was told, to the millisecond."""
    low, high = estimate["interval_ms"]
    return bool(low - 0.5 <= took_ms <= high + 0.5)


def summed_up(builds: Iterable[tuple[Mapping[str, Any], float]]) -> dict[str, Any]:
    """Return how good the estimates of some builds were, with what each took; null where there are
    none."""
    known = [(estimate, took_ms) for estimate, took_ms in builds if took_ms > 0]
    errors = [error for each, took_ms in known if (error := error_of(each, took_ms)) is not None]
    within = [is_within(each, took_ms) for each, took_ms in known]
    return {
        "builds": len(known),
        "median_error": round(median(errors), 3) if errors else None,
        "within_interval": round(sum(within) / len(within), 3) if within else None,
    }
