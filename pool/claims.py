"""Which builds may be at work in one workspace at the same time.

Pure. Each build *claims* the packages that it touches: those whose outputs it may write, and those
in which its commands run. Two claims with a package in common are not held at once. A claim is had
as a whole or not at all, so nobody holds a part while he waits for another, and no two builds can
wait for each other. Who asked first goes first: what meets somebody who waits already waits behind
him, so nobody waits for ever. A holder may give parts back before his end.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

Holder = TypeVar("Holder", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a build needs for itself: ``parts``, by name; None: the whole workspace. ``layout`` is
    what they are parts of: claims by two layouts have all in common."""

    layout: object
    parts: frozenset[str] | None

    def meets(self, other: Claim) -> bool:
        """Whether not both can be held at once."""
        if self.layout is not other.layout or self.parts is None or other.parts is None:
            return True
        return not self.parts.isdisjoint(other.parts)

    def without(self, parts: Collection[str]) -> Claim:
        """Return what is left of it."""
        return self if self.parts is None else replace(self, parts=self.parts.difference(parts))


class Claims(Generic[Holder]):
    """The claims on one workspace: those that are held, and those that wait, in their order."""

    def __init__(self) -> None:
        self._held: dict[Holder, Claim] = {}
        self._waiting: dict[Holder, Claim] = {}

    @property
    def held(self) -> dict[Holder, Claim]:
        """Who holds what."""
        return dict(self._held)

    @property
    def in_use(self) -> bool:
        """Whether anybody holds or wants anything."""
        return bool(self._held or self._waiting)

    def is_free(self, claim: Claim) -> bool:
        """Whether it could be had at once."""
        return not any(claim.meets(other) for other in self._held.values()) and not any(
            claim.meets(other) for other in self._waiting.values()
        )

    def ask(self, who: Holder, claim: Claim) -> bool:
        """Take in a claim; tell whether it is held now, else it waits."""
        free = self.is_free(claim)
        (self._held if free else self._waiting)[who] = claim
        return free

    def wanted(self, who: Holder) -> frozenset[str]:
        """Return the parts of what somebody holds that others wait for and that he alone could
        give them; what waits for the whole workspace waits for his end."""
        mine = self._held[who]
        if mine.parts is None:
            return frozenset()
        return frozenset().union(
            *(
                mine.parts & claim.parts
                for claim in self._waiting.values()
                if claim.layout is mine.layout and claim.parts is not None
            )
        )

    def give_back(self, who: Holder, parts: Collection[str]) -> list[Holder]:
        """Take parts back from somebody; return who holds his claim from now on."""
        self._held[who] = self._held[who].without(parts)
        return self._give()

    def leave(self, who: Holder) -> list[Holder]:
        """Take back all that somebody holds or waits for; return who holds his claim from now
        on."""
        self._held.pop(who, None)
        self._waiting.pop(who, None)
        return self._give()

    def _give(self) -> list[Holder]:
        given: list[Holder] = []
        before: list[Claim] = []
        for who, claim in tuple(self._waiting.items()):
            taken = (*self._held.values(), *before)
            if any(claim.meets(other) for other in taken):
                before.append(claim)
                continue
            del self._waiting[who]
            self._held[who] = claim
            given.append(who)
        return given
