"""A coordinator's queue with its owners, whose lease books are real."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from buildnet.pool.demand import Demand, HowFar, Orders, Priority, Want
from buildnet.pool.leases import Amount, Lease, LeaseBook
from buildnet.pool.queue import AskBack, AskLease, CancelLease, ConfirmLease, Effect, Queue

ME = b"c" * 32
UNIT = Amount(1, 10)


class Host:
    """An owner: its room, and its book."""

    def __init__(self, name: int, whole: Amount) -> None:
        self.key = bytes([name]) * 32
        self.whole = whole
        self.taken: dict[bytes, Amount] = {}
        self.book = LeaseBook(self)

    @property
    def free(self) -> Amount:
        return self.whole - Amount.sum(self.taken.values())

    def take(self, key: bytes, amount: Amount) -> bool:
        if not amount.fits(self.free):
            return False
        self.taken[key] = amount
        return True

    def give_back(self, key: bytes) -> None:
        del self.taken[key]


class Pool:
    """A coordinator's queue with its owners; messages arrive at once and in order."""

    def __init__(self, *slots: int) -> None:
        numbers = itertools.count()
        self.queue = Queue(lambda: next(numbers).to_bytes(16, "big"))
        self.now = 0.0
        self.hosts = {
            host.key: host
            for host in (Host(name, Amount(count, 100)) for name, count in enumerate(slots))
        }
        self.holders: dict[bytes, str] = {}
        self.back: list[bytes] = []
        self.had: set[str] = set()
        for host in self.hosts.values():
            self.told(host)

    def told(self, host: Host) -> None:
        leases = {each.id: (each.build, each.amount) for each in host.book.leases if each.granted}
        reserved = {each.id for each in host.book.leases if not each.granted}
        self.queue.owner_told(host.key, host.book.free, leases, self.now, reserved)

    def perform(self) -> None:
        """Do what the queue decides until it has nothing more to say."""
        while effects := self.queue.decide(self.now):
            for effect in effects:
                self.do(effect)
                if isinstance(effect, AskLease | ConfirmLease | CancelLease):
                    self.told(self.hosts[effect.owner])

    def do(self, effect: Effect) -> None:
        match effect:
            case AskLease(owner, lease, build, driver, amount):
                book = self.hosts[owner].book
                said = book.ask(
                    lease,
                    build=build,
                    holder=driver,
                    coordinator=ME,
                    term=1,
                    amount=amount,
                    now=self.now,
                )
                if isinstance(said, Lease):
                    self.queue.reserved(lease, owner, book.free, self.now)
                else:
                    self.queue.refused(lease, owner, said.free, self.now)
            case ConfirmLease(owner, lease):
                granted = self.hosts[owner].book.confirm(lease, ME, self.now)
                assert granted is not None
                self.holders[lease] = granted.build
                self.had.add(granted.build)
            case CancelLease(owner, lease):
                self.hosts[owner].book.cancel(lease, ME)
            case AskBack(_, lease):
                self.back.append(lease)

    def wants(
        self,
        build: str,
        wanted: int = 100,
        *,
        actor: str | None = None,
        priority: Priority = Priority.NORMAL,
        unit: Amount = UNIT,
        owners: tuple[bytes, ...] | None = None,
        at_least: int = 0,
        **more: Any,
    ) -> None:
        want = Want(unit, wanted, tuple(self.hosts) if owners is None else owners, at_least)
        self.demands(build, want, actor=actor, orders=Orders(priority), **more)

    def demands(
        self,
        build: str,
        *units: Want,
        actor: str | None = None,
        orders: Orders | None = None,
        how_far: HowFar | None = None,
    ) -> None:
        driver = build.encode().ljust(32)
        demand = Demand(
            build, driver, actor or build, units, orders or Orders(), how_far or HowFar()
        )
        self.queue.demanded(demand, self.now)
        self.perform()

    def give_back(self) -> bool:
        """Let drivers give back what they were asked for; tell whether there was any."""
        back, self.back = self.back, []
        for lease in back:
            for host in self.hosts.values():
                if any(each.id == lease for each in host.book.leases):
                    host.book.release(lease, self.holders.pop(lease).encode().ljust(32))
                    self.told(host)
        self.perform()
        return bool(back)

    def settle(self) -> None:
        for _ in range(1000):
            if not self.give_back():
                return
        raise AssertionError("leases go round and round")

    def has(self) -> Counter[str]:
        return Counter(
            each.build for host in self.hosts.values() for each in host.book.leases if each.granted
        )


def asked(pool: Pool, *owners: bytes, wanted: int = 1) -> list[AskLease]:
    """Let a build want something; return the questions, which nobody has seen yet."""
    demand = Demand("a", b"d" * 32, "a", (Want(UNIT, wanted, owners),))
    pool.queue.demanded(demand, pool.now)
    effects = pool.queue.decide(pool.now)
    asks = [each for each in effects if isinstance(each, AskLease)]
    assert asks == effects
    return asks
