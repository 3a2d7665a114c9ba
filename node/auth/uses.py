"""How often each key was used on this node: counted at once, recorded in sums."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from buildnet.ledger.draft import EntryDraft, node_actor
from buildnet.node.recording import OpenLedger

RECORD_S = 600.0
MOST_KEYS = 10_000
MOST_ADDRESSES = 8


@dataclass(slots=True)
class Use:
    """Of one key since it was recorded last; ``first``, ``last``: seconds since 1970."""

    name: str
    first: float
    last: float
    count: int = 0
    limited: int = 0
    addresses: set[str] = field(default_factory=set)


class Uses:
    """Of all keys."""

    def __init__(self) -> None:
        self._now: dict[str, Use] = {}
        self._last: dict[str, float] = {}

    def count(self, key: str, name: str, address: str, now: float, limited: bool) -> None:
        """Count a request of a key; ``limited``: it was one too many."""
        use = self._now.get(key)
        if use is None:
            if len(self._now) >= MOST_KEYS:
                return
            use = self._now[key] = Use(name, now, now)
        use.last = now
        use.count += not limited
        use.limited += limited
        if len(use.addresses) < MOST_ADDRESSES:
            use.addresses.add(address)

    def last_used(self, key: str) -> float | None:
        """Return when a key was last used here since this node began; None: never."""
        use = self._now.get(key)
        return self._last.get(key) if use is None else use.last

    def sums(self) -> KeysUsed | None:
        """Return what was counted, and begin anew; None: nothing was."""
        if not self._now:
            return None
        sums, self._now = self._now, {}
        if len(self._last) < MOST_KEYS:
            self._last |= {key: use.last for key, use in sums.items()}
        return KeysUsed(sums)


@dataclass(frozen=True, slots=True)
class KeysUsed:
    """Keys were used on this node, for the ledger: an entry for each."""

    uses: dict[str, Use]
    request: bytes = field(default_factory=lambda: os.urandom(16))

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write."""
        return [
            EntryDraft(
                "key.used",
                node_actor(ledger.key),
                entity=f"key:{key}",
                request=self.request + number.to_bytes(4, "big"),
                data={
                    "name": use.name,
                    "count": use.count,
                    "limited": use.limited,
                    "first_ms": round(use.first * 1000),
                    "last_ms": round(use.last * 1000),
                    "addresses": sorted(use.addresses),
                },
            )
            for number, (key, use) in enumerate(self.uses.items())
        ]
