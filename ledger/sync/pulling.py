"""Asking for what is missing: who claims to have it, what is under way, who did not deliver."""

from __future__ import annotations

import math
from dataclasses import dataclass

from buildnet.ledger.entry import Chain
from buildnet.ledger.events import Effect
from buildnet.ledger.holding import Holding
from buildnet.ledger.messages import MAX_BATCH, MAX_BATCH_BYTES, EntriesAsk
from buildnet.mesh.events import Note, Send
from buildnet.mesh.local import Local

WINDOW = 8
"""Asks under way for one chain; each is answered by one message. While some are verified, others
have to be on their way."""
MAX_ASKS = 16
"""Asks under way to one peer."""
MAX_CLAIMS = 4096
"""Chains of which a peer is believed to have more."""
PATIENCE_S = (2.0, 16.0)
"""How long an answer may take: at first, and of a peer that let asks go unanswered."""
MAX_FAILURES = 3
_FIRST_SPAN = 64
_LEAST_SPAN = 8


@dataclass(slots=True)
class _Claim:
    sequence: int
    failures: int = 0


@dataclass(slots=True)
class _Ask:
    peer: bytes
    first: int
    last: int
    until: float


class Pulling:
    """One node's asks for entries."""

    def __init__(self, local: Local, holding: Holding) -> None:
        self._local = local
        self._holding = holding
        self._claims: dict[Chain, dict[bytes, _Claim]] = {}
        self._counts: dict[bytes, int] = {}
        self._asks: dict[Chain, list[_Ask]] = {}
        self._busy: dict[bytes, int] = {}
        self._patience: dict[bytes, float] = {}
        self._spans: dict[Chain, int] = {}

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return min((ask.until for asks in self._asks.values() for ask in asks), default=math.inf)

    def claim(self, peer: bytes, chain: Chain, sequence: int) -> None:
        """Take note that a peer says its chain reaches so far."""
        if sequence <= self._holding.sequence(chain) or peer not in self._local.links:
            return
        claims = self._claims.setdefault(chain, {})
        known = claims.get(peer)
        if known is not None:
            known.sequence = max(known.sequence, sequence)
        elif self._counts.get(peer, 0) < MAX_CLAIMS:
            claims[peer] = _Claim(sequence)
            self._counts[peer] = self._counts.get(peer, 0) + 1
        if not claims:
            del self._claims[chain]

    def forget(self, peer: bytes) -> list[Chain]:
        """The link to a peer ended; return the chains for which somebody else is to be asked."""
        chains = [chain for chain, claims in self._claims.items() if peer in claims]
        for chain in chains:
            self._drop(chain, peer)
        self._patience.pop(peer, None)
        return chains

    def is_asked(self, peer: bytes, chain: Chain, first: int) -> bool:
        """Tell whether a peer was asked for a chain's entries from ``first`` on."""
        return any(one.peer == peer and one.first == first for one in self._asks.get(chain, ()))

    def claimants(self, chain: Chain, sequence: int) -> set[bytes]:
        """Return who claims to have a chain's entry."""
        claims = self._claims.get(chain, {})
        return {peer for peer, claim in claims.items() if claim.sequence >= sequence}

    def refused(self, peer: bytes, chain: Chain) -> None:
        """What a peer sent does not follow: what it claims of that chain is of no use."""
        self._drop(chain, peer)

    def arrived(
        self, peer: bytes, chain: Chain, first: int, last: int, size_bytes: int, now: float
    ) -> list[Effect]:
        """Entries ``first`` to ``last`` came from a peer, be it as an answer; ask on.
        ``size_bytes``: of all of them."""
        self._patience.pop(peer, None)
        effects: list[Effect] = []
        for ask in self._asks.get(chain, ()):
            if ask.peer == peer and ask.first == first:
                whole = last >= ask.last
                came = last - first + 1
                # As many as go into a message: behind an answer that breaks off all others wait.
                fitting = came * MAX_BATCH_BYTES * 7 // (8 * size_bytes)
                span = min(MAX_BATCH, 2 * self._spans.get(chain, _FIRST_SPAN), fitting)
                self._spans[chain] = max(_LEAST_SPAN, span)
                if whole:
                    self._finish(chain, ask)
                else:
                    ask.first, ask.until = last + 1, now + self._wait(peer)
                    effects.append(_ask(ask, chain))
                break
        return effects + self.pull(chain, now)

    def pull(self, chain: Chain, now: float) -> list[Effect]:
        """Ask for what is missing of a chain, as far as the window allows."""
        head = self._holding.sequence(chain)
        claims = self._claims.get(chain, {})
        for behind in [peer for peer, claim in claims.items() if claim.sequence <= head]:
            self._drop(chain, behind)
        for ask in [ask for ask in self._asks.get(chain, ()) if ask.last <= head]:
            self._finish(chain, ask)
        self._turn_away(chain)
        effects: list[Effect] = []
        asks = self._asks.get(chain, [])
        following = max([head, *(ask.last for ask in asks)]) + 1
        while len(asks) < WINDOW:
            peer = self._choose(chain, following)
            if peer is None:
                break
            span = self._spans.get(chain, _FIRST_SPAN)
            last = min(self._claims[chain][peer].sequence, following + span - 1)
            ask = _Ask(peer, following, last, now + self._wait(peer))
            asks = self._asks.setdefault(chain, asks)
            asks.append(ask)
            self._busy[peer] = self._busy.get(peer, 0) + 1
            effects.append(_ask(ask, chain))
            following = last + 1
        if not asks and not self._claims.get(chain):
            self._spans.pop(chain, None)
        return effects

    def tick(self, now: float) -> list[Effect]:
        """Ask elsewhere for what did not come in time."""
        effects: list[Effect] = []
        late = [
            (chain, ask) for chain, asks in self._asks.items() for ask in asks if ask.until <= now
        ]
        for chain, ask in late:
            if ask not in self._asks.get(chain, ()):  # gone with the claim of its peer
                continue
            self._finish(chain, ask)
            peer = ask.peer
            self._patience[peer] = min(2 * self._wait(peer), PATIENCE_S[1])
            claim = self._claims.get(chain, {}).get(peer)
            if claim is not None:
                claim.failures += 1
                if claim.failures >= MAX_FAILURES:
                    self._drop(chain, peer)
                    effects.append(Note("ledger: entries did not come", peer))
        for chain in sorted({chain for chain, _ in late}):
            # What was asked after it can't be taken without it: begin again where the chain ends.
            for ask in list(self._asks.get(chain, ())):
                self._finish(chain, ask)
            effects += self.pull(chain, now)
        return effects

    def _turn_away(self, chain: Chain) -> None:
        """Wait no longer for a peer that let asks go unanswered and was asked for what is needed
        next, where another one claims to have that."""
        asks = self._asks.get(chain, [])
        if not asks or asks[0].peer not in self._patience:
            return
        peer = self._choose(chain, self._holding.sequence(chain) + 1)
        if peer is None or peer in self._patience:
            return
        for ask in list(asks):
            self._finish(chain, ask)

    def _choose(self, chain: Chain, sequence: int) -> bytes | None:
        able = [
            (peer in self._patience, claim.failures, self._busy.get(peer, 0), peer)
            for peer, claim in self._claims.get(chain, {}).items()
            if claim.sequence >= sequence and self._busy.get(peer, 0) < MAX_ASKS
        ]
        return min(able)[-1] if able else None

    def _wait(self, peer: bytes) -> float:
        return self._patience.get(peer, PATIENCE_S[0])

    def _finish(self, chain: Chain, ask: _Ask) -> None:
        asks = self._asks[chain]
        asks.remove(ask)
        if not asks:
            del self._asks[chain]
        self._busy[ask.peer] -= 1
        if not self._busy[ask.peer]:
            del self._busy[ask.peer]

    def _drop(self, chain: Chain, peer: bytes) -> None:
        claims = self._claims.get(chain, {})
        if claims.pop(peer, None) is not None:
            self._counts[peer] -= 1
            if not self._counts[peer]:
                del self._counts[peer]
        if not claims:
            self._claims.pop(chain, None)
        for ask in [ask for ask in self._asks.get(chain, ()) if ask.peer == peer]:
            self._finish(chain, ask)


def _ask(ask: _Ask, chain: Chain) -> Effect:
    return Send(ask.peer, EntriesAsk(chain.origin, chain.incarnation, ask.first, ask.last))
