"""What an entity was once a seal was final: what the sealed entries up to there say of it."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from buildnet.ledger.entry import Entry
from buildnet.ledger.facts import Void
from buildnet.ledger.store.deriving import NODES_BESIDE
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerError
from buildnet.ledger.store.folding import Fold, make_tables, row_of
from buildnet.ledger.store.reader import Reader, wrong_table
from buildnet.ledger.store.rows import COLUMNS, StoredEntry, StoredRow, is_pruned, place_of
from buildnet.ledger.store.schema import PENDING
from buildnet.ledger.store.sealed_voters import voters_in
from buildnet.ledger.store.tables import BY_NAME
from buildnet.ledger.store.vault import Vault

MAX_STATE = 100_000
"""Entries about one entity that its state is made from."""
_NODE = "node:"


@dataclass(frozen=True, slots=True)
class EntityState:
    """What an entity was at a height: ``data`` of the last entry about it, and what all of them
    say of it in the derived tables. ``entry`` None: nothing was sealed of it by then. ``void``: ids
    of changes that do not hold, since another one of the same version was sealed before.
    ``pruned``: how many entries about it say nothing any more on this node."""

    entity: str
    height: int
    entry: StoredEntry | None
    data: dict[str, Any] | None
    rows: dict[str, tuple[dict[str, object], ...]]
    void: tuple[str, ...] = ()
    pruned: int = 0


def state_of(reader: Reader, entity: str, height: int) -> EntityState:
    """Return what an entity was once the seal of ``height`` was final. Its accounts are those of
    the books at the last height, and earlier ones are what the entries about it posted.

    Raises:
        LedgerError: one of the entries is damaged, or they are too many to be read while others
            wait.
    """
    memory = _Memory(reader)
    last: StoredEntry | None = None
    void: list[str] = []
    pruned = 0
    for count, (row, is_about) in enumerate(_rows(reader, entity, height), 1):
        if count > MAX_STATE:
            raise LedgerError(
                f"more than {MAX_STATE} entries are about {entity}",
                hint="ask for an earlier height, or buildnet audit export --entity has them",
            )
        if is_pruned(row):
            pruned += is_about
            continue
        stored = reader.read(row)
        if stored is None:
            raise LedgerDamagedError(
                f"an entry about {entity} is damaged on this node",
                hint="it is fetched again from a peer; try again in a moment",
            )
        if stored.entry.body.entity != entity:
            if not is_about:
                memory.apply(stored.entry, row[0])
        elif memory.apply(stored.entry, row[0]) is None:
            last = stored
        else:
            void.append(stored.entry.id)
    data = None if last is None else last.entry.data
    tables = memory.tables(entity)
    newest = reader.last_seal()
    accounts = _accounts(reader, entity) if newest and newest.height == height else ()
    accounts = accounts or _of_entity(entity, tables.pop("accounts", ()))
    if accounts:
        tables["accounts"] = accounts
    return EntityState(entity, height, last, data, tables, tuple(void), pruned)


def _rows(reader: Reader, entity: str, height: int) -> Iterator[tuple[StoredRow, bool]]:
    """Iterate in sealed order over the entries about an entity (True), and over those about others
    that change its row, too."""
    connection, bound = reader.connection, place_of(height + 1, 0)
    number = reader.vault.number_of(b"entity", entity.encode())
    about = connection.execute(
        f"SELECT {COLUMNS} FROM entries WHERE entity=? AND id<? AND id<{PENDING} ORDER BY id",
        (number, bound),
    )
    parts = [((row, True) for row in about)]
    if entity.startswith(_NODE):
        marks = ", ".join("?" * len(NODES_BESIDE))
        beside = connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE type IN "
            f"(SELECT number FROM types WHERE name IN ({marks})) "
            f"AND entity IS NOT ? AND id<? AND id<{PENDING} ORDER BY id",
            (*NODES_BESIDE, number, bound),
        )
        parts.append((row, False) for row in beside)
    return heapq.merge(*parts, key=lambda one: one[0][0])


def _accounts(reader: Reader, entity: str) -> tuple[dict[str, object], ...]:
    """Return what stands on an entity's accounts now."""
    table = BY_NAME["accounts"]
    rows = reader.connection.execute(
        f"SELECT {table.stored} FROM accounts WHERE account=? OR account BETWEEN ? AND ? "
        "ORDER BY account",
        (entity, f"{entity}/", f"{entity}0"),  # "0" is what comes after "/"
    ).fetchall()
    try:
        return _of_entity(entity, (row_of(table, row, reader.vault).values for row in rows))
    except ValueError as error:
        raise wrong_table("accounts", error) from error


class _Memory:
    """Derived rows of a few entries, in memory."""

    def __init__(self, reader: Reader) -> None:
        self._connection = sqlite3.connect(":memory:")
        make_tables(self._connection)
        voters_at = voters_in(reader.connection)
        self._fold = Fold(self._connection, Vault(), lambda _: None, voters_at, reader.keys_before)

    def apply(self, entry: Entry, place: int) -> Void | None:
        """Take an entry into account; return a change that does not hold."""
        self._fold.post(entry, place)
        return self._fold.apply(entry, place)

    def tables(self, entity: str) -> dict[str, tuple[dict[str, object], ...]]:
        """Return the rows that are there, by table; of the nodes only that of the entity."""
        self._fold.flush()
        found: dict[str, tuple[dict[str, object], ...]] = {}
        for table in BY_NAME.values():
            stored = self._connection.execute(
                f"SELECT {table.stored} FROM {table.name} WHERE gone=0"
            ).fetchall()
            rows = tuple(row_of(table, row, Vault()).values for row in stored)
            if table.name == "nodes" and entity.startswith(_NODE):
                rows = tuple(row for row in rows if _NODE + str(row["id"]) == entity)
            if rows:
                found[table.name] = rows
        self._connection.close()
        return found


def _of_entity(entity: str, accounts: Iterable[dict[str, object]]) -> tuple[dict[str, object], ...]:
    """Return the rows of an entity's own accounts: the books of others need their entries, too."""
    return tuple(
        row
        for row in accounts
        if row["account"] == entity or str(row["account"]).startswith(f"{entity}/")
    )
