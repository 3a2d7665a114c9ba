"""What goes wrong with ledgers, beside all that goes wrong in the mesh."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from buildnet.ledger.messages import Entries
from buildnet.ledger.simulation.ledgers import Ledgers
from buildnet.ledger.simulation.lies import KINDS_OF_LIES, lies
from buildnet.ledger.simulation.program import LedgerMachine
from buildnet.ledger.simulation.watch import LedgerWatch
from buildnet.mesh.events import SendAll
from buildnet.mesh.simulation.faults import Fault
from buildnet.mesh.simulation.world import World


def _ledgers(world: World) -> Ledgers:
    assert isinstance(world.watch, LedgerWatch)
    assert world.watch.ledgers is not None
    return world.watch.ledgers


@dataclass(frozen=True, slots=True)
class OldImage(Fault):
    """After ``seconds`` a host's ledger is again what it was at ``start``, without a word: its
    process is killed, the image copied back, and it starts. The voter's own word stays."""

    node: int

    def begin(self, world: World) -> bool:
        host = world.hosts[self.node]
        if not host.runs:
            return False
        ledgers = _ledgers(world)
        ledgers.images[self.start] = ledgers.store(host.key).image.copy()
        return True

    def end(self, world: World) -> None:
        host = world.hosts[self.node]
        image = _ledgers(world).images.pop(self.start, None)
        if image is None or host.retired or not self._is_minority(world):
            return
        host.kill()
        assert isinstance(world.watch, LedgerWatch)
        world.watch.went_back(host.key)
        _ledgers(world).restored.add(host.key)
        _ledgers(world).store(host.key).image = image
        host.start()

    def _is_minority(self, world: World) -> bool:
        """Tell whether no other disk is lost: seals survive a minority's loss, not a majority's."""
        others = _ledgers(world).restored - {world.hosts[self.node].key}
        return not others and not any(host.retired for host in world.hosts)


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
        _ledgers(world).append(host)
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


Draw = Callable[[random.Random, int, float, float], Fault]

LEDGER_KINDS: dict[str, Draw] = {
    "old-image": lambda r, n, t, over: OldImage(
        t, min(10 ** r.uniform(-1, 1), max(over - t, 0.01)), r.randrange(n)
    ),
    "two-keys": lambda r, n, t, over: TwoKeys(
        t, 0.0, r.randrange(n), tuple(r.sample(range(n), r.randint(1, n)))
    ),
    "last-seal": lambda r, n, t, over: LastSeal(t, min(r.uniform(1, 6), max(over - t, 0.01))),
    "garbage": lambda r, n, t, over: Garbage(t, 0.0, r.randrange(n), r.randrange(KINDS_OF_LIES)),
}
"""Draws one fault: randomness, number of hosts, when it begins, when all must be over."""


def draw_ledger_faults(
    random: random.Random, kinds: tuple[str, ...], *, nodes: int, begin: float, over: float
) -> list[Fault]:
    """Return the ledger's faults of one run; most runs have some kinds of them only."""
    faults: list[Fault] = []
    for kind in kinds:
        if kind in LEDGER_KINDS and random.random() < 0.4:
            for _ in range(random.randint(1, 3)):
                when = random.uniform(begin, over)
                faults.append(LEDGER_KINDS[kind](random, nodes, when, over))
    return faults
