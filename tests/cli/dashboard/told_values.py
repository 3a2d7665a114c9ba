"""What a node tells the dashboard, made up for tests: a pool of some nodes, builds, sessions."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from buildnet.cli.client.shapes import ChannelName, Event
from buildnet.cli.dashboard.model import Model
from buildnet.cli.dashboard.told import Answered, Happened

UNIX = 1_795_300_000.0
GIB = 1 << 30


def moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat()


def node(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{number:016x}",
        "name": f"node{number}",
        "status": "online",
        "role": "worker",
        "rights": "admin",
        "coordinator": number == 1,
        "version": "0.2.0",
        "this_node": number == 1,
        "address": "http://192.0.2.1:80",
        "tags": [],
        "draining": False,
        "lends_nothing": None,
        "builds": 0,
        "latency_ms": None if number == 1 else 1.5,
        **more,
    }


def resources(number: int, *, cpu_percent: float = 50.0, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{number:016x}",
        "name": f"node{number}",
        "slots": 4,
        "cores_in_use": 1,
        "actions_running": 1,
        "resources": {"cpu": {"cores": 4}, "memory": {"total_bytes": 8 * GIB}},
        "utilization": {
            "cpu_percent": cpu_percent,
            "memory_percent": 25.0,
            "measured_at": moment(UNIX - 7),
        },
        "benchmark": None,
        **more,
    }


def build(key: str, **more: Any) -> dict[str, Any]:
    return {
        "id": key,
        "workspace": "shop",
        "node": "node1",
        "node_id": f"{1:016x}",
        "this_node": True,
        "actor": "ann",
        "status": "running",
        "started_at": UNIX - 10,
        "tasks": 12,
        "done": 3,
        "failed": 0,
        "running": ["api#build"],
        "recent": [],
        "waits_for": None,
        "estimated_ms": 30_000.0,
        "duration_ms": None,
        "error": None,
        **more,
    }


def queued(key: str, place: int, state: str = "waiting", **more: Any) -> dict[str, Any]:
    return {
        "id": key,
        "build_id": key,
        "workspace": "shop",
        "actor": "berta",
        "node": "node2",
        "node_id": f"{2:016x}",
        "this_node": False,
        "priority": "normal",
        "place": place,
        "state": state,
        "words": state,
        "paused": state == "paused",
        "reason": None,
        "moved": False,
        "running": 0,
        "hosts": 0,
        "leases": 0,
        "asked_at": UNIX - 20,
        "waited_s": 20.0,
        "starts_in_s": 8.0,
        "ends_in_s": None,
        **more,
    }


WHOLE_QUEUE = {"id": "queue", "complete": True, "paused": False, "paused_by": None}


def snapshot(count: int = 3, **channels: list[dict[str, Any]]) -> Event:
    """The state of a pool; ``channels`` take the place of what it has else."""
    numbers = range(1, count + 1)
    items = {
        "nodes": [node(each) for each in numbers],
        "resources": [
            *(resources(each) for each in numbers),
            {"id": "allocations", "allocations": []},
        ],
        "builds": [build("b1")],
        "queue": [WHOLE_QUEUE, queued("b1", 1, "running"), queued("b2", 2)],
        **channels,
    }
    state = {name: {item["id"]: item for item in found} for name, found in items.items()}
    return {"type": "snapshot", "cursor": "e-0", "state": state, "gap": False, "missing": []}


def event(channel: ChannelName, at: float = UNIX, **data: Any) -> Event:
    kinds = {"nodes": "node_status", "builds": "build_progress", "ledger": "ledger_entry"}
    kind = kinds.get(channel, "queue_changed")
    return {"type": kind, "cursor": "e-1", "channel": channel, "at": at, "data": data}


def entry(number: int, type: str, at: float, about: str = "b9", **data: Any) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "time": moment(at),
        "hlc": number,
        "node_id": f"{1:016x}",
        "type": type,
        "actor": {"id": "ann", "name": "ann", "kind": "user"},
        "entity": f"build:{about}" if type.startswith("build.") else "",
        "data": data,
        "text": f"the text of {number}",
    }


NODE = {
    "node_id": f"{1:016x}",
    "name": "node1",
    "problem": None,
    "warning": None,
    "cluster": {"id": "c", "name": "studio", "members": 3, "reachable": 3},
    "coordinator": {"node_id": f"{1:016x}", "name": "node1", "term": 4, "quorum": True},
    "uptime_s": 3600.0,
    "version": "0.2.0",
}
HEALTH = {"healthy": True, "problems": []}
CACHE = {"bytes": 2 * GIB, "capacity_bytes": 10 * GIB, "hits": 3, "misses": 1, "damaged": 0}
SESSION = {
    "id": "f9f51305268c",
    "way": "web",
    "actor": "account:anna",
    "is_owner": False,
    "node": "node1",
    "since": moment(UNIX - 300),
    "last": moment(UNIX - 3),
    "connections": [{"what": "GET /events", "since": moment(UNIX - 300)}],
    "builds": [],
}
SESSIONS = {"sessions": [SESSION], "silent": [], "left_out": 0}
LEDGER = {
    "entries": [
        entry(4, "build.failed", UNIX - 60, "b8", duration_ms=4000, error="api: exit code 2"),
        entry(3, "build.completed", UNIX - 100, duration_ms=8000),
        entry(2, "build.started", UNIX - 108, workspace="shop"),
        entry(1, "node.started", UNIX - 200),
    ],
    "at_least": False,
}


def told(now: float = 0.0, count: int = 3, **channels: list[dict[str, Any]]) -> Model:
    """A model that was told of everything at ``now``, when it was ``UNIX``."""
    model = Model(UNIX - now)
    model.take(Happened(snapshot(count, **channels)), now)
    model.take(Answered("node", NODE), now)
    model.take(Answered("health", HEALTH), now)
    model.take(Answered("cache", CACHE), now)
    model.take(Answered("sessions", SESSIONS), now)
    model.take(Answered("ledger", LEDGER), now)
    return model


def told_now(count: int = 3, **channels: list[dict[str, Any]]) -> Model:
    """The same for the live screen, whose time is the clock's."""
    return told(time.monotonic(), count, **channels)
