"""One run: a cluster, faults drawn from the seed, an end of all faults, and a verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from buildnet.mesh.simulation.agreement import disagreement
from buildnet.mesh.simulation.cluster import Cluster, start_machine
from buildnet.mesh.simulation.course import SETTLE_S, Course
from buildnet.mesh.simulation.faults import Fault
from buildnet.mesh.simulation.formation import formed_disks
from buildnet.mesh.simulation.history import History
from buildnet.mesh.simulation.schedule import KINDS, draw_faults
from buildnet.mesh.simulation.sizes import large_collections
from buildnet.mesh.simulation.watch import Violation
from buildnet.mesh.simulation.world import ProgramFactory, World

CHANGE_S = 10.0
"""How long a change of the member list may take then, until all have it."""
MOST_ITEMS = 5000


@dataclass(frozen=True, slots=True)
class Settings:
    """What all runs of a campaign have in common."""

    nodes: int = 5
    faults_s: float = 15.0
    kinds: tuple[str, ...] = KINDS
    round_trip_s: float | None = None
    """None: each run draws its own."""
    loss: float | None = None
    real_signatures: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run."""

    seed: int
    violations: tuple[Violation, ...]
    healed_after_s: float | None
    """From the end of the last fault until all agreed; None: they did not."""
    virtual_s: float
    real_s: float
    steps: int
    messages: int
    faults: tuple[str, ...] = ()
    notes: dict[str, int] = field(default_factory=dict)


def run_trial(
    settings: Settings,
    seed: int,
    *,
    history: History | None = None,
    program: ProgramFactory | None = None,
    faults: list[Fault] | None = None,
) -> Outcome:
    """Run one seed. ``program`` and ``faults`` replace the daemon's cores and what is drawn."""
    began = time.perf_counter()
    world = World(seed, program or start_machine(settings.real_signatures), history=history)
    course = Course(world, disagreement)
    course.draw_weather()
    if settings.round_trip_s is not None:
        world.network.round_trip_s = settings.round_trip_s
    if settings.loss is not None:
        world.network.loss = settings.loss
    cluster = Cluster(
        world,
        formed_disks(settings.nodes, settings.real_signatures),
        real_signatures=settings.real_signatures,
    )
    random = world.stream("schedule")
    for host in world.hosts:
        world.timeline.at(random.uniform(0, 0.5), host.start)
    over = SETTLE_S + settings.faults_s
    drawn = draw_faults(random, settings.kinds, nodes=settings.nodes, begin=SETTLE_S, over=over)
    planned = drawn if faults is None else faults
    course.plan(planned)
    cluster.work(until=over)
    course.run_faults(over)
    healed_after = course.heal()
    _look_at_sizes(world)
    if healed_after is not None:
        _change(course, cluster)
        for what, detail in cluster.lost_changes():
            world.watch.violated(what, detail)
    return Outcome(
        seed=seed,
        violations=tuple(world.watch.violations),
        healed_after_s=healed_after,
        virtual_s=world.timeline.now,
        real_s=time.perf_counter() - began,
        steps=world.timeline.steps,
        messages=world.network.messages,
        faults=tuple(f"{fault.start:8.3f} {fault}" for fault in planned),
        notes=dict(sorted(world.watch.notes.items())),
    )


def _change(course: Course, cluster: Cluster) -> None:
    """Change the member list: that all agree does not show that it goes on."""
    change = cluster.last_change() if cluster.has_quorum() else None
    if change is None:
        return
    asked = change

    def lacking() -> str | None:
        hosts = cluster.without(asked)
        return f"at {', '.join(str(host) for host in hosts)}" if hosts else None

    course.wait(lacking, CHANGE_S, f"a change is not final {CHANGE_S:g} s after it was asked for")


def _look_at_sizes(world: World) -> None:
    for host in world.hosts:
        if host.program is not None:
            for large in large_collections(host.program, MOST_ITEMS):
                world.watch.violated("a collection grows", f"{host}: {large}")
