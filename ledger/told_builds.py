"""Builds of other nodes as the ledger tells of them, in a file that is quick to search.

It holds nothing that the entries don't: whoever doubts it, or finds it damaged, makes it anew. A
build whose beginning is not among the entries is not listed. As in the record of the node's own
builds, what was asked for is kept once and a build has its number.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from buildnet.ledger.entry import Entry
from buildnet.ledger.history_cursor import read_cursor
from buildnet.ledger.history_filter import PART_OF_ID, Wanted
from buildnet.mesh.clock import milliseconds_of
from buildnet.mesh.service.private_database import make_private

_VERSION = 3
UNKNOWN = "unknown"
"""The status of a build whose end is not told, and whose node is away."""
_ENDS = {"completed": "succeeded", "failed": "failed", "cancelled": "cancelled"}
_MOST_PACKAGES = 4096
_MOST_MS = 1e15
_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
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
            taking = _Taking(connection, is_own, is_proven, recorded)
            for entry in entries:
                taking.take(entry)
            connection.execute("UPDATE read SET cursor=?", (cursor,))
            connection.execute("COMMIT")
            self.version += taking.changes

    def _transaction(self) -> _Transaction:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the file is not open")
        return _Transaction(self._connection)

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


class _Transaction:
    """What is written together; without a COMMIT by its end it is taken back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.execute("BEGIN IMMEDIATE")

    def execute(self, statement: str, parameters: Iterable[Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, tuple(parameters))

    def close(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")


class _Drives(NamedTuple):
    """Who began a build and who drives it, by their numbers, and whether they prove it."""

    starter: int | None
    is_begun_proven: bool
    driver: int
    is_driver_proven: bool


class _Taking:
    """Takes in entries within a transaction. Those of one node come in its order."""

    def __init__(
        self,
        connection: _Transaction,
        is_own: Callable[[bytes], bool],
        is_proven: Callable[[Entry], bool],
        recorded: Collection[str],
    ) -> None:
        self._connection = connection
        self._is_own = is_own
        self._is_proven = is_proven
        self._recorded = recorded
        self.changes = 0

    def take(self, entry: Entry) -> None:
        kind, _, build = entry.body.entity.partition(":")
        if kind != "build" or not _ID.fullmatch(build):
            return
        # This node drives the build, or took it over: it has a record of it now.
        if build in self._recorded or self._is_own(entry.body.origin):
            self._do("DELETE FROM builds WHERE id=?", build)
            return
        what = entry.body.type.partition(".")[2]
        if what == "started":
            self._started(build, entry)
        elif what == "taken_over":
            self._taken_over(build, entry)
        elif what in _ENDS:
            self._ended(build, entry, _ENDS[what])
        elif what == "handed_over":
            self._handed_over(build, entry)

    def _do(self, statement: str, *parameters: object) -> None:
        self.changes += self._connection.execute(statement, parameters).rowcount

    def _started(self, build: str, entry: Entry) -> None:
        """Of several who say so the first counts; before all, who proves it."""
        is_proven, before = self._is_proven(entry), self._drives(build)
        is_told = before is not None and before.starter is not None
        if before is not None and is_told and (before.is_begun_proven or not is_proven):
            return
        node, data = self._node(entry.body.origin), entry.data
        asked = {
            "task": _text(data.get("task")) or "",
            "packages": _names(data.get("packages")),
            "left_out": _count(data.get("packages_left_out")),
            "configuration": _text(data.get("config_id")),
        }
        asking = self._asking(
            _text(data.get("workspace")) or "", entry.body.actor.id, json.dumps(asked)
        )
        self._do(
            "INSERT INTO builds (id, starter, begun_proven, driver, term, asking, status, "
            "started_at) VALUES (?, ?, ?, ?, 0, ?, 'running', ?) ON CONFLICT (id) DO UPDATE SET "
            "starter=excluded.starter, begun_proven=excluded.begun_proven, "
            "asking=excluded.asking, started_at=excluded.started_at",
            *(build, node, is_proven, node, asking, _at(entry)),
        )
        if is_proven and before is not None and not before.is_driver_proven:
            self._driven_by(build, node, 0, is_proven=False)

    def _taken_over(self, build: str, entry: Entry) -> None:
        """Of several who went on with it the one with the highest number counts; where anything is
        proven, of those who prove it."""
        node, term = self._node(entry.body.origin), _count(entry.data.get("term"))
        is_proven, before = self._is_proven(entry), self._drives(build)
        if before is None:
            self._do(
                "INSERT INTO builds (id, driver, driver_proven, term, status) "
                "VALUES (?, ?, ?, ?, 'running')",
                *(build, node, is_proven, term),
            )
        elif is_proven and not before.is_driver_proven and before.driver != before.starter:
            self._driven_by(build, node, term, is_proven=True)
        elif is_proven or not (before.is_begun_proven or before.is_driver_proven):
            self._do(
                "UPDATE builds SET driver=?, term=?, driver_proven=? WHERE id=? AND term < ?",
                *(node, term, is_proven, build, term),
            )

    def _driven_by(self, build: str, node: int, term: int, *, is_proven: bool) -> None:
        """Take a build's driver back that was believed without proof, with the end that it told."""
        self._do(
            "UPDATE builds SET driver=?, term=?, driver_proven=?, status='running', "
            "ended_term=NULL, completed_at=NULL, duration_ms=NULL, error=NULL WHERE id=?",
            *(node, term, is_proven, build),
        )

    def _drives(self, build: str) -> _Drives | None:
        found = self._connection.execute(
            "SELECT starter, begun_proven, driver, driver_proven FROM builds WHERE id=?", (build,)
        ).fetchone()
        return None if found is None else _Drives(*found)

    def _ended(self, build: str, entry: Entry, status: str) -> None:
        """The end that counts is told by who drives the build; by who began it, until then."""
        node, term, data = self._node(entry.body.origin), _count(entry.data.get("term")), entry.data
        self._do(
            "UPDATE builds SET status=?, ended_term=?, completed_at=?, duration_ms=?, error=? "
            "WHERE id=? AND (ended_term IS NULL OR ended_term <= ?) "
            "AND ((driver=? AND term=?) OR (starter=? AND ?=0))",
            *(status, term, _at(entry), _duration(data.get("duration_ms"))),
            _text(data.get("reason" if status == "cancelled" else "error")),
            *(build, term, node, term, node, term),
        )

    def _handed_over(self, build: str, entry: Entry) -> None:
        node, to = self._node(entry.body.origin), _text(entry.data.get("to"))
        found = self._connection.execute(
            "SELECT workspace, request FROM builds JOIN askings ON number = asking "
            "WHERE id=? AND ? IN (starter, driver)",
            (build, node),
        ).fetchone()
        if found is not None and to:
            asking = self._asking(found[0], to, found[1])
            self._do("UPDATE builds SET asking=? WHERE id=?", asking, build)

    def _node(self, key: bytes) -> int:
        return self._number("nodes", {"key": key})

    def _asking(self, workspace: str, actor: str, request: str) -> int:
        asked = json.loads(request)
        # As the record of the node's own builds has it.
        searched = (workspace, actor, asked["task"], json.dumps(asked["packages"]))
        values = {"workspace": workspace, "triggered_by": actor, "request": request}
        return self._number("askings", values, text="\n".join(searched).lower())

    def _number(self, table: str, values: Mapping[str, object], **more: object) -> int:
        where = " AND ".join(f"{name}=?" for name in values)
        found = self._connection.execute(
            f"SELECT number FROM {table} WHERE {where}", values.values()
        ).fetchone()
        if found is not None:
            return int(found[0])
        all_values = {**values, **more}
        marks = ", ".join("?" * len(all_values))
        made = self._connection.execute(
            f"INSERT INTO {table} ({', '.join(all_values)}) VALUES ({marks})", all_values.values()
        )
        return int(made.lastrowid or 0)


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


def _at(entry: Entry) -> float:
    return milliseconds_of(entry.body.hlc) / 1000


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _names(value: object) -> list[str]:
    listed = value[:_MOST_PACKAGES] if isinstance(value, list) else []
    return [one for one in listed if isinstance(one, str)]


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < 2**31 else 0


def _duration(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _MOST_MS else None
