"""Builds of other nodes as the ledger tells of them, in a file that is quick to search.

It holds nothing that the entries don't: whoever doubts it, or finds it damaged, makes it anew. A
build whose beginning is not among the entries is not listed. As in the record of the node's own
builds, what was asked for is kept once and a build has its number.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from buildnet.ledger.entry import Entry
from buildnet.ledger.history_cursor import read_cursor
from buildnet.ledger.history_filter import PART_OF_ID, Wanted
from buildnet.ledger.told_entries import Taking, Transaction
from buildnet.mesh.service.private_database import make_private

_VERSION = 3
UNKNOWN = "unknown"
"""The status of a build whose end is not told, and whose node is away."""
_TABLES = (
    "CREATE TABLE read (cluster BLOB NOT NULL, cursor TEXT)",
    "CREATE TABLE nodes (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE)",
    """CREATE TABLE askings (
    number INTEGER PRIMARY KEY,
    workspace TEXT NOT NULL,
    triggered_by TEXT NOT NULL,
    request TEXT NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (workspace, triggered_by, request)
)""",
    """CREATE TABLE builds (
    id TEXT PRIMARY KEY,
    starter INTEGER,
    begun_proven INTEGER NOT NULL DEFAULT 0,
    driver INTEGER NOT NULL,
    driver_proven INTEGER NOT NULL DEFAULT 0,
    term INTEGER NOT NULL,
    asking INTEGER,
    status TEXT NOT NULL,
    started_at REAL,
    ended_term INTEGER,
    completed_at REAL,
    duration_ms REAL,
    error TEXT
)""",
    # Whatever is looked for, no build's row is read but those that are shown.
    "CREATE INDEX builds_started ON builds(started_at DESC, id DESC, asking, driver, status)",
    "CREATE INDEX builds_status ON builds(status, asking, driver, id)",
)


@dataclass(frozen=True, slots=True)
class ToldBuild:
    """One build. ``driver``: the key of the node that drives it, or drove it last; ``left_out``:
    how many packages were asked for besides ``packages``; times are unix seconds, by the clock of
    the ledger; None: that is not known, or not yet."""

    id: str
    driver: bytes
    workspace: str
    triggered_by: str
    task: str
    packages: tuple[str, ...]
    left_out: int
    configuration: str | None
    status: str
    started_at: float
    completed_at: float | None
    duration_ms: float | None
    error: str | None


class ToldBuilds:
    """The file at ``path``: of one cluster at a time. Its methods block."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self.version = 0
        """Counts up with what changes."""

    def open(self) -> None:
        """Open the file, or make it; one that is damaged or of another version is made anew.

        Raises:
            sqlite3.Error: that can't be.
            OSError: that can't be.
        """
        with self._lock:
            try:
                self._connection = self._opened()
            except sqlite3.DatabaseError:
                self._drop()
                self._connection = self._opened()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        make_private(self._path)
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")  # a lost end is read again
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"of another version: {version}")
            if version == 0:
                connection.execute("BEGIN IMMEDIATE")
                for statement in (*_TABLES, f"PRAGMA user_version={_VERSION}", "COMMIT"):
                    connection.execute(statement)
            elif connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("quick_check found damage")
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _rows(self, statement: str, parameters: Iterable[Any] = ()) -> list[Any]:
        with self._lock:
            if self._connection is None:
                return []
            return self._connection.execute(statement, tuple(parameters)).fetchall()

    # --- what the ledger tells -----------------------------------------------------------------

    def begin(self, cluster: bytes) -> str | None:
        """Be of ``cluster`` from now on; return the cursor up to which its entries were taken in,
        None: none were. What is of another cluster is forgotten."""
        found = self._rows("SELECT cluster, cursor FROM read")
        if found and found[0][0] == cluster:
            return None if found[0][1] is None else str(found[0][1])
        with self._lock, closing(self._transaction()) as connection:
            for table in ("builds", "askings", "nodes", "read"):
                connection.execute(f"DELETE FROM {table}")
            connection.execute("INSERT INTO read (cluster) VALUES (?)", (cluster,))
            connection.execute("COMMIT")
            self.version += 1
        return None

    def take(
        self,
        entries: Iterable[Entry],
        cursor: str,
        *,
        is_own: Callable[[bytes], bool],
        is_proven: Callable[[Entry], bool],
        recorded: Collection[str],
    ) -> None:
        """Take in the next entries of builds, up to ``cursor``. ``is_own``: whether a key is or was
        this node's, whose builds are in its record; so are the ``recorded`` ones of these.
        ``is_proven``: whether who wrote an entry proves that it began a build, or took it over."""
        with self._lock, closing(self._transaction()) as connection:
            taking = Taking(connection, is_own, is_proven, recorded)
            for entry in entries:
                taking.take(entry)
            connection.execute("UPDATE read SET cursor=?", (cursor,))
            connection.execute("COMMIT")
            self.version += taking.changes

    def _transaction(self) -> Transaction:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the file is not open")
        return Transaction(self._connection)

    # --- what is asked -------------------------------------------------------------------------

    def drivers(self) -> dict[bytes, int]:
        """Return the keys of the nodes that drive or drove builds, with their numbers here."""
        return {bytes(key): number for number, key in self._rows("SELECT number, key FROM nodes")}

    def drove(self, prefix: str) -> tuple[str, tuple[bytes, ...]] | None:
        """Return the build whose id is or uniquely begins with ``prefix``: its id, and the keys of
        who began it and who drives it, or drove it last. None: no build or several answer to it."""
        rows = self._rows(
            "SELECT id, began.key, drives.key FROM builds "
            "JOIN nodes AS began ON began.number = starter "
            "JOIN nodes AS drives ON drives.number = driver "
            "WHERE substr(id, 1, ?) = ? LIMIT 2",
            (len(prefix), prefix),
        )
        if len(rows) != 1 or not prefix:
            return None
        ((build, *keys),) = rows
        return build, tuple(dict.fromkeys(map(bytes, keys)))

    def running(self) -> list[str]:
        """Return the ids of the builds whose end is not told."""
        return [row[0] for row in self._rows("SELECT id FROM builds WHERE status='running'")]

    def forget(self, builds: Iterable[str]) -> None:
        """List some builds no more: this node has them on record."""
        with self._lock, closing(self._transaction()) as connection:
            for build in builds:
                connection.execute("DELETE FROM builds WHERE id=?", (build,))
            connection.execute("COMMIT")
            self.version += 1

    def page(
        self,
        *,
        limit: int,
        before: str | None,
        wanted: Wanted,
        drivers: Collection[int] | None,
        away: Collection[int] = (),
    ) -> list[ToldBuild]:
        """Return up to ``limit`` builds, newest first, after the cursor ``before``; ``drivers``:
        only of these, by their numbers; ``away``: those that can't tell an end.

        Raises:
            UsageError: ``before`` is no cursor.
        """
        where, arguments = _condition(wanted, drivers, away)
        if before is not None:
            arguments += read_cursor(before)
            where += " AND (started_at, id) < (?, ?)"
        rows = self._rows(
            f"SELECT id, key, workspace, triggered_by, request, {_status(away)}, started_at, "
            # The order of these is how SQLite goes about it: along the index, up to the limit.
            "completed_at, duration_ms, error FROM builds "
            "CROSS JOIN askings ON askings.number = asking "
            f"CROSS JOIN nodes ON nodes.number = driver WHERE {where} "
            "ORDER BY started_at DESC, id DESC LIMIT ?",
            (*arguments, limit),
        )
        return [_build(row) for row in rows]

    def counts(
        self, wanted: Wanted, drivers: Collection[int] | None, away: Collection[int] = ()
    ) -> dict[str, int]:
        """Return how many builds there are of each status, whichever of these is wanted. See
        :meth:`page`."""
        where, arguments = _condition(replace(wanted, status=None), drivers, away)
        rows = self._rows(
            f"SELECT {_status(away)}, count(*) FROM builds WHERE {where} GROUP BY 1", arguments
        )
        return dict(rows)


def _status(away: Collection[int]) -> str:
    """Return a build's status as it is told while some nodes are away, as an expression of SQL."""
    return f"CASE WHEN status = 'running' AND {_of(away)} THEN '{UNKNOWN}' ELSE status END"


def _of(drivers: Collection[int]) -> str:
    return f"driver IN ({', '.join(map(str, drivers))})"


def _condition(
    wanted: Wanted, drivers: Collection[int] | None, away: Collection[int]
) -> tuple[str, list[object]]:
    """Return what is wanted as a condition of SQL, and its arguments."""
    where, arguments = ["started_at IS NOT NULL"], list[object]()
    if wanted.status is not None:
        where.append("status = ?")
        arguments.append("running" if wanted.status == UNKNOWN else wanted.status)
        if wanted.status == UNKNOWN:
            where.append(_of(away))
        elif wanted.status == "running":
            where.append(f"NOT {_of(away)}")
    if drivers is not None:
        where.append(_of(drivers))
    asked, of_asking = list[str](), list[object]()
    for column, value in (("triggered_by", wanted.actor), ("workspace", wanted.workspace)):
        if value is not None:
            asked.append(f"{column} = ?")
            of_asking.append(value)
    if wanted.workspaces is not None:
        asked.append(f"workspace IN ({', '.join('?' * len(wanted.workspaces))})")
        of_asking += wanted.workspaces
    if asked:
        where.append(f"asking IN (SELECT number FROM askings WHERE {' AND '.join(asked)})")
        arguments += of_asking
    if wanted.text:
        searched = "asking IN (SELECT number FROM askings WHERE instr(text, lower(?)))"
        arguments.append(wanted.text)
        if PART_OF_ID.fullmatch(wanted.text):
            searched = f"({searched} OR instr(id, lower(?)))"
            arguments.append(wanted.text)
        where.append(searched)
    return " AND ".join(where), arguments


def _build(row: Any) -> ToldBuild:
    id, key, workspace, actor, request, *rest = row
    asked = json.loads(request)
    return ToldBuild(
        id,
        bytes(key),
        workspace,
        actor,
        asked["task"],
        tuple(asked["packages"]),
        asked["left_out"],
        asked["configuration"],
        *rest,
    )
