"""Which keys count no more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

FOR_EVER_MS = 2**53
"""Of a key that was revoked and not replaced: no token of it counts, whenever it was issued."""


@dataclass(slots=True)
class Revocations:
    """By the id of a key: tokens that were issued until then (milliseconds since 1970) are void.
    So a key that is replaced goes on under its id, and what was issued before does not."""

    until_ms: dict[str, int] = field(default_factory=dict)

    def take(self, key_id: str, until_ms: int) -> bool:
        """Revoke a key; tell whether that is news."""
        if until_ms <= self.until_ms.get(key_id, -1):
            return False
        self.until_ms[key_id] = until_ms
        return True

    def cover(self, key_ids: Iterable[str], issued_ms: int) -> bool:
        """Tell whether a token that stands on these keys, issued then, is void."""
        return any(issued_ms <= self.until_ms.get(one, -1) for one in key_ids)

    def forget(self, key_id: str) -> None:
        """Forget a key of which no token would count any more anyway."""
        self.until_ms.pop(key_id, None)
