"""Who asked for one build. Several may have: it is cancelled only once none of them wants it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Asker:
    """One of them. ``actor``: the name that it was asked under; ``left`` is set once he wants the
    build no more while others do."""

    number: int
    actor: str
    wants: bool = True
    left: asyncio.Event = field(default_factory=asyncio.Event)


class Askers:
    """See the module's text. To be used on the event loop's thread alone."""

    def __init__(self) -> None:
        self._askers: list[Asker] = []

    def __len__(self) -> int:
        return len(self._askers)

    def add(self, actor: str) -> Asker:
        """Take somebody in."""
        asker = Asker(len(self._askers), actor)
        self._askers.append(asker)
        return asker

    def has(self, actor: str) -> bool:
        """Tell whether an actor asked for it, whether they still want it or not."""
        return any(each.actor == actor for each in self._askers)

    def is_of(self, number: int, actor: str) -> bool:
        """Tell whether it was this actor who asked under a number."""
        return self.actor_of(number) == actor

    def actor_of(self, number: int) -> str | None:
        """Return who asked under a number; None: nobody did."""
        return self._askers[number].actor if 0 <= number < len(self._askers) else None

    @property
    def first(self) -> str | None:
        """The actor who asked before all others that still want it; None: nobody does."""
        return next((each.actor for each in self._askers if each.wants), None)

    def withdraw(self, number: int) -> bool:
        """Take note that somebody wants the build no more; tell whether nobody does."""
        if not 0 <= number < len(self._askers):
            return False
        return self._go([self._askers[number]])

    def leave(self, actor: str) -> bool:
        """Take note that an actor wants the build no more, however often they asked for it; tell
        whether nobody does."""
        return self._go([each for each in self._askers if each.actor == actor])

    def hand_over(self, former: str, to: str) -> None:
        """Let what an actor asked for be another actor's."""
        for each in self._askers:
            if each.actor == former:
                each.actor = to

    def _go(self, going: list[Asker]) -> bool:
        for each in going:
            each.wants = False
        if self.first is None:
            return True
        for each in going:
            each.left.set()
        return False
