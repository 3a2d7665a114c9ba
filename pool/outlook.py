"""Whether a command had better wait for a slot that is busy than begin on one that is free. Pure.

Where hosts differ in speed, a long command that begins on a slow one at once may end later than on
a fast one that comes free soon. Those who wait are counted in the order in which they are looked
at: who comes later finds the slots that others wait for taken for as long.
"""

from __future__ import annotations

from collections.abc import Iterable

_MARGIN = 0.05
"""It has to end earlier by this part of what it takes here: times are guesses."""


class Outlook:
    """The busy slots of one build at one moment, as (when each comes free, in milliseconds from
    now; its speed)."""

    def __init__(self, busy: Iterable[tuple[float, float]]) -> None:
        self._busy = [[max(0.0, free_in_ms), speed] for free_in_ms, speed in busy]

    def taken(self, took_ms: float, speed: float) -> None:
        """Take note that a command begins on a slot of such a speed, and what it takes there."""
        self._busy.append([took_ms, speed])

    def waits(self, work_ms: float, speed: float) -> bool:
        """Tell whether a command of so much work (milliseconds at speed 1) had better wait, where
        the best free slot has such a speed; if so, it counts as waiting from now on."""
        here_ms = work_ms / speed
        best: list[float] | None = None
        best_ms = here_ms * (1.0 - _MARGIN)
        for slot in self._busy:
            ends_ms = slot[0] + work_ms / slot[1]
            if ends_ms < best_ms:
                best, best_ms = slot, ends_ms
        if best is None:
            return False
        best[0] = best_ms
        return True
