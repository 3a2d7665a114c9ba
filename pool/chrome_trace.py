"""A recorded build as a trace that viewers open: Perfetto, ``chrome://tracing``, speedscope.

The Trace Event Format in its JSON object form: each node is a process, each slot of it a thread, a
task a complete event (``X``) with its parts as complete events inside it, and what it waited for a
flow (``s`` to ``f``). Times are microseconds from the build's begin. Events of one thread nest, as
the format asks for: tasks that overlap get slots of their own, the lowest that is free. Which slot
that was on the host is not known, nor does it matter.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Any, Final

from buildnet.pool.recorded import RecordedBuild, RecordedTask, Waits

TraceEvent = dict[str, Any]
_BUILD: Final = 1
"""The process of the build itself: its phases and its look-ups."""
_PHASES: Final = ("prepare", "plan", "rehearse", "perform", "review")
_US_NS: Final = 1000


def chrome_trace(build: RecordedBuild) -> dict[str, Any]:
    """Return the trace; ``json.dumps`` makes the file."""
    build = build.in_shards()
    began_ns = min([build.started_ns, *(task.began_ns for task in build.measured)])
    placed = list(_placed(build.measured, began_ns))
    nodes = _nodes(placed)
    events = [
        *_names(nodes, placed),
        *_phases(build, began_ns),
        *(event for each in placed for event in _of_task(each, nodes)),
        *_flows(build.tasks, placed, nodes),
    ]
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "build_id": build.id,
            "workspace": build.workspace,
            "status": build.status,
            "began_unix_ns": str(began_ns),
        },
    }


class _Placed:
    """A task on a slot of its node; nanoseconds from the trace's begin."""

    __slots__ = ("at_ns", "end_ns", "slot", "task")

    def __init__(self, task: RecordedTask, began_ns: int) -> None:
        self.task = task
        self.at_ns = task.began_ns - began_ns
        self.end_ns = task.ended_ns - began_ns
        self.slot = 0

    @property
    def place(self) -> str | None:
        """On which node it was; None: it had no command to run, and was looked up alone."""
        return self.task.node if self.task.ran else None


def _placed(tasks: Sequence[RecordedTask], began_ns: int) -> Iterator[_Placed]:
    """Yield tasks, which come in the order of their begin, each on the lowest free slot."""
    busy: dict[str | None, list[tuple[int, int]]] = {}
    free: dict[str | None, list[int]] = {}
    for task in tasks:
        placed = _Placed(task, began_ns)
        running = busy.setdefault(placed.place, [])
        slots = free.setdefault(placed.place, [])
        while running and running[0][0] <= placed.at_ns:
            heapq.heappush(slots, heapq.heappop(running)[1])
        placed.slot = heapq.heappop(slots) if slots else len(running) + 1
        heapq.heappush(running, (placed.end_ns, placed.slot))
        yield placed


def _nodes(placed: Sequence[_Placed]) -> dict[str | None, int]:
    """Return the number of each node as a process."""
    nodes: dict[str | None, int] = {None: _BUILD}
    for each in placed:
        nodes.setdefault(each.place, len(nodes) + 1)
    return nodes


def _names(nodes: dict[str | None, int], placed: Sequence[_Placed]) -> Iterator[TraceEvent]:
    names = {each.place: each.task.node_name or "this node" for each in placed}
    threads = sorted({(nodes[each.place], each.slot) for each in placed})
    for place, process in nodes.items():
        name = "build" if place is None else f"{names[place]} ({place})"
        yield _named("process_name", process, 0, {"name": name})
        yield _named("process_sort_index", process, 0, {"sort_index": process})
    yield _named("thread_name", _BUILD, 0, {"name": "phases"})
    for process, slot in threads:
        what = "look-up" if process == _BUILD else "slot"
        yield _named("thread_name", process, slot, {"name": f"{what} {slot}"})
        yield _named("thread_sort_index", process, slot, {"sort_index": slot})


def _named(name: str, process: int, thread: int, arguments: dict[str, Any]) -> TraceEvent:
    return {"ph": "M", "name": name, "pid": process, "tid": thread, "args": arguments}


def _phases(build: RecordedBuild, began_ns: int) -> Iterator[TraceEvent]:
    at_ns = build.started_ns - began_ns
    for phase in _PHASES:
        took_ms = (build.phases or {}).get(f"{phase}_ms")
        if took_ms is not None:
            end_ns = at_ns + round(took_ms * 1e6)
            yield _complete(phase, "phase", (at_ns, end_ns), (_BUILD, 0))
            at_ns = end_ns


def _of_task(placed: _Placed, nodes: dict[str | None, int]) -> Iterator[TraceEvent]:
    task, slot = placed.task, (nodes[placed.place], placed.slot)
    assert task.timeline is not None
    arguments = {
        "status": task.status,
        "tier": task.tier,
        "executed_ms": task.executed_ms,
        "action": task.action,
        "isolation": task.isolation,
        "reasons": list(task.reasons),
    }
    yield _complete(task.name, "task", (placed.at_ns, placed.end_ns), slot, arguments)
    end_ns = placed.at_ns
    for part in task.timeline.parts:
        at_ns = max(end_ns, placed.at_ns + part.at_us * _US_NS)
        end_ns = max(at_ns, placed.at_ns + part.end_us * _US_NS)
        yield _complete(part.name, "part", (at_ns, end_ns), slot)


def _complete(
    name: str,
    category: str,
    span_ns: tuple[int, int],
    slot: tuple[int, int],
    arguments: dict[str, Any] | None = None,
) -> TraceEvent:
    at_ns, end_ns = span_ns
    event: TraceEvent = {
        "ph": "X",
        "name": name,
        "cat": category,
        "ts": at_ns / _US_NS,
        "dur": (end_ns - at_ns) / _US_NS,
        "pid": slot[0],
        "tid": slot[1],
    }
    if arguments:
        event["args"] = arguments
    return event


def _flows(
    tasks: Sequence[RecordedTask], placed: Sequence[_Placed], nodes: dict[str | None, int]
) -> Iterator[TraceEvent]:
    """Yield, for each task and what it waited for, an arrow from the end of that to its begin."""
    by_name = {each.task.name: each for each in placed}
    waits, number = Waits(tasks), 0
    for each in placed:
        for needed in waits.of(each.task):
            number += 1
            start = by_name[needed.name]
            # Inside of the event that it leaves: one that begins there belongs to the next.
            at_ns = max(start.at_ns, min(start.end_ns - 1, each.at_ns))
            flow = {"name": "needs", "cat": "dependency", "id": number}
            leaves = {"ts": at_ns / _US_NS, "pid": nodes[start.place], "tid": start.slot}
            arrives = {"ts": max(at_ns, each.at_ns) / _US_NS, "pid": nodes[each.place]}
            yield {**flow, "ph": "s", **leaves}
            yield {**flow, "ph": "f", "bp": "e", **arrives, "tid": each.slot}
