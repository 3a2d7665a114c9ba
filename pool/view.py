"""The pool as people and programs see it: the parts of ``pool status``, and ``pool resources``.

Pure: node states and the time go in, plain data comes out. Field names are a contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.advertisement import Lent
from buildnet.pool.benchmark import Benchmark
from buildnet.pool.resources import NodeResources, Program, Utilization

NodeStatus = Literal["online", "busy", "suspect", "offline", "left"]
ConnectionStatus = Literal["excellent", "good", "fair", "poor"]
ResourceType = Literal["cpu", "memory", "storage", "tool", "runtime", "network", "gpu"]

RESOURCE_TYPES: tuple[ResourceType, ...] = (
    "cpu",
    "memory",
    "storage",
    "tool",
    "runtime",
    "network",
    "gpu",
)

# Nodes that can be given work now. A suspect one may be gone: its resources are still the pool's,
# but nothing of them is available.
_AVAILABLE = frozenset({"online", "busy"})
_MEMBERS = frozenset({"online", "busy", "suspect"})

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NodeState:
    """What is known about one node.

    ``measured_at``: when it measured, by its own clock (UTC). ``age_s``: how old that is by this
    node's clock; None: to be counted from ``measured_at``. ``latency_ms``: a round trip from here.
    """

    id: str
    name: str
    status: NodeStatus
    role: str
    address: str | None
    measured_at: datetime | None
    latency_ms: float | None = None
    latency_estimated: bool = False
    resources: NodeResources | None = None
    utilization: Utilization | None = None
    actions_running: int = 0
    cores_in_use: int = 0
    tags: tuple[str, ...] = ()
    slots: int | None = None
    benchmark: Benchmark | None = None
    age_s: float | None = None
    rights: str = "admin"
    version: str | None = None
    this_node: bool = False
    draining: bool = False
    lends_nothing: str | None = None
    lent: tuple[Lent, ...] = ()
    builds: int = 0
    priority_weight: float = 1.0

    @property
    def contributes(self) -> bool:
        """Whether its resources count in the pool: a worker that has not left."""
        return self.role == "worker" and self.status in _MEMBERS and self.resources is not None

    @property
    def available(self) -> bool:
        """Whether work can be given to it now."""
        return self.contributes and self.status in _AVAILABLE


@dataclass(frozen=True, slots=True)
class Connection:
    """A round trip between two nodes; None: not known. ``estimated``: not measured between these
    two but worked out from what was measured with others (Vivaldi coordinates). ``age_s``: how long
    ago it was measured, or told; None: not known, or estimated."""

    from_node: str
    to_node: str
    latency_ms: float | None
    bandwidth_mbps: float | None = None
    estimated: bool = False
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Coordinator:
    """The elected coordinator as this node knows it."""

    node_id: str
    name: str
    term: int
    quorum: bool


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of the pool this node sees. ``problem``: in words, why that is not all of it."""

    reachable: int
    members: int
    oldest_age_s: float | None
    problem: str | None = None


def leases_view(nodes: Sequence[NodeState]) -> list[Json]:
    """Return who lends how much to which build of whom, as the lenders tell it, oldest first."""
    names = {node.id: node.name for node in nodes}
    found = [
        {
            "owner": node.id,
            "owner_name": node.name,
            "holder": lent.node_id,
            "holder_name": names.get(lent.node_id, lent.node_id),
            "build": lent.build,
            "actor": lent.actor,
            "slots": lent.slots,
            "memory_bytes": lent.memory_bytes,
            "since": _since(lent),
        }
        for node in nodes
        if node.status in _MEMBERS
        for lent in node.lent
    ]
    return sorted(found, key=lambda each: str(each["since"]))


def completeness_view(seen: Completeness) -> Json:
    """Return what a view says about itself."""
    return {
        "complete": seen.problem is None,
        "reachable": seen.reachable,
        "members": seen.members,
        "oldest_age_s": seen.oldest_age_s,
        "problem": seen.problem,
    }


def node_view(node: NodeState, now: datetime, coordinator: Coordinator | None) -> Json:
    """Return one node of ``pool status``."""
    return {
        "id": node.id,
        "name": node.name,
        "status": node.status,
        "role": node.role,
        "coordinator": coordinator is not None and coordinator.node_id == node.id,
        "rights": node.rights,
        "version": node.version,
        "this_node": node.this_node,
        "address": node.address,
        "tags": list(node.tags),
        "slots": node.slots,
        "benchmark": benchmark_view(node.benchmark, now),
        "measured_at": _utc(node.measured_at) if node.measured_at else None,
        "age_s": age_s(node, now),
        "latency_ms": node.latency_ms,
        "latency_estimated": node.latency_estimated,
        "actions_running": node.actions_running,
        "cores_in_use": node.cores_in_use,
        "draining": node.draining,
        "lends_nothing": node.lends_nothing,
        "builds": node.builds,
        "priority_weight": node.priority_weight,
        "resources": node.resources.model_dump(mode="json") if node.resources else None,
        "utilization": node.utilization.model_dump(mode="json") if node.utilization else None,
    }


def benchmark_view(benchmark: Benchmark | None, now: datetime) -> Json | None:
    """Return a benchmark with its age; None: the host was not measured."""
    if benchmark is None:
        return None
    age_s = max(0.0, (now - benchmark.measured_at).total_seconds())
    return {**benchmark.model_dump(mode="json"), "age_s": round(age_s, 1)}


def server_view(node: NodeState, now: datetime, coordinator: Coordinator | None) -> Json:
    """Return one host as ``server show`` tells of it: what it is, and for whom it works."""
    view = node_view(node, now, coordinator)
    resources = node.resources
    return {
        **{name: value for name, value in view.items() if name not in {"resources", "utilization"}},
        "cores": None if resources is None else resources.cpu.cores,
        "memory_bytes": None if resources is None else resources.memory.total_bytes,
        "lent": [
            {**each.model_dump(exclude={"since_ms"}), "since": _since(each)} for each in node.lent
        ],
    }


def _since(lent: Lent) -> str:
    return _utc(datetime.fromtimestamp(lent.since_ms / 1000, UTC))


def aggregate(nodes: Sequence[NodeState]) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of the sum of what the pool has: nodes that left or are offline
    count for nothing. One after the other, for at a hundred nodes each list takes a millisecond."""
    members = [
        (node, node.resources) for node in nodes if node.contributes and node.resources is not None
    ]
    free = [(node, resources) for node, resources in members if node.available]
    yield "total_cpu_cores", sum(resources.cpu.cores for _, resources in members)
    yield "available_cpu_cores", sum(_free_cores(node, resources) for node, resources in free)
    yield "total_memory_bytes", sum(resources.memory.total_bytes for _, resources in members)
    yield (
        "available_memory_bytes",
        sum(resources.memory.available_bytes for _, resources in free),
    )
    yield (
        "storage_volumes",
        [
            {**_owner(node), **volume.model_dump(mode="json")}
            for node, resources in members
            for volume in resources.disks_now(node.utilization)
        ],
    )
    yield "tools", _by_name((node, resources.tools) for node, resources in members)
    yield "runtimes", _by_name((node, resources.runtimes) for node, resources in members)
    measured = (node.measured_at for node, _ in members if node.measured_at)
    yield "last_updated", max(map(_utc, measured), default=None)


def pooled_resources(
    nodes: Sequence[NodeState],
    *,
    resource_type: str | None = None,
    node: str | None = None,
) -> list[Json]:
    """Return every resource of the pool with its owner, the list of ``pool resources``.

    Args:
        resource_type: only this one of :data:`RESOURCE_TYPES`.
        node: only the node of this name, id, or unique beginning of an id.

    Raises:
        UsageError: no such type.
        NotFoundError: no such node, or the beginning of several ids.
    """
    if resource_type is not None and resource_type not in RESOURCE_TYPES:
        raise UsageError(
            f"unknown resource type {resource_type!r}",
            hint=did_you_mean(resource_type, RESOURCE_TYPES)
            or f"one of {', '.join(RESOURCE_TYPES)}",
        )
    chosen = nodes if node is None else [find_node(nodes, node)]
    return [
        entry
        for owner in chosen
        if owner.resources is not None
        for entry in _entries(owner, owner.resources)
        if resource_type is None or entry["type"] == resource_type
    ]


def find_node(nodes: Sequence[NodeState], wanted: str) -> NodeState:
    """Return the node with this name, id, or unique beginning of an id."""
    exact = [node for node in nodes if wanted in {node.id, node.name}]
    found = exact or [node for node in nodes if wanted and node.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(node.id[:12] for node in found[:5])
        raise NotFoundError(
            f"{wanted!r} means several nodes: {ids}", hint="give more of the node's id"
        )
    raise NotFoundError(
        f"no node {wanted!r} in the pool",
        hint=did_you_mean(wanted, [node.name for node in nodes]) or "`buildnet pool nodes`",
    )


def connection_status(latency_ms: float, bandwidth_mbps: float | None) -> ConnectionStatus:
    """Grade a link by what it means for builds.

    ``excellent`` is a local network (2 ms, 1 Gbit/s less its overhead), ``good`` one that still
    carries small actions (10 ms, 100 Mbit/s), ``fair`` one that only pays for long ones.
    """
    bandwidth = float("inf") if bandwidth_mbps is None else bandwidth_mbps
    if latency_ms <= 2 and bandwidth >= 800:
        return "excellent"
    if latency_ms <= 10 and bandwidth >= 90:
        return "good"
    if latency_ms <= 80 and bandwidth >= 9:
        return "fair"
    return "poor"


def connection_view(connection: Connection) -> Json:
    """Return one round trip of ``pool status``."""
    latency_ms, bandwidth_mbps = connection.latency_ms, connection.bandwidth_mbps
    return {
        "from_node": connection.from_node,
        "to_node": connection.to_node,
        "latency_ms": latency_ms,
        "bandwidth_mbps": bandwidth_mbps,
        "status": None if latency_ms is None else connection_status(latency_ms, bandwidth_mbps),
        "estimated": connection.estimated,
        "age_s": connection.age_s,
    }


def _by_name(groups: Iterable[tuple[NodeState, Sequence[Program]]]) -> dict[str, list[Json]]:
    """Group programs by name; those that do not work here are no offer to anyone."""
    found: dict[str, list[Json]] = {}
    for node, programs in groups:
        for program in programs:
            if program.problem is not None:
                continue
            found.setdefault(program.name, []).append(
                {
                    **_owner(node),
                    "version": program.version,
                    "path": program.path,
                    "capabilities": list(program.capabilities),
                }
            )
    return dict(sorted(found.items()))


def _entries(node: NodeState, resources: NodeResources) -> Iterable[Json]:
    cpu, memory = resources.cpu, resources.memory
    yield _entry(
        node,
        "cpu",
        cpu.model or cpu.architecture,
        cpu.model_dump(mode="json"),
        _share(_free_cores(node, resources), cpu.cores),
    )
    yield _entry(
        node,
        "memory",
        memory.memory_type or "memory",
        memory.model_dump(mode="json"),
        _share(memory.available_bytes, memory.total_bytes),
    )
    for volume in resources.storage:
        share = _share(volume.available_bytes, volume.total_bytes)
        yield _entry(node, "storage", volume.path, volume.model_dump(mode="json"), share)
    kinds: tuple[tuple[ResourceType, tuple[Program, ...]], ...] = (
        ("tool", resources.tools),
        ("runtime", resources.runtimes),
    )
    for kind, programs in kinds:
        for program in programs:
            works = 1.0 if program.problem is None else 0.0
            yield _entry(node, kind, program.name, program.model_dump(mode="json"), works)
    for interface in resources.network:
        up = 1.0 if interface.up else 0.0
        yield _entry(node, "network", interface.name, interface.model_dump(mode="json"), up)
    for gpu in resources.gpus:
        yield _entry(node, "gpu", gpu.name, gpu.model_dump(mode="json"), None)


def _entry(
    node: NodeState, kind: ResourceType, name: str, resource: Json, share: float | None
) -> Json:
    measured = node.benchmark
    return {
        "type": kind,
        "name": name,
        **_owner(node),
        "latency_ms": node.latency_ms,
        "availability": share if node.available else 0.0,
        "performance_score": measured.cpu_units if kind == "cpu" and measured else None,
        "resource": resource,
    }


def _owner(node: NodeState) -> Json:
    return {"node_id": node.id, "node_name": node.name}


def _free_cores(node: NodeState, resources: NodeResources) -> int:
    return max(0, resources.cpu.cores - node.cores_in_use)


def _share(available: int | None, total: int | None) -> float | None:
    if available is None or not total:
        return None
    return round(min(1.0, max(0.0, available / total)), 3)


def age_s(node: NodeState, now: datetime) -> float | None:
    """Return how old what is known of a node is; None: nothing is known."""
    if node.age_s is not None:
        return round(node.age_s, 1)
    if node.measured_at is None:
        return None
    # Clocks of two hosts differ; nothing is younger than now.
    return round(max(0.0, (now - node.measured_at).total_seconds()), 1)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
