"""Records as other nodes may have told them: whatever they say, they are read and looked into."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from buildnet.pool.chrome_trace import chrome_trace
from buildnet.pool.comparison import compare
from buildnet.pool.recorded import RecordedBuild, RecordedTask
from buildnet.pool.review import review
from buildnet.pool.timeline import EXECUTION, PARTS
from testbed.recorded_builds import build_of, task_of

_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
_FIELDS = sorted(task_of("a", 0, {EXECUTION: 1}))
_TIME = st.integers(-(2**70), 2**70) | st.floats()
_TIMELINES = st.fixed_dictionaries(
    {
        "began_ns": _TIME,
        "parts": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(PARTS), "at_ms": _TIME, "took_ms": _TIME}
            ),
            max_size=4,
        ),
    }
)


def told(data: dict[str, Any]) -> dict[str, Any]:
    return {**task_of("told", 0, {EXECUTION: 5}, needs=["known"]), **data}


def is_json(value: Any) -> bool:
    """Tell whether a value comes through JSON, which knows no infinite number, as it was."""
    return bool(json.loads(json.dumps(value, allow_nan=False)) == value)


@example({"executed_ms": math.nan}, None)
@example({"executed_ms": math.inf}, None)
@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=6), _TIMELINES | st.none())
def test_whatever_a_record_says_it_is_looked_into(
    data: dict[str, Any], timeline: dict[str, Any] | None
) -> None:
    entry = told(data if timeline is None else {**data, "timeline": timeline})
    build = build_of(task_of("known", 0, {EXECUTION: 5}), entry)
    assert is_json(review(build).as_dict())
    assert is_json(chrome_trace(build))
    assert is_json(compare(build, build_of(), lambda old, new: []).as_dict())


def test_what_makes_no_sense_counts_as_not_told() -> None:
    task = RecordedTask.from_dict(
        told({"executed_ms": "long", "depends_on": 5, "action": "../x", "nearest": [1]})
    )
    assert (task.executed_ms, task.depends_on, task.action, task.nearest) == (None, (), None, None)
    assert RecordedTask.from_dict({}).name == "?"


def test_of_a_build_likewise() -> None:
    said = {"build_id": "b", "workspace": "w", "status": "failed", "started_at": 1, "packages": []}
    build = RecordedBuild.from_dict({**said, "duration_ms": "long", "phases": ["plan_ms"]})
    assert (build.duration_ms, build.phases) == (None, None)
    build = RecordedBuild.from_dict({**said, "phases": {"plan_ms": "x", "perform_ms": 5}})
    assert build.phases == {"plan_ms": None, "perform_ms": 5.0}
    assert is_json(chrome_trace(build))
    for moment in (-1.0, 1e308):
        assert 0 <= RecordedBuild.from_dict({**said, "started_at": moment}).started_ns <= 1e20
