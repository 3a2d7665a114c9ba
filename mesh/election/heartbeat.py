"""Heartbeats: which of them were acknowledged by whom, and so what a coordinator may claim."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from buildnet.mesh.messages.election import HeartbeatAck

INTERVAL_S = 0.2
QUORUM_S = 0.8
"""A coordinator that heard from no majority of the voters for so long is provisional."""
REACHED_S = 3.0
"""A follower that acknowledged nothing for so long is not reached."""
_REMEMBERED = 64  # beats whose acknowledgement still tells a round trip


@dataclass(slots=True)
class Heartbeats:
    """What comes back of the coordinator's heartbeats.

    An acknowledgement counts from when its heartbeat was *sent*: what a frozen coordinator finds
    in its sockets after it was thawed says nothing about now.
    """

    _beat: int = 0
    _sent: dict[int, float] = field(default_factory=dict)
    _supported: dict[bytes, float] = field(default_factory=dict)
    _heard: dict[bytes, float] = field(default_factory=dict)
    _promised: dict[bytes, int] = field(default_factory=dict)

    def next(self, now: float) -> int:
        """Number a heartbeat that is sent now."""
        self._beat += 1
        self._sent[self._beat] = now
        self._sent.pop(self._beat - _REMEMBERED, None)
        return self._beat

    def support(self, voter: bytes, since: float) -> None:
        """Count a voter that promised the term when asked at ``since``."""
        self._supported[voter] = max(since, self._supported.get(voter, -math.inf))

    def acknowledge(self, peer: bytes, ack: HeartbeatAck, counter: int, now: float) -> float | None:
        """Take note of an acknowledgement; return the round trip in seconds if it tells one."""
        self._heard[peer] = now
        self._promised[peer] = ack.promised
        sent = self._sent.get(ack.beat)
        if sent is None:
            return None
        if ack.promised <= counter:
            self.support(peer, sent)
        return now - sent

    def refused(self, voter: bytes, promised: int) -> None:
        """Take note of what a voter says it promised that gave its promise to no term of ours."""
        self._promised[voter] = promised

    def forget(self, peer: bytes) -> None:
        """Drop a peer that is not linked any more: what it promised may be told anew."""
        self._heard.pop(peer, None)
        self._promised.pop(peer, None)

    def supported_since(self, voters: tuple[bytes, ...], me: bytes) -> float:
        """Return the latest time at which a majority of ``voters`` supported the term of ``me``,
        which always does: the infinite future where it is the only one."""
        times = [math.inf if key == me else self._supported.get(key, -math.inf) for key in voters]
        times.sort(reverse=True)
        return times[len(times) // 2] if times else -math.inf

    def heard_lately(self, peer: bytes, now: float) -> bool:
        """Tell whether a follower acknowledged something in the last :data:`REACHED_S`."""
        return now - self._heard.get(peer, -math.inf) <= REACHED_S

    def promised(self, voter: bytes) -> int:
        """Return the highest counter that a voter says it promised; 0: it said none."""
        return self._promised.get(voter, 0)

    def contesting(self, voters: Iterable[bytes], counter: int) -> dict[bytes, int]:
        """Return which voters say that they promised a counter above ``counter``, and which."""
        promised = {voter: self._promised.get(voter, 0) for voter in voters}
        return {voter: higher for voter, higher in promised.items() if higher > counter}
