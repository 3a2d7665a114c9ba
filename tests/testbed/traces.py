"""What viewers ask of traces in Chrome's Trace Event Format: its schema, events that nest, arrows
that hang on events."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import jsonschema_rs

_NUMBER = {"type": "integer", "minimum": 0}
_TIME = {"type": "number", "minimum": 0}


def _event(phase: str, required: list[str], **fields: Any) -> dict[str, Any]:
    return {
        "properties": {
            "ph": {"const": phase},
            "name": {"type": "string", "minLength": 1},
            "pid": _NUMBER,
            "tid": _NUMBER,
            "args": {"type": "object"},
            **fields,
        },
        "required": ["ph", "name", "pid", "tid", *required],
        "additionalProperties": False,
    }


_CATEGORY = {"type": "string", "minLength": 1}
_FLOW = {"cat": _CATEGORY, "ts": _TIME, "id": {"type": ["integer", "string"]}}
# Of the Trace Event Format: the JSON object form, and the phases that are written.
SCHEMA = {
    "type": "object",
    "required": ["traceEvents"],
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "otherData": {"type": "object"},
        "traceEvents": {
            "type": "array",
            "items": {
                "type": "object",
                "oneOf": [
                    _event("X", ["ts", "dur", "cat"], ts=_TIME, dur=_TIME, cat=_CATEGORY),
                    _event("s", ["ts", "id", "cat"], **_FLOW),
                    _event("f", ["ts", "id", "cat", "bp"], bp={"const": "e"}, **_FLOW),
                    _event(
                        "M",
                        ["args"],
                        name={
                            "enum": [
                                "process_name",
                                "process_sort_index",
                                "thread_name",
                                "thread_sort_index",
                            ]
                        },
                    ),
                ],
            },
        },
    },
}
_VALID = jsonschema_rs.validator_for(SCHEMA)


def require_valid(trace: dict[str, Any]) -> None:
    """See that a trace is what the format says."""
    _VALID.validate(trace)


def slices(trace: dict[str, Any]) -> dict[tuple[int, int], list[tuple[int, int, str]]]:
    """Return begin and end in nanoseconds, as viewers read them, of each thread's events."""
    found = defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            begin = round(event["ts"] * 1000)
            end = begin + round(event["dur"] * 1000)
            found[event["pid"], event["tid"]].append((begin, end, event["name"]))
    return found


def require_nested(trace: dict[str, Any]) -> None:
    """See that events of one thread lie within each other or apart."""
    for events in slices(trace).values():
        around: list[int] = []
        for begin, end, name in sorted(events, key=lambda each: (each[0], -each[1])):
            while around and around[-1] <= begin:
                around.pop()
            assert not around or end <= around[-1], f"{name} overlaps"
            if end > begin:
                around.append(end)


def require_arrows(trace: dict[str, Any]) -> None:
    """Every end of an arrow lies within an event of its thread, and none goes back in time."""
    begun: dict[int, float] = {}
    there = slices(trace)
    for event in trace["traceEvents"]:
        if event["ph"] in "sf":
            at = round(event["ts"] * 1000)
            thread = there[event["pid"], event["tid"]]
            assert any(begin <= at <= end for begin, end, _ in thread)
        if event["ph"] == "s":
            begun[event["id"]] = event["ts"]
        if event["ph"] == "f":
            assert begun.pop(event["id"]) <= event["ts"]
    assert not begun
