"""Builds, the queue, workspaces, and what was given up."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from buildnet.ledger.history import Durability
from buildnet.node.api.answers.answer import Answer, Page, Success
from buildnet.node.api.answers.reports import PackageReport, ToldError
from buildnet.pool.attempts import Attempt

BuildStatus = Literal["running", "succeeded", "failed", "cancelled"]
ListedStatus = Literal["running", "succeeded", "failed", "cancelled", "unknown"]


class Choice(Answer):
    """What a build goes by: what was named, and what that says. ``variables``: the values that the
    template was given."""

    configuration: str | None
    version: int | None
    template: str | None
    profile: str | None
    priority: str
    parallel: int | None
    slots: int | None
    cpus: list[int]
    isolation: str | None
    local_only: bool
    redundancy: int
    timeout_s: float | None
    artifacts_on: str | None
    artifacts_bytes: int
    strategy: str
    max_nodes: int | None
    nodes: dict[str, int]
    memory: dict[str, int]
    labels: list[str]
    unkept: dict[str, Any] | None
    variables: dict[str, bool | int | float | str] = Field(default_factory=dict)


class EstimateInShort(Answer):
    """How long a build takes in all; ``interval_ms``: what four of five end in."""

    estimated_ms: int
    interval_ms: tuple[int, int]
    confidence: float
    confidence_level: Literal["low", "medium", "high"]


class Affected(Answer):
    """A package that a change affects, and why."""

    name: str
    why: str


class Since(Answer):
    """What changed since a revision; ``changed_files`` null: everything may have."""

    revision: str
    base: str
    changed_files: int | None
    affected: list[Affected]


class RequestedBuild(Answer):
    """What was asked for."""

    packages: list[str]
    task: str
    force: bool
    dry_run: bool
    keep_going: bool
    local_only: bool
    durable: bool
    wait_s: float | None
    times: int
    retries: int = 0
    choice: Choice | None
    since: str | None = None
    trace_inputs: bool = False


class RunningBuild(Answer):
    """A build, as it is known from its start on. ``node_id``: of the node that drives it."""

    build_id: str
    status: BuildStatus
    duration_ms: float | None
    estimated_ms: float | None
    coordinator: str | None
    workspace: str
    root: str
    node_id: str
    triggered_by: str
    request: RequestedBuild
    dry_run: bool
    choice: Choice | None
    warnings: list[str]
    started_at: float
    durable: Durability | None
    since: Since | None
    estimate: EstimateInShort | None = None


class RecordedOn(Answer):
    """The other node that tells of a build; ``kept_at``: since when this node has what it told of
    one that is over (unix seconds), null: it was told now."""

    node_id: str
    name: str
    kept_at: float | None


class BuildReport(RunningBuild):
    """A build that a node drives, or drove lately; ``unchanged``: how many packages stand as
    before and are not listed. Once it is over: ``error``, ``not_watched``: why all files had to be
    looked at, ``isolation_reason``: why it had less isolation than it asked for."""

    notices: list[str]
    packages: list[PackageReport]
    unchanged: int
    phases: dict[str, float | None] | None = None
    error: ToldError | None = None
    not_watched: str | None = None
    isolation_reason: str | None = None
    recorded_on: RecordedOn | None = None


class RecordedBuild(Answer):
    """A build from a node's record; times are unix seconds; ``phases``: how many milliseconds
    each took; ``estimate_error``: by which part of what it took its estimate was off; ``notices``:
    what people were told besides, such as that a node was lost which ran commands, null: an older
    version told of it, and does not say."""

    build_id: str
    workspace: str
    root: str
    request: RequestedBuild
    status: BuildStatus
    started_at: float
    completed_at: float | None
    duration_ms: float | None
    error: str | None
    triggered_by: str
    durable: Durability | None
    notices: list[str] | None = None
    packages: list[PackageReport]
    phases: dict[str, float | None] | None
    estimated_ms: int | None
    estimate: EstimateInShort | None
    estimate_error: float | None
    recorded_on: RecordedOn | None = None


class AskedInShort(Answer):
    """What was asked for, as the ledger has it; ``packages_left_out``: how many besides, of those
    it does not name; ``configuration``: the id of the one that was named."""

    packages: list[str]
    packages_left_out: int
    task: str
    configuration: str | None


class ListedBuild(Answer):
    """A build of the list. ``node_id``, ``node``: who drives it, or drove it last: this node, or
    who went on with what this node lost. ``status`` ``unknown``: nobody tells that it ended, and
    its node is away. Of a build of another one it has what the ledger tells:
    ``root``, ``durable``, ``phases`` and the estimate are null then, whether it had them or not;
    ``GET /api/build/{name}`` asks that node.
    ``packages``: always empty here."""

    build_id: str
    node_id: str
    node: str
    this_node: bool
    workspace: str
    root: str | None
    request: RequestedBuild | AskedInShort
    status: ListedStatus
    started_at: float
    completed_at: float | None
    duration_ms: float | None
    error: str | None
    triggered_by: str
    durable: Durability | None
    packages: list[PackageReport]
    phases: dict[str, float | None] | None
    estimated_ms: int | None
    estimate: EstimateInShort | None
    estimate_error: float | None


class EstimateQuality(Answer):
    """How good the estimates of the latest builds were, as shares; null: none had one."""

    builds: int
    median_error: float | None
    within_interval: float | None


class Builds(Page):
    """Builds of all nodes; ``complete`` false: this node still reads in its ledger what others
    built."""

    complete: bool
    builds: list[ListedBuild]
    counts: dict[ListedStatus, int]
    estimates: EstimateQuality


class BegunBuild(Answer):
    """A build that has begun; ``asker``: the number of who asked, to cancel it for them alone;
    ``estimated_duration_ms`` null: not known yet, it comes as an event of type ``estimate``, unless
    the build is over in a moment or nothing is known of its commands."""

    build_id: str
    asker: int
    estimated_duration_ms: float | None


class RetriedBuild(Answer):
    """A build of what was given up, that has begun."""

    build_id: str


class CancelledBuild(Success):
    """A build whose end was asked for; ``goes_on``: others want it still; ``changed``: told of one
    that another node drives."""

    build_id: str
    goes_on: bool | None = None
    changed: bool = True


class QueuedBuild(Answer):
    """A build that runs or waits; ``words``: why it waits."""

    build_id: str
    workspace: str
    actor: str
    node: str
    node_id: str
    this_node: bool
    priority: str
    place: int
    state: str
    words: str
    paused: bool
    reason: str | None
    moved: bool
    running: int
    hosts: int
    leases: int
    asked_at: float
    waited_s: float | None
    starts_in_s: float | None
    ends_in_s: float | None


class Queue(Page):
    """The queue; ``complete`` false: nobody coordinates now, these are the builds of this node."""

    complete: bool
    paused: bool
    paused_by: str | None
    reason: str | None
    builds: list[QueuedBuild]


class QueueChanged(Success):
    """What was changed; ``build_id`` null: all; ``changed`` false: it was so before; ``goes_on``:
    others want it still."""

    build_id: str | None
    changed: bool
    goes_on: bool | None = None


class Letter(Answer):
    """A command that was given up; ``at``: unix time; ``error``: the last one."""

    id: str
    at: float
    build: str
    workspace: str
    root: str
    package: str
    task: str
    action: str | None
    error: ToldError
    attempts: list[Attempt]


class Letters(Page):
    """What was given up, the latest first."""

    letters: list[Letter]


class Removed(Answer):
    """How many were removed."""

    removed: int
