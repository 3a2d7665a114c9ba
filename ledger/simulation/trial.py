"""One run: a cluster with a ledger, faults drawn from the seed, their end, and a verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from buildnet.ledger.simulation.agreement import (
    ledgers_disagree,
    look_at_the_end,
    running_ledgers,
)
from buildnet.ledger.simulation.faults import LEDGER_KINDS, draw_ledger_faults
from buildnet.ledger.simulation.ledgers import Ledgers
from buildnet.ledger.simulation.program import start_ledger
from buildnet.ledger.simulation.watch import LedgerWatch
from buildnet.mesh.simulation.agreement import disagreement
from buildnet.mesh.simulation.cluster import Cluster
from buildnet.mesh.simulation.faults import Fault
from buildnet.mesh.simulation.formation import formed_disks
from buildnet.mesh.simulation.history import History
from buildnet.mesh.simulation.schedule import KINDS, draw_faults
from buildnet.mesh.simulation.watch import Violation
from buildnet.mesh.simulation.world import World

HEAL_S = 35.0
"""How long after the last fault all must agree (design, invariant 9)."""
STILL_S = 2.0
SEAL_S = 10.0
"""How long new entries may take then until they are sealed everywhere."""
ALL_KINDS = (*KINDS, *LEDGER_KINDS)
_LOOK_S = 0.25
_SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What all runs of a campaign have in common."""

    nodes: int = 5
    faults_s: float = 10.0
    kinds: tuple[str, ...] = ALL_KINDS
    append_s: float = 0.1
    """Mean pause between two appends, over all nodes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run."""

    seed: int
    violations: tuple[Violation, ...]
    healed_after_s: float | None
    """From the end of the last fault until all agreed; None: they did not."""
    virtual_s: float
    real_s: float
    entries: int
    seals: int
    acknowledged: int
    faults: tuple[str, ...] = ()
    notes: dict[str, int] = field(default_factory=dict)


def run_trial(settings: Settings, seed: int, *, history: History | None = None) -> Outcome:
    """Run one seed."""
    began = time.perf_counter()
    stores: list[Ledgers] = []
    world = World(seed, start_ledger(lambda key: stores[0].store(key)), history=history)
    _draw_weather(world)
    watch = LedgerWatch(world)
    world.watch = watch
    ledgers = Ledgers(world, watch)
    stores.append(ledgers)
    cluster = Cluster(world, formed_disks(settings.nodes))
    ledgers.listen(watch.listener)
    random = world.stream("schedule")
    for host in world.hosts:
        world.timeline.at(random.uniform(0, 0.5), host.start)
    over = _SETTLE_S + settings.faults_s
    mesh_kinds = tuple(kind for kind in settings.kinds if kind in KINDS)
    planned: list[Fault] = [
        *draw_faults(random, mesh_kinds, nodes=settings.nodes, begin=_SETTLE_S, over=over),
        *draw_ledger_faults(
            random, settings.kinds, nodes=settings.nodes, begin=_SETTLE_S, over=over
        ),
    ]
    for fault in planned:
        world.timeline.at(fault.start, _begin, world, fault)
    cluster.work(until=over)
    ledgers.work(until=over, mean_s=settings.append_s)
    world.run(max([over, *(fault.start + fault.seconds for fault in planned)]))
    world.note(None, "all faults are over")
    healed_after = _heal(world)
    if healed_after is not None:
        _go_on(world, ledgers)
        world.run(_LOOK_S)  # what was decided gets to the disks
        look_at_the_end(world, watch, ledgers)
    return Outcome(
        seed=seed,
        violations=tuple(watch.violations),
        healed_after_s=healed_after,
        virtual_s=world.timeline.now,
        real_s=time.perf_counter() - began,
        entries=watch.appended,
        seals=len(watch.seals),
        acknowledged=len(watch.acknowledged),
        faults=tuple(
            f"{fault.start:8.3f} {fault}" for fault in sorted(planned, key=lambda one: one.start)
        ),
        notes=dict(sorted(watch.notes.items())),
    )


def _draw_weather(world: World) -> None:
    random = world.stream("weather")
    world.network.round_trip_s, world.network.loss = random.choice(
        ((0.0005, 0.0), (0.001, 0.0), (0.001, 0.001), (0.02, 0.005), (0.05, 0.02), (0.15, 0.02))
    )


def _begin(world: World, fault: Fault) -> None:
    world.note(None, f"FAULT {fault}")
    if fault.begin(world):
        if fault.seconds > 0:
            world.timeline.after(fault.seconds, _end, world, fault)
    else:
        world.note(None, "  (it makes no difference)")


def _end(world: World, fault: Fault) -> None:
    world.note(None, f"  over: {fault}")
    fault.end(world)


def _heal(world: World) -> float | None:
    """Go on until all agree, and stay so; return how long it took."""
    began = world.timeline.now
    agreed: float | None = None
    why: str | None = None
    while True:
        now = world.timeline.now
        found = disagreement(world) or ledgers_disagree(world)
        if found is None:
            agreed = now if agreed is None else agreed
            if now - agreed >= STILL_S:
                return agreed - began
        else:
            if found != why:
                world.note(None, f"no agreement: {found}")
            agreed, why = None, found
            if now - began > HEAL_S:
                world.watch.violated(f"no agreement {HEAL_S:g} s after all faults", found)
                return None
        world.run(_LOOK_S)


def _go_on(world: World, ledgers: Ledgers) -> None:
    """Append at every node: that all agree does not show that it goes on."""
    for host, _ in running_ledgers(world):
        ledgers.append(host)
    over = world.timeline.now + SEAL_S
    world.run(_LOOK_S)
    while (found := ledgers_disagree(world)) is not None:
        if world.timeline.now >= over:
            what = f"entries are not sealed everywhere {SEAL_S:g} s after they were appended"
            world.watch.violated(what, found)
            return
        world.run(_LOOK_S)
