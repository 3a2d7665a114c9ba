"""Makes a file that an older version wrote, from which derived tables were dropped, or in which
pruning was broken off, one of this version.

Entries, seals and what a voter promised stay as they are. Indexes and derived tables follow from
them and are made anew, in one transaction: a start that is interrupted begins with it again.
"""

from __future__ import annotations

import logging

from buildnet.ledger.store import schema, sealing
from buildnet.ledger.store.errors import errors_of
from buildnet.ledger.store.writer import Writer

_log = logging.getLogger("buildnet.ledger")


def upgrade(writer: Writer) -> None:
    """Bring a file up to date; if it is, do nothing.

    Raises:
        LedgerError: it can't be written; it is left as it is.
    """
    connection, version = writer.connection, schema.version_of(writer.connection)
    is_ours = version == schema.SCHEMA_VERSION and schema.objection(connection) is None
    if is_ours and not sealing.is_behind(connection):
        return
    name = writer.path.name
    if is_ours:
        _log.info("pruning of %s was broken off: making its tables from its entries", name)
    else:
        _log.info(
            "%s has indexes or tables of another form (version %d): making those of version %d "
            "from its entries",
            name,
            version,
            schema.SCHEMA_VERSION,
        )
    with errors_of(writer.path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            schema.bring_up_to_date(connection)
            count = sealing.rebuild(writer)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    _log.info("%s is up to date: %d entries read", name, count)
