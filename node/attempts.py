"""What this node is doing to become a member of a cluster, for who asks meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(slots=True)
class Attempt:
    """Somebody wants this node to join at ``address``, since then (unix seconds).

    ``code``: the short authentication string, while an admin there has to decide. ``problem``: why
    it came to nothing so far; it is tried again.
    """

    address: str
    since: float
    code: str | None = None
    problem: str | None = None


class Attempts:
    """The attempts to join that are under way."""

    def __init__(self) -> None:
        self._under_way: list[Attempt] = []

    @contextmanager
    def begin(self, address: str) -> Iterator[Attempt]:
        """Count as under way what happens in the context."""
        attempt = Attempt(address, time.time())
        self._under_way.append(attempt)
        try:
            yield attempt
        finally:
            self._under_way.remove(attempt)

    def view(self) -> dict[str, Any] | None:
        """Return the JSON of the one that matters: that which waits for an admin, else the oldest;
        None: this node is not joining."""
        waiting = [one for one in self._under_way if one.code is not None]
        for one in (*waiting, *self._under_way):
            since = datetime.fromtimestamp(one.since, UTC).isoformat(timespec="seconds")
            return {
                "address": one.address,
                "since": since.replace("+00:00", "Z"),
                "waits_for": "node" if one.code is None else "admin",
                "code": one.code,
                "problem": one.problem,
            }
        return None
