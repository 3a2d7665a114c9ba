"""What entries of the ledger change in the file of ``told_builds``.

Each field of an entry is what its node says: what has another form than it should is left out.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from buildnet.ledger.entry import Entry
from buildnet.mesh.clock import milliseconds_of

_ENDS = {"completed": "succeeded", "failed": "failed", "cancelled": "cancelled"}
_MOST_PACKAGES = 4096
_MOST_MS = 1e15
_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


class Transaction:
    """What is written together; without a COMMIT by its end it is taken back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.execute("BEGIN IMMEDIATE")

    def execute(self, statement: str, parameters: Iterable[Any] = ()) -> sqlite3.Cursor:
        """Run a statement."""
        return self._connection.execute(statement, tuple(parameters))

    def close(self) -> None:
        """Take back what was not committed."""
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")


class _Drives(NamedTuple):
    """Who began a build and who drives it, by their numbers, and whether they prove it."""

    starter: int | None
    is_begun_proven: bool
    driver: int
    is_driver_proven: bool


class Taking:
    """Takes in entries within a transaction. Those of one node come in its order."""

    def __init__(
        self,
        connection: Transaction,
        is_own: Callable[[bytes], bool],
        is_proven: Callable[[Entry], bool],
        recorded: Collection[str],
    ) -> None:
        self._connection = connection
        self._is_own = is_own
        self._is_proven = is_proven
        self._recorded = recorded
        self.changes = 0
        """How many rows became others."""

    def take(self, entry: Entry) -> None:
        """Take in the next one."""
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
