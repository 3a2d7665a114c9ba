"""Builds of one workspace wait for the packages that they claim, and let go of those that they are
done with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from buildnet.node.workers import either
from buildnet.pool.claims import Claim, Claims

_log = logging.getLogger("buildnet.builds")


class WorkspaceClaims:
    """The claims on one workspace; to be used on one event loop."""

    def __init__(self) -> None:
        self._core: Claims[Claimed] = Claims()

    @property
    def in_use(self) -> bool:
        """Whether anybody is at work in the workspace, or waits for that. From any thread."""
        return self._core.in_use

    def take_at_once(self, claim: Claim) -> Claimed | None:
        """Return a claim that is free, as held; None: somebody is at work there."""
        if not self._core.is_free(claim):
            return None
        claimed = Claimed(self._core)
        self._core.ask(claimed, claim)
        return claimed

    async def take(self, claim: Claim, cancelled: asyncio.Event) -> Claimed | None:
        """Return a claim once it is held; None: it was cancelled before."""
        claimed = Claimed(self._core)
        if self._core.ask(claimed, claim):
            claimed.held.set()
        else:
            for holder in self._core.held:
                holder.let_go()
        held = False
        try:
            held = await either(claimed.held.wait(), cancelled.wait())
        finally:
            if not held:
                claimed.leave()
        return claimed if held else None


class Claimed:
    """What one build claims; ``held`` once it has all of it."""

    def __init__(self, core: Claims[Claimed]) -> None:
        self._core = core
        self._finished: set[str] = set()
        self._letting_go: asyncio.Task[None] | None = None
        self.held = asyncio.Event()
        self.before_others: Callable[[], None] = lambda: None
        """What has to be done before others get what was finished; it blocks."""

    def finish(self, parts: Iterable[str]) -> None:
        """Take note that the build is done with some of its parts: who waits for them gets them."""
        self._finished.update(parts)
        self.let_go()

    def let_go(self) -> None:
        """Give what was finished to those who wait for it, if anybody does."""
        if self._letting_go is None and self._finished & self._core.wanted(self):
            self._letting_go = asyncio.create_task(self._let_go())

    async def close(self) -> None:
        """Give back what is left."""
        if self._letting_go is not None:
            await asyncio.wait([self._letting_go])
        self.leave()

    def leave(self) -> None:
        """Hold and want nothing more."""
        _wake(self._core.leave(self))

    async def _let_go(self) -> None:
        try:
            while parts := self._finished & self._core.wanted(self):
                await asyncio.to_thread(self.before_others)
                self._finished -= parts
                _wake(self._core.give_back(self, parts))
        except Exception:  # the build meets it once more at its end, and fails of it
            _log.exception("packages that a build was done with can't be given to another one")
            self._finished.clear()
        finally:
            self._letting_go = None


def _wake(holders: Iterable[Claimed]) -> None:
    for each in holders:
        each.held.set()
