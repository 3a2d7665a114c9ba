"""One run: a cluster with a ledger, faults drawn from the seed, their end, and a verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from buildnet.ledger.simulation.agreement import (
    ledgers_disagree,
    look_at_the_end,
    running_ledgers,
)
from buildnet.ledger.simulation.ledgers import Ledgers
from buildnet.ledger.simulation.program import start_ledger
from buildnet.ledger.simulation.schedule import LEDGER_KINDS, draw_ledger_faults
from buildnet.ledger.simulation.watch import LedgerWatch
from buildnet.mesh.simulation.agreement import disagreement
from buildnet.mesh.simulation.cluster import Cluster
from buildnet.mesh.simulation.course import LOOK_S, SETTLE_S, Course
from buildnet.mesh.simulation.faults import Fault
from buildnet.mesh.simulation.formation import formed_disks
from buildnet.mesh.simulation.history import History
from buildnet.mesh.simulation.schedule import KINDS, draw_faults
from buildnet.mesh.simulation.watch import Violation
from buildnet.mesh.simulation.world import World

SEAL_S = 10.0
"""How long new entries may take at the end until they are sealed everywhere."""
ALL_KINDS = (*KINDS, *LEDGER_KINDS)


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


def run_trial(
    settings: Settings,
    seed: int,
    *,
    history: History | None = None,
    faults: list[Fault] | None = None,
) -> Outcome:
    """Run one seed. ``faults`` replace those that are drawn."""
    began = time.perf_counter()
    stores: list[Ledgers] = []
    world = World(seed, start_ledger(lambda key: stores[0].store(key)), history=history)
    course = Course(world, lambda world: disagreement(world) or ledgers_disagree(world))
    course.draw_weather()
    watch = LedgerWatch(world)
    world.watch = watch
    ledgers = Ledgers(world, watch)
    stores.append(ledgers)
    cluster = Cluster(world, formed_disks(settings.nodes))
    cluster.on_rotated = ledgers.take_over
    ledgers.listen(watch.listener)
    random = world.stream("schedule")
    for host in world.hosts:
        world.timeline.at(random.uniform(0, 0.5), host.start)
    over = SETTLE_S + settings.faults_s
    planned = _draw(settings, world, over) if faults is None else faults
    course.plan(planned)
    cluster.work(until=over)
    ledgers.work(until=over, mean_s=settings.append_s)
    course.run_faults(over)
    healed_after = course.heal()
    if healed_after is not None:
        _go_on(course, world, ledgers)
        course.advance_to(world.timeline.now + LOOK_S)  # what was decided gets to the disks
        look_at_the_end(world, watch, ledgers)
    return Outcome(
        seed=seed,
        violations=tuple(watch.violations),
        healed_after_s=healed_after,
        virtual_s=world.timeline.now,
        real_s=time.perf_counter() - began,
        entries=watch.appended,
        seals=len(watch.seals),
        acknowledged=len(set().union(*watch.acknowledged.values())),
        faults=tuple(
            f"{fault.start:8.3f} {fault}" for fault in sorted(planned, key=lambda one: one.start)
        ),
        notes=dict(sorted(watch.notes.items())),
    )


def _draw(settings: Settings, world: World, over: float) -> list[Fault]:
    mesh_kinds = tuple(kind for kind in settings.kinds if kind in KINDS)
    nodes, random = settings.nodes, world.stream("faults")
    return [
        *draw_faults(random, mesh_kinds, nodes=nodes, begin=SETTLE_S, over=over),
        *draw_ledger_faults(random, settings.kinds, nodes=nodes, begin=SETTLE_S, over=over),
    ]


def _go_on(course: Course, world: World, ledgers: Ledgers) -> None:
    """Append at every node: that all agree does not show that it goes on."""
    for host, _ in running_ledgers(world):
        ledgers.append(host)
    course.advance_to(world.timeline.now + LOOK_S)
    what = f"entries are not sealed everywhere {SEAL_S:g} s after they were appended"
    course.wait(lambda: ledgers_disagree(world), SEAL_S, what)
