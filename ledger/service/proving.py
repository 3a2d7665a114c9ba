"""Makes proofs of what this node's ledger holds; see :mod:`buildnet.ledger.proof`."""

from __future__ import annotations

import asyncio
from typing import Protocol

from buildnet.ledger.membership import Log
from buildnet.ledger.proof import Proof, Trust, prove_entry, prove_later
from buildnet.ledger.seal import Seal
from buildnet.ledger.service.errors import NotSealedError
from buildnet.ledger.store.errors import LedgerDamagedError
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import COLUMNS, StoredEntry, is_pruned, place_of
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.members.entry import CommitProof


class ProvableLog(Log, Protocol):
    """The mesh's member log, with what makes it final."""

    @property
    def proof(self) -> CommitProof:
        """Of its last entry."""


async def prove(store: LedgerStore, log: ProvableLog, prefix: str) -> tuple[StoredEntry, Proof]:
    """Return an entry (by its id or the beginning of it) with the proof that it is sealed, and that
    the newest seal's history holds its seal.

    Raises:
        NotFoundError: there is no such entry.
        NotSealedError: it is provisional.
        LedgerError: what the proof needs is damaged, or can't be read.
    """
    stored = await store.entry(prefix)
    if stored.height is None:
        raise NotSealedError(
            f"the entry {stored.entry.id[:16]} is not sealed yet, so nothing proves it",
            hint="it is sealed once a majority of the voters is there: buildnet pool health",
        )
    height = stored.height
    trust = Trust(log.genesis, log.entries, log.proof)

    def read(reader: Reader) -> tuple[list[Seal], list[bytes], Seal | None, list[bytes]]:
        last = reader.last_seal()
        return (
            reader.seals(height, max_count=1),
            _hashes_under(reader, height),
            last,
            _values_below(reader, last.height) if last is not None else [],
        )

    seals, hashes, last, values = await store.read(read)
    if not seals:
        raise LedgerDamagedError(
            f"the seal of height {height} is damaged on this node",
            hint="it is fetched again from a peer: buildnet ledger verify --repair",
        )

    def make() -> Proof:
        proof = prove_entry(trust, seals[0], hashes, stored.entry)
        if last is None or last.height <= height or len(values) != last.height - 1:
            return proof
        return prove_later(proof, last, values)

    return stored, await asyncio.to_thread(make)


def _hashes_under(reader: Reader, height: int) -> list[bytes]:
    found: list[bytes] = []
    for row in reader.connection.execute(
        f"SELECT {COLUMNS} FROM entries WHERE id>=? AND id<? ORDER BY id",
        (place_of(height, 0), place_of(height + 1, 0)),
    ):
        if is_pruned(row):
            found.append(row[-1])
            continue
        one = reader.read(row)
        if one is None:
            raise LedgerDamagedError(
                f"an entry under the seal of height {height} is damaged on this node",
                hint="it is fetched again from a peer; try again in a moment",
            )
        found.append(one.entry.hash)
    return found


def _values_below(reader: Reader, height: int) -> list[bytes]:
    return [
        seal_hash
        for (seal_hash,) in reader.connection.execute(
            "SELECT hash FROM seals WHERE height<? ORDER BY height", (height,)
        )
    ]
