"""Counters and the loop's lag."""

from __future__ import annotations

import pytest

from buildnet.mesh.events import Note
from buildnet.mesh.service.health import LAG_INTERVAL_S, MAX_DETAIL, MAX_REASONS, Counters, LoopLag


def test_counts_and_remembers_who_was_last() -> None:
    counters = Counters()
    counters.note(Note("flood", b"\1" * 32, "first"), 10.0)
    counters.note(Note("flood", b"\2" * 32, "x" * 1000), 11.0)
    counters.note(Note("bug"), 12.0)
    bug, flood = counters.view()
    assert (bug.reason, bug.count, bug.last_peer) == ("bug", 1, None)
    assert (flood.count, flood.last_peer, flood.last_at) == (2, "02" * 8, 11.0)
    assert flood.last_detail == "x" * MAX_DETAIL
    assert (counters["flood"], counters["never"]) == (2, 0)


def test_reasons_are_bounded() -> None:
    counters = Counters()
    for number in range(10 * MAX_REASONS):
        counters.note(Note(f"reason {number}"), 0.0)
    assert len(counters.view()) == MAX_REASONS + 1
    assert counters["other"] == 9 * MAX_REASONS


def test_lag_is_what_comes_after_the_interval() -> None:
    lag = LoopLag(0.0)
    assert lag.p99_s() is None
    now = 0.0
    for _ in range(98):
        now += LAG_INTERVAL_S
        lag.ticked(now)
    for _ in range(2):
        now += LAG_INTERVAL_S + 0.03
        lag.ticked(now)
    assert lag.p99_s() == pytest.approx(0.03)


def test_a_stall_is_told_once() -> None:
    lag = LoopLag(0.0)
    assert lag.stall(LAG_INTERVAL_S + 0.09) == 0.0
    assert lag.stall(LAG_INTERVAL_S + 3.0) == pytest.approx(3.0)
    assert lag.stall(LAG_INTERVAL_S + 3.01) == 0.0
    lag.ticked(LAG_INTERVAL_S + 3.02)
    assert lag.stall(LAG_INTERVAL_S + 3.03) == 0.0
    assert lag.p99_s() == pytest.approx(3.0)
