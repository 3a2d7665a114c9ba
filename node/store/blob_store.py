"""Blobs with what makes them safe to use: rows, holds, the bound, and what to do on a full disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from buildnet.mesh.digest import Digest
from buildnet.node.store.blobs import CHUNK_BYTES, BlobFiles, key_of, open_source
from buildnet.node.store.collection import Collector
from buildnet.node.store.errors import (
    DamagedBlobError,
    MissingBlobError,
    SourceChangedError,
    StoreFullError,
    is_disk_full,
    missing_blob,
)
from buildnet.node.store.holds import HeldHashes, Hold
from buildnet.node.store.index import GATHERED_MAX, Index

T = TypeVar("T")


class Incoming:
    """A blob on its way into the store; write it through ``descriptor``, then close it."""

    def __init__(self, store: BlobStore, digest: Digest, path: str, descriptor: int) -> None:
        self.digest = digest
        self.path = path
        self.descriptor = descriptor
        self._store = store

    def close(self, *, whole: bool) -> None:
        """Make it a blob of the store if it came ``whole`` and its bytes are what its digest says;
        otherwise remove it.

        Raises:
            StoreFullError: there is no room for its row.
        """
        os.close(self.descriptor)
        if whole:
            self._store.accept(self)
        else:
            self._store.refuse(self)


class BlobStore:
    """The part of the store that knows blobs only.

    A file gets or loses its name while the store's lock is held, together with its row; bytes are
    read and written without the lock.
    """

    def __init__(self, files: BlobFiles, index: Index, capacity_bytes: int) -> None:
        self.directory = files.directory
        self._files = files
        self._index = index
        self._lock = index.database.lock
        self._held = HeldHashes()
        self._collector = Collector(files, index, self._held, capacity_bytes)

    # Holding

    def retain(self, hold: Hold, digests: Iterable[Digest]) -> None:
        """Add ``digests`` to a hold."""
        with self._lock:
            if hold.closed:
                raise ValueError("the hold is closed")
            for digest in digests:
                if digest.hash not in hold.hashes:
                    hold.hashes.add(digest.hash)
                    self._held.retain(digest.hash)

    def release(self, hold: Hold) -> None:
        """Close a hold, and collect if its build has taken the store over its bound."""
        with self._lock:
            if hold.closed:
                return
            hold.closed = True
            for hash in hold.hashes:
                self._held.release(hash)
            hold.hashes.clear()
        if not self._index.closed:
            self._room_for(self._collector.hold_closed)

    # Blobs

    def put(self, data: bytes, *, hold: Hold | None = None) -> Digest:
        """Store ``data``; return its digest. Cheap if the store has it.

        Raises:
            StoreFullError: the volume is full, and collecting did not help.
        """
        digest = Digest.of(data)
        if not self._known(digest, hold):
            self._put(data, digest)
        return digest

    def put_file(
        self, path: Path | str, expected: Digest | None = None, *, hold: Hold | None = None
    ) -> Digest:
        """Store a copy of a file; return the digest of what was copied.

        With ``expected`` the file is not read if the store has that blob.

        Raises:
            SourceFileError: not a regular file, or not readable.
            SourceChangedError: its bytes are not ``expected``.
            StoreFullError: the volume is full, and collecting did not help.
        """
        if expected is not None and self._known(expected, hold):
            return expected
        with open_source(path) as (file, size_bytes):
            is_small = size_bytes <= CHUNK_BYTES
            data = os.read(file, size_bytes + 1) if is_small else b""
            if is_small and len(data) == size_bytes:  # else it grows or shrinks at this moment
                digest = Digest.of(data)
                _check_unchanged(path, digest, expected)
                if expected is not None or not self._known(digest, hold):
                    self._put(data, digest)
                return digest
            limit = None if expected is None else expected.size_bytes
            temporary, digest = self._room_for(lambda: self._files.copy_in(file, limit), size_bytes)
        try:
            _check_unchanged(path, digest, expected)
            known = self._known(digest, hold)
        except BaseException:
            self._files.discard(temporary)
            raise
        if known:
            self._files.discard(temporary)
        else:
            self._publish(temporary, digest)
        return digest

    def get(self, digest: Digest, *, hold: Hold | None = None) -> bytes:
        """Return a blob's bytes, verified.

        Raises:
            MissingBlobError: the store does not have it.
            DamagedBlobError: it held other bytes; it was dropped, with the results that need it.
        """
        with self._reading(digest, hold):
            return self._files.read(digest)

    def read(self, digest: Digest, offset: int, limit: int, *, hold: Hold | None = None) -> bytes:
        """Return at most ``limit`` bytes of a blob from ``offset``; for large logs.

        The whole blob is read and verified each time, so ask for large ranges. Raises as
        :meth:`get`.
        """
        with self._reading(digest, hold):
            return self._files.read_range(digest, offset, limit)

    def copy_to(
        self,
        digest: Digest,
        destination: Path | str,
        executable: bool = False,
        mtime_ns: int | None = None,
        *,
        fresh: bool = False,
        hold: Hold | None = None,
    ) -> os.stat_result:
        """Copy a blob to a path, mode 0644 or 0755; a file that stands there is replaced. Return
        what the whole copy is.

        The copy has a temporary name (``.buildnet-…``, beside the destination) until it is whole
        and verified; not with ``fresh``, for a directory that is still being filled: there nothing
        may stand at the path. The parent directory must exist.

        Raises:
            MissingBlobError, DamagedBlobError: as :meth:`get`.
            StoreFullError: the destination's volume is full, and collecting did not help.
            OSError: the destination cannot be written. It is then as it was before.
        """
        with self._reading(digest, hold):
            return self._room_for(
                lambda: self._files.copy_out(
                    digest, destination, executable, mtime_ns, fresh=fresh
                ),
                digest.size_bytes,
            )

    def missing(self, digests: Iterable[Digest], *, hold: Hold | None = None) -> set[Digest]:
        """Return which of ``digests`` the store does not have."""
        asked = set(digests)
        if hold is not None:
            self.retain(hold, asked)
        with self._lock:
            return asked - self._present_of(asked)

    # From and to peers

    def descriptor(self, digest: Digest) -> int:
        """Open a blob and return the descriptor, which is the caller's to close. It stays readable
        if the blob is collected. The bytes are not verified: whoever gets them does.

        Raises:
            MissingBlobError, DamagedBlobError: it is not there, or not of its size.
        """
        with self._reading(digest, None):
            return self._files.open(digest)

    def receive(self, digest: Digest) -> Incoming:
        """Make room for a blob that comes from elsewhere, and a file for it.

        Raises:
            StoreFullError: the volume is full, and collecting did not help.
        """
        if self._files.free_bytes() < digest.size_bytes:
            self._collector.make_room(digest.size_bytes)
        path, descriptor = self._room_for(self._files.create, digest.size_bytes)
        return Incoming(self, digest, path, descriptor)

    def accept(self, incoming: Incoming) -> None:
        """Give a blob that came its name; its bytes were compared with its digest."""
        self._publish(incoming.path, incoming.digest)

    def refuse(self, incoming: Incoming) -> None:
        """Remove what came of a blob."""
        self._files.discard(incoming.path)

    # Inside

    def _put(self, data: bytes, digest: Digest) -> None:
        """Store ``data``, of that digest, which is held and not there, or was not a moment ago."""
        temporary = self._room_for(lambda: self._files.write(data), len(data))
        self._publish(temporary, digest)

    def _known(self, digest: Digest, hold: Hold | None) -> bool:
        """Hold a blob that is about to be put; return whether it is there already."""
        with self._lock:
            if hold is not None:
                self.retain(hold, (digest,))
            return self._present(digest)

    def _present(self, digest: Digest) -> bool:
        """Whether the blob is there; if so it is used now. The lock is held."""
        return bool(self._present_of((digest,)))

    def _present_of(self, digests: Iterable[Digest]) -> set[Digest]:
        """Return the blobs that are there; those are used now. The lock is held."""
        present = {digest for digest in digests if self._files.present(digest)}
        hashes = {digest: key_of(digest.hash) for digest in present}
        uses_ms = self._index.uses_ms(tuple(hashes.values()))
        for digest, hash in hashes.items():
            if hash in uses_ms:
                self._index.use(hash, uses_ms[hash])
            else:
                self._index.add(digest)  # a power failure took the row and left the file
        return present

    def _publish(self, temporary: str, digest: Digest) -> None:
        """Give a written blob its name and its row, then keep the bound."""

        def publish() -> None:
            with self._lock:
                self._index.journal((digest,))
                self._files.publish(temporary, digest)
                self._index.add(digest)

        try:
            self._room_for(publish)
        except BaseException:
            self._files.discard(temporary)
            raise
        self._write_gathered()
        self._room_for(lambda: self._collector.trim(digest.size_bytes, keep=digest.hash))

    @contextmanager
    def _keeping(self, digests: Iterable[Digest], hold: Hold | None) -> Iterator[None]:
        """Add to a hold; without one, see that an emergency collection spares these meanwhile."""
        if hold is not None:
            self.retain(hold, digests)
            yield
            return
        hashes = {digest.hash for digest in digests}
        with self._lock:
            for hash in hashes:
                self._held.retain(hash)
        try:
            yield
        finally:
            with self._lock:
                for hash in hashes:
                    self._held.release(hash)

    @contextmanager
    def _reading(self, digest: Digest, hold: Hold | None) -> Iterator[None]:
        """Around the reading of a blob: hold it, note the use, drop it if it turns out damaged."""
        hash = key_of(digest.hash)
        try:
            if hold is not None:
                self.retain(hold, (digest,))
                yield
            else:
                with self._keeping((digest,), None):
                    yield
        except DamagedBlobError as error:
            with self._lock:
                if self._index.size_bytes(hash) not in (None, digest.size_bytes):
                    raise missing_blob(digest) from error  # it was asked for with a wrong size
                self._index.journal_removal((digest,))
                if self._files.remove(digest.hash, error.file):
                    self._room_for(lambda: self._index.drop((hash,)))
            raise
        except MissingBlobError:
            with self._lock:
                gone = not self._files.exists(digest.hash)
                if gone and self._index.size_bytes(hash) is not None:
                    self._room_for(lambda: self._index.drop((hash,)))
            raise
        with self._lock:
            self._index.use(hash)
        self._write_gathered()

    def _write_gathered(self) -> None:
        if self._index.gathered >= GATHERED_MAX:
            with self._lock:
                self._room_for(self._index.flush)

    def _write(self, operation: Callable[[sqlite3.Connection], object]) -> None:
        """Commit what was gathered and ``operation`` in one transaction."""
        with self._lock:
            self._room_for(lambda: self._index.commit(operation))

    def _room_for(self, operation: Callable[[], T], needed_bytes: int = 0) -> T:
        """Run ``operation``; if the volume is full, collect and run it once more."""
        try:
            return operation()
        except OSError as error:
            if not is_disk_full(error):
                raise
        try:
            self._collector.make_room(needed_bytes)
            return operation()
        except OSError as error:
            if not is_disk_full(error):
                raise
            totals = self._index.totals
            raise StoreFullError(
                f"no room left on the volume: {needed_bytes:,} bytes could not be written",
                cause=f"{self._files.free_bytes():,} bytes are free there; the store"
                f" ({self.directory}) holds {totals.bytes:,} bytes in {totals.blobs:,} blobs, and"
                f" {len(self._held):,} of them are needed by running builds",
                hint="free space on the volume, or set BUILDNET_HOME to a larger one",
            ) from error


def _check_unchanged(path: Path | str, digest: Digest, expected: Digest | None) -> None:
    if expected is not None and digest != expected:
        raise SourceChangedError(
            f"{path} changed while it was read",
            cause=f"expected {expected}, found {digest}",
            hint="build again when nothing writes to it",
        )
