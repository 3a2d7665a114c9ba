"""Small blobs in memory, at both ends of a bulk connection."""

from __future__ import annotations

from collections.abc import Sequence

from buildnet.mesh.bulk.protocol import WrongBytesError
from buildnet.mesh.digest import Digest

SMALL_BYTES = 64 << 10
"""Blobs up to this are held in memory whole: going to a thread for each step costs more."""


class MemorySink:
    """A :class:`~buildnet.mesh.bulk.protocol.BlobSink` whose bytes become :attr:`data`."""

    def __init__(self, digest: Digest) -> None:
        self.data = b""
        self._digest = digest

    @property
    def digest(self) -> Digest:
        """What is to be fetched."""
        return self._digest

    @property
    def offset(self) -> int:
        """How many bytes of it are there."""
        return len(self.data)

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Append the next bytes."""
        self.data = b"".join([self.data, *pieces])

    def finish(self) -> None:
        """All bytes are there; check them.

        Raises:
            WrongBytesError: they are not the blob; the sink is empty again.
        """
        found = Digest.of(self.data)
        if found != self._digest:
            self.data = b""
            raise WrongBytesError(
                f"what was sent for the blob {self._digest} is another one", cause=f"it is {found}"
            )


class MemoryReader:
    """A :class:`~buildnet.mesh.bulk.protocol.BlobReader` over bytes."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes; fewer only at the end."""
        data, self._left = self._left[:size_bytes], self._left[size_bytes:]
        return data

    def close(self) -> None:
        """Nothing is open."""
