"""A store that takes its time, and forgets in a crash what was not fsynced."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Keep
from buildnet.ledger.frontier import Frontier, Head
from buildnet.ledger.membership import notice_of
from buildnet.ledger.merkle import CompactRange
from buildnet.ledger.restored import Accepted, Quarantine, Restored
from buildnet.ledger.seal import Seal
from buildnet.ledger.voters import VoterHistory
from buildnet.mesh.simulation.timeline import Timeline

_USUAL_LATENCY_S = (0.0002, 0.003)

Place = tuple[Chain, int]

_decoded = lru_cache(maxsize=50_000)(Entry.decode)
"""What many hosts read again and again."""


@dataclass(slots=True)
class Image:
    """What a backup holds: entries, seals, evidence, and the voter's word of then."""

    entries: dict[Chain, dict[int, bytes]] = field(default_factory=dict)
    seals: dict[int, tuple[bytes, tuple[Place, ...]]] = field(default_factory=dict)
    quarantines: list[Quarantine] = field(default_factory=list)
    promise: int = 0
    accepted: Accepted | None = None
    abstains: bool = False
    rotten: set[Place] = field(default_factory=set)
    """Entries whose bytes are not what was written; the row still tells which one it was."""
    rotten_seals: set[int] = field(default_factory=set)

    def copy(self) -> Image:
        """Return it as it is now."""
        return Image(
            {chain: dict(rows) for chain, rows in self.entries.items()},
            dict(self.seals),
            list(self.quarantines),
            self.promise,
            self.accepted,
            self.abstains,
            set(self.rotten),
            set(self.rotten_seals),
        )


class Store:
    """One node's ledger on its disk; writes in order and in groups, each all or none."""

    def __init__(self, timeline: Timeline, random: random.Random) -> None:
        self.image = Image()
        self.is_restored = False
        """The ledger was copied back, and no new chain was begun since."""
        self.slowness: Callable[[], float] = lambda: 1.0
        self._timeline = timeline
        self._random = random
        self._waiting: deque[tuple[Callable[[], None], Callable[[], None]]] = deque()
        self._writing = 0
        self._life = 0

    # --- in order ------------------------------------------------------------------------------

    def do(self, action: Callable[[], None], done: Callable[[], None]) -> None:
        """Write or read after all that was asked for before; ``done()`` once it is fsynced."""
        self._waiting.append((action, done))
        if self._writing == 0:
            self._begin()

    def crash(self) -> None:
        """Forget what is not there yet; the group being written is there or not."""
        if self._writing and self._random.random() < 0.5:
            for action, _ in list(self._waiting)[: self._writing]:
                action()
        self._waiting.clear()
        self._writing = 0
        self._life += 1

    def _begin(self) -> None:
        self._writing = len(self._waiting)
        latency = self._random.uniform(*_USUAL_LATENCY_S) * self.slowness()
        self._timeline.after(latency, self._finish, self._life)

    def _finish(self, life: int) -> None:
        if life != self._life:
            return
        written = [self._waiting.popleft() for _ in range(self._writing)]
        self._writing = 0
        for action, _ in written:
            action()
        if self._waiting:
            self._begin()
        for _, done in written:
            done()
            if life != self._life:
                return

    # --- what is written -----------------------------------------------------------------------

    def append(self, entries: tuple[Entry, ...]) -> None:
        """Write entries."""
        for entry in entries:
            rows = self.image.entries.setdefault(entry.chain, {})
            rows[entry.body.sequence] = entry.signed

    def keep(self, keep: Keep) -> None:
        """Write what the core wants written."""
        for chain, sequence in keep.replaced:
            self.image.entries.get(chain, {}).pop(sequence, None)
            self.image.rotten.discard((chain, sequence))
        self.append(keep.entries)
        for seal, order in zip(keep.seals, keep.sealed, strict=True):
            self.image.seals[seal.height] = (seal.record.encode(), order)
        if keep.promise is not None:
            self.image.promise = keep.promise.term
        if keep.accepted is not None:
            self.image.accepted = keep.accepted
        if keep.abstains is not None:
            self.image.abstains = keep.abstains
        self.image.quarantines += keep.quarantines

    def rewind(self, height: int, voters: VoterHistory) -> None:
        """Set final seals from a height on aside, and those below of others than ``voters``."""
        while (below := self.seal(height - 1)) is not None:
            value = below.value
            if voters.names(value.members, value.epoch, value.voters):
                break
            height -= 1
        for one in [one for one in self.image.seals if one >= height]:
            del self.image.seals[one]
            self.image.rotten_seals.discard(one)

    def repair(self, entries: tuple[Entry, ...], seals: tuple[Seal, ...]) -> None:
        """Put back those that belong where something is rotten."""
        for entry in entries:
            held = self.entry(entry.chain, entry.body.sequence)
            if held is not None and held.hash == entry.hash:
                self.image.rotten.discard((entry.chain, entry.body.sequence))
        for seal in seals:
            named = self.seal(seal.height)
            if named is not None and named.hash == seal.hash:
                self.image.rotten_seals.discard(seal.height)

    # --- what is read --------------------------------------------------------------------------

    def entry(self, chain: Chain, sequence: int) -> Entry | None:
        """Return an entry, rotten or not."""
        signed = self.image.entries.get(chain, {}).get(sequence)
        return None if signed is None else _decoded(signed)

    def run(self, chain: Chain, first: int, last: int) -> list[bytes]:
        """Return entries to serve, up to the first that is missing or rotten."""
        rows, rotten = self.image.entries.get(chain, {}), self.image.rotten
        found: list[bytes] = []
        while (
            first <= last
            and (chain, first) not in rotten
            and (signed := rows.get(first)) is not None
        ):
            found.append(signed)
            first += 1
        return found

    def seal(self, height: int) -> Seal | None:
        """Return a final seal."""
        found = self.image.seals.get(height)
        return None if found is None else Seal.decode(found[0])

    def sealed_places(self) -> dict[Place, bytes]:
        """Return the hash of each sealed entry."""
        found: dict[Place, bytes] = {}
        for _, order in self.image.seals.values():
            for place in order:
                entry = self.entry(*place)
                assert entry is not None, "a sealed entry is missing"
                found[place] = entry.hash
        return found

    def restored(self) -> Restored:
        """Return what a process finds."""
        image = self.image
        frontier, history, last = Frontier(), CompactRange(), None
        sealed_notices: list[Entry] = []
        for height in sorted(image.seals):
            last = self.seal(height)
            assert last is not None
            history = history.appended(last.hash)
            frontier = frontier.advanced(last.value.advances)
            for place in image.seals[height][1]:
                entry = self.entry(*place)
                if entry is not None and notice_of(entry) is not None:
                    sealed_notices.append(entry)
        heads: dict[Chain, tuple[Head, int]] = {}
        unsealed: dict[Chain, tuple[tuple[bytes, int], ...]] = {}
        unsealed_notices: list[Entry] = []
        for chain, rows in image.entries.items():
            if not rows:
                continue
            entries = [_decoded(signed) for _, signed in sorted(rows.items())]
            newest = entries[-1]
            heads[chain] = (Head(newest.body.sequence, newest.hash), newest.body.hlc)
            after = [one for one in entries if one.body.sequence > frontier.sequence(chain)]
            unsealed[chain] = tuple((one.hash, one.body.hlc) for one in after)
            unsealed_notices += [one for one in after if notice_of(one) is not None]
        return Restored(
            heads=heads,
            sealed=dict(frontier),
            unsealed=unsealed,
            sealed_notices=tuple(sealed_notices),
            unsealed_notices=tuple(unsealed_notices),
            last=last,
            history=history,
            promise=image.promise,
            accepted=image.accepted,
            quarantines=tuple(image.quarantines),
            abstains=image.abstains,
        )
