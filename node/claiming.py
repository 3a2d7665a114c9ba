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

    def one(self, claim: Claim) -> Claimed:
        """Return a claim that is still to be taken."""
        return Claimed(self._core, claim)


class Claimed:
    """What one build claims. An asynchronous context manager: with its end it is given back,
    whether it was had, is waited for, or was never asked for."""

    def __init__(self, core: Claims[Claimed], claim: Claim) -> None:
        self._core = core
        self._claim = claim
        self._finished: set[str] = set()
        self._letting_go: asyncio.Task[None] | None = None
        self.held = asyncio.Event()
        """Set while the build has all of it, but for what it has given back."""
        self.before_others: Callable[[], None] = lambda: None
        """What has to be done before others get what was finished; it blocks."""

    async def __aenter__(self) -> Claimed:
        return self

    async def __aexit__(self, *exception: object) -> None:
        try:
            if self._letting_go is not None:
                await asyncio.wait([self._letting_go])
        finally:
            self._leave()

    def take_at_once(self) -> bool:
        """Take it if it is free; False: somebody is at work there."""
        if self._core.is_free(self._claim):
            self._core.ask(self, self._claim)
            self.held.set()
        return self.held.is_set()

    async def take(self, cancelled: asyncio.Event) -> bool:
        """Take it, if it is not had yet, once it is free; False: it was cancelled before."""
        if self.held.is_set():
            return True
        if self._core.ask(self, self._claim):
            self.held.set()
            return True
        for holder in self._core.held:
            holder.let_go()
        if await either(self.held.wait(), cancelled.wait()):
            return True
        self._leave()
        return False

    def _leave(self) -> None:
        self.held.clear()
        _wake(self._core.leave(self))

    def finish(self, parts: Iterable[str]) -> None:
        """Take note that the build is done with some of its parts: who waits for them gets them."""
        self._finished.update(parts)
        self.let_go()

    def let_go(self) -> None:
        """Give what was finished to those who wait for it, if anybody does."""
        if not self.held.is_set() or self._letting_go is not None:
            return  # one that only looks on may have nothing of it
        if self._finished & self._core.wanted(self):
            self._letting_go = asyncio.create_task(self._let_go())

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
