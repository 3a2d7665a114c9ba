"""Invariants of the ledger, looked at whenever something is written or told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Keep, SealedTo
from buildnet.ledger.seal import Seal
from buildnet.mesh.simulation.host import Host
from buildnet.mesh.simulation.watch import Watch

if TYPE_CHECKING:
    from buildnet.ledger.simulation.ledgers import Ledgers
    from buildnet.mesh.simulation.world import World

Place = tuple[Chain, int]


class LedgerWatch(Watch):
    """The mesh's invariants, and those of the ledger that hold at every moment.

    - One hash a place among honest nodes, but where a key was used twice; no sequence is reused.
    - Never two final seals of a height in one epoch, and each continues the one before.
    - An entry is sealed once, under the same seal everywhere.
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
        self.sealed: dict[tuple[int, Chain, int], tuple[int, bytes]] = {}
        """Under which height each entry was sealed, by epoch, and its hash."""
        self.acknowledged: dict[Place, bytes] = {}
        """Of entries that their origin was told to be sealed."""
        self.appended = 0

    def stopped(self, host: Host) -> None:
        """A process ended: its store forgets what was not fsynced."""
        super().stopped(host)
        if self.ledgers is not None:
            self.ledgers.store(host.key).crash()

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
        for seal, order in zip(keep.seals, keep.sealed, strict=True):
            self._look_at_seal(host, seal)
            for chain, sequence in order:
                self._look_at_sealed(host, seal, chain, sequence)

    def went_back(self, key: bytes) -> None:
        """A node's ledger is an older one again: what nobody else has of it never was."""
        for place in [
            place for place in self.hashes if place[0].origin == key and place not in self.spread
        ]:
            del self.hashes[place]

    def told_sealed(self, host: Host, effect: SealedTo, entries: list[Entry]) -> None:
        """A node tells whoever waits that its entries are sealed."""
        for entry in entries:
            self.acknowledged[entry.chain, entry.body.sequence] = entry.hash

    def _look_at_seal(self, host: Host, seal: Seal) -> None:
        where = (seal.value.epoch, seal.height)
        if self.seals.setdefault(where, seal.hash) != seal.hash:
            self.violated("two final seals of one height", f"{where} at {host.name}")

    def _look_at_sealed(self, host: Host, seal: Seal, chain: Chain, sequence: int) -> None:
        place = (seal.value.epoch, chain, sequence)
        here = (seal.height, b"")
        if self.sealed.setdefault(place, here)[0] != seal.height:
            self.violated("an entry is sealed twice", f"{sequence} of {chain.origin[:4].hex()}")
