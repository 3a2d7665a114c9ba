"""Reading every blob again, and bringing index and files back into agreement."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from buildnet.mesh.digest import Digest
from buildnet.node.store.blobs import BlobFiles
from buildnet.node.store.errors import DamagedBlobError, MissingBlobError, StateError
from buildnet.node.store.index import Index

Progress = Callable[[int, int], None]
"""Called with the blobs that were checked and how many there are to check."""

PREFIXES = tuple(f"{number:02x}" for number in range(256))


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found, and did about it.

    - ``damaged``: files that held other bytes than their name says; dropped.
    - ``missing``: hashes of rows without a file; dropped.
    - ``orphans``: files without a row; adopted.
    - ``repaired``: corrections of the index: rows dropped and adopted, records of results dropped
      with their blobs, wrong totals.
    """

    checked: int
    bytes: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    orphans: tuple[str, ...]
    repaired: int
    cancelled: bool


class Verification:
    """One walk over all blobs. Builds may use the store meanwhile."""

    def __init__(
        self,
        files: BlobFiles,
        index: Index,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._files = files
        self._index = index
        self._lock = index.database.lock
        self._progress = progress or (lambda checked, total: None)
        self._cancelled = cancelled or (lambda: False)
        self._checked = self._bytes = self._repaired = 0
        self._damaged: list[str] = []
        self._missing: list[str] = []
        self._orphans: list[str] = []

    def run(self) -> VerifyReport:
        """Check the index file, then every blob.

        Raises:
            StateError: the index itself is damaged; nothing was changed.
        """
        self._check_index()
        cancelled = not all(self._check_prefix(prefix) for prefix in PREFIXES)
        if not cancelled:
            with self._lock:
                self._repaired += self._index.recount()
        return self._report(cancelled)

    def run_part(self, prefix: str) -> VerifyReport:
        """Check the blobs whose hash begins with one of :data:`PREFIXES`."""
        return self._report(not self._check_prefix(prefix))

    def _report(self, cancelled: bool) -> VerifyReport:
        return VerifyReport(
            self._checked,
            self._bytes,
            tuple(self._damaged),
            tuple(self._missing),
            tuple(self._orphans),
            self._repaired,
            cancelled,
        )

    def _check_index(self) -> None:
        database = self._index.database
        ((found,), *_) = database.rows("PRAGMA quick_check(1)")
        if found != "ok":
            raise StateError(
                f"the index of the store is damaged: {database.path}",
                cause=str(found),
                hint=f"stop the node and move {database.path} aside: the next start makes a new"
                " index and adopts the stored blobs",
            )

    def _check_prefix(self, prefix: str) -> bool:
        """Check the blobs whose hash begins with ``prefix``; False if cancelled."""
        with self._lock:
            known = self._index.hashes(prefix)
        for entry in list(self._files.walk(prefix)):
            if self._cancelled():
                return False
            self._check_blob(entry, known)
        for hash in sorted(known):
            self._check_row(hash)
        return True

    def _check_blob(self, entry: os.DirEntry[str], known: set[bytes]) -> None:
        hash = bytes.fromhex(entry.name)
        try:
            found = entry.stat(follow_symlinks=False)
            digest = Digest(entry.name, found.st_size)
            try:
                if not stat.S_ISREG(found.st_mode):
                    raise DamagedBlobError("not a file", file=(found.st_dev, found.st_ino))
                self._files.verify(digest)
            except DamagedBlobError as error:
                self._drop(hash, error)
            else:
                self._bytes += digest.size_bytes
                if hash not in known:
                    self._adopt(digest)
            self._checked += 1
        except (FileNotFoundError, MissingBlobError):
            pass  # collected while we walked
        known.discard(hash)
        self._progress(self._checked, max(self._checked, self._index.totals.blobs))

    def _drop(self, hash: bytes, error: DamagedBlobError) -> None:
        with self._lock:
            self._index.journal_removal((Digest(hash.hex(), 0),))
            if self._files.remove(hash.hex(), error.file):
                self._damaged.append(hash.hex())
                self._repaired += self._drop_row(hash)

    def _drop_row(self, hash: bytes) -> int:
        rows, results = self._index.drop((hash,))
        return rows + results

    def _adopt(self, digest: Digest) -> None:
        with self._lock:
            # It may have been put, or collected, since the rows of this prefix were read.
            unknown = self._index.used_at_ms(bytes.fromhex(digest.hash)) is None
            if unknown and self._files.present(digest):
                self._index.add(digest)
                self._index.flush()
                self._orphans.append(digest.hash)
                self._repaired += 1

    def _check_row(self, hash: bytes) -> None:
        """A row whose file the walk did not meet."""
        with self._lock:
            if not self._files.exists(hash.hex()) and self._drop_row(hash):
                self._missing.append(hash.hex())
                self._repaired += 1
