"""The stores of a simulated cluster, and what its people do with the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from buildnet.ledger.entry import Entry
from buildnet.ledger.events import (
    Compare,
    Contradiction,
    Damaged,
    DamagedSeals,
    EntriesAppended,
    Keep,
    Kept,
    Repair,
    Rewind,
    Rewound,
    SealedTo,
    ServeEntries,
    ServeSeals,
)
from buildnet.ledger.messages import MAX_BATCH_BYTES, Entries, Seals
from buildnet.ledger.seal import SealRecord
from buildnet.ledger.simulation.program import Append, LedgerMachine
from buildnet.ledger.simulation.store import Image, Store
from buildnet.ledger.simulation.watch import LedgerWatch
from buildnet.ledger.sync.telling import batches
from buildnet.mesh.events import Effect, Event, Send
from buildnet.mesh.simulation.host import Host
from buildnet.mesh.simulation.network import Path
from buildnet.mesh.simulation.world import World

_BURST = 150
_SEALS = 64


@dataclass(slots=True)
class Vote:
    """A seal that only its coordinator knows to be final, which is gone: one voter forgot that it
    accepted it, the ``loyal`` ones are out of reach."""

    coordinator: Host
    forgetful: Host
    loyal: tuple[Host, ...]
    blocked: list[Path] = field(default_factory=list)


class Ledgers:
    """The stores of all hosts of a world; performs what the cores want of them."""

    def __init__(self, world: World, watch: LedgerWatch) -> None:
        self._world = world
        self._watch = watch
        self.images: dict[float, Image] = {}
        """Backups that will be copied back, by when they were made."""
        self.restored: set[bytes] = set()
        """Whose ledger went back to an older one: it does not know which requests it served."""
        self.lost: dict[float, tuple[list[Host], list[Host]]] = {}
        """Who was lost and who was left, by when that began."""
        self.votes: dict[float, Vote] = {}
        """Who is about to forget a vote, by when that began."""
        self._stores: dict[bytes, Store] = {}
        self._random = world.stream("ledger people")
        self._numbers = 0
        self._requests: list[tuple[Host, bytes]] = []
        watch.ledgers = self

    def store(self, key: bytes) -> Store:
        """Return the store of the host with a key."""
        found = self._stores.get(key)
        if found is None:
            random = self._world.stream(f"store {key.hex()}")
            found = self._stores[key] = Store(self._world.timeline, random)
            host = self._world.host_of(key)
            if host is not None:
                disk = host.disk
                found.slowness = lambda: disk.slowness
        return found

    def take_over(self, host: Host, successor: Host) -> None:
        """Let a host find the disk of another one, whose key it takes over."""
        store, disk = self.store(successor.key), successor.disk
        store.image = self.store(host.key).image.copy()
        store.slowness = lambda: disk.slowness
        if host.key in self.restored:
            self.restored.add(successor.key)

    def tell_rotten(self, host: Host) -> None:
        """Let a node find what is rotten on its disk."""
        image = self.store(host.key).image
        for chain, sequence in sorted(image.rotten):
            host.tell(host.life, cast(Event, Damaged(chain, sequence, sequence)))
        if image.rotten_seals:
            heights = tuple(sorted(image.rotten_seals))
            host.tell(host.life, cast(Event, DamagedSeals(heights)))

    def listen(self, others: Callable[[Host, Effect], None]) -> None:
        """Hear of effects before ``others`` do."""
        self._others = others
        self._watch.listener = self._perform

    # --- what the cores want -------------------------------------------------------------------

    def _perform(self, host: Host, effect: object) -> None:
        store, tell = self.store(host.key), partial(self._tell, host, host.life)
        match effect:
            case Keep():
                self._watch.kept(host, effect)
                store.do(
                    lambda: self._keep(host, store, effect),
                    lambda: self._kept(host, effect, tell),
                )
            case Append(entries):
                store.do(
                    lambda: self._append(host, store, entries),
                    lambda: tell(EntriesAppended(entries)),
                )
            case ServeEntries() | ServeSeals():
                found: list[Send] = []
                store.do(lambda: found.extend(_served(store, effect)), lambda: _say(host, found))
            case SealedTo(seal):
                order = store.image.seals[seal.height][1]
                own = [store.entry(*place) for place in order if place[0].origin == host.key]
                self._watch.told_sealed(host, effect, [one for one in own if one])
            case Compare(other):
                self._compare(store, other, tell)
            case Rewind(height, voters):
                store.do(
                    lambda: store.rewind(height, voters),
                    lambda: tell(Rewound(store.restored())),
                )
            case Repair(entries, seals):
                store.do(lambda: store.repair(entries, seals), lambda: None)
            case _:
                self._others(host, cast(Effect, effect))

    def _keep(self, host: Host, store: Store, keep: Keep) -> None:
        store.keep(keep)
        self._watch.wrote_seals(host, store, keep)

    def _kept(self, host: Host, keep: Keep, tell: Callable[[object], None]) -> None:
        tell(Kept(keep.token))
        program = host.program
        if keep.seals and isinstance(program, LedgerMachine) and program.is_mute:
            host.kill(dark=True)

    def _compare(self, store: Store, other: Entry, tell: Callable[[object], None]) -> None:
        held: list[Entry | None] = []

        def done() -> None:
            if held[0] is not None and held[0].hash != other.hash:
                tell(Contradiction(held[0], other))

        place = (other.chain, other.body.sequence)
        store.do(lambda: held.append(store.entry(*place)), done)

    def _append(self, host: Host, store: Store, entries: tuple[Entry, ...]) -> None:
        store.append(entries)
        store.is_restored = False
        for entry in entries:
            self._watch.wrote(host, entry, own=True)

    def _tell(self, host: Host, life: int, event: object) -> None:
        host.tell(life, cast(Event, event))

    # --- what people do ------------------------------------------------------------------------

    def work(self, *, until: float, mean_s: float) -> None:
        """Let nodes append now and then, until some time."""
        when = self._world.timeline.now + self._random.expovariate(1 / mean_s)
        if when < until:
            self._world.timeline.at(when, self._act, until, mean_s)

    def append(self, host: Host, *, request: bytes = b"", count: int = 1) -> None:
        """Let a node append something."""
        self._numbers += 1
        data = {"number": self._numbers, "text": "x" * self._random.choice((10, 10, 10, 2000))}

        host.ask(
            lambda program, now: _ledger(program).append(
                "test.event", data, request=request, count=count
            )
        )

    def _act(self, until: float, mean_s: float) -> None:
        host = self._random.choice(self._world.hosts)
        kind = self._random.random()
        if kind > 0.7 and kind < 0.9:
            cores = self._random.randint(1, 10)
            host.ask(lambda program, now: _ledger(program).account(cores))
        elif kind < 0.1 and self._requests:
            host, request = self._random.choice(self._requests)
            self.append(host, request=request)
        elif kind < 0.3:
            request = self._random.randbytes(16)
            self._requests.append((host, request))
            self.append(host, request=request)
        else:
            burst = self._random.randint(2, _BURST) if kind > 0.97 else 1
            self.append(host, count=burst)
        self.work(until=until, mean_s=mean_s)


def _ledger(program: object) -> LedgerMachine:
    assert isinstance(program, LedgerMachine)
    return program


def _served(store: Store, effect: ServeEntries | ServeSeals) -> list[Send]:
    if isinstance(effect, ServeEntries):
        run = batches(store.run(effect.chain, effect.first, effect.last))
        return [Send(effect.to, Entries(run[0].entries))] if run else []
    records: list[SealRecord] = []
    size, height = 0, effect.height
    rotten = store.image.rotten_seals
    while (
        len(records) < _SEALS and height not in rotten and (seal := store.seal(height)) is not None
    ):
        size += len(seal.record.value) + 200 * len(seal.record.cosignatures)
        if records and size > MAX_BATCH_BYTES:
            break
        records.append(seal.record)
        height += 1
    return [Send(effect.to, Seals(tuple(records)))] if records else []


def _say(host: Host, found: list[Send]) -> None:
    if host.works:
        host.perform(list(found))
