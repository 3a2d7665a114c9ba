"""A hybrid clock: wall time that is later than whatever was heard, and falls back only if it was
far ahead.

Kulkarni et al., "Logical Physical Clocks" (2014), in one integer: 48 bits of milliseconds since
1970 UTC, 16 bits of a counter within the millisecond. It orders what causes what; it measures no
durations.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median_low

MAX_AHEAD_MS = 5 * 60 * 1000
"""A remote clock further ahead than this is wrong, and is not followed."""

_COUNTER_BITS = 16
_GREATEST = (1 << 63) - 1


def milliseconds_of(timestamp: int) -> int:
    """Return the milliseconds since 1970 UTC of a hybrid timestamp."""
    return timestamp >> _COUNTER_BITS


class HybridClock:
    """One node's hybrid clock over ``wall``, which tells milliseconds since 1970 UTC."""

    def __init__(self, wall: Callable[[], int]) -> None:
        self._wall = wall
        self._last = 0
        self.told = 0
        """The latest timestamp that :meth:`now` ever returned, before it fell back, too."""

    def now(self) -> int:
        """Return a timestamp later than all that were given out or observed.

        Unless those are more than 5 minutes ahead of the wall clock, which was set right since:
        nobody takes such timestamps, and waiting until the wall clock is there may last for ever.
        """
        self._fall_back()
        # A full counter carries into the milliseconds, so the order holds at any speed.
        self._last = max(self._last + 1, self._wall() << _COUNTER_BITS)
        self.told = max(self.told, self._last)
        return self._last

    def ahead_ms(self, remote: int) -> int:
        """Return how far another node's timestamp is ahead of this host's wall clock."""
        return milliseconds_of(remote) - self._wall()

    def observe(self, remote: int) -> bool:
        """Take note of another node's timestamp, so that the next :meth:`now` is later.

        Returns:
            False if it is more than 5 minutes ahead of this node's wall clock: nobody can drag
            this clock further than that, and the timestamp is not taken over.
        """
        if milliseconds_of(remote) > self._wall() + MAX_AHEAD_MS or remote > _GREATEST:
            return False
        self._fall_back()
        self._last = max(self._last, remote)
        return True

    def _fall_back(self) -> None:
        if milliseconds_of(self._last) > self._wall() + MAX_AHEAD_MS:
            self._last = 0


class PeerClocks:
    """How far the clocks of others are ahead of this host's, in milliseconds."""

    def __init__(self) -> None:
        self._ahead_ms: dict[bytes, int] = {}

    def take(self, peer: bytes, ahead_ms: int) -> None:
        """Take note of one; negative: it is behind."""
        self._ahead_ms[peer] = ahead_ms

    def forget(self, peer: bytes) -> None:
        """Count a peer no more."""
        self._ahead_ms.pop(peer, None)

    @property
    def off_ms(self) -> int | None:
        """How far most others are ahead of this host's clock (negative: behind it), where they
        agree with each other and not with it; None: nothing speaks against this host's. One alone
        proves nothing: either of the two may be wrong."""
        known = self._ahead_ms.values()
        if len(known) < 2:
            return None
        middle = median_low(known)
        agreeing = sum(abs(each - middle) <= MAX_AHEAD_MS for each in known)
        return middle if abs(middle) > MAX_AHEAD_MS and 2 * agreeing > len(known) else None
