from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.clock import MAX_AHEAD_MS, HybridClock, milliseconds_of

HOUR_MS = 3_600_000
START_MS = 1_760_000_000_000


class Wall:
    def __init__(self, milliseconds: int = START_MS) -> None:
        self.milliseconds = milliseconds

    def __call__(self) -> int:
        return self.milliseconds


def test_the_time_of_day_is_in_the_upper_bits() -> None:
    wall = Wall()
    clock = HybridClock(wall)
    assert milliseconds_of(clock.now()) == START_MS
    wall.milliseconds += 7
    assert milliseconds_of(clock.now()) == START_MS + 7


@given(st.lists(st.integers(-HOUR_MS, HOUR_MS), max_size=50))
def test_it_never_runs_backwards_unless_it_is_far_ahead(steps: list[int]) -> None:
    wall = Wall()
    clock = HybridClock(wall)
    before = clock.now()
    for step in steps:
        wall.milliseconds += step
        after = clock.now()
        assert after > before or milliseconds_of(before) > wall.milliseconds + MAX_AHEAD_MS
        assert 0 <= milliseconds_of(after) - wall.milliseconds <= MAX_AHEAD_MS
        before = after


def test_what_is_heard_after_the_wall_clock_was_set_right_is_followed() -> None:
    wall = Wall(START_MS + HOUR_MS)
    clock = HybridClock(wall)
    clock.now()
    wall.milliseconds = START_MS
    heard = HybridClock(Wall(START_MS + 1000)).now()
    assert clock.observe(heard)
    assert clock.now() == heard + 1


def test_more_than_a_counter_of_events_in_one_millisecond_stay_in_order() -> None:
    clock = HybridClock(Wall())
    stamps = [clock.now() for _ in range(2**16 + 2)]
    assert stamps == sorted(set(stamps))
    assert milliseconds_of(stamps[-1]) == START_MS + 1


@given(st.integers(-HOUR_MS, MAX_AHEAD_MS))
def test_what_is_said_after_hearing_something_is_later_than_it(skew: int) -> None:
    sender, receiver = HybridClock(Wall(START_MS + skew)), HybridClock(Wall())
    sent = sender.now()
    assert receiver.observe(sent)
    assert receiver.now() > sent


@given(st.integers(MAX_AHEAD_MS + 1, 100 * HOUR_MS))
def test_a_clock_far_ahead_is_not_followed(skew: int) -> None:
    wall = Wall()
    clock = HybridClock(wall)
    assert not clock.observe(HybridClock(Wall(START_MS + skew)).now())
    assert milliseconds_of(clock.now()) == START_MS


def test_nobody_drags_the_clock_by_small_steps() -> None:
    clock = HybridClock(Wall())
    for ahead in range(0, 2 * HOUR_MS, 60_000):
        clock.observe(HybridClock(Wall(milliseconds_of(clock.now()) + 60_000 + ahead)).now())
    assert milliseconds_of(clock.now()) <= START_MS + MAX_AHEAD_MS


def test_a_clock_an_hour_behind_learns_nothing_and_harms_nobody() -> None:
    behind, clock = HybridClock(Wall(START_MS - HOUR_MS)), HybridClock(Wall())
    assert clock.observe(behind.now())
    assert milliseconds_of(clock.now()) == START_MS
    assert not behind.observe(clock.now())


def test_a_timestamp_beyond_what_travels_is_refused() -> None:
    clock = HybridClock(Wall(2**62))
    assert not clock.observe(2**63)
