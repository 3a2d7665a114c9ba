"""What the coordinator's queue costs, and how soon a command gets a slot.

    uv run python tests/benchmarks/pool_queue.py [--hosts 100] [--hours 0.1] [--seconds 60]
                                                 [--short] [--json FILE]

The real allocator and the real lease books; hosts and drivers are simulated. Every message to and
from the coordinator is encoded, sealed, opened and decoded, and that counts; the kernel's part of
sending it does not.

- *load*: builds of 50 commands of 10 s come by chance, 1,000 an hour, from all hosts, on a clock
  that jumps; the processor time of the coordinator is divided by the time simulated.
- *latency*: 50 commands a second of 1 s each, in builds of one command each, in real time: from
  when the driver tells that it wants a slot until it has one. There are more than enough.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import random
import selectors
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from buildnet.mesh.events import OfficeChanged, Received
from buildnet.mesh.link.frames import FrameOpener, FrameSealer
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.messages.kinds import Message, decode_message, kind_of
from buildnet.node.sharing.allocator import TICK_S, Allocator
from buildnet.node.sharing.demands import Demands
from buildnet.pool.demand import Demand, HowFar, Orders, Want
from buildnet.pool.leases import Amount, Lease, LeaseBook
from buildnet.pool.messages.lending import (
    LeaseAnswer,
    LeaseAsk,
    LeaseCancel,
    LeaseConfirm,
    LeaseGiven,
    LeaseReturn,
    LeaseTold,
    LeaseWanted,
    RoomTold,
    WireAmount,
)
from buildnet.pool.queue import Queue
from testbed.figures import Figure, report

COORDINATOR = b"c" * 32
COMMANDS, BUILDS_AN_HOUR, TAKES_S = 50, 1000, 10.0
LATENCY_RATE, LATENCY_TAKES_S = 50, 1.0
SLOTS = 4
ONE = Amount(1, 256 << 20)
_WIRE_S = 0.001
_IDLE_S = 1.0
_KEY = bytes(32)
_MAX_FRAME = 1 << 17


class JumpingClock(selectors.SelectSelector):
    """Where nothing is to be waited for: the time of the loop goes on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Go on to when the next call is due."""
        self.now += max(0.0, timeout or 0.0)
        return super().select(0)


def jumping_loop() -> asyncio.SelectorEventLoop:
    """Return a loop whose time jumps."""
    clock = JumpingClock()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now  # type: ignore[method-assign]
    return loop


class Whole:
    """What a host has."""

    def __init__(self) -> None:
        self.free = Amount(SLOTS, 8 << 30)
        self.lacking = Amount()
        self._taken: dict[bytes, Amount] = {}

    def take(self, key: bytes, amount: Amount) -> bool:
        """Take some of it, or nothing."""
        if not amount.fits(self.free):
            return False
        self._taken[key] = amount
        self.free -= amount
        return True

    def give_back(self, key: bytes) -> None:
        """Give it back."""
        self.free += self._taken.pop(key)


@dataclass
class Host:
    """An owner, and a driver of builds."""

    key: bytes
    world: World
    book: LeaseBook = field(init=False)
    demands: Demands = field(default_factory=Demands)
    builds: dict[str, Build] = field(default_factory=dict)
    told: RoomTold | None = None

    def __post_init__(self) -> None:
        self.book = LeaseBook(Whole())
        self.demands.join(cast(Any, self.world.local), self.say)

    def say(self, to: bytes, message: Message) -> None:
        """Send something, to the coordinator or to another host."""
        if to == COORDINATOR:
            self.world.to_coordinator(self.key, message)
        else:
            self.world.later(lambda: self.world.hosts[to].hear(self.key, message))

    def tell_room(self) -> None:
        """Tell what is free and lent, if that is news."""
        leases = tuple(
            LeaseTold(each.id, each.build, WireAmount.of(each.amount), each.granted)
            for each in self.book.leases
        )
        told = RoomTold(WireAmount.of(self.book.free), leases)
        if told != self.told:
            self.told = told
            self.say(COORDINATOR, told)

    def hear(self, sender: bytes, message: Message) -> None:
        """Do what a host does."""
        now = self.world.now()
        match message:
            case LeaseAsk(lease, term, build, holder, amount):
                said = self.book.ask(
                    lease,
                    build=build,
                    holder=holder,
                    coordinator=sender,
                    term=term,
                    amount=amount.amount,
                    now=now,
                )
                ok = isinstance(said, Lease)
                self.say(sender, LeaseAnswer(lease, ok, WireAmount.of(self.book.free), ""))
            case LeaseConfirm(lease):
                granted = self.book.confirm(lease, sender, now)
                if granted is not None:
                    given = LeaseGiven(lease, granted.build, WireAmount.of(granted.amount))
                    self.say(granted.holder, given)
            case LeaseCancel(lease):
                self.book.cancel(lease, sender)
            case LeaseReturn(lease):
                self.book.release(lease, sender)
            case LeaseGiven(lease, build):
                known = self.builds.get(build)
                if known is None:
                    self.say(sender, LeaseReturn(lease))
                else:
                    known.given(lease, sender)
                return
            case LeaseWanted(lease):
                for known in list(self.builds.values()):
                    known.wanted_back(lease)
                return
            case _:
                self.demands.take(Received(sender, message))
                return
        self.tell_room()


@dataclass
class Build:
    """A build whose commands run elsewhere, all that have a slot at once."""

    id: str
    host: Host
    left: int
    takes_s: float
    actor: str
    orders: Orders = field(default_factory=Orders)
    at_end: list[Callable[[], None]] = field(default_factory=list)
    leases: dict[bytes, bytes] = field(default_factory=dict)
    busy: set[bytes] = field(default_factory=set)
    going_back: set[bytes] = field(default_factory=set)
    wanted_at: float = 0.0

    def how_far(self) -> HowFar:
        """Return how far it is."""
        left_ms = int(self.left * self.takes_s * 1000)
        return HowFar(
            "w",
            0,
            len(self.busy),
            len(set(self.leases.values())),
            left_ms,
            int(self.takes_s * 1000),
        )

    def obey(self, orders: Orders) -> None:
        """Nobody orders anything."""

    def hold(self, held: bool) -> None:
        """Nobody pauses anything."""

    def is_asked_by(self, actor: str) -> bool:
        """Nobody cancels anything."""
        return False

    def drop(self, actor: str | None, *, by: str) -> bool:
        """Nobody cancels anything."""
        return False

    def begin(self) -> None:
        """Begin."""
        self.host.builds[self.id] = self
        self.host.demands.enter(self)
        self.wanted_at = self.host.world.now()
        self.want()

    def want(self) -> None:
        """Tell what it would use."""
        count = len(self.busy) + self.left
        owners = self.host.world.owners_but(self.host.key)
        self.host.demands.want(self.id, (Want(ONE, count, owners),))

    def given(self, lease: bytes, owner: bytes) -> None:
        """Begin a command, if one is left."""
        self.leases[lease] = owner
        self.host.world.waited_s.append(self.host.world.now() - self.wanted_at)
        self.run(lease)
        self.want()

    def run(self, lease: bytes) -> None:
        """Use a slot, or give it back."""
        if not self.left or lease in self.going_back:
            self.host.world.later(lambda: self.give_back(lease), _IDLE_S)
            return
        self.left -= 1
        self.busy.add(lease)
        self.host.world.later(lambda: self.ran(lease), self.takes_s)

    def ran(self, lease: bytes) -> None:
        """Go on after a command."""
        self.busy.discard(lease)
        self.run(lease)
        self.want()
        if not self.left and not self.busy:
            self.host.builds.pop(self.id, None)
            for call in self.at_end:
                call()
            for each in list(self.leases):
                self.give_back(each)

    def wanted_back(self, lease: bytes) -> None:
        """Give a slot back once nothing runs on it."""
        if lease in self.leases:
            self.going_back.add(lease)
            if lease not in self.busy:
                self.give_back(lease)

    def give_back(self, lease: bytes) -> None:
        """Give a slot back."""
        owner = self.leases.pop(lease, None)
        if owner is not None:
            self.host.say(owner, LeaseReturn(lease))


class World:
    """All hosts, the coordinator, and what it costs."""

    def __init__(self, hosts: int, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.now = loop.time
        self.spent_s = 0.0
        self.messages = 0
        self.waited_s: list[float] = []
        office: Any = SimpleNamespace(coordinator=COORDINATOR, counter=1)
        keys = [number.to_bytes(32, "big") for number in range(1, hosts + 1)]
        member = SimpleNamespace(rights=Rights.BUILDER)
        members = SimpleNamespace(
            members=dict.fromkeys(keys, member), is_member=lambda key: key in self.hosts
        )
        local: Any = SimpleNamespace(key=COORDINATOR, office=office, members=members)
        self.local = local
        self._others = functools.cache(self._others_of)
        self.allocator = Timed(local, self._from_coordinator, self.now)
        self.allocator.world = self
        self.allocator.take(OfficeChanged(office))
        self.hosts: Mapping[bytes, Host] = {key: Host(key, self) for key in keys}
        for host in self.hosts.values():
            host.tell_room()

    def _others_of(self, key: bytes) -> tuple[bytes, ...]:
        keys = [each for each in self.hosts if each != key]
        random.Random(key).shuffle(keys)
        return tuple(keys)

    def owners_but(self, key: bytes) -> tuple[bytes, ...]:
        """Return all hosts but one, in its order."""
        return self._others(key)

    def later(self, call: Callable[[], None], after_s: float = _WIRE_S) -> None:
        """Do something after a while."""
        self.loop.call_later(after_s, call)

    def to_coordinator(self, sender: bytes, message: Message) -> None:
        """Send the coordinator something; reading it is at its cost."""
        number, payload = kind_of(message).number, message.encode()
        sealed = FrameSealer(_KEY, _MAX_FRAME).seal(payload)

        def arrive() -> None:
            started = time.thread_time()
            read = decode_message(number, FrameOpener(_KEY, _MAX_FRAME).open(sealed))
            assert read is not None
            self.allocator.take(Received(sender, read))
            self.messages += 1
            self.spent_s += time.thread_time() - started

        self.later(arrive)

    def _from_coordinator(self, to: bytes, message: Message) -> None:
        FrameSealer(_KEY, _MAX_FRAME).seal(message.encode())
        self.messages += 1
        self.later(lambda: self.hosts[to].hear(COORDINATOR, message))

    async def tick(self) -> None:
        """Let the coordinator and the drivers look again, for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            now = self.now()
            self.allocator.tick(now)
            for host in self.hosts.values():
                host.demands.tick(now)


class Timed(Allocator):
    """The allocator, whose decisions are timed."""

    world: World

    def _decide(self) -> None:
        started = time.thread_time()
        super()._decide()
        self.world.spent_s += time.thread_time() - started


async def load(hosts: int, hours: float) -> tuple[World, float]:
    """Let builds come by chance for so long; return what it cost, and the seconds simulated."""
    loop, chance = asyncio.get_running_loop(), random.Random(1)
    world = World(hosts, loop)
    ticking = asyncio.create_task(world.tick())
    everybody = list(world.hosts.values())
    began, number = loop.time(), 0
    while loop.time() - began < hours * 3600:
        await asyncio.sleep(chance.expovariate(BUILDS_AN_HOUR / 3600))
        host, actor = chance.choice(everybody), f"actor{chance.randrange(20)}"
        Build(f"b{number}", host, COMMANDS, TAKES_S, actor).begin()
        number += 1
    ticking.cancel()
    return world, loop.time() - began


async def latency(hosts: int, rate: int, seconds: float) -> World:
    """Ask for single commands at a steady rate, in real time."""
    loop, chance = asyncio.get_running_loop(), random.Random(2)
    world = World(hosts, loop)
    ticking = asyncio.create_task(world.tick())
    everybody = list(world.hosts.values())
    began = loop.time()
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        Build(f"b{number}", chance.choice(everybody), 1, LATENCY_TAKES_S, "me").begin()
    await asyncio.sleep(2 * LATENCY_TAKES_S)
    ticking.cancel()
    return world


def crowd(hosts: int, builds: int, times: int) -> tuple[float, ...]:
    """Return how long decisions take (ms) while so many builds want all there is."""
    keys = tuple(number.to_bytes(32, "big") for number in range(hosts))
    queue = Queue(lambda: random.randbytes(16))
    for number in range(builds):
        want = Want(ONE, COMMANDS, keys)
        actor, driver = f"actor{number % 20}", keys[number % hosts]
        queue.demanded(Demand(f"b{number}", driver, actor, (want,)), 0.0)
    for number, key in enumerate(keys):
        leases = {
            random.randbytes(16): (f"b{(number * SLOTS + each) % builds}", ONE)
            for each in range(SLOTS)
        }
        queue.owner_told(key, Amount(), leases, 0.0)
    took: list[float] = []
    for number in range(times):
        queue.owner_told(keys[number % hosts], Amount(1, 1 << 30), {}, float(number))
        started = time.thread_time()
        queue.decide(float(number))
        took.append((time.thread_time() - started) * 1000)
    return tuple(took)


def measure(hosts: int, hours: float, seconds: float) -> Sequence[Figure]:
    """Return all figures."""
    with asyncio.Runner(loop_factory=jumping_loop) as runner:
        busy, simulated_s = runner.run(load(hosts, hours))
    rate = min(LATENCY_RATE, hosts)  # or there are too few slots
    with asyncio.Runner() as runner:
        quick = runner.run(latency(hosts, rate, seconds))
    waits_ms = tuple(each * 1000 for each in quick.waited_s)
    wanted = int(seconds * rate)
    return [
        Figure(
            f"coordinator of {hosts} hosts, {BUILDS_AN_HOUR:,} builds of {COMMANDS} an hour",
            (busy.spent_s / simulated_s * 100,),
            "% of a core",
            30.0,
            note=f"{busy.messages / simulated_s:,.0f} messages/s",
        ),
        Figure(
            "of that per message",
            (busy.spent_s / busy.messages * 1e6,),
            "us",
        ),
        Figure(
            f"a slot at {rate} commands/s",
            waits_ms,
            "ms",
            goal_p99=100.0,
            note=f"{len(waits_ms)} of {wanted} got one",
        ),
        Figure(
            f"coordinator at {rate} builds of one command a second",
            (quick.spent_s / seconds * 100,),
            "% of a core",
            note=f"{quick.messages / seconds:,.0f} messages/s",
        ),
        Figure(
            "a decision while 500 builds want all there is", crowd(hosts, 500, 100), "ms of CPU"
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--hours", type=float, default=0.1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--short", action="store_true", help="ten hosts and some seconds, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.hosts, arguments.hours, arguments.seconds = 10, 0.02, 3.0
    figures = measure(arguments.hosts, arguments.hours, arguments.seconds)
    report("the coordinator's queue", figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
