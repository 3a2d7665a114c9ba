"""A majority is lost, the rest is recovered, the lost ones come back with seals of their own."""

from __future__ import annotations

import random
from dataclasses import dataclass

from buildnet.ledger.simulation.faults import ledgers_of
from buildnet.ledger.simulation.watch import LedgerWatch
from buildnet.mesh.simulation.faults import Fault
from buildnet.mesh.simulation.host import Host
from buildnet.mesh.simulation.network import Path
from buildnet.mesh.simulation.world import World


@dataclass(frozen=True, slots=True)
class Recovery(Fault):
    """A majority of the voters is gone, as far as the others can tell; after a ``share`` of the
    time somebody recovers the cluster with those, and at the end the lost ones are back.
    ``killed``: they were down, else they went on sealing among themselves."""

    share: float
    killed: bool

    def begin(self, world: World) -> bool:
        found = self._lost(world)
        if found is None:
            return False
        lost, left = found
        assert world.cluster is not None
        world.cluster.bind(left)
        ledgers_of(world).lost[self.start] = (lost, left)
        for path in self._paths(world):
            world.network.block(path)
        for host in lost if self.killed else ():
            host.retired = True
            host.kill()
        world.timeline.after(self.share * self.seconds, self._recover, world)
        return True

    def end(self, world: World) -> None:
        for path in self._paths(world):
            world.network.unblock(path)
        lost, _ = ledgers_of(world).lost.pop(self.start)
        for host in lost if self.killed else ():
            if not host.revoked:
                host.retired = False
                host.start()

    def _lost(self, world: World) -> tuple[list[Host], list[Host]] | None:
        """Return who is lost and who is left; None: nobody would be who can vote."""
        there = [host for host in world.hosts if not host.retired]
        lists = [host.program.local.members for host in there if host.program is not None]
        # A disk that went back is one loss, and the only one that seals are sure to survive.
        if not lists or ledgers_of(world).restored or any(one.revoked for one in world.hosts):
            return None
        # Who comes back looks for those that it knows, by their keys.
        if world.cluster is None or not world.cluster.is_settled:
            return None
        members = max(lists, key=lambda one: (one.epoch, one.version))
        draw = random.Random(f"{world.seed} recovery {self.start}")
        keys = set(draw.sample(members.voters, members.majority))
        lost = [host for host in there if host.key in keys]
        left = [host for host in there if host.key not in keys]
        return (lost, left) if any(members.stands(host.key) for host in left) else None

    def _recover(self, world: World) -> None:
        """Let somebody who is left recover the cluster with all who are left."""
        _, left = ledgers_of(world).lost[self.start]
        assert world.cluster is not None
        assert isinstance(world.watch, LedgerWatch)
        for host in left:
            if host.works and host.program is not None:
                members = host.program.local.members
                voters = [one.key for one in left if one.works and members.stands(one.key)]
                if voters and world.cluster.recover(host, voters):
                    world.watch.recovered(host.program.local.members.epoch, voters)
                    return

    def _paths(self, world: World) -> list[Path]:
        lost, left = ledgers_of(world).lost[self.start]
        pairs = [(one.index, other.index) for one in lost for other in left]
        there = [world.network.path(one, other) for one, other in pairs]
        return there + [world.network.path(other, one) for one, other in pairs]
