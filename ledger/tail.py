"""The end of a chain that is not sealed yet: hashes and clocks, packed, since it may be long."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

_HASH_BYTES = 32


class Tail:
    """Entries ``after`` + 1 and on: (hash, hybrid clock) of each, 40 bytes an entry."""

    __slots__ = ("_clocks", "_hashes", "after")

    def __init__(self, after: int, entries: Iterable[tuple[bytes, int]] = ()) -> None:
        self.after = after
        """The sequence before the first one."""
        self._hashes = bytearray()
        self._clocks = array("q")
        for entry_hash, clock in entries:
            self.append(entry_hash, clock)

    def __len__(self) -> int:
        return len(self._clocks)

    @property
    def last(self) -> int:
        """The sequence of the last one; :attr:`after` if there is none."""
        return self.after + len(self._clocks)

    def append(self, entry_hash: bytes, clock: int) -> None:
        """Add the next entry."""
        self._hashes += entry_hash
        self._clocks.append(clock)

    def hash(self, sequence: int) -> bytes | None:
        """Return an entry's hash; None: it is not here."""
        place = sequence - self.after - 1
        if not 0 <= place < len(self._clocks):
            return None
        return bytes(self._hashes[place * _HASH_BYTES : (place + 1) * _HASH_BYTES])

    def clock(self, sequence: int) -> int:
        """Return the hybrid clock of an entry that is here."""
        return self._clocks[sequence - self.after - 1]

    def up_to(self, sequence: int) -> list[tuple[int, int, bytes]]:
        """Return (clock, sequence, hash) of the entries up to ``sequence``, ascending."""
        hashes, first = bytes(self._hashes), self.after + 1
        count = min(sequence - self.after, len(self._clocks))
        return [
            (self._clocks[at], first + at, hashes[at * _HASH_BYTES : (at + 1) * _HASH_BYTES])
            for at in range(count)
        ]

    def reach(self, clock: int, most: int) -> int:
        """Return the last sequence whose clock is not after ``clock``, of the first ``most``;
        clocks grow along a chain."""
        low, high = 0, min(most, len(self._clocks))
        if high and self._clocks[high - 1] <= clock:
            return self.after + high
        while low < high:
            middle = (low + high) // 2
            if self._clocks[middle] <= clock:
                low = middle + 1
            else:
                high = middle
        return self.after + low

    def drop_to(self, sequence: int) -> None:
        """Forget the entries up to ``sequence``."""
        count = max(0, min(sequence - self.after, len(self._clocks)))
        del self._hashes[: count * _HASH_BYTES]
        del self._clocks[:count]
        self.after = max(self.after, sequence)

    def cut_after(self, sequence: int) -> None:
        """Forget the entries after ``sequence``."""
        count = max(0, sequence - self.after)
        del self._hashes[count * _HASH_BYTES :]
        del self._clocks[count:]
