"""The pool, its nodes and hosts."""

from __future__ import annotations

from typing import Any, Literal

from buildnet.node.api.answers.answer import Answer, Cluster, Page
from buildnet.node.api.answers.sealing import Sealing
from buildnet.pool.benchmark import Benchmark
from buildnet.pool.resources import NodeResources, StorageVolume, Utilization
from buildnet.pool.view import ConnectionStatus, Coordinator, NodeStatus, ResourceType


class AgedBenchmark(Benchmark):
    """A benchmark, and how old it is."""

    age_s: float


class Completeness(Answer):
    """How much of the pool a view shows; ``problem``: in words, why that is not all of it."""

    complete: bool
    reachable: int
    members: int
    oldest_age_s: float | None
    problem: str | None


class Host(Answer):
    """A node, but for what it has; ``age_s``: how old that is, by this node's clock."""

    id: str
    name: str
    status: NodeStatus
    role: str
    coordinator: bool
    rights: str
    version: str | None
    this_node: bool
    address: str | None
    tags: list[str]
    slots: int | None
    benchmark: AgedBenchmark | None
    measured_at: str | None
    age_s: float | None
    latency_ms: float | None
    latency_estimated: bool
    actions_running: int
    cores_in_use: int
    draining: bool
    lends_nothing: str | None
    builds: int
    priority_weight: float


class Node(Host):
    """A node with what it has."""

    resources: NodeResources | None
    utilization: Utilization | None


class LentTo(Answer):
    """What a host lends to one build of another node."""

    build: str
    node_id: str
    actor: str
    slots: int
    memory_bytes: int
    since: str


class Server(Host):
    """A host, and for whom it works."""

    cores: int | None
    memory_bytes: int | None
    lent: list[LentTo]


class OwnedVolume(StorageVolume):
    """A volume of a node."""

    node_id: str
    node_name: str


class OwnedProgram(Answer):
    """A program of a node."""

    node_id: str
    node_name: str
    version: str | None
    path: str
    capabilities: list[str]


class Aggregate(Answer):
    """What the nodes have together."""

    total_cpu_cores: int
    available_cpu_cores: int
    total_memory_bytes: int
    available_memory_bytes: int
    storage_volumes: list[OwnedVolume]
    tools: dict[str, list[OwnedProgram]]
    runtimes: dict[str, list[OwnedProgram]]
    last_updated: str | None


class Connection(Answer):
    """A round trip between two nodes; ``estimated``: worked out, not measured between these.
    ``age_s``: since it was measured or told."""

    from_node: str
    to_node: str
    latency_ms: float | None
    bandwidth_mbps: float | None
    status: ConnectionStatus | None
    estimated: bool
    age_s: float | None


class PoolLease(Answer):
    """Who lends how much to which build of whom."""

    owner: str
    owner_name: str
    holder: str
    holder_name: str
    build: str
    actor: str
    slots: int
    memory_bytes: int
    since: str


class Pool(Answer):
    """The whole pool."""

    cluster: Cluster
    coordinator: Coordinator | None
    nodes: list[Node]
    aggregate: Aggregate
    connections: list[Connection]
    leases: list[PoolLease]
    view: Completeness


class PoolNodes(Page):
    """The nodes of the pool."""

    nodes: list[Node]
    view: Completeness


class PooledResource(Answer):
    """One resource with its owner; ``resource`` is the entry of it in the node's ``resources``."""

    type: ResourceType
    name: str
    node_id: str
    node_name: str
    latency_ms: float | None
    availability: float | None
    performance_score: float | None
    resource: dict[str, Any]


class PoolResources(Page):
    """Every resource of the pool."""

    resources: list[PooledResource]
    view: Completeness


class Servers(Page):
    """The hosts of the pool."""

    servers: list[Server]
    view: Completeness


class Quorum(Answer):
    """Whether a majority of the voters is there, in words and numbers. ``for_s``: how long this
    node knows it to be so, and by this coordinator."""

    state: str
    voters: int
    voters_reachable: int
    member_list_version: int
    epoch: int
    for_s: float | None


class Traffic(Answer):
    """What went over this node's links."""

    bytes_sent: int
    bytes_received: int


class Link(Answer):
    """The link with a node."""

    kind: str
    outgoing: bool
    address: str | None
    relayed_by: str | None
    for_s: float | None
    bytes_sent: int
    bytes_received: int
    queued: int


class NodeHealth(Answer):
    """How a node is, as seen from this one."""

    id: str
    name: str
    status: NodeStatus
    role: str
    coordinator: bool
    voter: bool
    this_node: bool
    last_heard_s: float | None
    status_for_s: float | None
    age_s: float | None
    latency_ms: float | None
    latency_estimated: bool
    loop_lag_ms: float | None
    link: Link | None
    reachable: bool


class Refused(Answer):
    """What was refused for one reason, and how often."""

    reason: str
    count: int
    last_peer: str | None
    last_name: str | None
    last_detail: str
    last_age_s: float | None
    harmless: bool


class PoolHealth(Answer):
    """How well the pool is, as this node sees it."""

    healthy: bool
    problems: list[str]
    node_id: str
    cluster: Cluster
    coordinator: Coordinator | None
    quorum: Quorum
    loop_lag_ms: float | None
    sealing: Sealing
    traffic: Traffic
    nodes: list[NodeHealth]
    refused: list[Refused]


class ServerInvitation(Answer):
    """How to start the node of a new host. ``token`` is a secret."""

    id: str
    token: str
    command: str
    expires_at: str
    warning: str | None


class ServerTold(Answer):
    """What goes on at a host that was told something; see ``InFlight``."""

    success: Literal[True]
    node_id: str
    name: str
    draining: bool
    leases: int
    running: int
    builds: int
