"""An entry as JSON: the one form in which people and programs read it, whoever asks. Field names
are a contract, and those of section 10.1 where it has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from buildnet.ledger.entry_types import describe
from buildnet.ledger.store.rows import StoredEntry
from buildnet.mesh.clock import milliseconds_of
from buildnet.mesh.identity import node_id_of


def entry_view(stored: StoredEntry) -> dict[str, Any]:
    """Return one entry. ``sealed``: the height of its seal; None: it is provisional."""
    entry, body = stored.entry, stored.entry.body
    return {
        "id": entry.id,
        "sealed": stored.height,
        "index": stored.index,
        "time": time_text(body.hlc),
        "hlc": body.hlc,
        "origin": body.origin.hex(),
        "node_id": node_id_of(body.origin),
        "incarnation": body.incarnation.hex(),
        "sequence": body.sequence,
        "type": body.type,
        "actor": {"id": body.actor.id, "name": body.actor.name, "kind": body.actor.kind},
        "reason": body.reason,
        "correlation": body.correlation,
        "entity": body.entity,
        "data": entry.data,
        "postings": [
            {
                "account": one.account,
                "side": one.side,
                "unit": one.unit,
                "amount": one.amount,
                "state": one.state,
            }
            for one in body.postings
        ],
        "prev_hash": body.previous.hex(),
        "hash": entry.id,
        "signature": entry.signed[:64].hex(),
        "text": describe(entry),
    }


def time_text(hlc: int) -> str:
    """Return the wall time of a hybrid timestamp, ISO 8601."""
    at = datetime.fromtimestamp(milliseconds_of(hlc) / 1000, UTC)
    return at.isoformat(timespec="milliseconds")
