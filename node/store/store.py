"""The store: blobs and results on disk, safe to use from many threads."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import NotFoundError
from buildnet.node.store import adoption
from buildnet.node.store.actions import (
    ActionPage,
    ActionRecord,
    ActionTable,
    LastRun,
    Made,
    delete_record,
    put_made,
    put_record,
    put_run,
)
from buildnet.node.store.blob_store import BlobStore
from buildnet.node.store.blobs import BlobFiles, key_of
from buildnet.node.store.collection import CollectReport
from buildnet.node.store.database import Database
from buildnet.node.store.errors import (
    AmbiguousIdError,
    StateError,
    StoreFullError,
    is_disk_full,
    missing_blob,
)
from buildnet.node.store.files import FileTable
from buildnet.node.store.holds import Hold
from buildnet.node.store.index import Index
from buildnet.node.store.journal import Journal
from buildnet.node.store.learned import LearnedTable
from buildnet.node.store.verification import PREFIXES, Progress, Verification, VerifyReport


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Counted, not estimated. ``hits`` and ``misses`` count look-ups of results since the store was
    made or cleared; ``free_bytes`` is what the volume has left for this user; ``held`` hashes are
    in use by running builds; ``oldest_used_at`` and ``scrubbed_at``, when all blobs had been read
    again, are in seconds since 1970 UTC; ``damaged`` ones were found then. ``bytes`` is the sum of
    the blobs' sizes; on the volume, which gives whole blocks, they take ``disk_bytes_max`` at
    most."""

    blobs: int
    bytes: int
    actions: int
    capacity_bytes: int
    hits: int
    misses: int
    oldest_used_at: float | None
    free_bytes: int
    index_bytes: int
    held: int
    disk_bytes_max: int
    scrubbed_at: float | None
    damaged: int


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """How far the slow reading of all blobs has come: ``next_part`` of
    :data:`~buildnet.node.store.verification.PREFIXES`; 0: it is not under way. ``damaged`` blobs
    were found in it, or in the last one; that ended at ``finished_at``, seconds since 1970 UTC."""

    next_part: int = 0
    damaged: int = 0
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class ActionDetails:
    """A result; ``missing`` are the blobs of it that the store does not have, ``hits`` is how often
    it was found since it was stored."""

    record: ActionRecord
    used_at: float
    hits: int
    missing: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class BlobDetails:
    """A blob; ``actions`` are the stored results that need it."""

    digest: Digest
    used_at: float
    path: Path
    actions: tuple[Digest, ...]


class Store(BlobStore):
    """Blobs under their BLAKE3 digest and results under their action's, bounded in size.

    One process has a store open at a time. Methods block (files, SQLite): call them from worker
    threads. What has no hold may be collected at any time.
    """

    def __init__(
        self,
        files: BlobFiles,
        database: Database,
        journal: Journal,
        index: Index,
        capacity_bytes: int,
        verify: Callable[[ActionRecord], bool],
    ) -> None:
        super().__init__(files, index, capacity_bytes)
        self._database = database
        self._journal = journal
        self._actions = ActionTable(database)
        self.learned = LearnedTable(database, self._write)
        self._verify = verify
        self._tables: dict[str, FileTable] = {}

    @classmethod
    def open(
        cls,
        directory: Path,
        capacity_bytes: int,
        *,
        verify: Callable[[ActionRecord], bool] = lambda record: True,
        clock: Callable[[], float] = time.time,
    ) -> Store:
        """Open the store in ``directory``, or make one.

        What a killed process left unfinished is removed, and what it stored last is adopted. A
        store without an index gets a new one with all its blobs; their bytes are checked when they
        are read.

        Args:
            capacity_bytes: the bound on the sum of the blobs' sizes.
            verify: whether a result's signature is to be trusted; asked at every look-up.
            clock: seconds since 1970, for the order of use.

        Raises:
            StateError: the index is damaged, newer or in use, or the directory cannot be written.
            StoreFullError: there is no room even for an empty index.
        """
        files = BlobFiles(directory)
        try:
            files.prepare()
            database = Database.open(directory / "index.db")
            try:
                files.clear_temporary()
                journal = Journal(directory / "puts.journal")
                try:
                    index = Index(database, journal, lambda: int(clock() * 1000))
                    store = cls(files, database, journal, index, capacity_bytes, verify)
                    store._room_for(lambda: adoption.adopt(files, index, journal))
                except BaseException:
                    journal.close()
                    raise
            except BaseException:
                database.close()
                raise
        except OSError as error:
            if not is_disk_full(error):
                raise StateError(
                    f"the store cannot be opened: {directory}",
                    cause=str(error),
                    hint="make the directory usable for this user, or set BUILDNET_HOME",
                ) from error
            raise StoreFullError(
                f"no room to open the store: {directory}",
                cause=str(error),
                hint="free space on its volume, or set BUILDNET_HOME to another one",
            ) from error
        return store

    def close(self) -> None:
        """Write what was gathered and close. Closing twice is harmless."""
        if self._journal.closed:
            return
        try:
            # Without the lock: a table takes its own first and the store's then.
            for table in list(self._tables.values()):
                table.flush()
            with self._lock:
                self._room_for(self._index.flush)
        finally:
            with self._lock:
                self._journal.close()
                self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def hold(self) -> Hold:
        """Return a new hold, to be closed by its build; see :mod:`buildnet.node.store.holds`."""
        return Hold(self)

    # Results

    def get_action(
        self, action: Digest, accepted: frozenset[str], *, hold: Hold | None = None
    ) -> ActionRecord | None:
        """Return the result of an action, or None.

        It is a hit if the isolation level is one of ``accepted``, every blob that the result refers
        to exists, and the signature is good. A record that fails one of the last two is dropped.
        """
        hash = key_of(action.hash)
        with self._lock:
            found = self._actions.find(hash)
            if found is None or found[0].isolation not in accepted:
                self._index.totals.misses += 1
                return None
            record, used_at_ms = found
            if hold is not None:
                self.retain(hold, (action, *record.references))
            if len(self._present_of(record.references)) < len(set(record.references)):
                self._index.totals.misses += 1
                self._write(lambda connection: delete_record(connection, hash))
                return None
            self._index.use_action(hash, used_at_ms)
        trusted = self._verify(record)  # outside the lock: it takes its time
        with self._lock:
            if trusted:
                self._index.hit(hash)
                return record
            self._index.totals.misses += 1
            now = self._actions.find(hash)
            if now is not None and now[0] == record:  # no other was put meanwhile
                self._write(lambda connection: delete_record(connection, hash))
            return None

    def peek_action(self, action: Digest) -> ActionRecord | None:
        """Return an action's result as it stands there, whether it could be used or not; it counts
        as no look-up and no use."""
        with self._lock:
            found = self._actions.find(key_of(action.hash))
        return None if found is None else found[0]

    def put_action(self, record: ActionRecord, *, hold: Hold | None = None) -> None:
        """Store a result; an earlier one of the same action is replaced. Committed when it returns.

        Raises:
            MissingBlobError: the store does not have a blob that the result refers to.
        """
        with self._keeping((record.action, *record.references), hold), self._lock:
            present = self._present_of(record.references)
            for blob in record.references:
                if blob not in present:
                    raise missing_blob(blob)
            now_ms = self._index.now_ms()
            self._write(lambda connection: put_record(connection, record, now_ms))

    def record_run(
        self, workspace_id: str, task: str, run: LastRun, made: Made | None = None
    ) -> None:
        """Note what a task of a workspace ran last, and what of it patterns matched, which no
        collection takes away. Committed when it returns."""

        def put_both(connection: sqlite3.Connection) -> None:
            put_run(connection, workspace_id, task, run)
            if made is not None:
                put_made(connection, workspace_id, task, made)

        self._write(put_both)

    def record_made(self, workspace_id: str, task: str, made: Made) -> None:
        """Note what patterns of outputs match, or are about to. Committed when it returns."""
        self._write(lambda connection: put_made(connection, workspace_id, task, made))

    def record_runs(self, workspace_id: str, runs: Mapping[str, LastRun]) -> None:
        """Note what several tasks of a workspace ran last, in one transaction."""

        def put_all(connection: sqlite3.Connection) -> None:
            for task, run in runs.items():
                put_run(connection, workspace_id, task, run)

        if runs:
            self._write(put_all)

    def last_run(self, workspace_id: str, task: str) -> LastRun | None:
        """Return what a task ran last, or None."""
        return self._actions.last_run(workspace_id, task)

    def made(self, workspace_id: str, task: str) -> Made:
        """Return what patterns matched of a task's last run, see :meth:`record_run`."""
        return self._actions.made(workspace_id, task)

    def file_table(self, workspace_id: str) -> FileTable:
        """Return the stat table of a workspace, always the same object."""
        with self._lock:
            if workspace_id not in self._tables:
                self._tables[workspace_id] = FileTable(self._database, workspace_id, self._write)
            return self._tables[workspace_id]

    # Looking at it and looking after it

    def stats(self) -> StoreStats:
        """Return what is in the store. Makes no room for that: who looks must not lose results."""
        with self._lock:
            try:
                self._index.flush()
            except OSError as error:
                if not is_disk_full(error):
                    raise
            oldest_ms = self._index.oldest_use_ms()
            totals, scrubbed = self._index.totals, self.scrubbed()
            return StoreStats(
                blobs=totals.blobs,
                bytes=totals.bytes,
                actions=self._actions.count(),
                capacity_bytes=self._collector.capacity_bytes,
                hits=totals.hits,
                misses=totals.misses,
                oldest_used_at=None if oldest_ms is None else oldest_ms / 1000,
                free_bytes=self._files.free_bytes(),
                index_bytes=sum(path.stat().st_size for path in self.directory.glob("index.db*")),
                held=len(self._held),
                disk_bytes_max=totals.bytes + totals.blobs * self._files.block_bytes(),
                scrubbed_at=scrubbed.finished_at,
                damaged=scrubbed.damaged,
            )

    @property
    def capacity_bytes(self) -> int:
        """The bound on the sum of the blobs' sizes; what is above another one goes as builds end
        and blobs come."""
        return self._collector.capacity_bytes

    @capacity_bytes.setter
    def capacity_bytes(self, bound: int) -> None:
        with self._lock:
            self._collector.capacity_bytes = bound

    def list_actions(
        self, limit: int = 100, cursor: int | None = None, label: str | None = None
    ) -> ActionPage:
        """Return stored results, newest first; ``label`` keeps those whose label contains it."""
        return self._actions.page(limit, cursor, label)

    def latest_actions(self, label: str, limit: int) -> list[Digest]:
        """Return at most ``limit`` actions of exactly that label which have results, newest first.
        It takes the same time however many results there are."""
        return self._actions.latest(label, limit)

    def durations_ms(self, labels: Sequence[str]) -> Mapping[str, float]:
        """Return how long the commands of the newest results of these labels took, by label."""
        return self._actions.durations_ms(labels)

    def executed_ms(self, actions: Sequence[Digest]) -> Mapping[str, float]:
        """Return how long the commands of these actions ran where their results, if they are here,
        were made, by the actions' hashes."""
        return self._actions.executed_ms([key_of(action.hash) for action in actions])

    def show(self, prefix: str) -> ActionDetails | BlobDetails:
        """Return the result, else the blob, whose hash begins with ``prefix``.

        Raises:
            NotFoundError: there is none.
            AmbiguousIdError: there are several.
        """
        if not re.fullmatch(r"[0-9a-f]{1,64}", prefix):
            raise _nothing_called(prefix)
        with self._lock:
            self._room_for(self._index.flush)
            for table, details in (
                ("actions", self._action_details),
                ("blobs", self._blob_details),
            ):
                low, high = (bytes.fromhex(prefix.ljust(64, end)) for end in "0f")
                rows = self._database.rows(
                    f"SELECT hash, size_bytes, used_at_ms FROM {table}"
                    " WHERE hash BETWEEN ? AND ? LIMIT 4",
                    (low, high),
                )
                if len(rows) > 1:
                    names = ", ".join(row[0].hex()[: max(12, len(prefix) + 4)] for row in rows[:3])
                    raise AmbiguousIdError(
                        f"{prefix} is the beginning of several ids: {names}"
                        f"{', …' if len(rows) > 3 else ''}",
                        hint="give more digits",
                    )
                if rows:
                    hash, size_bytes, used_at_ms = rows[0]
                    return details(Digest(hash.hex(), size_bytes), used_at_ms / 1000)
        raise _nothing_called(prefix)

    def collect(
        self, target_bytes: int, cancelled: Callable[[], bool] = lambda: False
    ) -> CollectReport:
        """Remove what was used longest ago until at most ``target_bytes`` remain. What running
        builds hold stays."""
        return self._room_for(lambda: self._collector.collect(target_bytes, cancelled))

    def delete(self, prefix: str) -> CollectReport:
        """Remove the result whose action's hash begins with ``prefix``, and the blobs that only it
        needs. What running builds hold of it stays.

        Raises:
            NotFoundError: there is none.
            AmbiguousIdError: there are several.
        """
        with self._lock:
            found = self.show(prefix)
            if isinstance(found, BlobDetails):
                raise _nothing_called(prefix)
            action = key_of(found.record.action.hash)
            return self._room_for(
                lambda: self._collector.delete(action, self._actions.own_blobs(action))
            )

    def clear(self) -> CollectReport:
        """Remove all blobs and results but what running builds hold, and start counting anew. What
        is known of the workspaces stays, files and last runs: what stands there needs no cache."""
        removed = self._room_for(self._collector.clear)
        with self._lock:
            self._index.totals.hits = self._index.totals.misses = 0
            self._room_for(self._index.flush)
        return removed

    def verify(
        self, progress: Progress | None = None, cancelled: Callable[[], bool] | None = None
    ) -> VerifyReport:
        """Read every blob and compare it with its name; repair what does not agree.

        Args:
            progress: called with blobs checked and blobs to check.
            cancelled: asked before each blob; True ends the walk, what was repaired stays.

        Raises:
            StateError: the index itself is damaged; nothing was changed.
        """
        return self._room_for(
            lambda: Verification(self._files, self._index, progress, cancelled).run()
        )

    def scrub(self, cancelled: Callable[[], bool]) -> VerifyReport:
        """Verify the next 256th of the blobs, as :meth:`verify` does; see :meth:`scrubbed`.

        Args:
            cancelled: asked before each blob; True ends it, and this part comes again.
        """
        before = self.scrubbed()
        verification = Verification(self._files, self._index, None, cancelled)
        found = self._room_for(lambda: verification.run_part(PREFIXES[before.next_part]))
        if not found.cancelled:
            damaged = len(found.damaged) + (before.damaged if before.next_part else 0)
            now = Scrubbed(before.next_part + 1, damaged, before.finished_at)
            if now.next_part == len(PREFIXES):
                now = Scrubbed(0, damaged, self._index.now_ms() / 1000)

            def note(connection: sqlite3.Connection) -> None:
                connection.execute("DELETE FROM scrub")
                row = (now.next_part, now.damaged, now.finished_at)
                connection.execute("INSERT INTO scrub VALUES (?, ?, ?)", row)

            self._write(note)
        return found

    def scrubbed(self) -> Scrubbed:
        """Return how far :meth:`scrub` has come."""
        row = self._database.row("SELECT next, damaged, at FROM scrub")
        return Scrubbed() if row is None else Scrubbed(*row)

    def _action_details(self, digest: Digest, used_at: float) -> ActionDetails:
        found = self._actions.find(key_of(digest.hash))
        assert found is not None  # the lock is held since the row was seen
        record, _ = found
        missing = tuple(blob for blob in record.references if not self._files.present(blob))
        hits = self._actions.hits(key_of(digest.hash))
        return ActionDetails(record, used_at, hits, missing)

    def _blob_details(self, digest: Digest, used_at: float) -> BlobDetails:
        referring = self._actions.referring_to(key_of(digest.hash))
        path = Path(self._files.path(digest.hash))
        return BlobDetails(digest, used_at, path, tuple(referring))


def _nothing_called(prefix: str) -> NotFoundError:
    return NotFoundError(
        f"the store has nothing whose id begins with {prefix[:80]!r}",
        hint="buildnet cache list shows the stored results",
    )
