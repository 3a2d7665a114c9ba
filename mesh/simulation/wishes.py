"""What people do in the middle of trouble: faults only in so far as they come at bad times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from buildnet.mesh.simulation.faults import Fault

if TYPE_CHECKING:
    from buildnet.mesh.simulation.world import World


@dataclass(frozen=True, slots=True)
class Promote(Fault):
    """Somebody wants a host to coordinate."""

    node: int

    def begin(self, world: World) -> bool:
        if world.cluster is None:
            return False
        world.cluster.promote(world.hosts[self.node])
        return True


@dataclass(frozen=True, slots=True)
class Join(Fault):
    """A new host asks ``node`` to let it in, and does not give up."""

    node: int

    def begin(self, world: World) -> bool:
        if world.cluster is None:
            return False
        world.cluster.join(world.hosts[self.node])
        return True


@dataclass(frozen=True, slots=True)
class Leave(Fault):
    """A host leaves the cluster."""

    node: int

    def begin(self, world: World) -> bool:
        return world.cluster is not None and world.cluster.leave(world.hosts[self.node])


@dataclass(frozen=True, slots=True)
class Revoke(Fault):
    """An admin revokes a host's key; the host does not care and goes on."""

    node: int

    def begin(self, world: World) -> bool:
        return world.cluster is not None and world.cluster.revoke(world.hosts[self.node])


@dataclass(frozen=True, slots=True)
class Rotate(Fault):
    """A host gets another key."""

    node: int

    def begin(self, world: World) -> bool:
        return world.cluster is not None and world.cluster.rotate(world.hosts[self.node])


@dataclass(frozen=True, slots=True)
class LoseVoters(Fault):
    """A majority of the voters dies for good."""

    def begin(self, world: World) -> bool:
        if world.cluster is None:
            return False
        world.cluster.lose_voters()
        return True
