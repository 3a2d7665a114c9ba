"""The nodes, and what they have together, of what the channels tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from buildnet.cli.dashboard.channels import Channels, Item
from buildnet.cli.dashboard.screen import Amount, NodeRow, Resources

_PARTS = re.compile(r"([^0-9]*)([0-9]{0,15})", re.ASCII)
_REACHABLE = ("online", "busy")


def node_rows(channels: Channels, now: float) -> tuple[NodeRow, ...] | None:
    """Return the nodes by name; None: nothing is known of them. ``now``: monotonic seconds."""
    nodes = channels.items("nodes")
    if nodes is None:
        return None
    has = channels.items("resources") or {}
    rows = [_row(channels, key, node, has.get(key, {}), now) for key, node in nodes.items()]
    return tuple(sorted(rows, key=_order))


def resources_of(nodes: Sequence[NodeRow] | None) -> Resources:
    """Return what the workers that can be reached have together."""
    if nodes is None:
        return Resources()
    workers = [node for node in nodes if node.role == "worker"]
    there = [node for node in workers if node.status in _REACHABLE]
    active = [node for node in there if not node.draining]
    ages = [node.age_s for node in there if node.age_s is not None]
    return Resources(
        total_workers=len(workers),
        active_workers=len(active),
        idle_workers=sum(node.status == "online" and not node.cores_in_use for node in active),
        draining_workers=sum(node.draining for node in there),
        offline_workers=len(workers) - len(there),
        cores=_amount(there, lambda node: node.cores_in_use, lambda node: node.cores),
        cpu_busy=_busy(there),
        memory_bytes=_amount(
            there, lambda node: node.memory_used_bytes, lambda node: node.memory_bytes
        ),
        oldest_s=max(ages, default=None),
        untold=tuple(node.name for node in there if node.cores is None),
    )


def _order(row: NodeRow) -> tuple[list[tuple[str, int]], str]:
    """Return by what nodes are ordered: their names, with the numbers in them as numbers."""
    parts = [(words, int(digits or 0)) for words, digits in _PARTS.findall(row.name)]
    return parts, row.id


def _row(channels: Channels, key: str, node: Item, has: Item, now: float) -> NodeRow:
    held, use = has.get("resources"), has.get("utilization") or {}
    memory = held["memory"]["total_bytes"] if held else None
    return NodeRow(
        id=key,
        name=str(node["name"]),
        role=str(node["role"]),
        status=str(node["status"]),
        coordinator=bool(node["coordinator"]),
        this_node=bool(node["this_node"]),
        draining=bool(node["draining"]),
        lends_nothing=node["lends_nothing"],
        cores_in_use=has.get("cores_in_use") if held else None,
        cores=held["cpu"]["cores"] if held else None,
        cpu_busy=_part(use.get("cpu_percent")),
        memory_used_bytes=_of(memory, use.get("memory_percent")),
        memory_bytes=memory,
        builds=int(node["builds"]),
        latency_ms=node.get("latency_ms"),
        version=node.get("version"),
        age_s=_age_s(channels, key, use, now),
    )


def _age_s(channels: Channels, key: str, use: Item, now: float) -> float | None:
    """Return how old the measurement of a node's use is: since it was told, or, of what the
    snapshot told, by the clock of who measured."""
    told = channels.changed_at("resources", key, "utilization")
    if told is not None:
        return max(0.0, now - told)
    if "measured_at" not in use:
        return None
    return max(0.0, channels.unix(now) - datetime.fromisoformat(use["measured_at"]).timestamp())


def _part(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _of(total: float | None, percent: float | None) -> float | None:
    return None if total is None or percent is None else total * percent / 100


def _amount(
    nodes: Iterable[NodeRow], used: Callable[[NodeRow], Any], total: Callable[[NodeRow], Any]
) -> Amount:
    known = [
        (used(node), total(node))
        for node in nodes
        if used(node) is not None and total(node) is not None
    ]
    if not known:
        return Amount()
    return Amount(sum(one for one, _ in known), sum(one for _, one in known), len(known))


def _busy(nodes: Iterable[NodeRow]) -> float | None:
    """Return the part of all cores that is busy, of the nodes of which that is known."""
    known = [
        (node.cpu_busy, node.cores)
        for node in nodes
        if node.cpu_busy is not None and node.cores is not None
    ]
    cores = sum(each for _, each in known)
    return sum(busy * each for busy, each in known) / cores if cores else None
