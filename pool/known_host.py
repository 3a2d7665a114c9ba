"""What a node told of itself, as a host that commands may be placed on. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from buildnet.pool.advertisement import Load, Profile
from buildnet.pool.placement import Host
from buildnet.pool.resources import NodeResources


def host_of(
    key: bytes,
    node_id: str,
    name: str,
    profile: Profile | None,
    load: Load | None,
    *,
    latency_ms: float | None = None,
    is_here: bool = False,
    driver: str = "",
) -> Host:
    """Return a host; of a node that has told nothing yet nothing is known. ``driver``: id of the
    node that asks."""
    if profile is None:
        return Host(key, name, node_id, latency_ms=latency_ms, is_here=is_here)
    resources = profile.resources
    cpu = None if resources is None else resources.cpu
    slots = profile.slots or (None if cpu is None else cpu.cores)
    benchmark = profile.benchmark
    in_use = 0 if load is None else load.cores_in_use
    return Host(
        key,
        name,
        node_id,
        slots=slots,
        free=None if slots is None else max(0, slots - in_use),
        speed=None if benchmark is None else benchmark.units_per_slot(slots or 1, cpu),
        latency_ms=latency_ms,
        labels=frozenset(profile.tags),
        platform=None if resources is None else (resources.system.name, resources.cpu.architecture),
        programs=None if resources is None else _programs(resources),
        memory_bytes=None if resources is None else resources.memory.total_bytes,
        storage_classes=_storage_classes(resources),
        free_storage_bytes=None
        if resources is None
        else resources.free_storage_bytes(None if load is None else load.utilization),
        lends_nothing=None if load is None else load.lends_nothing,
        grants=None if profile.grants is None else profile.grants.amount,
        weight=profile.priority_weight,
        lent_here=sum(
            each.slots for each in (() if load is None else load.lent) if each.node_id == driver
        ),
        is_here=is_here,
    )


def _programs(resources: NodeResources) -> Mapping[str, frozenset[str | None]]:
    found: dict[str, set[str | None]] = {}
    for each in (*resources.tools, *resources.runtimes):
        if each.problem is None:
            found.setdefault(each.name, set()).add(each.version)
    return {name: frozenset(versions) for name, versions in found.items()}


def _storage_classes(resources: NodeResources | None) -> frozenset[str] | None:
    if resources is None or not resources.storage:
        return None
    return frozenset(volume.storage_class for volume in resources.storage)
