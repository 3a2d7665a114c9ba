"""Two entries of one chain at one place: kept as evidence, told to all, once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from buildnet.ledger.entry import Entry
from buildnet.ledger.events import Compare, Effect
from buildnet.ledger.holding import Holding
from buildnet.ledger.keeping import Keeping
from buildnet.ledger.messages import Equivocation
from buildnet.ledger.restored import Quarantine
from buildnet.mesh.events import Note, Send, SendAll
from buildnet.mesh.local import Local
from buildnet.mesh.wire import WireError

MAX_EVIDENCE = 64
"""Of so many the two entries are at hand, to tell whoever links."""
COMPARES_PER_S = 20
"""So often a second entries are loaded to compare them."""


class Forks:
    """What one node knows of chains with two branches."""

    def __init__(
        self,
        local: Local,
        cluster: bytes,
        holding: Holding,
        keeping: Keeping,
        quarantines: Iterable[Quarantine],
    ) -> None:
        self._local = local
        self._cluster = cluster
        self._holding = holding
        self._keeping = keeping
        self._evidence: deque[Equivocation] = deque(
            (Equivocation(one.one, one.other) for one in quarantines), maxlen=MAX_EVIDENCE
        )
        self._compared = 0
        self._second = 0

    def conflict(self, sender: bytes, entry: Entry, now: float) -> list[Effect]:
        """This node holds another entry in that place: load it."""
        if int(now) != self._second:
            self._second, self._compared = int(now), 0
        self._compared += 1
        held = self._holding.held(entry.chain)
        known = held is not None and held.quarantined is not None
        if self._compared > COMPARES_PER_S or (
            known and held is not None and (held.quarantined or 0) <= entry.body.sequence
        ):
            return []
        return [Compare(entry), Note("ledger: two branches", sender)]

    def contradiction(self, one: Entry, other: Entry, now: float) -> list[Effect]:
        """Take note of two entries of one place whose signatures are right."""
        chain, sequence = one.chain, one.body.sequence
        same = (other.chain, other.body.sequence) == (chain, sequence)
        if not same or one.hash == other.hash or one.body.cluster != self._cluster:
            return []
        if other.body.cluster != self._cluster or not self._holding.quarantine(chain, sequence):
            return []
        said = Equivocation(one.signed, other.signed)
        self._evidence.append(said)
        keep = self._keeping.keep(
            lambda now: [SendAll(tuple(sorted(self._local.links)), said)],
            quarantines=(Quarantine(chain, sequence, one.signed, other.signed),),
        )
        return [keep, Note("ledger: equivocation", chain.origin)]

    def told(self, sender: bytes, said: Equivocation, now: float) -> list[Effect]:
        """Take evidence from a peer, which may be none."""
        if said in self._evidence:
            return []
        try:
            one, other = Entry.decode(said.one), Entry.decode(said.other)
        except WireError:
            return [Note("ledger: no evidence", sender)]
        verify = self._local.signatures.verify
        members, origin = self._local.members, one.body.origin
        known = origin in members.members or origin in members.former
        known = known or origin in members.revoked or self._holding.held(one.chain) is not None
        if not known or not (one.is_signed(verify) and other.is_signed(verify)):
            return [Note("ledger: no evidence", sender)]
        return self.contradiction(one, other, now)

    def greet(self, peer: bytes) -> list[Effect]:
        """Tell a peer what it may have missed."""
        return [Send(peer, said) for said in self._evidence]
