"""How much of what a peer sends may be of no use: each signature costs some 50 us to check,
whatever comes of it.

Where entries come by more than one way, all but the first are of no use, and nobody did wrong: each
peer may repeat as many as are taken. Beyond that it has an allowance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from buildnet.ledger.entry import Entry
from buildnet.mesh.allowance import Allowance

PER_S = 1000.0
"""Entries of no use a second: some 5 % of a core."""
BURST = 20_000.0
"""At once, such as what a node is sent that was away, by all its peers."""


@dataclass(slots=True)
class _Sender:
    allowance: Allowance
    taken: int
    """Of :attr:`Useless.taken`, when it last sent something of no use."""


class Useless:
    """One node's account of each peer. ``is_news``: tells whether an entry, whose signature is
    right, is of use here."""

    def __init__(
        self, is_news: Callable[[Entry], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_news = is_news
        self._clock = clock
        self._senders: dict[bytes, _Sender] = {}
        self.taken = 0
        """Entries that were of use, whoever sent them."""

    def may_send(self, peer: bytes) -> bool:
        """Tell whether a peer's entries are looked at."""
        known = self._senders.get(peer)
        return known is None or known.allowance.left(self._clock()) >= 1

    def weigh(self, peer: bytes, entries: Sequence[Entry]) -> None:
        """Take note of entries that are about to be taken, if they are of use."""
        # Whatever a message repeats is of use once.
        news = len({(one.chain, one.body.sequence) for one in entries if self._is_news(one)})
        self.taken += news
        self.charge(peer, len(entries) - news)

    def charge(self, peer: bytes, count: int) -> None:
        """Take note of entries of no use."""
        if not count:
            return
        now = self._clock()
        known = self._senders.get(peer)
        if known is None:
            known = self._senders[peer] = _Sender(Allowance(PER_S, BURST, now), self.taken)
        known.taken = max(known.taken, self.taken - int(BURST))  # who was silent saved up no more
        beyond = count - (self.taken - known.taken)
        known.taken = min(self.taken, known.taken + count)
        if beyond > 0:
            known.allowance.spend(beyond, now)
