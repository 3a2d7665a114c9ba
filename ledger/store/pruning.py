"""Forgets what old entries say and keeps their hashes, so that what is left still verifies: seals
have the same roots, chains the same links.

Kept whole are shared facts, the openings and ends of chains, every entry that moves quantities (who
comes later has to count them, too), and every entry that a derived table still rests on. Rows of
what is over (builds, allocations, benchmarks, sessions) go with their last entry. The accounts as
they stood are kept beside, so the books go on from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.store.database import read_setting, write_setting
from buildnet.ledger.store.deriving import changes_of, is_shared, stamp_of
from buildnet.ledger.store.errors import LedgerError
from buildnet.ledger.store.folding import Fold
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import (
    COLUMNS,
    HASH_BYTES,
    is_pruned,
    mark_of,
    place_of,
    short_of,
)
from buildnet.ledger.store.schema import PENDING, checksum
from buildnet.ledger.store.sealed_voters import voters_in
from buildnet.ledger.store.sealing import BEHIND, PRUNED, carried
from buildnet.ledger.store.tables import BY_NAME, GONE
from buildnet.ledger.store.writer import Writer
from buildnet.mesh import cbor

SLICE = 2000
"""Entries in one transaction, roughly."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one step did. ``height``: up to where all is pruned."""

    height: int
    forgotten: int


def pruned_to(store: Writer | Reader) -> int:
    """Return the height up to which entries were pruned; 0: none were."""
    body = read_setting(store.connection, store.path, PRUNED)
    return 0 if body is None else int(cbor.decode(body))


def prune_some(writer: Writer, height: int) -> Pruned:
    """Prune some more of what the seals up to ``height`` are over, in the transaction that is open.

    Raises:
        LedgerError: there is no such seal, or one of the entries is damaged.
    """
    connection = writer.connection
    row = connection.execute("SELECT hlc FROM seals WHERE height=?", (height,)).fetchone()
    if row is None:
        raise LedgerError(f"there is no seal of height {height} on this node")
    done = pruned_to(writer)
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM entries WHERE id>=? AND id<? ORDER BY id LIMIT {SLICE}",
        (place_of(done + 1, 0), place_of(height + 1, 0)),
    ).fetchall()
    upto = height
    if len(rows) == SLICE:  # whole seals only
        upto = max(done + 1, (rows[-1][0] >> 12) - 1)
        rows = connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE id>=? AND id<? ORDER BY id",
            (place_of(done + 1, 0), place_of(upto + 1, 0)),
        ).fetchall()
    books = _Books(writer)
    forgotten = 0
    for each in rows:
        if is_pruned(each):
            continue
        entry = writer.rows.to_entry(each).entry
        books.post(entry, each[0])
        if not _is_kept(writer.fold, entry, each[0], row[0]):
            connection.execute(
                "UPDATE entries SET signed=?, mark=?, request=NULL WHERE id=?",
                (entry.hash, mark_of(each[0], each[5], entry.hash), each[0]),
            )
            forgotten += 1
    books.keep()
    write_setting(connection, PRUNED, cbor.encode(upto))
    if forgotten:
        write_setting(connection, BEHIND, b"pruned")
    return Pruned(upto, forgotten)


def foresee_some(reader: Reader, *, height: int, after: int) -> tuple[int | None, int]:
    """Look at some of the entries that pruning up to a height would look at, those after a key; -1:
    the first ones. Return the key to go on after (None: that is all), and how many of them would be
    forgotten.

    Raises:
        LedgerError: one of them is damaged.
    """
    row = reader.connection.execute("SELECT hlc FROM seals WHERE height=?", (height,)).fetchone()
    if row is None:
        return None, 0
    voters_at = voters_in(reader.connection)
    fold = Fold(reader.connection, reader.vault, lambda _: None, voters_at)  # only looked at
    rows = reader.connection.execute(
        f"SELECT {COLUMNS} FROM entries WHERE id>? AND id<? ORDER BY id LIMIT {SLICE}",
        (max(after, place_of(pruned_to(reader) + 1, 0) - 1), place_of(height + 1, 0)),
    ).fetchall()
    forgotten = sum(
        not is_pruned(each)
        and not _is_kept(fold, reader.rows.to_entry(each).entry, each[0], row[0])
        for each in rows
    )
    return rows[-1][0] if len(rows) == SLICE else None, forgotten


def _is_kept(fold: Fold, entry: Entry, key: int, line: int) -> bool:
    if is_shared(entry.body.type) or entry.body.type.startswith("chain."):
        return True
    if any(posting.unit for posting in entry.body.postings):
        return True
    own = stamp_of(entry)
    for put in changes_of(entry, key):
        stamps = fold.stamps(put.table, put.key)
        if not BY_NAME[put.table].lasting:
            if any(int(one[:16], 16) > line for one in stamps.values()):
                return True
        elif (put.stamp or own) in (stamps.get(put.group), stamps.get(GONE)):
            return True
    return False


class _Books:
    """The accounts as they were after what is pruned."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._fold = Fold.in_memory(voters_in(writer.connection), writer.keys_before)
        self._names: set[str] = set()
        for name, account in carried(writer.connection, writer.path, writer.vault).items():
            self._fold.set_account(name, account)

    def post(self, entry: Entry, place: int) -> None:
        self._names |= self._fold.post(entry, place)

    def keep(self) -> None:
        for name in sorted(self._names):
            values = self._fold.account_values(name)
            body = self._writer.vault.close(json.dumps(values, sort_keys=True).encode())
            self._writer.connection.execute(
                "INSERT OR REPLACE INTO carried (account, body, checksum) VALUES (?, ?, ?)",
                (name, body, checksum("carried", name, body)),
            )


def stubs(reader: Reader) -> dict[Chain, frozenset[int]]:
    """Return of each chain the entries, not sealed here, of which only hash and clock are known:
    peers have pruned them."""
    found: dict[Chain, set[int]] = {}
    for number, sequence in reader.connection.execute(
        f"SELECT chain, sequence FROM entries WHERE id>={PENDING} AND length(signed)={HASH_BYTES}"
    ):
        chain = reader.names.chain_of(number)
        if chain is not None:
            found.setdefault(chain, set()).add(sequence)
    return {chain: frozenset(sequences) for chain, sequences in found.items()}


def pruned_range(
    reader: Reader, chain: Chain, first: int, last: int, *, max_count: int
) -> list[bytes]:
    """Return hash and clock (32 and 8 bytes) of a chain's entries from ``first`` on as far as they
    were pruned, without a gap; damaged ones end it."""
    found: list[bytes] = []
    for row in reader.connection.execute(
        f"SELECT {COLUMNS} FROM entries WHERE chain=? AND sequence BETWEEN ? AND ? "
        "ORDER BY sequence LIMIT ?",
        (reader.names.chain(chain), first, last, max_count),
    ):
        good = is_pruned(row) and mark_of(row[0], row[5], row[-1]) == row[-2]
        if not good or row[2] != first + len(found) or short_of(row[-1]) != row[5]:
            break
        found.append(row[-1] + row[3].to_bytes(8, "big"))
    return found
