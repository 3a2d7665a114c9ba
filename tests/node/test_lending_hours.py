"""Hours in which a host is its owner's alone."""

from __future__ import annotations

from datetime import datetime

import pytest

from buildnet.node.sharing.service import within


@pytest.mark.parametrize(
    ("hours", "clock", "is_within"),
    [
        ("09:00-17:00", "08:59", False),
        ("09:00-17:00", "09:00", True),
        ("09:00-17:00", "16:59", True),
        ("09:00-17:00", "17:00", False),
        ("22:00-06:00", "23:30", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "06:00", False),
        ("22:00-06:00", "12:00", False),
    ],
)
def test_hours_may_pass_midnight(hours: str, clock: str, is_within: bool) -> None:
    assert within(hours, datetime.strptime(clock, "%H:%M")) is is_within
