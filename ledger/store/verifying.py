"""Checks everything that the file holds, on one state of it and in bounded memory.

Structure and indexes (SQLite's own check), chains and signatures, seals with their roots, frontiers
and cosignatures, what has checksums, and the derived tables: each row, and whether the entries give
the same tables again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from buildnet.ledger.chain import BEGINNING, UNKNOWN, Tip, objection
from buildnet.ledger.entry import Chain, hash_of
from buildnet.ledger.events import Damaged
from buildnet.ledger.frontier import Frontier
from buildnet.ledger.merkle import CompactRange, root_of
from buildnet.ledger.seal import Seal
from buildnet.ledger.store import schema, sealing
from buildnet.ledger.store.database import connect, read_setting
from buildnet.ledger.store.deriving import is_fact
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
    """How far a check is: counts of what was checked."""

    entries: int = 0
    seals: int = 0
    problems: int = 0


@dataclass(slots=True)
class Report:
    """What a check found. ``damaged``: what has to be fetched from peers; ``wrong_tables``: the
    derived tables that have to be built again; ``structure``: SQLite's own check failed."""

    entries_checked: int = 0
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


class Verification:
    """One check of one file; :meth:`steps` does it bit by bit."""

    def __init__(self, path: Path, cluster: bytes, vault: Vault, trust: Trust) -> None:
        self._path = path
        self._cluster = cluster
        self._vault = vault
        self._trust = trust
        self.report = Report()

    def steps(self) -> Iterator[Progress]:
        """Check; yields after each slice, so that whoever drives it may wait or stop."""
        connection = connect(self._path, read_only=True)
        scratch = _scratch()
        try:
            connection.execute("BEGIN")
            reader = Reader(connection, self._path, self._vault, lambda _: None)
            keys_before = self._trust.keys_before
            fold = Fold(scratch, self._vault, lambda _: None, keys_before, is_empty=True)
            for part in (
                self._structure(reader),
                self._rows_with_checksums(reader),
                self._chains(reader, fold),
                self._seals(reader, fold),
                self._derived(reader, fold, scratch),
            ):
                try:
                    yield from part
                except (sqlite3.DatabaseError, ValueError, TypeError) as error:
                    # A value of another kind, or none, where the schema allows only one.
                    self._structural(str(error))
                yield self._progress()
        finally:
            connection.close()
            scratch.close()

    def run(self) -> Report:
        """Check everything."""
        for _ in self.steps():
            pass
        return self.report

    def _progress(self) -> Progress:
        report = self.report
        return Progress(report.entries_checked, report.seals_checked, len(report.errors))

    def _wrong(self, where: str, what: str) -> None:
        problem = Problem(where, what)
        if len(self.report.errors) < MAX_PROBLEMS and problem not in self.report.errors:
            self.report.errors.append(problem)

    def _structural(self, what: str) -> None:
        self.report.structure = True
        self._wrong("file", what)

    def _lost(self, chain: Chain, first: int, last: int, what: str) -> None:
        origin, incarnation = chain.origin.hex()[:16], chain.incarnation.hex()
        entries = f"entry {first}" if first == last else f"entries {first} to {last}"
        self._wrong(f"chain {origin}/{incarnation}, {entries}", what)
        damage = Damaged(chain, first, last)
        if len(self.report.damaged) < MAX_PROBLEMS and damage not in self.report.damaged:
            self.report.damaged.append(damage)

    # --- the file ------------------------------------------------------------------------------

    def _structure(self, reader: Reader) -> Iterator[Progress]:
        connection = reader.connection
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
                self._wrong(f"settings, {name!r:.80}", "is not what was written")
        for name in _NEEDED:
            if name not in names:
                self._wrong(f"settings, {name}", "is missing")
        for table, columns in _CHECKED.items():
            for *values, mark in connection.execute(f"SELECT {columns}, checksum FROM {table}"):
                if schema.checksum(table, *values) != mark:
                    self._wrong(f"{table}, {values[0]!r:.80}", "is not what was written")
        for number, name in connection.execute("SELECT number, name FROM chains"):
            if not isinstance(name, bytes) or len(name) != 40:
                self._wrong(f"chains, {number}", "is not what was written")
        yield self._progress()

    # --- chains --------------------------------------------------------------------------------

    def _chains(self, reader: Reader, fold: Fold) -> Iterator[Progress]:
        connection = reader.connection
        bounds = {one.chain: one.sequence for one in self._quarantines(reader)}
        numbers = [number for (number,) in connection.execute("SELECT DISTINCT chain FROM entries")]
        for number in numbers:
            chain = reader.names.chain_of(number)
            if chain is None:
                self._wrong(f"chains, {number}", "is missing")
                continue
            tip, after = BEGINNING, 0
            while rows := connection.execute(
                f"SELECT {COLUMNS} FROM entries WHERE chain=? AND sequence>? "
                f"ORDER BY sequence LIMIT {SLICE}",
                (number, after),
            ).fetchall():
                after = rows[-1][2]
                for row in rows:
                    tip = self._entry(reader, fold, chain, tip, row, bounds.get(chain))
                yield self._progress()

    def _entry(
        self, reader: Reader, fold: Fold, chain: Chain, tip: Tip, row: StoredRow, bound: int | None
    ) -> Tip:
        self.report.entries_checked += 1
        sequence = row[2]
        if sequence > tip.sequence + 1:
            self._lost(chain, tip.sequence + 1, sequence - 1, "missing")
            tip = Tip(sequence - 1, UNKNOWN, tip.hlc)
        if is_pruned(row):
            if short_of(row[-1]) != row[5] or mark_of(row[0], row[5], row[-1]) != row[-2]:
                self._lost(chain, sequence, sequence, "its hash is not what was written")
            return Tip(sequence, row[-1], row[3])
        try:
            entry = reader.rows.to_entry(row).entry
        except LedgerDamagedError as error:
            self._lost(chain, sequence, sequence, error.cause or error.message)
            return Tip(sequence, UNKNOWN, tip.hlc)
        wrong = objection(self._cluster, chain, tip, entry)
        if wrong is None and not entry.is_signed(self._trust.verify):
            wrong = "not signed by its origin"
        if wrong is not None:
            self._lost(chain, sequence, sequence, wrong)
            return Tip(sequence, UNKNOWN, tip.hlc)
        place = sealed_place(row[0])
        # Shared facts count in sealed order, so with their seals.
        counts = self._trust.replay and not is_fact(entry.body.type)
        if counts and (place is not None or bound is None or sequence < bound):
            fold.apply(entry, place)
        return Tip.of(entry)

    def _quarantines(self, reader: Reader) -> list[Any]:
        try:
            return sealing.read_quarantines(reader)
        except LedgerError:  # told with the checksums
            return []

    # --- seals ---------------------------------------------------------------------------------

    def _seals(self, reader: Reader, fold: Fold) -> Iterator[Progress]:
        frontier, history = Frontier(), CompactRange()
        before: Seal | None = None
        books_from = self._begin_books(reader, fold)
        after = 0
        while rows := reader.connection.execute(
            "SELECT height, hlc, earliest, hash, record FROM seals WHERE height>? "
            f"ORDER BY height LIMIT {SLICE}",
            (after,),
        ).fetchall():
            for height, hlc, earliest, seal_hash, record in rows:
                self.report.seals_checked += 1
                seal = self._read_seal(height, hlc, seal_hash, record)
                if height != after + 1:
                    self._wrong(f"seal {after + 1}", "missing")
                after = height
                if seal is None:
                    before = None
                    continue
                whole = before is not None or height == 1
                if whole:
                    self._follows(seal, before, history)
                frontier = self._advanced(reader, seal, frontier, whole)
                history = history.appended(seal.hash)
                self._under(reader, fold, seal, earliest, place_of(height, 0) >= books_from)
                before = seal
            yield self._progress()
        (count,) = reader.connection.execute(
            f"SELECT count(*) FROM entries WHERE id<{PENDING} AND id>=?", (place_of(after + 1, 0),)
        ).fetchone()
        if count:
            self._wrong(f"seal {after + 1}", f"missing, but {count} entries are under it or later")
        try:
            if sealing.read_history(reader) != history and not self.report.errors:
                self._wrong("settings, history", "is not of these seals")
        except (LedgerError, WireError):
            self._wrong("settings, history", "is not what was written")

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

    def _read_seal(self, height: int, hlc: int, seal_hash: bytes, record: bytes) -> Seal | None:
        where = f"seal {height}"
        try:
            seal = Seal.decode(record)
        except (WireError, TypeError):
            self._wrong(where, "is no seal")
            return None
        if (seal.height, seal.value.hlc, seal.hash) != (height, hlc, seal_hash):
            self._wrong(where, "is not what was written")
            return None
        if seal.value.cluster != self._cluster:
            self._wrong(where, "is of another cluster")
        if not seal.is_final(self._trust.verify):
            self._wrong(where, "is not cosigned by a majority of its voters")
        return seal

    def _follows(self, seal: Seal, before: Seal | None, history: CompactRange) -> None:
        value, where = seal.value, f"seal {seal.height}"
        if value.previous != (self._cluster if before is None else before.hash):
            self._wrong(where, "does not follow the one before")
        if value.history != history.root:
            self._wrong(where, "names another history")
        if before is not None and value.hlc <= before.value.hlc:
            self._wrong(where, "its clock went back")
        if self._trust.voters is not None:
            wrong = self._trust.voters.objection(
                None if before is None else before.value.members,
                version=value.members,
                epoch=value.epoch,
                voters=value.voters,
            )
            if wrong is not None:
                self._wrong(where, wrong)

    def _advanced(self, reader: Reader, seal: Seal, frontier: Frontier, whole: bool) -> Frontier:
        try:
            after = frontier.advanced(seal.value.advances)
        except ValueError as error:
            self._wrong(f"seal {seal.height}", str(error))
            return frontier
        if whole and after.digest() != seal.value.frontier:
            self._wrong(f"seal {seal.height}", "names another frontier")
        for advance in seal.value.advances:
            low, high = frontier.sequence(advance.chain) + 1, advance.sequence
            (count,) = reader.connection.execute(
                "SELECT count(*) FROM entries WHERE chain=? AND sequence BETWEEN ? AND ? "
                "AND id BETWEEN ? AND ?",
                (
                    reader.names.chain(advance.chain),
                    low,
                    high,
                    place_of(seal.height, 0),
                    place_of(seal.height, PLACES_A_SEAL - 1),
                ),
            ).fetchone()
            if whole and count != high - low + 1:
                self._lost(advance.chain, low, high, f"not all under their seal {seal.height}")
        return after

    def _under(self, reader: Reader, fold: Fold, seal: Seal, earliest: int, counts: bool) -> None:
        where = f"seal {seal.height}"
        hashes: list[bytes] = []
        least = seal.value.hlc
        for row in reader.connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE id BETWEEN ? AND ? ORDER BY id",
            (place_of(seal.height, 0), place_of(seal.height, PLACES_A_SEAL - 1)),
        ):
            least = min(least, row[3]) if isinstance(row[3], int) else least
            if row[0] != place_of(seal.height, len(hashes)):
                self._wrong(where, f"nothing is at index {len(hashes)}")
            if is_pruned(row):
                hashes.append(row[-1])
                continue
            try:
                signed = self._vault.open(row[-1])
                hashes.append(hash_of(signed))
                posts = counts and not signed.endswith(sealing.NO_POSTINGS)
                if self._trust.replay and (posts or is_fact(reader.names.type_of(row[4]) or "")):
                    entry = reader.rows.to_entry(row).entry
                    if is_fact(entry.body.type):
                        fold.apply(entry, row[0])
                    if posts:
                        fold.post(entry)
            except (LedgerDamagedError, TypeError):  # told with its chain
                hashes.append(bytes(32))
        if len(hashes) != seal.value.count or root_of(hashes) != seal.value.root:
            self._wrong(where, "its entries are not those that were sealed")
        if least != earliest:
            self._wrong(where, "is not what was written")

    # --- derived tables ------------------------------------------------------------------------

    def _derived(
        self, reader: Reader, fold: Fold, scratch: sqlite3.Connection
    ) -> Iterator[Progress]:
        fold.flush()
        entries_are_right = not self.report.errors
        for table in TABLES:
            wrong = wrong_rows(reader.connection, table)
            if not wrong and self._trust.replay and entries_are_right:
                kept, made = (read_digest(one, table.name) for one in (reader.connection, scratch))
                if kept != made:
                    wrong = [f"{table.name}: the entries give another table"]
            for one in wrong:
                self.report.wrong_tables.add(table.name)
                self._wrong(*one.split(": ", 1))
            yield self._progress()
        known = {table.name for table in TABLES}
        for (name,) in reader.connection.execute("SELECT name FROM digests"):
            if name not in known:
                self.report.wrong_tables.update(known)
                self._wrong("digests", f"{name!r:.80} is no table")


def _scratch() -> sqlite3.Connection:
    """Return an empty database in a temporary file, which SQLite removes."""
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA cache_size=-16384")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA journal_mode=OFF")
    make_tables(connection)
    return connection
