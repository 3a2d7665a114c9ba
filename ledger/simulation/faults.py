"""What goes wrong with ledgers, beside all that goes wrong in the mesh."""

from __future__ import annotations

import random
from dataclasses import dataclass

from buildnet.ledger.messages import Entries
from buildnet.ledger.seal import Seal
from buildnet.ledger.simulation.ledgers import Ledgers
from buildnet.ledger.simulation.lies import false_history, lies
from buildnet.ledger.simulation.program import LedgerMachine
from buildnet.ledger.simulation.store import Image
from buildnet.ledger.simulation.watch import LedgerWatch
from buildnet.mesh.events import SendAll
from buildnet.mesh.simulation.faults import Fault
from buildnet.mesh.simulation.host import Host
from buildnet.mesh.simulation.world import World


def ledgers_of(world: World) -> Ledgers:
    """Return the stores of a world's hosts."""
    assert isinstance(world.watch, LedgerWatch)
    assert world.watch.ledgers is not None
    return world.watch.ledgers


@dataclass(frozen=True, slots=True)
class OldImage(Fault):
    """After ``seconds`` a host's ledger is again what it was at ``start``: its process is killed,
    the image copied back, and it starts. ``noticed``: it knows, for the file was copied back alone;
    then the voter's word is an older one, too. Else nobody says a word of it, and only that stays:
    without it there is no safety, and no disk loses it alone."""

    node: int
    noticed: bool

    def begin(self, world: World) -> bool:
        host = world.hosts[self.node]
        if not host.runs:
            return False
        ledgers = ledgers_of(world)
        ledgers.images[self.start] = ledgers.store(host.key).image.copy()
        return True

    def end(self, world: World) -> None:
        image = ledgers_of(world).images.pop(self.start, None)
        if image is not None:
            go_back(world, world.hosts[self.node], image, noticed=self.noticed)


def go_back(world: World, host: Host, image: Image, *, noticed: bool) -> None:
    """Let a host's ledger be an older one; nothing happens where that is one disk too many, for
    seals survive a minority's loss, not a majority's."""
    ledgers = ledgers_of(world)
    assert isinstance(world.watch, LedgerWatch)
    others = ledgers.restored - {host.key}
    if others or world.watch.epoch or any(one.retired for one in world.hosts):
        return
    if world.cluster is not None and world.cluster.preserves(host):
        return
    host.kill()
    world.watch.went_back(host.key)
    ledgers.restored.add(host.key)
    store = ledgers.store(host.key)
    present, store.image = store.image, image
    store.is_restored = noticed
    if noticed:
        image.abstains = True
    else:
        image.promise, image.accepted = present.promise, present.accepted
        image.abstains = present.abstains
    host.start()


@dataclass(frozen=True, slots=True)
class TwoKeys(Fault):
    """Somebody has a host's key, too: others hear of an entry that the host did not make, in the
    place of its next one."""

    node: int
    to: tuple[int, ...]

    def begin(self, world: World) -> bool:
        host = world.hosts[self.node]
        program = host.program
        if not host.works or not isinstance(program, LedgerMachine):
            return False
        entry = program.next_entry("test.forged", {"forged": True})
        if entry is None:
            return False
        assert isinstance(world.watch, LedgerWatch)
        world.watch.forged.add(entry.chain)
        to = tuple(sorted(world.hosts[one].key for one in self.to if one != self.node))
        host.perform([SendAll(to, Entries((entry.signed,)))])
        ledgers_of(world).append(host)
        return True


@dataclass(frozen=True, slots=True)
class LastSeal(Fault):
    """The coordinator dies with a final seal on its disk that nobody else has heard of."""

    def begin(self, world: World) -> bool:
        host = world.coordinator()
        if host is None or not isinstance(host.program, LedgerMachine):
            return False
        world.struck[self.start] = host
        host.program.is_mute = True
        return True

    def end(self, world: World) -> None:
        host = world.struck.pop(self.start)
        if isinstance(host.program, LedgerMachine):
            host.program.is_mute = False
        elif not host.retired:
            host.start()


@dataclass(frozen=True, slots=True)
class Garbage(Fault):
    """A member says what is not so: frontiers, gaps, entries of others that do not fit."""

    node: int
    kind: int

    def begin(self, world: World) -> bool:
        host = world.hosts[self.node]
        program = host.program
        if not host.works or not isinstance(program, LedgerMachine):
            return False
        draw = random.Random(f"{world.seed} garbage {self.start}")
        to = tuple(sorted(host.links))
        for said in lies(program, draw, self.kind):
            host.perform([SendAll(to, said)])
        return True


@dataclass(frozen=True, slots=True)
class FalseHistory(Fault):
    """What the coordinator proposes is right in all but the seals that it continues."""

    def begin(self, world: World) -> bool:
        host = world.coordinator()
        if host is None or not isinstance(host.program, LedgerMachine):
            return False
        world.struck[self.start] = host
        draw = random.Random(f"{world.seed} false history {self.start}")
        host.program.disguise = lambda said: false_history(said, draw)
        return True

    def end(self, world: World) -> None:
        host = world.struck.pop(self.start)
        if isinstance(host.program, LedgerMachine):
            host.program.disguise = None


@dataclass(frozen=True, slots=True)
class Rot(Fault):
    """Some sealed entries and a seal on a host's disk are not what was written; it finds that.

    Another member's disk has each of them, and it stays a member and is not lost, for what is on
    one disk only is destroyed for good.
    """

    node: int
    count: int

    def begin(self, world: World) -> bool:
        host = world.hosts[self.node]
        store = ledgers_of(world).store(host.key)
        image = store.image
        if not host.runs or not image.seals:
            return False
        draw = random.Random(f"{world.seed} rot {self.start}")
        keeper = _keeper(world, host)
        if keeper is None or world.cluster is None:
            return False
        whole = ledgers_of(world).store(keeper.key)
        copy = whole.image
        heights = [
            height
            for height in sorted(image.seals)
            if height not in copy.rotten_seals and _is_same(store.seal(height), whole.seal(height))
        ]
        if not heights:
            return False
        world.cluster.preserve(keeper)
        sealed = [
            place
            for height in heights
            for place in image.seals[height][1]
            if place not in copy.rotten
        ]
        image.rotten.update(draw.choices(sealed, k=self.count) if sealed else ())
        image.rotten_seals.add(draw.choice(heights))
        ledgers_of(world).tell_rotten(host)
        return True


def _is_same(one: Seal | None, other: Seal | None) -> bool:
    return one is not None and other is not None and one.hash == other.hash


def _keeper(world: World, host: Host) -> Host | None:
    """Return the other host with the most final seals, of those that no host takes for none of the
    members and that nobody is about to make none, though it may not be known anywhere yet."""
    lists = [one.program.local.members for one in world.hosts if one.program is not None]
    stores = ledgers_of(world)
    able = [
        other
        for other in world.hosts
        if other is not host
        and world.cluster is not None
        and world.cluster.stays(other)
        and all(members.is_member(other.key) for members in lists)
    ]
    return max(able, key=lambda one: len(stores.store(one.key).image.seals), default=None)
