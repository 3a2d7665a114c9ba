"""What waits here for those who watch builds of other nodes: bounded for each, and for all."""

from __future__ import annotations

from collections.abc import Mapping

MAX_WAITING_BYTES = 32 * 1024 * 1024
"""Of one build's events that wait for their reader."""
MAX_WAITING_IN_ALL_BYTES = 64 * 1024 * 1024
_MIB = 1024 * 1024


class Waiting:
    """Counts bytes by reader, and says who is to be told no more."""

    def __init__(self) -> None:
        self._bytes: dict[bytes, int] = {}
        self._all = 0

    @property
    def by_reader(self) -> Mapping[bytes, int]:
        """How much waits for each."""
        return self._bytes

    def add(self, reader: bytes, size: int) -> dict[bytes, str]:
        """Take note of what came for a reader. Return who must be told no more now, each with the
        reason: this one, if too much waits for it alone; else those for whom most waits, until the
        rest is not too much for this node. They are forgotten."""
        self._bytes[reader] = self._bytes.get(reader, 0) + size
        self._all += size
        dropped: dict[bytes, str] = {}
        if self._bytes[reader] > MAX_WAITING_BYTES:
            dropped[reader] = f"{_mib(self._bytes[reader])} of it waited to be read"
            self.forget(reader)
        while self._all > MAX_WAITING_IN_ALL_BYTES:
            slowest = max(self._bytes, key=lambda each: self._bytes[each])
            dropped[slowest] = (
                f"{_mib(self._all)} waited to be read by all who watch builds of other nodes here, "
                f"most of it ({_mib(self._bytes[slowest])}) by this reader"
            )
            self.forget(slowest)
        return dropped

    def read(self, reader: bytes, size: int) -> None:
        """Take note of what a reader took."""
        if reader in self._bytes:
            self._bytes[reader] -= size
            self._all -= size

    def forget(self, reader: bytes) -> None:
        """Nothing waits for a reader any more."""
        self._all -= self._bytes.pop(reader, 0)


def _mib(size: int) -> str:
    return f"{size / _MIB:.0f} MiB"
