"""Voters that promised a higher counter than the coordinator's, which nobody won.

Such a voter supports no lower term, so the coordinator takes a higher counter than the voter's. But
what a voter says of its promise is not proven: one that lies could make the term grow for ever. So
each has to wait twice as long as the last time, however many counters it names.
"""

from __future__ import annotations

from collections.abc import Mapping

_CONTESTED_S = 0.5
_MAX_CONTESTED_S = 3600.0
_FORGIVEN_S = 3600.0
"""Who made the coordinator take no higher counter for so long waits as at first."""


class Contests:
    """How long which voters have named a higher counter, and how often that was followed."""

    def __init__(self) -> None:
        self._since: dict[bytes, float] = {}
        self._followed: dict[bytes, tuple[int, float]] = {}

    def observe(self, contesting: Mapping[bytes, int], now: float) -> bytes | None:
        """Take note of who names a higher counter; return one that waited long enough."""
        self._since = {voter: self._since.get(voter, now) for voter in sorted(contesting)}
        waited = (
            voter
            for voter, since in self._since.items()
            if now - since >= _wait_s(self._times(voter, now))
        )
        return next(waited, None)

    def follow(self, voter: bytes, now: float) -> None:
        """Take note that the coordinator takes a higher counter because of ``voter``."""
        self._followed[voter] = (self._times(voter, now) + 1, now)
        self._since.clear()

    def _times(self, voter: bytes, now: float) -> int:
        times, last = self._followed.get(voter, (0, now))
        return times if now - last < _wait_s(times) + _FORGIVEN_S else 0


def _wait_s(times: int) -> float:
    return min(_MAX_CONTESTED_S, _CONTESTED_S * 2.0 ** min(times, 16))
