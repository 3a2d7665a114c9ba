"""Moments as people and programs write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from buildnet.mesh.errors import UsageError

_AGO = re.compile(r"(\d{1,9})\s*(s|m|min|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MILLISECONDS = re.compile(r"\d{11,15}")


def moment_ms(text: str, now: datetime) -> int:
    """Return a moment in milliseconds since 1970 UTC: ISO 8601 (UTC where no offset stands), so
    long ago (``90s``, ``15m``, ``2h``, ``3d``, ``1w``), or milliseconds themselves.

    Raises:
        UsageError: it is none of these.
    """
    plain = text.strip()
    if _MILLISECONDS.fullmatch(plain):
        return int(plain)
    try:
        if ago := _AGO.fullmatch(plain):
            at = now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        else:
            at = datetime.fromisoformat(plain)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        found = round(at.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{text!r:.60} is no moment",
            hint="such as 2026-11-21T08:30:00, 2026-11-21, or 2h for two hours ago",
        ) from error
    if found < 0:
        raise UsageError(f"{text!r:.60} is before 1970")
    return found
