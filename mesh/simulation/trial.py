"""One run: a cluster, faults drawn from the seed, an end of all faults, and a verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from buildnet.mesh.simulation.agreement import disagreement
from buildnet.mesh.simulation.cluster import Cluster, start_machine
from buildnet.mesh.simulation.faults import Fault
from buildnet.mesh.simulation.formation import formed_disks
from buildnet.mesh.simulation.history import History
from buildnet.mesh.simulation.schedule import KINDS, draw_faults
from buildnet.mesh.simulation.sizes import large_collections
from buildnet.mesh.simulation.watch import Violation
from buildnet.mesh.simulation.world import ProgramFactory, World

HEAL_S = 35.0
"""How long after the last fault all must agree (mesh.md)."""
STILL_S = 2.0
"""How long they must agree without a break, to be taken at their word."""
CHANGE_S = 10.0
"""How long a change of the member list may take then, until all have it."""
MOST_ITEMS = 5000
_LOOK_S = 0.25
_SETTLE_S = 2.0
_OVERLAP_S = 1.5
"""How long two coordinators may both believe to have a quorum: one of them learns it late."""


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
    world = _world_of(settings, seed, history, program)
    cluster = Cluster(
        world,
        formed_disks(settings.nodes, settings.real_signatures),
        real_signatures=settings.real_signatures,
    )
    random = world.stream("schedule")
    for host in world.hosts:
        world.timeline.at(random.uniform(0, 0.5), host.start)
    over = _SETTLE_S + settings.faults_s
    drawn = draw_faults(random, settings.kinds, nodes=settings.nodes, begin=_SETTLE_S, over=over)
    planned = drawn if faults is None else faults
    for fault in planned:
        world.timeline.at(fault.start, _begin, world, fault)
    cluster.work(until=over)
    trial = _Trial(world)
    trial.advance_to(max([over, *(fault.start + fault.seconds for fault in planned)]))
    world.note(None, "all faults are over")
    healed_after = trial.heal()
    trial.look_at_sizes()
    if healed_after is not None:
        trial.change(cluster)
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


def _world_of(
    settings: Settings, seed: int, history: History | None, program: ProgramFactory | None
) -> World:
    drawn = World(seed, program or start_machine(settings.real_signatures), history=history)
    random = drawn.stream("weather")
    round_trip_s, loss = random.choice(
        ((0.0005, 0.0), (0.001, 0.0), (0.001, 0.001), (0.02, 0.005), (0.05, 0.02), (0.15, 0.02))
    )
    network = drawn.network
    network.round_trip_s = round_trip_s if settings.round_trip_s is None else settings.round_trip_s
    network.loss = loss if settings.loss is None else settings.loss
    return drawn


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


class _Trial:
    """Advances a world and looks at all nodes together now and then."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._overlap_s = 0.0

    def advance_to(self, when: float) -> None:
        timeline = self._world.timeline
        while timeline.now < when:
            self._world.run(min(_LOOK_S, when - timeline.now))
            self._look()

    def heal(self) -> float | None:
        """Go on until all agree, and stay so; return how long it took."""
        world = self._world
        began = world.timeline.now
        agreed: float | None = None
        why: str | None = None
        while True:
            now = world.timeline.now
            found = disagreement(world)
            if found is None:
                if agreed is None:
                    agreed = now
                    world.note(None, "all agree")
                if now - agreed >= STILL_S:
                    return agreed - began
            else:
                if found != why:
                    world.note(None, f"no agreement: {found}")
                agreed, why = None, found
                if now - began > HEAL_S:
                    world.watch.violated(f"no agreement {HEAL_S:g} s after all faults", found)
                    return None
            self.advance_to(now + _LOOK_S)

    def change(self, cluster: Cluster) -> None:
        """Change the member list: that all agree does not show that it goes on."""
        if not cluster.has_quorum():
            return
        change = cluster.last_change()
        if change is None:
            return
        over = self._world.timeline.now + CHANGE_S
        while lacking := cluster.without(change):
            if self._world.timeline.now >= over:
                names = ", ".join(str(host) for host in lacking)
                what = f"a change is not final {CHANGE_S:g} s after it was asked for"
                self._world.watch.violated(what, f"at {names}")
                return
            self.advance_to(self._world.timeline.now + _LOOK_S)

    def look_at_sizes(self) -> None:
        for host in self._world.hosts:
            if host.program is not None:
                for large in large_collections(host.program, MOST_ITEMS):
                    self._world.watch.violated("a collection grows", f"{host}: {large}")

    def _look(self) -> None:
        """Two coordinators may not both claim a quorum for long, whatever their terms."""
        claims = [
            host
            for host in self._world.hosts
            if host.works
            and host.program is not None
            and (office := host.program.local.office) is not None
            and office.quorum
            and office.coordinator == host.key
        ]
        self._overlap_s = self._overlap_s + _LOOK_S if len(claims) > 1 else 0.0
        if self._overlap_s > _OVERLAP_S:
            names = " and ".join(str(host) for host in claims)
            self._world.watch.violated("two coordinators with a quorum", names)
            self._overlap_s = 0.0
