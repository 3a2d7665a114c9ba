"""What a build's time hung on, by records made by hand: chains, waits, what is not known."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.critical_path import critical_path, elapsed_ms, held_up, with_room_ms
from buildnet.pool.recorded import Waits
from buildnet.pool.timeline import EXECUTION, LOOKUP, QUEUE
from testbed.recorded_builds import build_of, large_build, task_of


def test_the_path_follows_what_ended_last_before_each_task() -> None:
    build = build_of(
        task_of("base", 0, {EXECUTION: 300}),
        task_of("core", 301, {EXECUTION: 500}, needs=["base"]),
        task_of("ui", 301, {EXECUTION: 200}, needs=["base"]),
        task_of("app", 802, {QUEUE: 8, EXECUTION: 100}, needs=["core", "ui"]),
    )
    path = critical_path(build.tasks)
    assert [step.task for step in path] == ["base", "core", "app"]
    assert [step.work_ms for step in path] == [300, 500, 100]
    assert [step.waited_ms for step in path] == [0, 0, 8]
    assert [step.before_ms for step in path] == [0, 1, 1]
    assert elapsed_ms(build.tasks) == 910


def test_it_goes_through_what_stood_as_before() -> None:
    build = build_of(
        task_of("base", 0, {EXECUTION: 300}),
        task_of("core", 0, {}, needs=["base"]),
        task_of("app", 301, {EXECUTION: 100}, needs=["core"]),
    )
    assert [step.task for step in critical_path(build.tasks)] == ["base", "app"]


def test_where_nothing_was_measured_there_is_no_path() -> None:
    build = build_of(task_of("base", 0, {}))
    assert critical_path(build.tasks) == ()
    assert elapsed_ms(build.tasks) == with_room_ms(build.tasks, ()) == 0


def test_names_that_a_record_does_not_have_and_cycles_are_survived() -> None:
    build = build_of(
        task_of("a", 0, {EXECUTION: 10}, needs=["b", "gone"]),
        task_of("b", 0, {EXECUTION: 10}, needs=["a"]),
        task_of("c", 0, {}, needs=["c"]),
    )
    assert len(critical_path(build.tasks)) <= 2
    assert with_room_ms(build.tasks, ()) >= 10


def test_with_room_nothing_waits_for_a_place() -> None:
    build = build_of(
        task_of("one", 0, {EXECUTION: 100}),
        task_of("two", 0, {QUEUE: 100, EXECUTION: 100}),
        task_of("three", 0, {QUEUE: 200, EXECUTION: 100}),
    )
    assert elapsed_ms(build.tasks) == 300
    waited = {task.name for task in held_up(build.tasks)}
    assert waited == {"two", "three"}
    assert with_room_ms(build.tasks, waited) == 100
    assert with_room_ms(build.tasks, ()) == 300


def test_who_waits_while_nothing_runs_is_not_held_up_by_others() -> None:
    build = build_of(
        task_of("one", 0, {QUEUE: 500, EXECUTION: 100}),
        task_of("two", 601, {QUEUE: 100, EXECUTION: 100}, needs=["one"]),
    )
    assert held_up(build.tasks) == []
    assert with_room_ms(build.tasks, ()) == 800


@given(st.integers(1, 60), st.integers(0, 1000))
def test_room_never_costs_time_and_the_path_is_a_chain(count: int, seed: int) -> None:
    build = large_build(count, seed)
    waited = {task.name for task in held_up(build.tasks)}
    assert with_room_ms(build.tasks, waited) <= elapsed_ms(build.tasks) + 0.001
    path, waits = critical_path(build.tasks), Waits(build.tasks)
    by_name = {task.name: task for task in build.tasks}
    assert path[-1].ended_ns == max(task.ended_ns for task in build.tasks)
    for before, after in pairwise(path):
        assert before.task in [each.name for each in waits.of(by_name[after.task])]


def test_work_is_all_time_but_waiting() -> None:
    (task,) = build_of(task_of("a", 0, {LOOKUP: 5, QUEUE: 20, EXECUTION: 30})).tasks
    assert task.work_ms == pytest.approx(35)
    assert task.waited_ms == 20
