"""Reads entries and seals, and serves only what proves itself.

All of it runs in the one thread that owns the reading connection. What fails is left out and told
to ``report``, so that it is fetched again from peers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Damaged
from buildnet.ledger.frontier import Head
from buildnet.ledger.seal import Seal
from buildnet.ledger.store.errors import (
    LedgerDamagedError,
    PrunedError,
    damaged,
    errors_of,
)
from buildnet.ledger.store.folding import row_of
from buildnet.ledger.store.rows import (
    COLUMNS,
    Names,
    Rows,
    StoredEntry,
    StoredRow,
    is_pruned,
)
from buildnet.ledger.store.schema import LATE, PENDING
from buildnet.ledger.store.tables import BY_NAME
from buildnet.ledger.store.vault import Vault
from buildnet.mesh.errors import NotFoundError
from buildnet.mesh.wire import MAX_COUNTER, WireError

MIN_PREFIX = 4
RETIRED = "chain.retired"
MEMBER = "member."


class Reader:
    """The reading side of a store."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        vault: Vault,
        report: Callable[[Damaged], None],
        keys_before: Callable[[bytes], Iterable[bytes]] = lambda _: (),
    ) -> None:
        """``report`` is told what is damaged; ``keys_before``: the keys that the member list
        rotated to a key."""
        self.connection = connection
        self.path = path
        self.vault = vault
        self.names = Names(connection)
        self.rows = Rows(self.names, vault)
        self.report = report
        self.keys_before = keys_before

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read everything within from one state of the file.

        Raises:
            LedgerError: the file can't be read.
        """
        with errors_of(self.path):
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("COMMIT")

    def read(self, row: StoredRow) -> StoredEntry | None:
        """Return the entry of a row; None, and told: it is damaged. None: it is pruned."""
        if is_pruned(row):
            return None
        try:
            return self.rows.to_entry(row)
        except LedgerDamagedError:
            self.tell(row)
            return None

    def tell(self, row: StoredRow) -> None:
        """Report a row that is damaged."""
        chain, sequence = self.names.chain_of(row[1]), row[2]
        if chain is not None and isinstance(sequence, int) and sequence >= 1:
            self.report(Damaged(chain, sequence, sequence))

    # --- entries -------------------------------------------------------------------------------

    def entry(self, prefix: str) -> StoredEntry:
        """Return the entry whose id is or begins with ``prefix`` (hexadecimal, 4 digits at least).

        Raises:
            NotFoundError: none or several do.
            LedgerDamagedError: it is not what was written; it will be fetched again.
            PrunedError: only its hash was kept.
        """
        try:
            bytes.fromhex(prefix + "0" * (len(prefix) & 1))
            if not MIN_PREFIX <= len(prefix) <= 64:
                raise ValueError("too short or too long")
        except ValueError as error:
            raise NotFoundError(
                f"{prefix!r:.80} is no entry's id",
                hint=f"{MIN_PREFIX} hexadecimal digits at least; buildnet ledger list shows them",
            ) from error
        digits = prefix.lower()[:16]
        low, high = (
            int.from_bytes(bytes.fromhex(digits.ljust(16, fill)), "big", signed=True)
            for fill in "0f"
        )
        found: list[StoredRow] = []
        for which in (f"id < {PENDING}", f"id >= {PENDING}"):  # each has an index
            found += self.connection.execute(
                f"SELECT {COLUMNS} FROM entries WHERE {which} AND short BETWEEN ? AND ? LIMIT 50",
                (low, high),
            )
        fitting: list[StoredEntry] = []
        for row in found:
            if is_pruned(row):
                if row[-1].hex().startswith(prefix.lower()):
                    raise PrunedError(
                        f"the entry {prefix:.16} was pruned; its hash was kept",
                        hint="a node or backup that keeps more may have it",
                    )
                continue
            try:
                one = self.rows.to_entry(row)
            except LedgerDamagedError as error:
                self.tell(row)
                raise LedgerDamagedError(
                    f"the entry {prefix:.16} is damaged on this node",
                    cause=error.message,
                    hint="it is fetched again from a peer; try again in a moment",
                ) from error
            if one.entry.id.startswith(prefix.lower()):
                fitting.append(one)
        if len(fitting) != 1:
            what = "several entries begin with" if fitting else "there is no entry"
            hint = "give more of its digits; " if fitting else ""
            raise NotFoundError(
                f"{what} {prefix!r}", hint=f"{hint}buildnet ledger list shows the ids"
            )
        return fitting[0]

    def at(self, chain: Chain, sequence: int) -> StoredEntry | None:
        """Return a chain's entry; None: it is not there, damaged or pruned."""
        row = self.row_at(chain, sequence)
        return None if row is None else self.read(row)

    def row_at(self, chain: Chain, sequence: int) -> StoredRow | None:
        """Return the row of a chain's entry as it is there; None: it is not."""
        row: StoredRow | None = self.connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE chain=? AND sequence=?",
            (self.names.chain(chain), sequence),
        ).fetchone()
        return row

    def range(
        self, chain: Chain, first: int, last: int, *, max_count: int, max_bytes: int
    ) -> list[Entry]:
        """Return a chain's entries from ``first`` on without a gap: up to ``last``, so many, so
        many signed bytes (but one at least), or the first that is missing, damaged or pruned."""
        found: list[Entry] = []
        size = 0
        for row in self.connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE chain=? AND sequence BETWEEN ? AND ? "
            "ORDER BY sequence LIMIT ?",
            (self.names.chain(chain), first, last, max_count),
        ):
            stored = self.read(row)
            if stored is None or stored.entry.body.sequence != first + len(found):
                break
            size += len(stored.entry.signed)
            if found and size > max_bytes:
                break
            found.append(stored.entry)
        return found

    def heads(self) -> dict[Chain, tuple[Head, int]]:
        """Return the newest entry of each chain and its clock; what is damaged at the end of a
        chain is told and left out."""
        found: dict[Chain, tuple[Head, int]] = {}
        for number, name in self.connection.execute("SELECT number, name FROM chains").fetchall():
            if not isinstance(name, bytes) or len(name) != 40:
                raise damaged(self.path, "the name of a chain is not what was written")
            for row in self.connection.execute(
                f"SELECT {COLUMNS} FROM entries WHERE chain=? ORDER BY sequence DESC", (number,)
            ):
                head = self.head_of(row)
                if head is not None:
                    found[Chain(name[:32], name[32:])] = (head, row[3])
                    break
        return found

    def head_of(self, row: StoredRow) -> Head | None:
        """Return sequence and hash of a row; None, and told: it is damaged."""
        if is_pruned(row):
            return Head(row[2], row[-1])
        stored = self.read(row)
        return None if stored is None else Head(row[2], stored.entry.hash)

    def notices(self, *, sealed: bool) -> Iterator[Entry]:
        """Iterate over entries of types ``member.*`` and ``chain.retired``: sealed ones in their
        order, or the others."""
        numbers = [
            number
            for number, name in self.connection.execute("SELECT number, name FROM types")
            if isinstance(name, str) and (name == RETIRED or name.startswith(MEMBER))
        ]
        marks = ", ".join("?" * len(numbers))
        where = f"id<{PENDING}" if sealed else f"id>={PENDING}"
        for row in self.connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE type IN ({marks}) AND {where} ORDER BY id",
            numbers,
        ):
            stored = self.read(row)
            if stored is not None:
                yield stored.entry

    # --- seals ---------------------------------------------------------------------------------

    def seals(self, height: int, *, max_count: int = 64, max_bytes: int = 1 << 62) -> list[Seal]:
        """Return final seals from ``height`` on, so many, so many bytes (but one at least), up to
        the first that is damaged."""
        found: list[Seal] = []
        size = 0
        for at, seal_hash, record in self.connection.execute(
            "SELECT height, hash, record FROM seals WHERE height>=? ORDER BY height LIMIT ?",
            (height, max_count),
        ):
            seal = _seal(at, seal_hash, record)
            if seal is None or at != height + len(found):
                break
            size += len(record)
            if found and size > max_bytes:
                break
            found.append(seal)
        return found

    def last_seal(self) -> Seal | None:
        """Return the last final seal.

        Raises:
            LedgerDamagedError: it is not what was written.
        """
        row = self.connection.execute(
            "SELECT height, hash, record FROM seals ORDER BY height DESC LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        seal = _seal(*row)
        if seal is None:
            raise damaged(self.path, "the last seal is not what was written")
        return seal

    def height_at(self, hlc: int) -> int:
        """Return the height of the last seal at or before a clock; 0: there is none."""
        row = self.connection.execute(
            "SELECT height FROM seals WHERE hlc<=? ORDER BY hlc DESC LIMIT 1", (hlc,)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def last_height_with(self, hlc: int) -> int:
        """Return the height of the last seal that holds an entry at or before a clock; 0: none."""
        first, last = self.height_at(hlc), self.height_at(min(hlc + LATE, MAX_COUNTER))
        # Those within a second are looked at from the last one on; of later ones few are indexed.
        near = self.connection.execute(
            "SELECT height FROM seals WHERE height>? AND height<=? AND earliest<=? "
            "ORDER BY height DESC LIMIT 1",
            (first, last, hlc),
        ).fetchone()
        (late,) = self.connection.execute(
            "SELECT max(height) FROM seals INDEXED BY seals_late "
            f"WHERE hlc - earliest > {LATE} AND earliest<=?",
            (hlc,),
        ).fetchone()
        return max(first, 0 if near is None else int(near[0]), late or 0)

    # --- derived tables ------------------------------------------------------------------------

    def table(
        self, name: str, *, after: tuple[str, ...] | None = None, limit: int = 1000
    ) -> list[dict[str, object]]:
        """Return rows of a derived table by ascending key, those after a key; deleted ones not.

        Raises:
            NotFoundError: there is no such table.
            LedgerDamagedError: a row is not what was written; the table has to be built again.
        """
        table = BY_NAME.get(name)
        if table is None:
            raise NotFoundError(f"there is no table {name!r}", hint=", ".join(BY_NAME))
        key = ", ".join(table.key)
        where, arguments = "gone=0", list[object]()
        if after is not None:
            where += f" AND ({key}) > ({', '.join('?' * len(table.key))})"
            arguments += after
        found = self.connection.execute(
            f"SELECT {table.stored} FROM {name} WHERE {where} ORDER BY {key} LIMIT ?",
            (*arguments, limit),
        ).fetchall()
        try:
            return [row_of(table, row, self.vault).values for row in found]
        except ValueError as error:
            raise wrong_table(name, error) from error


def wrong_table(name: str, error: ValueError) -> LedgerDamagedError:
    """Return the error of a derived table with a row that is not what was written."""
    return LedgerDamagedError(
        f"the table {name} is not what was written",
        cause=str(error),
        hint="buildnet ledger verify --repair builds it again from the entries",
    )


def _seal(height: int, seal_hash: bytes, record: bytes) -> Seal | None:
    """Return a seal whose hash and height are right; None: it is damaged."""
    try:
        seal = Seal.decode(record)
    except (WireError, TypeError):
        return None
    return seal if (seal.height, seal.hash) == (height, seal_hash) else None


def require_height(last: Seal | None, height: int) -> None:
    """Check that a height is final here.

    Raises:
        NotFoundError: it is not.
    """
    newest = 0 if last is None else last.height
    if not 0 <= height <= newest:
        raise NotFoundError(
            f"the seal of height {height} is not on this node", hint=f"the last one is {newest}"
        )
