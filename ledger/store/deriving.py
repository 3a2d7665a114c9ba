"""What an entry means for the derived tables: pure, one small function a kind of entry.

The meaning does not depend on the order in which entries arrive. A :class:`Put` sets one group of
columns of a row, and of two puts of a group the later counts: by (clock, hash), and of members by
the version of the member list. Shared facts count once sealed, in sealed order, if
:func:`buildnet.ledger.facts.judge` says that they hold. So tables that were built while entries
came in any order, and tables that are built again, are the same.

A node tells of itself only: what it says of another node's resources changes nothing. What the
member list says of a node counts more than what the node does.

Data that has not the expected form is passed over: entries of other versions are kept anyway.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from buildnet.ledger.entry import Entry
from buildnet.ledger.facts import Fact, is_fact
from buildnet.ledger.membership import MEMBER_TYPES, member_entry_of
from buildnet.mesh.clock import milliseconds_of
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.changes import (
    Admit,
    Join,
    Leave,
    Recover,
    Remove,
    Rename,
    Revoke,
    Rotate,
    SetRights,
)
from buildnet.mesh.members.genesis import Genesis, Rights
from buildnet.mesh.wire import WireError

NODES_BESIDE = ("cluster.founded", "member.recovered", "member.rotated")
"""Types of entries that change the row of a node and are about something else: the cluster, or the
node that goes on under another key."""
_MAX_ITEMS = 4096
_MAX_INTEGER = 2**63 - 1


class Put(NamedTuple):
    """Set a group of columns of the row ``key``; ``gone``: say that the row is deleted or not.
    ``stamp``: of two puts of a group the greater counts; empty: it is the entry's own."""

    table: str
    key: tuple[str, ...]
    group: str
    values: Mapping[str, object] = MappingProxyType({})
    gone: bool | None = None
    stamp: str = ""


@lru_cache(maxsize=1024)
def is_shared(type_name: str) -> bool:
    """Tell whether entries of this type count only once sealed."""
    return is_fact(type_name) or type_name.startswith(MEMBER_TYPES)


def changes_of(entry: Entry, place: int | None) -> list[Put]:
    """Return what an entry changes that is about no shared fact. ``place``: its sealed place, None
    if it is provisional."""
    body = entry.body
    kind, _, what = body.type.partition(".")
    about = _ABOUT.get(kind)
    if about is None or (place is None and is_shared(body.type)):
        return []
    return list(about(entry, entry.data, what))


def stamp_of(entry: Entry) -> str:
    """Return an entry's own stamp."""
    return f"{entry.body.hlc:016x}{entry.id[:16]}"


def fact_stamp(entry: Entry, place: int) -> str:
    """Return the stamp of a change of a shared fact."""
    return f"{place:016x}{entry.id[:16]}"


def fact_changes(entry: Entry, before: Fact | None, after: Fact, place: int) -> list[Put]:
    """Return what a change of a shared fact, which holds, makes of the tables. ``before``: the
    fact as it was."""
    stamp = fact_stamp(entry, place)
    gone = after.value is None
    values = {
        "version": after.version,
        "type": entry.body.type,
        "entry": entry.id,
        "height": place >> 12,
        "value": after.value,
    }
    fact = Put("facts", (after.entity,), "fact", values, gone, stamp)
    kind, _, name = after.entity.partition(":")
    table, row_of = _FACTS[kind]
    key = (after.entity if table == "configurations" else name,)
    if gone:
        return [fact, Put(table, key, "content", gone=True, stamp=stamp)]
    at = milliseconds_of(entry.body.hlc)
    content = row_of(after.data or {}, after.value or "", name)
    if table == "configurations":
        content |= {"updated_at": at, "is_template": int(kind == "template")}
    puts = [fact, Put(table, key, "content", content, False, stamp)]
    if before is None or before.value is None:
        made: dict[str, object] = {"created_at": at}
        if table != "api_keys":
            made["created_by"] = entry.body.actor.id
        puts.append(Put(table, key, "made", made, stamp=stamp))
    return puts


def _configuration(value: Mapping[str, Any], text: str, name: str) -> dict[str, object]:
    return {
        "name": name,
        "description": _text(value.get("description")),
        "config_data": text,
        "template_category": _text(value.get("category")),
    }


def _key(value: Mapping[str, Any], text: str, name: str) -> dict[str, object]:
    return {
        "key_hash": _text(value.get("key_hash")),
        "name": _text(value.get("name")),
        "role": _text(value.get("role")),
        "expires_at": _number(value.get("expires_at")),
    }


def _rights(value: Mapping[str, Any], text: str, name: str) -> dict[str, object]:
    return {"rights": _text(value.get("rights")), "rights_data": text}


_FACTS: dict[str, tuple[str, Callable[[Mapping[str, Any], str, str], dict[str, object]]]] = {
    "config": ("configurations", _configuration),
    "template": ("configurations", _configuration),
    "profile": ("configurations", _configuration),
    "key": ("api_keys", _key),
    "rights": ("rights", _rights),
}


def _cluster(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    """The founder stands in no change of the member list, but in the genesis, which is what the
    cluster's id is the hash of."""
    raw = _bytes(data.get("genesis"))
    try:
        genesis = None if raw is None else Genesis.decode(raw)
    except (WireError, ValueError):
        return
    if genesis is None or genesis.cluster_id != entry.body.cluster:
        return
    first = {
        "name": genesis.founder_name,
        "role": genesis.founder_role,
        "rights": Rights.ADMIN.value,
    }
    yield from _came(genesis.founder, first, genesis.created, _FIRST)


def _member(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    member = member_entry_of(entry)
    if member is None:
        return
    # Versions of the list are in its order, whenever each was recorded here.
    stamp = f"m{member.term:016x}{member.version:016x}{entry.id[:16]}"
    change, author = member.change.what, member.change.author
    said = data.get("member")
    told: Mapping[str, Any] = said if isinstance(said, dict) else {}
    match change:
        case Admit(key=key, name=name, role=role, rights=rights):
            told = {"name": name, "role": role, "rights": rights}
            yield from _came(key, told, member.hlc, stamp)
        case Join(name=name, role=role):
            told = {**told, "name": name, "role": role}
            yield from _came(author, told, member.hlc, stamp)
        case Rotate(new=new):
            yield _member_put(author, "membership", "rotated", stamp)
            yield from _came(new, told, member.hlc, stamp)
        case Leave():
            yield _member_put(author, "membership", "left", stamp)
        case Remove(key=key):
            yield _member_put(key, "membership", "removed", stamp)
        case Revoke(key=key):
            yield _member_put(key, "membership", "revoked", stamp)
        case SetRights(key=key, rights=rights):
            yield _member_put(key, "rights", rights, stamp)
        case Rename(key=key, name=name) if key is not None:
            yield _member_put(key, "name", name, stamp)
        case Recover(sequencer=key) if _text(told.get("rights")) is not None:
            yield _member_put(key, "rights", told["rights"], stamp)


_FIRST = f"m{0:048x}"


def _came(key: bytes, told: Mapping[str, Any], hlc: int, stamp: str) -> Iterator[Put]:
    yield _member_put(key, "membership", "member", stamp)
    yield _member_put(key, "public_key", key.hex(), stamp)
    yield _member_put(key, "joined_at", milliseconds_of(hlc), stamp)
    for name in ("name", "role", "rights"):
        if _text(told.get(name)) is not None:
            yield _member_put(key, name, told[name], stamp)


def _member_put(key: bytes, column: str, value: object, stamp: str) -> Put:
    return Put("nodes", (node_id_of(key),), column, {column: value}, False, stamp)


def _node(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    identity = _own(entry)
    if identity is None:
        return
    at = milliseconds_of(entry.body.hlc)
    if what in _NODE_STATUS:
        seen: dict[str, object] = {"status": _NODE_STATUS[what], "last_seen_at": at}
        yield Put("nodes", (identity,), "status", seen, gone=False)
    if what == "joined":
        yield Put("nodes", (identity,), "joined_at", {"joined_at": at}, gone=False)
        key = {"public_key": entry.body.origin.hex()}
        yield Put("nodes", (identity,), "public_key", key, gone=False)
    # Name and role as the node tells them, until the member list does.
    for column in ("name", "address", "role"):
        if _text(data.get(column)) is not None:
            yield Put("nodes", (identity,), column, {column: data[column]}, gone=False)
    resources = data.get("resources")
    if what == "resources" and isinstance(resources, dict):
        able = {kind: resources[kind] for kind in ("tools", "runtimes") if kind in resources}
        if able:
            told = {"capabilities": _json(able)}
            yield Put("nodes", (identity,), "capabilities", told, gone=False)
        for kind, value in list(resources.items())[:_MAX_ITEMS]:
            row = {"resource_data": _json(value), "last_updated_at": at}
            yield Put("node_resources", (identity, kind), "resource", row, gone=False)


_NODE_STATUS = {"joined": "online", "started": "online", "stopped": "offline", "left": "left"}


def _build(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    identity = _name(entry, "build")
    if identity is None:
        return
    at = milliseconds_of(entry.body.hlc)
    if what in _BUILD_STATUS:
        status = {"status": _BUILD_STATUS[what]}
        yield Put("builds", (identity,), "status", status, gone=False)
    if what in ("queued", "started"):
        asked = {
            "config_id": _text(data.get("config_id")),
            "triggered_by": entry.body.actor.id,
        }
        yield Put("builds", (identity,), "asked", asked, gone=False)
    if what == "started":
        yield Put("builds", (identity,), "started", {"started_at": at}, gone=False)
    if what in ("completed", "failed", "cancelled"):
        ended = {
            "completed_at": at,
            "duration_ms": _number(data.get("duration_ms")),
            "error": _text(data.get("reason" if what == "cancelled" else "error")),
            "metrics": _json_or_none(data.get("metrics")),
            "artifacts": _json_or_none(data.get("artifacts")),
            "root": _text(data.get("root")),
        }
        yield Put("builds", (identity,), "ended", ended, gone=False)
    packages = data.get("packages")
    for package in packages[:_MAX_ITEMS] if isinstance(packages, list) else []:
        if isinstance(package, str) and package:
            yield Put("build_packages", (identity, package), "asked", gone=False)
        elif isinstance(package, dict) and _text(package.get("name")):
            yield _package(identity, package)


_BUILD_STATUS = {
    "queued": "queued",
    "started": "running",
    "taken_over": "running",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


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
    node, at = node_id_of(entry.body.origin), milliseconds_of(entry.body.hlc)
    if what == "offered":
        for offer in _objects(data.get("offers")):
            if (kind := _text(offer.get("resource"))) is not None:
                row: dict[str, object] = {"offered": _json(offer), "last_updated_at": at}
                yield Put("node_resources", (node, kind), "offered", row, gone=False)
        return
    for one in _objects(data.get("allocations")):
        identity = _text(one.get("id"))
        if identity is None:
            continue
        if what == "allocated":
            granted = {
                "build_id": _text(one.get("build")),
                "resource_type": _text(one.get("type")),
                "node_id": node,
                "amount": _json(one.get("amount")),
                "created_at": at,
                "expires_at": _number(one.get("expires_at")),
            }
            yield Put("allocations", (identity,), "granted", granted, gone=False)
        elif what == "released":
            yield Put("allocations", (identity,), "released", {"released_at": at}, gone=False)


def _benchmark(entry: Entry, data: Mapping[str, Any], what: str) -> Iterator[Put]:
    node = _own(entry)
    if what != "completed" or node is None:
        return
    kind = _text(data.get("type")) or "all"
    results = _json(data.get("results"))
    at = milliseconds_of(entry.body.hlc)
    run = {"node_id": node, "benchmark_type": kind, "results": results, "run_at": at}
    yield Put("benchmarks", (entry.id,), "run", run, gone=False)
    yield Put("node_resources", (node, kind), "benchmark", {"benchmark_data": results}, gone=False)


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
    elif what in ("closed", "expired", "kicked"):
        yield Put("sessions", (identity,), "closed", {"closed_at": at}, gone=False)
        yield Put("sessions", (identity,), "status", {"status": what})


_ABOUT: dict[str, Callable[[Entry, Mapping[str, Any], str], Iterator[Put]]] = {
    "cluster": _cluster,
    "member": _member,
    "node": _node,
    "build": _build,
    "resources": _resource,
    "benchmark": _benchmark,
    "session": _session,
}


def _own(entry: Entry) -> str | None:
    """Return the node that tells something of itself; None: it tells it of another one."""
    node = node_id_of(entry.body.origin)
    return node if entry.body.entity in ("", f"node:{node}") else None


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


def _bytes(value: object) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except (binascii.Error, ValueError):
        return None


def _objects(value: object) -> list[Mapping[str, Any]]:
    listed = value[:_MAX_ITEMS] if isinstance(value, list) else []
    return [one for one in listed if isinstance(one, dict)]


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _json_or_none(value: object) -> str | None:
    return None if value is None else _json(value)
