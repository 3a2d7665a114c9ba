"""A host's ends of links: dialling, handshakes, relays, and which of two links stays.

It mirrors the daemon's :mod:`buildnet.mesh.link.links` and :mod:`buildnet.mesh.link.dialing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildnet.mesh.events import (
    Dial,
    DialFailed,
    LinkDown,
    LinkUp,
    MembersChanged,
    Relay,
    Status,
    StatusChanged,
)
from buildnet.mesh.simulation.network import (
    SLOW_READER,
    Closing,
    End,
    Forward,
    Item,
    Leg,
    Parcel,
)

if TYPE_CHECKING:
    from buildnet.mesh.simulation.host import Host

CONNECT_TIMEOUT_S = 4.0
HANDSHAKE_S = 10.0
SETTLED_S = 2.0
"""Two links that came up within this time are two nodes that dialled each other at once."""
LATE_S = 2.0
"""The link to a node that is believed dead is ended if nothing was heard for so long."""
SHUNNED_S = 30.0
_SYN_AGAIN_S = 1.0


class Switchboard:
    """All of one host's ends of links. ``links``: those that stand, by the peer's key."""

    def __init__(self, host: Host, links: dict[bytes, End]) -> None:
        self._host = host
        self._world = host.world
        self._links = links
        self._ends: dict[End, None] = {}
        self._shunned: dict[bytes, float] = {}

    def dial(self, dial: Dial) -> None:
        """Open a link to an address."""
        until = self._world.timeline.now + CONNECT_TIMEOUT_S
        self._knock(self._host.life, dial, _SYN_AGAIN_S, until)

    def disconnect(self, peer: bytes, reason: str) -> None:
        """End the link to a peer, if there is one."""
        end = self._links.get(peer)
        if end is not None:
            self.close(end, reason)

    def mind(self, event: object) -> None:
        """End the links to who is dead or no member, as the daemon's service does."""
        if isinstance(event, StatusChanged):
            end = self._links.get(event.peer)
            late = self._world.timeline.now - LATE_S
            if event.status is Status.DEAD and end is not None and end.heard_at < late:
                self.close(end, "silent")
        elif isinstance(event, MembersChanged) and self._host.program is not None:
            members = self._host.program.local.members
            for peer, end in list(self._links.items()):
                if not members.is_member(peer):
                    self.close(end, "no member")

    def vanish(self, *, dark: bool) -> None:
        """End everything with the process: its kernel says so, unless the host is dark."""
        network = self._world.network
        ends, self._ends = list(self._ends), {}
        self._links.clear()
        self._shunned.clear()
        for end in ends:
            if dark:
                network.forget(end)
            elif end.open and end.path is not None:
                if self._host.random.random() < 0.5:
                    network.forget(end)
                network.send(end, Closing("process ended"))
            end.open = False

    def _knock(self, life: int, dial: Dial, again_s: float, until: float) -> None:
        """Send the first packet of a connection, again and again while none answers."""
        if life != self._host.life:
            return
        world = self._world
        now = world.timeline.now
        if now >= until:
            failed = DialFailed(dial.peer, dial.address, "no answer in time")
            self._host.tell(life, failed)
            return
        target = world.host_at(dial.address)
        if (
            target is not None
            and target is not self._host
            and not target.dark
            and not target.natted
        ):
            there = world.network.path(self._host.index, target.index)
            back = world.network.path(target.index, self._host.index)
            if not there.blocked and not back.blocked:
                arrival = there.arrival(now, 60, self._host.random)
                answer = back.arrival(arrival, 60, self._host.random)
                if answer <= until:  # else it is stuck on a path that is clogged
                    world.timeline.at(answer, self._answered, life, dial, target)
                    return
        world.timeline.at(min(now + again_s, until), self._knock, life, dial, again_s * 2, until)

    def _answered(self, life: int, dial: Dial, target: Host) -> None:
        if life != self._host.life:
            return
        if target.dark:
            self._host.tell(life, DialFailed(dial.peer, dial.address, "no answer in time"))
            return
        if not target.runs:
            self._host.tell(life, DialFailed(dial.peer, dial.address, "refused", refused=True))
            return
        end = self._world.network.connect(self._host, target)
        end.expected, end.dialled_to = dial.peer, dial.address
        self._opened(end, target)

    def dial_through(self, relay: Relay) -> None:
        """Open a link through a third host."""
        carrier = self._links.get(relay.through)
        target = self._world.host_of(relay.peer)
        if carrier is None or carrier.path is None or target is None:
            failed = DialFailed(relay.peer, None, "no link to the relay")
            self._world.timeline.after(0, self._host.tell, self._host.life, failed)
            return
        end = self._world.network.connect_through(self._host, target)
        end.expected = relay.peer
        end.through = end.other.through = relay.through
        self._opened(end, target)

    def _opened(self, end: End, target: Host) -> None:
        self._ends[end] = None
        target.switchboard._ends[end.other] = None
        timeline = self._world.timeline
        timeline.after(HANDSHAKE_S, self._too_long, self._host.life, end)
        timeline.after(HANDSHAKE_S, target.switchboard._too_long, target.life, end.other)
        self._host.when_awake(self.transmit, end, Leg(1, self._host.boot))

    def _too_long(self, life: int, end: End) -> None:
        if life == self._host.life and end.open and not end.up:
            self.gave_up(end, "handshake timed out")

    def transmit(self, end: End, item: Item) -> None:
        """Send over a link, through its relay if it has one."""
        if not end.open and type(item) is not Closing:
            return
        if end.path is not None:
            self._world.network.send(end, item)
            return
        assert end.through is not None
        carrier = self._links.get(end.through)
        if carrier is not None and carrier.path is not None:
            self._world.network.send(carrier, Forward(end.other, item))
        elif type(item) is not Closing:
            self.gave_up(end, "the relay is gone")

    def gave_up(self, end: End, reason: str) -> None:
        """The kernel, or a timeout, closed this host's end of a link."""
        if end.open:
            end.open = False
            if reason == SLOW_READER:
                peer = self._world.host_number(end.other.host.index).key
                self._shunned[peer] = self._world.timeline.now + SHUNNED_S
            self._host.when_awake(self._ended, end, reason)

    def close(self, end: End, reason: str) -> None:
        """Close a link from this side and say so."""
        if not end.open:
            return
        end.open = False
        self.transmit(end, Closing(reason))
        self._world.timeline.after(0, self._host.when_awake, self._ended, end, reason)

    def read(self, end: End, item: Item, size: int) -> None:
        end.other.waiting_bytes -= size
        if not end.open or self._host.program is None:
            return
        if isinstance(item, Parcel):
            if end.up:
                end.heard_at = self._world.timeline.now
                self._host.hear(item)
        elif isinstance(item, Leg):
            self._shake(end, item)
        elif isinstance(item, Forward):
            self._forward(end, item)
        else:
            end.open = False
            self._ended(end, item.reason)

    def _forward(self, arrived_by: End, forward: Forward) -> None:
        end = forward.end
        if end.host is self._host:
            self.read(end, forward.item, 0)
            return
        carrier = self._links.get(self._world.host_number(end.host.index).key)
        if carrier is not None and carrier.path is not None:
            self._world.network.send(carrier, forward)
        elif type(forward.item) is not Closing:
            gone = Closing("the relay has no link to it")
            self._world.network.send(arrived_by, Forward(end.other, gone))

    def _shake(self, end: End, leg: Leg) -> None:
        peer = self._world.host_number(end.other.host.index).key
        if leg.number < 5:
            self.transmit(end, Leg(leg.number + 1, self._host.boot))
            return
        end.peer_boot = leg.boot
        refusal = self._refusal(
            end, peer, meant=leg.number == 6 or end.other.expected == self._host.key
        )
        if refusal is not None:
            self.close(end, refusal)
            return
        if leg.number == 5:
            self.transmit(end, Leg(6, self._host.boot))
        old = self._links.get(peer)
        self._links[peer] = end
        end.up = True
        end.up_since = end.heard_at = self._world.timeline.now
        if old is not None:
            self.close(old, "replaced by another link")
        self._host.step(LinkUp(peer, end.dialled, end.dialled_to, end.through))

    def _refusal(self, end: End, peer: bytes, *, meant: bool) -> str | None:
        assert self._host.program is not None
        if end.expected not in (None, peer):
            return "another node answered"
        if not self._host.program.local.members.is_member(peer):
            return "no member"
        if self._shunned.get(peer, 0.0) > self._world.timeline.now:
            return "shunned"
        return None if self._replaces(end, peer, meant=meant) else "linked already"

    def _replaces(self, end: End, peer: bytes, *, meant: bool) -> bool:
        """Tell whether a new link replaces the one that stands; as the daemon's Links do."""
        old = self._links.get(peer)
        if old is None or not old.open or end.peer_boot > old.peer_boot:
            return True
        if (old.through is None) != (end.through is None):
            return end.through is None
        if not meant:
            return False
        if old.dialled == end.dialled or end.dialled == (self._host.key < peer):
            return True
        return self._world.timeline.now - old.up_since > SETTLED_S

    def _ended(self, end: End, reason: str) -> None:
        """Tell the cores that a link or an attempt at one came to an end."""
        if self._ends.pop(end, end) is end:
            return  # of an earlier process, or told already
        if self._host.program is None:
            return
        peer = self._world.host_number(end.other.host.index).key
        if self._links.get(peer) is end:
            del self._links[peer]
            self._end_relayed(peer)
            self._host.step(LinkDown(peer, reason))
        elif end.dialled and not end.up:
            self._host.step(DialFailed(end.expected, end.dialled_to, reason))

    def _end_relayed(self, through: bytes) -> None:
        for end in list(self._ends):
            if end.through == through and end.path is None:
                self.gave_up(end, "the relay is gone")
