"""Actions that several nodes are about to run at the same time, so that one runs them for all.

A node says with its questions for results that it would run what nobody has. Who is asked answers
with what it runs itself now, and remembers that there is somebody else. Who has heard of somebody
else asks once more before it starts a command. Of two that start, who asked the other before that
one did goes first; where the questions cross, the one with the lower key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from buildnet.mesh.digest import Digest


class Phase(IntEnum):
    """How far this node is with an action."""

    INTENDED = 0
    STARTING = 1
    """It asks the others a last time."""
    RUNNING = 2


@dataclass(slots=True)
class _Mine:
    builds: int = 0
    phase: Phase = Phase.INTENDED
    others: set[bytes] = field(default_factory=set)
    first: bytes | None = None
    """Who began to start it before this node did."""


class SameActions:
    """What one node is about to run, and who else is."""

    def __init__(self) -> None:
        self._mine: dict[Digest, _Mine] = {}

    def intend(self, actions: Iterable[Digest]) -> None:
        """Take note that a build would run these, if nobody has their results."""
        for action in actions:
            self._mine.setdefault(action, _Mine()).builds += 1

    def over(self, action: Digest) -> None:
        """Take note that a build of those that intended it runs an action no more."""
        mine = self._mine.get(action)
        if mine is not None:
            mine.builds -= 1
            mine.phase = Phase.INTENDED
            if mine.builds <= 0:
                del self._mine[action]

    def become(self, action: Digest, phase: Phase) -> None:
        """Take note of how far an action is."""
        mine = self._mine.get(action)
        if mine is not None:
            mine.phase = phase
            if phase is Phase.RUNNING:
                mine.first = None

    def is_shared(self, action: Digest) -> bool:
        """Tell whether somebody else intends it, as far as it was told."""
        mine = self._mine.get(action)
        return mine is not None and bool(mine.others)

    def asked(self, sender: bytes, actions: Iterable[Digest], phase: Phase) -> None:
        """Take note of who else is so far with actions."""
        for action in actions:
            self.heard_of(action, sender)
            mine = self._mine.get(action)
            if mine is not None and phase is Phase.STARTING and mine.phase is Phase.INTENDED:
                mine.first = sender

    def goes_first(self, action: Digest, other: bytes, me: bytes) -> bool:
        """Tell whether another member that starts an action goes before this node."""
        mine = self._mine.get(action)
        first = None if mine is None else mine.first
        return other == first or (first is None and other < me)

    def mine(self, actions: Iterable[Digest]) -> dict[Phase, list[Digest]]:
        """Return which of these actions are this node's, by how far they are."""
        found: dict[Phase, list[Digest]] = {phase: [] for phase in Phase}
        for action in actions:
            mine = self._mine.get(action)
            if mine is not None:
                found[mine.phase].append(action)
        return found

    def heard_of(self, action: Digest, other: bytes) -> None:
        """Take note that a member runs an action, or is about to."""
        mine = self._mine.get(action)
        if mine is not None:
            mine.others.add(other)
