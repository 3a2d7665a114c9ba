"""A forecast as JSON and in words; what was not measured is null, and is not made up."""

from __future__ import annotations

import math
from typing import Any

from buildnet.pool.estimation.forecast import FARTHEST, Forecast, PieceForecast
from buildnet.pool.estimation.piece import Fate

_HIGH, _MEDIUM = 0.8, 0.5
_PLANS = {
    Fate.RUN: "run",
    Fate.CHANGED: "run",
    Fate.RESTORE: "restore",
    Fate.UNKNOWN: "depends",
}


def level_of(confidence: float) -> str:
    """Return the word for how sure an estimate is."""
    if confidence > _HIGH:
        return "high"
    return "medium" if confidence > _MEDIUM else "low"


def in_short(forecast: Forecast, elapsed_ms: float = 0.0) -> dict[str, Any] | None:
    """Return how long a build takes in all that runs for ``elapsed_ms``; None: nothing that could
    tell it was ever measured."""
    if not forecast.is_measured:
        return None
    return {
        "estimated_ms": round(elapsed_ms + forecast.middle_ms),
        "interval_ms": [
            round(elapsed_ms + forecast.low_ms),
            round(elapsed_ms + forecast.high_ms),
        ],
        "confidence": round(forecast.confidence, 2),
        "confidence_level": level_of(forecast.confidence),
    }


def in_full(forecast: Forecast, unchanged: int) -> dict[str, Any]:
    """Return all of an estimate before a build. ``unchanged``: so many tasks need nothing."""
    short = in_short(forecast) or {
        "estimated_ms": None,
        "interval_ms": None,
        "confidence": 0.0,
        "confidence_level": level_of(0.0),
    }
    is_measured = forecast.is_measured
    return {
        **short,
        "parallelization_factor": _rounded(forecast.parallelization if is_measured else None),
        "network_overhead_ms": _whole(forecast.network_ms),
        "work_ms": _whole(forecast.work_ms if is_measured else None),
        "critical_path_ms": _whole(forecast.path_ms if is_measured else None),
        "unchanged": unchanged,
        "packages": [_package(each, forecast) for each in forecast.pieces],
    }


def _package(one: PieceForecast, forecast: Forecast) -> dict[str, Any]:
    piece, whole = one.piece, one.expected.whole
    package, _, task = piece.name.rpartition("#")
    is_known = forecast.is_measured or not piece.has_command
    runs = piece.has_command and one.chance > 0
    return {
        "name": package,
        "task": task,
        "plan": _PLANS[piece.fate] if piece.has_command else "nothing",
        "chance": round(one.chance, 2),
        "estimated_ms": _whole(one.takes_ms) if is_known else None,
        "interval_ms": _range(one) if is_known and runs else None,
        "measured": int(whole.count),
        "node": forecast.hosts[one.host].name if one.host >= 0 and is_known else None,
        "begins_ms": _whole(one.begins_ms) if is_known else None,
        "ends_ms": _whole(one.ends_ms) if is_known else None,
        "factors": _factors(one, forecast) if is_known and runs else None,
    }


def _factors(one: PieceForecast, forecast: Forecast) -> dict[str, float | None]:
    """Return the factors of section 9 of the distributed plan, as far as they are measured."""
    expected = one.expected
    storage = None
    if expected.around_ms is not None and expected.command_ms > 0 and expected.whole.count:
        storage = expected.whole.median_ms / expected.command_ms
    speed = forecast.hosts[one.host].speed if one.host >= 0 else 1.0
    return {
        "cpu_factor": _rounded(1.0 / speed),
        "memory_factor": None,
        "storage_factor": _rounded(storage),
        "parallel_speedup": _rounded(expected.cores),
    }


def _range(one: PieceForecast) -> list[int]:
    """Return what four fifths of the runs of a command lie between."""
    around = min(FARTHEST, math.exp(1.2816 * one.expected.whole.sigma))
    return [round(one.takes_ms / around), round(one.takes_ms * around)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
