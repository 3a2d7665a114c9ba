"""How fast bytes come from other nodes, by what transfers of builds achieved. Pure.

Nothing is sent to find out: a link that carried nothing large lately is unknown. A transfer shares
the line and the hosts with whatever else goes on, so it tells a little less than the line could do;
a faster one counts at once, a slower one by degrees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TELLING_BYTES = 1 << 20
"""Less is over before the line is full."""
KNOWN_FOR_S = 3600.0
MOST_PEERS = 1024
_SLOWER_COUNTS = 0.3
_MEGABIT = 1e6 / 8


@dataclass(frozen=True, slots=True)
class _Measured:
    mbps: float
    at: float


@dataclass(slots=True)
class Bandwidths:
    """What one node measured. Peers are keys; times are monotonic seconds."""

    _measured: dict[bytes, _Measured] = field(default_factory=dict)

    def came(self, peer: bytes, size_bytes: int, took_s: float, now: float) -> None:
        """Take note of a transfer from a peer."""
        if size_bytes < TELLING_BYTES or took_s <= 0:
            return
        mbps = size_bytes / took_s / _MEGABIT
        before = self._measured.pop(peer, None)
        if before is not None and mbps < before.mbps and now - before.at < KNOWN_FOR_S:
            mbps = before.mbps + _SLOWER_COUNTS * (mbps - before.mbps)
        self._measured[peer] = _Measured(mbps, now)
        while len(self._measured) > MOST_PEERS:
            del self._measured[next(iter(self._measured))]

    def known(self, now: float) -> Mapping[bytes, float]:
        """Return megabits a second by peer, of the last hour."""
        return {
            peer: round(one.mbps, 1)
            for peer, one in self._measured.items()
            if now - one.at < KNOWN_FOR_S
        }
