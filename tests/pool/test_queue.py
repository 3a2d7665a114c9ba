"""The coordinator's queue beside real lease books: who gets what, and that nothing is left over."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from buildnet.pool.demand import Demand, HowFar, Orders, Priority, Want
from buildnet.pool.leases import RESERVED_S, Amount, Lease, LeaseBook
from buildnet.pool.queue import (
    AskBack,
    AskLease,
    CancelLease,
    ConfirmLease,
    Effect,
    Queue,
)
from buildnet.pool.queue_view import QueueState, in_words
from buildnet.pool.queued import AGEING_S

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


def test_a_build_alone_gets_all_that_it_can_use() -> None:
    pool = Pool(2, 3)
    pool.wants("a")
    assert pool.has() == {"a": 5}
    pool = Pool(2, 3)
    pool.wants("a", 4)
    assert pool.has() == {"a": 4}


def test_the_best_owners_come_first() -> None:
    pool = Pool(2, 2)
    one, two = pool.hosts
    pool.wants("a", 2, owners=(two, one))
    assert len(pool.hosts[two].book.leases) == 2


def test_actors_of_one_priority_get_half_each_however_many_builds_they_have() -> None:
    pool = Pool(8)
    for number in range(3):
        pool.wants(f"a{number}", actor="one")
    pool.wants("b", actor="two")
    pool.settle()
    has = pool.has()
    assert has["b"] == 4
    assert sum(has.values()) == 8


def test_what_is_urgent_gets_more() -> None:
    pool = Pool(6)
    pool.wants("slow")
    pool.wants("fast", priority=Priority.HIGH)
    pool.settle()
    assert pool.has() == {"fast": 5, "slow": 1}


def test_nobody_starves() -> None:
    pool = Pool(1)
    pool.wants("urgent", priority=Priority.CRITICAL)
    pool.wants("patient", priority=Priority.LOW)
    pool.settle()
    assert pool.has() == {"urgent": 1}
    for _ in range(1000):
        pool.now += AGEING_S
        pool.queue.tick(pool.now)
        pool.perform()
        pool.settle()
        if "patient" in pool.had:
            return
    raise AssertionError("it waits for ever")


def test_all_or_none() -> None:
    pool = Pool(2, 2)
    pool.wants("small", 1)
    pool.wants("large", 4, at_least=4)
    assert pool.has() == {"small": 1}
    assert all(each.granted for host in pool.hosts.values() for each in host.book.leases)
    pool.queue.ended("small")
    pool.perform()
    for host in pool.hosts.values():
        for lease in host.book.leases:
            host.book.release(lease.id, lease.holder)
        pool.told(host)
    pool.perform()
    assert pool.has() == {"large": 4}


def test_none_where_one_owner_refuses() -> None:
    pool = Pool(2, 2)
    host = list(pool.hosts.values())[1]
    host.taken[b"a command that it has not told of yet"] = Amount(1)
    pool.wants("large", 4, at_least=4)
    assert pool.has() == {}
    assert not any(each.book.leases for each in pool.hosts.values())


def test_who_waits_long_for_much_is_not_overtaken_for_ever() -> None:
    pool = Pool(2)
    pool.wants("first", 1)
    pool.wants("large", 2, at_least=2)
    pool.now += AGEING_S
    pool.wants("second", 1)
    assert pool.has() == {"first": 1}


def test_a_paused_build_gets_nothing_new() -> None:
    pool = Pool(4)
    want, paused = Want(UNIT, 2, tuple(pool.hosts)), Orders(paused=True)
    pool.demands("a", want, orders=paused)
    assert pool.has() == {}
    pool.demands("a", want)
    assert pool.has() == {"a": 2}
    pool.demands("a", replace(want, count=4), orders=paused)
    assert pool.has() == {"a": 2}


def test_what_is_asked_for_a_build_is_cancelled_when_it_is_paused() -> None:
    pool = Pool(1)
    (host,) = pool.hosts
    (ask,) = asked(pool, host)
    pool.queue.demanded(
        Demand("a", b"d" * 32, "a", (Want(UNIT, 1, (host,)),), Orders(paused=True)), 0.0
    )
    assert pool.queue.decide(0.0) == [CancelLease(host, ask.lease)]


def test_a_paused_queue_gives_nobody_anything() -> None:
    pool = Pool(4)
    pool.queue.paused = True
    pool.wants("a", 2)
    assert pool.has() == {}
    assert [each.state for each in pool.queue.view(pool.now)] == [QueueState.PAUSED]
    pool.queue.paused = False
    pool.perform()
    assert pool.has() == {"a": 2}


def move(pool: Pool, build: str, place: int, driver: bytes | None = None) -> list[str]:
    """Move a build as its driver would be told to; return the order of the queue."""
    among = None if driver is None else lambda demand: demand.driver == driver
    for demand, orders in pool.queue.placed(build, place, pool.now, among):
        pool.queue.demanded(replace(demand, orders=orders), pool.now)
    pool.perform()
    return [each.demand.build for each in pool.queue.view(pool.now)]


def test_builds_are_moved() -> None:
    pool = Pool(1)
    for build in ("running", "a", "b", "c"):
        pool.wants(build, 1)
    assert move(pool, "c", 1)[0] == "c"
    pool.settle()
    assert pool.has() == {"c": 1}
    assert move(pool, "b", 2)[:2] == ["c", "b"]
    assert move(pool, "a", 1)[:3] == ["a", "c", "b"]
    assert move(pool, "a", 99)[-1] == "a"


def test_the_last_who_moves_one_to_the_front_has_it_there_and_the_moves_before_hold() -> None:
    pool = Pool(1)
    for build in ("running", "a", "b", "c"):
        pool.wants(build, 1)
    assert move(pool, "a", 1)[0] == "a"
    assert move(pool, "b", 1)[:2] == ["b", "a"]
    assert move(pool, "c", 1)[:3] == ["c", "b", "a"]
    assert move(pool, "a", 2)[:3] == ["c", "a", "b"]


def test_an_own_build_comes_ahead_of_one_that_was_placed_among_all() -> None:
    pool = Pool(1)
    pool.wants("other", 1)
    for build in ("x1", "x2", "x3"):
        pool.wants(build, 1, actor="x")
    move(pool, "x1", 1)
    drivers = {name.encode().ljust(32) for name in ("x1", "x2", "x3")}
    for demand, orders in pool.queue.placed(
        "x3", 1, pool.now, lambda demand: demand.driver in drivers
    ):
        pool.queue.demanded(replace(demand, orders=orders), pool.now)
    order = [each.demand.build for each in pool.queue.view(pool.now)]
    assert [build for build in order if build != "other"] == ["x3", "x1", "x2"]


def test_who_moves_his_own_builds_moves_those_alone() -> None:
    pool = Pool(2)
    pool.wants("other", 1)
    pool.wants("x1", 1, actor="x")
    pool.wants("x2", 1, actor="x")
    driver = b"x2".ljust(32)
    (moved,) = pool.queue.placed("x2", 1, pool.now, lambda demand: demand.driver == driver)
    assert (moved[0].build, moved[1].place, moved[1].ahead) == ("x2", 1, False)
    move(pool, "x2", 1, driver)
    pool.settle()
    assert pool.has() == {"other": 1, "x2": 1}


def test_who_waits_starts_after_the_work_before_and_ends_as_its_driver_foretells() -> None:
    pool = Pool(2)
    pool.wants("running", 2, how_far=HowFar(running=2, hosts=1, left_ms=8000, ends_ms=4500))
    pool.wants("next", 1, how_far=HowFar(left_ms=2000, ends_ms=2500))
    pool.wants("new", 1)
    pool.wants("last", 1, how_far=HowFar(left_ms=2000, ends_ms=2500))
    seen = {
        each.demand.build: (each.starts_in_ms, each.ends_in_ms)
        for each in pool.queue.view(pool.now)
    }
    assert seen["running"] == (None, 4500)
    starts_ms, ends_ms = seen["next"]
    assert starts_ms is not None
    assert ends_ms == starts_ms + 2500
    assert seen["new"][1] is None
    assert seen["last"] == (None, None)


def test_what_a_build_does_is_said_in_words() -> None:
    pool = Pool(1)
    pool.wants("a", 1, how_far=HowFar(running=3, hosts=3))
    pool.wants("b", 1, how_far=HowFar(waits_for="another build of this workspace"))
    pool.wants("c", 1)
    pool.demands("d", orders=Orders(paused=True), how_far=HowFar(running=1, hosts=1))
    pool.demands("e", orders=Orders(paused=True))
    words = {each.demand.build: in_words(each) for each in pool.queue.view(pool.now)}
    assert words == {
        "a": "running on 3 hosts",
        "b": "waiting for another build of this workspace",
        "c": "waiting",
        "d": "paused; a command ends on one host first",
        "e": "paused",
    }


def test_a_successor_goes_on_with_what_owners_tell() -> None:
    pool = Pool(3)
    pool.wants("a", 3)
    pool.queue = Queue(lambda: b"n" * 16)
    for host in pool.hosts.values():
        pool.told(host)
    pool.wants("a", 3)
    assert pool.has() == {"a": 3}


def test_what_comes_too_late_is_cancelled() -> None:
    pool = Pool(1)
    (key,) = pool.hosts
    pool.queue.reserved(b"x" * 16, key, Amount(), 0.0)
    assert pool.queue.decide(0.0) == [CancelLease(key, b"x" * 16)]
    pool.queue.refused(b"x" * 16, key, Amount(), 0.0)
    assert pool.queue.decide(0.0) == []


builds = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(list(Priority)),
        st.integers(0, 6),
        st.integers(1, 3),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(hosts=st.lists(st.integers(0, 4), min_size=1, max_size=4), wishes=builds)
@example(  # each could take, in turn, what the one before it had got
    hosts=[4],
    wishes=[
        (0, Priority.CRITICAL, 1, 1, False),
        (0, Priority.HIGH, 1, 3, False),
        (1, Priority.HIGH, 3, 1, False),
    ],
)
def test_nothing_is_left_over_and_nothing_is_given_twice(
    hosts: list[int], wishes: list[tuple[int, Priority, int, int, bool]]
) -> None:
    pool = Pool(*hosts)
    for number, (actor, priority, wanted, slots, first_only) in enumerate(wishes):
        owners = tuple(pool.hosts)[: 1 if first_only else None]
        pool.wants(
            f"b{number}",
            wanted,
            actor=str(actor),
            priority=priority,
            unit=replace(UNIT, slots=slots),
            owners=owners,
        )
    pool.settle()
    has = pool.has()
    for host in pool.hosts.values():
        assert host.free.slots >= 0
        assert all(each.granted for each in host.book.leases)
    for number, (_, _, wanted, slots, first_only) in enumerate(wishes):
        owners = tuple(pool.hosts)[: 1 if first_only else None]
        assert has[f"b{number}"] <= wanted
        if has[f"b{number}"] < wanted:
            assert all(pool.hosts[owner].free.slots < slots for owner in owners)


@settings(max_examples=100, deadline=None)
@given(
    hosts=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    wishes=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(list(Priority))), min_size=1, max_size=8
    ),
    one_after_another=st.booleans(),
)
def test_nobody_has_more_for_his_weight_than_another_would_with_one_slot_more(
    hosts: list[int], wishes: list[tuple[int, Priority]], one_after_another: bool
) -> None:
    pool = Pool(*hosts)
    weights: dict[str, int] = {}
    builds: dict[str, tuple[str, Priority]] = {}
    for number, (who, priority) in enumerate(wishes):
        actor, build = f"actor{who}", f"b{number}"
        builds[build] = (actor, priority)
        weights[actor] = max(weights.get(actor, 0), priority)
        pool.wants(build, actor=actor, priority=priority)
        if one_after_another:
            pool.settle()
    pool.settle()
    has = pool.has()
    assert sum(has.values()) == sum(hosts)
    of = {
        actor: sum(has[build] for build, (whose, _) in builds.items() if whose == actor)
        for actor in weights
    }
    for one, other in itertools.permutations(weights, 2):
        assert of[one] / weights[one] <= (of[other] + 1) / weights[other]
    for one, other in itertools.permutations(builds, 2):
        (actor, weight), (whose, another) = builds[one], builds[other]
        if actor == whose:
            assert has[one] / weight <= (has[other] + 1) / another


def test_nobody_tells_of_what_another_owner_granted() -> None:
    pool = Pool(1, 1)
    one, other = pool.hosts
    (ask,) = asked(pool, one)
    pool.queue.owner_told(other, Amount(1, 100), {ask.lease: ("a", UNIT)}, pool.now)
    (waiting,) = pool.queue.view(pool.now)
    assert waiting.leases == 0


def asked(pool: Pool, *owners: bytes, wanted: int = 1) -> list[AskLease]:
    """Let a build want something; return the questions, which nobody has seen yet."""
    demand = Demand("a", b"d" * 32, "a", (Want(UNIT, wanted, owners),))
    pool.queue.demanded(demand, pool.now)
    effects = pool.queue.decide(pool.now)
    asks = [each for each in effects if isinstance(each, AskLease)]
    assert asks == effects
    return asks


def test_a_build_wants_of_several_classes() -> None:
    pool = Pool(4, 2)
    one, two = pool.hosts
    large, small = replace(UNIT, slots=3), UNIT
    pool.demands("a", Want(large, 1, (one, two)), Want(small, 5, (two, one)))
    amounts = {
        key: sorted(each.amount.slots for each in host.book.leases)
        for key, host in pool.hosts.items()
    }
    assert amounts == {one: [1, 3], two: [1, 1]}


def test_a_class_that_nobody_can_give_does_not_hold_up_another() -> None:
    pool = Pool(2)
    owners = tuple(pool.hosts)
    pool.demands("a", Want(replace(UNIT, slots=9), 1, owners), Want(UNIT, 2, owners))
    assert pool.has() == {"a": 2}
    pool.now += 10 * AGEING_S
    pool.wants("b")
    pool.settle()
    assert pool.has() == {"a": 1, "b": 1}


def test_classes_that_name_a_least_are_had_all_or_none() -> None:
    pool = Pool(2, 1)
    one, two = pool.hosts
    both = Want(replace(UNIT, slots=2), 1, (one,), 1), Want(UNIT, 2, (two,), 2)
    pool.demands("a", *both)
    assert pool.has() == {}
    pool.demands("a", both[0], replace(both[1], count=1, at_least=1))
    assert pool.has() == {"a": 2}


def test_a_reservation_is_not_forgotten_between_answer_and_confirmation() -> None:
    pool = Pool(1)
    (owner,) = pool.hosts
    (ask,) = asked(pool, owner)
    # Its answer may be lost, but not what it tells of its room.
    pool.queue.owner_told(owner, Amount(0, 90), {}, 0.0, {ask.lease})
    assert pool.queue.decide(0.0) == [ConfirmLease(owner, ask.lease)]
    pool.queue.owner_told(owner, Amount(0, 90), {}, 0.0, {ask.lease})
    assert pool.queue.decide(0.0) == []
    assert pool.queue.view(0.0)[0].leases == 1
    pool.queue.owner_told(owner, Amount(1, 100), {}, 0.0)  # it lapsed
    assert pool.queue.view(0.0)[0].leases == 0


def test_room_that_was_told_before_a_question_arrived_is_not_asked_for_twice() -> None:
    pool = Pool(1)
    (host,) = pool.hosts.values()
    asked(pool, host.key, wanted=2)
    pool.told(host)
    assert pool.queue.decide(pool.now) == []


def test_what_nobody_answered_may_be_asked_for_again() -> None:
    pool = Pool(1)
    (host,) = pool.hosts.values()
    (ask,) = asked(pool, host.key)
    pool.now += RESERVED_S
    pool.queue.tick(pool.now)
    cancel, again = pool.queue.decide(pool.now)
    assert cancel == CancelLease(host.key, ask.lease)
    assert isinstance(again, AskLease)
    pool.queue.ended("a")
    pool.wants("b")
    assert pool.has() == {"b": 1}


def test_an_urgent_build_is_given_what_others_of_its_actor_have() -> None:
    pool = Pool(4)
    pool.wants("slow", actor="me", priority=Priority.LOW)
    pool.wants("fast", actor="me", priority=Priority.HIGH)
    pool.settle()
    assert pool.has() == {"fast": 4}


def test_room_for_much_at_once_comes_together() -> None:
    pool = Pool(4)
    pool.wants("small")
    pool.wants("large", 1, unit=replace(UNIT, slots=3))
    for _ in range(20):
        pool.settle()
        pool.now += AGEING_S / 4
        pool.queue.tick(pool.now)
        pool.perform()
    assert pool.has()["large"] == 1
