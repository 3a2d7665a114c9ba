"""Telling others how far the chains reach, and handing out what this node appended."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Effect
from buildnet.ledger.frontier import Advance, Head
from buildnet.ledger.holding import Holding
from buildnet.ledger.messages import MAX_BATCH, MAX_BATCH_BYTES, MAX_HEADS, Entries, Heads
from buildnet.mesh.events import Send, SendAll
from buildnet.mesh.local import Local

NEWS_S = 0.5
"""What is new is told at most so often,"""
FANOUT = 3
"""to so many peers."""
ALL_S = (10.0, 18.0)
"""So often everything is told to one peer: with an answer under way, well within 20 s."""


class Telling:
    """What one node tells of its chains. ``sealed``: its last final seal, or None."""

    def __init__(self, local: Local, holding: Holding, sealed: Callable[[], Head | None]) -> None:
        self._local = local
        self._holding = holding
        self._sealed = sealed
        self._news: dict[Chain, None] = {}
        self._seals_news = False
        self._news_at = 0.0
        self._all_at = 0.0
        self._unanswered: set[bytes] = set()

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        news = self._news or self._seals_news
        return min(self._all_at, self._news_at) if news else self._all_at

    def new(self, chains: Iterable[Chain]) -> None:
        """Take note that chains reach farther."""
        self._news.update(dict.fromkeys(chains))

    def new_seal(self) -> None:
        """Take note that there is another last seal."""
        self._seals_news = True

    def tick(self, now: float) -> list[Effect]:
        """Tell what is due."""
        effects: list[Effect] = []
        linked = self._linked()
        if (self._news or self._seals_news) and now >= self._news_at:
            if linked:
                to = self._local.random.sample(linked, min(FANOUT, len(linked)))
                said = self._heads(sorted(self._news))
                effects += [SendAll(tuple(sorted(to)), heads) for heads in said]
            self._news.clear()
            self._seals_news = False
            self._news_at = now + NEWS_S
        if now >= self._all_at:
            self._all_at = now + self._local.random.uniform(*ALL_S)
            if linked:
                effects += self.tell_all(self._local.random.choice(linked))
        return effects

    def tell_all(self, peer: bytes) -> list[Effect]:
        """Tell a peer of all chains."""
        return [Send(peer, heads) for heads in self._heads(sorted(self._holding.chains))]

    def linked(self, peer: bytes) -> list[Effect]:
        """Tell a peer of all chains, since a link to it came up."""
        self._unanswered.add(peer)
        return self.tell_all(peer)

    def correct(self, peer: bytes, said: Heads) -> list[Effect]:
        """Tell a peer of those of its chains that reach farther here; and, once for each link, how
        far its own ones do: it may have begun just now, after :meth:`linked`, and needs somebody
        who confirms that they end where it believes."""
        mine = {one.chain for one in said.heads if one.chain.origin == peer}
        first = mine if peer in self._unanswered else set[Chain]()
        if first:
            self._unanswered.discard(peer)
        more = [
            one.chain
            for one in said.heads
            if one.chain in first or self._holding.sequence(one.chain) > one.sequence
        ]
        sealed = self._sealed()
        if not more and (sealed is None or sealed.sequence <= said.sealed):
            return []
        return [Send(peer, heads) for heads in self._heads(more)]

    def push(self, entries: tuple[Entry, ...]) -> list[Effect]:
        """Hand entries to all linked members."""
        to = tuple(self._linked())
        if not to:
            return []
        return [SendAll(to, batch) for batch in batches(entry.signed for entry in entries)]

    def _linked(self) -> list[bytes]:
        local = self._local
        return [peer for peer in sorted(local.links) if local.members.is_member(peer)]

    def _heads(self, chains: list[Chain]) -> list[Heads]:
        sealed = self._sealed() or Head(0, bytes(32))
        rows = []
        for chain in chains:
            tip = self._holding.tip(chain)
            if tip.sequence:
                rows.append(Advance(chain.origin, chain.incarnation, tip.sequence, tip.hash))
        parts = [tuple(rows[at : at + MAX_HEADS]) for at in range(0, len(rows), MAX_HEADS)]
        return [Heads(sealed.sequence, sealed.hash, part) for part in parts or [()]]


def batches(signed: Iterable[bytes]) -> list[Entries]:
    """Put entries into messages of at most :data:`MAX_BATCH_BYTES`."""
    found: list[Entries] = []
    batch: list[bytes] = []
    size = 0
    for one in signed:
        if batch and (size + len(one) > MAX_BATCH_BYTES or len(batch) >= MAX_BATCH):
            found.append(Entries(tuple(batch)))
            batch, size = [], 0
        batch.append(one)
        size += len(one)
    if batch:
        found.append(Entries(tuple(batch)))
    return found
