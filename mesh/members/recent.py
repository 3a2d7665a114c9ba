"""Which changes were made lately, as a value: one more costs little, however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecentChanges:
    """Ids of changes, each for as long as its clock is later than the ``horizon``; the last one is
    known anyway.

    The ids stand in chunks that nobody alters, each larger than the next: a new list shares all but
    the smallest with the list before (a binary counter, as in Bentley and Saxe, "Decomposable
    Searching Problems", 1980). So a chain of n entries is read in about n log n steps.
    """

    chunks: tuple[Mapping[bytes, int], ...] = ()
    horizon: int = 0
    last: bytes = b""

    def __contains__(self, change_id: bytes) -> bool:
        if change_id == self.last:
            return True
        return any(chunk.get(change_id, 0) > self.horizon for chunk in self.chunks)

    def plus(self, change_id: bytes, hlc: int, *, horizon: int) -> RecentChanges:
        """Return these and one more, without those up to ``horizon`` (hybrid clocks both)."""
        chunks, newest = list(self.chunks), {change_id: hlc}
        while chunks and len(chunks[-1]) <= len(newest):
            older = {one: at for one, at in chunks.pop().items() if at > horizon}
            newest = {**older, **newest}
        return RecentChanges((*chunks, newest), horizon, change_id)
