"""The course of a run, whatever runs on its hosts: weather, faults, their end, and agreement."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from buildnet.mesh.simulation.faults import Fault

if TYPE_CHECKING:
    from buildnet.mesh.simulation.world import World

HEAL_S = 35.0
"""How long after the last fault all must agree (mesh.md; invariant 9 of ledger.md)."""
STILL_S = 2.0
"""How long they must agree without a break, to be taken at their word."""
SETTLE_S = 2.0
"""How long a run goes on before its first fault."""
LOOK_S = 0.25
_OVERLAP_S = 1.5
"""How long two coordinators may both believe to have a quorum: one of them learns it late."""
_WEATHER = ((0.0005, 0.0), (0.001, 0.0), (0.001, 0.001), (0.02, 0.005), (0.05, 0.02), (0.15, 0.02))


class Course:
    """Advances a world and looks at all nodes together now and then.

    ``disagreement``: the first thing about which the nodes do not agree; None: they do.
    """

    def __init__(self, world: World, disagreement: Callable[[World], str | None]) -> None:
        self._world = world
        self._disagreement = disagreement
        self._over = 0.0
        self._overlap_s = 0.0

    def draw_weather(self) -> None:
        """Draw how far apart the hosts are, and how many packets are lost."""
        network = self._world.network
        network.round_trip_s, network.loss = self._world.stream("weather").choice(_WEATHER)

    def plan(self, faults: Iterable[Fault]) -> None:
        """Let faults begin and end at their times."""
        for fault in faults:
            self._over = max(self._over, fault.start + fault.seconds)
            self._world.timeline.at(fault.start, self._begin, fault)

    def run_faults(self, until: float) -> None:
        """Go on until ``until``, and until all faults are over."""
        self.advance_to(max(until, self._over))
        self._world.note(None, "all faults are over")

    def advance_to(self, when: float) -> None:
        """Let virtual time go on."""
        timeline = self._world.timeline
        while timeline.now < when:
            self._world.run(min(LOOK_S, when - timeline.now))
            self._look()

    def heal(self) -> float | None:
        """Go on until all agree, and stay so; return how long it took. None: it did not come."""
        world = self._world
        began = world.timeline.now
        agreed: float | None = None
        why: str | None = None
        while True:
            now = world.timeline.now
            found = self._disagreement(world)
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
            self.advance_to(now + LOOK_S)

    def wait(self, lacking: Callable[[], str | None], within_s: float, what: str) -> None:
        """Go on until nothing is lacking; that it takes longer than ``within_s`` is a violation,
        ``what`` with what is lacking."""
        over = self._world.timeline.now + within_s
        while (found := lacking()) is not None:
            if self._world.timeline.now >= over:
                self._world.watch.violated(what, found)
                return
            self.advance_to(self._world.timeline.now + LOOK_S)

    def _begin(self, fault: Fault) -> None:
        world = self._world
        world.note(None, f"FAULT {fault}")
        if fault.begin(world):
            if fault.seconds > 0:
                world.timeline.after(fault.seconds, self._end, fault)
        else:
            world.note(None, "  (it makes no difference)")

    def _end(self, fault: Fault) -> None:
        self._world.note(None, f"  over: {fault}")
        fault.end(self._world)

    def _look(self) -> None:
        """Two coordinators of one epoch may not both claim a quorum for long, whatever their
        terms."""
        claims = [
            (host.program.local.members.epoch, host)
            for host in self._world.hosts
            if host.works
            and host.program is not None
            and (office := host.program.local.office) is not None
            and office.quorum
            and office.coordinator == host.key
        ]
        is_one = len(claims) == len({epoch for epoch, _ in claims})
        self._overlap_s = 0.0 if is_one else self._overlap_s + LOOK_S
        if self._overlap_s > _OVERLAP_S:
            names = " and ".join(str(host) for _, host in claims)
            self._world.watch.violated("two coordinators with a quorum", names)
            self._overlap_s = 0.0
