"""What a node hands out from its store: entries, what is left of pruned ones, and final seals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from buildnet.ledger.events import ServeEntries, ServeSeals
from buildnet.ledger.messages import MAX_BATCH, MAX_BATCH_BYTES, Entries, PrunedEntries, Seals
from buildnet.ledger.store.pruning import pruned_range
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.messages.kinds import Message

MAX_SEALS_SERVED = 64
MAX_AT_ONCE = 64
"""Asks of one peer that wait for the disk at a time; others are dropped, and made again later."""


class Serving:
    """Answers what peers ask for. ``say(peer, message)``: never waits."""

    def __init__(self, store: LedgerStore, say: Callable[[bytes, Message], None]) -> None:
        self._store = store
        self._say = say
        self._busy: Counter[bytes] = Counter()

    async def answer(self, wanted: ServeEntries | ServeSeals) -> None:
        """Answer one ask, unless its peer has made too many.

        Raises:
            LedgerError: the store can't be read.
        """
        peer = wanted.to
        if self._busy[peer] >= MAX_AT_ONCE:
            return
        self._busy[peer] += 1
        try:
            if isinstance(wanted, ServeEntries):
                answer = await _entries_for(self._store, wanted)
            else:
                answer = await _seals_for(self._store, wanted)
        finally:
            self._busy[peer] -= 1
            if not self._busy[peer]:
                del self._busy[peer]
        if answer is not None:
            self._say(peer, answer)


async def _entries_for(store: LedgerStore, wanted: ServeEntries) -> Message | None:
    """Return the answer to who wants entries; None: none of them is here whole."""
    chain, first, last = wanted.chain, wanted.first, wanted.last
    found = await store.range(chain, first, last, max_count=MAX_BATCH, max_bytes=MAX_BATCH_BYTES)
    if found:
        return Entries(tuple(entry.signed for entry in found))
    stubs = await store.read(
        lambda reader: pruned_range(reader, chain, first, last, max_count=MAX_BATCH)
    )
    if not stubs:
        return None
    return PrunedEntries(chain.origin, chain.incarnation, first, tuple(stubs))


async def _seals_for(store: LedgerStore, wanted: ServeSeals) -> Message | None:
    """Return the answer to who wants final seals; None: there are none from there on."""
    found = await store.seals(wanted.height, max_count=MAX_SEALS_SERVED, max_bytes=MAX_BATCH_BYTES)
    return Seals(tuple(seal.record for seal in found)) if found else None
