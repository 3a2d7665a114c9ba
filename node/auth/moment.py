"""Moments as numbers and as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds."""
    return round(seconds * 1000)


def shown(moment: datetime) -> str:
    """Return a moment (UTC) to the second, as JSON has it."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def shown_s(seconds: float) -> str:
    """Return seconds since 1970 as JSON has them."""
    return shown(datetime.fromtimestamp(seconds, UTC))
