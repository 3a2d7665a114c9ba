"""What the ledger is told of builds: that one began, who took it over, and how it ended.

A build has the account ``build:ID/0`` as long as the node drives it that was asked; who goes on
with it after that one takes it over into an account of a higher number. The end names each package
and what became of it, and the root of a Merkle tree over the results that the build used or made:
RFC 9162, its leaves are the BLAKE3 hashes of what their makers signed, by ascending action.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from buildnet.ledger.draft import EntryDraft, node_actor
from buildnet.ledger.entry import Actor, ActorKind, Entry, as_data
from buildnet.ledger.merkle import root_of
from buildnet.ledger.postings import TakesOver, changed, taken_over
from buildnet.ledger.query import Query
from buildnet.mesh.digest import Digest
from buildnet.node.build_claims import STARTED, TAKEN_OVER, WARRANT
from buildnet.node.cancelled import Cancelled
from buildnet.node.recording import OpenLedger
from buildnet.pool.warrant import Warrant

TERM = 0
"""Of a build that is driven by the node that was asked."""
MAX_DATA_BYTES = 36 * 1024
MAX_ERROR = 500
"""Characters of one error."""
RUNNING = "running"
_ENDS = {"succeeded": "completed", "failed": "failed", "cancelled": "cancelled"}

LeafOf = Callable[[Digest], bytes | None]
"""Gives :func:`leaf_of` an action's result; None: it is not in the store (any more)."""


def leaf_of(signed: bytes) -> bytes:
    """Return the leaf of a result by what its maker signed."""
    return blake3(signed).digest()


class Results:
    """The results that a build used or made, by their actions. Summing them up is done once,
    however many builds use the same."""

    def __init__(self, actions: Iterable[Digest], leaf: LeafOf) -> None:
        self._actions = dict.fromkeys(actions)
        self._leaf = leaf
        self._sum: tuple[int, str | None] | None = None

    def summed_up(self) -> tuple[int, str | None]:
        """Return how many there are, and the root of the tree over them in hex. Blocks."""
        if self._sum is None:
            ordered = sorted(self._actions, key=lambda one: one.hash)
            leaves = [leaf for action in ordered if (leaf := self._leaf(action)) is not None]
            self._sum = (len(leaves), root_of(leaves).hex() if leaves else None)
        return self._sum


@dataclass(frozen=True, slots=True)
class BuildBegan:
    """A build was accepted. ``warrant``: that this node may drive it; ``actor``: who asked for it;
    ``more``: how many packages besides; ``configuration``: the id of the one that was named."""

    build_id: str
    warrant: Warrant
    actor: str
    workspace: str
    task: str
    packages: tuple[str, ...]
    more: int = 0
    configuration: str | None = None

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write."""
        names = [_plain(name) for name in self.packages]
        data = {
            "config_id": self.configuration,
            "workspace": _plain(self.workspace),
            "task": _plain(self.task),
            "resources": {},
            "term": TERM,
            WARRANT: self.warrant.encode().hex(),
            **_fitting("packages", names, MAX_DATA_BYTES, self.more),
        }
        return (
            EntryDraft(
                STARTED,
                _actor(self.actor),
                correlation=self.build_id,
                entity=f"build:{self.build_id}",
                request=_request(self.build_id, "started"),
                data=data,
                postings=changed(f"build:{self.build_id}/{TERM}", None, RUNNING),
            ),
        )


@dataclass(frozen=True, slots=True)
class BuildEnded:
    """A build is over. ``status``: succeeded, failed or cancelled; ``packages``: the reports of its
    tasks as JSON but of those, ``unchanged`` in number, that stood as before; ``actor``: who asked
    for it; ``cancelled``: by whom it was ended, and why."""

    build_id: str
    actor: str
    status: str
    duration_ms: float
    error: str | None
    packages: tuple[dict[str, Any], ...]
    unchanged: int
    results: Results
    term: int = TERM
    cancelled: Cancelled | None = None

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write."""
        end = _ENDS[self.status]
        results, root = await asyncio.to_thread(self.results.summed_up)
        actor = _actor(self.actor)
        data: dict[str, Any] = {
            "duration_ms": round(self.duration_ms),
            "metrics": self._metrics(results),
            "root": root,
            "term": self.term,
        }
        if end == "failed":
            data["error"] = _short(self.error or _first_error(self.packages))
        elif end == "cancelled" and self.cancelled is not None:
            data["reason"] = _short(self.error or self.cancelled.why)
            by = self.cancelled.by
            actor = node_actor(ledger.key) if by is None else _actor(by)
        # What failed is told first: where not all of it fits, that does.
        ordered = sorted(self.packages, key=lambda one: str(one["status"]) != "failed")
        rows = [_package(one) for one in ordered]
        data |= _fitting("packages", rows, MAX_DATA_BYTES, self.unchanged)
        return (await _end(ledger, self.build_id, actor, end, data, self.term),)

    def _metrics(self, results: int) -> dict[str, int]:
        counts = {"packages": len(self.packages) + self.unchanged, "results": results}
        if self.unchanged:
            counts |= {"status_succeeded": self.unchanged, "tier_instant_skip": self.unchanged}
        for name in ("status", "tier"):
            for one in self.packages:
                if one[name]:
                    key = f"{name}_{one[name]}".replace("-", "_")
                    counts[key] = counts.get(key, 0) + 1
        return counts


@dataclass(frozen=True, slots=True)
class BuildInterrupted:
    """A build that ran when the node's process ended by force. ``why``: in words; ``failed``: it is
    told as failed, else as cancelled."""

    build_id: str
    why: str
    failed: bool = False

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write: nothing, if the ledger of this cluster never heard of the build."""
        if await _last(ledger, self.build_id, STARTED) is None:
            return ()
        end, named = ("failed", "error") if self.failed else ("cancelled", "reason")
        data = {named: self.why, "term": TERM}
        actor = node_actor(ledger.key)
        return (await _end(ledger, self.build_id, actor, end, data, TERM),)


@dataclass(frozen=True, slots=True)
class BuildTakenOver:
    """Another node than before drives a build now, under the number ``term``, as ``warrant`` proves
    that it may."""

    build_id: str
    term: int
    warrant: Warrant

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write: nothing, if this node has written it before."""
        entity, before = f"build:{self.build_id}", None
        last = await _last(ledger, self.build_id, "build.*")
        if last is not None and (term := last.data.get("term", TERM)) >= self.term:
            return ()
        if last is not None:
            before = TakesOver(term, last.hash, last.body.hlc)
        account = f"{entity}/{self.term}"
        return (
            EntryDraft(
                TAKEN_OVER,
                node_actor(ledger.key),
                correlation=self.build_id,
                entity=entity,
                request=_request(self.build_id, f"taken over {self.term}"),
                data={
                    "term": self.term,
                    "before": None if before is None else before.term,
                    WARRANT: self.warrant.encode().hex(),
                },
                postings=changed(account, None, RUNNING)
                if before is None
                else taken_over(entity, self.term, before, RUNNING),
            ),
        )


async def _end(
    ledger: OpenLedger, build_id: str, actor: Actor, end: str, data: dict[str, Any], term: int
) -> EntryDraft:
    # Its beginning may stand in the ledger of another cluster, or may have been lost.
    began = await _last(ledger, build_id, TAKEN_OVER if term else STARTED)
    is_open = began is not None and began.data.get("term", TERM) == term
    return EntryDraft(
        f"build.{end}",
        actor,
        correlation=build_id,
        entity=f"build:{build_id}",
        request=_request(build_id, f"ended {term}" if term else "ended"),
        data=data,
        postings=changed(f"build:{build_id}/{term}", RUNNING if is_open else None, end),
    )


async def _last(ledger: OpenLedger, build_id: str, kind: str) -> Entry | None:
    wanted = Query(types=(kind,), build=build_id)
    async for found in ledger.store.find(wanted, backwards=True):
        return found.entry
    return None


def _request(build_id: str, what: str) -> bytes:
    """Return what makes a record that is written again known as the same one."""
    return blake3(f"build {build_id} {what}".encode()).digest()


def _actor(name: str) -> Actor:
    plain = "".join(one if one.isprintable() else "?" for one in _plain(name))[:128]
    return Actor(plain or "local", plain or "local", ActorKind.USER.value)


def _package(report: dict[str, Any]) -> dict[str, Any]:
    error = report["error"] or {}
    name, task = str(report["name"]), str(report["task"])
    return {
        "name": _plain(name if task == "build" else f"{name}#{task}"),
        "status": report["status"],
        "tier": report["tier"],
        "duration_ms": round(report["duration_ms"]),
        "node": report["node"],
        "action": report["action"],
        "error": _short(error["message"]) if error else None,
    }


def _first_error(packages: Sequence[dict[str, Any]]) -> str:
    for one in packages:
        if one["error"]:
            return f"{one['name']}: {one['error']['message']}"
    return "it is not known why"


def _fitting(name: str, rows: Sequence[Any], most_bytes: int, more: int) -> dict[str, Any]:
    """Return as many of ``rows`` as fit under ``name``, and how many are left out with ``more``."""
    kept = list(_up_to(rows, most_bytes))
    left_out = len(rows) - len(kept) + more
    return {name: kept, **({f"{name}_left_out": left_out} if left_out else {})}


def _up_to(rows: Sequence[Any], most_bytes: int) -> Iterator[Any]:
    for row in rows:
        most_bytes -= len(as_data({"": row}).encode())
        if most_bytes < 0:
            return
        yield row


def _short(text: str) -> str:
    plain = _plain(text)
    return plain if len(plain) <= MAX_ERROR else plain[: MAX_ERROR - 1] + "…"


def _plain(text: str) -> str:
    """Return what can be written in UTF-8: names of files may hold other bytes."""
    return text.encode(errors="replace").decode()
