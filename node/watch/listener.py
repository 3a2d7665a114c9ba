"""Somebody who wants to know what changes in a workspace between builds, and while one runs."""

from __future__ import annotations

from collections.abc import Callable

from buildnet.node.watch.dirty import NOTHING, Dirt


class Listener:
    """Gathers what may have changed since it was last asked, and since its own builds looked.

    Args:
        on_news: called when something may have changed, on any thread; it has to be quick.
        on_look: called when a build of its own has taken in all that changed so far, likewise.

    ``looks`` counts these builds' looks: what was heard before one of them it has taken in.
    """

    def __init__(self, on_news: Callable[[], None], on_look: Callable[[], None]) -> None:
        self.on_news = on_news
        self.looks = 0
        self._on_look = on_look
        self._dirt = NOTHING

    def hear(self, dirt: Dirt) -> None:
        """Take in what may have changed."""
        self._dirt |= dirt

    def heard(self) -> Dirt:
        """Return what it has heard since the last call."""
        dirt, self._dirt = self._dirt, NOTHING
        return dirt

    def looked(self) -> None:
        """Take note that a build of its own has taken in all that it has heard."""
        self._dirt = NOTHING
        self.looks += 1
        self._on_look()
