"""Blobs in files, at both ends of a bulk connection."""

from __future__ import annotations

import os

from blake3 import blake3

from buildnet.mesh.bulk import WrongBytesError
from buildnet.mesh.digest import Digest

_REHASH_BYTES = 1 << 20


class FileSink:
    """A :class:`~buildnet.mesh.bulk.BlobSink` over an open file; the descriptor stays the
    caller's. Bytes are hashed as they are written."""

    def __init__(self, descriptor: int, digest: Digest) -> None:
        """Begin at offset 0; what the file holds is cut off."""
        self._descriptor = descriptor
        self._digest = digest
        self._restart()

    @classmethod
    def resume(cls, descriptor: int, digest: Digest) -> FileSink:
        """Go on behind what an earlier process left in the file, which is read and hashed."""
        size_bytes = os.fstat(descriptor).st_size
        hasher = blake3()
        offset = 0
        while offset < size_bytes <= digest.size_bytes:
            data = os.pread(descriptor, _REHASH_BYTES, offset)
            if not data:
                break
            hasher.update(data)
            offset += len(data)
        if offset != size_bytes:
            return cls(descriptor, digest)
        sink = cls.__new__(cls)
        sink._descriptor, sink._digest, sink._hasher, sink._offset = (
            descriptor,
            digest,
            hasher,
            offset,
        )
        return sink

    @property
    def digest(self) -> Digest:
        """What is to be fetched."""
        return self._digest

    @property
    def offset(self) -> int:
        """How many bytes of it are there, written and hashed."""
        return self._offset

    def write(self, data: memoryview) -> None:
        """Append the next bytes."""
        at, left = self._offset, data
        while left:
            written = os.pwrite(self._descriptor, left, at)
            at, left = at + written, left[written:]
        self._hasher.update(data)
        self._offset += len(data)

    def finish(self) -> None:
        """All bytes are there; check them.

        Raises:
            WrongBytesError: they are not the blob; the file is empty again.
        """
        found = Digest(self._hasher.hexdigest(), self._offset)
        if found != self._digest:
            self._restart()
            raise WrongBytesError(
                f"what was sent for the blob {self._digest} is another one", cause=f"it is {found}"
            )

    def _restart(self) -> None:
        os.ftruncate(self._descriptor, 0)
        self._hasher = blake3()
        self._offset = 0


class FileReader:
    """A :class:`~buildnet.mesh.bulk.BlobReader` over an open file, whose descriptor it closes."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._offset = offset

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes; fewer only at the end."""
        data = os.pread(self._descriptor, size_bytes, self._offset)
        self._offset += len(data)
        return data

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)
