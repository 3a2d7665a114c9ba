"""What stands on this node's own accounts in the ledger: what it offers, what of it is free, and
what is allocated, with what it has recorded and nobody has sealed yet."""

from __future__ import annotations

import json

from buildnet.ledger.entry import Side
from buildnet.ledger.postings import leg_of, node_of
from buildnet.ledger.query import Query
from buildnet.mesh.identity import node_id_of
from buildnet.node.recording import OpenLedger

RESOURCES, ALLOCATED, RELEASED = "node.resources", "resources.allocated", "resources.released"
"""Types of the entries that post there."""
_PAGE = 200

Balances = dict[tuple[str, str, str], int]
"""By the place (``node:ID/cores``), its leg (``free``) and the unit."""


async def own_balances(ledger: OpenLedger) -> Balances:
    """Return the balances of all accounts of this node that are not 0."""
    node_id = node_id_of(ledger.key)
    found = await _sealed(ledger, node_id)
    types = (RESOURCES, ALLOCATED, RELEASED)
    async for stored in ledger.store.find(
        Query(types=types, origin=ledger.key.hex(), sealed=False)
    ):
        for posting in stored.entry.body.postings:
            leg = leg_of(posting.account)
            if leg is not None and node_of(posting.account) == node_id:
                sign = 1 if posting.side == Side.CREDIT else -1
                key = (*leg, posting.unit)
                found[key] = found.get(key, 0) + sign * posting.amount
    return {key: amount for key, amount in found.items() if amount}


async def _sealed(ledger: OpenLedger, node_id: str) -> Balances:
    found: Balances = {}
    after = f"node:{node_id}"
    while rows := await ledger.store.table("accounts", after=(after,), limit=_PAGE):
        for row in rows:
            after = str(row["account"])
            if node_of(after) != node_id:
                return found
            leg = leg_of(after)
            if leg is not None:
                for unit, balance in json.loads(str(row["balances"])).items():
                    found[(*leg, unit)] = balance
    return found
