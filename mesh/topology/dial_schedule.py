"""When to try what again: exponential backoff with full jitter, for ever."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

FIRST_BACKOFF_S = 0.25
LONGEST_BACKOFF_S = 30.0
LEAST_S = 0.05
STABLE_S = 10.0
"""A link that stood for so long makes earlier failures forgotten."""
REDIALLED_S = 1.0
"""A link that stood for so long is tried again at once: the answer tells a crash from a cut."""
ANSWER_S = 60.0
"""Without word of a dial for so long, it counts as failed."""


def backoff_s(failures: int, lots: random.Random) -> float:
    """Return the wait after ``failures`` in a row: 0.05 s to 0.25 s * 2**failures, at most 30 s."""
    longest = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(failures, 10))
    return lots.uniform(LEAST_S, longest)


@dataclass(slots=True)
class Way:
    """The attempts to reach one peer, or one address of which nobody knows whose it is."""

    due: float = math.inf
    failures: int = 0
    """Times in a row that every address failed."""
    address: int = 0
    """Place in the list of addresses that is tried next."""
    pending_until: float | None = None
    """A dial or relay is under way; its outcome is awaited until then."""
    is_dialled: bool = False
    """The addresses known now were dialled, at least the first one."""
    relay_turn: int = 0
    up_at: float | None = None
    """When the link began that stands."""

    @property
    def deadline(self) -> float:
        """When something is to be done."""
        return self.due if self.pending_until is None else self.pending_until

    def begin(self, now: float) -> None:
        """A dial begins."""
        self.pending_until = now + ANSWER_S

    def fail(self, now: float, lots: random.Random) -> None:
        """Every address failed once more."""
        self.pending_until = None
        self.address = 0
        self.failures += 1
        self.due = now + backoff_s(self.failures, lots)

    def hasten(self, due: float) -> None:
        """Try again by ``due``."""
        self.due = min(self.due, due)

    def link_up(self, now: float, again_at: float) -> None:
        """A link stands; try for a better one at ``again_at``."""
        self.pending_until = None
        self.address = 0
        self.up_at = now
        self.due = again_at

    def link_down(self, now: float, wait: float, lots: random.Random) -> None:
        """The link ended: try again after ``wait``, later if links don't last."""
        stood_s = 0.0 if self.up_at is None else now - self.up_at
        self.failures = 0 if stood_s >= STABLE_S else self.failures + 1
        self.up_at = None
        self.address = 0
        holds_back = self.failures > 1 and stood_s < REDIALLED_S
        self.due = now + max(wait, backoff_s(self.failures, lots) if holds_back else 0.0)
