"""Shared facts as the derived table holds them, deleted ones included."""

from __future__ import annotations

from dataclasses import dataclass

from buildnet.ledger.facts import Fact
from buildnet.ledger.store.errors import LedgerDamagedError, PrunedError, damaged
from buildnet.ledger.store.folding import fact_of, row_of
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.tables import BY_NAME
from buildnet.mesh.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class FactRecord:
    """A shared fact that is there, and what is known of its history: the ``height`` of the seal
    that it is under, who made and who last changed it, when (ms since 1970 UTC); None: not known
    any more, or of a kind of which that is not kept."""

    fact: Fact
    height: int
    created_ms: int | None
    created_by: str | None
    changed_ms: int | None
    changed_by: str | None


def read_fact(reader: Reader, entity: str) -> Fact | None:
    """Return a shared fact in its last sealed version; None: there never was one.

    Raises:
        LedgerDamagedError: its row is not what was written.
    """
    table = BY_NAME["facts"]
    row = reader.connection.execute(
        f"SELECT {table.stored} FROM facts WHERE entity=?", (entity,)
    ).fetchone()
    if row is None:
        return None
    try:
        return fact_of(entity, row_of(table, row, reader.vault).values)
    except (ValueError, UnicodeDecodeError) as error:
        raise damaged(reader.path, f"the row of {entity} is not what was written") from error


def read_records(reader: Reader, kind: str, name: str | None = None) -> list[FactRecord]:
    """Return the shared facts of a kind that are there, by name; or the one of that ``name``.

    Raises:
        LedgerDamagedError: a row is not what was written.
    """
    table = BY_NAME["facts"]
    if name is None:
        where, bounds = "entity > ? AND entity < ?", (f"{kind}:", f"{kind};")  # ";" follows ":"
    else:
        where, bounds = "entity = ? AND entity = ?", (f"{kind}:{name}",) * 2
    rows = reader.connection.execute(
        f"SELECT {table.stored} FROM facts WHERE {where} AND gone=0 ORDER BY entity", bounds
    ).fetchall()
    try:
        found = [row_of(table, row, reader.vault).values for row in rows]
        return [_record(reader, values) for values in found]
    except (ValueError, UnicodeDecodeError) as error:
        raise damaged(reader.path, f"a {kind} is not what was written") from error


def _record(reader: Reader, values: dict[str, object]) -> FactRecord:
    fact = fact_of(str(values["entity"]), values)
    table = BY_NAME["configurations"]
    row = reader.connection.execute(
        f"SELECT {table.stored} FROM configurations WHERE id=?", (fact.entity,)
    ).fetchone()
    made = {} if row is None else row_of(table, row, reader.vault).values
    created, changed, by = made.get("created_at"), made.get("updated_at"), made.get("created_by")
    return FactRecord(
        fact,
        int(str(values["height"])),
        created if isinstance(created, int) else None,
        None if by is None else str(by),
        changed if isinstance(changed, int) else None,
        _author(reader, fact.entry.hex()),
    )


def _author(reader: Reader, entry: str) -> str | None:
    try:
        return reader.entry(entry).entry.body.actor.id
    except (NotFoundError, LedgerDamagedError, PrunedError):
        return None
