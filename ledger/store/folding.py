"""Keeps the derived tables, and a digest of each, in step with the entries.

The digest is the sum of the hashes of a table's rows, modulo 2**256: a row can be exchanged without
reading the others, and whoever reads them all finds a row that was changed, lost or added.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from buildnet.ledger.accounts import Account, post
from buildnet.ledger.entry import Entry
from buildnet.ledger.facts import REVOKED, Fact, Void, is_fact, judge
from buildnet.ledger.postings import SHARED_KINDS, kind_of
from buildnet.ledger.store.deriving import (
    Put,
    changes_of,
    fact_changes,
    fact_stamp,
    is_shared,
    stamp_of,
)
from buildnet.ledger.store.schema import CHECKSUM_BYTES, PLACES_A_SEAL, row_hash
from buildnet.ledger.store.sealed_voters import VotersAt
from buildnet.ledger.store.tables import BY_NAME, GONE, TABLES, Table
from buildnet.ledger.store.vault import Vault

_MODULUS = 1 << 256
_MAX_HELD = 20_000
_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_Key = tuple[str, tuple[str, ...]]


@dataclass(slots=True)
class Row:
    """One row of a derived table, in plain text."""

    values: dict[str, object]
    gone: bool = False
    stamps: dict[str, str] = field(default_factory=dict)
    before: int = 0
    """The hash of the row as it is in the file; 0: it is not there."""


class Fold:
    """Applies entries to the derived tables; :meth:`flush` writes, within the transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        vault: Vault,
        damaged: Callable[[str], None],
        voters_at: VotersAt,
        keys_before: Callable[[bytes], Iterable[bytes]] = lambda _: (),
        *,
        is_empty: bool = False,
    ) -> None:
        """``voters_at``: whom the seal of a height names as voters; ``is_empty``: nothing is in the
        tables yet, so nothing is looked for there."""
        self._connection = connection
        self._vault = vault
        self._damaged = damaged
        self._voters_at = voters_at
        self._keys_of = keys_before
        self._is_empty = is_empty
        self._rows: dict[_Key, Row] = {}

    def apply(self, entry: Entry, place: int | None) -> Void | None:
        """Take an entry into account: members and shared facts when they are sealed, these in
        sealed order; any other when it is written. Its postings count with :meth:`post`.

        Returns a change of a shared fact that does not hold.
        """
        void = None
        if not is_fact(entry.body.type):
            if (
                place is not None
                and is_shared(entry.body.type)
                and not self._by_voter(entry, place)
            ):
                return None
            stamp = ""
            for put in changes_of(entry, place):
                stamp = stamp or stamp_of(entry)
                self._put(put, put.stamp or stamp)
        elif place is not None:
            void = self._apply_fact(entry, place)
        if len(self._rows) > _MAX_HELD:
            self.flush()
        return void

    def _apply_fact(self, entry: Entry, place: int) -> Void | None:
        row = self._look("facts", (entry.body.entity,))
        if row.stamps.get("fact", "") >= fact_stamp(entry, place):
            return None  # judged before
        before = fact_of(entry.body.entity, row.values) if row.values else None
        found = judge(before, entry, by_voter=self._by_voter(entry, place))
        if isinstance(found, Fact):
            for put in fact_changes(entry, before, found, place):
                self._put(put, put.stamp)
        return found if isinstance(found, Void) else None

    @classmethod
    def in_memory(
        cls,
        voters_at: VotersAt,
        keys_before: Callable[[bytes], Iterable[bytes]] = lambda _: (),
    ) -> Fold:
        """Return one of tables of its own, which are empty and never leave the memory."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        make_tables(connection)
        return cls(connection, Vault(), lambda _: None, voters_at, keys_before, is_empty=True)

    def post(self, entry: Entry, place: int) -> set[str]:
        """Post a sealed entry to the accounts, in sealed order, so that all nodes agree; return
        the names of those that it changed."""
        if not entry.body.postings:
            return set()
        shares = any(kind_of(one.account) in SHARED_KINDS for one in entry.body.postings)
        by_voter = shares and self._by_voter(entry, place)
        after = post(self, entry, by_voter=by_voter).accounts
        for name, account in after.items():
            self.set_account(name, account)
        return set(after)

    def account_values(self, name: str) -> dict[str, object]:
        """Return the columns of an account that is there."""
        return dict(self._row("accounts", (name,)).values)

    def stamps(self, table: str, key: tuple[str, ...]) -> Mapping[str, str]:
        """Return which entries a row rests on, by group of columns."""
        return self._look(table, key).stamps

    def set_account(self, name: str, account: Account) -> None:
        """Say what stands on an account."""
        self._row("accounts", (name,)).values.update(
            owner=account.owner.hex(),
            entry=account.entry.hex(),
            state=account.state,
            balances=json.dumps(dict(sorted(account.balances.items()))),
            term=account.term,
            closed_after=account.closed_after,
        )

    def account(self, name: str) -> Account | None:
        """Return what stands on an account; see :class:`buildnet.ledger.accounts.View`."""
        row = self._look("accounts", (name,))
        return account_of(row.values) if row.values else None

    def keys_before(self, origin: bytes) -> Iterable[bytes]:
        """Return the keys that were rotated to ``origin``."""
        return self._keys_of(origin)

    def _by_voter(self, entry: Entry, place: int) -> bool:
        """Tell whether a voter recorded a sealed entry, maybe under a key that it had before."""
        voters = self._voters_at(place // PLACES_A_SEAL)
        origin = entry.body.origin
        return origin in voters or any(origin in self._keys_of(voter) for voter in voters)

    def _put(self, put: Put, stamp: str) -> None:
        row = self._row(put.table, put.key)
        # Who only says that the row is gone sets no column: those may come later.
        if put.values and stamp >= row.stamps.get(put.group, ""):
            row.stamps[put.group] = stamp
            row.values.update(put.values)
        # Of all groups that say whether the row is there, the latest counts.
        if put.gone is not None and stamp >= row.stamps.get(GONE, ""):
            row.stamps[GONE] = stamp
            row.gone = put.gone

    def _look(self, table: str, key: tuple[str, ...]) -> Row:
        """Return a row to look at only."""
        row = self._rows.get((table, key))
        return row if row is not None else self._read(BY_NAME[table], key)

    def _row(self, table: str, key: tuple[str, ...]) -> Row:
        row = self._rows.get((table, key))
        if row is None:
            row = self._rows[(table, key)] = self._read(BY_NAME[table], key)
        return row

    def _read(self, table: Table, key: tuple[str, ...]) -> Row:
        if self._is_empty:
            return Row({})
        where = " AND ".join(f"{name}=?" for name in table.key)
        found = self._connection.execute(
            f"SELECT {table.stored} FROM {table.name} WHERE {where}", key
        ).fetchone()
        if found is None:
            return Row({})
        try:
            return row_of(table, found, self._vault)
        except ValueError:  # the digest will not fit either, until the table is built again
            self._damaged(table.name)
            return Row({}, before=int.from_bytes(row_hash(table.name, *found[:-1]), "big"))

    def flush(self) -> None:
        """Write what changed, and the digests."""
        if not self._rows:
            return
        self._is_empty = False
        written: dict[str, list[tuple[object, ...]]] = {}
        differences: dict[str, int] = {}
        for (name, key), row in self._rows.items():
            stored = _stored(BY_NAME[name], key, row, self._vault)
            after = row_hash(name, *stored)
            written.setdefault(name, []).append((*stored, after[:CHECKSUM_BYTES]))
            difference = int.from_bytes(after, "big") - row.before
            differences[name] = differences.get(name, 0) + difference
        self._rows.clear()
        for name, rows in written.items():
            self._connection.executemany(BY_NAME[name].put, rows)
            digest = read_digest(self._connection, name) + differences[name]
            self._connection.execute(
                "INSERT OR REPLACE INTO digests (name, body) VALUES (?, ?)",
                (name, (digest % _MODULUS).to_bytes(32)),
            )


def account_of(values: Mapping[str, object]) -> Account:
    """Return the account of a row."""
    closed = values["closed_after"]
    return Account(
        bytes.fromhex(str(values["owner"])),
        bytes.fromhex(str(values["entry"])),
        str(values["state"]),
        json.loads(str(values["balances"])),
        int(str(values["term"])),
        None if closed is None else int(str(closed)),
    )


def fact_of(entity: str, values: Mapping[str, object]) -> Fact:
    """Return the shared fact of a row.

    Raises:
        ValueError: it is none.
    """
    value, kind = values["value"], str(values["type"])
    return Fact(
        entity,
        int(str(values["version"])),
        None if value is None else str(value),
        bytes.fromhex(str(values["entry"])),
        is_revoked=kind == REVOKED,
    )


def row_of(table: Table, stored: tuple[object, ...], vault: Vault) -> Row:
    """Read a row as it is stored (:attr:`Table.stored`).

    Raises:
        ValueError: it is not what was written.
    """
    found = _checked(table, stored)
    values: dict[str, object] = dict(zip(table.fields, stored, strict=False))
    for name in table.private:
        text = values[name]
        values[name] = vault.open_text(text if isinstance(text, str) else None)
    gone, stamps = stored[-3], stored[-2]
    return Row(values, bool(gone), json.loads(str(stamps)), found)


def _checked(table: Table, stored: tuple[object, ...]) -> int:
    """Return the hash of a row as it is stored.

    Raises:
        ValueError: it is not what was written.
    """
    found = row_hash(table.name, *stored[:-1])
    if found[:CHECKSUM_BYTES] != stored[-1]:
        raise ValueError(f"a row of {table.name} is not what was written")
    return int.from_bytes(found, "big")


def _stored(table: Table, key: tuple[str, ...], row: Row, vault: Vault) -> tuple[object, ...]:
    values: list[object] = list(key)
    for name in table.columns:
        value = row.values.get(name)
        if name in table.private and isinstance(value, str):
            value = vault.close_text(value)
        values.append(value)
    stamps = _encoder.encode(row.stamps)
    return (*values, int(row.gone), stamps)


def read_digest(connection: sqlite3.Connection, name: str) -> int:
    """Return the digest of a table as it is kept."""
    found = connection.execute("SELECT body FROM digests WHERE name=?", (name,)).fetchone()
    return int.from_bytes(found[0], "big") if found else 0


def stored_rows(connection: sqlite3.Connection, table: Table) -> Iterator[tuple[object, ...]]:
    """Iterate over a table's rows as they are stored."""
    return iter(connection.execute(f"SELECT {table.stored} FROM {table.name}"))


def wrong_rows(connection: sqlite3.Connection, table: Table) -> list[str]:
    """Return what is wrong with a derived table: rows that are not what was written, or that its
    digest does not fit."""
    wrong: list[str] = []
    total = 0
    for stored in stored_rows(connection, table):
        try:
            total += _checked(table, stored)
        except ValueError:
            key = "/".join(str(value) for value in stored[: len(table.key)])
            wrong.append(f"{table.name}: the row {key:.80} is not what was written")
    if not wrong and total % _MODULUS != read_digest(connection, table.name):
        wrong.append(f"{table.name}: its rows and their digest do not fit")
    return wrong


def make_tables(connection: sqlite3.Connection) -> None:
    """Make derived tables and digests in an empty database."""
    connection.execute("CREATE TABLE digests (name TEXT PRIMARY KEY, body BLOB)")
    for table in TABLES:
        connection.execute(table.ddl)


def empty_all(connection: sqlite3.Connection) -> None:
    """Delete all rows of all derived tables, and their digests."""
    for table in TABLES:
        connection.execute(f"DELETE FROM {table.name}")
    connection.execute("DELETE FROM digests")
