"""The requests that this node keeps for others, on its disk: what a restart has to know of them.

SQLite with ``synchronous=FULL``: what was acknowledged as kept is there after a power failure, the
plan with all directories of its sources. The sources' bytes are blobs of the store, which a power
failure may tear; who builds from them notices.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildnet.ledger.sqlite_errors import SqliteErrors
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.service.private_database import make_private
from buildnet.mesh.wire import WireError
from buildnet.pool.demand import Orders
from buildnet.pool.durable import Phase
from buildnet.pool.messages.lending import WireOrders
from buildnet.pool.warrant import Warrant

SCHEMA_VERSION = 3
_SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (
    build TEXT PRIMARY KEY,
    driver BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    phase TEXT NOT NULL,
    since REAL NOT NULL,
    plan BLOB NOT NULL,
    sources BLOB NOT NULL,
    report BLOB,
    warrant BLOB NOT NULL,
    orders BLOB,
    began REAL
) WITHOUT ROWID;
"""
_CLOCKS_DIFFER_S = 5.0
"""What is told anew of a beginning differs by less, for messages take their time."""
_INSERT = "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class ShelfError(BuildNetError):
    """The requests that are kept for others can't be read or written."""

    code = "SHELF"
    exit_code = 2


class ShelfFullError(ShelfError):
    """The volume has no room left for another request."""

    code = "SHELF_FULL"
    exit_code = 5
    http_status = 507


@dataclass(frozen=True, slots=True)
class Said:
    """What the driver of a build tells of it besides. ``orders``: what people want of it; None: it
    has not told yet; ``began``: since when its time limit counts, seconds since 1970 by the clock
    of this host."""

    orders: Orders | None = None
    began: float | None = None

    def told(self, orders: Orders, ran_s: float, now: float) -> Said:
        """Return what holds once a driver has told that its time limit has counted for ``ran_s``;
        0: not yet. ``now``: seconds since 1970."""
        began = self.began
        if ran_s and (began is None or abs(now - ran_s - began) > _CLOCKS_DIFFER_S):
            began = now - ran_s
        return Said(orders, began)


NOTHING_SAID = Said()


@dataclass(frozen=True, slots=True)
class Shelved:
    """A request as it is on the disk. ``plan`` and ``sources``: the two blobs; ``since``: when it
    came into its phase, seconds since 1970; ``warrant``: that this node may drive it; ``report``:
    how it ended here, as JSON; ``said``: what its driver told last."""

    build: str
    driver: bytes
    attempt: int
    phase: Phase
    since: float
    plan: bytes
    sources: bytes
    warrant: Warrant
    report: bytes | None = None
    said: Said = NOTHING_SAID


class Shelf:
    """The table of kept requests. Methods wait for the disk."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._writing = asyncio.Lock()

    @classmethod
    def open(cls, path: Path) -> Shelf:
        """Open or create the table at ``path``. Blocks.

        Raises:
            ShelfError: the file is damaged, of a newer version, or can't be read or written.
        """
        with _FILE.of(path):
            make_private(path)
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with _FILE.of(path):
                connection.execute("PRAGMA synchronous=FULL")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version > SCHEMA_VERSION:
                    raise ShelfError(
                        f"{path} was written by a newer BuildNet (schema {version})",
                        hint="update BuildNet, or move the file away",
                    )
                if version < SCHEMA_VERSION:
                    # Of what an earlier version kept nobody could prove that it may drive it.
                    connection.executescript("DROP TABLE IF EXISTS kept;" + _SCHEMA)
                    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        except BaseException:
            connection.close()
            raise
        return cls(path, connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    async def put(self, shelved: Shelved) -> None:
        """Keep a request, or what has become of it; on the disk when this returns.

        Raises:
            ShelfError: that can't be done; what was kept before is.
        """
        row = (
            shelved.build,
            shelved.driver,
            shelved.attempt,
            shelved.phase.value,
            shelved.since,
            zlib.compress(shelved.plan, 1),
            zlib.compress(shelved.sources, 1),
            shelved.report,
            shelved.warrant.encode(),
            *_row_of(shelved.said),
        )
        await self._write(_INSERT, row)

    async def set_phase(self, build: str, phase: Phase, since: float) -> None:
        """Note what this node does for a build now."""
        await self._write(
            "UPDATE kept SET phase=?, since=? WHERE build=?", (phase.value, since, build)
        )

    async def set_ended(self, build: str, report: bytes, since: float) -> None:
        """Note how this node brought a build to its end."""
        await self._write(
            "UPDATE kept SET phase=?, report=?, since=? WHERE build=?",
            (Phase.ENDED.value, report, since, build),
        )

    async def set_said(self, build: str, said: Said) -> None:
        """Note what the driver of a build told last."""
        await self._write(
            "UPDATE kept SET orders=?, began=? WHERE build=?", (*_row_of(said), build)
        )

    async def remove(self, build: str) -> None:
        """Keep a request no more."""
        await self._write("DELETE FROM kept WHERE build=?", (build,))

    def builds(self) -> list[str]:
        """Return the builds whose requests are kept. Blocks."""
        with _FILE.of(self._path):
            rows = self._connection.execute("SELECT build FROM kept").fetchall()
        return [build for (build,) in rows]

    def get(self, build: str) -> Shelved:
        """Return a request. Blocks.

        Raises:
            ShelfError: it is not there, or can't be read.
        """
        with _FILE.of(self._path):
            rows = self._connection.execute("SELECT * FROM kept WHERE build=?", (build,)).fetchall()
        try:
            return _shelved(rows[0])
        except IndexError:
            raise ShelfError(f"nothing is kept of build {build}") from None
        except (zlib.error, ValueError, WireError) as error:
            raise _damaged(self._path, str(error)) from error

    async def _write(self, statement: str, parameters: tuple[object, ...]) -> None:
        async with self._writing:
            await asyncio.to_thread(self._execute, statement, parameters)

    def _execute(self, statement: str, parameters: tuple[object, ...]) -> None:
        with _FILE.of(self._path):
            self._connection.execute(statement, parameters)


def _shelved(row: tuple[Any, ...]) -> Shelved:
    build, driver, attempt, phase, since, plan, sources, report, warrant, orders, began = row
    return Shelved(
        build,
        driver,
        attempt,
        Phase(phase),
        since,
        zlib.decompress(plan),
        zlib.decompress(sources),
        Warrant.decode(warrant),
        report,
        Said(None if orders is None else WireOrders.decode(orders).orders, began),
    )


def _row_of(said: Said) -> tuple[bytes | None, float | None]:
    orders = None if said.orders is None else WireOrders.of(said.orders).encode()
    return orders, said.began


def _damaged(path: Path, cause: str) -> ShelfError:
    return ShelfError(
        f"the requests that are kept for other nodes, {path}, can't be used",
        cause=cause,
        hint="move the file away: the next start begins anew, and the other nodes ask again",
    )


_FILE = SqliteErrors(
    "the requests that are kept for other nodes",
    ShelfError,
    ShelfFullError,
    "what was kept is unharmed, leave it where it is",
    _damaged,
)
