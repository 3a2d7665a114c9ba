"""Whether a command had better wait for a slot that is busy."""

from __future__ import annotations

from buildnet.pool.outlook import Outlook


def test_what_ends_sooner_on_a_fast_slot_waits_for_it() -> None:
    assert Outlook([(1000.0, 4.0)]).waits(8000.0, 1.0)
    assert not Outlook([(1000.0, 4.0)]).waits(800.0, 1.0)
    assert not Outlook([]).waits(8000.0, 1.0)
    assert not Outlook([(0.0, 1.0)]).waits(8000.0, 1.0)  # nothing is gained


def test_a_little_gain_is_not_waited_for() -> None:
    assert not Outlook([(0.0, 1.05)]).waits(8000.0, 1.0)


def test_who_waits_is_counted() -> None:
    outlook = Outlook([(1000.0, 4.0)])
    assert [outlook.waits(8000.0, 1.0) for _ in range(5)] == [True] * 3 + [False] * 2


def test_a_slot_that_was_just_taken_may_be_waited_for() -> None:
    outlook = Outlook([])
    outlook.taken(1000.0, 4.0)
    assert outlook.waits(8000.0, 1.0)


def test_a_time_that_is_over_counts_as_now() -> None:
    assert Outlook([(-5000.0, 2.0)]).waits(100.0, 1.0)
