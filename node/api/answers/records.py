"""What builds can be learned from."""

from __future__ import annotations

from typing import Any, Literal

from buildnet.node.api.answers.answer import Answer, Page


class PathStep(Answer):
    """One task of the chain that a build's time hung on."""

    task: str
    began_ns: int
    ended_ns: int
    before_ms: float
    waited_ms: float
    work_ms: float
    share: float | None


class PathOfBuild(Answer):
    """The critical path; ``share``: what part of the build's measured time was work on it."""

    ms: float
    work_ms: float
    share: float | None
    steps: list[PathStep]


class SavedTime(Answer):
    """What results that were there saved; ``unknown``: of so many tasks it is not known."""

    tasks: int
    executed_ms: float
    unknown: int
    spent_ms: float
    by_tier: dict[str, int]


class MissedTask(Answer):
    """A task that ran, and why."""

    task: str
    executed_ms: float | None
    reasons: list[str]
    nearest: list[str] | None


class BuildFinding(Answer):
    """What would have saved time."""

    kind: str
    text: str
    hint: str
    tasks: list[str]
    saves_ms: float | None


class BuildReview(Answer):
    """What one build can be learned from."""

    build_id: str
    workspace: str
    status: str
    duration_ms: float | None
    phases: dict[str, float | None] | None
    elapsed_ms: float
    critical_path: PathOfBuild
    savings: SavedTime
    missed: list[MissedTask]
    missed_count: int
    findings: list[BuildFinding]


class TraceFile(Answer):
    """A trace in Chrome's Trace Event Format."""

    traceEvents: list[dict[str, Any]]
    displayTimeUnit: Literal["ms"]
    otherData: dict[str, Any]


class ComparedBuild(Answer):
    """One of two builds."""

    build_id: str
    workspace: str
    status: str
    duration_ms: float | None


class ComparedSide(Answer):
    """A task in one of two builds."""

    status: str
    tier: str | None
    work_ms: float
    executed_ms: float | None
    node: str | None
    node_name: str | None
    action: str | None


class ComparedTask(Answer):
    """A task in two builds; null: it is not in one. ``changes`` null: they are not known."""

    task: str
    before: ComparedSide | None
    after: ComparedSide | None
    difference_ms: float | None
    other_tier: bool
    other_key: bool
    changes: list[str] | None


class BuildComparison(Answer):
    """Two builds beside each other."""

    before: ComparedBuild
    after: ComparedBuild
    tasks: list[ComparedTask]


class TrendPoint(Answer):
    """One run of a task."""

    started_at: float
    build_id: str
    executed_ms: float


class TasksTrend(Answer):
    """How often results were there, tasks ran, and failed."""

    looked_at: int
    there: int
    ran: int
    failed: int
    hit_rate: float | None


class TaskTrend(TasksTrend):
    """How one task fared."""

    task: str
    p50_ms: float | None
    p90_ms: float | None
    points: list[TrendPoint]


class BuildTrends(Answer):
    """How the tasks of a workspace fared in its latest builds; ``workspace`` null: there is
    no build yet, ``tasks`` empty: no build told of them yet."""

    workspace: str | None
    package: str | None
    builds: int
    overall: TasksTrend
    tasks: list[TaskTrend]


class FlakyTest(Answer):
    """A test that failed and passed in runs of one action; ``name`` null: the whole command."""

    workspace: str
    root: str
    task: str
    name: str | None
    count: int
    first_at: float
    last_at: float
    node: str | None


class FlakyTests(Page):
    """Those of the workspaces built on this node."""

    flaky: list[FlakyTest]
