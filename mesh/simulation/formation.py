"""How the clusters of all runs came to be: one run without faults, whose disks are kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from buildnet.mesh.members.genesis import Rights, Role
from buildnet.mesh.members.voters import wanted_voters
from buildnet.mesh.simulation.agreement import disagreement
from buildnet.mesh.simulation.cluster import ADMINS, Cluster, Facts, start_machine
from buildnet.mesh.simulation.world import World

FIRST_OBSERVED = 7
"""From so many nodes on, the last of them is an observer."""
_MOST_S = 300.0
_LOOK_S = 0.1
_SPREAD_S = 2.0
"""Time for everybody to learn, and to keep, everybody's address."""


@cache
def formed_disks(nodes: int, real_signatures: bool = False) -> tuple[Facts, ...]:
    """Form a cluster of ``nodes`` without faults; return what each disk holds then."""
    world = World(0, start_machine(real_signatures))
    cluster = Cluster(world, [{} for _ in range(nodes)], real_signatures=real_signatures)
    founder, *others = world.hosts
    founder.start()
    _until(world, lambda: disagreement(world))
    cluster.open_to_all(founder)
    workers = nodes
    for host in others:
        role = Role.WORKER
        if host.index == nodes - 1 and nodes >= FIRST_OBSERVED:
            role, workers = Role.OBSERVER, nodes - 1
        rights = Rights.ADMIN if host.index < ADMINS else Rights.BUILDER
        cluster.admit(founder, host, role, rights)
    voters = wanted_voters(workers)
    _until(
        world,
        lambda: (
            disagreement(world)
            or (None if _voters(world) == voters else f"{_voters(world)} of {voters} voters")
            or (None if all(host.runs for host in others) else "not all run")
        ),
    )
    world.run(_SPREAD_S)
    for host in world.hosts:
        host.kill()
    return tuple(host.disk.facts for host in world.hosts)


def _voters(world: World) -> int:
    program = world.hosts[0].program
    return 0 if program is None else len(program.local.members.voters)


def _until(world: World, missing: Callable[[], str | None]) -> None:
    while (what := missing()) is not None:
        if world.timeline.now > _MOST_S or world.watch.violations:
            raise RuntimeError(f"no cluster could be formed: {what}; {world.watch.violations[:1]}")
        world.run(_LOOK_S)
