"""What a node hands out from its store: entries, what is left of pruned ones, and final seals."""

from __future__ import annotations

from buildnet.ledger.events import ServeEntries, ServeSeals
from buildnet.ledger.messages import MAX_BATCH, MAX_BATCH_BYTES, Entries, PrunedEntries, Seals
from buildnet.ledger.store.pruning import pruned_range
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.messages.kinds import Message

MAX_SEALS_SERVED = 64


async def entries_for(store: LedgerStore, wanted: ServeEntries) -> Message | None:
    """Return the answer to who wants entries; None: none of them is here whole.

    Raises:
        LedgerError: the store can't be read.
    """
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


async def seals_for(store: LedgerStore, wanted: ServeSeals) -> Message | None:
    """Return the answer to who wants final seals; None: there are none from there on.

    Raises:
        LedgerError: the store can't be read.
    """
    found = await store.seals(wanted.height, max_count=MAX_SEALS_SERVED, max_bytes=MAX_BATCH_BYTES)
    return Seals(tuple(seal.record for seal in found)) if found else None
