"""Entries of all chains, from peers and to peers: joins the parts of this package."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Contradiction, Damaged, Effect, Repair, ServeEntries, Stub
from buildnet.ledger.frontier import Head
from buildnet.ledger.holding import Holding
from buildnet.ledger.keeping import Keeping
from buildnet.ledger.messages import EntriesAsk, Equivocation, Heads, PrunedEntries
from buildnet.ledger.restored import Quarantine
from buildnet.ledger.sync.arriving import Arrival, Arriving
from buildnet.ledger.sync.forks import Forks
from buildnet.ledger.sync.gate import Gate
from buildnet.ledger.sync.pulling import Pulling
from buildnet.ledger.sync.replacing import Replacing
from buildnet.ledger.sync.telling import Telling
from buildnet.mesh.events import Note, Send
from buildnet.mesh.local import Local

REPAIR_S = 5.0
"""So often a peer is asked for a damaged range, until it came."""
MAX_DAMAGED = 256
MAX_FORGETFUL = 3
"""So many peers that pruned the same entries are believed that nobody has them whole."""


class Sync:
    """One node's part in handing entries on. ``sealed``: its last final seal, or None."""

    def __init__(
        self,
        local: Local,
        cluster: bytes,
        holding: Holding,
        keeping: Keeping,
        *,
        sealed: Callable[[], Head | None],
        quarantines: Iterable[Quarantine] = (),
    ) -> None:
        self._local = local
        self._holding = holding
        self._keeping = keeping
        self.gate = Gate(local, holding)
        self.telling = Telling(local, holding, sealed)
        self._arriving = Arriving(cluster, holding, self.gate)
        self._pulling = Pulling(local, holding)
        self._replacing = Replacing(local, cluster, holding)
        self._forks = Forks(local, cluster, holding, keeping, quarantines)
        self._own: Chain | None = None
        self.sealed_reach: Callable[[Chain], int] = lambda chain: 0
        """Tells up to which sequence final seals that are here name a chain."""
        self._damaged: dict[Chain, tuple[int, int]] = {}
        self._repair_at = math.inf
        self._forgetful: dict[Chain, set[bytes]] = {}
        """Who has pruned of a chain what is needed next, since something whole of it came."""

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return min(
            self.telling.deadline,
            self._pulling.deadline,
            self._replacing.deadline,
            self._repair_at,
        )

    @property
    def lost(self) -> dict[Chain, tuple[int, int]]:
        """Of each chain the first and last damaged entry that no peer has sent again so far."""
        return dict(self._damaged)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects = [*self.telling.tick(now), *self._pulling.tick(now), *self._replacing.tick(now)]
        if now >= self._repair_at:
            effects += self._ask_repairs(now)
        return effects

    # --- links ---------------------------------------------------------------------------------

    def link_up(self, peer: bytes) -> list[Effect]:
        """Tell a peer what is here. What waits of it is dropped: it may have begun anew."""
        self._arriving.forget(peer)
        return [*self.telling.linked(peer), *self._forks.greet(peer)]

    def link_down(self, peer: bytes, now: float) -> list[Effect]:
        """Ask others for what this peer was asked for."""
        effects: list[Effect] = []
        for chain in self._pulling.forget(peer):
            effects += self._pulling.pull(chain, now)
        return effects

    def heads(self, sender: bytes, said: Heads, now: float) -> list[Effect]:
        """Ask for what a peer has and this node lacks; tell it what it lacks."""
        for one in said.heads:
            self._claim(sender, one.chain, one.sequence)
        effects: list[Effect] = []
        for one in said.heads:
            effects += self._pulling.pull(one.chain, now)
        return [*effects, *self.telling.correct(sender, said)]

    def serve(self, sender: bytes, said: EntriesAsk) -> list[Effect]:
        """Hand out entries that are here."""
        chain = Chain(said.origin, said.incarnation)
        last = min(said.last, self._holding.sequence(chain))
        return [ServeEntries(sender, chain, said.first, last)] if said.first <= last else []

    def want(self, chain: Chain, head: Head, peer: bytes, now: float) -> list[Effect]:
        """Get a chain up to an entry that a seal or a proposal of ``peer`` names."""
        self.gate.want(chain, head)
        found = self._holding.has(chain, head)
        if found:
            return []
        if found is False:
            return self._replacing.begin(chain, head, peer, now)
        self._claim(peer, chain, head.sequence)
        return self._pulling.pull(chain, now)

    def settle(self) -> None:
        """Seals went on: what they named is here."""
        self.gate.settle()
        self._replacing.settle()

    # --- entries -------------------------------------------------------------------------------

    def appended(self, entries: tuple[Entry, ...]) -> list[Effect]:
        """Take this node's own new entries, which are on disk, and hand them out."""
        for entry in entries:
            if entry.body.sequence == self._holding.sequence(entry.chain) + 1:
                self._holding.append(entry)
                self._own = entry.chain
        return self.telling.push(entries)

    def is_news(self, entry: Entry) -> bool:
        """Tell whether an entry of a peer goes on with a chain, now or once others came."""
        return self._arriving.is_news(entry)

    def arrived(
        self, sender: bytes, entries: tuple[Entry, ...], now: float
    ) -> tuple[bool, list[Effect]]:
        """Take entries of a peer; tell whether any is new here."""
        effects = self._repair(entries)
        complete, wanted = self._replacing.take(entries, now)
        foreign = tuple(one for one in entries if not self._is_ahead_of_own(one))
        if len(foreign) < len(entries):
            effects.append(Note("ledger: own chain goes on elsewhere", sender))
        arrival = self._arriving.take(foreign)
        effects += self._misfits(sender, arrival, now)  # compared before anything is set aside
        kept = list(arrival.kept)
        replaced: tuple[tuple[Chain, int], ...] = ()
        for chain in complete:
            new, places = self._replacing.finish(chain)
            kept, replaced = [*kept, *new], (*replaced, *places)
        for entry in kept:
            self._forgetful.pop(entry.chain, None)
        if kept:
            # Before anything that a peer is told or asked of them.
            effects.append(
                self._keeping.keep(self._told(kept), entries=tuple(kept), replaced=replaced)
            )
        effects += wanted
        for chain, reach in arrival.ahead.items():
            self._claim(sender, chain, reach)
        for chain, first, last, size in _runs(entries):
            effects += self._pulling.arrived(sender, chain, first, last, size, now)
        effects += self._other_branches(sender, arrival, now)
        return bool(kept), effects

    def pruned(self, sender: bytes, said: PrunedEntries, now: float) -> tuple[bool, list[Effect]]:
        """Take what is left of entries that a peer has pruned and was asked for, as far as final
        seals are over them; tell whether any is new here. Others may have them whole: some of them
        are asked first."""
        chain, holding = Chain(said.origin, said.incarnation), self._holding
        if chain == self._own or not self._pulling.is_asked(sender, chain, said.first):
            return False, []
        forgetful = self._forgetful.setdefault(chain, set())
        forgetful.add(sender)
        others = self._pulling.claimants(chain, said.first) - forgetful
        if others and len(forgetful) < MAX_FORGETFUL:
            self._pulling.refused(sender, chain)
            return False, self._pulling.pull(chain, now)
        bound = self.sealed_reach(chain)
        taken: list[Stub] = []
        for sequence, one in enumerate(said.entries, start=said.first):
            if holding.sequence(chain) + 1 == sequence <= bound:
                entry_hash, clock = one[:32], int.from_bytes(one[32:], "big")
                if not holding.append_stub(chain, entry_hash, clock):
                    break
                taken.append(Stub(chain, sequence, entry_hash, clock))
        if not taken:
            # It is asked for again once a seal names it.
            self._pulling.refused(sender, chain)
            return False, []
        arrival = self._arriving.go_on(chain)
        keep = self._keeping.keep(
            self._told_of([chain]), stubs=tuple(taken), entries=tuple(arrival.kept)
        )
        effects: list[Effect] = [keep, *self._misfits(sender, arrival, now)]
        last = taken[-1].sequence
        if last < said.first + len(said.entries) - 1:
            self._pulling.refused(sender, chain)
            return True, effects
        size = sum(map(len, said.entries))
        return True, [*effects, *self._pulling.arrived(sender, chain, said.first, last, size, now)]

    def contradiction(self, event: Contradiction, now: float) -> list[Effect]:
        """Take what the store holds in the place of an entry of another branch."""
        return self._forks.contradiction(event.held, event.other, now)

    def equivocation(self, sender: bytes, said: Equivocation, now: float) -> list[Effect]:
        """Take evidence of two branches."""
        return self._forks.told(sender, said, now)

    def damaged(self, event: Damaged, now: float) -> list[Effect]:
        """Fetch again what the store lost."""
        if event.chain in self._damaged or len(self._damaged) < MAX_DAMAGED:
            first, last = self._damaged.get(event.chain, (event.first, event.last))
            self._damaged[event.chain] = (min(first, event.first), max(last, event.last))
        return self._ask_repairs(now)

    def _told(self, kept: list[Entry]) -> Callable[[float], list[Effect]]:
        return self._told_of(dict.fromkeys(entry.chain for entry in kept))

    def _told_of(self, grown: Iterable[Chain]) -> Callable[[float], list[Effect]]:
        chains = tuple(grown)

        def then(now: float) -> list[Effect]:
            self.telling.new(chains)
            return []

        return then

    def _claim(self, peer: bytes, chain: Chain, sequence: int) -> None:
        bound = self.gate.bound(chain)
        if chain != self._own:
            reach = sequence if bound is None else min(sequence, bound)
            self._pulling.claim(peer, chain, reach)

    def _is_ahead_of_own(self, entry: Entry) -> bool:
        own = self._own
        return entry.chain == own and entry.body.sequence > self._holding.sequence(entry.chain)

    def _misfits(self, sender: bytes, arrival: Arrival, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for chain, _ in arrival.refused:
            self._pulling.refused(sender, chain)
        effects += [
            Note(f"ledger: entry {reason}", sender)
            for reason in dict.fromkeys(reason for _, reason in arrival.refused)
        ]
        for entry in arrival.unlinked:
            # Its origin signed that another entry stands where this chain ends: show me.
            chain, at = entry.chain, entry.body.sequence - 1
            self._pulling.refused(sender, chain)
            effects.append(Send(sender, EntriesAsk(chain.origin, chain.incarnation, at, at)))
        for entry in arrival.conflicts:
            effects += self._forks.conflict(sender, entry, now)
        return effects

    def _other_branches(self, sender: bytes, arrival: Arrival, now: float) -> list[Effect]:
        """Fetch the branch that a seal or proposal names, where this node holds another one."""
        effects: list[Effect] = []
        unfit = {entry.chain for entry in (*arrival.unlinked, *arrival.conflicts)}
        for chain in sorted(unfit | {entry.chain for entry in arrival.kept}):
            head = self.gate.wanted.get(chain)
            if head is None:
                continue
            found = self._holding.has(chain, head)
            if found is False or (found is None and chain in unfit):
                effects += self._replacing.begin(chain, head, sender, now)
        return effects

    def _repair(self, entries: tuple[Entry, ...]) -> list[Effect]:
        if not self._damaged:
            return []
        found = []
        for entry in entries:
            first, last = self._damaged.get(entry.chain, (0, 0))
            if first <= entry.body.sequence <= last:
                found.append(entry)
                if entry.body.sequence == first:
                    self._damaged[entry.chain] = (first + 1, last)
                    self._repair_at = 0.0  # the rest of it is asked for at once
        for chain in [chain for chain, (first, last) in self._damaged.items() if first > last]:
            del self._damaged[chain]
        return [Repair(tuple(found))] if found else []

    def _ask_repairs(self, now: float) -> list[Effect]:
        linked = sorted(self._local.links)
        self._repair_at = now + REPAIR_S if self._damaged else math.inf
        if not linked:
            return []
        return [
            Send(
                self._local.random.choice(linked),
                EntriesAsk(chain.origin, chain.incarnation, first, last),
            )
            for chain, (first, last) in sorted(self._damaged.items())
        ]


def _runs(entries: tuple[Entry, ...]) -> list[tuple[Chain, int, int, int]]:
    """Return the ranges of the chains that a message brings, and how many bytes each has."""
    runs: list[tuple[Chain, int, int, int]] = []
    for entry in entries:
        chain, sequence, size = entry.chain, entry.body.sequence, len(entry.signed)
        if runs and runs[-1][0] == chain and runs[-1][2] + 1 == sequence:
            runs[-1] = (chain, runs[-1][1], sequence, runs[-1][3] + size)
        else:
            runs.append((chain, sequence, sequence, size))
    return runs
