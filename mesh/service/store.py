"""What a node's mesh keeps on disk: named facts, the newest of each.

SQLite in WAL mode with ``synchronous=FULL`` and one connection. Every row carries a checksum: a
flipped bit in a promise or in the member list must end the start, not the cluster.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiosqlite
from blake3 import blake3

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import Fact, Persist
from buildnet.mesh.service.private_database import make_private
from buildnet.mesh.wire import WireError

SCHEMA_VERSION = 1
_CHECKSUM_BYTES = 8
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    checksum BLOB NOT NULL
) WITHOUT ROWID
"""


class MeshStateError(BuildNetError):
    """The mesh's state can't be read or written."""

    code = "MESH_STATE"
    exit_code = 2


class StateClosedError(MeshStateError):
    """The mesh's state was closed: the node stops, or goes into another cluster."""


class MeshStore:
    """The file of facts. Use :meth:`open`; close it at the end."""

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    async def open(cls, path: Path) -> MeshStore:
        """Open or create the file at ``path``.

        Raises:
            MeshStateError: it is damaged, of a newer version, or can't be read or written; it is
                left as it is.
        """
        # A new file is never empty for longer than a moment: this one has lost what it held, and
        # without it the node would found another cluster.
        if path.exists() and not path.stat().st_size:
            raise _damaged(path, "the file is empty")
        with _errors_of(path):
            make_private(path)
        connection = aiosqlite.connect(path, isolation_level=None)
        try:
            with _errors_of(path):
                await connection
                await connection.execute("PRAGMA journal_mode=WAL")
                await connection.execute("PRAGMA synchronous=FULL")
                version = await _scalar(connection, "PRAGMA user_version")
                if version > SCHEMA_VERSION:
                    raise MeshStateError(
                        f"{path} was written by a newer BuildNet (schema {version})",
                        hint="update BuildNet",
                    )
                if version < SCHEMA_VERSION:
                    await connection.execute(_SCHEMA)
                    await connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        except BaseException:
            await connection.close()
            raise
        return cls(connection, path)

    async def close(self) -> None:
        """Close the file."""
        await self._connection.close()

    async def load(self) -> tuple[Fact, ...]:
        """Return all facts, by name. Kinds that this version does not know stay in the file.

        Raises:
            MeshStateError: one is damaged.
            StateClosedError: the file is closed by now.
        """
        with _errors_of(self._path):
            rows = await self._connection.execute_fetchall(
                "SELECT name, kind, body, checksum FROM facts ORDER BY name"
            )
        kinds = _kinds()
        facts: list[Fact] = []
        for name, kind, body, checksum in rows:
            if _checksum(name, kind, body) != checksum:
                raise _damaged(self._path, f"the checksum of {name!r} is wrong")
            if kind not in kinds:
                continue
            try:
                facts.append(kinds[kind].decode(body))
            except WireError as error:
                raise _damaged(self._path, f"{name!r}: {error.message}") from error
        return tuple(facts)

    async def write(self, steps: Sequence[Persist]) -> None:
        """Keep what ``steps`` want, in their order, in one transaction; fsynced on return.

        Raises:
            MeshStateError: nothing of it was written.
        """
        with _errors_of(self._path):
            async with self._transaction():
                for step in steps:
                    await self._keep(step.facts, step.forget)

    async def _keep(self, facts: Iterable[Fact], forget: Iterable[str]) -> None:
        if gone := [(name,) for name in forget]:
            await self._connection.executemany("DELETE FROM facts WHERE name=?", gone)
        if rows := [_row(fact) for fact in facts]:
            await self._connection.executemany(
                "INSERT OR REPLACE INTO facts (name, kind, body, checksum) VALUES (?, ?, ?, ?)",
                rows,
            )

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
            yield
            await self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # on a full volume SQLite has rolled back by itself
                await self._connection.execute("ROLLBACK")
            raise


def _damaged(path: Path, cause: str) -> MeshStateError:
    return MeshStateError(
        f"the mesh's state {path} is damaged",
        cause=cause,
        hint=f"restore it from a backup while the node is stopped; or move {path.name} and what "
        f"begins with {path.name}- away and start the node: it begins as a cluster of one, and "
        "buildnet node join takes it into its cluster again",
    )


def _row(fact: Fact) -> tuple[str, str, bytes, bytes]:
    name, kind, body = fact.name(), type(fact).__name__, fact.encode()
    return name, kind, body, _checksum(name, kind, body)


def _checksum(name: str, kind: str, body: bytes) -> bytes:
    return blake3(f"{name}\0{kind}\0".encode() + body).digest(length=_CHECKSUM_BYTES)


def _kinds() -> dict[str, type[Fact]]:
    """Return all kinds of facts by name. A dataclass with slots leaves the class without them
    behind, so what counts is what its module names."""
    kinds: dict[str, type[Fact]] = {}
    waiting: list[type[Fact]] = [Fact]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind:
            kinds[kind.__name__] = kind
    return kinds


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # aiosqlite's word for it
        raise StateClosedError(
            f"the mesh's state {path} is closed",
            cause=str(error),
            hint="the node stops, or goes into another cluster: ask again",
        ) from error
    except sqlite3.ProgrammingError:
        raise  # a mistake in this program
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _damaged(path, str(error)) from error
        raise MeshStateError(
            f"the mesh's state {path} can't be used",
            cause=str(error),
            hint=f"free room on the volume of {path.parent}"
            if code == sqlite3.SQLITE_FULL
            else f"see that this user may write in {path.parent} and that no other program has "
            "the file open",
        ) from error


async def _scalar(connection: aiosqlite.Connection, statement: str) -> Any:
    rows = list(await connection.execute_fetchall(statement))
    return rows[0][0]
