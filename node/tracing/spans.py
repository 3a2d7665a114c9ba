"""What happened in a build, as spans.

Nothing travels with a command to have its parts fit together: the trace is named after the build,
and a task's span after build and task, so the node that drives a build and one that runs a command
of it say the same names each by itself. Times are unix nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from blake3 import blake3

from buildnet.node.report import TaskReport
from buildnet.pool.build import Status

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Span:
    """One part of a trace. ``trace``: 16 bytes; ``id`` and ``parent``: 8 bytes; ``problem``: what
    went wrong, None: nothing."""

    trace: bytes
    id: bytes
    parent: bytes | None
    name: str
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, Value] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class GuestRan:
    """A command that ran here for another node's build. ``label``: of its task; ``outcome``:
    ``succeeded``, ``failed`` or ``refused``."""

    build: str
    label: str
    began_ns: int
    ended_ns: int
    outcome: str


@dataclass(frozen=True, slots=True)
class BuildRan:
    """A build that this node drove. ``tasks``: the label of each and its report; ``unchanged``: how
    many stood as before, without one."""

    id: str
    actor: str
    workspace: str
    task: str
    began_ns: int
    ended_ns: int
    status: Status
    error: str | None
    tasks: Sequence[tuple[str, TaskReport]]
    unchanged: int


def spans_of_build(build: BuildRan) -> list[Span]:
    """Return the spans of a build and of its tasks; a task's begins with its turn."""
    trace, root = trace_of(build.id), span_of(build.id, "")
    whole = Span(
        trace,
        root,
        None,
        f"build {build.workspace}",
        build.began_ns,
        build.ended_ns,
        {
            "buildnet.build": build.id,
            "buildnet.actor": build.actor,
            "buildnet.task": build.task,
            "buildnet.status": build.status.value,
            "buildnet.tasks": len(build.tasks) + build.unchanged,
            "buildnet.unchanged": build.unchanged,
        },
        (build.error or "a task failed") if build.status is Status.FAILED else None,
    )
    return [whole, *(_task(build, whole, label, report) for label, report in build.tasks)]


def _task(build: BuildRan, whole: Span, label: str, report: TaskReport) -> Span:
    took_ns = int(report.duration_ms * 1e6)
    # Of what stood as before nobody noted when: that is found at the build's begin.
    ended_ns = report.ended_ns or build.began_ns + took_ns
    said: dict[str, Value | None] = {
        "buildnet.status": report.status.value,
        "buildnet.tier": None if report.tier is None else report.tier.value,
        "buildnet.isolation": report.isolation,
        "buildnet.node": report.node_name or report.node,
        "buildnet.action": None if report.action is None else report.action.hash,
        "process.exit.code": report.exit_code,
    }
    problem: str | None = None
    if report.status is Status.FAILED:
        failed = f"exit code {report.exit_code}" if report.exit_code else "it could not be run"
        problem = (report.error or {}).get("message") or failed
    return Span(
        whole.trace,
        span_of(build.id, label),
        whole.id,
        label,
        ended_ns - took_ns,
        ended_ns,
        {name: value for name, value in said.items() if value is not None},
        problem,
    )


def span_of_guest(ran: GuestRan) -> Span:
    """Return the span of a command that ran here for another node, below its task's."""
    return Span(
        trace_of(ran.build),
        span_of(ran.build, f"{ran.label}\0{ran.began_ns}"),
        span_of(ran.build, ran.label),
        f"run {ran.label}",
        ran.began_ns,
        ran.ended_ns,
        {"buildnet.build": ran.build, "buildnet.outcome": ran.outcome},
        None if ran.outcome == "succeeded" else ran.outcome,
    )


def trace_of(build: str) -> bytes:
    """Return the id of a build's trace."""
    return blake3(f"buildnet trace {build}".encode()).digest(16)


def span_of(build: str, label: str) -> bytes:
    """Return the id of a task's span; of the whole build with an empty label."""
    return blake3(f"buildnet span {build} {label}".encode()).digest(8)
