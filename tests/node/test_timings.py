"""What is measured of tasks: in the order in which it happened, and nothing of it twice."""

from __future__ import annotations

import time

from buildnet.node.phases import PERFORM, PLAN, Phases
from buildnet.node.progress import Progress
from buildnet.node.timings import Laps, Timings
from buildnet.pool.timeline import EXECUTION, LOOKUP, QUEUE, STAGING, UPLOAD, Timed
from buildnet.pool.workspace import TaskId

CORE = TaskId("core", "build")


def test_laps_follow_each_other_and_what_others_measured_is_staged_before() -> None:
    laps = Laps()
    began = time.monotonic_ns()
    laps.take([Timed(EXECUTION, began, began + 5)])
    laps.lap(UPLOAD)
    names = [each.name for each in laps.times]
    assert names == [STAGING, EXECUTION, UPLOAD]
    for before, after in zip(laps.times, laps.times[1:], strict=False):
        assert before.ended_ns == after.began_ns


def test_nothing_taken_leaves_the_time_to_the_next_lap() -> None:
    laps = Laps()
    laps.take([])
    laps.lap(UPLOAD)
    assert [each.began_ns for each in laps.times] == [laps.began_ns]


def test_a_command_waits_until_it_begins_even_if_that_is_heard_later() -> None:
    timings = Timings()
    timings.took(CORE, LOOKUP, time.monotonic())
    timings.waits(CORE)
    began = time.monotonic_ns()
    command = [Timed(EXECUTION, began, began + 1000)]
    timings.begins(CORE)
    timeline = timings.of(CORE, command)
    assert timeline is not None
    assert [part.name for part in timeline.parts] == [LOOKUP, QUEUE, EXECUTION]
    queue, execution = timeline.parts[1:]
    assert queue.end_us <= execution.at_us


def test_who_had_a_place_in_vain_has_waited_all_the_time() -> None:
    timings = Timings()
    timings.waits(CORE)
    between = time.monotonic_ns()
    timings.waits(CORE)  # its turn came while the build was paused
    timings.begins(CORE)
    timeline = timings.of(CORE, [])
    assert timeline is not None
    (queue,) = timeline.parts
    assert timeline.began_ns - timings.anchor_ns <= between
    assert queue.name == QUEUE


def test_what_waited_in_vain_has_a_queue_alone() -> None:
    timings = Timings()
    timings.waits(CORE)
    timeline = timings.of(CORE, [])
    assert timeline is not None
    assert [part.name for part in timeline.parts] == [QUEUE]
    assert timings.of(CORE, []) is None


def test_timelines_of_one_build_share_an_anchor() -> None:
    timings = Timings(anchor_ns=10**18)
    timeline = timings.of(CORE, [Timed(EXECUTION, 5, 2005)])
    assert timeline is not None
    assert timeline.began_ns == 10**18 + 5


def test_phases_are_told_as_they_begin_and_those_that_never_came_are_unknown() -> None:
    progress = Progress()
    phases = Phases(progress)
    phases.tell()
    phases.begin(PLAN)
    phases.begin(PERFORM)
    took = phases.as_dict()
    assert [name for name, ms in took.items() if ms is not None] == [
        "prepare_ms",
        "plan_ms",
        "perform_ms",
    ]
    assert took["rehearse_ms"] is None
    assert min(ms for ms in took.values() if ms is not None) >= 0
