"""Invariants of the ledger that hold at every moment, looked at when something is written or told.

By their numbers in the design: see the package's table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Keep, SealedTo
from buildnet.ledger.seal import Seal, majority_of
from buildnet.mesh.simulation.host import Host
from buildnet.mesh.simulation.watch import Watch

if TYPE_CHECKING:
    from buildnet.ledger.simulation.ledgers import Ledgers
    from buildnet.ledger.simulation.store import Store
    from buildnet.mesh.simulation.world import World

Place = tuple[Chain, int]


class Told(NamedTuple):
    """An origin was told that its entry is sealed: its hash, and who the voters were."""

    hash: bytes
    voters: tuple[bytes, ...]


class LedgerWatch(Watch):
    """The mesh's invariants, and these of the ledger.

    - 1: What is called sealed is on the disks of a majority of the voters then.
    - 2, 5: One hash a place among honest nodes, but where a key was used twice; no sequence is
      reused.
    - 3: Each final seal continues the one below it, and seals an entry once, under the same height
      and with the same hash everywhere.
    - 4: Never two final seals of a height in one epoch.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.ledgers: Ledgers | None = None
        self.hashes: dict[Place, bytes] = {}
        """Of every entry that anybody wrote."""
        self.spread: set[Place] = set()
        """Those that another node than their origin has written."""
        self.forged: set[Chain] = set()
        """Chains of which somebody else has the key, too."""
        self.seals: dict[tuple[int, int], bytes] = {}
        """Of each (epoch, height)."""
        self.sealed: dict[tuple[int, Place], tuple[int, bytes]] = {}
        """Under which height each entry was sealed, by epoch, and its hash."""
        self.acknowledged: dict[int, dict[Place, Told]] = {0: {}}
        """What was told to origins of their entries, by the epoch in which it has to hold."""
        self.epoch = 0
        """Number of recoveries."""
        self.appended = 0

    @property
    def stores(self) -> Ledgers:
        """The disks."""
        assert self.ledgers is not None
        return self.ledgers

    def started(self, host: Host) -> None:
        """A process began; it finds what is rotten on its disk."""
        super().started(host)
        self._world.timeline.after(0.0, self.stores.tell_rotten, host)

    def stopped(self, host: Host) -> None:
        """A process ended: its store forgets what was not fsynced."""
        super().stopped(host)
        self.stores.store(host.key).crash()

    def wrote(self, host: Host, entry: Entry, *, own: bool) -> None:
        """A node wrote an entry."""
        place = (entry.chain, entry.body.sequence)
        known = self.hashes.setdefault(place, entry.hash)
        self.appended += own
        if not own:
            self.spread.add(place)
        if known != entry.hash and entry.chain not in self.forged:
            what = "a sequence is reused" if own else "two entries in one place"
            self.violated(what, f"{entry.chain.origin[:4].hex()} {place[1]} at {host.name}")

    def kept(self, host: Host, keep: Keep) -> None:
        """A core has something written."""
        for entry in keep.entries:
            self.wrote(host, entry, own=False)
        for seal in keep.seals:
            where = (seal.value.epoch, seal.height)
            if self.seals.setdefault(where, seal.hash) != seal.hash:
                self.violated("two final seals of one height", f"{where} at {host.name}")

    def wrote_seals(self, host: Host, store: Store, keep: Keep) -> None:
        """Seals are on a node's disk."""
        for seal, order in zip(keep.seals, keep.sealed, strict=True):
            below = store.seal(seal.height - 1)
            previous = seal.value.cluster if below is None else below.hash
            if seal.value.previous != previous or (below is None) is not (seal.height == 1):
                self.violated("a seal does not continue the one below", f"{host}: {seal.height}")
            for place in order:
                self._look_at_sealed(host, store, seal, place)

    def went_back(self, key: bytes) -> None:
        """A node's ledger is an older one again: what nobody else has of it never was."""
        for place in [
            place for place in self.hashes if place[0].origin == key and place not in self.spread
        ]:
            del self.hashes[place]

    def recovered(self, epoch: int, voters: list[bytes]) -> None:
        """The cluster was recovered with these voters: what they all together have not heard to be
        sealed may be lost, and what the old voters say from now on does not count, as long as
        anybody is there who heard of it."""
        before, self.epoch = self.acknowledged[self.epoch], epoch
        sealed = [self.stores.store(voter).sealed_places() for voter in voters]
        self.acknowledged[epoch] = {
            place: told
            for place, told in before.items()
            if sum(place in one for one in sealed) > len(voters) // 2
        }

    def told_sealed(self, host: Host, effect: SealedTo, entries: list[Entry]) -> None:
        """A node tells whoever waits that its entries are sealed."""
        value = effect.seal.value
        told = self.acknowledged[value.epoch]
        for entry in entries:
            place = (entry.chain, entry.body.sequence)
            told[place] = Told(entry.hash, value.voters)
            if value.epoch < self.epoch:
                continue
            disks = [voter for voter in value.voters if self._has(voter, entry)]
            if len(disks) < majority_of(value.voters):
                where = f"{host} {place[1]} is on {len(disks)} of {len(value.voters)} disks"
                self.violated("what is called sealed is on too few disks", where)

    def _has(self, voter: bytes, entry: Entry) -> bool:
        """Tell whether an entry is on a voter's disk, or was until that went back."""
        rows = self.stores.store(voter).image.entries.get(entry.chain, {})
        return rows.get(entry.body.sequence) == entry.signed or voter in self.stores.restored

    def _look_at_sealed(self, host: Host, store: Store, seal: Seal, place: Place) -> None:
        entry = store.entry(*place)
        here = (seal.height, b"" if entry is None else entry.hash)
        if self.sealed.setdefault((seal.value.epoch, place), here) != here:
            where = f"{place[1]} of {place[0].origin[:4].hex()} at {host}"
            self.violated("an entry is sealed twice, or another one", where)
