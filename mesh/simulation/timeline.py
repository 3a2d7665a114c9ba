"""Virtual time: what happens when, in one order."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Timeline:
    """A heap of what is to happen. Time stands still while something happens.

    What is due at the same moment happens in the order in which it was put here, so a run is a
    function of what is put here and nothing else.
    """

    __slots__ = ("_number", "_waiting", "now", "steps")

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self._number = 0
        self._waiting: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, when: float, action: Callable[..., None], *arguments: Any) -> None:
        """Let ``action(*arguments)`` happen at ``when`` (seconds), or now if that is over."""
        self._number += 1
        now = self.now
        heappush(self._waiting, (when if when > now else now, self._number, action, arguments))

    def after(self, seconds: float, action: Callable[..., None], *arguments: Any) -> None:
        """Let ``action(*arguments)`` happen ``seconds`` from now."""
        self._number += 1
        heappush(self._waiting, (self.now + seconds, self._number, action, arguments))

    def run(self, until: float) -> None:
        """Let everything happen that is due up to ``until``; it is ``until`` then."""
        waiting = self._waiting
        steps = 0
        while waiting and waiting[0][0] <= until:
            self.now, _, action, arguments = heappop(waiting)
            action(*arguments)
            steps += 1
        self.steps += steps
        self.now = until
