"""Parts of tasks as timelines: anchored, joined, bounded, and those of other hosts put in place."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.timeline import (
    EXECUTION,
    LOOKUP,
    MAX_PARTS,
    PARTS,
    QUEUE,
    STAGING,
    UPLOAD,
    Part,
    Timed,
    Timeline,
    anchored,
    relative,
    stood_us,
)

MS = 1_000_000
ANCHOR = 1_700_000_000_000_000_000


def test_a_timeline_begins_at_its_first_part_and_is_told_in_unix_time() -> None:
    measured = [
        Timed(STAGING, 30 * MS, 31 * MS),
        Timed(LOOKUP, 10 * MS, 12 * MS),
        Timed(EXECUTION, 31 * MS, 61 * MS),
    ]
    timeline = Timeline.of(measured, ANCHOR)
    assert timeline == Timeline(
        ANCHOR + 10 * MS,
        (Part(LOOKUP, 0, 2000), Part(STAGING, 20_000, 1000), Part(EXECUTION, 21_000, 30_000)),
    )
    assert timeline.took_us == 51_000
    assert timeline.total_us(STAGING, EXECUTION) == 31_000


def test_parts_of_one_name_that_touch_are_one() -> None:
    timeline = Timeline.of([Timed(STAGING, 0, MS), Timed(STAGING, MS, 3 * MS)], ANCHOR)
    assert timeline is not None
    assert timeline.parts == (Part(STAGING, 0, 3000),)
    apart = Timeline.of([Timed(LOOKUP, 0, MS), Timed(LOOKUP, 2 * MS, 3 * MS)], ANCHOR)
    assert apart is not None
    assert len(apart.parts) == 2


def test_nothing_measured_is_no_timeline_and_too_much_is_cut() -> None:
    assert Timeline.of([], ANCHOR) is None
    many = [Timed(PARTS[at % 2], at * MS, at * MS + 1000) for at in range(100)]
    timeline = Timeline.of(many, ANCHOR)
    assert timeline is not None
    assert len(timeline.parts) == MAX_PARTS


@given(
    st.lists(
        st.builds(
            Part,
            st.sampled_from(PARTS),
            st.integers(0, 10**9),
            st.integers(0, 10**9),
        ),
        max_size=MAX_PARTS,
    ),
    st.integers(0, 2**60),
)
def test_a_timeline_survives_json(parts: list[Part], began_ns: int) -> None:
    timeline = Timeline(began_ns, tuple(parts))
    assert Timeline.from_dict(json.loads(json.dumps(timeline.as_dict()))) == timeline


def test_what_is_no_timeline_is_read_as_none() -> None:
    wrong: tuple[object, ...] = (None, [], "x", {}, {"began_ns": 1, "parts": [{"name": "queue"}]})
    for data in wrong:
        assert Timeline.from_dict(data) is None
    part = {"name": "queue", "at_ms": 0, "took_ms": 1}
    for told in ({"at_ms": "x"}, {"at_ms": -1}, {"took_ms": -1}, {"took_ms": 1e300}):
        assert Timeline.from_dict({"began_ns": 1, "parts": [{**part, **told}]}) is None
    for began in (-1, 2**80, "now", float("nan"), float("inf")):
        assert Timeline.from_dict({"began_ns": began, "parts": [part]}) is None


def test_what_another_host_tells_lies_in_the_middle_between_question_and_answer() -> None:
    there = relative([Timed(QUEUE, 5 * MS, 7 * MS), Timed(EXECUTION, 7 * MS, 15 * MS)], 5 * MS)
    assert there == (Part(QUEUE, 0, 2000), Part(EXECUTION, 2000, 8000))
    assert anchored(there, 100 * MS, 114 * MS) == [
        Timed(QUEUE, 102 * MS, 104 * MS),
        Timed(EXECUTION, 104 * MS, 112 * MS),
    ]


@given(
    st.lists(
        st.builds(
            Part,
            st.sampled_from([*PARTS, "made up"]),
            st.integers(0, 2**62),
            st.integers(0, 2**62),
        ),
        max_size=MAX_PARTS,
    ),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
)
def test_another_host_can_tell_of_nothing_outside_its_time(
    parts: list[Part], asked_ns: int, took_ns: int
) -> None:
    found = anchored(parts, asked_ns, asked_ns + took_ns)
    for part in found:
        assert part.name in PARTS
        assert asked_ns <= part.began_ns <= part.ended_ns <= asked_ns + took_ns


def test_upload_follows_execution_in_the_order_of_parts() -> None:
    assert PARTS.index(QUEUE) < PARTS.index(EXECUTION) < PARTS.index(UPLOAD)


def test_a_build_stands_while_its_tasks_wait_and_none_is_at_work() -> None:
    def task(*measured: tuple[str, int, int]) -> Timeline:
        found = Timeline.of([Timed(name, a * MS, b * MS) for name, a, b in measured], ANCHOR)
        assert found is not None
        return found

    first = task((LOOKUP, 0, 10), (QUEUE, 10, 3000), (EXECUTION, 3000, 4000))
    assert stood_us([]) == 0
    assert stood_us([first]) == 2_990_000
    second = task((LOOKUP, 0, 10), (QUEUE, 10, 4005), (EXECUTION, 4005, 5000))
    assert stood_us([first, second]) == 2_990_000  # its own commands go one after the other
    third = task((QUEUE, 2000, 7000), (EXECUTION, 7000, 7001))
    assert stood_us([first, second, third]) == 4_990_000
