"""What a node offers to the pool, as the ledger is told of it: resources in words, and postings.

The postings bring the accounts of the node to what the scan found: ``node:ID/cores`` in cores,
``node:ID/memory`` and ``node:ID/storage:PATH`` in bytes. They are made from what stands on the
accounts, so a difference, however it came about, is gone after the next scan.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildnet.ledger.draft import EntryDraft, node_actor
from buildnet.ledger.entry import MAX_POSTINGS, Posting, Side, as_data
from buildnet.ledger.postings import CAPACITY, leg_of, node_of, offered, withdrawn
from buildnet.ledger.query import Query
from buildnet.mesh.identity import node_id_of
from buildnet.node.recording import OpenLedger
from buildnet.pool.resources import NodeResources

RESOURCES = "node.resources"
MAX_DATA_BYTES = 36 * 1024
_MAX_PLACE = 200
"""Characters of an account's name; a volume with a longer path is told in words only."""
_PAGE = 200
_CHANGES_ALL_THE_TIME = {
    "memory": ("available_bytes",),
    "storage": ("available_bytes", "problem"),
}
_TOLD = ("system", "cpu", "memory", "storage", "gpus", "tools", "runtimes")
"""Kinds, the ones to do without last. Not the network: addresses are in the mesh's own records."""

Place = tuple[str, str]
"""An account without its leg, and the unit."""


@dataclass(frozen=True, slots=True)
class ResourcesFound:
    """A scan of the host is done."""

    name: str
    resources: NodeResources
    request: bytes = field(default_factory=lambda: os.urandom(16))

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write: nothing, if the ledger says it already."""
        node_id = node_id_of(ledger.key)
        told = described(self.resources)
        wanted = amounts(node_id, self.resources)
        held, said = await _recorded(ledger, node_id)
        changes = postings(held, wanted)
        if not changes and said == told:
            return ()
        return (
            EntryDraft(
                RESOURCES,
                node_actor(ledger.key, self.name),
                entity=f"node:{node_id}",
                request=self.request,
                data={"resources": told},
                postings=changes,
            ),
        )


def described(resources: NodeResources) -> dict[str, Any]:
    """Return what the ledger keeps of a scan: by kind, without what changes all the time."""
    found = resources.model_dump(mode="json")
    told = {kind: found[kind] for kind in _TOLD}
    for kind, names in _CHANGES_ALL_THE_TIME.items():
        for one in told[kind] if isinstance(told[kind], list) else [told[kind]]:
            for name in names:
                one.pop(name, None)
    for kind in reversed(_TOLD):
        if len(as_data(told).encode(errors="replace")) <= MAX_DATA_BYTES:
            break
        told[kind] = []
    plain: dict[str, Any] = json.loads(as_data(told).encode(errors="replace"))
    return plain


def amounts(node_id: str, resources: NodeResources) -> dict[Place, int]:
    """Return what a node offers, by account."""
    node = f"node:{node_id}"
    found = {
        (f"{node}/cores", "cores"): resources.cpu.cores,
        (f"{node}/memory", "bytes"): resources.memory.total_bytes,
    }
    for volume in resources.storage:
        place = f"{node}/storage:{volume.path}"
        if volume.total_bytes and len(place) <= _MAX_PLACE and place.isprintable():
            found[place, "bytes"] = volume.total_bytes
    most = MAX_POSTINGS // 4  # as many may have to go at the same time
    return dict(list(found.items())[:most])


def postings(held: Mapping[Place, int], wanted: Mapping[Place, int]) -> tuple[Posting, ...]:
    """Return what brings the accounts from ``held`` to ``wanted``, as much as fits into an entry:
    the next scan brings the rest."""
    found: list[Posting] = []
    for place, unit in sorted({*held, *wanted}):
        more = wanted.get((place, unit), 0) - held.get((place, unit), 0)
        if more and len(found) + 2 <= MAX_POSTINGS:
            found += (offered if more > 0 else withdrawn)(place, unit, abs(more))
    return tuple(found)


async def _recorded(
    ledger: OpenLedger, node_id: str
) -> tuple[dict[Place, int], dict[str, Any] | None]:
    """Return what the node offers by the accounts and by its entries that are not sealed yet, and
    the resources in words as they were told last."""
    held: dict[Place, int] = {}
    after = f"node:{node_id}"
    while rows := await ledger.store.table("accounts", after=(after,), limit=_PAGE):
        for row in rows:
            after = str(row["account"])
            if node_of(after) != node_id:
                return await _unsealed(ledger, held)
            leg = leg_of(after)
            if leg is not None and leg[1] == CAPACITY:
                for unit, balance in json.loads(str(row["balances"])).items():
                    held[leg[0], unit] = -balance
    return await _unsealed(ledger, held)


async def _unsealed(
    ledger: OpenLedger, held: dict[Place, int]
) -> tuple[dict[Place, int], dict[str, Any] | None]:
    own = Query(types=(RESOURCES,), origin=ledger.key.hex())
    waiting = Query(types=own.types, origin=own.origin, sealed=False)
    async for stored in ledger.store.find(waiting):
        for posting in stored.entry.body.postings:
            leg = leg_of(posting.account)
            if leg is not None and leg[1] == CAPACITY:
                sign = 1 if posting.side == Side.DEBIT else -1
                place = (leg[0], posting.unit)
                held[place] = held.get(place, 0) + sign * posting.amount
    said = None
    async for stored in ledger.store.find(own, backwards=True):
        said = stored.entry.data.get("resources")
        break
    return {place: amount for place, amount in held.items() if amount}, said
