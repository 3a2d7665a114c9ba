"""What a seal says: made by the coordinator, checked by everybody."""

from __future__ import annotations

from dataclasses import dataclass

from buildnet.ledger.entry import Chain
from buildnet.ledger.frontier import Advance, Head
from buildnet.ledger.holding import Holding, Row
from buildnet.ledger.membership import Membership
from buildnet.ledger.merkle import root_of
from buildnet.ledger.seal import MAX_ADVANCES, MAX_SEALED_ENTRIES, SealValue, hash_of_value
from buildnet.ledger.sealing.place import Place
from buildnet.ledger.voters import VoterSet
from buildnet.mesh.local import Local

MAX_AHEAD_S = 300
"""A voter waits with a seal that is further ahead of its clock."""
PROPOSED_AHEAD_S = 240
"""An entry that is further ahead of a majority's clocks is not proposed yet."""
_A_SECOND = 1000 << 16  # of the hybrid clock


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a value. All empty: it is right, and ``order`` are its entries."""

    problem: str | None = None
    """Why it is wrong, for ever."""
    waits: str | None = None
    """What this node has to learn first."""
    missing: tuple[tuple[Chain, Head], ...] = ()
    """Entries that it has to get first."""
    order: tuple[Row, ...] = ()

    @property
    def is_right(self) -> bool:
        """Tell whether nothing is wrong or missing."""
        return self.problem is None and self.waits is None and not self.missing


class Values:
    """Values of the height after the last final seal."""

    def __init__(
        self, local: Local, cluster: bytes, holding: Holding, membership: Membership, place: Place
    ) -> None:
        self._local = local
        self._cluster = cluster
        self._holding = holding
        self._membership = membership
        self._place = place
        self._right: tuple[bytes, int, Verdict] | None = None
        """The value found right last: its hash, and how often branches were replaced then."""

    def named(self) -> VoterSet | None:
        """Return the voters of the next value, as far as this node knows."""
        return self._membership.voters.required(self._place.members)

    def date(self, voters: VoterSet) -> int:
        """Return the clock that a majority of the voters has reached."""
        local = self._local
        clocks = sorted(
            (
                local.clock.now() if key == local.key else local.heard.get(key, 0)
                for key in voters.voters
            ),
            reverse=True,
        )
        return clocks[voters.majority - 1]

    def is_ahead(self, value: SealValue) -> bool:
        """Tell whether a value is too far ahead of this node's clock to accept it now.

        One tick after the last final seal is as early as a value can be: where the voters of before
        had their clocks ahead, who votes now would wait until its own is there.
        """
        clock = self._local.clock
        latest = max(clock.now(), clock.told) + MAX_AHEAD_S * _A_SECOND
        return value.hlc > max(latest, self._place.hlc + 1)

    def is_over_stubs(self, value: SealValue) -> bool:
        """Tell whether of some of its entries only the hash is here: no voter vouches for those."""
        return bool(self._holding.stubs_under(value.advances))

    def propose(self) -> tuple[SealValue, bytes] | None:
        """Return a new value and its bytes; None: there is nothing to seal now."""
        place, holding = self._place, self._holding
        named = self.named()
        if named is None or self._membership.is_changing_voters:
            return None  # who goes would be needed for what names the voters of before
        date = self.date(named)
        advances = self._advances(date + PROPOSED_AHEAD_S * _A_SECOND)
        if not advances and named.version == (place.members or 0):
            return None
        order = tuple(holding.under(advances))
        latest = order[-1][0] if order else 0
        value = SealValue(
            cluster=self._cluster,
            epoch=named.epoch,
            height=place.height + 1,
            previous=place.previous,
            history=place.history.root,
            frontier=holding.reach.digest_after(advances),
            advances=advances,
            count=len(order),
            root=root_of(row[-1] for row in order),
            members=named.version,
            voters=named.voters,
            hlc=max(place.hlc + 1, latest, date),
        )
        raw = value.encode()
        self._right = (hash_of_value(raw), holding.cuts, Verdict(order=order))
        return value, raw

    def check(self, value: SealValue, value_hash: bytes) -> Verdict:
        """Check a value of the next height; a function of the value, of the seals before and of the
        final member list, once nothing is missing."""
        right = self._right
        if right is not None and right[:2] == (value_hash, self._holding.cuts):
            return right[2]
        verdict = self._check(value)
        if verdict.is_right:
            self._right = (value_hash, self._holding.cuts, verdict)
        return verdict

    def _check(self, value: SealValue) -> Verdict:
        place, membership = self._place, self._membership
        if value.cluster != self._cluster:
            return Verdict("of another cluster")
        if value.height != place.height + 1:
            return Verdict("another height")
        if (value.previous, value.history) != (place.previous, place.history.root):
            return Verdict("another history")
        if value.members > membership.version:
            return Verdict(waits="members not known yet")
        wrong = membership.voters.objection(
            place.members, version=value.members, epoch=value.epoch, voters=value.voters
        )
        if wrong is not None:
            return Verdict(wrong)
        if not value.advances and value.members == (place.members or 0):
            return Verdict("nothing to seal")
        if value.hlc <= place.hlc:
            return Verdict("clock went back")
        return self._check_entries(value)

    def _check_entries(self, value: SealValue) -> Verdict:
        holding = self._holding
        reach, missing, count = holding.reach, [], 0
        for one in value.advances:
            before = reach.sequence(one.chain)
            if one.sequence <= before:
                return Verdict("no advance")
            if one.chain in holding.closed:
                return Verdict("closed chain")
            count += one.sequence - before
            if not holding.has(one.chain, one.head):
                missing.append((one.chain, one.head))
        if count != value.count:
            return Verdict("another count")
        if value.frontier != reach.digest_after(value.advances):
            return Verdict("another frontier")
        if missing:
            return Verdict(missing=tuple(missing))
        closed = holding.closed
        for _, _, notice in holding.notices_under(value.advances):
            if not closed.is_known(notice):
                return Verdict(waits="members not known yet")
        order = tuple(holding.under(value.advances))
        if order and order[-1][0] > value.hlc:
            return Verdict("clock behind entries")
        if value.root != root_of(row[-1] for row in order):
            return Verdict("another root")
        return Verdict(order=order)

    def _advances(self, latest: int) -> tuple[Advance, ...]:
        holding, members = self._holding, self._local.members
        chains = [
            chain
            for chain in holding.open_chains()
            if chain not in holding.closed and chain.origin not in members.revoked
        ]
        if not chains:
            return ()
        # Where there are too many, each has its turn.
        start = self._place.height * MAX_ADVANCES % len(chains)
        share = max(1, MAX_SEALED_ENTRIES // min(len(chains), MAX_ADVANCES))
        left = MAX_SEALED_ENTRIES
        advances: list[Advance] = []
        for chain in (*chains[start:], *chains[:start]):
            if len(advances) >= MAX_ADVANCES or not left:
                break
            most = left if len(chains) == 1 else min(left, share)
            stop = self._stop(chain, latest, most)
            entry_hash = holding.chains[chain].tail.hash(stop)
            if entry_hash is not None:
                left -= stop - holding.chains[chain].tail.after
                advances.append(Advance(chain.origin, chain.incarnation, stop, entry_hash))
        return tuple(sorted(advances, key=lambda one: one.chain))

    def _stop(self, chain: Chain, latest: int, most: int) -> int:
        """Return up to where a chain can be sealed now."""
        holding = self._holding
        held = holding.chains[chain]
        stop = held.tail.reach(latest, most)
        if held.quarantined is not None:
            stop = min(stop, held.quarantined - 1)
        for sequence, notice in held.notices.items():
            if sequence <= stop and not holding.closed.is_known(notice):
                stop = sequence - 1
        return stop
