"""Lifeguard's two corrections of SWIM: how long a suspicion waits, how healthy we are ourselves.

Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection"
(2018). A slow node accuses others wrongly, so a single accuser has to wait long; and who notices
signs of its own slowness gives everybody more time.
"""

from __future__ import annotations

import math

CONFIRMATIONS = 2
"""So many independent accusers beside the first end the wait as early as it may."""
_FACTOR = 4.0
_MOST_TIMES = 6.0


def suspicion_bounds(members: int, period_s: float) -> tuple[float, float]:
    """Return the shortest and longest wait (seconds) before a suspect counts as dead."""
    least = _FACTOR * max(1.0, math.log10(max(1, members))) * period_s
    return least, least * _MOST_TIMES


class Suspicion:
    """One node's doubt in another one, and who shares it.

    Args:
        accuser: who doubts first.
        now: seconds.
        least, most: bounds of the wait, seconds.
        needed: confirmations that bring it down to ``least``.
    """

    def __init__(
        self, accuser: bytes, now: float, *, least: float, most: float, needed: int
    ) -> None:
        self._accusers = {accuser}
        self._begin = now
        self._least, self._most, self._needed = least, most, needed

    def confirm(self, accuser: bytes) -> bool:
        """Count another accuser; True if it is a new one that still matters."""
        if accuser in self._accusers or len(self._accusers) > self._needed:
            return False
        self._accusers.add(accuser)
        return True

    def tighten(self, *, least: float, most: float) -> None:
        """Wait within these bounds at most: the evidence became stronger."""
        self._least, self._most = min(self._least, least), min(self._most, most)

    def stretch(self, seconds: float) -> None:
        """Wait that much longer: we were not there to hear a refutation."""
        self._begin += seconds

    @property
    def deadline(self) -> float:
        """When the suspect counts as dead."""
        if not self._needed:
            return self._begin + self._least
        share = math.log(len(self._accusers)) / math.log(self._needed + 1)
        return self._begin + max(self._least, self._most - (self._most - self._least) * share)


class Health:
    """Lifeguard's local health multiplier: 1 is healthy, 8 is as slow as we admit to be."""

    def __init__(self) -> None:
        self._score = 0

    @property
    def factor(self) -> int:
        """What periods and timeouts are multiplied with, 1 to 8."""
        return 1 + self._score

    def worse(self, by: int = 1) -> None:
        """Note signs that we are slow."""
        self._score = min(7, self._score + by)

    def better(self) -> None:
        """Note a sign that we are not."""
        self._score = max(0, self._score - 1)
