"""The sessions on disk, in ``access.db``: who is logged in stays so while the node starts anew.

One row a session, with the hash of its secret: whoever reads the file can open no session by it.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import aiosqlite

from buildnet.ledger.sqlite_errors import SqliteErrors
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.members.member_list import Rights
from buildnet.mesh.service.private_database import make_private
from buildnet.node.auth.sessions import Grant, Session

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,
    secret BLOB NOT NULL UNIQUE,
    grant TEXT NOT NULL,
    opened REAL NOT NULL,
    seen REAL NOT NULL,
    ends REAL NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
) WITHOUT ROWID;
"""


class SessionStoreError(BuildNetError):
    """The file of the sessions can't be opened or written."""

    code = "STATE"
    exit_code = 2


class SessionStore:
    """The table of sessions. Use :meth:`open`; close it at the end. ``name`` tells this node's
    cookie from those of other nodes of one host, to all of which a browser sends it."""

    def __init__(self, connection: aiosqlite.Connection, path: Path, name: str) -> None:
        self._connection = connection
        self._path = path
        self.name = name

    @classmethod
    async def open(cls, path: Path) -> SessionStore:
        """Open or create the file at ``path``.

        Raises:
            SessionStoreError: it is damaged, of a newer version, or can't be read or written.
        """
        with _FILE.of(path):
            make_private(path)
        connection = aiosqlite.connect(path, isolation_level=None)
        try:
            with _FILE.of(path):
                await connection
                name = await _prepared(connection, path)
        except BaseException:
            await connection.close()
            raise
        return cls(connection, path, name)

    async def close(self) -> None:
        """Close the file."""
        await self._connection.close()

    async def all(self) -> list[Session]:
        """Return the sessions that are kept, over or not."""
        with _FILE.of(self._path):
            rows = await self._connection.execute_fetchall(
                "SELECT id, secret, grant, opened, seen, ends, address, agent FROM sessions"
            )
            return [
                Session(name, bytes(secret), _grant_of(text), *others)
                for name, secret, text, *others in rows
            ]

    async def put(self, session: Session) -> None:
        """Keep a session; it is on disk when this returns."""
        with _FILE.of(self._path):
            await self._connection.execute(
                "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    session.id,
                    session.secret,
                    _text_of(session.grant),
                    session.opened,
                    session.seen,
                    session.ends,
                    session.address,
                    session.agent,
                ),
            )

    async def remove(self, session_id: str) -> None:
        """Forget a session."""
        with _FILE.of(self._path):
            await self._connection.execute("DELETE FROM sessions WHERE id=?", (session_id,))


async def _prepared(connection: aiosqlite.Connection, path: Path) -> str:
    """Make the tables where they are not there yet; return the node's name for its cookies."""
    await connection.execute("PRAGMA journal_mode=WAL")
    await connection.execute("PRAGMA synchronous=FULL")
    ((version,),) = await connection.execute_fetchall("PRAGMA user_version")
    if version > SCHEMA_VERSION:
        raise SessionStoreError(
            f"{path} was written by a newer BuildNet (schema {version})",
            hint="update BuildNet, or move the file away: everybody logs in anew then",
        )
    if version < SCHEMA_VERSION:
        await connection.executescript(_SCHEMA)
        await connection.execute(
            "INSERT OR IGNORE INTO names VALUES ('cookie', ?)", (secrets.token_hex(4),)
        )
        await connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    ((name,),) = await connection.execute_fetchall("SELECT value FROM names WHERE name='cookie'")
    return str(name)


def _text_of(grant: Grant) -> str:
    return json.dumps(
        {
            "actor": grant.actor,
            "account": grant.account,
            "rights": grant.rights,
            "is_owner": grant.is_owner,
        }
    )


def _grant_of(text: str) -> Grant:
    said = json.loads(text)
    rights = said["rights"]
    return Grant(
        said["actor"],
        said["account"],
        None if rights is None else Rights(rights),
        said["is_owner"],
    )


def _damaged(path: Path, cause: str) -> SessionStoreError:
    return SessionStoreError(
        f"the sessions {path} can't be used",
        cause=cause,
        hint="move the file away: everybody logs in anew then, nothing else is lost",
    )


_FILE = SqliteErrors(
    "the sessions",
    SessionStoreError,
    SessionStoreError,
    "nothing is lost, leave it where it is",
    _damaged,
)
