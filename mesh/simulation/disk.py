"""A disk that takes its time, and forgets in a crash what was not fsynced."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from buildnet.mesh.events import Fact, Persist
from buildnet.mesh.simulation.timeline import Timeline

_USUAL_LATENCY_S = (0.0002, 0.003)


class Disk:
    """The facts of one node, written in order and in groups, each group all or none.

    It keeps bytes, so whatever is loaded was really encoded and decoded.
    """

    def __init__(self, timeline: Timeline, random: random.Random) -> None:
        self.facts: dict[str, tuple[type[Fact], bytes]] = {}
        self.slowness = 1.0
        """Multiplies the latency."""
        self.writes = 0
        self._timeline = timeline
        self._random = random
        self._waiting: deque[tuple[Persist, Callable[[int], None]]] = deque()
        self._writing = 0
        """How many of those that wait are in the group being written."""
        self._life = 0

    def load(self) -> list[Fact]:
        """Return everything that survived, by name."""
        return [kind.decode(body) for _, (kind, body) in sorted(self.facts.items())]

    def write(self, request: Persist, done: Callable[[int], None]) -> None:
        """Keep the facts; ``done(token)`` once they are there, never after a crash."""
        self._waiting.append((request, done))
        if self._writing == 0:
            self._begin()

    def crash(self) -> None:
        """Forget what is not there yet; the group being written is there or not."""
        if self._writing and self._random.random() < 0.5:
            for request, _ in list(self._waiting)[: self._writing]:
                self._keep(request)
        self._waiting.clear()
        self._writing = 0
        self._life += 1

    def _begin(self) -> None:
        self._writing = len(self._waiting)
        latency = self._random.uniform(*_USUAL_LATENCY_S) * self.slowness
        self._timeline.after(latency, self._finish, self._life)

    def _finish(self, life: int) -> None:
        if life != self._life:
            return
        written = [self._waiting.popleft() for _ in range(self._writing)]
        self._writing = 0
        self.writes += 1
        for request, _ in written:
            self._keep(request)
        if self._waiting:
            self._begin()
        for request, done in written:
            done(request.token)
            if life != self._life:
                return

    def _keep(self, request: Persist) -> None:
        for name in request.forget:
            self.facts.pop(name, None)
        for fact in request.facts:
            self.facts[fact.name()] = (type(fact), fact.encode())
