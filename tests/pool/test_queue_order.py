"""The order of the queue: builds are moved in it, and it is told who starts when."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from tests.pool.queued_pool import Pool

from buildnet.pool.demand import Demand, HowFar, Orders
from buildnet.pool.leases import Amount
from buildnet.pool.queue_view import in_words


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


def test_who_moves_his_own_builds_passes_no_build_of_others() -> None:
    pool = Pool(1)
    for build in ("running", "a1", "b1", "a2", "b2", "a3", "b3"):
        pool.wants(build, 1, actor=build[0])
    drivers = {name.encode().ljust(32) for name in ("b1", "b2", "b3")}
    for demand, orders in pool.queue.placed(
        "b3", 1, pool.now, lambda demand: demand.driver in drivers
    ):
        pool.queue.demanded(replace(demand, orders=orders), pool.now)
    order = [each.demand.build for each in pool.queue.view(pool.now)]
    assert order[:-1] == ["a1", "b3", "a2", "b1", "a3", "b2"]


def test_who_moves_a_build_before_one_that_has_all_passes_no_build_of_others() -> None:
    pool = Pool(2)
    for build in ("x1", "y1"):
        pool.wants(build, 1, actor=build[0])
    for build in ("y2", "x2"):
        pool.wants(build, 1, actor=build[0], unit=Amount(4, 10))
    for demand, orders in pool.queue.placed("x2", 1, pool.now, lambda demand: demand.actor == "x"):
        pool.queue.demanded(replace(demand, orders=orders), pool.now)
    order = [each.demand.build for each in pool.queue.view(pool.now)]
    assert order == ["x1", "y1", "y2", "x2"]


@pytest.mark.parametrize("seed", range(40))
def test_no_move_among_own_builds_changes_whose_turn_comes_when(seed: int) -> None:
    chance = random.Random(seed)
    pool = Pool(2, 1)
    for number in range(10):
        pool.now += chance.random() * 20
        unit = Amount(chance.choice([1, 1, 2, 4]), 10)
        actor = chance.choice("xyz")
        pool.wants(f"{actor}{number}", chance.choice([1, 3]), actor=actor, unit=unit)

    def turns() -> str:
        order = [each.demand for each in pool.queue.view(pool.now)]
        has = pool.has()
        return "".join(one.actor for one in order if has[one.build] < one.units[0].count)

    pool.settle()
    before = turns()
    for build in [each.demand.build for each in pool.queue.view(pool.now)]:

        def is_own(demand: Demand, actor: str = build[0]) -> bool:
            return demand.actor == actor

        for demand, orders in pool.queue.placed(build, chance.randint(1, 4), pool.now, is_own):
            pool.queue.demanded(replace(demand, orders=orders), pool.now)
        assert turns() == before


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
