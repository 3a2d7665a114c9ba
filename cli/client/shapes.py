"""What a node answers, as types. Answers may hold more than is named here; nothing of it goes."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

BuildStatus = Literal["running", "succeeded", "failed", "cancelled"]
Priority = Literal["critical", "high", "normal", "low"]
ChannelName = Literal[
    "resources", "nodes", "builds", "queue", "pool", "ledger", "logs", "sessions", "node_logs"
]


class ErrorReport(TypedDict):
    """Why a build, or a task of it, failed."""

    code: str
    message: str
    cause: str | None
    hint: str | None


class TaskReport(TypedDict):
    """What became of one task of a build. ``node``: the id of the one that ran it; ``tier``: where
    its result came from."""

    name: str
    task: str
    status: str
    tier: str | None
    node: str
    duration_ms: float | None
    exit_code: NotRequired[int | None]
    error: NotRequired[ErrorReport | None]


class BuildReport(TypedDict):
    """A build, while it runs or once it is over. ``started_at``: seconds since 1970."""

    build_id: str
    status: BuildStatus
    duration_ms: float | None
    started_at: float
    packages: list[TaskReport]
    error: NotRequired[ErrorReport | None]


class BuildEvent(TypedDict):
    """An event of one build. ``type``: ``build_started``, ``task_started``, ``task_output``
    (``text``, ``line``; ``so_far``: it was printed before), ``task_finished``, ``waiting``
    (``for``), ``notice`` (``text``), ``output_left_out`` (``bytes``), ``build_finished``
    (``report``) and others."""

    type: str
    build_id: NotRequired[str]
    name: NotRequired[str]
    task: NotRequired[str]
    text: NotRequired[str]
    line: NotRequired[int]
    so_far: NotRequired[bool]
    status: NotRequired[str]
    report: NotRequired[BuildReport]


class Affected(TypedDict):
    """A package that a change affects, and why."""

    name: str
    why: str


class WatchEvent(BuildEvent):
    """An event of a workspace that is watched, or of a build there. ``type``: ``watching``,
    ``changed``, ``building``, ``outdated``, ``recurring`` (these four with ``paths``, ``count``,
    ``impact``, ``affected``), ``error``, ``idle``, or one of a build."""

    paths: NotRequired[list[str]]
    count: NotRequired[int]
    impact: NotRequired[str]
    affected: NotRequired[list[Affected]]
    error: NotRequired[ErrorReport]


class QueuedBuild(TypedDict):
    """A build that runs or waits. ``place`` 1 comes next; ``node``: the name of who drives it."""

    build_id: str
    workspace: str
    actor: str
    node: str
    node_id: str
    priority: Priority
    place: int
    state: str
    words: str
    paused: bool
    reason: str | None


class Queue(TypedDict):
    """``complete``: the coordinator told it; else only builds of the asked node are there.
    ``reason``: why it is paused, where somebody said it."""

    complete: bool
    paused: bool
    paused_by: str | None
    reason: str | None
    builds: list[QueuedBuild]


class Event(TypedDict):
    """Something that happened in the pool. ``type`` ``snapshot``: the ``state`` of all channels,
    but those that are ``missing`` as yet, with ``gap`` where what happened before it was missed; of
    all others ``channel``, ``at`` (seconds since 1970) and ``data``."""

    type: str
    cursor: str
    channel: NotRequired[ChannelName]
    at: NotRequired[float]
    data: NotRequired[dict[str, Any]]
    state: NotRequired[dict[str, dict[str, dict[str, Any]]]]
    missing: NotRequired[list[ChannelName]]
    gap: NotRequired[bool]
