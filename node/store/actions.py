"""The action cache: results by the digest of the action that made them, and the last runs.

A record names every blob that its result needs. ``referrers`` holds the same relation the other way
round, so that a record goes when a blob of it goes. Every method runs while the database's lock is
held.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from buildnet.mesh.digest import Digest
from buildnet.node.store.database import Database, Row
from buildnet.pool.tree import FileEntry, Leaf, LinkEntry

Made = Mapping[str, Leaf]
"""Files and links by their paths."""

_LABELS_AT_ONCE = 500
_REFERENCE = struct.Struct("<32sQ")
_COLUMNS = (
    "hash, size_bytes, isolation, worker, signature, created_at, duration_ms, label,"
    " blob_references, result"
)


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """A finished action's result, signed by the node that ran it.

    ``result`` is an encoded ``ActionResult``; ``references`` are all blobs that it needs: output
    files, trees, output streams. ``worker`` is a public key (32 bytes), ``signature`` 64 bytes;
    ``created_at`` is in seconds since 1970 UTC.
    """

    action: Digest
    result: bytes
    isolation: str
    worker: bytes
    signature: bytes
    created_at: float
    duration_ms: float
    label: str
    references: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class ActionSummary:
    """One line of a list of results; ``bytes`` is the size of all blobs that it refers to, ``hits``
    how often it was found since it was stored."""

    action: Digest
    isolation: str
    label: str
    created_at: float
    used_at: float
    duration_ms: float
    references: int
    bytes: int
    hits: int


@dataclass(frozen=True, slots=True)
class ActionPage:
    """Results, newest first; ``next`` is the cursor of the next page, None on the last."""

    items: tuple[ActionSummary, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class LastRun:
    """What a task of a workspace ran last, and what stood at its outputs then."""

    action: Digest
    outputs_digest: Digest
    finished_at: float


class ActionTable:
    """Rows of results and of last runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, hash: bytes) -> tuple[ActionRecord, int] | None:
        """Return a record and when it was last used (ms), or None."""
        row = self._database.row(
            f"SELECT {_COLUMNS}, used_at_ms FROM actions WHERE hash = ?", (hash,)
        )
        return None if row is None else (_record(row), row[-1])

    def hits(self, hash: bytes) -> int:
        """Return how often a record was found since it was put, as far as that is written."""
        row = self._database.row("SELECT hits FROM actions WHERE hash = ?", (hash,))
        return 0 if row is None else int(row[0])

    def own_blobs(self, hash: bytes) -> list[Digest]:
        """Return the blobs that no other record needs."""
        found = self.find(hash)
        needed = () if found is None else dict.fromkeys(found[0].references)
        return [
            blob
            for blob in needed
            if self._database.row(
                "SELECT count(*) FROM referrers WHERE blob = ?", (bytes.fromhex(blob.hash),)
            )
            == (1,)
        ]

    def count(self) -> int:
        """Return how many records there are."""
        row = self._database.row("SELECT count(*) FROM actions")
        return 0 if row is None else int(row[0])

    def page(self, limit: int, cursor: int | None, label: str | None) -> ActionPage:
        """Return at most ``limit`` records whose label contains ``label``, newest first."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS}, used_at_ms, hits, id FROM actions"
            " WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR instr(label, ?2))"
            " ORDER BY id DESC LIMIT ?3",
            (cursor, label, limit + 1),
        )
        items = tuple(_summary(_record(row), row[-3], row[-2]) for row in rows[:limit])
        return ActionPage(items, rows[limit - 1][-1] if len(rows) > limit else None)

    def latest(self, label: str, limit: int) -> list[Digest]:
        """Return the actions of exactly that label, newest first."""
        rows = self._database.rows(
            "SELECT hash, size_bytes FROM actions WHERE label = ? ORDER BY id DESC LIMIT ?",
            (label, limit),
        )
        return [Digest(hash.hex(), size) for hash, size in rows]

    def durations_ms(self, labels: Sequence[str]) -> dict[str, float]:
        """Return how long the commands of the newest results of these labels took, by label."""
        found: dict[str, float] = {}
        for start in range(0, len(labels), _LABELS_AT_ONCE):
            some = labels[start : start + _LABELS_AT_ONCE]
            rows = self._database.rows(
                "SELECT label, duration_ms FROM actions WHERE id IN (SELECT max(id) FROM actions"
                f" WHERE label IN ({', '.join('?' * len(some))}) GROUP BY label)",
                tuple(some),
            )
            found |= {label: float(took_ms) for label, took_ms in rows}
        return found

    def executed_ms(self, actions: Sequence[bytes]) -> dict[str, float]:
        """Return how long the commands of these actions ran whose results are here, by hash."""
        found: dict[str, float] = {}
        for start in range(0, len(actions), _LABELS_AT_ONCE):
            some = actions[start : start + _LABELS_AT_ONCE]
            rows = self._database.rows(
                "SELECT hash, duration_ms FROM actions"
                f" WHERE hash IN ({', '.join('?' * len(some))})",
                tuple(some),
            )
            found |= {hash.hex(): float(took_ms) for hash, took_ms in rows}
        return found

    def referring_to(self, blob: bytes) -> list[Digest]:
        """Return the actions whose results need a blob."""
        rows = self._database.rows(
            "SELECT hash, size_bytes FROM actions"
            " WHERE id IN (SELECT action FROM referrers WHERE blob = ?)",
            (blob,),
        )
        return [Digest(hash.hex(), size) for hash, size in rows]

    def last_run(self, workspace_id: str, task: str) -> LastRun | None:
        """Return what a task ran last."""
        row = self._database.row(
            "SELECT action, action_size_bytes, outputs, outputs_size_bytes, finished_at FROM runs"
            " WHERE workspace = ? AND task = ?",
            (workspace_id, task),
        )
        if row is None:
            return None
        action, action_size, outputs, outputs_size, finished_at = row
        return LastRun(
            Digest(action.hex(), action_size), Digest(outputs.hex(), outputs_size), finished_at
        )

    def made(self, workspace_id: str, task: str) -> Made:
        """Return the files that patterns of a task's outputs matched when it ran last. Of files
        only the digest is known."""
        row = self._database.row(
            "SELECT files FROM made WHERE workspace = ? AND task = ?", (workspace_id, task)
        )
        described = {} if row is None else json.loads(zlib.decompress(row[0]))
        return {path: _leaf(each) for path, each in described.items()}


def put_record(connection: sqlite3.Connection, record: ActionRecord, now_ms: int) -> None:
    """Inside a transaction: write a record; an earlier one of the same action goes."""
    hash = bytes.fromhex(record.action.hash)
    delete_record(connection, hash)
    cursor = connection.execute(
        f"INSERT INTO actions ({_COLUMNS}, used_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            hash,
            record.action.size_bytes,
            record.isolation,
            record.worker,
            record.signature,
            record.created_at,
            record.duration_ms,
            record.label,
            _pack(record.references),
            record.result,
            now_ms,
        ),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO referrers VALUES (?, ?)",
        ((bytes.fromhex(blob.hash), cursor.lastrowid) for blob in record.references),
    )


def delete_record(connection: sqlite3.Connection, hash: bytes) -> bool:
    """Inside a transaction: delete the record of an action; return whether there was one."""
    row = connection.execute(
        "SELECT id, blob_references FROM actions WHERE hash = ?", (hash,)
    ).fetchone()
    if row is None:
        return False
    connection.executemany(
        "DELETE FROM referrers WHERE blob = ? AND action = ?",
        ((raw, row[0]) for raw, _ in _REFERENCE.iter_unpack(row[1])),
    )
    connection.execute("DELETE FROM actions WHERE id = ?", (row[0],))
    return True


def delete_referring(connection: sqlite3.Connection, blob: bytes) -> int:
    """Inside a transaction: delete the records that need a blob; return how many."""
    rows = connection.execute(
        "SELECT hash FROM actions WHERE id IN (SELECT action FROM referrers WHERE blob = ?)",
        (blob,),
    ).fetchall()
    return sum(delete_record(connection, hash) for (hash,) in rows)


def delete_unused(
    connection: sqlite3.Connection, before_ms: int, keep: Callable[[bytes], bool]
) -> int:
    """Inside a transaction: delete the records that were last used before a time, those aside
    that ``keep`` says by their hash; return how many."""
    rows = connection.execute(
        "SELECT hash FROM actions WHERE used_at_ms < ?", (before_ms,)
    ).fetchall()
    return sum(delete_record(connection, hash) for (hash,) in rows if not keep(hash))


def put_run(connection: sqlite3.Connection, workspace_id: str, task: str, run: LastRun) -> None:
    """Inside a transaction: note what a task ran last."""
    connection.execute(
        "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            workspace_id,
            task,
            bytes.fromhex(run.action.hash),
            run.action.size_bytes,
            bytes.fromhex(run.outputs_digest.hash),
            run.outputs_digest.size_bytes,
            run.finished_at,
        ),
    )


def put_made(connection: sqlite3.Connection, workspace_id: str, task: str, made: Made) -> None:
    """Inside a transaction: note the files that patterns of a task's outputs matched."""
    text = json.dumps({path: _described(leaf) for path, leaf in made.items()})
    packed = zlib.compress(text.encode(), 1)
    connection.execute("INSERT OR REPLACE INTO made VALUES (?, ?, ?)", (workspace_id, task, packed))


def _described(leaf: Leaf) -> list[str]:
    return [leaf.target] if isinstance(leaf, LinkEntry) else [*str(leaf.digest).split("/")]


def _leaf(described: list[str]) -> Leaf:
    if len(described) == 1:
        return LinkEntry(described[0])
    return FileEntry(Digest(described[0], int(described[1])))


def _record(row: Row) -> ActionRecord:
    hash, size, isolation, worker, signature, created_at, duration_ms, label, packed, result = row[
        :10
    ]
    return ActionRecord(
        action=Digest(hash.hex(), size),
        result=result,
        isolation=isolation,
        worker=worker,
        signature=signature,
        created_at=created_at,
        duration_ms=duration_ms,
        label=label,
        references=tuple(_unpack(packed)),
    )


def _summary(record: ActionRecord, used_at_ms: int, hits: int) -> ActionSummary:
    return ActionSummary(
        action=record.action,
        isolation=record.isolation,
        label=record.label,
        created_at=record.created_at,
        used_at=used_at_ms / 1000,
        duration_ms=record.duration_ms,
        references=len(record.references),
        bytes=sum(blob.size_bytes for blob in set(record.references)),
        hits=hits,
    )


def _pack(references: tuple[Digest, ...]) -> bytes:
    return b"".join(
        _REFERENCE.pack(bytes.fromhex(blob.hash), blob.size_bytes) for blob in references
    )


def _unpack(packed: bytes) -> Iterator[Digest]:
    for raw, size_bytes in _REFERENCE.iter_unpack(packed):
        yield Digest(raw.hex(), size_bytes)
