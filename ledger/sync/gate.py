"""Which entries a node takes at all."""

from __future__ import annotations

from buildnet.ledger.entry import Chain
from buildnet.ledger.frontier import Head
from buildnet.ledger.holding import Holding
from buildnet.mesh.local import Local

MAX_WANTED = 4096
MAX_CHAINS = 4096
"""Of one origin. Each takes memory for ever, and a node begins another one only where it lost its
last one or nobody confirmed it: thousands are of somebody who means harm."""


class Gate:
    """Members' chains; those of former members until the seal that says so; and what seals name.

    A chain with two branches is taken up to where they part, unless a seal names one. So is no more
    than :data:`MAX_CHAINS` of an origin.
    """

    def __init__(self, local: Local, holding: Holding) -> None:
        self._local = local
        self._holding = holding
        self.wanted: dict[Chain, Head] = {}
        """What seals and proposals name and this node lacks."""

    def want(self, chain: Chain, head: Head) -> None:
        """Let entries come up to one that a seal or a proposal names."""
        if chain in self.wanted or len(self.wanted) < MAX_WANTED:
            self.wanted[chain] = head

    def settle(self) -> None:
        """Forget what is sealed by now."""
        reach = self._holding.reach
        for chain in [
            chain for chain, head in self.wanted.items() if head.sequence <= reach.sequence(chain)
        ]:
            del self.wanted[chain]

    def bound(self, chain: Chain) -> int | None:
        """Return the greatest sequence that may come; None: there is no bound."""
        wanted = self.wanted.get(chain)
        named = 0 if wanted is None else wanted.sequence
        held = self._holding.held(chain)
        if not self._is_open(chain):
            return named
        if held is None and self._holding.count(chain.origin) >= MAX_CHAINS:
            return named
        if held is not None and held.quarantined is not None:
            return max(named, held.quarantined - 1)
        return None

    def _is_open(self, chain: Chain) -> bool:
        members, origin = self._local.members, chain.origin
        if origin in members.revoked or chain in self._holding.closed:
            return False
        return origin in members.members or origin in members.former
