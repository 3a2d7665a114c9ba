"""Which blobs were stored since the index was last committed.

Rows of new blobs reach the index in batches. Between a blob's rename and the commit of its row, a
killed process would leave a file that no row knows and no collection ever removes. So the blob's
name goes into this file first (a few microseconds: no flush, the page cache outlives the process);
the commit empties it, and the next start adopts what it finds in it.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from buildnet.mesh.digest import Digest

_RECORD = struct.Struct("<32sQ")


class PutJournal:
    """An append-only file of digests. Used by one thread at a time (the store's lock)."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._count = os.fstat(self._descriptor).st_size // _RECORD.size
        self.closed = False

    def read(self) -> list[Digest]:
        """Return what was added since the last :meth:`clear`."""
        whole = os.pread(self._descriptor, self._count * _RECORD.size, 0)  # no torn record
        return [Digest(raw.hex(), size) for raw, size in _RECORD.iter_unpack(whole)]

    def add(self, digest: Digest) -> None:
        """Note a blob that is about to get its name.

        Raises:
            OSError: the volume is full.
        """
        # At a fixed place: a record that was torn by a full disk is written over by the next one.
        record = _RECORD.pack(bytes.fromhex(digest.hash), digest.size_bytes)
        os.pwrite(self._descriptor, record, self._count * _RECORD.size)
        self._count += 1

    def clear(self) -> None:
        """Forget everything: the index has it."""
        if self._count:
            os.ftruncate(self._descriptor, 0)
            self._count = 0

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        if not self.closed:
            self.closed = True
            os.close(self._descriptor)
