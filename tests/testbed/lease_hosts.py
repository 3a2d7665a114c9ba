"""Nodes of :mod:`testbed.lease_world`: owners with the daemon's lender, drivers, coordinators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from buildnet.mesh.digest import Digest
from buildnet.mesh.events import OfficeChanged, Received
from buildnet.mesh.messages.kinds import Message
from buildnet.node.capacity import Capacity
from buildnet.node.sharing.allocator import SILENT_S, TICK_S
from buildnet.node.sharing.borrower import IDLE_S, KEEP_S
from buildnet.node.sharing.lender import Lender
from buildnet.pool.demand import Demand
from buildnet.pool.leases import Amount
from buildnet.pool.messages.lending import (
    LeaseAnswer,
    LeaseAsk,
    LeaseCancel,
    LeaseConfirm,
    LeaseGiven,
    LeaseGone,
    LeaseKeep,
    LeaseReturn,
    LeaseWanted,
    RoomTold,
    WireAmount,
)
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.messages.work import WorkAsk, WorkDone
from buildnet.pool.queue import AskBack, AskLease, CancelLease, ConfirmLease, Queue
from buildnet.pool.requirements import Requirements

if TYPE_CHECKING:
    from testbed.lease_world import World

TO_OWNERS = (LeaseAsk, LeaseConfirm, LeaseCancel, LeaseKeep, LeaseReturn, WorkAsk)


class ViolationError(AssertionError):
    """Something happened that must not."""


@dataclass(slots=True)
class Works:
    """A host's commands: the node's own, and those that run on leases. It stands for the node's
    runner and for what runs actions of others."""

    world: World
    host: Host
    capacity: Capacity[Digest]
    busy: dict[bytes, bytes] = field(default_factory=dict)
    """Work that runs on a lease, by lease."""
    holders: dict[bytes, bytes] = field(default_factory=dict)
    leaving: set[Digest] = field(default_factory=set)
    reserved: dict[Digest, Requirements] = field(default_factory=dict)
    own: dict[Digest, Requirements] = field(default_factory=dict)
    running: set[Digest] = field(default_factory=set)

    # --- as the runner -------------------------------------------------------------------------

    @property
    def free(self) -> tuple[int, int | None]:
        return self.capacity.free_slots, self.capacity.free_memory_bytes

    @property
    def free_disk_bytes(self) -> int | None:
        return self.capacity.free_disk_bytes

    @property
    def lacking(self) -> Any:
        return self.capacity.lacking

    def reserve(self, key: Digest, needed: Requirements) -> bool:
        given = self.capacity.reserve(key, needed) is not None
        if given:
            self.reserved[key] = needed
        return given

    def may_lend(self, needed: Requirements) -> bool:
        return True

    def let_go(self, key: Digest) -> None:
        if any(lease.hex() == key.hash for lease in self.busy):
            self.leaving.add(key)  # once its command has ended
            return
        self.leaving.discard(key)
        del self.reserved[key]
        self._began(self.capacity.end(key))

    # --- own commands --------------------------------------------------------------------------

    def begin_own(self, needed: Requirements, lasts_s: float) -> None:
        key = Digest(self.world.new_id().hex(), 1)
        self.own[key] = needed
        self.world.later(lasts_s, lambda: self.end_own(key))
        self._began(self.capacity.ask(key, needed))

    def end_own(self, key: Digest) -> None:
        if self.own.pop(key, None) is not None:
            self.running.discard(key)
            self._began(self.capacity.end(key))

    def _began(self, shares: list[tuple[Digest, Any]]) -> None:
        self.running.update(key for key, _ in shares)
        self.host.look_soon()

    # --- commands of others --------------------------------------------------------------------

    def is_busy(self, lease: bytes) -> bool:
        return lease in self.busy

    def does(self, holder: bytes, work: bytes) -> bool:
        return work in self.busy.values() and self.holders.get(work) == holder

    def start(self, holder: bytes, ask: WorkAsk, room: Digest, amount: Amount, build: str) -> None:
        if room not in self.reserved:
            raise ViolationError("a command runs on a lease that has no room")
        self.busy[ask.lease] = ask.work
        self.holders[ask.work] = holder
        lasts_s = self.world.random.uniform(0.2, 3.0)
        self.world.later(lasts_s, lambda: self.end_work(ask.lease, ask.work))

    def end_work(self, lease: bytes, work: bytes) -> None:
        if self.busy.get(lease) != work:
            return
        del self.busy[lease]
        done = WorkDone(work, "done", None, None, None, (), (), ())
        self.host.say(self.holders.pop(work), done)
        key = Digest(lease.hex(), 0)
        if key in self.leaving:
            self.let_go(key)

    def end_lease(self, lease: bytes) -> None:
        work = self.busy.get(lease)
        if work is not None:
            self.world.later(0.1, lambda: self.end_work(lease, work))

    def end_all(self) -> None:
        for lease in tuple(self.busy):
            self.end_lease(lease)

    def cancel(self, holder: bytes, work: bytes) -> None:
        pass


@dataclass(slots=True)
class Held:
    """A lease as its holder knows it."""

    owner: bytes
    build: str
    work: bytes | None = None
    wanted: bool = False
    idle_since: float = 0.0


@dataclass(slots=True)
class Host:
    """One node: owner, driver, and coordinator as long as it believes that it is."""

    world: World
    key: bytes
    slots: int
    memory_bytes: int
    alive: bool = True
    life: int = 0
    office: tuple[bytes, int] | None = None
    refusal: str | None = None
    works: Works = field(init=False)
    lender: Lender = field(init=False)
    queue: Queue | None = None
    drivers: dict[str, bytes] = field(default_factory=dict)
    heard: dict[str, float] = field(default_factory=dict)
    builds: dict[str, Demand] = field(default_factory=dict)
    held: dict[bytes, Held] = field(default_factory=dict)
    local: Any = field(init=False)
    looking: bool = False

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew, as after a crash: nothing is known."""
        self.life += 1
        self.alive = True
        self.queue, self.drivers, self.builds, self.held = None, {}, {}, {}
        capacity = Capacity[Digest](self.slots, None, self.memory_bytes)
        self.works = Works(self.world, self, capacity)
        self.local = SimpleNamespace(key=self.key, members=self.world.members, office=None)
        works: Any = self.works
        self.lender = Lender(
            self.local, self.say, works, works, lambda: self.refusal, lambda: self.world.now
        )
        self.follow(self.office)
        self.every(TICK_S, self.tick)
        self.every(KEEP_S, self.keep)

    def every(self, pause_s: float, work: Callable[[], None]) -> None:
        life = self.life

        def again() -> None:
            if self.life == life and self.alive:
                work()
                self.world.later(pause_s, again)

        self.world.later(pause_s * self.world.random.random(), again)

    def crash(self) -> None:
        self.alive = False
        self.works = Works(self.world, self, Capacity(self.slots, None, self.memory_bytes))

    def say(self, to: bytes, message: Message) -> None:
        if self.alive:
            self.world.send(self.key, to, message)

    def look_soon(self) -> None:
        """Let the lender look at its room, as the node does shortly after each change."""
        life = self.life
        if not self.looking:
            self.looking = True

            def look() -> None:
                self.looking = False
                if self.life == life and self.alive:
                    self.lender.room_changed()

            self.world.later(0.02, look)

    # --- events --------------------------------------------------------------------------------

    def follow(self, office: tuple[bytes, int] | None) -> None:
        """Believe that a node coordinates from now on."""
        self.office = office
        if not self.alive:
            return
        if office is None:
            self.local.office = None
            return
        coordinator, term = office
        self.local.office = SimpleNamespace(coordinator=coordinator, counter=term)
        self.queue, self.drivers = None, {}
        if coordinator == self.key:
            self.queue = Queue(self.world.new_id)
        self.lender.take(OfficeChanged(self.local.office))
        for demand in self.builds.values():
            self.tell(demand)

    def hear(self, sender: bytes, message: Any) -> None:
        if isinstance(message, TO_OWNERS):
            self.lender.take(Received(sender, message))
        elif isinstance(message, LeaseGiven | LeaseGone | LeaseWanted | WorkDone):
            self.drive(sender, message)
        elif self.queue is not None:
            self.coordinate(self.queue, sender, message)

    def tick(self) -> None:
        now = self.world.now
        self.lender.tick(now)
        if self.queue is not None:
            for build in [each for each in self.drivers if now - self.heard[each] >= SILENT_S]:
                self.forget(self.queue, build)
            self.queue.tick(now)
            self.decide(self.queue)
        for lease, held in tuple(self.held.items()):
            waits = self.builds[held.build].units[0].count > 0
            if held.work is None and not waits and now - held.idle_since > IDLE_S:
                self.give_back(lease)

    # --- as a driver ---------------------------------------------------------------------------

    def build(self, demand: Demand) -> None:
        self.builds[demand.build] = demand
        self.tell(demand)

    def tell(self, demand: Demand) -> None:
        if self.office is not None:
            self.say(self.office[0], Told(demand))

    def over(self, build: str) -> None:
        if self.builds.pop(build, None) is None:
            return
        for lease, held in tuple(self.held.items()):
            if held.build == build:
                self.give_back(lease)
        if self.office is not None:
            self.say(self.office[0], Over(build))

    def give_back(self, lease: bytes) -> None:
        self.say(self.held.pop(lease).owner, LeaseReturn(lease))

    def keep(self) -> None:
        owners: dict[bytes, list[bytes]] = {}
        for lease, held in self.held.items():
            owners.setdefault(held.owner, []).append(lease)
        for owner, leases in owners.items():
            self.say(owner, LeaseKeep(tuple(leases)))
        for demand in self.builds.values():  # what was told may be lost
            self.tell(demand)

    def drive(self, sender: bytes, message: Any) -> None:
        match message:
            case LeaseGiven(lease, build):
                if build not in self.builds:
                    self.say(sender, LeaseReturn(lease))
                elif lease not in self.held:
                    self.held[lease] = Held(sender, build, idle_since=self.world.now)
                    self.work(lease)
            case LeaseGone(lease):
                self.held.pop(lease, None)
            case LeaseWanted(lease) if lease in self.held:
                self.held[lease].wanted = True
                if self.held[lease].work is None:
                    self.give_back(lease)
            case WorkDone(work):
                for lease, held in tuple(self.held.items()):
                    if held.work == work:
                        held.work, held.idle_since = None, self.world.now
                        if message.refused != "done":
                            del self.held[lease]
                        elif held.wanted:
                            self.give_back(lease)
                        else:
                            self.work(lease)

    def work(self, lease: bytes) -> None:
        held = self.held[lease]
        if self.builds[held.build].units[0].count:
            held.work = self.world.new_id()
            self.say(held.owner, work_ask(held.work, lease))

    # --- as the coordinator --------------------------------------------------------------------

    def coordinate(self, queue: Queue, sender: bytes, message: Any) -> None:
        now = self.world.now
        match message:
            case Told(demand):
                if self.drivers.setdefault(demand.build, sender) == sender:
                    self.heard[demand.build] = now
                    queue.demanded(demand, now)
            case Over(build):
                self.forget(queue, build)
            case RoomTold(free, leases):
                told = {each.lease: (each.build, each.amount.amount) for each in leases}
                reserved = {each.lease for each in leases if not each.granted}
                granted = {key: one for key, one in told.items() if key not in reserved}
                queue.owner_told(sender, free.amount, granted, now, reserved)
            case LeaseAnswer(lease, True, free):
                queue.reserved(lease, sender, free.amount, now)
            case LeaseAnswer(lease, False, free):
                queue.refused(lease, sender, free.amount, now)
        self.decide(queue)

    def forget(self, queue: Queue, build: str) -> None:
        if self.drivers.pop(build, None) is not None:
            queue.ended(build)

    def decide(self, queue: Queue) -> None:
        assert self.office is not None
        for effect in queue.decide(self.world.now):
            match effect:
                case AskLease(owner, lease, build, driver, amount):
                    wire = WireAmount.of(amount)
                    self.say(owner, LeaseAsk(lease, self.office[1], build, driver, wire, ""))
                case ConfirmLease(owner, lease):
                    self.say(owner, LeaseConfirm(lease))
                case CancelLease(owner, lease):
                    self.say(owner, LeaseCancel(lease))
                case AskBack(driver, lease):
                    self.say(driver, LeaseWanted(lease))

    def gone(self, peer: bytes) -> None:
        """Take note that a node is believed dead."""
        if not self.alive:
            return
        if self.queue is not None:
            self.queue.owner_gone(peer)
            for build in [each for each, driver in self.drivers.items() if driver == peer]:
                self.forget(self.queue, build)
            self.decide(self.queue)
        for lease in [lease for lease, held in self.held.items() if held.owner == peer]:
            del self.held[lease]


@dataclass(frozen=True, slots=True)
class Told(Message):
    """What a build wants; stands for ``DemandTold``."""

    demand: Any


@dataclass(frozen=True, slots=True)
class Over(Message):
    """A build is over; stands for ``DemandOver``."""

    build: str


def work_ask(work: bytes, lease: bytes) -> WorkAsk:
    """Return a question for work of no content."""
    nothing = WireDigest(bytes(32), 0)
    fields: dict[str, Any] = {
        name: () if "tuple" in str(kind) else 0 for name, kind in WorkAsk.__annotations__.items()
    }
    fields |= {"work": work, "lease": lease, "action": nothing, "command": nothing}
    fields |= {"inputs": nothing, "label": ""}
    return WorkAsk(**fields)
