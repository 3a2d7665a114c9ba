"""Whether a build may start commands now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class PausedError(Exception):
    """A command was about to start in a build that is paused; it has to be started later."""


class Pausing:
    """What holds one build up, for one reason or several. To be changed on the event loop only;
    :attr:`is_on` may be looked at from any thread."""

    def __init__(self) -> None:
        self._reasons: set[str] = set()
        self.on_over: Callable[[], None] = lambda: None
        """Called when commands may start again."""
        self._over = asyncio.Event()
        self._over.set()
        self._ended = False

    @property
    def is_on(self) -> bool:
        """Whether no command may start."""
        return bool(self._reasons) and not self._ended

    def set(self, reason: str, on: bool) -> bool:
        """Hold the build up for a reason, or no more; tell whether that changed anything."""
        before = self.is_on
        (self._reasons.add if on else self._reasons.discard)(reason)
        self._settle()
        return before is not self.is_on

    def end(self) -> None:
        """Hold nothing up any more: the build is cancelled, and starts nothing anyway."""
        self._ended = True
        self._settle()

    def require_off(self) -> None:
        """Check that a command may start.

        Raises:
            PausedError: it may not, now.
        """
        if self.is_on:
            raise PausedError

    async def over(self) -> None:
        """Wait until commands may start."""
        await self._over.wait()

    def _settle(self) -> None:
        if self.is_on:
            self._over.clear()
        elif not self._over.is_set():
            self._over.set()
            self.on_over()
