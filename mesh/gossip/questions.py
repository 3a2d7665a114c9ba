"""Questions: which records were asked for, of whom, and what did not come."""

from __future__ import annotations

import math

Version = tuple[bytes, str, tuple[int, int, bytes]]
"""Owner, topic and age order of a record."""

AGAIN_S = 2.0
"""So long an answer is awaited before another peer is asked."""
SAME_AGAIN_S = 5.0
"""The same, before that peer is asked again: who promises and never sends does not block others."""
GIVE_UP_S = 10.0
MAX_OPEN = 4096


class Questions:
    """The open questions of one node: each record is asked of one peer at a time."""

    def __init__(self) -> None:
        self._open: dict[Version, tuple[float, bytes]] = {}
        self.deadline = math.inf
        """When :meth:`expire` is due."""

    def may_ask(self, peer: bytes, version: Version, now: float) -> bool:
        """Tell whether to ask ``peer``, and note that it is asked."""
        at, asked = self._open.get(version, (-math.inf, b""))
        if now < at + (SAME_AGAIN_S if asked == peer else AGAIN_S):
            return False
        if version not in self._open and len(self._open) >= MAX_OPEN:
            return False
        self._open[version] = (now, peer)
        self.deadline = min(self.deadline, now + AGAIN_S)
        return True

    def answered(self, version: Version) -> bool:
        """Note that a record came; tell whether it had been asked for."""
        return self._open.pop(version, None) is not None

    def forget(self, peer: bytes) -> None:
        """A link ended or began anew: answers may be lost."""
        self._open = {one: (at, of) for one, (at, of) in self._open.items() if of != peer}

    def expire(self, now: float) -> bool:
        """Tell whether something did not come in time; give up what never did."""
        self._open = {one: (at, of) for one, (at, of) in self._open.items() if now < at + GIVE_UP_S}
        self.deadline = now + AGAIN_S if self._open else math.inf
        return bool(self._open)
