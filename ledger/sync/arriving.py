"""Entries that came from peers: which are next, which must wait, which contradict what is held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from buildnet.ledger.chain import objection
from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.holding import Holding
from buildnet.ledger.sync.gate import Gate

MAX_AHEAD = 4096
"""How far ahead of its chain's end an entry may wait for those between."""
MAX_WAITING_BYTES = 8 << 20
"""Of one origin: nobody else can sign what fills it."""


@dataclass(slots=True)
class Arrival:
    """What became of some entries."""

    kept: list[Entry] = field(default_factory=list)
    """Taken, in order."""
    ahead: dict[Chain, int] = field(default_factory=dict)
    """How far what came reaches beyond a gap."""
    conflicts: list[Entry] = field(default_factory=list)
    """This node holds another entry at their places."""
    refused: list[tuple[Chain, str]] = field(default_factory=list)
    unlinked: list[Entry] = field(default_factory=list)
    """Next by their sequence, but of another branch."""


class Arriving:
    """What one node makes of entries whose signatures are right."""

    def __init__(self, cluster: bytes, holding: Holding, gate: Gate) -> None:
        self._cluster = cluster
        self._holding = holding
        self._gate = gate
        self._waiting: dict[Chain, dict[int, Entry]] = {}
        self._bytes: Counter[bytes] = Counter()
        """Of what waits, by origin."""

    def take(self, entries: Iterable[Entry]) -> Arrival:
        """Take entries; what is kept is held from now on."""
        arrival = Arrival()
        bounds: dict[Chain, int | None] = {}
        for entry in entries:
            chain = entry.chain
            if chain not in bounds:
                bounds[chain] = self._gate.bound(chain)
            self._take(entry, bounds[chain], arrival)
        for chain in self._waiting.keys() & bounds.keys():
            if min(self._waiting[chain]) <= self._holding.sequence(chain):
                self._drop(chain)
        return arrival

    def go_on(self, chain: Chain) -> Arrival:
        """Take what waited for entries that are held by now."""
        arrival = Arrival()
        if chain in self._waiting:
            self._drain(chain, arrival)
        if chain in self._waiting and min(self._waiting[chain]) <= self._holding.sequence(chain):
            self._drop(chain)
        return arrival

    def forget(self, origin: bytes) -> None:
        """Drop what waits of an origin, which may have begun anew: it is pulled if it counts."""
        for chain in [chain for chain in self._waiting if chain.origin == origin]:
            self._drop(chain)

    def _take(self, entry: Entry, bound: int | None, arrival: Arrival) -> None:
        chain, sequence = entry.chain, entry.body.sequence
        if entry.body.cluster != self._cluster:
            arrival.refused.append((chain, "of another cluster"))
            return
        if bound is not None and sequence > bound:
            arrival.refused.append((chain, "beyond its bound"))
            return
        tip = self._holding.tip(chain)
        if sequence <= tip.sequence:
            held = self._holding.held(chain)
            known = None if held is None else held.hash(sequence)
            if known is not None and known != entry.hash:
                arrival.conflicts.append(entry)
            return
        if sequence > tip.sequence + 1:
            arrival.ahead[chain] = max(arrival.ahead.get(chain, 0), sequence)
            self._wait(entry, tip.sequence)
            return
        if self._append(entry, arrival) and chain in self._waiting:
            self._drain(chain, arrival)

    def is_news(self, entry: Entry) -> bool:
        """Tell whether an entry would be taken, or would wait for those before it."""
        chain, sequence, tip = entry.chain, entry.body.sequence, self._holding.tip(entry.chain)
        bound = self._gate.bound(chain)
        if sequence <= tip.sequence or (bound is not None and sequence > bound):
            return False
        if sequence == tip.sequence + 1:
            return objection(self._cluster, chain, tip, entry) is None
        is_known = sequence in self._waiting.get(chain, {})
        of_another = entry.body.cluster != self._cluster
        return not is_known and not of_another and self._has_room(entry, tip.sequence)

    def _append(self, entry: Entry, arrival: Arrival) -> bool:
        chain, tip = entry.chain, self._holding.tip(entry.chain)
        wrong = objection(self._cluster, chain, tip, entry)
        if wrong is None:
            self._holding.append(entry)
            arrival.kept.append(entry)
            return True
        if wrong == "does not follow" and tip.sequence:
            arrival.unlinked.append(entry)
        else:
            arrival.refused.append((chain, wrong))
        return False

    def _drain(self, chain: Chain, arrival: Arrival) -> None:
        waiting = self._waiting[chain]
        if (twice := waiting.pop(self._holding.sequence(chain), None)) is not None:
            self._bytes[chain.origin] -= len(twice.signed)
        while waiting:
            entry = waiting.pop(self._holding.sequence(chain) + 1, None)
            if entry is None:
                break
            self._bytes[chain.origin] -= len(entry.signed)
            if not self._append(entry, arrival):
                self._drop(chain)
                return
        if not waiting:
            del self._waiting[chain]
            arrival.ahead.pop(chain, None)

    def _wait(self, entry: Entry, head: int) -> None:
        if not self._has_room(entry, head):
            return
        waiting = self._waiting.setdefault(entry.chain, {})
        if entry.body.sequence not in waiting:
            waiting[entry.body.sequence] = entry
            self._bytes[entry.body.origin] += len(entry.signed)

    def _has_room(self, entry: Entry, head: int) -> bool:
        size = self._bytes[entry.body.origin] + len(entry.signed)
        return entry.body.sequence <= head + MAX_AHEAD and size <= MAX_WAITING_BYTES

    def _drop(self, chain: Chain) -> None:
        dropped = self._waiting.pop(chain, {})
        self._bytes[chain.origin] -= sum(len(entry.signed) for entry in dropped.values())
