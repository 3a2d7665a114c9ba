"""The store's SQLite file: opening it, its schema, its transactions and its errors.

One connection, one lock. The file is an index over the blobs and can be made again from them, so
it runs in WAL mode with ``synchronous=NORMAL``: a power failure may lose the last transactions, a
killed process loses none that were committed, and neither tears one. The connection locks the file
for as long as it is open, because what a running build holds is known to one process only.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from buildnet.node.store.errors import StateError

T = TypeVar("T")
Row = tuple[Any, ...]

APPLICATION_ID = 0x424E4958  # "BNIX": tells our file from another program's
SCHEMA_VERSION = 1
LARGE_BYTES = 16 << 20
"""Blobs from this size on have an index of their own."""
SCHEMA = """
CREATE TABLE blobs (
    hash BLOB PRIMARY KEY, size_bytes INTEGER NOT NULL, used_at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX blobs_by_use ON blobs (used_at_ms);
CREATE TABLE actions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE, size_bytes INTEGER NOT NULL, isolation TEXT NOT NULL,
    worker BLOB NOT NULL, signature BLOB NOT NULL, created_at REAL NOT NULL,
    duration_ms INTEGER NOT NULL, label TEXT NOT NULL, used_at_ms INTEGER NOT NULL,
    blob_references BLOB NOT NULL, result BLOB NOT NULL, hits INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX actions_by_use ON actions (used_at_ms);
CREATE TABLE referrers (
    blob BLOB NOT NULL, action INTEGER NOT NULL, PRIMARY KEY (blob, action)
) WITHOUT ROWID;
CREATE TABLE runs (
    workspace TEXT NOT NULL, task TEXT NOT NULL, action BLOB NOT NULL,
    action_size_bytes INTEGER NOT NULL, outputs BLOB NOT NULL,
    outputs_size_bytes INTEGER NOT NULL, finished_at REAL NOT NULL,
    PRIMARY KEY (workspace, task)
) WITHOUT ROWID;
CREATE TABLE totals (
    blobs INTEGER NOT NULL, bytes INTEGER NOT NULL, hits INTEGER NOT NULL, misses INTEGER NOT NULL
);
CREATE TABLE workspaces (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE files (
    workspace INTEGER NOT NULL, path TEXT NOT NULL, entry BLOB NOT NULL,
    PRIMARY KEY (workspace, path)
) WITHOUT ROWID;
"""


class Database:
    """The open index file. Every use of the connection happens while :attr:`lock` is held."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._errors = _Errors(path)
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open the index at ``path``, or make it.

        Raises:
            StateError: the file is damaged, of a newer BuildNet, of another program, in use, or
                cannot be written. It is left as it is.
        """
        with _Errors(path):
            connection = sqlite3.connect(
                path, timeout=0.2, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(path, connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def close(self) -> None:
        """Close the connection; what was not committed is gone. Closing twice is harmless."""
        with self.lock, self._errors:
            self._connection.close()

    def shrink_log(self) -> None:
        """Move what the write-ahead log holds into the file, and give its room back."""
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def rows(self, statement: str, parameters: Iterable[Any] = ()) -> list[Row]:
        """Return all rows of a query."""
        with self.lock, self._errors:
            return self._connection.execute(statement, tuple(parameters)).fetchall()

    def row(self, statement: str, parameters: Iterable[Any] = ()) -> Row | None:
        """Return the first row of a query, or None."""
        with self.lock, self._errors:
            row: Row | None = self._connection.execute(statement, tuple(parameters)).fetchone()
            return row

    def write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``operation`` in one transaction: all of it is committed, or nothing of it.

        Raises:
            OSError: ``ENOSPC``, the volume is full. Nothing was changed; the operation can be
                tried again.
        """
        with self.lock, self._errors:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = operation(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite may have rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise
            return result


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Check what the file is, set the connection up, make the schema if there is none."""
    # First of all: without it SQLite would need a shared-memory file even to read, and on a full
    # volume there is no room for one.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    created = bool(application == version == objects == 0)
    if not created and application != APPLICATION_ID:
        raise _unusable(path, "it is a database of another program")
    if version > SCHEMA_VERSION:
        raise StateError(
            f"{path} was written by a newer BuildNet",
            cause=f"its schema is {version}, this program knows {SCHEMA_VERSION}",
            hint=f"start the newer BuildNet, or move {path} aside: the next start makes a new index"
            " and adopts the stored blobs",
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -8192")  # KiB: bounds memory, whatever the index holds
    connection.execute("PRAGMA journal_size_limit = 16777216")
    connection.execute("BEGIN IMMEDIATE")  # a second process learns at once that the file is in use
    if created:
        for statement in SCHEMA.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    columns = {row[1] for row in connection.execute("PRAGMA table_info(actions)")}
    if "hits" not in columns:  # of a BuildNet that did not count them
        connection.execute("ALTER TABLE actions ADD COLUMN hits INTEGER NOT NULL DEFAULT 0")
    connection.execute("CREATE INDEX IF NOT EXISTS actions_by_label ON actions (label)")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS made (workspace TEXT NOT NULL, task TEXT NOT NULL,"
        " files BLOB NOT NULL, PRIMARY KEY (workspace, task)) WITHOUT ROWID"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS learned (workspace TEXT NOT NULL, task TEXT NOT NULL,"
        " written_at_ms INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (workspace, task))"
        " WITHOUT ROWID"
    )
    connection.execute("CREATE INDEX IF NOT EXISTS learned_by_age ON learned (written_at_ms)")
    connection.execute("CREATE TABLE IF NOT EXISTS scrub (next INTEGER, damaged INTEGER, at REAL)")
    connection.execute(
        "CREATE INDEX IF NOT EXISTS blobs_large ON blobs (used_at_ms, hash, size_bytes)"
        f" WHERE size_bytes >= {LARGE_BYTES}"
    )
    connection.execute("COMMIT")


class _Errors:
    """Says SQLite's errors in the store's words. A class and no generator: it stands around every
    statement."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Other errors of SQLite are mistakes in this program, such as using a closed store.
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.ProgrammingError
        ):
            raise _in_words(error, self._path) from error


def _in_words(error: sqlite3.DatabaseError, path: Path) -> OSError | StateError:
    # The low byte is the primary result code, the rest refines it.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StateError(
            f"{path} is in use by another process",
            hint="stop the node that uses this data directory: buildnet node stop",
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StateError(
            f"{path} cannot be written",
            cause=str(error),
            hint=f"give this user the right to write in {path.parent}, or set BUILDNET_HOME",
        )
    if code == sqlite3.SQLITE_IOERR:
        return StateError(
            f"reading or writing {path} failed",
            cause=str(error),
            hint="look at the volume's health (system log) and quota; nothing was deleted",
        )
    return _unusable(path, str(error))


def _unusable(path: Path, cause: str) -> StateError:
    return StateError(
        f"the index of the store cannot be used: {path}",
        cause=cause,
        hint=f"move {path} aside (mv {path} {path}.damaged): the next start makes a new index and"
        " adopts the stored blobs; only the records of earlier results are lost",
    )
