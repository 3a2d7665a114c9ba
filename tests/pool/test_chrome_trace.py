"""Traces by what viewers ask of them: the schema of the format, events that nest, arrows that hang
on events."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from buildnet.pool.chrome_trace import chrome_trace
from buildnet.pool.timeline import EXECUTION, LOOKUP, QUEUE, RESTORE
from testbed.recorded_builds import build_of, large_build, task_of
from testbed.traces import require_arrows, require_nested, require_valid


def trace_of(build: Any) -> dict[str, Any]:
    trace: dict[str, Any] = json.loads(json.dumps(chrome_trace(build), allow_nan=False))
    require_valid(trace)
    return trace


def test_nodes_are_processes_slots_threads_and_parts_lie_in_their_task() -> None:
    trace = trace_of(
        build_of(
            task_of("base", 0, {LOOKUP: 1, QUEUE: 2, EXECUTION: 300}),
            task_of("ui", 1, {LOOKUP: 1, EXECUTION: 100}),
            task_of("far", 1, {LOOKUP: 1, EXECUTION: 50}, node="e" * 16, node_name="berta"),
            task_of("there", 2, {LOOKUP: 1, RESTORE: 3}),
        )
    )
    named = {
        (event["name"], event["pid"], event["tid"]): event["args"]
        for event in trace["traceEvents"]
        if event["ph"] == "M"
    }
    processes = {
        args["name"]: pid for (name, pid, _), args in named.items() if name == "process_name"
    }
    assert set(processes) == {"build", f"this node ({'f' * 16})", f"berta ({'e' * 16})"}
    at = {
        event["name"]: (event["pid"], event["tid"])
        for event in trace["traceEvents"]
        if event.get("cat") == "task"
    }
    here = processes[f"this node ({'f' * 16})"]
    assert at["base"][0] == at["ui"][0] == here
    assert at["base"][1] != at["ui"][1]
    assert at["far"][0] == processes[f"berta ({'e' * 16})"]
    assert at["there"][0] == processes["build"]
    require_nested(trace)


def test_a_slot_is_used_again_once_it_is_free() -> None:
    trace = trace_of(
        build_of(task_of("one", 0, {EXECUTION: 10}), task_of("two", 10, {EXECUTION: 10}))
    )
    slots = {event["tid"] for event in trace["traceEvents"] if event.get("cat") == "task"}
    assert slots == {1}


def test_each_dependency_is_an_arrow_between_events() -> None:
    trace = trace_of(
        build_of(
            task_of("base", 0, {EXECUTION: 300}),
            task_of("core", 0, {}, needs=["base"]),
            task_of("app", 300, {EXECUTION: 100}, needs=["core", "base"]),
        )
    )
    starts = [event for event in trace["traceEvents"] if event["ph"] == "s"]
    ends = [event for event in trace["traceEvents"] if event["ph"] == "f"]
    assert [event["id"] for event in starts] == [event["id"] for event in ends] == [1]
    require_arrows(trace)


def test_shards_are_tasks_of_their_own_that_lie_beside_each_other() -> None:
    shards = [
        {**task_of("app", at_ms, {EXECUTION: 100}), "shard": f"{number}/2"}
        for number, at_ms in ((1, 300.0), (2, 310.0))
    ]
    trace = trace_of(
        build_of(
            task_of("base", 0, {EXECUTION: 300}),
            task_of("app", 310, {EXECUTION: 100}, needs=["base"], task="test", shards=shards),
            task_of("after", 420, {EXECUTION: 10}, needs=["app#test"]),
        )
    )
    spans = {each["name"]: each["tid"] for each in trace["traceEvents"] if each["ph"] == "X"}
    assert {"app#test 1/2", "app#test 2/2", "base", "after"} <= spans.keys()
    assert "app#test" not in spans
    assert spans["app#test 1/2"] != spans["app#test 2/2"]
    assert sum(event["ph"] == "s" for event in trace["traceEvents"]) == 4
    require_arrows(trace)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 80), st.integers(0, 1000))
def test_any_build_makes_a_trace_that_viewers_read(count: int, seed: int) -> None:
    trace = trace_of(large_build(count, seed))
    require_nested(trace)
    require_arrows(trace)
