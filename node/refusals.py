"""What this node refused outside of the mesh's links, counted for ``pool health``."""

from __future__ import annotations

import time

from buildnet.mesh.events import Note
from buildnet.mesh.service.health import Counters
from buildnet.mesh.service.view import CounterView


class Refusals:
    """How often each reason came up, and who caused it last."""

    def __init__(self) -> None:
        self._counters = Counters()

    def take(self, note: Note) -> None:
        """Count one."""
        self._counters.note(note, time.time())

    def stranger(self, reason: str, address: str) -> None:
        """Count a connection that was ended before anybody proved who it was."""
        self.take(Note(reason, None, address))

    def view(self) -> tuple[CounterView, ...]:
        """Return all of them, by reason."""
        return self._counters.view()
