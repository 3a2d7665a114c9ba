"""The types of entries that BuildNet writes: what each tells people, and what its data holds.

The table is for showing and for documentation. What a node of another version writes is kept,
relayed and shown as it is: :func:`describe` never fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from buildnet.ledger.entry import Entry
from buildnet.ledger.facts import is_fact

_MAX_SHOWN = 80
_SETTING = "system.setting"
_DRAINED = {"yes": "{actor} drained {node}", "no": "{actor} resumed {node}"}
_FACT = {
    "expects": "version that it changes; 0: there was none",
    "value": "what it is now; null: it is deleted",
    "version": "version that it makes",
}
_MEMBER = {
    "version": "of the member list, that it makes",
    "epoch": "number of recoveries up to it",
    "change": "the change in words",
    "entry": "the member list's entry, base64",
    "member": "whom it is about, after it: key (hex), name, role, rights; missing if nobody",
}


@dataclass(frozen=True, slots=True)
class EntryType:
    """One type. ``sentence``: what it tells, with ``{actor}``, ``{entity}`` and names of data
    fields in place; ``fields``: what the data holds, name to meaning."""

    name: str
    sentence: str
    fields: Mapping[str, str]

    @property
    def is_fact(self) -> bool:
        """Tell whether it changes a shared fact by compare-and-set."""
        return is_fact(self.name)


def _types(*rows: tuple[str, str, Mapping[str, str]]) -> dict[str, EntryType]:
    return {name: EntryType(name, sentence, fields) for name, sentence, fields in rows}


_CHAINS = _types(
    (
        "chain.opened",
        "The node began a chain: {why}",
        {
            "after": "last known entry before: origin, incarnation, sequence, hash; or null",
            "why": "first, restore, unconfirmed head, clock ahead or key rotation",
        },
    ),
    (
        "chain.retired",
        "{actor} retired a chain of {origin}",
        {
            "origin": "key, hex",
            "incarnation": "hex",
            "members": "version of the member list in which the entry's origin is admin",
        },
    ),
    (
        "chain.quarantined",
        "Two entries of {origin} stand at one place, {sequence}",
        {
            "origin": "key, hex",
            "incarnation": "hex",
            "sequence": "from which on the chain counts no more",
            "one": "hash, hex",
            "other": "hash, hex",
        },
    ),
)
_MEMBERS = _types(
    (
        "cluster.founded",
        "{actor} founded the cluster {name}",
        {"name": "of the cluster", "genesis": "its first record, base64"},
    ),
    *(
        (f"member.{what}", sentence, _MEMBER)
        for what, sentence in (
            ("admitted", "A node came in: {change}"),
            ("left", "A node left: {change}"),
            ("removed", "{actor} removed a node: {change}"),
            ("revoked", "{actor} declared a key lost: {change}"),
            ("rotated", "A node goes on under another key: {change}"),
            ("priority", "{actor} changed who coordinates first: {change}"),
            ("rights", "{actor} changed what a node's owner may do: {change}"),
            ("voters", "The voters changed: {change}"),
            ("renamed", "{actor} changed a name: {change}"),
            ("recovered", "{actor} recovered the cluster: {change}"),
            ("invitation", "{actor} made or closed an invitation: {change}"),
        )
    ),
)
_NODES = _types(
    (
        "node.joined",
        "The node {name} joined",
        {"node_id": "hex", "name": "of the node", "address": "URL", "role": "worker or observer"},
    ),
    ("node.left", "The node left: {reason}", {"node_id": "hex", "reason": "why"}),
    (
        "node.started",
        "The node started, version {version}",
        {
            "version": "of BuildNet",
            "name": "of the node",
            "address": "URL",
            "role": "worker or observer",
        },
    ),
    (
        "node.stopped",
        "The node stopped: {reason}",
        {"reason": "why", "version": "of BuildNet"},
    ),
    (
        "node.resources",
        "The node's resources changed",
        {"resources": "by kind, as the scan found them"},
    ),
    (
        "resources.offered",
        "The node offers other amounts",
        {"offers": "list of resource, unit, amount"},
    ),
    (
        "resources.allocated",
        "{actor} allocated resources to {entity}",
        {
            "allocations": "list of id, build, holder (node id), actor, type, amount (by unit)",
            "term": "of the coordinator who asked",
        },
    ),
    (
        "resources.released",
        "Resources of {entity} are free again",
        {
            "allocations": "as of resources.allocated; amount: the most; used_ms (of a slot)",
            "reason": "why",
        },
    ),
    (
        "benchmark.completed",
        "A benchmark of {type} is done",
        {"type": "what was measured", "results": "measured values, with units in their names"},
    ),
)
_BUILDS = _types(
    (
        "build.queued",
        "{actor} asked for {entity}",
        {
            "config_id": "configuration, or null",
            "packages": "list of names",
            "term": "of the coordinator",
        },
    ),
    (
        "build.started",
        "{entity} started",
        {
            "config_id": "configuration, or null",
            "workspace": "its name",
            "task": "such as build or test",
            "packages": "list of names",
            "packages_left_out": "how many are not in the list: unchanged, or beyond its room",
            "resources": "given to it, by unit",
            "term": "of the coordinator; 0: none placed it",
            "warrant": "by which its node may drive it: CBOR, hex",
        },
    ),
    (
        "build.completed",
        "{entity} completed in {duration_ms} ms",
        {
            "duration_ms": "wall time",
            "artifacts": "list of digests",
            "packages": "list of name, status, tier, duration_ms, node, action, error",
            "root": "RFC 9162 Merkle root over the signed results of its actions, hex; or null",
            "metrics": "counts and sizes",
            "packages_left_out": "how many are not in the list: unchanged, or beyond its room",
            "term": "of the coordinator; 0: none placed it",
        },
    ),
    (
        "build.failed",
        "{entity} failed: {error}",
        {
            "error": "in words",
            "duration_ms": "wall time",
            "packages": "as of build.completed",
            "root": "as of build.completed",
            "metrics": "counts and sizes",
            "packages_left_out": "how many are not in the list: unchanged, or beyond its room",
            "term": "of the coordinator; 0: none placed it",
        },
    ),
    (
        "build.cancelled",
        "{actor} cancelled {entity}: {reason}",
        {
            "reason": "why",
            "duration_ms": "wall time",
            "packages": "as of build.completed",
            "root": "as of build.completed",
            "metrics": "counts and sizes",
            "packages_left_out": "how many are not in the list: unchanged, or beyond its room",
            "term": "of the coordinator; 0: none placed it",
        },
    ),
    (
        "build.handed_over",
        "{actor} handed {entity} of {from} to {to}",
        {"from": "whose it was", "to": "whose it is from now on"},
    ),
    (
        "build.taken_over",
        "{entity} goes on in term {term}",
        {
            "term": "of the new coordinator",
            "before": "term of the one before",
            "warrant": "by which its node may drive it: CBOR, hex",
        },
    ),
    (
        "queue.paused",
        "{actor} paused the queue: {reason}",
        {"reason": "why", "since_ms": "from when on, by the coordinator's clock"},
    ),
    (
        "queue.resumed",
        "{actor} resumed the queue",
        {"since_ms": "from when on, by the coordinator's clock"},
    ),
    ("queue.build_paused", "{actor} paused {entity}: {reason}", {"reason": "why"}),
    ("queue.build_resumed", "{actor} resumed {entity}", {}),
    (
        "queue.build_prioritized",
        "{actor} gave {entity} the priority {priority}",
        {"priority": "critical, high, normal or low"},
    ),
    (
        "queue.reordered",
        "{actor} moved {entity} in the queue",
        {"before": "build that it stands before now, or null: last"},
    ),
)
_FACTS = _types(
    *(
        (f"{kind}.{what}", f"{{actor}} {what} {words} {{entity}}", _FACT)
        for kind, words in (
            ("config", "the configuration"),
            ("template", "the template"),
            ("profile", "the profile"),
        )
        for what in ("created", "modified", "deleted")
    ),
    ("key.created", "{actor} made the key {entity}", _FACT),
    ("key.modified", "{actor} changed the key {entity}", _FACT),
    (
        "key.revoked",
        "{actor} revoked the key {entity}",
        {**_FACT, "value": "the name that it had; null: it was not known"},
    ),
    (
        "key.used",
        "{name} used its key; requests: {count}",
        {
            "name": "of the key",
            "count": "requests since it was recorded last",
            "limited": "requests refused since they were too many",
            "first_ms": "of them, since 1970",
            "last_ms": "of them, since 1970",
            "addresses": "from where, 8 at most",
        },
    ),
    ("rights.granted", "{actor} granted rights to {entity}", _FACT),
    ("rights.modified", "{actor} changed the rights of {entity}", _FACT),
    ("rights.withdrawn", "{actor} withdrew the rights of {entity}", _FACT),
)
_SERVICES = _types(
    (
        "session.opened",
        "{actor} signed in",
        {
            "kind": "user or agent",
            "address": "from where",
            "how": "link or key",
            "rights": "owner, admin, builder or observer",
        },
    ),
    ("session.closed", "The session of {actor} ended: {reason}", {"reason": "why"}),
    ("session.expired", "The session of {actor} expired", {"reason": "why"}),
    (
        "session.kicked",
        "{actor} ended the session of {whose}",
        {"whose": "actor", "reason": "why"},
    ),
    (
        "cache.cleared",
        "{actor} cleared the cache: {bytes} bytes",
        {"bytes": "freed", "entries": "how many", "reason": "why"},
    ),
    (
        "cache.poisoned",
        "A cached result was not what it should be: {action}",
        {"action": "digest", "found": "digest", "node": "who had stored it"},
    ),
    (
        "security.refused",
        "Refused: {what}",
        {"what": "that was asked for", "address": "from where", "count": "how often since before"},
    ),
    (
        "security.damage_found",
        "Damaged entries were found: {chain}, {first} to {last}",
        {"chain": "origin/incarnation, hex", "first": "sequence", "last": "sequence"},
    ),
    (
        "security.damage_repaired",
        "Damaged entries were fetched again: {chain}, {first} to {last}",
        {"chain": "origin/incarnation, hex", "first": "sequence", "last": "sequence"},
    ),
    ("system.note", "{actor} noted: {text}", {"text": "what a person wants on record"}),
    (
        _SETTING,
        "{actor} set {name} of {node} to {new}",
        {"node": "its name", "name": "of the setting", "old": "value", "new": "value"},
    ),
    (
        "system.upgraded",
        "BuildNet is version {new} now",
        {"old": "version", "new": "version"},
    ),
    (
        "system.pruned",
        "The ledger keeps hashes only before height {height}",
        {"height": "of the seal", "entries": "how many"},
    ),
    ("system.backup", "{actor} made a backup", {"height": "of the last seal in it"}),
)
TYPES: Mapping[str, EntryType] = {
    **_CHAINS,
    **_MEMBERS,
    **_NODES,
    **_BUILDS,
    **_FACTS,
    **_SERVICES,
}
"""All types by name."""


def describe(entry: Entry) -> str:
    """Return one line that tells a person what happened; of an unknown type its name and data."""
    body = entry.body
    known = TYPES.get(body.type)
    data = entry.data
    if known is None:
        about = f" {body.entity}" if body.entity else ""
        return _line(f"{body.type}{about} {body.data}", 2 * _MAX_SHOWN)
    values = {name: _shown(data[name]) if name in data else "unknown" for name in known.fields}
    values["actor"] = body.actor.name or body.actor.id
    values["entity"] = _entity(body.entity, data)
    sentence = known.sentence
    if known.name == _SETTING:
        if "node" not in data:  # earlier versions did not tell
            values["node"] = values["entity"]
        if values["name"] == "draining":
            sentence = _DRAINED.get(values["new"], sentence)
    # One pass, so what a value holds is never taken for a place to fill.
    said = sentence.format_map(values)
    return _line(said.removesuffix(": "), 4 * _MAX_SHOWN)  # a reason that nobody gave


def _entity(entity: str | None, data: Mapping[str, Any]) -> str:
    """Return what an entry is about; of a key, whose id says nothing to people, with its name."""
    made = data.get("value")
    if entity is None or not entity.startswith("key:") or not isinstance(made, Mapping):
        return entity or "unknown"
    name = made.get("name")
    return f"{_shown(name)} ({entity})" if isinstance(name, str) else entity


def _shown(value: Any) -> str:
    if isinstance(value, bool | type(None)):
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, list):
        value = ", ".join(map(str, value)) or "none"
    return _line(str(value), _MAX_SHOWN)


def _line(text: str, most: int) -> str:
    plain = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"
