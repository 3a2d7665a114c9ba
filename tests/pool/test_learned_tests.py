"""What is remembered of tests: times for the next division, and which of them are flaky."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.learned_tests import (
    MOST_FLAKY,
    MOST_OUTCOMES,
    WHOLE_COMMAND,
    LearnedTests,
    TaskTimes,
)
from buildnet.pool.sharding import UNKNOWN_MS, ideal_ms, makespan_ms
from buildnet.pool.workspace import Shard

FILES = [f"t{number}" for number in range(12)]


def run(times: TaskTimes, took: dict[str, float], *, told: bool, overhead: float = 0.0) -> None:
    """Run all shards as they were split last; ``told``: a report tells each file's time."""
    for index, files in enumerate(times.shards):
        ms = sum(took[file] for file in files) + overhead
        shard = Shard("test", index, len(times.shards), files)
        times.ran(shard, ms, {file: took[file] for file in files} if told else {})


@given(st.lists(st.floats(10, 10_000), min_size=12, max_size=12))
def test_after_one_run_with_a_report_the_division_is_nearly_ideal(each: list[float]) -> None:
    took, times = dict(zip(FILES, each, strict=True)), TaskTimes()
    times.divide(3, FILES, 3)
    run(times, took, told=True, overhead=200.0)
    division = times.divide(3, FILES, 3)
    assert times.overhead_ms == pytest.approx(200.0)
    assert makespan_ms(division.shards, took) <= 1.34 * ideal_ms(took, 3) + 1
    assert max(division.predicted_ms) == pytest.approx(
        makespan_ms(division.shards, took) + 200, rel=0.01
    )


def test_without_a_report_the_shards_tell_more_from_run_to_run() -> None:
    took = {file: 1000.0 if file == "t0" else 100.0 for file in FILES}
    times = TaskTimes()
    ratios = []
    for _ in range(6):
        division = times.divide(3, FILES, 3)
        ratios.append(makespan_ms(division.shards, took) / ideal_ms(took, 3))
        run(times, took, told=False)
    assert ratios[-1] <= 1.15 < ratios[0]


def test_what_did_not_change_is_not_split_anew() -> None:
    took = {file: 10.0 * number + 1 for number, file in enumerate(FILES)}
    times = TaskTimes()

    def split(sources: str, others: str, *, anew: bool = False) -> tuple[tuple[str, ...], ...]:
        return times.divide("auto", FILES, 3, sources=sources, others=others, anew=anew).shards

    first = split("s1", "o1")
    times.shards = (tuple(FILES[:11]), (FILES[11],))  # as uneven as can be
    assert split("s1", "o1") == times.shards
    run(times, took, told=True)
    assert split("s1", "o1", anew=True) != (tuple(FILES[:11]), (FILES[11],))
    assert {file for files in first for file in files} == {*FILES}


def test_a_runner_that_divides_its_tests_itself_tells_by_its_shards_how_many_are_worth_it() -> None:
    times = TaskTimes()
    assert len(times.divide("auto", [], 4).shards) == 4
    assert times.divide("auto", [], 4).predicted_ms == (UNKNOWN_MS / 4,) * 4
    for index in range(4):
        times.ran(Shard("test", index, 4), 100.0, {})
    assert len(times.divide("auto", [], 4).shards) == 1


def test_times_of_files_that_are_gone_are_forgotten() -> None:
    times = TaskTimes(times_ms={f"old{number}": 1.0 for number in range(100)} | {"t0": 5.0})
    times.forget_all_but(FILES)
    assert times.times_ms == {"t0": 5.0}


def test_the_same_action_that_comes_out_otherwise_is_flaky() -> None:
    learned = LearnedTests()
    assert learned.came_out("core#test", "a1", ["adds", "removes"], 1.0) == ()
    assert learned.came_out("core#test", "a1", ["removes"], 2.0, "far") == ("adds",)
    assert learned.came_out("core#test", "a2", ["adds"], 3.0) == ()  # another action
    assert learned.came_out("core#test", "a1", ["adds"], 4.0) == ("adds", "removes")
    adds = learned.flaky["core#test adds"]
    assert (adds.count, adds.first_at, adds.last_at, adds.node) == (2, 2.0, 4.0, None)


def test_without_names_the_command_is_flaky() -> None:
    learned = LearnedTests()
    learned.came_out("core#test", "a1", [WHOLE_COMMAND], 1.0)
    assert learned.came_out("core#test", "a1", ["adds"], 2.0) == (WHOLE_COMMAND,)
    assert learned.came_out("core#test", "a1", ["adds"], 2.0) == ()


def test_what_is_remembered_is_bounded() -> None:
    learned = LearnedTests()
    for number in range(MOST_OUTCOMES + MOST_FLAKY + 10):
        learned.came_out("t", f"a{number}", [f"x{number}"], 1.0)
        learned.came_out("t", f"a{number}", [], 1.0)
    assert len(learned.outcomes) == MOST_OUTCOMES
    assert len(learned.flaky) == MOST_FLAKY
    for number in range(2000):
        learned.times(f"t{number}")
    assert len(learned.tasks) == 1000
