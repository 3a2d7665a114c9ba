"""How tests are spread over shards: evenly by their times, and with as few moves as possible."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.sharding import (
    AUTO,
    BOUND,
    MOST_SHARDS,
    TooManyTestsError,
    divided,
    estimates,
    ideal_ms,
    makespan_ms,
    shard_count,
    split,
)
from buildnet.pool.workspace import Shard, Task, TaskId

FILES = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=4), st.floats(1, 100_000), min_size=1, max_size=40
)
COUNTS = st.integers(1, 8)


def flat(shards: tuple[tuple[str, ...], ...]) -> list[str]:
    return sorted(itertools.chain.from_iterable(shards))


@given(FILES, COUNTS)
def test_each_file_runs_once_and_no_shard_is_empty(times: dict[str, float], count: int) -> None:
    shards = divided(times, count)
    assert flat(shards) == sorted(times)
    assert len(shards) == min(count, len(times))
    assert all(shards)
    assert shards == divided(dict(reversed(times.items())), count)


@given(FILES, COUNTS)
def test_the_longest_first_is_within_a_third_of_the_best(
    times: dict[str, float], count: int
) -> None:
    shards = divided(times, count)
    best = ideal_ms(times, len(shards))
    longest = sorted(times.values(), reverse=True)
    if len(longest) > len(shards):  # two of these share a shard, however they are divided
        best = max(best, longest[len(shards) - 1] + longest[len(shards)])
    assert makespan_ms(shards, times) <= best * 4 / 3 + 0.01


@given(FILES, COUNTS, st.data())
def test_what_was_divided_before_stays_within_its_bound(
    times: dict[str, float], count: int, data: st.DataObject
) -> None:
    """Whatever was before, with files that are new, gone, or take another time by now."""
    former = divided(data.draw(FILES), count)
    shards = divided(times, count, former)
    assert flat(shards) == sorted(times)
    assert all(shards)
    fresh = makespan_ms(divided(times, count), times)
    bound = BOUND * max(fresh, ideal_ms(times, len(shards)))
    assert makespan_ms(shards, times) <= bound + 0.01


@given(FILES, COUNTS)
def test_nothing_moves_while_it_is_even(times: dict[str, float], count: int) -> None:
    shards = divided(times, count)
    assert divided(times, count, shards) == shards
    slower = {file: ms * 1.7 for file, ms in times.items()}
    assert divided(slower, count, shards) == shards


def test_a_new_file_changes_one_shard_alone() -> None:
    times = {f"t{number:02}": 100.0 for number in range(30)}
    before = divided(times, 3)
    after = divided({**times, "new": 90.0}, 3, before)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


def test_only_as_many_files_move_as_must() -> None:
    times = {f"t{number:02}": 100.0 for number in range(30)}
    before = divided(times, 3)
    slow = before[1][0]
    after = divided({**times, slow: 400.0}, 3, before)
    assert makespan_ms(after, {**times, slow: 400.0}) <= BOUND * 1100
    moved = sum(len({*old} - {*new}) for old, new in zip(before, after, strict=True))
    assert 0 < moved <= 3


def test_a_shard_whose_files_are_gone_gets_others() -> None:
    before = (("a", "b"), ("c",))
    assert divided({"a": 1000.0, "b": 1.0}, 2, before) == (("a",), ("b",))


@pytest.mark.parametrize(
    ("wanted", "total_ms", "slots", "files", "former", "expected"),
    [
        (3, 0, 8, 100, None, 3),
        (3, 0, 8, 2, None, 2),
        (3, 0, 8, None, 5, 3),
        (500, 0, 8, None, None, MOST_SHARDS),
        (AUTO, 60_000, 8, 100, None, 8),
        (AUTO, 60_000, 8, 5, None, 5),
        (AUTO, 3_500, 8, 100, None, 4),
        (AUTO, 10, 8, 100, None, 1),
        (AUTO, 0, 8, 0, None, 1),
        (AUTO, 60_000, 2, 100, 8, 8),  # hosts that are away
        (AUTO, 60_000, 8, 100, 6, 6),  # not worth it
        (AUTO, 60_000, 8, 100, 3, 8),
        (AUTO, 1_000, 8, 100, 8, 1),  # hardly anything to do any more
        (AUTO, 60_000, 8, 4, 6, 4),
    ],
)
def test_how_many_shards(
    wanted: int | str,
    total_ms: float,
    slots: int,
    files: int | None,
    former: int | None,
    expected: int,
) -> None:
    assert shard_count(wanted, total_ms, slots=slots, files=files, former=former) == expected


def test_what_starting_takes_counts_against_more_shards() -> None:
    assert shard_count(AUTO, 60_000, overhead_ms=10_000, slots=8, files=100) == 3


def test_of_new_files_the_usual_time_is_thought() -> None:
    assert estimates(["a", "b", "c", "new"], {"a": 10, "b": 20, "c": 900, "gone": 1}) == {
        "a": 10,
        "b": 20,
        "c": 900,
        "new": 20,
    }
    assert estimates(["a"], {}) == {"a": 1000}


TASK = Task(
    package="core",
    name="test",
    command="run --shard={shard}/{shards} --out=out-{shard}.xml {tests} ${shard}",
    path="packages/core",
    depends_on=(TaskId("core", "build"),),
    outputs=("packages/core/out-*.xml",),
    shards="auto",
    tests=("packages/core/**/*.test.js",),
    shard_outputs=("packages/core/out-{shard}.xml",),
    junit=("packages/core/out-{shard}.xml",),
    env={"A": "{shard}"},
    retries=2,
)


def test_a_task_and_its_shards() -> None:
    tasks = split(TASK, [["packages/core/a b.test.js"], ["packages/core/-c", "packages/x.js"]])
    assert [str(each) for each in tasks] == ["core#test 1/2", "core#test 2/2", "core#test"]
    first, second, gathered = tasks.values()
    assert first.command == "run --shard=1/2 --out=out-1.xml 'a b.test.js' ${shard}"
    assert second.command == "run --shard=2/2 --out=out-2.xml ./-c ../x.js ${shard}"
    assert second.depends_on == TASK.depends_on
    assert second.outputs == second.junit == ("packages/core/out-2.xml",)
    assert second.env == {
        "A": "2",
        "BUILDNET_SHARD_INDEX": "1",
        "BUILDNET_SHARD_COUNT": "2",
        "TEST_SHARD_INDEX": "1",
        "TEST_TOTAL_SHARDS": "2",
    }
    tests = ("packages/core/-c", "packages/x.js")
    assert second.shard == Shard("test", 1, 2, tests, ("packages/core/a b.test.js",))
    assert (second.part_of, second.retries, second.shards) == (gathered.id, 2, None)
    assert not second.shows_sources
    assert gathered.is_gathered
    assert gathered.depends_on == (first.id, second.id)
    assert not TASK.is_gathered
    assert gathered.part_of is None


def test_a_runner_that_divides_its_tests_itself() -> None:
    first, _second, _third, _gathered = split(TASK, [[], [], []]).values()
    assert first.command == "run --shard=1/3 --out=out-1.xml  ${shard}"
    assert first.shard == Shard("test", 0, 3)


def test_too_many_files_for_a_command_line() -> None:
    files = [f"packages/core/{number:0200}.test.js" for number in range(1000)]
    with pytest.raises(TooManyTestsError, match="1000 test files") as caught:
        split(TASK, [files])
    assert "raise shards" in (caught.value.hint or "")
