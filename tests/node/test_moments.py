"""Moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from buildnet.mesh.errors import UsageError
from buildnet.node.moments import moment_ms

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NOON_MS = round(NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "ago_ms"),
    [
        ("2026-11-21T12:00:00", 0),
        ("2026-11-21T12:00:00Z", 0),
        ("2026-11-21T14:00:00+02:00", 0),
        ("2026-11-21", 12 * 3_600_000),
        (" 90s ", 90_000),
        ("15m", 900_000),
        ("2h", 7_200_000),
        ("3 d", 3 * 86_400_000),
        ("1w", 604_800_000),
        (str(NOON_MS), 0),
    ],
)
def test_moments_are_read(text: str, ago_ms: int) -> None:
    assert moment_ms(text, NOW) == NOON_MS - ago_ms


@pytest.mark.parametrize("text", ["", "yesterday", "12", "1969-12-31", "999999999w", "-2h"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        moment_ms(text, NOW)
