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
from buildnet.ledger.entry import MAX_POSTINGS, Posting, as_data
from buildnet.ledger.postings import CAPACITY, FREE, offered, withdrawn
from buildnet.ledger.query import Query
from buildnet.mesh.identity import node_id_of
from buildnet.node.own_accounts import RESOURCES, Balances, own_balances
from buildnet.node.recording import OpenLedger
from buildnet.pool.resources import NodeResources

MAX_DATA_BYTES = 36 * 1024
_MAX_PLACE = 200
"""Characters of an account's name; a volume with a longer path is told in words only."""
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
        changes = postings(await own_balances(ledger), wanted)
        if not changes and await _said(ledger) == told:
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


def postings(held: Balances, wanted: Mapping[Place, int]) -> tuple[Posting, ...]:
    """Return what brings the accounts from what is ``held`` to what is ``wanted``, as much as fits
    into an entry and is not allocated: the next scan brings the rest."""
    found: list[Posting] = []
    places = {(place, unit) for place, leg, unit in held if leg == CAPACITY}
    for place, unit in sorted(places.union(wanted)):
        offered_now = -held.get((place, CAPACITY, unit), 0)
        more = wanted.get((place, unit), 0) - offered_now
        less = min(-more, held.get((place, FREE, unit), 0))
        if len(found) + 2 > MAX_POSTINGS:
            break
        if more > 0:
            found += offered(place, unit, more)
        elif less > 0:
            found += withdrawn(place, unit, less)
    return tuple(found)


async def _said(ledger: OpenLedger) -> dict[str, Any] | None:
    """Return the resources in words as they were told last."""
    own = Query(types=(RESOURCES,), origin=ledger.key.hex())
    async for stored in ledger.store.find(own, backwards=True):
        found: dict[str, Any] | None = stored.entry.data.get("resources")
        return found
    return None
