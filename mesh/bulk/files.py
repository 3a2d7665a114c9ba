"""Blobs in files, at both ends of a bulk connection."""

from __future__ import annotations

import os
from collections.abc import Sequence

from blake3 import blake3

from buildnet.mesh.bulk.protocol import WrongBytesError
from buildnet.mesh.digest import Digest


class FileSink:
    """A :class:`~buildnet.mesh.bulk.protocol.BlobSink` over an open file; the descriptor stays the
    caller's. Bytes are hashed as they are written."""

    def __init__(self, descriptor: int, digest: Digest) -> None:
        """Begin at offset 0; what the file holds is cut off."""
        self._descriptor = descriptor
        self._digest = digest
        self._restart()

    @property
    def digest(self) -> Digest:
        """What is to be fetched."""
        return self._digest

    @property
    def offset(self) -> int:
        """How many bytes of it are there, written and hashed."""
        return self._offset

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Append the next bytes, a few chunks at once."""
        _write_all(self._descriptor, pieces, self._offset)
        for piece in pieces:
            self._hasher.update(piece)
            self._offset += len(piece)

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
    """A :class:`~buildnet.mesh.bulk.protocol.BlobReader` over an open file; it closes the
    descriptor."""

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


def _write_all(descriptor: int, pieces: Sequence[memoryview], offset: int) -> None:
    size_bytes = sum(map(len, pieces))
    written = os.pwritev(descriptor, pieces, offset)
    while written < size_bytes:  # a signal, or a full disk, which the next call then tells
        rest = b"".join(pieces)[written:]
        written += os.pwrite(descriptor, rest, offset + written)
