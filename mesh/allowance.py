"""How much of something may pass: so much a second, and so much at once."""

from __future__ import annotations


class Allowance:
    """A token bucket: ``rate`` a second, ``burst`` at once."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = now

    def left(self, now: float) -> float:
        """Return how much may pass at ``now`` (monotonic seconds)."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left

    def take(self, amount: float, now: float) -> bool:
        """Tell whether ``amount`` may pass at ``now``; if so, it is taken."""
        if self.left(now) < amount:
            return False
        self._left -= amount
        return True

    def spend(self, amount: float, now: float) -> None:
        """Take ``amount``, even if less is left: then nothing passes until it was made up for."""
        self._left = self.left(now) - amount
