"""Keeping the store within its bound: what was used longest ago goes first.

What is larger than the bound can't be kept, whatever else goes: it goes before all others, and as
long as a build holds it, it does not count. So one huge result never costs the small ones.

Collection runs in small batches, each under the store's lock: a blob's file is removed while nobody
can put, look up or hold it, and the rows of the batch go in one transaction right after. What a
process leaves that is killed in between is in the journal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from buildnet.mesh.digest import Digest
from buildnet.node.store.actions import delete_record, delete_unused
from buildnet.node.store.blobs import BlobFiles
from buildnet.node.store.errors import is_disk_full
from buildnet.node.store.holds import HeldHashes
from buildnet.node.store.index import START, Index, Position

BATCH = 256
"""Blobs that are removed while the lock is held once: about 10 ms."""

LOW_WATER = 0.9
"""Collection that has begun goes on down to this part of the capacity, so that it is not needed
again at the next put."""


@dataclass(frozen=True, slots=True)
class CollectReport:
    """What a collection removed; ``bytes`` is the size of the blobs."""

    blobs: int
    actions: int
    bytes: int

    def __add__(self, other: CollectReport) -> CollectReport:
        return CollectReport(
            self.blobs + other.blobs, self.actions + other.actions, self.bytes + other.bytes
        )


_END_OF_TIME_MS = _EVERYTHING = 1 << 62
NOTHING = CollectReport(0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Batch:
    removed: CollectReport
    kept_bytes: int
    reached: Position
    exhausted: bool


class Collector:
    """Decides what goes, and removes it."""

    def __init__(
        self, files: BlobFiles, index: Index, held: HeldHashes, capacity_bytes: int
    ) -> None:
        self.capacity_bytes = capacity_bytes
        self._files = files
        self._index = index
        self._held = held
        self._lock = index.database.lock
        self._trimming_from: Position | None = None
        self._unfit_bytes = 0
        self._stalled_until_bytes = 0

    def trim(self, added_bytes: int, keep: str | None = None) -> None:
        """After a put of ``added_bytes``: remove some blobs if the bound is crossed.

        Each call removes at least twice what was added, as long as there is anything, so that the
        bound holds and no single put has to wait for a long collection. ``keep`` is the hash that
        was just put.
        """
        if self._trimming_from is None and self._index.totals.bytes <= self.capacity_bytes:
            return
        freed = 0
        while freed < 2 * added_bytes or freed == 0:
            with self._lock:
                if self._trimming_from is None:
                    total = self._index.totals.bytes
                    if total <= self.capacity_bytes or total < self._stalled_until_bytes:
                        return
                    _, self._unfit_bytes = self._drop_unfit(self.capacity_bytes, keep)
                    if self._excess(self.capacity_bytes + self._unfit_bytes) <= 0:
                        return
                    self._trimming_from = START
                goal = self._excess(int(LOW_WATER * self.capacity_bytes) + self._unfit_bytes)
                if goal <= 0:
                    self._trimming_from = None
                    return
                batch = self._batch(self._trimming_from, goal, keep)
                self._trimming_from = batch.reached
                freed += batch.removed.bytes
                if batch.exhausted:
                    # Everything left is held. Looking again is worth it when a hold has closed or
                    # a good deal was added.
                    self._trimming_from = None
                    self._stalled_until_bytes = self._index.totals.bytes + self.capacity_bytes // 20
                    return

    def hold_closed(self) -> None:
        """Something was let go: get back under the bound if a build has crossed it."""
        self._stalled_until_bytes = 0
        if self._index.totals.bytes > self.capacity_bytes:
            self.collect(self.capacity_bytes)

    def collect(
        self, target_bytes: int, cancelled: Callable[[], bool] = lambda: False
    ) -> CollectReport:
        """Remove what was used longest ago down to ``target_bytes``, held ones aside; and before
        that what is larger, if it is not held. Held ones that are larger come on top."""
        unfit, unfit_bytes = self._drop_unfit(target_bytes, None, cancelled)
        return unfit + self._drop_oldest(target_bytes + unfit_bytes, cancelled)

    def clear(self) -> CollectReport:
        """Remove everything that is not held: blobs, and the results that are left without any."""
        report = self.collect(-1)
        with self._lock:
            actions = self._index.commit(
                lambda connection: delete_unused(
                    connection, _END_OF_TIME_MS, lambda hash: hash.hex() in self._held
                )
            )
        return CollectReport(report.blobs, report.actions + actions, report.bytes)

    def delete(self, action: bytes, own: Sequence[Digest]) -> CollectReport:
        """Remove a result, and of its ``own`` blobs, which no other one needs, what is not held."""
        with self._lock:
            victims = [blob for blob in own if blob.hash not in self._held]
            self._index.journal_removal(victims)
            gone: list[Digest] = []
            try:
                for blob in victims:
                    self._files.remove(blob.hash)
                    gone.append(blob)
            finally:
                hashes = [bytes.fromhex(blob.hash) for blob in gone]
                _, actions = self._index.drop(hashes, lambda all: delete_record(all, action))
        return CollectReport(len(gone), actions, sum(blob.size_bytes for blob in gone))

    def make_room(self, needed_bytes: int) -> CollectReport:
        """The volume is full: free what is needed and a tenth of the store, unless even the whole
        store would not be enough. (Where a quota is the limit, the volume may have room.)"""
        total = self._index.totals.bytes
        if needed_bytes > self._files.free_bytes() + total:
            return NOTHING
        try:
            report = self._drop_oldest(max(0, total - needed_bytes - total // 10), lambda: False)
        except OSError as error:  # nothing can go, or not even that can be written down
            if not is_disk_full(error):
                raise
            report = NOTHING
        with suppress(OSError):  # no room for that either: it may be enough without
            self._index.database.shrink_log()
        return report

    def _excess(self, bound_bytes: int) -> int:
        return self._index.totals.bytes - bound_bytes

    def _drop_unfit(
        self, bound_bytes: int, keep: str | None, cancelled: Callable[[], bool] = lambda: False
    ) -> tuple[CollectReport, int]:
        """If the store is over a bound, remove the blobs that are larger than it; return also the
        bytes of those that are held."""
        removed, held_bytes, position = NOTHING, 0, START
        while not cancelled():
            with self._lock:
                if self._excess(bound_bytes) <= 0:
                    break
                batch = self._batch(position, _EVERYTHING, keep, larger_than=bound_bytes)
            position = batch.reached
            removed += batch.removed
            held_bytes += batch.kept_bytes
            if batch.exhausted:
                break
        return removed, held_bytes

    def _drop_oldest(self, bound_bytes: int, cancelled: Callable[[], bool]) -> CollectReport:
        removed, position = NOTHING, START
        while not cancelled():
            with self._lock:
                excess = self._excess(bound_bytes)
                if excess <= 0:
                    break
                batch = self._batch(position, excess, None)
            position = batch.reached
            removed += batch.removed
            if batch.exhausted:
                break
        return removed

    def _batch(
        self, after: Position, goal_bytes: int, keep: str | None, larger_than: int | None = None
    ) -> _Batch:
        """Remove at most :data:`BATCH` blobs, or until ``goal_bytes`` are freed."""
        waiting = self._index.gathered  # written by this batch's transaction, seen by the next
        rows = self._index.oldest(after, BATCH, larger_than)
        exhausted = len(rows) < BATCH and not waiting
        victims: list[tuple[Position, int]] = []
        reached, freed, kept = after, 0, 0
        for position, size_bytes in rows:
            if freed >= goal_bytes:
                exhausted = False
                break
            reached = position
            hash = position.hash.hex()
            if self._index.used_since(position):
                continue  # it comes again, later in the order
            if hash == keep or hash in self._held:
                kept += size_bytes
                continue
            victims.append((position, size_bytes))
            freed += size_bytes
        self._index.journal_removal(
            [Digest(position.hash.hex(), size_bytes) for position, size_bytes in victims]
        )
        gone: list[bytes] = []
        try:
            for position, _ in victims:
                self._files.remove(position.hash.hex())
                gone.append(position.hash)
        except BaseException:
            self._index.drop(gone)
            raise
        # A result that has no blob of its own, such as a check without output, goes by age.
        by_age = victims and larger_than is None
        horizon_ms = victims[-1][0].used_at_ms if by_age else 0

        def also(connection: sqlite3.Connection) -> int:
            return delete_unused(connection, horizon_ms, lambda hash: hash.hex() in self._held)

        _, actions = self._index.drop(gone, also)
        return _Batch(CollectReport(len(victims), actions, freed), kept, reached, exhausted)
