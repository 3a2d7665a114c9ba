"""Which blobs got or lost their file since the index was last committed.

Rows reach the index in batches. Between a blob's rename and the commit of its row, a killed process
would leave a file that no row knows and no collection ever removes; between a removal and its
commit, a row and results without a file. So the blob's name goes into this file first (a few
microseconds: no flush, the page cache outlives the process); the commit empties it, and the next
start looks at the files that are named in it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from buildnet.mesh.digest import Digest

_RECORD = struct.Struct("<32sQ")
_END = bytes(_RECORD.size)
# Room for what may be named between two commits, so that on a full volume blobs can be removed.
_ALLOCATED_BYTES = 64 << 10


class Journal:
    """A file of digests. Used by one thread at a time (the store's lock)."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if hasattr(os, "posix_fallocate"):  # not on macOS
            with suppress(OSError):  # no room, or not on this file system: it grows as needed
                os.posix_fallocate(self._descriptor, 0, _ALLOCATED_BYTES)
        self._count = len(self.read())
        self.closed = False

    def read(self) -> list[Digest]:
        """Return what was added since the last :meth:`clear`."""
        size_bytes = os.fstat(self._descriptor).st_size
        whole = os.pread(self._descriptor, size_bytes - size_bytes % _RECORD.size, 0)
        digests = []
        for raw, size in _RECORD.iter_unpack(whole):
            if not any(raw):
                break
            digests.append(Digest(raw.hex(), size))
        return digests

    def add(self, digests: Sequence[Digest]) -> None:
        """Note blobs that are about to get their name, or to be removed.

        Raises:
            OSError: the volume is full.
        """
        # At a fixed place: a record that was torn by a full disk is written over by the next one.
        records = [_RECORD.pack(bytes.fromhex(each.hash), each.size_bytes) for each in digests]
        os.pwrite(self._descriptor, b"".join((*records, _END)), self._count * _RECORD.size)
        self._count += len(records)

    def clear(self) -> None:
        """Forget everything: the index has it."""
        if self._count:
            os.pwrite(self._descriptor, _END, 0)
            self._count = 0

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        if not self.closed:
            self.closed = True
            os.close(self._descriptor)
