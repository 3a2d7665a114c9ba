"""One node: what it is, what it has, how it is set."""

from __future__ import annotations

from typing import Any, Literal

from buildnet.node.api.answers.answer import Answer, Cluster, Page, Success
from buildnet.node.api.answers.builds import RunningBuild
from buildnet.node.api.answers.pool import AgedBenchmark
from buildnet.node.terms import Terms
from buildnet.pool.advertisement import Lent
from buildnet.pool.resources import NodeResources
from buildnet.pool.view import Coordinator


class Standing(Answer):
    """How a node is, in a word."""

    status: str


class SeenCluster(Cluster):
    """The cluster, and how many of its members are there."""

    members: int
    reachable: int


class Joining(Answer):
    """A join that is under way."""

    address: str
    since: str
    waits_for: Literal["node", "admin"]
    code: str | None
    problem: str | None


class Isolation(Answer):
    """How commands are kept apart that ask for nothing; null: not found out yet."""

    level: str | None
    reason: str | None
    limits: str | None


class LedgerInShort(Answer):
    """How the ledger is."""

    open: bool
    height: int
    waiting: int
    lost: int
    problem: str | None


class NodeStatus(Answer):
    """What this node is and does; ``home`` and ``pid`` null: they are for its owner alone."""

    node_id: str
    name: str
    address: str
    role: str
    rights: str
    status: Literal["online", "busy"]
    problem: str | None
    tls: bool
    warning: str | None
    joining: Joining | None
    cluster: SeenCluster
    coordinator: Coordinator | None
    term: int
    uptime_s: float
    version: str
    home: str | None
    pid: int | None
    slots: int
    draining: bool
    lends_nothing: str | None
    lent: list[Lent]
    terms: Terms
    benchmark: AgedBenchmark | None
    isolation: Isolation
    builds: list[RunningBuild]
    ledger: LedgerInShort


class Scanned(Success):
    """What a scan found."""

    resources: NodeResources


class Benchmarked(Success):
    """What a benchmark found."""

    benchmark: AgedBenchmark


class Stopping(Success):
    """The node ends; so many builds are cancelled."""

    builds_cancelled: int


class Setting(Answer):
    """One setting; ``help``: what it is for; ``text``: a duration or size with its unit, as
    ``node.yaml`` takes it, of others null; ``next_start``: what counts from then on, where that
    is something else, and ``next_start_text`` the same with its unit."""

    key: str
    value: Any
    origin: str
    live: bool
    help: str
    text: str | None
    next_start: Any = None
    next_start_text: str | None = None


class NodeSettings(Page):
    """All settings."""

    file: str
    problem: str | None
    warnings: list[str]
    settings: list[Setting]


class SettingChanged(Answer):
    """A setting that was changed, and from when on it counts."""

    key: str
    value: Any
    counts: Literal["now", "next start"]
    warnings: list[str]


class Defaults(Answer):
    """Which profile builds use that name none: in all, and by the root of a workspace."""

    profile: str | None
    workspaces: dict[str, str]
