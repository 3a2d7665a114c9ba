"""Shared facts as the derived table holds them, deleted ones included."""

from __future__ import annotations

import json

from buildnet.ledger.entry import as_data
from buildnet.ledger.facts import REVOKED, Fact
from buildnet.ledger.store.errors import damaged
from buildnet.ledger.store.folding import row_of
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
        found = row_of(table, row, reader.vault)
        data = json.loads(str(found.values["body"]))
        value = data.get("value")
        version, entry = (
            int(str(found.values["version"])),
            bytes.fromhex(str(found.values["entry"])),
        )
    except (ValueError, TypeError) as error:
        raise damaged(reader.path, f"the row of {entity} is not what was written") from error
    text = as_data(value) if isinstance(value, dict) and not found.gone else None
    return Fact(entity, version, text, entry, is_revoked=data.get("type") == REVOKED)
