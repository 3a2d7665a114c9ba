"""Topology: whom to link with, and when to dial."""

from __future__ import annotations

import math
from collections.abc import Iterable

from buildnet.mesh.events import Effect, Event
from buildnet.mesh.gossip import Gossip
from buildnet.mesh.local import Local


class Topology:
    """Keeps the links standing that this node wants; ``seeds`` are URLs to try for ever."""

    def __init__(self, local: Local, *, gossip: Gossip, seeds: Iterable[str] = ()) -> None:
        self._local = local
        self._gossip = gossip
        self._seeds = tuple(seeds)

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return math.inf

    def add_seed(self, address: str, now: float) -> None:
        """Try ``address`` from now on, too."""

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        return []

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        return []
