"""The node's own record of builds: what was asked for, what became of each package, in full.

It is of one node, over all clusters that it was ever in, and others ask that node for it: logs'
places, the whole request, each package's report. The ledger has of each build what all nodes are to
know, in two entries, and its types are in :mod:`buildnet.ledger.entry_types`.

SQLite with ``synchronous=FULL``; one connection writes, in one transaction a change. A build that
is told as finished is on disk. Tables follow section 12 of the distributed plan.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import aiosqlite

from buildnet.ledger.history_cursor import cursor_of, read_cursor
from buildnet.ledger.history_filter import ALL, Wanted
from buildnet.ledger.history_schema import HistoryError, prepare, scalar
from buildnet.ledger.sqlite_errors import SqliteErrors
from buildnet.mesh.errors import NotFoundError
from buildnet.mesh.service.private_database import make_private

MOST_TASK_RUNS = 50_000
NOT_YET, DURABLE, ELSEWHERE = "not yet", "durable", "elsewhere"
ENDED_ELSEWHERE, TAKEN_OVER = "ended elsewhere", "taken over"
INTERRUPTED = "the node stopped during this build"
LOST_TOO_SOON = "the node that drove this build was lost before the request was durable"


class HistoryFullError(HistoryError):
    """The volume of the record has no room left. What is recorded is unharmed."""

    code = "HISTORY_FULL"
    exit_code = 5
    http_status = 507


@dataclass(frozen=True, slots=True)
class Durability:
    """Where a build's request is besides on this node, or was. ``state``: ``not yet``, ``durable``
    (``node`` stands in), ``elsewhere`` (this node lost the build; ``node`` goes on with it),
    ``ended elsewhere`` (by ``node``), or ``taken over`` (this node went on for ``node``).
    ``attempt``: the number under which."""

    state: str
    node: str | None = None
    node_name: str | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """One build; times are unix seconds, ``packages`` the per-package records as they were told,
    ``durable`` is None for a build that only this node ever had to do with; ``phases``: how many
    milliseconds each took, None: that was not measured; ``estimate``: how long it was expected to
    take, None: it was not; ``notices``: what people were told besides."""

    id: str
    workspace: str
    root: str
    request: dict[str, Any]
    status: str
    started_at: float
    completed_at: float | None
    duration_ms: float | None
    error: str | None
    triggered_by: str
    durable: Durability | None = None
    phases: dict[str, float | None] | None = None
    estimate: dict[str, Any] | None = None
    notices: tuple[str, ...] = ()
    packages: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Packages that a build found as they were: those of the earlier build ``build_id`` which it
    has no record of its own for. ``fields`` is what their records say differently now."""

    build_id: str
    fields: dict[str, Any]

    def as_json(self) -> str:
        """Return what stands in the column."""
        return json.dumps([self.build_id, self.fields])


class History:
    """The table of builds. Use :meth:`open`; close it at the end."""

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        # One connection has one transaction at a time, whichever coroutine began it.
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> History:
        """Open or create the record at ``path``.

        Raises:
            HistoryError: the file is damaged, of a newer version, or can't be read or written; it
                is left as it is.
        """
        with _FILE.of(path):
            make_private(path)
        connection = aiosqlite.connect(path, isolation_level=None)
        try:
            with _FILE.of(path):
                await cls._prepare(connection, path)
        except BaseException:
            await connection.close()
            raise
        return cls(connection, path)

    @staticmethod
    async def _prepare(connection: aiosqlite.Connection, path: Path) -> None:
        await connection
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute("PRAGMA synchronous=FULL")
        await connection.execute("PRAGMA foreign_keys=ON")
        if await scalar(connection, "PRAGMA quick_check") != "ok":
            raise sqlite3.DatabaseError("quick_check found damage")
        await prepare(connection, path)

    async def close(self) -> None:
        """Close the file."""
        await self._connection.close()

    async def close_interrupted(self, now: float) -> list[BuildSummary]:
        """Mark builds that a dead process left as running: ``cancelled``; ``failed`` where others
        should have had the request and did not yet. Those that go on elsewhere, or that this node
        took over, stay as they are. Return the ones that were marked, as they are now."""
        rows = await self._rows(
            f"SELECT {_SELECTED} FROM builds WHERE status='running' AND "
            "(durable IS NULL OR json_extract(durable, '$.state') = ?)",
            (NOT_YET,),
        )
        marked = []
        for build in map(_summary, rows):
            status, why = ("cancelled", INTERRUPTED)
            if build.durable is not None:
                status, why = ("failed", LOST_TOO_SOON)
            marked.append(replace(build, status=status, completed_at=now, error=why))
        if marked:
            async with self._transaction():
                await self._connection.executemany(
                    "UPDATE builds SET status=?, completed_at=?, error=? WHERE id=?",
                    [(one.status, now, one.error, one.id) for one in marked],
                )
        return marked

    async def running(self) -> list[BuildSummary]:
        """Return the builds that are not over."""
        rows = await self._rows(f"SELECT {_SELECTED} FROM builds WHERE status='running'", ())
        return [_summary(row) for row in rows]

    async def mark(self, build_id: str, durable: Durability) -> None:
        """Record where a build's request is; on disk when this returns."""
        async with self._transaction():
            await self._connection.execute(
                "UPDATE builds SET durable=? WHERE id=?", (json.dumps(asdict(durable)), build_id)
            )

    async def hand_over(self, build_id: str, actor: str) -> None:
        """Record that a build is somebody else's from now on."""
        async with self._transaction():
            await self._connection.execute(
                "UPDATE builds SET triggered_by=? WHERE id=?", (actor, build_id)
            )

    async def begin(
        self,
        build_id: str,
        *,
        workspace: str,
        root: str,
        request: dict[str, Any],
        started_at: float,
        triggered_by: str,
        durable: Durability | None = None,
    ) -> None:
        """Record that a build runs; one that was taken over may have been recorded before."""
        told = None if durable is None else json.dumps(asdict(durable))
        async with self._transaction():
            await self._connection.execute(
                "INSERT OR REPLACE INTO builds (id, workspace, root, request, status, started_at, "
                "triggered_by, durable) VALUES (?, ?, ?, ?, 'running', ?, ?, ?)",
                (build_id, workspace, root, json.dumps(request), started_at, triggered_by, told),
            )

    async def finish(
        self,
        build_id: str,
        *,
        status: str,
        completed_at: float,
        duration_ms: float,
        error: str | None,
        packages: Sequence[dict[str, Any]],
        unchanged: Unchanged | None = None,
        phases: Mapping[str, float | None] | None = None,
        estimate: Mapping[str, Any] | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        """Record how a build ended; on disk when this returns.

        ``packages`` may hold everything that was told of each package; it is kept as it is. Those
        that are ``unchanged`` cost nothing.
        """
        same = None if unchanged is None else unchanged.as_json()
        told = None if phases is None else json.dumps(phases)
        expected = None if estimate is None else json.dumps(estimate)
        said = json.dumps(list(notices)) if notices else None
        fields = (status, completed_at, duration_ms, error, same, told, expected, said)
        async with self._transaction():
            await self._connection.execute(
                "UPDATE builds SET status=?, completed_at=?, duration_ms=?, error=?, unchanged=?, "
                "phases=?, estimate=?, notices=? WHERE id=?",
                (*fields, build_id),
            )
            await self._connection.executemany(
                "INSERT INTO build_packages (build_id, position, record) VALUES (?, ?, ?)",
                [(build_id, place, json.dumps(record)) for place, record in enumerate(packages)],
            )

    async def add_unchanged(
        self,
        build_id: str,
        *,
        workspace: str,
        root: str,
        request: dict[str, Any],
        started_at: float,
        completed_at: float,
        duration_ms: float,
        triggered_by: str,
        unchanged: Unchanged,
    ) -> None:
        """Record a build that had nothing to do, from its beginning to its end."""
        async with self._transaction():
            await self._connection.execute(
                "INSERT INTO builds (id, workspace, root, request, status, started_at, "
                "completed_at, duration_ms, triggered_by, unchanged) "
                "VALUES (?, ?, ?, ?, 'succeeded', ?, ?, ?, ?, ?)",
                (
                    build_id,
                    workspace,
                    root,
                    json.dumps(request),
                    started_at,
                    completed_at,
                    duration_ms,
                    triggered_by,
                    unchanged.as_json(),
                ),
            )

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        async with self._writing:
            with _FILE.of(self._path):
                await self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    await self._connection.execute("COMMIT")
                except BaseException:
                    # On a full volume SQLite has rolled back by itself; and whatever else keeps
                    # this from working, what led here is what has to be told.
                    with suppress(sqlite3.Error):
                        await self._connection.execute("ROLLBACK")
                    raise

    async def page(
        self,
        *,
        limit: int,
        before: str | None = None,
        wanted: Wanted = ALL,
    ) -> tuple[list[BuildSummary], str | None]:
        """Return up to ``limit`` builds, newest first, without packages, and the next cursor.

        ``before`` is a cursor that an earlier call returned; ``wanted``: only such.

        Raises:
            UsageError: ``before`` is no cursor.
        """
        where, arguments = wanted.condition()
        if before is not None:
            arguments += read_cursor(before)
            where += " AND (started_at, id) < (?, ?)"
        rows = await self._rows(
            f"SELECT {_SELECTED} FROM builds WHERE {where} "
            "ORDER BY started_at DESC, id DESC LIMIT ?",
            (*arguments, limit + 1),
        )
        builds = [_summary(row) for row in rows]
        if len(builds) <= limit:
            return builds, None
        last = builds[limit - 1]
        return builds[:limit], cursor_of(last.started_at, last.id)

    async def counts(self, wanted: Wanted) -> dict[str, int]:
        """Return how many builds there are of each status, whichever of these is wanted."""
        where, arguments = replace(wanted, status=None).condition()
        rows = await self._rows(
            f"SELECT status, count(*) FROM builds WHERE {where} GROUP BY status", tuple(arguments)
        )
        return dict(map(tuple, rows))

    async def estimated(
        self, limit: int, wanted: Wanted = ALL
    ) -> list[tuple[dict[str, Any], float]]:
        """Return the estimates of the latest ``limit`` builds that have one and went to a good end,
        and what they took in milliseconds. ``wanted``: only of such."""
        where, arguments = replace(wanted, status="succeeded").condition()
        rows = await self._rows(
            "SELECT estimate, duration_ms FROM builds WHERE estimate IS NOT NULL AND "
            f"{where} ORDER BY started_at DESC, id DESC LIMIT ?",
            (*arguments, limit),
        )
        return [(json.loads(estimate), took_ms) for estimate, took_ms in rows]

    async def build(self, prefix: str) -> BuildSummary:
        """Return the build whose id is or uniquely begins with ``prefix``.

        Raises:
            NotFoundError: no build or several answer to it.
        """
        rows = await self._rows(
            f"SELECT {_SELECTED} FROM builds WHERE substr(id, 1, ?) = ? LIMIT 2",
            (len(prefix), prefix),
        )
        if len(rows) != 1 or not prefix:
            what = "several builds begin with" if rows and prefix else "there is no build"
            raise NotFoundError(f"{what} {prefix!r}", hint="buildnet history lists the builds")
        return _summary(rows[0], tuple(await self._packages(_summary(rows[0]).id)))

    async def known(self, ids: Collection[str]) -> frozenset[str]:
        """Return those of some ids that builds on record have."""
        marks = ", ".join("?" * len(ids))
        rows = await self._rows(f"SELECT id FROM builds WHERE id IN ({marks})", tuple(ids))
        return frozenset(row[0] for row in rows)

    async def task_runs(self, workspace: str, builds: int) -> list[sqlite3.Row]:
        """Return what became of each task in a workspace's latest builds that are over, so many:
        build, start, package, task, status, tier, and how many milliseconds the command ran; of no
        more than :data:`MOST_TASK_RUNS`, the latest."""
        read = ("name", "task", "status", "tier", "executed_ms")
        fields = ", ".join(f"json_extract(record, '$.{name}')" for name in read)
        return await self._rows(
            f"SELECT build_id, started_at, {fields} FROM build_packages JOIN "
            "(SELECT id, started_at FROM builds WHERE workspace = ? AND status != 'running' "
            "ORDER BY started_at DESC, id DESC LIMIT ?) ON id = build_id "
            "ORDER BY started_at DESC LIMIT ?",
            (workspace, builds, MOST_TASK_RUNS),
        )

    async def _packages(self, build_id: str) -> list[dict[str, Any]]:
        """Return a build's records: its own, and those of the builds that it refers to, one by
        another, with what each says differently of them."""
        own, same = await self._own_packages(build_id)
        if same is None:
            return own
        found = {(one["name"], one["task"]): one for one in own}
        fields: dict[str, Any] = {}
        while same is not None:
            fields = {**same.fields, **fields}
            own, same = await self._own_packages(same.build_id)
            found = {(one["name"], one["task"]): {**one, **fields} for one in own} | found
        return list(found.values())

    async def _own_packages(self, build_id: str) -> tuple[list[dict[str, Any]], Unchanged | None]:
        records = await self._rows(
            "SELECT record FROM build_packages WHERE build_id=? ORDER BY position", (build_id,)
        )
        rows = await self._rows("SELECT unchanged FROM builds WHERE id=?", (build_id,))
        same = Unchanged(*json.loads(rows[0][0])) if rows and rows[0][0] is not None else None
        return [json.loads(record[0]) for record in records], same

    async def _rows(self, statement: str, parameters: Iterable[object]) -> list[sqlite3.Row]:
        with _FILE.of(self._path):
            return list(await self._connection.execute_fetchall(statement, parameters))


_COLUMNS = (
    "id",
    "workspace",
    "root",
    "request",
    "status",
    "started_at",
    "completed_at",
    "duration_ms",
    "error",
    "triggered_by",
    "durable",
    "phases",
    "estimate",
    "notices",
)
_SELECTED = ", ".join(_COLUMNS)


def _summary(row: Any, packages: tuple[dict[str, Any], ...] = ()) -> BuildSummary:
    fields: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    fields["request"] = json.loads(fields["request"])
    told = fields["durable"]
    fields["durable"] = None if told is None else Durability(**json.loads(told))
    phases = fields["phases"]
    fields["phases"] = None if phases is None else json.loads(phases)
    estimate = fields["estimate"]
    fields["estimate"] = None if estimate is None else json.loads(estimate)
    fields["notices"] = tuple(json.loads(fields["notices"] or "[]"))
    return BuildSummary(**fields, packages=packages)


def _damaged(path: Path, cause: str) -> HistoryError:
    return HistoryError(
        f"the record of builds {path} can't be used",
        cause=cause,
        hint="restore it from a backup; or move it away, and the next start begins a new record "
        "(the cache is not affected)",
    )


_FILE = SqliteErrors(
    "the record of builds",
    HistoryError,
    HistoryFullError,
    "the record is unharmed, leave it where it is",
    _damaged,
)
