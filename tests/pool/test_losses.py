"""When a build becomes careful, and when it ceases to be."""

from __future__ import annotations

from buildnet.pool.losses import CALM_S, TOGETHER_S, Losses


def test_half_of_the_workers_lost_makes_careful_until_it_is_calm() -> None:
    losses = Losses()
    assert not losses.lost(b"a", 3, 0.0)
    assert losses.slots(5) == 5
    assert losses.lost(b"b", 2, 1.0)
    assert losses.is_careful
    assert losses.slots(5) == 3
    assert losses.slots(1) == 1
    assert losses.slots(0) == 0
    assert not losses.lost(b"c", 1, 2.0)  # it is already
    assert not losses.calmed(1.0 + CALM_S)
    assert losses.calmed(2.0 + CALM_S)
    assert not losses.calmed(3.0 + CALM_S)
    assert losses.slots(5) == 5


def test_losses_that_are_far_apart_do_not_count_together() -> None:
    losses = Losses()
    assert not losses.lost(b"a", 3, 0.0)
    assert not losses.lost(b"b", 2, TOGETHER_S + 1)


def test_who_is_lost_twice_counts_once() -> None:
    losses = Losses()
    assert not losses.lost(b"a", 3, 0.0)
    assert not losses.lost(b"a", 2, 1.0)
    assert not losses.is_careful


def test_the_only_other_worker_is_half() -> None:
    assert Losses().lost(b"a", 1, 0.0)
