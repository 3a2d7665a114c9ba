"""Builds beside each other, and packages over many of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.comparison import MOST_EXPLAINED, compare
from buildnet.pool.explain import Change
from buildnet.pool.timeline import EXECUTION, LOOKUP
from buildnet.pool.trends import TaskRun, overall, percentile, trends
from testbed.recorded_builds import build_of, task_of


def test_tasks_that_took_more_come_first_with_why_their_keys_differ() -> None:
    asked: list[tuple[str, str]] = []

    def why(old: str, new: str) -> list[Change]:
        asked.append((old, new))
        return [Change("file", "core/a.txt", "changed")]

    before = build_of(
        task_of("core", 0, {LOOKUP: 1}, action="1" * 64),
        task_of("ui", 0, {EXECUTION: 100}, action="2" * 64),
        task_of("gone", 0, {EXECUTION: 100}),
    )
    after = build_of(
        task_of("core", 0, {EXECUTION: 301}, action="3" * 64),
        task_of("ui", 0, {EXECUTION: 90}, action="2" * 64),
        task_of("new", 0, {EXECUTION: 5}),
    )
    found = compare(before, after, why)
    assert [task.name for task in found.tasks] == ["core", "gone", "new", "ui"]
    core, gone, new, ui = (task.as_dict() for task in found.tasks)
    assert (core["difference_ms"], core["other_tier"], core["other_key"]) == (300, True, True)
    assert core["changes"] == ["file core/a.txt changed"]
    assert (ui["difference_ms"], ui["other_tier"], ui["other_key"]) == (-10, False, False)
    assert ui["changes"] is None
    assert gone["after"] is new["before"] is None
    assert asked == [("1" * 64, "3" * 64)]


def test_no_more_is_explained_than_is_read() -> None:
    asked: list[str] = []

    def why(old: str, new: str) -> None:
        asked.append(new)

    names = [f"p{number}" for number in range(MOST_EXPLAINED + 10)]
    before = build_of(*(task_of(name, 0, {EXECUTION: 1}, action="1" * 64) for name in names))
    after = build_of(*(task_of(name, 0, {EXECUTION: 1}, action="2" * 64) for name in names))
    found = compare(before, after, why)
    assert len(asked) == MOST_EXPLAINED
    assert all(task.changes is None and task.has_other_key for task in found.tasks)


def run(
    at: float, name: str, tier: str | None, ms: float | None, status: str = "succeeded"
) -> TaskRun:
    return TaskRun(f"b{at:g}", at, name, status, tier, ms)


def test_a_trend_counts_what_was_looked_at_and_measures_what_ran_to_its_end() -> None:
    runs = [
        run(3, "core", "full", 30.0),
        run(1, "core", "full", 10.0),
        run(2, "core", "local-cache", 10.0),
        run(4, "core", "full", 99.0, "failed"),
        run(5, "core", None, None, "skipped"),
        run(1, "core#test", "full", 5.0),
        run(1, "ui", "hash-skip", 7.0),
    ]
    core, test, ui = trends(runs)
    assert (core.task, core.looked_at, core.there, core.ran, core.failed) == ("core", 4, 1, 3, 1)
    assert [ms for _, _, ms in core.points] == [10.0, 30.0]
    assert (core.p50_ms, core.p90_ms) == (20.0, 28.0)
    assert core.as_dict()["hit_rate"] == 0.25
    assert (ui.p50_ms, ui.points) == (None, ())
    assert [each.task for each in trends(runs, package="core")] == ["core", "core#test"]
    assert [each.task for each in trends(runs, package="core#test")] == [test.task]
    assert overall(trends(runs)) == {
        "looked_at": 6,
        "there": 2,
        "ran": 4,
        "failed": 1,
        "hit_rate": 0.333,
    }
    assert trends([]) == ()


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_percentiles_lie_among_the_values(values: list[float]) -> None:
    p50, p90 = percentile(values, 0.5), percentile(values, 0.9)
    assert p50 is not None
    assert p90 is not None
    assert min(values) <= p50 <= p90 <= max(values) or p50 == pytest.approx(p90)
    assert percentile([], 0.5) is None
