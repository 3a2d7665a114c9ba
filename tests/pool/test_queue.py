"""The coordinator's queue beside real lease books: who gets what, and that nothing is left over."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.pool.queued_pool import UNIT, Pool

from buildnet.pool.demand import Orders, Priority, Want
from buildnet.pool.leases import Amount
from buildnet.pool.queue_view import QueueState
from buildnet.pool.queued import AGEING_S


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


def test_a_paused_queue_gives_nobody_anything() -> None:
    pool = Pool(4)
    pool.queue.paused = True
    pool.wants("a", 2)
    assert pool.has() == {}
    assert [each.state for each in pool.queue.view(pool.now)] == [QueueState.PAUSED]
    pool.queue.paused = False
    pool.perform()
    assert pool.has() == {"a": 2}


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
