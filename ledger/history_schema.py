"""The tables of the record of builds, and how those of earlier versions become these.

What people search for is the same in build after build: who asked for which packages of which
workspace. So each such text is kept once, in ``askings``, and a build has its number. A search
looks through these few, and then at the numbers, which stand in the indexes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiosqlite

from buildnet.mesh.errors import BuildNetError

SCHEMA_VERSION = 7


class HistoryError(BuildNetError):
    """The record of builds can't be opened or written."""

    code = "STATE"
    exit_code = 2


def _asking(row: str) -> str:
    """Return the expression for what was asked for: all that people search for but the id. What is
    apart is kept apart by a character that no text holds that people search for."""
    parts = (
        f"{row}.workspace",
        f"{row}.triggered_by",
        f"coalesce(json_extract({row}.request, '$.task'), '')",
        f"coalesce(json_extract({row}.request, '$.packages'), '')",
    )
    return f"lower({' || char(10) || '.join(parts)})"


def _numbered(name: str, event: str) -> str:
    """Return a trigger that gives a build the number of what was asked for. It names no policy for
    conflicts: that of the statement that fires it would count in its place."""
    asking = _asking("new")
    return (
        f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON builds BEGIN "
        f"INSERT INTO askings (text) SELECT {asking} "
        f"WHERE NOT EXISTS (SELECT 1 FROM askings WHERE text = {asking}); "
        f"UPDATE builds SET asking = (SELECT number FROM askings WHERE text = {asking}) "
        "WHERE id = new.id; END"
    )


_TABLES = (
    """CREATE TABLE IF NOT EXISTS builds (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    root TEXT NOT NULL,
    request TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at REAL NOT NULL,
    completed_at REAL,
    duration_ms REAL,
    error TEXT,
    triggered_by TEXT NOT NULL,
    unchanged TEXT,
    durable TEXT,
    phases TEXT,
    estimate TEXT,
    asking INTEGER,
    notices TEXT
)""",
    """CREATE TABLE IF NOT EXISTS build_packages (
    build_id TEXT NOT NULL REFERENCES builds(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (build_id, position)
) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS askings (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
)
# Since version 2: which build's packages are this one's too, and with what in their records; since
# version 3: which other node has the request; since version 4: how long its phases took;
# since version 5: how long it was expected to take; since version 6: the number of what was asked;
# since version 7: what people were told besides.
_COLUMNS_SINCE = {
    2: "unchanged TEXT",
    3: "durable TEXT",
    4: "phases TEXT",
    5: "estimate TEXT",
    6: "asking INTEGER",
    7: "notices TEXT",
}
_NUMBER_ALL = (
    f"INSERT INTO askings (text) SELECT DISTINCT {_asking('builds')} FROM builds",
    f"UPDATE builds SET asking = (SELECT number FROM askings WHERE text = {_asking('builds')})",
)
_INDEXES = (
    "DROP INDEX IF EXISTS idx_builds_started",
    "DROP INDEX IF EXISTS idx_builds_status",
    "CREATE INDEX idx_builds_started ON builds(started_at DESC, id, asking)",
    "CREATE INDEX idx_builds_status ON builds(status, asking, id)",
    _numbered("builds_asked", "INSERT"),
    _numbered("builds_handed_over", "UPDATE OF triggered_by"),
)


async def prepare(connection: aiosqlite.Connection, path: Path) -> None:
    """Make a file what this version reads and writes: all of it, or nothing of it.

    Raises:
        HistoryError: it is of a newer version.
    """
    version = await scalar(connection, "PRAGMA user_version")
    if version > SCHEMA_VERSION:
        raise HistoryError(
            f"{path} was written by a newer BuildNet (schema {version})",
            hint="update BuildNet, or move the file away to begin a new record",
        )
    if version == SCHEMA_VERSION:  # nothing is written: a full volume can be opened
        return
    added = [column for since, column in _COLUMNS_SINCE.items() if 0 < version < since]
    await connection.execute("BEGIN IMMEDIATE")
    for statement in (
        *(f"ALTER TABLE builds ADD COLUMN {column}" for column in added),
        *_TABLES,
        *(_NUMBER_ALL if 0 < version < 6 else ()),
        *_INDEXES,
        f"PRAGMA user_version={SCHEMA_VERSION}",
    ):
        await connection.execute(statement)
    await connection.execute("COMMIT")


async def scalar(connection: aiosqlite.Connection, statement: str) -> Any:
    """Return the one value that a statement gives."""
    rows = list(await connection.execute_fetchall(statement))
    return rows[0][0]
