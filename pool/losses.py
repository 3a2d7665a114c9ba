"""When a build becomes careful: half or more of the workers were lost within a short time. Pure.

Times are seconds of a monotonic clock. A build that is careful runs less at once on other hosts and
nothing twice for speed, until no host was lost for a while.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

TOGETHER_S = 30.0
"""Losses within so long count together."""
CALM_S = 30.0
"""After so long without another one all is as before."""
_MOST_NAMED = 10


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

    def has(self, worker: bytes) -> bool:
        """Tell whether a worker was lost before."""
        return worker in self._lost_at

    @property
    def is_careful(self) -> bool:
        """Whether it is."""
        return self._careful_until is not None

    def slots(self, leased: int) -> int:
        """Return how many of so many slots on other hosts are used."""
        return (leased + 1) // 2 if self.is_careful else leased


def told(name: str, after_s: float, commands: Collection[str]) -> str:
    """Say that a worker was lost, so long after the build began, and what ran there."""
    some = sorted(commands)[:_MOST_NAMED]
    more = len(commands) - len(some)
    named = ", ".join(some) + (f" and {more} more" if more else "")
    if not some:
        what = "it ran no command of this build then"
    else:
        what = f"{named} {'runs' if len(commands) == 1 else 'run'} again elsewhere"
    return f"{name} was lost after {after_s:.0f} s: {what}"
