"""One node's decisions in the mesh: all cores behind one door.

The daemon's shell and the simulator feed it events and perform its effects. Whatever one core
raises, all of them hear, before the next event from outside is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from buildnet.mesh.election.core import Election
from buildnet.mesh.events import (
    Core,
    Effect,
    Event,
    Fact,
    LinkDown,
    LinkState,
    LinkUp,
    OfficeChanged,
    Persist,
    Raise,
    Stalled,
    StatusChanged,
)
from buildnet.mesh.gossip.core import Gossip
from buildnet.mesh.gossip.records import ADDRESS_TOPIC, Addresses
from buildnet.mesh.local import Local
from buildnet.mesh.members.changes import Change
from buildnet.mesh.members.log import MemberLog
from buildnet.mesh.membership.core import Membership
from buildnet.mesh.topology.core import Topology
from buildnet.mesh.topology.latency import Latency


class Machine:
    """The cores of one node, composed.

    Args:
        local: what they share; its members are replaced by the log's where ``facts`` hold one.
        facts: what was persisted before, in any order.
        seeds: URLs from the configuration or a join.
        addresses: URLs under which others may reach this node.
        now: the monotonic clock's seconds.
    """

    def __init__(
        self,
        local: Local,
        *,
        facts: Iterable[Fact] = (),
        seeds: Iterable[str] = (),
        addresses: Iterable[str] = (),
        now: float,
    ) -> None:
        known = tuple(facts)
        self.local = local
        self.log = MemberLog(local, facts=known)
        self.election = Election(local, log=self.log, facts=known, now=now)
        self.membership = Membership(local)
        self.gossip = Gossip(local, facts=known)
        self.latency = Latency(local, gossip=self.gossip)
        self.topology = Topology(local, gossip=self.gossip, seeds=tuple(seeds))
        # The order in which they hear of an event. The election is first: that a quorum was lost
        # must be said before anything in its name.
        self._cores: tuple[Core, ...] = (
            self.election,
            self.log,
            self.latency,
            self.membership,
            self.gossip,
            self.topology,
        )
        self._addresses = tuple(addresses)

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return min(core.deadline for core in self._cores)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        for core in self._cores:
            if core.deadline <= now:
                wanted = core.tick(now)
                effects += wanted
                self._spread(_raised(wanted), now, effects)
        return effects

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take an event from outside.

        What is due comes first: a coordinator that was frozen must notice it before it says a word
        in its old term. That the node was frozen comes before even that: what fell due in that time
        is judged by it.
        """
        effects: list[Effect] = []
        if isinstance(event, Stalled):
            self._spread([event], now, effects)
            return effects + self.tick(now)
        if self.deadline <= now:
            effects += self.tick(now)
        self._spread([event], now, effects)
        return effects

    def begin(self, now: float) -> list[Effect]:
        """Say what this node has to say of itself; the first call after it was made."""
        return self.advertise(ADDRESS_TOPIC, Addresses(self._addresses).encode(), now)

    def set_addresses(self, addresses: Iterable[str], now: float) -> list[Effect]:
        """Say from now on that others may reach this node at ``addresses``."""
        self._addresses = tuple(addresses)
        return self.begin(now)

    def seek(self, address: str, kept: Fact, now: float) -> list[Effect]:
        """Look for a member at ``address`` from now on; ``kept`` says so at the next start."""
        self.topology.seek(address, now)
        return [Persist(0, (kept,)), *self.tick(now)]

    def meet(self, peer: bytes, now: float) -> list[Effect]:
        """Want a link to a member for a while."""
        self.topology.meet(peer, now)
        return self.tick(now)

    def advertise(self, topic: str, body: bytes, now: float) -> list[Effect]:
        """Publish this node's record of ``topic``, see :meth:`Gossip.advertise`."""
        return self._settled(self.gossip.advertise(topic, body, now), now)

    def propose(self, change: Change, now: float) -> list[Effect]:
        """Ask for a change of the member list, see :meth:`MemberLog.propose`."""
        return self._settled(self.log.propose(change, now), now)

    def promote(self, successor: bytes, now: float) -> list[Effect]:
        """Hand the office over, see :meth:`Election.promote`."""
        return self._settled(self.election.promote(successor, now), now)

    def resign(self, now: float) -> list[Effect]:
        """Hand the office over to whoever is next, see :meth:`Election.resign`."""
        return self._settled(self.election.resign(now), now)

    def remain(self, now: float) -> list[Effect]:
        """Be willing to coordinate after all, see :meth:`Election.remain`."""
        return self._settled(self.election.remain(now), now)

    def _settled(self, effects: list[Effect], now: float) -> list[Effect]:
        """Let the other cores hear of what one did at the owner's request."""
        self._spread(_raised(effects), now, effects)
        return effects

    def _spread(self, events: list[Event], now: float, effects: list[Effect]) -> None:
        """Tell all cores of each event, then of each that they raise meanwhile."""
        waiting = deque(events)
        while waiting:
            event = waiting.popleft()
            self._take_note(event, now)
            for core in self._cores:
                wanted = core.handle(event, now)
                effects += wanted
                waiting.extend(_raised(wanted))

    def _take_note(self, event: Event, now: float) -> None:
        local = self.local
        match event:
            case LinkUp(peer, outgoing, address, relayed_by):
                local.links[peer] = LinkState(outgoing, now, address, relayed_by)
            case LinkDown(peer):
                local.links.pop(peer, None)
            case StatusChanged(peer, status):
                local.status[peer] = status
            case OfficeChanged(office):
                local.office = office
            case _:
                pass


def _raised(effects: list[Effect]) -> list[Event]:
    return [effect.event for effect in effects if isinstance(effect, Raise)]
