"""A simulated pool that lends: real lease books, rooms and queues; networks, coordinators, owners
and drivers that fail.

Each node owns a host (the daemon's :class:`~buildnet.node.sharing.lender.Lender` over its real
:class:`~buildnet.pool.leases.LeaseBook` and :class:`~buildnet.node.capacity.Capacity`), may drive
builds, and coordinates (:class:`~buildnet.pool.queue.Queue`) as long as it believes that it is to.
Who coordinates is learned late, so that two do so at once. Messages are lost, come late, twice and
in another order. Nodes crash and begin anew; owners run commands of their own, and are drained.

After every event nothing may be over-committed: what commands use and leases keep is never more
than a host has, and no command runs but on what was given to it. Once faults are over and builds
have ended, every lease has ended, and all that a host has is free.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

from buildnet.mesh.digest import Digest
from buildnet.mesh.members.member_list import Rights
from buildnet.mesh.messages.kinds import Message
from buildnet.pool.demand import Demand, Want
from buildnet.pool.leases import KEPT_S, Amount
from buildnet.pool.requirements import Requirements
from testbed.lease_hosts import Host, ViolationError

LENT_S = 2 * KEPT_S
"""What is wanted is lent within this, once there are no faults."""
QUIET_S = 2 * KEPT_S + 10.0
"""After faults and builds are over, everything has ended within this."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is like. Probabilities are of each message; ``*_each_s`` mean seconds between two
    faults of a kind."""

    nodes: int = 5
    faults_s: float = 60.0
    lost: float = 0.05
    twice: float = 0.05
    delay_s: float = 0.05
    late: float = 0.05
    late_s: float = 4.0
    office_each_s: float = 8.0
    crash_each_s: float = 10.0
    drain_each_s: float = 15.0
    own_each_s: float = 1.0
    build_each_s: float = 3.0


class World:
    """One run; the same for the same settings and seed."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self.settings = settings
        self.random = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.messages: Counter[str] = Counter()
        self.term = 0
        self.faulty = True
        self._numbers = itertools.count()
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        keys = [bytes([number]) * 32 for number in range(1, settings.nodes + 1)]
        member = SimpleNamespace(rights=Rights.BUILDER)
        self.members = SimpleNamespace(
            members=dict.fromkeys(keys, member), is_member=set(keys).__contains__
        )
        self.hosts: dict[bytes, Host] = {}
        for key in keys:
            self.hosts[key] = Host(self, key, self.random.randint(1, 4), 100)

    def new_id(self) -> bytes:
        return next(self._numbers).to_bytes(16, "big")

    def later(self, pause_s: float, work: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + pause_s, next(self._order), work))

    def send(self, sender: bytes, to: bytes, message: Message) -> None:
        self.messages[type(message).__name__] += 1
        said, dice = self.settings, self.random
        if self.faulty and sender != to and dice.random() < said.lost:
            return
        copies = 2 if self.faulty and sender != to and dice.random() < said.twice else 1
        for _ in range(copies):
            is_late = self.faulty and dice.random() < said.late
            delay_s = dice.uniform(0, said.late_s if is_late else said.delay_s)
            self.later(delay_s, lambda: self.arrive(sender, to, message))

    def arrive(self, sender: bytes, to: bytes, message: Message) -> None:
        if self.hosts[to].alive:
            self.hosts[to].hear(sender, message)

    # --- faults --------------------------------------------------------------------------------

    def begin(self) -> None:
        said = self.settings
        self.elect()
        self.often(said.office_each_s, self.elect)
        self.often(said.crash_each_s, self.crash)
        self.often(said.drain_each_s, self.drain)
        self.often(said.own_each_s, self.own_command)
        self.often(said.build_each_s, self.new_build)

    def often(self, each_s: float, work: Callable[[], None]) -> None:
        def again() -> None:
            if self.faulty:
                work()
                self.later(self.random.expovariate(1 / each_s), again)

        self.later(self.random.expovariate(1 / each_s), again)

    def one(self) -> Host:
        return self.random.choice(list(self.hosts.values()))

    def elect(self) -> None:
        """Another node coordinates; each learns of it when it does, or not before the next."""
        self.term += 1
        office = self.one().key, self.term
        for host in self.hosts.values():
            self.later(self.random.uniform(0, 5.0), partial(self.learn, host, office))

    def learn(self, host: Host, office: tuple[bytes, int]) -> None:
        if host.office is None or host.office[1] < office[1]:
            host.follow(office)

    def crash(self) -> None:
        host = self.one()
        if not host.alive:
            return
        host.crash()
        for other in self.hosts.values():
            self.later(self.random.uniform(0, 6.0), partial(other.gone, host.key))
        self.later(self.random.uniform(1.0, 20.0), host.begin)

    def drain(self) -> None:
        host = self.one()
        host.refusal = None if host.refusal else "it is drained"
        if host.alive:
            host.lender.room_changed()

    def own_command(self) -> None:
        host = self.one()
        if host.alive:
            needed = Requirements(memory_bytes=self.random.choice((None, 30)))
            host.works.begin_own(needed, self.random.uniform(0.1, 4.0))

    def new_build(self) -> None:
        driver = self.one()
        if not driver.alive:
            return
        build = f"b{next(self._numbers)}"
        owners = [key for key in self.hosts if key != driver.key]
        self.random.shuffle(owners)
        amount = Amount(self.random.choice((1, 1, 2)), self.random.choice((0, 0, 20)))
        at_least = self.random.choice((0, 0, 0, 2))
        want = Want(amount, self.random.randint(1, 6), tuple(owners), at_least)
        driver.build(Demand(build, driver.key, f"a{self.random.randint(0, 2)}", (want,)))
        life = driver.life

        def wants_less() -> None:
            if driver.life == life and build in driver.builds:
                units = (replace(want, count=0, at_least=0),)
                driver.build(replace(driver.builds[build], units=units))

        self.later(self.random.uniform(1.0, 15.0), wants_less)
        ends_s = self.random.uniform(5.0, 30.0)
        self.later(ends_s, lambda: driver.over(build) if driver.life == life else None)

    # --- running -------------------------------------------------------------------------------

    def run(self) -> None:
        """Run it to its end: faults, then two builds that could use everything, then none.

        Raises:
            ViolationError: something happened that must not.
        """
        self.begin()
        self.until(self.settings.faults_s)
        self.faulty = False
        for host in self.hosts.values():
            host.refusal = None
        self.until(self.now + 40.0)  # all crashed ones have begun anew, all builds have ended
        self.check_all_is_lent()
        for host in self.hosts.values():
            for build in tuple(host.builds):
                host.over(build)
        self.until(self.now + QUIET_S)
        self.check_over()

    def until(self, end: float) -> None:
        while self._events and self._events[0][0] <= end:
            self.now, _, work = heapq.heappop(self._events)
            work()
            self.steps += 1
            self.check()
        self.now = end

    def check(self) -> None:
        """See that no host has given more than it has."""
        for host in self.hosts.values():
            if not host.alive:
                continue
            works, leases = host.works, host.lender.leases
            ids = {Digest(lease.id.hex(), 0) for lease in leases}
            given = [*works.reserved.values(), *(works.own[key] for key in works.running)]
            slots = sum(each.slots for each in given)
            memory_bytes = sum(each.memory_bytes or 0 for each in given)
            if slots > host.slots or memory_bytes > host.memory_bytes:
                raise ViolationError(
                    f"at {self.now:.3f} s a host of {host.slots} slots and {host.memory_bytes} "
                    f"bytes gives {slots} and {memory_bytes}"
                )
            if len(works.running) + len(works.busy) > host.slots:
                raise ViolationError(f"at {self.now:.3f} s more commands run than there are slots")
            if ids | works.leaving != works.reserved.keys():
                raise ViolationError(
                    f"at {self.now:.3f} s room is kept for no lease, or not for one"
                )

    def check_all_is_lent(self) -> None:
        """See that two builds that want more than there is get all that there is."""
        drivers = list(self.hosts.values())[:2]
        for number, driver in enumerate(drivers):
            owners = tuple(key for key in self.hosts if key != driver.key)
            want = Want(Amount(1), 100, owners)
            driver.build(Demand(f"last{number}", driver.key, f"a{number}", (want,)))
        self.until(self.now + LENT_S)
        for host in self.hosts.values():
            granted = sum(lease.amount.slots for lease in host.lender.leases if lease.granted)
            if granted != host.slots:
                raise ViolationError(
                    f"only {granted} of {host.slots} slots are lent, all are wanted"
                )

    def check_over(self) -> None:
        """See that nothing is left over."""
        for host in self.hosts.values():
            if host.lender.leases or host.works.reserved or host.works.busy or host.held:
                raise ViolationError(f"leases are left: {host.lender.leases} {host.held}")
            if host.works.capacity.free_slots != host.slots:
                raise ViolationError("slots are lost")
            if host.queue is not None and host.queue.view(self.now):
                raise ViolationError("builds are left in a queue")
        coordinator = max(self.hosts.values(), key=lambda host: (host.office or (b"", 0))[1])
        queue = self.hosts[(coordinator.office or (coordinator.key, 0))[0]].queue
        for key, owner in ({} if queue is None else queue._owners).items():
            if owner.free.slots != self.hosts[key].slots:
                raise ViolationError(
                    f"the queue believes that {owner.free} are free at {key.hex()}"
                )


def drawn(seed: int) -> Settings:
    """Return settings that fit a seed: few nodes and many, calm ones and wild ones."""
    dice = random.Random(seed)
    return Settings(
        nodes=dice.randint(2, 7),
        lost=dice.choice((0.0, 0.05, 0.3)),
        twice=dice.choice((0.0, 0.05, 0.3)),
        late=dice.choice((0.0, 0.05, 0.3)),
        office_each_s=dice.choice((2.0, 8.0, 60.0)),
        crash_each_s=dice.choice((3.0, 10.0, 60.0)),
        drain_each_s=dice.choice((5.0, 15.0)),
        own_each_s=dice.choice((0.3, 1.0, 5.0)),
        build_each_s=dice.choice((0.5, 1.0, 3.0)),
    )


def run(settings: Settings, seed: int) -> World:
    """Run one; return it at its end.

    Raises:
        ViolationError: something happened that must not; it names the seed.
    """
    world = World(settings, seed)
    try:
        world.run()
    except ViolationError as error:
        raise ViolationError(f"seed {seed}: {error}") from error
    return world
