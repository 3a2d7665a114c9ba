"""What the core writes to disk, and what it does once that is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from buildnet.ledger.events import Effect, Keep
from buildnet.mesh.events import Tokens

Then = Callable[[float], list[Effect]]


class Keeping:
    """Writes of one node's ledger: nothing is said of what is not on disk."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._waiting: dict[int, Then] = {}

    def keep(self, then: Then | None = None, **what: Any) -> Keep:
        """Return the effect that writes ``what`` (fields of :class:`Keep`); ``then(now)`` follows
        once it is on disk."""
        token = self._tokens.next()
        if then is not None:
            self._waiting[token] = then
        return Keep(token, **what)

    def kept(self, token: int, now: float) -> list[Effect]:
        """Return what follows now."""
        then = self._waiting.pop(token, None)
        return [] if then is None else then(now)
