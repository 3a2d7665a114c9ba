"""What the store knows of its blobs without opening them: size and last use, in SQLite.

Changes are gathered in memory and written in one transaction by :meth:`Index.commit`, together with
what the caller writes; a transaction that fails changes nothing and its rows stay gathered. Nothing
grows with the number of blobs: look-ups go to the database.

Every method runs while the database's lock is held.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from buildnet.mesh.digest import Digest
from buildnet.node.store.actions import delete_referring
from buildnet.node.store.database import LARGE_BYTES, Database
from buildnet.node.store.journal import Journal

T = TypeVar("T")

GATHERED_MAX = 1000
"""So many changes are written at the latest, which bounds memory and what a kill loses."""

USE_STEP_MS = 60_000
"""A use is noted if the last noted one is older: the order of collection needs no more."""

_ASKED_AT_ONCE = 500  # SQLite takes 999 parameters at least
_REMEMBERED_MAX = 20_000  # rows: some 3 MB


@dataclass(slots=True)
class Totals:
    """Sums over the index, kept exact by every transaction."""

    blobs: int
    bytes: int
    hits: int
    misses: int


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the order of last use: blobs after it were used later."""

    used_at_ms: int
    hash: bytes


START = Position(-1, b"")


class Index:
    """Rows of blobs, gathered changes, and totals."""

    def __init__(self, database: Database, journal: Journal, now_ms: Callable[[], int]) -> None:
        self.database = database
        self.now_ms = now_ms
        self._journal = journal
        self._added: dict[bytes, tuple[int, int]] = {}  # hash -> size, used at
        self._used: dict[bytes, int] = {}
        self._used_actions: dict[bytes, int] = {}
        self._hits: dict[bytes, int] = {}  # of actions, since the last transaction
        self._gone: set[bytes] = set()
        self._remembered: dict[bytes, int] = {}  # uses of rows that are in the database
        totals = database.row("SELECT blobs, bytes, hits, misses FROM totals")
        self.is_new = totals is None
        """Blobs on disk were not adopted yet (or not all of them); see :meth:`adopted`."""
        self.totals = Totals(*totals) if totals is not None else Totals(*self._count(), 0, 0)
        self._written_totals = replace(self.totals)

    def used_at_ms(self, hash: bytes) -> int | None:
        """Return when a blob was last used, or None if there is no row of it."""
        return self.uses_ms((hash,)).get(hash)

    def uses_ms(self, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """Return when blobs were last used, of those that have a row: one query for all that were
        not asked for lately."""
        found: dict[bytes, int] = {}
        asked: list[bytes] = []
        for hash in hashes:
            if (added := self._added.get(hash)) is not None:
                found[hash] = added[1]
            elif (used_ms := self._remembered.get(hash)) is not None:
                found[hash] = used_ms
            else:
                asked.append(hash)
        for at in range(0, len(asked), _ASKED_AT_ONCE):
            part = asked[at : at + _ASKED_AT_ONCE]
            marks = ",".join("?" * len(part))
            rows: dict[bytes, int] = dict(
                self.database.rows(
                    f"SELECT hash, used_at_ms FROM blobs WHERE hash IN ({marks})", part
                )
            )
            self._remember(rows)
            found.update(rows)
        return {hash: max(used, self._used.get(hash, 0)) for hash, used in found.items()}

    def _remember(self, uses_ms: Mapping[bytes, int]) -> None:
        """Take note of rows, which are there until they are dropped."""
        if len(self._remembered) + len(uses_ms) > _REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered.update(uses_ms)

    def _remember_written(self) -> None:
        self._remember({hash: used_ms for hash, (_, used_ms) in self._added.items()})
        for hash, used_ms in self._used.items():
            if hash in self._remembered:
                self._remembered[hash] = used_ms
        for hash in self._gone:
            self._remembered.pop(hash, None)

    def journal(self, digests: Sequence[Digest]) -> None:
        """Note that blobs are about to get their names on disk; :meth:`add` must follow."""
        self._journal.add(digests)

    def journal_removal(self, digests: Sequence[Digest]) -> None:
        """Note that blobs are about to lose their files; :meth:`drop` must follow."""
        # Removing is what helps a full volume; after a kill each look-up notices what is gone.
        with suppress(OSError):
            self._journal.add(digests)

    def add(self, digest: Digest, used_at_ms: int | None = None) -> None:
        """Add the row of a blob that exists.

        One that is there already is used now, or left as it is if ``used_at_ms`` is given.
        """
        hash = bytes.fromhex(digest.hash)
        self._gone.discard(hash)
        if self.used_at_ms(hash) is not None:
            if used_at_ms is None:
                self.use(hash)
            return
        now_ms = self.now_ms() if used_at_ms is None else used_at_ms
        self._added[hash] = (digest.size_bytes, now_ms)
        self.totals.blobs += 1
        self.totals.bytes += digest.size_bytes

    def use(self, hash: bytes, last_ms: int = 0) -> None:
        """Note that a blob is used now; ``last_ms`` is its row's use, if that is known."""
        now_ms = self.now_ms()
        if not last_ms:
            added = self._added.get(hash)
            last_ms = self._remembered.get(hash, 0) if added is None else added[1]
        if now_ms - last_ms >= USE_STEP_MS:
            self._used[hash] = now_ms

    def use_action(self, hash: bytes, last_ms: int) -> None:
        """Note that an action's record is used now."""
        now_ms = self.now_ms()
        if now_ms - last_ms >= USE_STEP_MS:
            self._used_actions[hash] = now_ms

    def hit(self, hash: bytes) -> None:
        """Count that an action's result was found, and was good."""
        self.totals.hits += 1
        self._hits[hash] = self._hits.get(hash, 0) + 1

    def used_since(self, position: Position) -> bool:
        """Whether a use is gathered that will move a blob to a later position."""
        return self._used.get(position.hash, 0) - position.used_at_ms >= USE_STEP_MS

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._journal.closed

    @property
    def gathered(self) -> int:
        """How many changes wait to be written."""
        changed = len(self._used_actions) + len(self._hits)
        return len(self._added) + len(self._used) + changed + len(self._gone)

    def commit(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Write what was gathered and run ``operation``, all in one transaction.

        Raises:
            OSError: the volume is full; nothing was changed, and nothing gathered was lost.
        """
        return self._commit(operation)[0]

    def drop(
        self, hashes: Iterable[bytes], also: Callable[[sqlite3.Connection], int] = lambda _: 0
    ) -> tuple[int, int]:
        """Delete the rows of blobs whose files are gone, the results that need them, and the
        results that ``also`` deletes; return how many rows and results went.

        Raises:
            OSError: the volume is full; what was to be deleted goes with the next transaction.
        """
        self._gone.update(hashes)
        results, (rows, needing) = self._commit(also)
        return rows, needing + results

    def _commit(self, operation: Callable[[sqlite3.Connection], T]) -> tuple[T, tuple[int, int]]:
        before = replace(self.totals)

        def write(connection: sqlite3.Connection) -> tuple[T, tuple[int, int]]:
            self._write_gathered(connection)
            deleted = self._delete_gone(connection)
            result = operation(connection)
            if self.totals != self._written_totals:
                totals = self.totals
                connection.execute(
                    "UPDATE totals SET blobs = ?, bytes = ?, hits = ?, misses = ?",
                    (totals.blobs, totals.bytes, totals.hits, totals.misses),
                )
            return result, deleted

        try:
            result = self.database.write(write)
        except BaseException:
            self.totals = before
            raise
        self._written_totals = replace(self.totals)
        self._remember_written()
        self._added.clear()
        self._used.clear()
        self._used_actions.clear()
        self._hits.clear()
        self._gone.clear()
        self._journal.clear()
        return result

    def flush(self) -> None:
        """Write what was gathered, if anything was."""
        if self.gathered or self.totals != self._written_totals:
            self.commit(lambda connection: None)

    def oldest(
        self, after: Position, limit: int, larger_than: int | None = None
    ) -> list[tuple[Position, int]]:
        """Return position and size of the written rows that follow, least recently used first;
        with ``larger_than`` (bytes) of the larger ones only."""
        larger = "" if larger_than is None else f" AND size_bytes > {larger_than}"
        if larger_than is not None and larger_than >= LARGE_BYTES:
            larger += f" AND size_bytes >= {LARGE_BYTES}"  # for the index of these
        rows = self.database.rows(
            "SELECT used_at_ms, hash, size_bytes FROM blobs WHERE (used_at_ms, hash) > (?, ?)"
            f"{larger} ORDER BY used_at_ms, hash LIMIT ?",
            (after.used_at_ms, after.hash, limit),
        )
        return [(Position(used_at_ms, hash), size) for used_at_ms, hash, size in rows]

    def hashes(self, prefix: str) -> set[bytes]:
        """Return the hashes that begin with two hexadecimal digits (1/256 of all)."""
        self.flush()
        low, high = bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))
        rows = self.database.rows("SELECT hash FROM blobs WHERE hash BETWEEN ? AND ?", (low, high))
        return {row[0] for row in rows}

    def oldest_use_ms(self) -> int | None:
        """Return when the least recently used blob was used, as far as that is written; None
        without blobs."""
        row = self.database.row("SELECT min(used_at_ms) FROM blobs")
        return None if row is None else row[0]

    def recount(self) -> bool:
        """Count the rows; return whether the totals were wrong (they are right afterwards)."""
        self.flush()
        counted = self._count()
        wrong = (self.totals.blobs, self.totals.bytes) != counted
        self.totals.blobs, self.totals.bytes = counted
        self.flush()
        return wrong

    def adopted(self) -> None:
        """A new index has all blobs now."""
        self.commit(
            lambda connection: connection.execute(
                "INSERT INTO totals VALUES (?, ?, 0, 0)", (self.totals.blobs, self.totals.bytes)
            )
        )
        self.is_new = False

    def size_bytes(self, hash: bytes) -> int | None:
        """Return the size that the row of a blob says, or None without a row."""
        added = self._added.get(hash)
        if added is not None:
            return added[0]
        row = self.database.row("SELECT size_bytes FROM blobs WHERE hash = ?", (hash,))
        return None if row is None else row[0]

    def _count(self) -> tuple[int, int]:
        row = self.database.row("SELECT count(*), coalesce(sum(size_bytes), 0) FROM blobs")
        assert row is not None
        return row[0], row[1]

    def _delete_gone(self, connection: sqlite3.Connection) -> tuple[int, int]:
        rows = needing = 0
        for hash in self._gone:
            needing += delete_referring(connection, hash)
            deleted = connection.execute(
                "DELETE FROM blobs WHERE hash = ? RETURNING size_bytes", (hash,)
            ).fetchall()
            for (size_bytes,) in deleted:
                rows += 1
                self.totals.blobs -= 1
                self.totals.bytes -= size_bytes
        return rows, needing

    def _write_gathered(self, connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT OR IGNORE INTO blobs VALUES (?, ?, ?)",
            ((hash, size, used) for hash, (size, used) in sorted(self._added.items())),
        )
        # Only rows that exist: a blob that was collected after its use stays gone.
        connection.executemany(
            "UPDATE blobs SET used_at_ms = ?2 WHERE hash = ?1 AND used_at_ms < ?2 - ?3",
            ((hash, used, USE_STEP_MS - 1) for hash, used in self._used.items()),
        )
        connection.executemany(
            "UPDATE actions SET used_at_ms = ? WHERE hash = ?",
            ((used, hash) for hash, used in self._used_actions.items()),
        )
        connection.executemany(
            "UPDATE actions SET hits = hits + ? WHERE hash = ?",
            ((count, hash) for hash, count in self._hits.items()),
        )
