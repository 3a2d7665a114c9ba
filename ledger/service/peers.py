"""What peers told of their ledgers: how far each chain reaches there, and the last seal."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from buildnet.ledger.entry import Chain
from buildnet.ledger.messages import Heads

MAX_PEERS = 1024
MAX_CHAINS = 4096
"""Remembered of one peer."""


@dataclass(slots=True)
class PeerLedger:
    """What one peer told. ``sealed``: the height of its last final seal; ``heard_at``: seconds of
    the clock that :meth:`Peers.heard` was given. Heads of entries that it was sent since are told
    only now and then, so it may hold more."""

    sealed: int = 0
    heard_at: float = 0.0
    reach: dict[Chain, int] = field(default_factory=dict)

    def lacks(self, held: Mapping[Chain, int], sealed: Mapping[Chain, int]) -> int:
        """Return how many of the entries held here it had not when it told. ``sealed``: how far
        each chain is under seals that it said to have, so it has those entries, too."""
        return sum(
            max(0, last - max(self.reach.get(chain, 0), sealed.get(chain, 0)))
            for chain, last in held.items()
        )

    def leads(self, held: Mapping[Chain, int]) -> int:
        """Return how many entries it has that are not held here."""
        return sum(max(0, last - held.get(chain, 0)) for chain, last in self.reach.items())


class Peers:
    """All of them, for people to look at; nothing is decided by it."""

    def __init__(self) -> None:
        self._peers: OrderedDict[bytes, PeerLedger] = OrderedDict()

    def heard(self, peer: bytes, said: Heads, now: float) -> None:
        """Take note of what a peer told."""
        told = self._peers.setdefault(peer, PeerLedger())
        self._peers.move_to_end(peer)
        told.sealed = said.sealed
        told.heard_at = now
        for one in said.heads:
            if one.chain in told.reach or len(told.reach) < MAX_CHAINS:
                told.reach[one.chain] = one.sequence
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)

    def get(self, peer: bytes) -> PeerLedger | None:
        """Return what a peer told; None: nothing yet."""
        return self._peers.get(peer)
