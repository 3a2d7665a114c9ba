"""Gossip: every node ends up with the newest record of every member."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from buildnet.mesh.events import Effect, Event, Fact
from buildnet.mesh.local import Local
from buildnet.mesh.records import Held


class Gossip:
    """Holds and spreads records; raises RecordChanged."""

    def __init__(self, local: Local, *, facts: Iterable[Fact] = ()) -> None:
        self._local = local
        self._held: dict[tuple[bytes, str], Held] = {}

    @property
    def records(self) -> Mapping[tuple[bytes, str], Held]:
        """The newest known record of each owner and topic, this node's own included."""
        return self._held

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return math.inf

    def advertise(self, topic: str, body: bytes, now: float) -> list[Effect]:
        """Publish this node's record of ``topic``; the same body again changes nothing."""
        return []

    def addresses(self, owner: bytes) -> tuple[str, ...]:
        """Return the URLs that ``owner`` advertises, best first."""
        return ()

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        return []

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        return []
