"""Which row of a list is chosen, and which rows are in sight. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Cursor:
    """``index``: the chosen row; ``top``: the first one in sight. The chosen row stays the same
    one, by its key, wherever it goes; where it is gone, its place is kept."""

    index: int = 0
    top: int = 0
    _key: str = ""

    def follow(self, keys: Sequence[str], height: int) -> None:
        """Take in the rows as they are now, of which ``height`` have room. Rows without a key ("")
        have their place alone."""
        if self._key and self._key in keys:
            self.index = keys.index(self._key)
        self._choose(self.index, keys, height)

    def move(self, by: int, keys: Sequence[str], height: int) -> None:
        """Choose a row so many further on."""
        self._choose(self.index + by, keys, height)

    def _choose(self, index: int, keys: Sequence[str], height: int) -> None:
        self.index = max(0, min(index, len(keys) - 1))
        self._key = keys[self.index] if keys else ""
        height = max(1, height)
        self.top = max(min(self.top, self.index), self.index - height + 1)
        self.top = max(0, min(self.top, len(keys) - height))


def allot(available: int, wanted: Sequence[int], least: int) -> list[int]:
    """Divide lines among panels that want so many each. Each gets up to ``least`` of what it wants
    in their order, then all get one more in turn for as long as there are some."""
    given = [0] * len(wanted)
    left = available
    for each, wants in enumerate(wanted):
        given[each] = min(wants, least, left)
        left -= given[each]
    while left > 0 and (
        hungry := [each for each, wants in enumerate(wanted) if wants > given[each]]
    ):
        for each in hungry[:left]:
            given[each] += 1
        left -= min(left, len(hungry))
    return given
