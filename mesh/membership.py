"""Membership: who is there."""

from __future__ import annotations

import math

from buildnet.mesh.events import Effect, Event
from buildnet.mesh.local import Local


class Membership:
    """Believes each member alive, suspect or dead; raises StatusChanged."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self.incarnation = local.boot << 16

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return math.inf

    def last_heard(self, peer: bytes) -> float | None:
        """Return when a message of ``peer`` last arrived here directly; None: never."""
        return None

    def since(self, peer: bytes) -> float | None:
        """Return when the status of ``peer`` last changed; None: never."""
        return None

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        return []

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        return []
