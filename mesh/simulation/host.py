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

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import (
    Dial,
    Disconnect,
    Effect,
    Event,
    Fact,
    Note,
    Persist,
    Persisted,
    Raise,
    Received,
    Relay,
    Send,
    SendAll,
    Stalled,
)
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.local import Local
from buildnet.mesh.messages import Message, decode_message
from buildnet.mesh.messages.kinds import kind_of
from buildnet.mesh.simulation.disk import Disk
from buildnet.mesh.simulation.network import End, Item, Parcel
from buildnet.mesh.simulation.switchboard import Switchboard

if TYPE_CHECKING:
    from buildnet.mesh.simulation.world import World

_FIRST_BOOT = 1_790_000_000
_TICKS_AT_ONCE = 200


class Program(Protocol):
    """What runs on a host: the daemon's Machine, or a stand-in for it."""

    local: Local

    def begin(self, now: float) -> list[Effect]:
        """Say what there is to say at the start."""

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
        self.switchboard = Switchboard(self, self.links)
        self.boot = 0
        self.life = 0
        """Which process this is; what belonged to an earlier one is void."""
        self.wall_offset_ms = 0
        self.ticks = 0
        self.sent_messages = 0
        self.sent_bytes = 0
        self.received_bytes = 0
        self.retired = False
        """It left, was revoked, or is lost for good: nobody starts it again."""
        self.revoked = False
        """Somebody said so; who of the others knows is another question."""
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

    @property
    def answers(self) -> bool:
        """Tell whether a packet of a stranger gets an answer."""
        return not self.dark and not self.natted

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
            self.world.broken(self, "a core failed to start", _where())
            return
        self.world.watch.started(self)
        self.ask(lambda program, now: program.begin(now))

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
        self.dark = dark
        self.switchboard.vanish(dark=dark)

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

    def when_awake(self, action: Callable[..., None], *arguments: Any) -> None:
        """Do something in the process, once it is not paused."""
        if self.paused:
            self._inbox.append((action, arguments))
        elif self.program is not None:
            action(*arguments)

    def tell(self, life: int, event: Event) -> None:
        """Hand an event to the process ``life``, if it is still that one."""
        self.when_awake(self._take_event, life, event)

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
            if effects:
                self.perform(effects)
        except Exception:
            kind = type(event).__name__
            self.world.broken(self, f"a core failed at {kind}", _where())
            return
        self._settle()

    def ask(self, question: Callable[[Program, float], list[Effect]]) -> None:
        """Let a person's or the shell's wish reach the cores: a promotion, a new record."""
        program = self.program
        if program is None or self.paused:
            return
        try:
            self.perform(question(program, self.monotonic()))
        except BuildNetError as error:
            self.world.note(self, f"says no: {error.message}")
            return
        except Exception:
            self.world.broken(self, "a core failed at a wish", _where())
            return
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
        self.when_awake(self._tick, life)

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
            if effects:
                self.perform(effects)
        except Exception:
            self.world.broken(self, "a core failed at a tick", _where())
            return
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
                self.switchboard.mind(effect.event)
            elif isinstance(effect, Persist):
                self.disk.write(effect, self._kept(self.life))
            elif isinstance(effect, Note):
                self.world.watch.noted(self, effect)
            elif isinstance(effect, Dial):
                self.switchboard.dial(effect)
            elif isinstance(effect, Relay):
                self.switchboard.dial_through(effect)
            elif isinstance(effect, Disconnect):
                self.switchboard.disconnect(effect.peer, effect.reason)
            else:
                self.world.watch.told(self, effect)

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
                assert self.program is not None
                hlc = self.program.local.clock.now()
                parcel = Parcel(self.key, kind_of(message).number, message.encode(), hlc)
            self.sent_messages += 1
            self.sent_bytes += parcel.size
            if end.path is not None:
                self.world.network.send(end, parcel)
            else:
                self.switchboard.transmit(end, parcel)

    # --- what arrives --------------------------------------------------------------------------

    def arrive(self, end: End, item: Item, size: int) -> None:
        """Something arrived at this host's end of a link; it waits there until it is read."""
        if self.paused:
            self._inbox.append((self.switchboard.read, (end, item, size)))
        else:
            self.switchboard.read(end, item, size)

    def hear(self, parcel: Parcel) -> None:
        """Hand a message to the cores."""
        message = parcel.message
        if message is None:
            message = parcel.message = decode_message(parcel.number, parcel.payload)
            if message is None:
                self.world.broken(self, "a message of an unknown kind", str(parcel.number))
                return
        self.received_bytes += parcel.size
        if self.program is not None:
            self.program.local.heard[parcel.sender] = parcel.hlc
            self.program.local.clock.observe(parcel.hlc)
        self.step(Received(parcel.sender, message, parcel.size))

    def gave_up(self, end: End, reason: str) -> None:
        """The kernel closed this host's end of a link."""
        self.switchboard.gave_up(end, reason)


def _where() -> str:
    """Return the exception being handled and the end of the way to it."""
    return "".join(traceback.format_exc(limit=-3).splitlines(keepends=True)[1:]).strip()
