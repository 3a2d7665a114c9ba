"""Rumours: what a node still has to tell, to whom not, and when."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from buildnet.mesh.gossip.record_book import RecordKey

PUSH_PAUSE_S = 0.2
"""Least time between two pushes; what comes meanwhile travels together."""
TOPIC_PAUSE_S = 0.5
"""Least time between two pushes of one record: who writes faster than that costs nobody more."""


@dataclass(slots=True)
class Rumour:
    """A record that is to be pushed. ``knowers`` are known to hold it; ``eager``: push all of it,
    else offer its mark."""

    knowers: set[bytes]
    eager: bool
    due: float


class Rumours:
    """The rumours of one node, at most one for each record."""

    def __init__(self) -> None:
        self._waiting: dict[RecordKey, Rumour] = {}
        self._told_at: dict[RecordKey, float] = {}
        self._pushed_at = -math.inf
        self.deadline = math.inf
        """When :meth:`take` has something to give."""

    def add(self, key: RecordKey, knowers: set[bytes], eager: bool, now: float) -> None:
        """Tell of the new version of a record; an older one needs no telling any more."""
        due = max(now, self._told_at.get(key, -math.inf) + TOPIC_PAUSE_S)
        self._waiting[key] = Rumour(knowers, eager, due)
        self._plan()

    def is_known_by(self, key: RecordKey, peer: bytes) -> None:
        """Note that ``peer`` holds that version, too."""
        if key in self._waiting:
            self._waiting[key].knowers.add(peer)

    def drop(self, key: RecordKey) -> None:
        """Do not tell of it."""
        self._waiting.pop(key, None)
        self._plan()

    def take(self, now: float) -> Mapping[RecordKey, Rumour]:
        """Return, sorted by key, what is to be told now."""
        ready = {key: one for key, one in sorted(self._waiting.items()) if one.due <= now}
        for key in ready:
            del self._waiting[key]
        self._told_at = {
            key: at for key, at in self._told_at.items() if now < at + TOPIC_PAUSE_S
        } | dict.fromkeys(ready, now)
        self._pushed_at = now
        self._plan()
        return ready

    def _plan(self) -> None:
        first = min((rumour.due for rumour in self._waiting.values()), default=math.inf)
        self.deadline = max(first, self._pushed_at + PUSH_PAUSE_S)
