"""Whom the seal of a height names as voters: what they recorded about what all share counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection

from buildnet.ledger.seal import Seal
from buildnet.mesh.wire import WireError

VotersAt = Callable[[int], Collection[bytes]]
_NEAR = 8


def voters_in(connection: sqlite3.Connection) -> VotersAt:
    """Return a function that reads the voters' keys, by the height of their seal, from a ledger's
    file.

    Where that seal is damaged, which ``verify`` tells and a peer mends, the nearest one speaks for
    it: voters change seldom, and a table that is built meanwhile must not lose what counts.
    """

    def voters_at(height: int) -> Collection[bytes]:
        near = connection.execute(
            "SELECT hash, record FROM seals WHERE height BETWEEN ? AND ? ORDER BY abs(height-?)",
            (height - _NEAR, height + _NEAR, height),
        )
        damaged: Collection[bytes] = ()
        for seal_hash, record in near:
            try:
                seal = Seal.decode(record)
            except (WireError, TypeError):
                continue
            if seal.hash == seal_hash:
                return seal.value.voters
            damaged = damaged or seal.value.voters
        return damaged

    return voters_at
