"""What an entry means for the derived tables: pure, one small function a kind of entry.

The meaning does not depend on the order in which entries arrive. A :class:`Put` sets one group of
columns of a row, and of two puts of a group the later counts: by the sealed place for shared facts,
which count only once sealed, and else by (clock, hash). So tables that were built while entries
came in any order, and tables that are built again, are the same.

Data that has not the expected form is passed over: entries of other versions are kept anyway.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from buildnet.ledger.entry import Entry
from buildnet.mesh.clock import milliseconds_of

SHARED = ("member.", "right.", "key.", "config.", "template.")
"""Types that change what all nodes share begin with one of these: they count once sealed."""
_MAX_ITEMS = 4096
_MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Put:
    """Set a group of columns of the row ``key``; ``gone``: say that the row is deleted or not."""

    table: str
    key: tuple[str, ...]
    group: str
    values: Mapping[str, object] = field(default_factory=dict)
    gone: bool | None = None


def is_shared(type_name: str) -> bool:
    """Tell whether entries of this type count only once sealed."""
    return type_name.startswith(SHARED)


def changes_of(entry: Entry, place: int | None) -> list[Put]:
    """Return what an entry changes. ``place``: its sealed place, None if it is provisional."""
    body = entry.body
    if is_shared(body.type) and place is None:
        return []
    found: list[Put] = []
    if is_shared(body.type) and body.entity:
        found.append(_fact(entry, place or 0))
    about = _ABOUT.get(body.type.partition(".")[0])
    if about is not None:
        found += about(entry, entry.data, body.type.partition(".")[2])
    return found


def stamp_of(entry: Entry, place: int | None) -> str:
    """Return what decides which of two puts of one group counts: the greater one."""
    first = place if place is not None and is_shared(entry.body.type) else entry.body.hlc
    return f"{first:016x}{entry.id[:16]}"


def _fact(entry: Entry, place: int) -> Put:
    data = entry.data
    values = {
        "version": _number(data.get("version")),
        "entry": entry.id,
        "height": place >> 12,
        "body": entry.body.data,
    }
    return Put("facts", (entry.body.entity,), "fact", values, gone=_is_deletion(entry, data))


def _is_deletion(entry: Entry, data: Mapping[str, Any]) -> bool:
    ended = entry.body.type.rpartition(".")[2] in ("deleted", "removed")
    return ended or not data or ("value" in data and not data["value"])


def _node(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    identity = _name(entry, "node") or _text(data.get("node")) or entry.body.origin.hex()[:16]
    at = milliseconds_of(entry.body.hlc)
    if what in _NODE_STATUS:
        seen: dict[str, object] = {"status": _NODE_STATUS[what], "last_seen_at": at}
        yield Put("nodes", (identity,), "status", seen, gone=False)
    if what in ("joined", "admitted", "founded"):
        yield Put("nodes", (identity,), "joined", {"joined_at": at}, gone=False)
    for group in _NODE_GROUPS:
        if group in data:
            value = data[group]
            text = value if isinstance(value, str) else _json(value)
            yield Put("nodes", (identity,), group, {group: text}, gone=False)
    resources = data.get("resources")
    if what in ("resources", "scanned") and isinstance(resources, dict):
        for kind, value in list(resources.items())[:_MAX_ITEMS]:
            row = {"resource_data": _json(value), "last_updated_at": at}
            yield Put("node_resources", (identity, kind), "resource", row, gone=False)


_NODE_GROUPS = ("name", "address", "public_key", "role", "rights", "capabilities")
_NODE_STATUS = {
    "joined": "online",
    "admitted": "online",
    "founded": "online",
    "started": "online",
    "stopped": "offline",
    "left": "left",
    "removed": "removed",
    "revoked": "revoked",
}


def _configuration(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    kind = entry.body.type.partition(".")[0]
    name = _name(entry, kind)
    if name is None:
        return
    key = (entry.body.entity,)
    at = milliseconds_of(entry.body.hlc)
    if _is_deletion(entry, data):
        yield Put("configurations", key, "content", gone=True)
        return
    value = data["value"] if isinstance(data.get("value"), dict) else data
    content = {
        "name": name,
        "description": _text(value.get("description")),
        "config_data": _json(value),
        "updated_at": at,
        "is_template": int(kind == "template"),
        "template_category": _text(value.get("category")),
    }
    yield Put("configurations", key, "content", content, gone=False)
    if what == "created":
        made = {"created_by": entry.body.actor.id, "created_at": at}
        yield Put("configurations", key, "made", made)


def _build(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    identity = _name(entry, "build")
    if identity is None:
        return
    at = milliseconds_of(entry.body.hlc)
    status = {"queued": "queued", "started": "running"}.get(what, what)
    if what in ("queued", "started", "completed", "failed", "cancelled"):
        yield Put("builds", (identity,), "status", {"status": status}, gone=False)
    if what in ("queued", "started"):
        begun = {
            "config_id": _text(data.get("config_id")),
            "started_at": at,
            "triggered_by": entry.body.actor.id,
        }
        yield Put("builds", (identity,), what, begun, gone=False)
    elif what in ("completed", "failed", "cancelled"):
        ended = {
            "completed_at": at,
            "duration_ms": _number(data.get("duration_ms")),
            "error": _text(data.get("error")),
            "metrics": _json_or_none(data.get("metrics")),
            "artifacts": _json_or_none(data.get("artifacts")),
        }
        yield Put("builds", (identity,), "ended", ended, gone=False)
    packages = data.get("packages")
    for package in packages[:_MAX_ITEMS] if isinstance(packages, list) else []:
        if isinstance(package, dict) and _text(package.get("name")):
            yield _package(identity, package)


def _package(build: str, package: Mapping[str, Any]) -> Put:
    values = {
        "status": _text(package.get("status")),
        "started_at": _number(package.get("started_at")),
        "completed_at": _number(package.get("completed_at")),
        "duration_ms": _number(package.get("duration_ms")),
        "assigned_node": _text(package.get("node")),
        "output": _text(package.get("output")),
        "error": _text(package.get("error")),
    }
    return Put("build_packages", (build, str(package["name"])), "package", values, gone=False)


def _resource(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    listed = data.get("allocations")
    at = milliseconds_of(entry.body.hlc)
    for one in listed[:_MAX_ITEMS] if isinstance(listed, list) else []:
        identity = _text(one.get("id")) if isinstance(one, dict) else None
        if identity is None:
            continue
        if what == "allocated":
            granted = {
                "build_id": _text(one.get("build")),
                "resource_type": _text(one.get("type")),
                "node_id": entry.body.origin.hex()[:16],
                "amount": _json(one.get("amount")),
                "created_at": at,
                "expires_at": _number(one.get("expires_at")),
            }
            yield Put("allocations", (identity,), "granted", granted, gone=False)
        elif what == "released":
            yield Put("allocations", (identity,), "released", {"released_at": at}, gone=False)


def _benchmark(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    if what != "completed":
        return
    node = _name(entry, "node") or entry.body.origin.hex()[:16]
    kind = _text(data.get("type")) or "all"
    results = _json(data.get("results"))
    at = milliseconds_of(entry.body.hlc)
    run = {"node_id": node, "benchmark_type": kind, "results": results, "run_at": at}
    yield Put("benchmarks", (entry.id,), "run", run, gone=False)
    yield Put("node_resources", (node, kind), "benchmark", {"benchmark_data": results}, gone=False)


def _key(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    identity = _name(entry, "key")
    if identity is None:
        return
    at = milliseconds_of(entry.body.hlc)
    if what == "used":
        yield Put("api_keys", (identity,), "used", {"last_used_at": at})
        return
    if what == "revoked" or _is_deletion(entry, data):
        yield Put("api_keys", (identity,), "key", gone=True)
        return
    value = data["value"] if isinstance(data.get("value"), dict) else data
    row = {
        "key_hash": _text(value.get("key_hash")),
        "name": _text(value.get("name")),
        "role": _text(value.get("role")),
        "expires_at": _number(value.get("expires_at")),
    }
    yield Put("api_keys", (identity,), "key", row, gone=False)
    if what == "created":
        yield Put("api_keys", (identity,), "made", {"created_at": at})


def _session(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    identity = _name(entry, "session")
    if identity is None:
        return
    at = milliseconds_of(entry.body.hlc)
    if what == "opened":
        actor = entry.body.actor
        row = {"kind": _text(data.get("kind")) or actor.kind, "actor": actor.id, "opened_at": at}
        yield Put("sessions", (identity,), "opened", row, gone=False)
        yield Put("sessions", (identity,), "status", {"status": "open"})
    elif what in ("closed", "expired"):
        yield Put("sessions", (identity,), "closed", {"closed_at": at}, gone=False)
        yield Put("sessions", (identity,), "status", {"status": what})


_ABOUT: dict[str, Callable[[Entry, Mapping[str, Any], str], Iterator[Put]]] = {
    "member": _node,
    "node": _node,
    "config": _configuration,
    "template": _configuration,
    "build": _build,
    "resource": _resource,
    "benchmark": _benchmark,
    "key": _key,
    "session": _session,
}


def _name(entry: Entry, kind: str) -> str | None:
    """Return the NAME of an entity ``kind:NAME``."""
    found, _, name = entry.body.entity.partition(":")
    return name if found == kind and name else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = int(value)
    except (OverflowError, ValueError):
        return None
    return number if -_MAX_INTEGER <= number <= _MAX_INTEGER else None


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _json_or_none(value: object) -> str | None:
    return None if value is None else _json(value)
