"""Shared facts as the derived table holds them, deleted ones included."""

from __future__ import annotations

from buildnet.ledger.facts import Fact
from buildnet.ledger.store.errors import damaged
from buildnet.ledger.store.folding import fact_of, row_of
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.tables import BY_NAME


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
