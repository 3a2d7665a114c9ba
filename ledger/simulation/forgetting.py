"""A voter forgets what it accepted, at the worst moment: nobody else who votes knows of it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from buildnet.ledger.simulation.faults import go_back, ledgers_of
from buildnet.ledger.simulation.ledgers import Vote
from buildnet.ledger.simulation.program import LedgerMachine
from buildnet.mesh.simulation.faults import Fault
from buildnet.mesh.simulation.host import Host
from buildnet.mesh.simulation.world import World


@dataclass(frozen=True, slots=True)
class ForgottenVote(Fault):
    """The coordinator makes a seal final with as few voters as it takes and dies before anybody
    hears of it; then one of these voters' ledger is as it was before, and it knows, the others are
    out of reach: just enough are left to decide the same height again. ``away``: the share of the
    time in which they could. In the end all are back."""

    away: float

    def begin(self, world: World) -> bool:
        coordinator = world.coordinator()
        if coordinator is None or not isinstance(coordinator.program, LedgerMachine):
            return False
        members = coordinator.program.local.members
        voters = [one for one in world.hosts if one.runs and one.key in members.voters]
        if coordinator not in voters or len(voters) < len(members.voters) or len(voters) < 3:
            return False
        draw = random.Random(f"{world.seed} forgotten {self.start}")
        voters.remove(coordinator)
        draw.shuffle(voters)
        forgetful, *loyal = voters[: members.majority - 1]
        ledgers = ledgers_of(world)
        ledgers.images[self.start] = ledgers.store(forgetful.key).image.copy()
        ledgers.votes[self.start] = Vote(coordinator, forgetful, tuple(loyal))
        self._separate(world, voters[members.majority - 1 :], [coordinator, forgetful, *loyal])
        coordinator.program.is_mute = True
        world.timeline.after((1 - self.away) * self.seconds, self._forget, world)
        return True

    def _forget(self, world: World) -> None:
        ledgers = ledgers_of(world)
        vote = ledgers.votes[self.start]
        self._unite(world)
        vote.coordinator.kill(dark=True)
        others = [one for one in world.hosts if one not in vote.loyal]
        self._separate(world, vote.loyal, others)
        go_back(world, vote.forgetful, ledgers.images.pop(self.start), noticed=True)

    def end(self, world: World) -> None:
        self._unite(world)
        vote = ledgers_of(world).votes.pop(self.start)
        if not vote.coordinator.runs and not vote.coordinator.retired:
            vote.coordinator.start()

    def _unite(self, world: World) -> None:
        blocked = ledgers_of(world).votes[self.start].blocked
        for path in blocked:
            world.network.unblock(path)
        blocked.clear()

    def _separate(self, world: World, some: Iterable[Host], others: list[Host]) -> None:
        network, blocked = world.network, ledgers_of(world).votes[self.start].blocked
        for one in some:
            for other in others:
                blocked.append(network.path(one.index, other.index))
                blocked.append(network.path(other.index, one.index))
                network.block(blocked[-2])
                network.block(blocked[-1])
