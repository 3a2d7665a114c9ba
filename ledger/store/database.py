"""The connections to the ledger's file, and the small facts that it keeps about itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from buildnet.ledger.store import schema
from buildnet.ledger.store.errors import LedgerError, damaged, errors_of
from buildnet.ledger.store.vault import Vault, VaultError

CACHE_KIB = 24 * 1024
"""What SQLite keeps in memory for each connection."""
CHECKPOINT_PAGES = 1000
"""So long the write-ahead log is, when a commit moves it to its place. The writing connection alone
does that: SQLite before 3.51.3 may lose commits where another one does (the "WAL-reset bug", see
https://sqlite.org/wal.html)."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection, to be used from one thread at a time.

    Raises:
        LedgerError: the file can't be opened.
    """
    with errors_of(path):
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=5.0, cached_statements=256
        )
        try:
            connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            connection.execute("PRAGMA temp_store=MEMORY")
            connection.execute("PRAGMA cell_size_check=ON")
            connection.execute("PRAGMA trusted_schema=OFF")
            if read_only:
                connection.execute("PRAGMA query_only=ON")
                return connection
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            connection.execute("PRAGMA journal_size_limit=67108864")
        except BaseException:
            connection.close()
            raise
    return connection


def prepare(
    path: Path, cluster: bytes, vault: Vault, *, page_bytes: int = 4096
) -> sqlite3.Connection:
    """Open the file for writing; make its tables if it is new.

    Raises:
        LedgerError: it is damaged, of a newer version, of another cluster or key, or can't be
            written; it is left as it is.
    """
    with errors_of(path):
        fresh = not path.exists() or path.stat().st_size == 0
        if fresh:
            blank = sqlite3.connect(path, isolation_level=None)
            blank.execute(f"PRAGMA page_size={page_bytes}")
            blank.execute("PRAGMA journal_mode=WAL")
            blank.close()
            path.chmod(0o600)
        connection = connect(path)
        try:
            _check(connection, path, cluster, vault)
        except BaseException:
            connection.close()
            raise
    return connection


def _check(connection: sqlite3.Connection, path: Path, cluster: bytes, vault: Vault) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if version == 0 and mark == 0 and tables == 0:
        connection.execute("BEGIN IMMEDIATE")
        try:
            schema.create(connection)
            write_setting(connection, "cluster", cluster)
            write_setting(connection, "vault", vault.mark)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return
    if mark != schema.APPLICATION_ID:
        raise damaged(path, "its header is not a ledger's")
    if version > schema.SCHEMA_VERSION:
        raise LedgerError(
            f"{path} was written by a newer BuildNet (schema {version})",
            hint="update BuildNet; or move the file away, and the node fetches the ledger anew",
        )
    if (refusal := schema.refusal(connection)) is not None or version < 1:
        raise damaged(path, refusal or "its version is none")
    if read_setting(connection, path, "cluster") != cluster:
        raise LedgerError(
            f"{path} is the ledger of another cluster",
            hint="move it away, or start the node in the cluster that it belongs to",
        )
    if read_setting(connection, path, "vault") != vault.mark:
        raise VaultError(
            f"{path} was written with another key, or with none"
            if vault.key is not None
            else f"{path} is encrypted, and no key is given",
            hint="name the key file that it was written with in node.yaml: as "
            "ledger.encryption.key_file, or as former_key_file to have it written anew",
        )


def read_setting(connection: sqlite3.Connection, path: Path, name: str) -> bytes | None:
    """Return a small fact; None: it was never written.

    Raises:
        LedgerDamagedError: it is not what was written.
    """
    found = connection.execute(
        "SELECT body, checksum FROM settings WHERE name=?", (name,)
    ).fetchone()
    if found is None:
        return None
    body, checksum = found
    if not isinstance(body, bytes) or schema.checksum("settings", name, body) != checksum:
        raise damaged(path, f"the checksum of {name!r} is wrong")
    return body


def write_setting(connection: sqlite3.Connection, name: str, body: bytes) -> None:
    """Keep a small fact, in the transaction that is open."""
    connection.execute(
        "INSERT OR REPLACE INTO settings (name, body, checksum) VALUES (?, ?, ?)",
        (name, body, schema.checksum("settings", name, body)),
    )
