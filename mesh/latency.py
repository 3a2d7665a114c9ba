"""Latency: how far it is from node to node."""

from __future__ import annotations

import math

from buildnet.mesh.events import Effect, Event
from buildnet.mesh.gossip import Gossip
from buildnet.mesh.local import Local


class Latency:
    """Smooths round trips into ``local.links[peer].round_trip_s``, estimates the rest."""

    def __init__(self, local: Local, *, gossip: Gossip) -> None:
        self._local = local
        self._gossip = gossip

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return math.inf

    def estimate(self, one: bytes, other: bytes) -> tuple[float, bool] | None:
        """Return the round trip (seconds) and whether it was measured here; None: unknown."""
        return None

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        return []

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        return []
