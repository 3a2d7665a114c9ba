"""Writes the ledger's file anew under another key: to switch encryption on or off, or change keys.

A new file is made beside, and takes the place of the old one when it is whole and on disk; if that
is broken off, the next start begins again. The old one's bytes are free then, and overwritten
whenever the volume's file system does so: who needs them gone at once has to see to the volume.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from buildnet.ledger.store import schema, sealing
from buildnet.ledger.store.backup import cluster_of
from buildnet.ledger.store.database import connect, read_setting, write_setting
from buildnet.ledger.store.disk import begin_private, sync
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerError, damaged, errors_of
from buildnet.ledger.store.rows import COLUMNS, Rows, StoredRow, is_pruned
from buildnet.ledger.store.schema import checksum
from buildnet.ledger.store.vault import Vault
from buildnet.ledger.store.writer import Writer

_SLICE = 1000
# Of each table: its key, all its columns as they are checked, and those that are encrypted.
_CLOSED: Sequence[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = (
    ("quarantines", "chain", ("chain", "sequence", "one", "other"), ("one", "other")),
    ("drafts", "request", ("request", "kept_ms", "body"), ("body",)),
    ("carried", "account", ("account", "body"), ("body",)),
)
_log = logging.getLogger("buildnet.ledger")


def rekey_if_needed(
    path: Path,
    vault: Vault,
    former: Iterable[Vault],
    keys_before: Callable[[bytes], Iterable[bytes]] = lambda _: (),
) -> bool:
    """Write the file anew under ``vault`` if it is written under one of ``former``; tell whether it
    was. A file under another key is left to who opens it, to refuse.

    Raises:
        LedgerError: an entry is damaged, or there is no room; the file is as it was.
    """
    if not path.exists() or path.stat().st_size == 0:
        return False
    with errors_of(path):
        connection = connect(path)
        try:
            if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
                return False
            mark = read_setting(connection, path, "vault")
        finally:
            connection.close()
    if mark is None or mark == vault.mark:
        return False
    found = next((one for one in former if one.mark == mark), None)
    if found is None:
        return False
    _log.info("%s is written anew: %s", path.name, _what(found, vault))
    _rekey(path, found, vault, keys_before)
    _log.info("%s was written anew", path.name)
    return True


def _what(former: Vault, vault: Vault) -> str:
    if vault.key is None:
        return "without encryption"
    return "encrypted" if former.key is None else "encrypted with another key"


def _rekey(
    path: Path, former: Vault, vault: Vault, keys_before: Callable[[bytes], Iterable[bytes]]
) -> None:
    cluster = cluster_of(path)
    fresh = path.with_name(path.name + ".rekeying")
    try:
        begin_private(fresh)
        with errors_of(path):
            old = connect(path)
            try:
                old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                old.execute("VACUUM INTO ?", (str(fresh),))
            finally:
                old.close()
        with errors_of(fresh):
            connection = sqlite3.connect(fresh, isolation_level=None)
            try:
                _rewrite(connection, fresh, cluster, former, vault, keys_before)
            finally:
                connection.close()
        sync(fresh)
        for end in ("-wal", "-shm"):  # closed in order they are gone; else they are of the old file
            path.with_name(path.name + end).unlink(missing_ok=True)
        fresh.replace(path)
        sync(path.parent)
    except OSError as error:
        raise LedgerError(
            f"{path} can't be written anew",
            cause=error.strerror or str(error),
            hint="it takes as much room again as the file has; the file is as it was",
        ) from error
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            fresh.with_name(fresh.name + end).unlink(missing_ok=True)


def _rewrite(
    connection: sqlite3.Connection,
    path: Path,
    cluster: bytes,
    former: Vault,
    vault: Vault,
    keys_before: Callable[[bytes], Iterable[bytes]],
) -> None:
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("BEGIN IMMEDIATE")
    if schema.objection(connection) is not None:  # of an older version
        schema.bring_up_to_date(connection)
    writer = Writer(connection, path, cluster, vault, keys_before)
    _entries(writer, Rows(writer.names, former))
    for table in _CLOSED:
        _closed(connection, path, former, vault, *table)
    _aside(connection, former, vault)
    write_setting(connection, "vault", vault.mark)
    sealing.begin(writer)
    sealing.rebuild(writer)
    connection.execute("COMMIT")
    connection.execute("VACUUM")  # what was replaced is in no free page


def _entries(writer: Writer, former: Rows) -> None:
    connection, after = writer.connection, -1
    columns = [name.strip() for name in COLUMNS.split(",")]
    change = f"UPDATE entries SET {', '.join(f'{name}=?' for name in columns[1:])} WHERE id=?"
    while rows := connection.execute(
        f"SELECT {COLUMNS} FROM entries WHERE id>? ORDER BY id LIMIT {_SLICE}", (after,)
    ).fetchall():
        after = rows[-1][0]
        fresh = [_row(writer.rows, former, row) for row in rows]
        connection.executemany(change, [(*row[1:], row[0]) for row in fresh])


def _row(rows: Rows, former: Rows, row: StoredRow) -> StoredRow:
    if is_pruned(row):
        # What it was about is not known any more, and must not be guessed without the key.
        return (*row[:6], 0, None, None, None, None, *row[11:])
    try:
        return rows.to_row(row[0], former.to_entry(row).entry)
    except LedgerDamagedError as error:
        raise LedgerDamagedError(
            f"entry {row[2]} of a chain is damaged; the file stays as it is",
            cause=error.cause or error.message,
            hint="start the node without the change of ledger.encryption in node.yaml, "
            "buildnet ledger verify --repair, and change it again",
        ) from error


def _closed(
    connection: sqlite3.Connection,
    path: Path,
    former: Vault,
    vault: Vault,
    table: str,
    key: str,
    columns: tuple[str, ...],
    private: tuple[str, ...],
) -> None:
    said = ", ".join(columns)
    for *values, mark in connection.execute(f"SELECT {said}, checksum FROM {table}").fetchall():
        if checksum(table, *values) != mark:
            raise damaged(path, f"a row of {table} is not what was written")
        found = dict(zip(columns, values, strict=True))
        old_key = found[key]
        for name in private:
            found[name] = vault.close(former.open(found[name]))
        fresh = tuple(found[name] for name in columns)
        connection.execute(
            f"UPDATE {table} SET {', '.join(f'{name}=?' for name in columns)}, checksum=? "
            f"WHERE {key}=?",
            (*fresh, checksum(table, *fresh), old_key),
        )


def _aside(connection: sqlite3.Connection, former: Vault, vault: Vault) -> None:
    for chain, sequence, short, signed in connection.execute(
        "SELECT chain, sequence, short, signed FROM aside"
    ).fetchall():
        values = (chain, sequence, short, vault.close(former.open(signed)))
        connection.execute(
            "UPDATE aside SET signed=?, checksum=? WHERE chain=? AND sequence=? AND short=?",
            (values[3], checksum("aside", *values), chain, sequence, short),
        )
