"""Waiting for what becomes of nodes that nobody can be told by."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PATIENCE_S = 60.0


def until(
    check: Callable[[], Found | None],
    what: str = "it never came to that",
    *,
    patience_s: float = PATIENCE_S,
) -> Found:
    """Look now and then until something is so, and return what was found; ``what`` says what was
    waited for if it never is."""
    deadline = time.monotonic() + patience_s
    while not (found := check()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found
