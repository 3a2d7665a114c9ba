"""Who asked for one build. Several may have: it is cancelled only once none of them wants it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Asker:
    """One of them. ``left`` is set once he wants the build no more while others do."""

    number: int
    wants: bool = True
    left: asyncio.Event = field(default_factory=asyncio.Event)


class Askers:
    """See the module's text. To be used on the event loop's thread alone."""

    def __init__(self) -> None:
        self._askers: list[Asker] = []

    def add(self) -> Asker:
        """Take somebody in."""
        asker = Asker(len(self._askers))
        self._askers.append(asker)
        return asker

    def withdraw(self, number: int) -> bool:
        """Take note that somebody wants the build no more; tell whether nobody does."""
        if not 0 <= number < len(self._askers):
            return False
        asker = self._askers[number]
        asker.wants = False
        others = any(each.wants for each in self._askers)
        if others:
            asker.left.set()
        return not others
