"""Slots, cores and memory of a host: who starts, on what, and who waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildnet.node.capacity import Capacity, CoreAssigner, Share
from buildnet.pool.requirements import Requirements

ONE = Requirements()


def cores(count: int) -> Requirements:
    return Requirements(cores=count)


def test_cores_go_round() -> None:
    assigner = CoreAssigner([4, 0, 2])
    assert assigner.take(1) == (0,)
    assigner.give_back([0])
    assert assigner.take(2) == (2, 4)
    assert assigner.free == (0,)


def test_cpus_that_are_wished_come_before_others() -> None:
    capacity = Capacity[str](4, range(4))
    assert capacity.ask("a", ONE, [3, 2, 9]) == [("a", Share(1, 0, (2, 3)))]
    assert capacity.ask("b", cores(1), [2]) == [("b", Share(1, 0, (2,), own=True))]
    assert capacity.ask("c", ONE, [2, 3]) == [("c", Share(1, 0, (3,)))]  # 2 is b's own
    assert capacity.ask("d", ONE, [2]) == [("d", Share(1, 0, (0, 1, 3)))]


def test_a_wish_that_waited_is_kept() -> None:
    capacity = Capacity[str](1, range(2))
    capacity.ask("a", ONE)
    assert capacity.ask("b", ONE, [1]) == []
    assert capacity.end("a") == [("b", Share(1, 0, (1,)))]


def test_who_asks_nothing_may_use_what_is_idle() -> None:
    capacity = Capacity[str](2, [0, 1])
    assert capacity.ask("a", ONE) == [("a", Share(1, 0, (0, 1)))]
    assert capacity.ask("b", ONE) == [("b", Share(1, 0, (0, 1)))]
    assert capacity.ask("c", ONE) == []
    assert capacity.end("a") == [("c", Share(1, 0, (0, 1)))]


def test_a_core_that_was_asked_for_is_nobody_elses() -> None:
    capacity = Capacity[str](4, range(4))
    assert capacity.ask("a", cores(2)) == [("a", Share(2, 0, (0, 1), own=True))]
    assert capacity.ask("b", ONE) == [("b", Share(1, 0, (2, 3)))]
    assert capacity.ask("c", cores(1)) == [("c", Share(1, 0, (2,), own=True))]
    assert capacity.ask("d", cores(1)) == []  # slots are used up
    assert capacity.end("b") == [("d", Share(1, 0, (3,), own=True))]


def test_what_is_large_is_not_overtaken_for_ever() -> None:
    capacity = Capacity[str](2, range(2))
    capacity.ask("a", ONE)
    assert capacity.ask("large", cores(2)) == []
    assert capacity.ask("small", ONE) == []
    assert capacity.end("a") == [("large", Share(2, 0, (0, 1), own=True))]
    assert capacity.end("large") == [("small", Share(1, 0, (0, 1)))]


def test_who_no_longer_waits_holds_nobody_up() -> None:
    capacity = Capacity[str](2, range(2))
    capacity.ask("a", ONE)
    capacity.ask("large", cores(2))
    capacity.ask("small", ONE)
    assert [key for key, _ in capacity.end("large")] == ["small"]


def test_memory_that_was_asked_for_is_kept_free() -> None:
    capacity = Capacity[str](4, None, memory_bytes=10)
    assert capacity.ask("a", Requirements(memory_bytes=6)) == [("a", Share(1, 6))]
    assert capacity.ask("b", Requirements(memory_bytes=5)) == []
    assert capacity.end("a") == [("b", Share(1, 5))]
    assert capacity.ask("c", Requirements(memory_bytes=5)) == [("c", Share(1, 5))]


def test_more_commands_than_cores_share_them_if_the_owner_says_so() -> None:
    capacity = Capacity[str](4, range(2))
    assert capacity.cores_at_most == 2
    assert capacity.ask("a", cores(2)) == [("a", Share(2, 0, (0, 1), own=True))]
    assert capacity.ask("b", ONE) == [("b", Share(1, 0, (0, 1)))]
    assert capacity.ask("c", cores(1)) == []  # a slot is free, but no core


NEEDS = st.builds(
    Requirements,
    cores=st.none() | st.integers(1, 3),
    memory_bytes=st.none() | st.integers(1, 10),
)


@given(st.lists(st.tuples(NEEDS, st.integers(0, 5))), st.integers(3, 5))
def test_nothing_is_given_twice_and_all_have_their_turn(
    asked: list[tuple[Requirements, int]], slots: int
) -> None:
    capacity = Capacity[int](slots, range(3), memory_bytes=10)
    running: dict[int, Share] = {}
    order: list[int] = []

    def take(started: list[tuple[int, Share]]) -> None:
        for key, share in started:
            assert key not in order
            running[key] = share
            order.append(key)
        own = [core for share in running.values() if share.own for core in share.cores or ()]
        assert len(own) == len(set(own))
        assert sum(share.slots for share in running.values()) <= slots
        assert sum(share.memory_bytes for share in running.values()) <= 10

    for key, (needed, ends) in enumerate(asked):
        take(capacity.ask(key, needed))
        for over in list(running)[:ends]:
            del running[over]
            take(capacity.end(over))
    while running:
        over = next(iter(running))
        del running[over]
        take(capacity.end(over))
    assert order == list(range(len(asked)))


def test_more_room_starts_who_waits_and_less_takes_nothing_away() -> None:
    capacity = Capacity[str](2, [0, 1], 100)
    capacity.ask("a", cores(2))
    assert capacity.ask("b", ONE) == []
    assert capacity.lacking == (1, 0, 0)
    assert capacity.change(3, [0, 1, 2], 100) == [("b", Share(1, 0, (2,)))]
    assert capacity.change(1, [0], 100) == []
    assert (capacity.slots, capacity.slots_in_use, capacity.free_slots) == (1, 3, 0)
    assert capacity.ask("c", ONE) == []
    assert capacity.lacking == (3, 0, 0)  # as many as there are too many, and one more
    assert capacity.end("b") == []
    assert capacity.end("a") == [("c", Share(1, 0, (0,)))]


def test_who_waits_for_more_than_there_is_now_gets_what_there_is() -> None:
    capacity = Capacity[str](4, range(4), 100)
    capacity.ask("a", ONE)
    assert capacity.ask("b", Requirements(cores=4, memory_bytes=90)) == []
    capacity.change(2, [0, 1], 50)
    assert capacity.end("a") == [("b", Share(2, 50, (0, 1), own=True))]


def test_what_those_who_wait_lack_of_memory() -> None:
    capacity = Capacity[str](4, None, 100)
    assert capacity.free_slots == 4
    capacity.ask("a", Requirements(memory_bytes=70))
    assert capacity.ask("b", Requirements(memory_bytes=70)) == []
    assert capacity.lacking == (0, 40, 0)
    assert capacity.free_slots == 0  # nobody comes before who waits


def test_disk_is_reserved_of_what_there_is_now() -> None:
    there_is = 100
    capacity: Capacity[str] = Capacity(9, None, None, lambda: there_is)
    assert capacity.reserve("a", Requirements(disk_bytes=60)) is not None
    assert capacity.free_disk_bytes == 40
    assert capacity.reserve("b", Requirements(disk_bytes=50)) is None
    assert capacity.reserve("c", Requirements()) is not None  # which asks for none
    there_is = 30
    assert capacity.free_disk_bytes == 0
    assert capacity.ask("d", Requirements(disk_bytes=50)) == []
    capacity.end("c")
    ((started, share),) = capacity.end("a")  # there is less than it needs, so it gets all
    assert (started, share.disk_bytes) == ("d", 30)
    assert capacity.free_disk_bytes == 0
    capacity.end("d")
    assert capacity.free_disk_bytes == 30
