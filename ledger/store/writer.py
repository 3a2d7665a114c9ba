"""Writes entries: this node's own, and those of others.

All of it runs in the one thread that owns the writing connection, within a transaction that the
caller opens; see :mod:`~buildnet.ledger.store.batches`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildnet.ledger.entry import NO_ENTRY, Body, Chain, Entry, previous_of
from buildnet.ledger.events import Stub
from buildnet.ledger.facts import is_fact
from buildnet.ledger.frontier import Head
from buildnet.ledger.store.deriving import is_shared
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerError, PrunedError, damaged
from buildnet.ledger.store.folding import Fold
from buildnet.ledger.store.rows import (
    COLUMNS,
    Names,
    Rows,
    StoredEntry,
    StoredRow,
    is_pruned,
    sealed_place,
    short_of,
)
from buildnet.ledger.store.schema import PENDING
from buildnet.ledger.store.sealed_voters import voters_in
from buildnet.ledger.store.vault import Vault

_INSERT = f"INSERT INTO entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_AT = f"SELECT {COLUMNS} FROM entries WHERE chain=? AND sequence=?"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next own entry goes: what its body has to say of chain and time."""

    cluster: bytes
    chain: Chain
    sequence: int
    previous: bytes
    hlc: int


MakeBody = Callable[[Place], Body]
"""Gives the body of an own entry, once its place is known."""
StateChange = Callable[[sqlite3.Connection], None]
"""Changes other tables of the file, in the transaction of the entries that tell of it."""


@dataclass(frozen=True, slots=True)
class Append:
    """Own entries to append. ``hlc``: a new timestamp of the node's clock."""

    bodies: tuple[MakeBody, ...]
    hlc: int
    change: StateChange | None = None


@dataclass(frozen=True, slots=True)
class _Own:
    """The newest entry of the own chain."""

    head: Head
    hlc: int


class Writer:
    """The writing side of a store."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        cluster: bytes,
        vault: Vault,
        keys_before: Callable[[bytes], Iterable[bytes]] = lambda _: (),
    ) -> None:
        self.connection = connection
        self.path = path
        self.cluster = cluster
        self.vault = vault
        self.names = Names(connection)
        self.rows = Rows(self.names, vault)
        self.wrong_tables: set[str] = set()
        """Derived tables in which damage was met: all are built again before the commit."""
        self.keys_before = keys_before
        self.fold = self._new_fold()
        self.quarantined: dict[Chain, int] = {}
        self.own: Chain | None = None
        """The chain that this node appends to."""
        self._newest: _Own | None = None
        self._free_key: int | None = None
        self._appended = 0
        """How many own entries were made; :attr:`_unwritten`: those that are no rows yet."""
        self._unwritten: list[Entry] = []

    def reopen(self, connection: sqlite3.Connection) -> None:
        """Go on with another connection."""
        self.connection = connection
        self.names = Names(connection)
        self.rows = Rows(self.names, self.vault)
        self.forget()

    def forget(self) -> None:
        """Forget what a transaction that failed may have left in memory."""
        self.names.forget()
        self.fold = self._new_fold()
        self._newest = None
        self._unwritten = []
        self.forget_keys()

    def forget_keys(self) -> None:
        """Entries were given other keys behind those in use."""
        self._free_key = None

    def _new_fold(self) -> Fold:
        return Fold(
            self.connection,
            self.vault,
            self.wrong_tables.add,
            voters_in(self.connection),
            self.keys_before,
        )

    # --- own entries ---------------------------------------------------------------------------

    def append_all(
        self, appends: Sequence[Append], sign: Callable[[bytes], bytes]
    ) -> list[tuple[Entry, ...]]:
        """Append own entries and make the state changes; return the entries of each.

        A request that was recorded before gives the entry that it was recorded as. Where all of
        an append's were, nothing is changed.

        Raises:
            LedgerError: no chain is open, or its head is damaged.
        """
        done: list[tuple[Entry, ...]] = []
        for append in appends:
            count = self._appended
            entries = tuple(self._append(make, append.hlc, sign) for make in append.bodies)
            if append.change is not None and (self._appended > count or not entries):
                self._write_unwritten()
                append.change(self.connection)
            done.append(entries)
        self._write_unwritten()
        return done

    def _append(self, make: MakeBody, hlc: int, sign: Callable[[bytes], bytes]) -> Entry:
        chain = self.own
        if chain is None:
            raise LedgerError("no chain is open to append to", hint="the node is still starting")
        newest = self._newest or self._read_newest(chain)
        place = Place(
            self.cluster,
            chain,
            newest.head.sequence + 1,
            newest.head.hash,
            max(hlc, newest.hlc + 1),
        )
        body = make(place)
        if body.request:
            self._write_unwritten()
            if (known := self.by_request(body.origin, body.request)) is not None:
                return known.entry
        entry = Entry.sign(body, sign)
        if body.sequence == 1:  # what a ledger that was restored needs; see the fence
            self.connection.execute("DELETE FROM settings WHERE name='restored'")
        self._newest = _Own(Head(body.sequence, entry.hash), body.hlc)
        self._unwritten.append(entry)
        self._appended += 1
        return entry

    def _write_unwritten(self) -> None:
        """Write own entries; many in one statement take half the time."""
        rows, key = self.rows, self._next_key
        entries, self._unwritten = self._unwritten, []
        self.connection.executemany(_INSERT, [rows.to_row(key(), entry) for entry in entries])
        for entry in entries:
            self.fold.apply(entry, None)

    def _read_newest(self, chain: Chain) -> _Own:
        number = self.names.chain(chain)
        row = self.connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE chain=? ORDER BY sequence DESC LIMIT 1",
            (number,),
        ).fetchone()
        if row is None:
            return _Own(Head(0, NO_ENTRY), 0)
        if is_pruned(row):
            return _Own(Head(row[2], row[-1]), row[3])
        entry = self.rows.to_entry(row).entry  # a chain never goes on from what is damaged
        return _Own(Head(entry.body.sequence, entry.hash), entry.body.hlc)

    def by_request(self, origin: bytes, request: bytes) -> StoredEntry | None:
        """Return the entry that a request was recorded as."""
        number = self.vault.number_of(b"request", origin + request)
        rows = self.connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE request=?", (number,)
        ).fetchall()
        for row in rows:
            if is_pruned(row):
                continue
            found = self.rows.to_entry(row)
            if (found.entry.body.origin, found.entry.body.request) == (origin, request):
                return found
        return None

    # --- entries of any origin -----------------------------------------------------------------

    def take_all(self, entries: Iterable[Entry], places: Mapping[tuple[Chain, int], int]) -> bool:
        """Write entries that arrived; see :meth:`take`. ``places``: of those that are sealed."""
        ends: dict[Chain, int] = {}
        fresh: list[tuple[int, Entry]] = []
        anew = False
        for entry in entries:
            at = (entry.chain, entry.body.sequence)
            end = ends.get(entry.chain)
            if end is None:
                end = ends[entry.chain] = self._end(entry.chain)
            key = places.get(at)
            if at[1] > end:
                fresh.append((key if key is not None else self._next_key(), entry))
            else:
                anew |= self.take(entry, key)
        self.connection.executemany(_INSERT, (self.rows.to_row(*one) for one in fresh))
        for _, entry in fresh:
            self._took(entry)
        return anew

    def take(self, entry: Entry, key: int | None) -> bool:
        """Write an entry that arrived. What is there already stays, unless it is damaged.

        ``key``: its sealed place, if a seal came with it. True: the derived tables have to be
        built again, since postings and shared facts count in their order only.
        """
        row = self.at(entry.chain, entry.body.sequence)
        if row is None:
            self.insert(entry, key if key is not None else self._next_key())
            self._took(entry)
            return False
        if is_pruned(row):
            return False
        try:
            self.rows.to_entry(row)
        except LedgerDamagedError:
            if self.fits(entry, row):
                return self._rewrite(entry, row[0])
        return False

    def take_stub(self, stub: Stub) -> None:
        """Write what is left of an entry that peers have pruned. What is there already stays."""
        if self.at(stub.chain, stub.sequence) is None:
            self.connection.execute(_INSERT, self.rows.to_stub(self._next_key(), stub))

    def at(self, chain: Chain, sequence: int) -> StoredRow | None:
        """Return the row of a chain's entry."""
        number = self.names.chain(chain)
        row: StoredRow | None = self.connection.execute(_AT, (number, sequence)).fetchone()
        return row

    def insert(self, entry: Entry, key: int) -> None:
        """Write an entry at a place that is free."""
        self.connection.execute(_INSERT, self.rows.to_row(key, entry))

    def _end(self, chain: Chain) -> int:
        """Return the greatest sequence of a chain that is there."""
        (end,) = self.connection.execute(
            "SELECT max(sequence) FROM entries WHERE chain=?", (self.names.chain(chain),)
        ).fetchone()
        return int(end or 0)

    def _took(self, entry: Entry) -> None:
        if not is_shared(entry.body.type):  # those count when they are sealed
            self._apply(entry, None)

    def _apply(self, entry: Entry, place: int | None) -> None:
        bound = self.quarantined.get(entry.chain)
        if place is not None or bound is None or entry.body.sequence < bound:
            self.fold.apply(entry, place)

    def _rewrite(self, entry: Entry, key: int) -> bool:
        self.connection.execute("DELETE FROM entries WHERE id=?", (key,))
        self.insert(entry, key)
        place = sealed_place(key)
        self._apply(entry, place)  # where it counted already, nothing changes
        return place is not None and (bool(entry.body.postings) or is_fact(entry.body.type))

    def fits(self, entry: Entry, row: StoredRow) -> bool:
        """Tell whether an entry is the one that a damaged row held: its hash is the row's, or what
        the next entry names. One flipped bit leaves one of the two."""
        if row[5] == short_of(entry.hash):
            return True
        following = self.at(entry.chain, entry.body.sequence + 1)
        if following is not None and not is_pruned(following):
            try:
                return previous_of(self.vault.open(following[-1])) == entry.hash
            except LedgerDamagedError:
                return False
        return self.vault.close(entry.signed) == row[-1]

    def _next_key(self) -> int:
        """Return a key for a provisional entry; keys grow as entries arrive."""
        key = self._free_key
        if key is None:
            (newest,) = self.connection.execute("SELECT max(id) FROM entries").fetchone()
            key = max(PENDING, (newest or 0) + 1)
        self._free_key = key + 1
        return key

    def require(self, chain: Chain, sequence: int) -> StoredEntry:
        """Return an entry that must be there.

        Raises:
            LedgerError: it is not, or damaged, or pruned.
        """
        row = self.at(chain, sequence)
        if row is None:
            raise damaged(self.path, f"entry {sequence} of a chain is missing")
        if is_pruned(row):
            raise PrunedError("only the hash of this entry was kept")
        return self.rows.to_entry(row)
