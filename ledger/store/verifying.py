"""Checks everything that the file holds, on one state of it and in bounded memory.

Structure and indexes (SQLite's own check), what has checksums, and the derived tables: each row,
and whether the entries give the same tables again. Entries are read once, in the order of the file:
sealed ones with the seals over them, which is the order of each chain, too; then provisional ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from buildnet.ledger.chain import BEGINNING, UNKNOWN, Tip, objection
from buildnet.ledger.entry import Chain, Entry, hash_of
from buildnet.ledger.events import Damaged
from buildnet.ledger.store import schema, sealing
from buildnet.ledger.store.beside import Beside
from buildnet.ledger.store.database import connect, read_setting
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerError
from buildnet.ledger.store.folding import Fold, make_tables, read_digest, wrong_rows
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import (
    COLUMNS,
    StoredRow,
    is_pruned,
    mark_of,
    place_of,
    sealed_place,
    short_of,
)
from buildnet.ledger.store.schema import PENDING, PLACES_A_SEAL
from buildnet.ledger.store.seal_course import SealCourse, Under, read_seals
from buildnet.ledger.store.sealed_voters import voters_in
from buildnet.ledger.store.tables import TABLES
from buildnet.ledger.store.vault import Vault
from buildnet.ledger.voters import VoterHistory
from buildnet.mesh import cbor
from buildnet.mesh.wire import WireError

SLICE = 500
MAX_PROBLEMS = 1000
_NEEDED = ("boot", "cluster", "vault")
_CHECKED = {
    "superseded": "hash, height, record",
    "quarantines": "chain, sequence, one, other",
    "aside": "chain, sequence, short, signed",
    "drafts": "request, kept_ms, body",
    "carried": "account, body",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: a table or index, a chain and sequence, or a seal's height."""

    where: str
    what: str


@dataclass(slots=True)
class Progress:
    """How far a check is: counts of what was checked. ``total``: the entries that there are."""

    entries: int = 0
    total: int = 0
    seals: int = 0
    problems: int = 0


@dataclass(slots=True)
class Report:
    """What a check found. ``damaged``: what has to be fetched from peers; ``wrong_tables``: the
    derived tables that have to be built again; ``structure``: SQLite's own check failed."""

    entries_checked: int = 0
    pruned: int = 0
    """Of these, those of which only the hash is here: that is what was checked."""
    seals_checked: int = 0
    errors: list[Problem] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)
    wrong_tables: set[str] = field(default_factory=set)
    structure: bool = False

    @property
    def verified(self) -> bool:
        """Whether everything is as it was written."""
        return not self.errors

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON of the report."""
        return {
            "verified": self.verified,
            "entries_checked": self.entries_checked,
            "pruned": self.pruned,
            "seals_checked": self.seals_checked,
            "errors": [{"where": one.where, "what": one.what} for one in self.errors],
        }


@dataclass(frozen=True, slots=True)
class Trust:
    """What a check relies on. ``voters``: the sets of voters that the member list brought; None:
    not known, then a seal's own voters are believed. ``replay``: build the derived tables again
    beside, and compare."""

    verify: Callable[[bytes, bytes, bytes], bool]
    voters: VoterHistory | None = None
    keys_before: Callable[[bytes], Iterable[bytes]] = lambda _: ()
    replay: bool = True


class _Read(NamedTuple):
    """A row, its entry if the row is what was written (None, too, if only its hash was kept), and
    what is wrong with it."""

    row: StoredRow
    entry: Entry | None
    wrong: str | None = None


class Verification:
    """One check of one file; :meth:`steps` does it bit by bit."""

    def __init__(self, path: Path, cluster: bytes, vault: Vault, trust: Trust) -> None:
        self._path = path
        self._cluster = cluster
        self._vault = vault
        self._trust = trust
        self._total = 0
        self._chains: dict[int, Chain | None] = {}
        self._tips: dict[int, Tip] = {}
        """By the numbers of chains."""
        self._bounds: dict[int | None, int] = {}
        """From where on chains are quarantined."""
        self.report = Report()

    def steps(self) -> Iterator[Progress]:
        """Check; yields after each slice, so that whoever drives it may wait or stop."""
        connection = connect(self._path, read_only=True)
        scratch = _scratch()
        beside = Beside()
        try:
            connection.execute("BEGIN")
            reader = Reader(connection, self._path, self._vault, lambda _: None)
            keys_before = self._trust.keys_before
            voters_at = voters_in(connection)
            fold = Fold(scratch, self._vault, lambda _: None, voters_at, keys_before, is_empty=True)
            for part in (
                self._structure(reader),
                self._rows_with_checksums(reader),
                self._sealed(reader, fold, beside),
                self._provisional(reader, fold, beside),
                self._derived(reader, fold, scratch),
            ):
                try:
                    yield from part
                except (sqlite3.DatabaseError, ValueError, TypeError) as error:
                    # A value of another kind, or none, where the schema allows only one.
                    self._structural(str(error))
                yield self._progress()
        finally:
            beside.close()
            connection.close()
            scratch.close()

    def run(self) -> Report:
        """Check everything."""
        for _ in self.steps():
            pass
        return self.report

    def _progress(self) -> Progress:
        report = self.report
        return Progress(
            report.entries_checked, self._total, report.seals_checked, len(report.errors)
        )

    def wrong(self, where: str, what: str) -> None:
        """Tell a problem."""
        problem = Problem(where, what)
        if len(self.report.errors) < MAX_PROBLEMS and problem not in self.report.errors:
            self.report.errors.append(problem)

    def _structural(self, what: str) -> None:
        self.report.structure = True
        self.wrong("file", what)

    def lost(self, chain: Chain, first: int, last: int, what: str) -> None:
        """Tell entries that have to be fetched again."""
        origin, incarnation = chain.origin.hex()[:16], chain.incarnation.hex()
        entries = f"entry {first}" if first == last else f"entries {first} to {last}"
        self.wrong(f"chain {origin}/{incarnation}, {entries}", what)
        damage = Damaged(chain, first, last)
        if len(self.report.damaged) < MAX_PROBLEMS and damage not in self.report.damaged:
            self.report.damaged.append(damage)

    # --- the file ------------------------------------------------------------------------------

    def _structure(self, reader: Reader) -> Iterator[Progress]:
        connection = reader.connection
        (self._total,) = connection.execute("SELECT count(*) FROM entries").fetchone()
        yield self._progress()
        wrong = schema.objection(connection)
        if wrong is not None:
            self._structural(wrong)
        for (told,) in connection.execute(f"PRAGMA integrity_check({MAX_PROBLEMS})"):
            if told != "ok":
                self._structural(str(told))
        yield self._progress()

    def _rows_with_checksums(self, reader: Reader) -> Iterator[Progress]:
        connection = reader.connection
        names: set[str] = set()
        for name, body, mark in connection.execute("SELECT name, body, checksum FROM settings"):
            names.add(name)
            if schema.checksum("settings", name, body) != mark:
                self.wrong(f"settings, {name!r:.80}", "is not what was written")
        for name in _NEEDED:
            if name not in names:
                self.wrong(f"settings, {name}", "is missing")
        for table, columns in _CHECKED.items():
            for *values, mark in connection.execute(f"SELECT {columns}, checksum FROM {table}"):
                if schema.checksum(table, *values) != mark:
                    self.wrong(f"{table}, {values[0]!r:.80}", "is not what was written")
        for number, name in connection.execute("SELECT number, name FROM chains"):
            if not isinstance(name, bytes) or len(name) != 40:
                self.wrong(f"chains, {number}", "is not what was written")
        yield self._progress()

    # --- an entry ------------------------------------------------------------------------------

    def _read(self, reader: Reader, row: StoredRow) -> _Read:
        if is_pruned(row):
            if short_of(row[-1]) != row[5] or mark_of(row[0], row[5], row[-1]) != row[-2]:
                return _Read(row, None, "its hash is not what was written")
            return _Read(row, None)
        try:
            return _Read(row, reader.rows.to_entry(row).entry)
        except LedgerDamagedError as error:
            return _Read(row, None, error.cause or error.message)
        except TypeError as error:
            return _Read(row, None, str(error))

    def _is_signed(self, read: _Read) -> bool:
        return read.entry is None or read.entry.is_signed(self._trust.verify)

    def _entry(self, reader: Reader, fold: Fold, read: _Read, signed: bool, books: bool) -> None:
        """Check one entry as the next one of its chain, and take it into account. ``books``: its
        postings count."""
        self.report.entries_checked += 1
        row, entry = read.row, read.entry
        self.report.pruned += is_pruned(row)
        number, sequence = row[1:3]
        chain = self._chain(reader, number)
        if chain is None:
            self.wrong(f"chains, {number}", "is missing")
            return
        if not isinstance(sequence, int):
            self._structural(f"an entry of chain {number} has no sequence")
            return
        tip = self._tips.get(number, BEGINNING)
        if read.wrong is not None:
            self.lost(chain, sequence, sequence, read.wrong)
            if sequence == tip.sequence + 1:  # else it may be the number that is damaged
                self._tips[number] = Tip(sequence, UNKNOWN, tip.hlc)
            return
        if sequence > tip.sequence + 1:
            self.lost(chain, tip.sequence + 1, sequence - 1, "missing")
            tip = Tip(sequence - 1, UNKNOWN, tip.hlc)
        if entry is None:
            self._tips[number] = Tip(sequence, row[-1], row[3])
            return
        wrong = objection(self._cluster, chain, tip, entry)
        if wrong is None and not signed:
            wrong = "not signed by its origin"
        if wrong is not None:
            self.lost(chain, sequence, sequence, wrong)
            self._tips[number] = Tip(max(sequence, tip.sequence), UNKNOWN, tip.hlc)
            return
        self._tips[number] = Tip.of(entry)
        if not self._trust.replay:
            return
        place, bound = sealed_place(row[0]), self._bounds.get(number)
        if place is not None or bound is None or sequence < bound:
            fold.apply(entry, place)
        if books and entry.body.postings and place is not None:
            fold.post(entry, place)

    def _chain(self, reader: Reader, number: int) -> Chain | None:
        chain = self._chains.get(number)
        if chain is None:
            chain = self._chains[number] = reader.names.chain_of(number)
        return chain

    def _provisional(self, reader: Reader, fold: Fold, beside: Beside) -> Iterator[Progress]:
        keys = reader.connection.execute(
            f"SELECT id FROM entries WHERE id>={PENDING} ORDER BY +chain, +sequence"
        ).fetchall()

        def read() -> Iterator[list[_Read]]:
            for at in range(0, len(keys), SLICE):
                yield [self._read(reader, self._row(reader, key)) for key in keys[at : at + SLICE]]

        for some in beside.judged(read(), self._is_signed):
            for one, signed in some:
                self._entry(reader, fold, one, signed, books=False)
            yield self._progress()

    def _row(self, reader: Reader, key: tuple[int]) -> StoredRow:
        row: StoredRow = reader.connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE id=?", key
        ).fetchone()
        return row

    def _quarantines(self, reader: Reader) -> list[Any]:
        try:
            return sealing.read_quarantines(reader)
        except LedgerError:  # told with the checksums
            return []

    # --- entries and seals, in the order of the file -------------------------------------------

    def _sealed(self, reader: Reader, fold: Fold, beside: Beside) -> Iterator[Progress]:
        connection, trust = reader.connection, self._trust
        self._bounds = {
            reader.names.chain(one.chain): one.sequence for one in self._quarantines(reader)
        }
        books_from = self._begin_books(reader, fold)
        seals = read_seals(connection, beside, trust.verify)
        course = SealCourse(seals, self._cluster, trust.voters, reader.names, self)
        rows = connection.execute(f"SELECT {COLUMNS} FROM entries WHERE id<{PENDING} ORDER BY id")

        def read() -> Iterator[list[_Read]]:
            while some := rows.fetchmany(SLICE):
                yield [self._read(reader, row) for row in some]

        for some in beside.judged(read(), self._is_signed):
            for one, signed in some:
                key, chain, sequence, hlc = one.row[:4]
                under = Under(key, chain, sequence, hlc, self._hash(one))
                course.put(key // PLACES_A_SEAL, under)
                self._entry(reader, fold, one, signed, books=key >= books_from)
            self.report.seals_checked = course.checked
            yield self._progress()
        course.finish()
        self.report.seals_checked = course.checked
        try:
            if sealing.read_history(reader) != course.history and not self.report.errors:
                self.wrong("settings, history", "is not of these seals")
        except (LedgerError, WireError):
            self.wrong("settings, history", "is not what was written")

    def _hash(self, read: _Read) -> bytes:
        """Return the hash of what is there, whether it is right or not."""
        if read.entry is not None:
            return read.entry.hash
        if is_pruned(read.row):
            return read.row[-1]
        try:
            return hash_of(self._vault.open(read.row[-1]))
        except (LedgerDamagedError, TypeError):
            return bytes(32)

    def _begin_books(self, reader: Reader, fold: Fold) -> int:
        try:
            for name, account in sealing.carried(
                reader.connection, self._path, self._vault
            ).items():
                fold.set_account(name, account)
            body = read_setting(reader.connection, self._path, sealing.PRUNED)
        except LedgerError:  # told with the checksums
            return 0
        return 0 if body is None else place_of(cbor.decode(body) + 1, 0)

    # --- derived tables ------------------------------------------------------------------------

    def _derived(
        self, reader: Reader, fold: Fold, scratch: sqlite3.Connection
    ) -> Iterator[Progress]:
        fold.flush()
        # While a node prunes, its tables follow at the end.
        is_compared = not self.report.errors and not sealing.is_behind(reader.connection)
        for table in TABLES:
            wrong = wrong_rows(reader.connection, table)
            if not wrong and self._trust.replay and is_compared:
                kept, made = (read_digest(one, table.name) for one in (reader.connection, scratch))
                if kept != made:
                    wrong = [f"{table.name}: the entries give another table"]
            for one in wrong:
                self.report.wrong_tables.add(table.name)
                self.wrong(*one.split(": ", 1))
            yield self._progress()
        known = {table.name for table in TABLES}
        for (name,) in reader.connection.execute("SELECT name FROM digests"):
            if name not in known:
                self.report.wrong_tables.update(known)
                self.wrong("digests", f"{name!r:.80} is no table")


def _scratch() -> sqlite3.Connection:
    """Return an empty database in a temporary file, which SQLite removes."""
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA cache_size=-16384")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA journal_mode=OFF")
    make_tables(connection)
    return connection
