"""One node's decisions about the ledger: sync and sealing behind one door.

The daemon's shell and the simulator feed it the mesh's events and the store's answers, and perform
its effects. What it says of entries, promises and values is on disk before it is said.
"""

from __future__ import annotations

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import (
    Contradiction,
    Damaged,
    DamagedSeals,
    Effect,
    EntriesAppended,
    EntriesArrived,
    Event,
    Kept,
    MaybeSetBack,
    Rewound,
    SetBack,
)
from buildnet.ledger.frontier import Frontier, Head
from buildnet.ledger.holding import Holding
from buildnet.ledger.keeping import Keeping
from buildnet.ledger.membership import Log, Membership
from buildnet.ledger.messages import EntriesAsk, Equivocation, Heads, PrunedEntries
from buildnet.ledger.restored import Restored
from buildnet.ledger.seal import Seal
from buildnet.ledger.sealing.abstaining import Abstention
from buildnet.ledger.sealing.core import Sealing
from buildnet.ledger.sealing.place import Place
from buildnet.ledger.sync.core import Sync
from buildnet.mesh.events import LinkDown, LinkUp, MembersChanged, OfficeChanged, Received
from buildnet.mesh.local import Local
from buildnet.mesh.messages.kinds import Message


class LedgerCore:
    """The ledger of one node.

    Args:
        local: what the mesh's cores share; read only.
        log: the mesh's member log.
        restored: what this node's disk holds.
    """

    def __init__(self, local: Local, log: Log, restored: Restored | None = None) -> None:
        found = restored or Restored()
        cluster = log.genesis.cluster_id
        self._local = local
        self.membership = Membership(log)
        self.holding = Holding(self.membership, found)
        self._keeping = Keeping(local.tokens)
        self._place = Place(cluster, found)
        self._sync = Sync(
            local,
            cluster,
            self.holding,
            self._keeping,
            sealed=lambda: self._place.head,
            quarantines=found.quarantines,
        )
        self._sealing = Sealing(
            local,
            cluster,
            holding=self.holding,
            membership=self.membership,
            keeping=self._keeping,
            place=self._place,
            sync=self._sync,
            restored=found,
        )

    # --- what others look at -------------------------------------------------------------------

    @property
    def last(self) -> Seal | None:
        """The last final seal."""
        return self._place.last

    @property
    def lost(self) -> dict[Chain, tuple[int, int]]:
        """Of each chain the first and last damaged entry that no peer has sent again so far."""
        return self._sync.lost

    def is_news(self, entry: Entry) -> bool:
        """Tell whether an entry, whose signature is right, may be of use here."""
        return self._sync.is_news(entry) or entry.chain in self.lost

    @property
    def abstention(self) -> Abstention:
        """Whether this node abstains as a voter, and until when."""
        return self._sealing.abstention

    @property
    def frontier(self) -> Frontier:
        """How far each chain is sealed."""
        return self.holding.reach.frontier()

    @property
    def heads(self) -> dict[Chain, Head]:
        """How far each chain reaches."""
        return {
            chain: held.tip.head for chain, held in self.holding.chains.items() if held.tip.sequence
        }

    def may_change_voters(self) -> bool:
        """Tell whether the voters have settled on who votes: see ``Local.may_change_voters``."""
        return self._sealing.may_change_voters

    # --- the core ------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return min(self._sync.deadline, self._sealing.deadline)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        if self._sync.deadline <= now:
            effects += self._sync.tick(now)
        if self._sealing.deadline <= now:
            effects += self._sealing.tick(now)
        return effects

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        match event:
            case Received(sender, said):
                if not self._local.members.is_member(sender):
                    return []
                return self._receive(sender, said, now)
            case EntriesArrived(sender, entries):
                new, effects = self._sync.arrived(sender, entries, now)
                return effects + (self._sealing.news(now) if new else [])
            case EntriesAppended(entries):
                return [*self._sync.appended(entries), *self._sealing.news(now)]
            case Kept(token):
                return [*self._keeping.kept(token, now), *self._sealing.flush(now)]
            case LinkUp(peer):
                return [*self._sync.link_up(peer), *self._sealing.link_up(peer, now)]
            case LinkDown(peer):
                return [*self._sync.link_down(peer, now), *self._sealing.link_down(peer, now)]
            case OfficeChanged():
                return self._sealing.office_changed(now)
            case MembersChanged():
                self.membership.refresh()
                self.holding.closed.refresh()
                return self._sealing.members_changed(now)
            case Contradiction():
                return self._sync.contradiction(event, now)
            case Damaged():
                return self._sync.damaged(event, now)
            case DamagedSeals(heights):
                return self._sealing.damaged(heights, now)
            case MaybeSetBack():
                return self._sealing.doubt(now)
            case SetBack():
                return self._sealing.abstain()
            case Rewound(state):
                self.holding.rewound(state)
                self._place.restore(state)
                return self._sealing.rewound(state, now)
            case _:
                return []

    def _receive(self, sender: bytes, said: Message, now: float) -> list[Effect]:
        match said:
            case Heads():
                effects = self._sync.heads(sender, said, now)
                return effects + self._sealing.receive(sender, said, now)
            case EntriesAsk():
                return self._sync.serve(sender, said)
            case PrunedEntries():
                new, effects = self._sync.pruned(sender, said, now)
                return effects + (self._sealing.news(now) if new else [])
            case Equivocation():
                return self._sync.equivocation(sender, said, now)
            case _:
                return self._sealing.receive(sender, said, now)
