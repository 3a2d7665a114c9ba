"""What the dashboard shows at one moment, as values: the form that ``--once --json`` prints.

None is what is not known; ``…_s`` are seconds, ages those since it was measured or told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["good", "plain", "warning", "bad"]
Kind = Literal["user", "account", "agent"]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster as the asked node sees it. ``status``: as ``buildnet pool health`` says it, with
    its ``problems``; ``uptime_s`` and ``version`` are those of the asked ``node``."""

    name: str | None = None
    status: Literal["healthy", "not healthy", "unknown"] = "unknown"
    problems: tuple[str, ...] = ()
    members: int | None = None
    reachable: int | None = None
    coordinator: str | None = None
    term: int | None = None
    quorum: bool | None = None
    node: str | None = None
    version: str | None = None
    uptime_s: float | None = None


@dataclass(frozen=True, slots=True)
class Amount:
    """So much in use of so much. ``nodes``: of how many reachable workers that is known."""

    used: float | None = None
    total: float | None = None
    nodes: int = 0


@dataclass(frozen=True, slots=True)
class Resources:
    """What the workers have. ``active_workers``: those that can be reached and were not drained,
    ``idle_workers`` of these run nothing; ``cores`` are those that commands hold, ``cpu_busy`` the
    part of all cores that is busy, with whatever; ``oldest_s``: age of the oldest measurement;
    ``untold``: names of workers that have not told yet what they have, so are not counted."""

    total_workers: int | None = None
    active_workers: int | None = None
    idle_workers: int | None = None
    draining_workers: int | None = None
    offline_workers: int | None = None
    cores: Amount = field(default_factory=Amount)
    cpu_busy: float | None = None
    memory_bytes: Amount = field(default_factory=Amount)
    cache_bytes: int | None = None
    cache_limit_bytes: int | None = None
    cache_hit_rate: float | None = None
    oldest_s: float | None = None
    untold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildCounts:
    """How many builds, in the whole cluster. Those of the last hour are counted in the ledger;
    ``at_least``: there are more than were read."""

    queued: int | None = None
    in_progress: int | None = None
    paused: int | None = None
    completed_last_hour: int | None = None
    failed_last_hour: int | None = None
    cancelled_last_hour: int | None = None
    avg_build_time_s: float | None = None
    builds_per_minute: float | None = None
    error_rate: float | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node. ``age_s``: since its use was measured."""

    id: str
    name: str
    role: str
    status: str
    coordinator: bool
    this_node: bool
    draining: bool
    lends_nothing: str | None
    cores_in_use: int | None
    cores: int | None
    cpu_busy: float | None
    memory_used_bytes: float | None
    memory_bytes: float | None
    builds: int
    latency_ms: float | None
    version: str | None
    age_s: float | None


@dataclass(frozen=True, slots=True)
class BuildRow:
    """A build that is under way. ``estimated_s``: how long it takes in all, by its estimate, and
    ``left_s`` of that from now on; ``tasks`` is None until it is known."""

    id: str
    workspace: str
    actor: str
    node: str
    status: str
    tasks: int | None = None
    done: int = 0
    failed: int = 0
    running: tuple[str, ...] = ()
    waits_for: str | None = None
    elapsed_s: float | None = None
    estimated_s: float | None = None
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A build that waits, or is paused."""

    id: str
    place: int
    workspace: str
    actor: str
    node: str
    priority: str
    words: str
    waited_s: float | None
    starts_in_s: float | None


@dataclass(frozen=True, slots=True)
class EndedRow:
    """A build of the last hour that is over. ``at``: unix seconds."""

    id: str
    workspace: str | None
    actor: str
    status: str
    duration_s: float | None
    at: float
    error: str | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """Somebody who uses a node. ``kind``: what ``who`` is the name of, for a user of a host and an
    account may be called the same; an agent is a program with a key."""

    id: str
    who: str
    kind: Kind
    way: str
    node: str
    does: str
    since_s: float | None
    last_s: float | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened. ``at``: unix seconds."""

    at: float
    kind: str
    text: str
    level: Level = "plain"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the latest word of a source is, and why there is none since."""

    age_s: float | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Screen:
    """All of it. ``lost``: in words that, and since when, nothing comes of the node any more;
    ``silent``: nodes that did not tell their sessions, and why; ``events``: the latest first;
    ``sources``: by name."""

    cluster: Cluster = field(default_factory=Cluster)
    resources: Resources = field(default_factory=Resources)
    builds: BuildCounts = field(default_factory=BuildCounts)
    alerts: tuple[str, ...] = ()
    running: tuple[BuildRow, ...] | None = None
    queue: tuple[QueueRow, ...] | None = None
    ended: tuple[EndedRow, ...] | None = None
    nodes: tuple[NodeRow, ...] | None = None
    sessions: tuple[SessionRow, ...] | None = None
    silent: tuple[str, ...] = ()
    events: tuple[EventRow, ...] | None = None
    lost: str | None = None
    sources: Mapping[str, Freshness] = field(default_factory=dict)
