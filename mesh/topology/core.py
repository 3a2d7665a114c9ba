"""Topology: whom to link with, and when to dial.

Up to 32 members everybody links with everybody. Beyond, a node links with the coordinator, the
voters, its seeds and its fingers on the ring of keys (:mod:`.ring`): about 2 log2 N
links, and whoever dies, the graph stays connected. Fingers are taken twice, on the ring of all
members (a cluster that fell apart finds itself) and on the ring of those that are not dead.

Dead members and seeds are dialled for ever, with backoff. A member that lives but can't be dialled
is reached through a third one, and dialled directly now and then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from buildnet.mesh.events import (
    Dial,
    DialFailed,
    Disconnect,
    Effect,
    Event,
    LinkDown,
    LinkUp,
    MembersChanged,
    OfficeChanged,
    Received,
    RecordChanged,
    Relay,
    Status,
    StatusChanged,
)
from buildnet.mesh.gossip.core import Gossip
from buildnet.mesh.gossip.records import ADDRESS_TOPIC
from buildnet.mesh.local import Local
from buildnet.mesh.topology.dial_schedule import Way
from buildnet.mesh.topology.ring import fingers

FULL_MESH = 32
"""Up to so many members everybody links with everybody."""
COURTESY_S = 0.25
"""The greater key of a pair lets the other one dial first, for as long as a slow link takes."""
RELAY_AFTER = 3
"""Direct rounds that fail before a relay is tried."""
DIRECT_AGAIN_S = 300.0
LOOK_AGAIN_S = 10.0
"""A seed whose owner is reached otherwise is looked at again after so long."""
REVIEW_S = 60.0
"""Links that are not needed any more are closed that often, once they stood as long."""
SOON_S = 0.3
MET_S = 300.0
"""A link that was asked for is wanted for so long."""


class Topology:
    """Keeps the links standing that this node wants.

    Args:
        local: the node.
        gossip: knows the members' addresses.
        seeds: URLs from the configuration or a join; whoever answers there is a member.
    """

    def __init__(self, local: Local, *, gossip: Gossip, seeds: Iterable[str] = ()) -> None:
        self._local = local
        self._gossip = gossip
        self._ways: dict[bytes, Way] = {}
        self._reached: dict[bytes, str] = {}
        self._begins = True
        self._seeds: dict[str, Way] = {address: Way(due=0.0) for address in dict.fromkeys(seeds)}
        self._owners: dict[str, bytes] = {}
        self._met: dict[bytes, float] = {}
        self._review_at = math.inf
        self._deadline = 0.0
        self._revise_at = 0.0

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return self._deadline

    @property
    def seeds(self) -> tuple[str, ...]:
        """The addresses that are dialled whoever answers there."""
        return tuple(self._seeds)

    def seek(self, address: str, now: float) -> None:
        """Dial an address from now on, as one of the seeds; one that was tried in vain, at once."""
        if address not in self._seeds or self._seeds[address].failures:
            self._seeds[address] = Way(due=now)
            self._plan()

    def meet(self, peer: bytes, now: float) -> None:
        """Want a link to a member for a while, though it be none that this node needs."""
        self._met[peer] = now + MET_S
        self._revise(now)
        self._plan()

    @property
    def wanted(self) -> frozenset[bytes]:
        """The members that this node keeps links to."""
        local, me = self._local, self._local.key
        members = local.members
        others = [key for key in sorted(members.members) if key != me and members.is_member(key)]
        office = local.office.coordinator if local.office is not None else None
        if len(others) < FULL_MESH or me == office or me in members.voters:
            return frozenset(others)
        living = [key for key in others if self._is_living(key)]
        central = {*members.voters, *self._owners.values(), *self._met}
        if office is not None:
            central.add(office)
        return frozenset(
            {*fingers(me, others), *fingers(me, living), *central.intersection(others)}
        )

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        effects: list[Effect] = []
        match event:
            case Received():
                return []
            case LinkUp():
                self._link_up(event, now)
            case LinkDown(peer):
                self._link_down(peer, now)
            case DialFailed():
                effects = self._failed(event, now)
            case MembersChanged():
                effects = self._fit_members(now)
            case OfficeChanged():
                self._revise(now)
            case StatusChanged(peer, status):
                self._status_changed(peer, status, now)
            case RecordChanged(owner, topic) if topic == ADDRESS_TOPIC:
                self._address_changed(owner, now)
            case _:
                return []
        self._plan()
        return effects

    def tick(self, now: float) -> list[Effect]:
        """Do what is due: dial, dial again, close what is not needed."""
        if now < self._deadline:
            return []
        if self._revise_at <= now:
            self._revise(now)
        effects: list[Effect] = []
        for peer in sorted(self._ways):
            if self._ways[peer].deadline <= now:
                effects += self._try_peer(peer, now)
        for address, way in sorted(self._seeds.items()):
            if way.deadline <= now:
                effects += self._try_seed(address, way, now)
        if self._review_at <= now:
            effects += self._close_surplus(now)
        self._plan()
        return effects

    def _plan(self) -> None:
        ways = [way.deadline for way in (*self._ways.values(), *self._seeds.values())]
        self._deadline = min([self._revise_at, self._review_at, *ways])

    def _is_living(self, peer: bytes) -> bool:
        return self._local.status.get(peer) in (Status.ALIVE, Status.SUSPECT)

    def _is_direct(self, peer: bytes) -> bool:
        link = self._local.links.get(peer)
        return link is not None and link.relayed_by is None

    def _soon(self, now: float) -> float:
        return now + self._local.random.uniform(0.0, SOON_S)

    def _courtesy(self, peer: bytes) -> float:
        """The greater key waits, so that a pair does not open two links at once."""
        return COURTESY_S if self._local.key > peer else 0.0

    # --- whom ------------------------------------------------------------------------------------

    def _revise(self, now: float) -> None:
        """Follow what is wanted: new peers are dialled, others not any more."""
        self._revise_at = math.inf
        wanted = self.wanted
        begins, self._begins = self._begins, False  # nobody else knows yet that this node is there
        for peer in [peer for peer in self._ways if peer not in wanted]:
            del self._ways[peer]
        for peer in sorted(wanted):
            if peer in self._ways:
                continue
            self._ways[peer] = way = Way()
            link = self._local.links.get(peer)
            if link is None:
                way.due = now if begins else now + self._courtesy(peer)
            else:
                way.link_up(link.since, self._direct_again(link.relayed_by is not None, now))
        is_partial = len(wanted) < len(self._local.members.members) - 1
        self._review_at = min(self._review_at, now + REVIEW_S) if is_partial else math.inf

    def _fit_members(self, now: float) -> list[Effect]:
        local, members = self._local, self._local.members
        self._reached = {key: at for key, at in self._reached.items() if members.is_member(key)}
        for address, key in sorted(self._owners.items()):
            if not members.is_member(key):  # under a new key, it may answer there
                del self._owners[address]
                self._seeds[address].link_down(now, self._soon(now) - now, local.random)
        self._revise(now)
        return [
            Disconnect(peer, "no member")
            for peer in sorted(local.links)
            if not members.is_member(peer)
        ]

    def _close_surplus(self, now: float) -> list[Effect]:
        """Close links of our making that nobody needs; the other side closes those of its own."""
        self._met = {peer: until for peer, until in self._met.items() if until > now}
        self._revise(now)
        self._review_at = now + REVIEW_S
        wanted = self.wanted
        return [
            Disconnect(peer, "not needed")
            for peer, link in sorted(self._local.links.items())
            if link.outgoing and peer not in wanted and now - link.since >= REVIEW_S
        ]

    # --- what happened ---------------------------------------------------------------------------

    def _link_up(self, event: LinkUp, now: float) -> None:
        peer, address = event.peer, event.address
        if address is not None:
            self._reached[peer] = address
            if address in self._seeds:
                self._owners[address] = peer
                self._seeds[address].link_up(now, math.inf)
        if peer in self._ways:
            way = self._ways[peer]
            again_at = self._direct_again(event.relayed_by is not None, now)
            if event.relayed_by is not None and not way.is_dialled and self._addresses(peer):
                again_at = self._soon(now) + self._courtesy(peer)
            way.link_up(now, again_at)

    def _direct_again(self, is_relayed: bool, now: float) -> float:
        if not is_relayed:
            return math.inf
        return now + DIRECT_AGAIN_S * self._local.random.uniform(0.8, 1.2)

    def _link_down(self, peer: bytes, now: float) -> None:
        office = self._local.office
        is_coordinator = office is not None and office.coordinator == peer
        lots = self._local.random
        if peer in self._ways:
            # Whether the redial is refused tells if its process is gone.
            wait = 0.0 if is_coordinator else self._courtesy(peer)
            self._ways[peer].link_down(now, wait, lots)
        for address, owner in self._owners.items():
            if owner == peer and address in self._seeds:
                self._seeds[address].link_down(now, lots.uniform(1.0, 5.0), lots)

    def _failed(self, event: DialFailed, now: float) -> list[Effect]:
        lots = self._local.random
        if event.peer is None:
            way = self._seeds.get(event.address or "")
            if way is not None:
                self._seed_failed(event, way, now)
            return []
        way = self._ways.get(event.peer)
        if way is None or self._is_direct(event.peer):
            return []
        if event.peer in self._local.links:  # relayed: it was the direct way that failed
            way.link_up(now, self._direct_again(True, now))
            return []
        if event.address is None:  # a relay
            way.fail(now, lots)
            return []
        return self._next_address(event.peer, way, now)

    def _seed_failed(self, event: DialFailed, way: Way, now: float) -> None:
        """Try again later, unless it is another address of a peer that a link stands to."""
        owner = event.linked_with
        if event.address is not None and owner is not None and owner in self._local.links:
            self._owners[event.address] = owner
            way.link_up(now, math.inf)
        else:
            way.fail(now, self._local.random)

    def _next_address(self, peer: bytes, way: Way, now: float) -> list[Effect]:
        """Try the next address; after the last one, a relay or again later."""
        way.pending_until = None
        way.address += 1
        if way.address < len(self._addresses(peer)):
            way.due = now
            return []
        way.fail(now, self._local.random)
        return self._try_relay(peer, way, now)

    def _status_changed(self, peer: bytes, status: Status, now: float) -> None:
        """Others reach it: then we may, too."""
        if len(self._local.members.members) > FULL_MESH:
            self._revise_at = min(self._revise_at, now + SOON_S)  # with what else changes now
        way = self._ways.get(peer)
        if way is not None and status is Status.ALIVE and peer not in self._local.links:
            way.hasten(self._soon(now) + self._courtesy(peer))

    def _address_changed(self, owner: bytes, now: float) -> None:
        way = self._ways.get(owner)
        if way is None or self._is_direct(owner):
            return
        # A relayed link may stand, or come, only because nothing was known to dial.
        way.is_dialled = False
        if way.pending_until is None:
            way.address = 0
            way.hasten(self._soon(now) + self._courtesy(owner))

    # --- trying ----------------------------------------------------------------------------------

    def _addresses(self, peer: bytes) -> list[str]:
        """Where a peer may be dialled: what it says of itself, then where it was reached."""
        own = set(self._gossip.addresses(self._local.key))
        found = [*self._gossip.addresses(peer)]
        if peer in self._reached:
            found.append(self._reached[peer])
        found += [address for address, owner in sorted(self._owners.items()) if owner == peer]
        return [address for address in dict.fromkeys(found) if address not in own]

    def _try_peer(self, peer: bytes, now: float) -> list[Effect]:
        way = self._ways[peer]
        if self._is_direct(peer):
            way.due, way.pending_until = math.inf, None
            return []
        if way.pending_until is not None:  # no word of it at all
            effects = self._next_address(peer, way, now)
            if effects or way.due > now:
                return effects
        addresses = self._addresses(peer)
        if not addresses:
            way.fail(now, self._local.random)
            return [] if peer in self._local.links else self._try_relay(peer, way, now)
        way.begin(now)
        way.is_dialled = True
        return [Dial(addresses[way.address % len(addresses)], peer)]

    def _try_relay(self, peer: bytes, way: Way, now: float) -> list[Effect]:
        """Ask for a relayed link, if the peer is there at all; each time through another one."""
        if way.failures < RELAY_AFTER or not self._is_living(peer):
            return []
        voters = self._local.members.voters
        able = sorted(
            (
                key
                for key in self._local.links
                if key != peer and self._is_direct(key) and self._local.alive(key)
            ),
            key=lambda key: (key not in voters, key),
        )
        if not able:
            return []
        through = able[way.relay_turn % len(able)]
        way.relay_turn += 1
        way.begin(now)
        return [Relay(peer, through)]

    def _try_seed(self, address: str, way: Way, now: float) -> list[Effect]:
        if way.pending_until is not None:
            way.fail(now, self._local.random)
            return []
        if self._is_cared_for(address):
            way.due = now + LOOK_AGAIN_S * self._local.random.uniform(0.8, 1.2)
            return []
        way.begin(now)
        return [Dial(address, None)]

    def _is_cared_for(self, address: str) -> bool:
        """Tell whether a seed is this node itself, or a peer that is linked or dialled anyway."""
        for key in (self._local.key, *sorted({*self._ways, *self._local.links})):
            if address in self._gossip.addresses(key) or self._owners.get(address) == key:
                way = self._ways.get(key)
                is_dialled = way is not None and way.failures < RELAY_AFTER
                if key == self._local.key or self._is_direct(key) or is_dialled:
                    return True
        return False
