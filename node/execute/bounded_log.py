"""A command's output in a bounded file: the first half and the last half are kept."""

from __future__ import annotations

from typing import IO


class BoundedLog:
    """Writes at most ``limit_bytes`` of a stream to ``file``, in constant memory.

    The first half goes to the file at once. What follows passes through a ring that holds the
    last half; :meth:`finish` appends it, after a line that says how many bytes were left out.
    """

    def __init__(self, file: IO[bytes], limit_bytes: int) -> None:
        self._file = file
        self._head_left = limit_bytes - limit_bytes // 2
        self._capacity = limit_bytes // 2
        self._ring = bytearray()
        self._at = 0  # where the next byte goes, once the ring is full
        self.truncated_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        if self._head_left:
            head = chunk[: self._head_left]
            self._file.write(head)
            self._head_left -= len(head)
            chunk = chunk[len(head) :]
        if chunk:
            self._keep_last(chunk)

    def _keep_last(self, chunk: bytes) -> None:
        free = self._capacity - len(self._ring)
        self._ring += chunk[:free]
        rest = chunk[free:]
        self.truncated_bytes += len(rest)
        rest = rest[max(0, len(rest) - self._capacity) :]
        while rest:
            part = rest[: self._capacity - self._at]
            self._ring[self._at : self._at + len(part)] = part
            self._at = (self._at + len(part)) % self._capacity
            rest = rest[len(part) :]

    def finish(self) -> None:
        """Write the kept end of the stream. Nothing may be written afterwards."""
        if self.truncated_bytes:
            self._file.write(b"\n[... %d bytes left out ...]\n" % self.truncated_bytes)
        if not self._ring:
            return
        with memoryview(self._ring) as kept:  # slices of it are no copies
            self._file.write(kept[self._at :])
            self._file.write(kept[: self._at])
