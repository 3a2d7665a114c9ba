"""What the core of one node keeps in memory of all chains: heads, and what is not sealed yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from buildnet.ledger.chain import BEGINNING, Tip
from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.frontier import Advance, Head
from buildnet.ledger.membership import Closed, Membership, Notice, Recorded, notice_of
from buildnet.ledger.reach import Reach
from buildnet.ledger.restored import Restored
from buildnet.ledger.tail import Tail
from buildnet.mesh.wire import MAX_COUNTER

Row = tuple[int, Chain, int, bytes]
"""(clock, chain, sequence, hash): sorted, entries are in canonical order."""


@dataclass(slots=True)
class Held:
    """One chain."""

    tip: Tip
    tail: Tail
    quarantined: int | None = None
    """The sequence from which on the chain has two branches."""
    notices: dict[int, Notice] = field(default_factory=dict)
    """Of entries that are not sealed, by sequence."""
    stubs: set[int] = field(default_factory=set)
    """Those not sealed here of which only hash and clock are held: peers have pruned them."""

    def hash(self, sequence: int) -> bytes | None:
        """Return an entry's hash; None: it is not held, or sealed and not the newest."""
        return self.tip.hash if sequence == self.tip.sequence else self.tail.hash(sequence)


class Holding:
    """All chains of one node. ``restored``: what its disk holds."""

    def __init__(self, membership: Membership, restored: Restored) -> None:
        self._membership = membership
        self.cuts = 0
        """How often another branch took the place of one that was held."""
        self.restore(restored)

    def restore(self, restored: Restored) -> None:
        """Begin anew with what the disk holds."""
        self.cuts += 1
        self.chains: dict[Chain, Held] = {}
        self.reach = Reach(restored.sealed)
        self.closed = Closed(self._membership)
        self.recorded: set[bytes] = set()
        """Hashes of the member list's entries that some entry records."""
        self._open: dict[Chain, None] = {}
        self._count: Counter[bytes] = Counter()
        for chain, (head, clock) in restored.heads.items():
            tail = Tail(self.reach.sequence(chain), restored.unsealed.get(chain, ()))
            held = Held(Tip(head.sequence, head.hash, clock), tail)
            held.stubs.update(restored.stubs.get(chain, ()))
            self.chains[chain] = held
            self._count[chain.origin] += 1
            if len(tail):
                self._open[chain] = None
        for quarantine in restored.quarantines:
            self.quarantine(quarantine.chain, quarantine.sequence)
        for entry in restored.sealed_notices:
            self._note(entry)
            notice = notice_of(entry)
            if notice is not None:
                self.closed.take((notice,))
        for entry in restored.unsealed_notices:
            self._note(entry)

    def rewound(self, restored: Restored) -> None:
        """Final seals were set aside: what was under them is open again, as ``restored`` tells it.
        What came since the disk told that, or is on its way there, stays."""
        before, recorded = self.chains, self.recorded
        self.restore(restored)
        self.recorded |= recorded
        for chain, held in before.items():
            self._go_on(chain, held)

    def _go_on(self, chain: Chain, held: Held) -> None:
        """Let a chain go on after what was sealed of it as it did in memory."""
        sealed = held.tail.after
        found = self.chains.get(chain)
        if found is None:
            found = self._begin(chain)
        found.tail.cut_after(sealed)
        for clock, _, entry_hash in held.tail.up_to(held.tip.sequence):
            found.tail.append(entry_hash, clock)
        found.tip = held.tip
        found.quarantined = held.quarantined
        found.notices = {at: one for at, one in found.notices.items() if at <= sealed}
        found.notices |= held.notices
        found.stubs = {at for at in found.stubs if at <= sealed} | held.stubs
        if len(found.tail):
            self._open[chain] = None
        else:
            self._open.pop(chain, None)

    def held(self, chain: Chain) -> Held | None:
        """Return a chain; None: nothing of it is here."""
        return self.chains.get(chain)

    def tip(self, chain: Chain) -> Tip:
        """Return where a chain stands."""
        held = self.chains.get(chain)
        return BEGINNING if held is None else held.tip

    def sequence(self, chain: Chain) -> int:
        """Return how far a chain reaches; 0: nothing of it is here."""
        held = self.chains.get(chain)
        return 0 if held is None else held.tip.sequence

    def has(self, chain: Chain, head: Head) -> bool | None:
        """Tell whether a chain holds that entry, not sealed yet; None: it is too short. False: it
        has another one there."""
        held = self.chains.get(chain)
        if held is None or held.tip.sequence < head.sequence:
            return None
        return held.hash(head.sequence) == head.hash

    def count(self, origin: bytes) -> int:
        """Return how many chains of an origin are held."""
        return self._count[origin]

    def _begin(self, chain: Chain) -> Held:
        self._count[chain.origin] += 1
        held = self.chains[chain] = Held(BEGINNING, Tail(0))
        return held

    def append(self, entry: Entry) -> None:
        """Take the next entry of its chain, which was checked."""
        chain, body = entry.chain, entry.body
        held = self.chains.get(chain)
        if held is None:
            held = self._begin(chain)
        held.tip = Tip.of(entry)
        held.tail.append(entry.hash, body.hlc)
        self._open[chain] = None
        self._note(entry)

    def append_stub(self, chain: Chain, entry_hash: bytes, clock: int) -> bool:
        """Take hash and clock of the next entry of a chain; False: it can't be the next one. The
        first one of a chain is never pruned."""
        held = self.chains.get(chain)
        if held is None or not held.tip.sequence or not held.tip.hlc < clock <= MAX_COUNTER:
            return False
        held.tip = Tip(held.tip.sequence + 1, entry_hash, clock)
        held.tail.append(entry_hash, clock)
        held.stubs.add(held.tip.sequence)
        self._open[chain] = None
        return True

    def stubs_under(self, advances: Iterable[Advance]) -> dict[Chain, int]:
        """Return the first stub of each chain that has some under ``advances``."""
        found: dict[Chain, int] = {}
        for one in advances:
            held = self.chains.get(one.chain)
            first = min(held.stubs, default=None) if held is not None else None
            if first is not None and first <= one.sequence:
                found[one.chain] = first
        return found

    def cut(self, chain: Chain, after: int) -> None:
        """Forget the entries after a sequence that is sealed or not the last: another branch
        takes their place, its first entry comes next."""
        held = self.chains[chain]
        before = held.tail.hash(after)
        if before is not None:
            clock = held.tail.clock(after)
        else:
            sealed = self.reach.head(chain)
            before, clock = (sealed.hash, 0) if sealed is not None else (BEGINNING.hash, 0)
        self.cuts += 1
        held.tail.cut_after(after)
        held.tip = Tip(after, before, clock)
        for sequence in [one for one in held.notices if one > after]:
            del held.notices[sequence]
        held.stubs = {one for one in held.stubs if one <= after}

    def quarantine(self, chain: Chain, sequence: int) -> bool:
        """Take note that a chain has two branches from a sequence on; False: that is known."""
        held = self.chains.get(chain)
        if held is None:
            held = self._begin(chain)
        if held.quarantined is not None and held.quarantined <= sequence:
            return False
        held.quarantined = sequence
        return True

    # --- sealing -------------------------------------------------------------------------------

    def open_chains(self) -> list[Chain]:
        """Return the chains of which something is not sealed, sorted."""
        return sorted(self._open)

    @property
    def is_sealed(self) -> bool:
        """Tell whether nothing waits for a seal."""
        return not self._open

    def under(self, advances: Iterable[Advance]) -> list[Row]:
        """Return the entries that ``advances`` seal, in canonical order; all are held."""
        rows: list[Row] = []
        for one in advances:
            chain = one.chain
            rows += [
                (clock, chain, sequence, entry_hash)
                for clock, sequence, entry_hash in self.chains[chain].tail.up_to(one.sequence)
            ]
        rows.sort()
        return rows

    def notices_under(self, advances: Iterable[Advance]) -> Iterator[tuple[Chain, int, Notice]]:
        """Yield the notices that ``advances`` seal."""
        for one in advances:
            held = self.chains[one.chain]
            for sequence, notice in sorted(held.notices.items()):
                if sequence <= one.sequence:
                    yield one.chain, sequence, notice

    def seal(self, advances: tuple[Advance, ...], order: list[Row]) -> None:
        """Take note that ``advances`` are final; ``order``: the entries under them."""
        found = {
            (chain, sequence): notice for chain, sequence, notice in self.notices_under(advances)
        }
        if found:
            places = ((chain, sequence) for _, chain, sequence, _ in order)
            self.closed.take(found[place] for place in places if place in found)
            for chain, sequence in found:
                del self.chains[chain].notices[sequence]
        for one in advances:
            held = self.chains[one.chain]
            held.tail.drop_to(one.sequence)
            if held.stubs:
                held.stubs = {stub for stub in held.stubs if stub > one.sequence}
            if not len(held.tail):
                self._open.pop(one.chain, None)
        self.reach.advance(advances)

    def _note(self, entry: Entry) -> None:
        notice = notice_of(entry)
        if notice is None:
            return
        if isinstance(notice, Recorded):
            self.recorded.add(notice.hash)
        if entry.body.sequence > self.reach.sequence(entry.chain):
            self.chains[entry.chain].notices[entry.body.sequence] = notice
