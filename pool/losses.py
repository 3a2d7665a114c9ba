"""When a build becomes careful: half or more of the workers were lost within a short time. Pure.

Times are seconds of a monotonic clock. A build that is careful runs less at once on other hosts and
nothing twice for speed, until no host was lost for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TOGETHER_S = 30.0
"""Losses within so long count together."""
CALM_S = 30.0
"""After so long without another one all is as before."""


@dataclass(slots=True)
class Losses:
    """Which workers one build has lost, and when."""

    _lost_at: dict[bytes, float] = field(default_factory=dict)
    _careful_until: float | None = None

    def lost(self, worker: bytes, left: int, now: float) -> bool:
        """Take note of a loss; tell whether the build becomes careful now. ``left``: how many
        workers there are still, this node included."""
        self._lost_at[worker] = now
        together = sum(now - at <= TOGETHER_S for at in self._lost_at.values())
        was_careful = self._careful_until is not None
        if was_careful or together >= left:
            self._careful_until = now + CALM_S
        return not was_careful and self._careful_until is not None

    def calmed(self, now: float) -> bool:
        """Tell whether the build ceases to be careful now."""
        if self._careful_until is None or now < self._careful_until:
            return False
        self._careful_until = None
        return True

    @property
    def is_careful(self) -> bool:
        """Whether it is."""
        return self._careful_until is not None

    def slots(self, leased: int) -> int:
        """Return how many of so many slots on other hosts are used."""
        return (leased + 1) // 2 if self.is_careful else leased
