"""A simulated computer: a process that runs the cores, its disk, its clocks, its ends of links.

It does what the daemon's shell does, over virtual time: it performs effects and hands on events.
"""

from __future__ import annotations

import random
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from buildnet.mesh.events import (
    Dial,
    DialFailed,
    Disconnect,
    Effect,
    Event,
    Fact,
    LinkDown,
    LinkUp,
    MembersChanged,
    Note,
    Persist,
    Persisted,
    Raise,
    Received,
    Relay,
    Send,
    SendAll,
    Stalled,
    Status,
    StatusChanged,
)
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.local import Local
from buildnet.mesh.messages import Message, decode_message
from buildnet.mesh.messages.kinds import kind_of
from buildnet.mesh.simulation.disk import Disk
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
    from buildnet.mesh.simulation.world import World

CONNECT_TIMEOUT_S = 4.0
HANDSHAKE_S = 10.0
SETTLED_S = 2.0
"""Two links that came up within this time are two nodes that dialled each other at once."""
LATE_S = 2.0
"""The link to a node that is believed dead is ended if nothing was heard for so long."""
SHUNNED_S = 30.0
_SYN_AGAIN_S = 1.0
_FIRST_BOOT = 1_790_000_000
_TICKS_AT_ONCE = 200


class Program(Protocol):
    """What runs on a host: the daemon's Machine, or a stand-in for it."""

    local: Local

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take an event."""

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a process finds when it starts."""

    key: NodeKey
    boot: int
    random: random.Random
    wall: Callable[[], int]
    facts: tuple[Fact, ...]
    seeds: tuple[str, ...]
    addresses: tuple[str, ...]
    now: float


class Host:
    """One computer of the world."""

    def __init__(self, world: World, index: int, key: NodeKey) -> None:
        self.world = world
        self.index = index
        self.name = f"n{index}"
        self.key = key.public_key
        self.node_key = key
        self.address = f"http://{self.name}"
        self.random = world.stream(f"host {index}")
        self.disk = Disk(world.timeline, self.random)
        self.seeds: tuple[str, ...] = ()
        self.program: Program | None = None
        self.dark = False
        self.paused = False
        self.natted = False
        """Nobody can dial it."""
        self.links: dict[bytes, End] = {}
        self.boot = 0
        self.life = 0
        """Which process this is; what belonged to an earlier one is void."""
        self.wall_offset_ms = 0
        self.ticks = 0
        self.sent_messages = 0
        self.sent_bytes = 0
        self.retired = False
        """It left, or is lost for good: nobody starts it again."""
        self._ends: dict[End, None] = {}
        self._shunned: dict[bytes, float] = {}
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._origin = 0.0
        self._wake_at = float("inf")
        self._paused_at = 0.0
        self._ticked_at = -1.0
        self._ticked = 0

    def __repr__(self) -> str:
        return self.name

    # --- the process ---------------------------------------------------------------------------

    @property
    def runs(self) -> bool:
        """Tell whether a process is there, be it paused."""
        return self.program is not None

    @property
    def works(self) -> bool:
        """Tell whether a process is there and not paused."""
        return self.program is not None and not self.paused

    def monotonic(self) -> float:
        """Return this process's clock: it has its own beginning."""
        return self.world.timeline.now + self._origin

    def wall_ms(self) -> int:
        """Return the wall clock, which faults move."""
        return self.world.epoch_ms + int(self.world.timeline.now * 1000) + self.wall_offset_ms

    def start(self) -> None:
        """Start the process; it finds what is on the disk."""
        assert self.program is None
        if self.dark:
            self.dark = False
            self.world.network.wake(self.world.stuck_towards(self))
        self.life += 1
        self.boot = max(self.boot, _FIRST_BOOT) + 1
        self._origin = self.random.uniform(0, 1e6)
        self._wake_at = float("inf")
        start = Start(
            key=self.node_key,
            boot=self.boot,
            random=random.Random(self.random.getrandbits(64)),
            wall=self.wall_ms,
            facts=tuple(self.disk.load()),
            seeds=self.seeds,
            addresses=(self.address,),
            now=self.monotonic(),
        )
        self.world.note(self, "starts")
        try:
            self.program = self.world.program(start)
        except Exception:
            self.world.broken(self, "a core failed to start", traceback.format_exc())
            return
        self.world.watch.started(self)
        self._settle()

    def kill(self, *, dark: bool = False) -> None:
        """End the process at once; ``dark``: the computer too, and its peers hear nothing."""
        if self.program is None:
            return
        self.world.note(self, "loses power" if dark else "is killed")
        self.world.watch.stopped(self)
        self.program = None
        self.paused = False
        self.life += 1
        self._inbox.clear()
        self.disk.crash()
        network = self.world.network
        ends, self._ends = list(self._ends), {}
        self.links.clear()
        self._shunned.clear()
        self.dark = dark
        for end in ends:
            if dark:
                network.forget(end)
            elif end.open and end.path is not None:
                if self.random.random() < 0.5:
                    network.forget(end)
                network.send(end, Closing("process ended"))
            end.open = False

    def pause(self) -> None:
        """Stop the process as SIGSTOP does: the kernel goes on for it."""
        if self.program is None or self.paused:
            return
        self.world.note(self, "is frozen")
        self.paused = True
        self._paused_at = self.world.timeline.now

    def resume(self) -> None:
        """Let the process go on: it notices its stall, then reads what waited."""
        if not self.paused:
            return
        self.paused = False
        seconds = self.world.timeline.now - self._paused_at
        self.world.note(self, f"goes on after {seconds:.3f} s")
        waiting, self._inbox = self._inbox, deque()
        self.step(Stalled(seconds))
        for action, arguments in waiting:
            if self.program is None:
                return
            action(*arguments)
        self._settle()

    def _when_awake(self, action: Callable[..., None], *arguments: Any) -> None:
        if self.paused:
            self._inbox.append((action, arguments))
        elif self.program is not None:
            action(*arguments)

    def tell(self, life: int, event: Event) -> None:
        """Hand an event to the process ``life``, if it is still that one."""
        self._when_awake(self._take_event, life, event)

    def _take_event(self, life: int, event: Event) -> None:
        if life == self.life:
            self.step(event)

    def step(self, event: Event) -> None:
        """Hand an event to the cores and do what they want."""
        program = self.program
        if program is None:
            return
        if self.world.history is not None:
            self.world.history.event(self, event)
        try:
            effects = program.handle(event, self.monotonic())
        except Exception:
            self.world.broken(self, f"a core failed at {event}", traceback.format_exc())
            return
        if effects:
            self.perform(effects)
        self._settle()

    def ask(self, question: Callable[[Program, float], list[Effect]]) -> None:
        """Let a person's or the shell's wish reach the cores: a promotion, a new record."""
        program = self.program
        if program is None or self.paused:
            return
        try:
            effects = question(program, self.monotonic())
        except Exception:
            self.world.broken(self, "a core failed at a wish", traceback.format_exc())
            return
        self.perform(effects)
        for effect in effects:
            if isinstance(effect, Raise):
                self.step(effect.event)
        self._settle()

    def _settle(self) -> None:
        """See to the next tick, and let the invariants look at what may have changed."""
        program = self.program
        if program is None:
            return
        self.world.watch.look(self, program)
        due = program.deadline - self._origin
        if due < self._wake_at:
            self._wake_at = due
            self.world.timeline.at(due, self._wake, self.life, due)

    def _wake(self, life: int, due: float) -> None:
        if life != self.life or due != self._wake_at:
            return
        self._wake_at = float("inf")
        self._when_awake(self._tick, life)

    def _tick(self, life: int) -> None:
        program = self.program
        if program is None or life != self.life:
            return
        now = self.monotonic()
        deadline = program.deadline
        if deadline > now + 1e-6:  # it was moved on meanwhile
            self._settle()
            return
        if self._ticked_at == self.world.timeline.now:
            self._ticked += 1
            if self._ticked > _TICKS_AT_ONCE:
                self.world.broken(self, "the cores' deadline never passes", f"{deadline}")
                return
        else:
            self._ticked_at, self._ticked = self.world.timeline.now, 0
        self.ticks += 1
        try:
            effects = program.tick(max(now, deadline))
        except Exception:
            self.world.broken(self, "a core failed at a tick", traceback.format_exc())
            return
        if effects:
            self.perform(effects)
        self._settle()

    # --- effects -------------------------------------------------------------------------------

    def perform(self, effects: list[Effect]) -> None:
        """Do what the cores want."""
        history = self.world.history
        for effect in effects:
            if history is not None:
                history.effect(self, effect)
            if isinstance(effect, Send):
                self._say((effect.to,), effect.message)
            elif isinstance(effect, SendAll):
                self._say(effect.to, effect.message)
            elif isinstance(effect, Raise):
                self._mind_links(effect.event)
            elif isinstance(effect, Persist):
                self.disk.write(effect, self._kept(self.life))
            elif isinstance(effect, Note):
                self.world.watch.noted(self, effect)
            elif isinstance(effect, Dial):
                until = self.world.timeline.now + CONNECT_TIMEOUT_S
                self._knock(self.life, effect, _SYN_AGAIN_S, until)
            elif isinstance(effect, Relay):
                self._dial_through(effect)
            elif isinstance(effect, Disconnect):
                end = self.links.get(effect.peer)
                if end is not None:
                    self.close(end, effect.reason)
            else:
                self.world.watch.told(self, effect)

    def _mind_links(self, event: object) -> None:
        """End the links to who is dead or no member, as the daemon's service does."""
        assert self.program is not None
        if isinstance(event, StatusChanged):
            end = self.links.get(event.peer)
            late = self.world.timeline.now - LATE_S
            if event.status is Status.DEAD and end is not None and end.heard_at < late:
                self.close(end, "silent")
        elif isinstance(event, MembersChanged):
            for peer, end in list(self.links.items()):
                if not self.program.local.members.is_member(peer):
                    self.close(end, "no member")

    def _kept(self, life: int) -> Callable[[int], None]:
        return lambda token: self.tell(life, Persisted(token))

    def _say(self, to: tuple[bytes, ...], message: Message) -> None:
        parcel: Parcel | None = None
        links = self.links
        for peer in to:
            end = links.get(peer)
            if end is None:
                continue
            if parcel is None:
                parcel = Parcel(self.key, kind_of(message).number, message.encode())
            self.sent_messages += 1
            self.sent_bytes += parcel.size
            if end.path is not None:
                self.world.network.send(end, parcel)
            else:
                self.transmit(end, parcel)

    # --- dialling and links --------------------------------------------------------------------

    def _knock(self, life: int, dial: Dial, again_s: float, until: float) -> None:
        """Send the first packet of a connection, again and again while none answers."""
        if life != self.life:
            return
        world = self.world
        now = world.timeline.now
        if now >= until:
            failed = DialFailed(dial.peer, dial.address, "no answer in time")
            self.tell(life, failed)
            return
        target = world.host_at(dial.address)
        if target is not None and target is not self and not target.dark and not target.natted:
            there = world.network.path(self.index, target.index)
            back = world.network.path(target.index, self.index)
            if not there.blocked and not back.blocked:
                arrival = there.arrival(now, 60, self.random)
                answer = back.arrival(arrival, 60, self.random)
                world.timeline.at(answer, self._answered, life, dial, target)
                return
        world.timeline.at(min(now + again_s, until), self._knock, life, dial, again_s * 2, until)

    def _answered(self, life: int, dial: Dial, target: Host) -> None:
        if life != self.life:
            return
        if not target.runs:
            self.tell(life, DialFailed(dial.peer, dial.address, "refused", refused=True))
            return
        end = self.world.network.connect(self, target)
        end.expected, end.dialled_to = dial.peer, dial.address
        self._opened(end, target)

    def _dial_through(self, relay: Relay) -> None:
        carrier = self.links.get(relay.through)
        target = self.world.host_of(relay.peer)
        if carrier is None or carrier.path is None or target is None:
            failed = DialFailed(relay.peer, None, "no link to the relay")
            self.world.timeline.after(0, self.tell, self.life, failed)
            return
        end = self.world.network.connect_through(self, target)
        end.expected = relay.peer
        end.through = end.other.through = relay.through
        self._opened(end, target)

    def _opened(self, end: End, target: Host) -> None:
        self._ends[end] = None
        target._ends[end.other] = None
        timeline = self.world.timeline
        timeline.after(HANDSHAKE_S, self._too_long, self.life, end)
        timeline.after(HANDSHAKE_S, target._too_long, target.life, end.other)
        self._when_awake(self.transmit, end, Leg(1, self.boot))

    def _too_long(self, life: int, end: End) -> None:
        if life == self.life and end.open and not end.up:
            self.gave_up(end, "handshake timed out")

    def transmit(self, end: End, item: Item) -> None:
        """Send over a link, through its relay if it has one."""
        if not end.open and type(item) is not Closing:
            return
        if end.path is not None:
            self.world.network.send(end, item)
            return
        assert end.through is not None
        carrier = self.links.get(end.through)
        if carrier is not None and carrier.path is not None:
            self.world.network.send(carrier, Forward(end.other, item))
        elif type(item) is not Closing:
            self.gave_up(end, "the relay is gone")

    def arrive(self, end: End, item: Item, size: int) -> None:
        """Something arrived at this host's end of a link; it waits there until it is read."""
        if self.paused:
            self._inbox.append((self._read, (end, item, size)))
        else:
            self._read(end, item, size)

    def gave_up(self, end: End, reason: str) -> None:
        """The kernel, or a timeout, closed this host's end of a link."""
        if end.open:
            end.open = False
            if reason == SLOW_READER:
                peer = self.world.host_number(end.other.host.index).key
                self._shunned[peer] = self.world.timeline.now + SHUNNED_S
            self._when_awake(self._ended, end, reason)

    def close(self, end: End, reason: str) -> None:
        """Close a link from this side and say so."""
        if not end.open:
            return
        end.open = False
        self.transmit(end, Closing(reason))
        self.world.timeline.after(0, self._when_awake, self._ended, end, reason)

    def _read(self, end: End, item: Item, size: int) -> None:
        end.other.waiting_bytes -= size
        if not end.open or self.program is None:
            return
        if isinstance(item, Parcel):
            if end.up:
                end.heard_at = self.world.timeline.now
                self._hear(item)
        elif isinstance(item, Leg):
            self._shake(end, item)
        elif isinstance(item, Forward):
            self._forward(end, item)
        else:
            end.open = False
            self._ended(end, item.reason)

    def _hear(self, parcel: Parcel) -> None:
        message = parcel.message
        if message is None:
            message = parcel.message = decode_message(parcel.number, parcel.payload)
            if message is None:
                self.world.broken(self, "a message of an unknown kind", str(parcel.number))
                return
        self.step(Received(parcel.sender, message, parcel.size))

    def _forward(self, arrived_by: End, forward: Forward) -> None:
        end = forward.end
        if end.host is self:
            self._read(end, forward.item, 0)
            return
        carrier = self.links.get(self.world.host_number(end.host.index).key)
        if carrier is not None and carrier.path is not None:
            self.world.network.send(carrier, forward)
        elif type(forward.item) is not Closing:
            gone = Closing("the relay has no link to it")
            self.world.network.send(arrived_by, Forward(end.other, gone))

    def _shake(self, end: End, leg: Leg) -> None:
        peer = self.world.host_number(end.other.host.index).key
        if leg.number < 5:
            self.transmit(end, Leg(leg.number + 1, self.boot))
            return
        end.peer_boot = leg.boot
        refusal = self._refusal(end, peer, meant=leg.number == 6 or end.other.expected == self.key)
        if refusal is not None:
            self.close(end, refusal)
            return
        if leg.number == 5:
            self.transmit(end, Leg(6, self.boot))
        old = self.links.get(peer)
        self.links[peer] = end
        end.up = True
        end.up_since = end.heard_at = self.world.timeline.now
        if old is not None:
            self.close(old, "replaced by another link")
        self.step(LinkUp(peer, end.dialled, end.dialled_to, end.through))

    def _refusal(self, end: End, peer: bytes, *, meant: bool) -> str | None:
        assert self.program is not None
        if end.expected not in (None, peer):
            return "another node answered"
        if not self.program.local.members.is_member(peer):
            return "no member"
        if self._shunned.get(peer, 0.0) > self.world.timeline.now:
            return "shunned"
        return None if self._replaces(end, peer, meant=meant) else "linked already"

    def _replaces(self, end: End, peer: bytes, *, meant: bool) -> bool:
        """Tell whether a new link replaces the one that stands; as the daemon's Links do."""
        old = self.links.get(peer)
        if old is None or not old.open or end.peer_boot > old.peer_boot:
            return True
        if (old.through is None) != (end.through is None):
            return end.through is None
        if not meant:
            return False
        if old.dialled == end.dialled or end.dialled == (self.key < peer):
            return True
        return self.world.timeline.now - old.up_since > SETTLED_S

    def _ended(self, end: End, reason: str) -> None:
        """Tell the cores that a link or an attempt at one came to an end."""
        if self._ends.pop(end, end) is end:
            return  # of an earlier process, or told already
        if self.program is None:
            return
        peer = self.world.host_number(end.other.host.index).key
        if self.links.get(peer) is end:
            del self.links[peer]
            self._end_relayed(peer)
            self.step(LinkDown(peer, reason))
        elif end.dialled and not end.up:
            self.step(DialFailed(end.expected, end.dialled_to, reason))

    def _end_relayed(self, through: bytes) -> None:
        for end in list(self._ends):
            if end.through == through and end.path is None:
                self.gave_up(end, "the relay is gone")
