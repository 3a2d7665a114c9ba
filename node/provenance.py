"""The provenance of what a build used, as files that anybody can check."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from buildnet.ledger.history import BuildSummary
from buildnet.ledger.merkle import inclusion_path, root_of
from buildnet.ledger.query import Query
from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.ledger.service.errors import NotSealedError
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.node.service import NodeService
from buildnet.node.store import Store
from buildnet.pool.build import Status
from buildnet.pool.dsse import EnvelopeError
from buildnet.pool.provenance_check import Place, leaf_of, with_proof

SEALED_WITHIN_S = 3.0
_AT_ONCE = 4
_ENDS = ("build.completed", "build.failed", "build.cancelled")
_SUFFIX = ".intoto.json"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._@-]+")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Results:
    """The leaves of a build's results, by their actions, in the order of the tree over them."""

    leaves: Mapping[str, bytes]

    @classmethod
    def of(cls, store: Store, actions: Iterable[str]) -> _Results:
        """Look them up; what is not in the cache any more is left out. Blocks."""
        leaves: dict[str, bytes] = {}
        for action in sorted(set(actions)):
            record = store.peek_action(Digest(action, 0))
            if record is not None:
                result = Digest.of(record.result).hash
                leaves[action] = leaf_of(action, record.isolation, result)
        return cls(leaves)

    def place(self, action: str, root: object) -> Place | None:
        """Return where a result stands below ``root``; None: not all of them are here."""
        ordered = list(self.leaves.values())
        if action not in self.leaves or root_of(ordered).hex() != root:
            return None
        index = list(self.leaves).index(action)
        return Place(index, len(ordered), inclusion_path(ordered, index))


async def provenance_of(
    service: NodeService, build: BuildSummary, packages: Sequence[str], task: str
) -> Json:
    """Return the statements for packages (none: all) of a build of this node's record, each with
    what proves it, and of the others why there is none.

    Raises:
        NotFoundError: a package was no part of the build.
    """
    rows = [one for one in build.packages if one["task"] == task]
    known = {one["name"] for one in rows}
    for name in packages:
        if name not in known:
            raise NotFoundError(
                f"build {build.id} has no {name}#{task}",
                hint=f"see what it had: buildnet history {build.id}",
            )
    wanted = [one for one in rows if not packages or one["name"] in packages]
    ledger = service.ledger.open_now
    proof, root = (None, None) if ledger is None else await _proof(service, ledger, build)
    files = _file_names(build.workspace, [one["name"] for one in rows], task)
    actions = _actions(build.packages)
    results = await asyncio.to_thread(_Results.of, service.store, actions)
    attesting, turn = service.attesting, asyncio.Semaphore(_AT_ONCE)

    async def stated(row: Json, part: Json) -> Json:
        entry = {"package": row["name"], "task": row["task"], "file": None, "statement": None}
        if part["status"] != Status.SUCCEEDED.value or not part["action"]:
            return {**entry, "why": "it has no result"}
        try:
            async with turn:
                envelope = await attesting.of(part["action"])
        except EnvelopeError as error:
            return {**entry, "why": error.message}
        except BuildNetError as error:
            why = ": ".join(filter(None, (error.message, error.cause)))
            return {**entry, "why": why, "hint": error.hint}
        place = None if root is None else results.place(part["action"], root)
        return {
            **entry,
            "file": _of_shard(files[row["name"]], part.get("shard")),
            "statement": with_proof(envelope, proof, place),
            "why": None,
        }

    return {
        "build_id": build.id,
        "cluster_id": service.cluster["id"],
        "sealed": proof is not None,
        "statements": await asyncio.gather(
            *(stated(row, part) for row in wanted for part in _parts(row))
        ),
    }


def _parts(row: Json) -> Sequence[Json]:
    """Return what ran of a task: its shards, each with a result of its own, or the task itself."""
    return row.get("shards") or (row,)


def _of_shard(file: str, shard: str | None) -> str:
    """Return the name of a task's file as that of one of its shards, such as ``1/4``."""
    return (
        file
        if shard is None
        else f"{file.removesuffix(_SUFFIX)}.{shard.replace('/', '-')}{_SUFFIX}"
    )


async def _proof(
    service: NodeService, ledger: ClusterLedger, build: BuildSummary
) -> tuple[bytes | None, str | None]:
    """Return the proof that the build's end is sealed, and the root over its results."""
    page = await ledger.store.query(Query(types=_ENDS, build=build.id), limit=1, backwards=True)
    if not page.entries:
        return None, None
    stored = page.entries[0]
    if stored.height is None:
        await service.ledger.settle(SEALED_WITHIN_S)
    try:
        stored, proof = await ledger.prove(stored.entry.id)
    except NotSealedError:
        return None, None
    root = stored.entry.data.get("root")
    return await asyncio.to_thread(proof.to_bytes), root if isinstance(root, str) else None


def _actions(rows: Iterable[Json]) -> list[str]:
    """Return the actions whose results a build used; a task that was split has those of its
    shards."""
    every = (each for row in rows for each in (row, *row.get("shards", ())))
    return [each["action"] for each in every if each.get("action")]


def _file_names(workspace: str, packages: Iterable[str], task: str) -> dict[str, str]:
    """Return for each package a name for the file that holds its statement, no two of them the
    same, whatever packages are called."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for package in packages:
        parts = (_NOT_IN_A_NAME.sub("-", one).strip("-.") for one in (workspace, package, task))
        name = ".".join(one or "unnamed" for one in parts)[:200]
        if name.lower() in taken:  # some file systems hold them for one
            name = f"{name}.{Digest.of(package.encode()).hash[:16]}"
        taken.add(name.lower())
        found[package] = f"{name}{_SUFFIX}"
    return found
