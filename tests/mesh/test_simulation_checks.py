"""The simulated world keeps what a disk promised, repeats by seed, and catches what is wrong."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.mesh.counting_world import Counter, CountFact, a_world, counter, members_of

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.events import Effect, Office, Persist
from buildnet.mesh.simulation.disk import Disk
from buildnet.mesh.simulation.faults import Crash, Duplicate, Fault, Partition, Pause, SlowDisk
from buildnet.mesh.simulation.history import History
from buildnet.mesh.simulation.host import Host
from buildnet.mesh.simulation.sizes import large_collections
from buildnet.mesh.simulation.timeline import Timeline
from buildnet.mesh.simulation.world import World
from buildnet.mesh.testing import ManualClock


def test_a_slow_disk_answers_late() -> None:
    world = a_world(1)
    SlowDisk(0, 0, 0, 1000).begin(world)
    world.run(1.9)
    assert counter(world.hosts[0]).kept < 16


def written(*, crash_after: float) -> list[int]:
    timeline = Timeline()
    disk = Disk(timeline, random.Random(3))
    done: list[int] = []
    for number in range(5):
        timeline.at(number * 0.001, disk.write, Persist(number, (CountFact(number),)), done.append)
    timeline.run(crash_after)
    disk.crash()
    timeline.run(1)
    kept = [fact.number for fact in disk.load() if isinstance(fact, CountFact)]
    assert not done or (kept and kept[0] >= done[-1]), "what was promised is there"
    return done


def test_a_crash_forgets_only_what_was_not_acknowledged() -> None:
    assert written(crash_after=0.5) == [0, 1, 2, 3, 4]
    outcomes = {len(written(crash_after=0.0003 * step)) for step in range(30)}
    assert len(outcomes) > 2


def test_facts_are_forgotten_in_the_same_write() -> None:
    timeline = Timeline()
    disk = Disk(timeline, random.Random(1))
    disk.write(Persist(1, (CountFact(1),)), lambda token: None)
    disk.write(Persist(2, (), forget=("CountFact",)), lambda token: None)
    timeline.run(1)
    assert disk.load() == []


def begin(fault: Fault, world: World) -> None:
    fault.begin(world)


def a_history(seed: int) -> History:
    history = History()
    world = a_world(3, seed=seed, history=history, loss=0.05)
    for fault in (Crash(1, 1, 0), Pause(2, 1, 1), Partition(3, 2, (2,)), Duplicate(0, 9, 0.2)):
        world.timeline.at(fault.start, begin, fault, world)
        world.timeline.at(fault.start + fault.seconds, fault.end, world)
    world.run(6)
    return history


def test_a_run_is_a_function_of_its_seed() -> None:
    assert a_history(1).digest() == a_history(1).digest()
    assert a_history(1).digest() != a_history(2).digest()
    assert "n1    is frozen" in a_history(1).text()
    assert "<- n1 Count(" in a_history(1).text(talk=True)


class Failing(Counter):
    def tick(self, now: float) -> list[Effect]:
        if self.number == 3:
            raise ZeroDivisionError("planted")
        return super().tick(now)


class Spinning(Counter):
    def tick(self, now: float) -> list[Effect]:
        return []


@pytest.mark.parametrize(
    ("kind", "what"),
    [(Failing, "a core failed at a tick"), (Spinning, "the cores' deadline never passes")],
)
def test_a_core_that_fails_or_spins_is_caught(kind: type[Counter], what: str) -> None:
    members = members_of(1)
    world = World(1, lambda start: kind(start, members))
    world.add_host().start()
    world.run(5)
    assert [violation.what for violation in world.watch.violations] == [what]


def an_office(coordinator: Host, counter: int, *, granted: bool = True) -> Office:
    return Office(coordinator.key, counter, granted=granted, quorum=granted)


def look(*offices: Callable[[list[Host]], tuple[int, Office]]) -> list[str]:
    world = a_world(2)
    for office in offices:
        index, seen = office(world.hosts)
        program = counter(world.hosts[index])
        program.local.office = seen
        world.watch.look(world.hosts[index], program)
    return [violation.what for violation in world.watch.violations]


def test_two_coordinators_of_a_term_are_caught() -> None:
    assert look(lambda h: (0, an_office(h[0], 1)), lambda h: (1, an_office(h[1], 2))) == []
    assert look(lambda h: (0, an_office(h[0], 1)), lambda h: (1, an_office(h[1], 1))) == [
        "two coordinators of one granted term",
        "a term was won twice",
    ]
    assert look(lambda h: (0, an_office(h[0], 1)), lambda h: (1, an_office(h[0], 1))) == []


def test_obeying_a_lower_term_is_caught() -> None:
    assert look(lambda h: (0, an_office(h[0], 2)), lambda h: (0, an_office(h[1], 1))) == [
        "a lower term is obeyed"
    ]
    lower = look(
        lambda h: (0, an_office(h[0], 2)), lambda h: (0, an_office(h[1], 1, granted=False))
    )
    assert lower == ["a lower term is obeyed"]


def test_member_lists_that_differ_or_shrink_are_caught() -> None:
    world = a_world(2)
    lists = members_of(2)
    for index, version, head in ((0, 2, b"a"), (1, 1, b"x"), (1, 2, b"b"), (0, 1, b"x")):
        program = counter(world.hosts[index])
        program.local.members = replace(lists, version=version, head=head)
        world.watch.look(world.hosts[index], program)
    assert [violation.what for violation in world.watch.violations] == [
        "two committed member lists differ",
        "a committed member list shrank",
    ]


def test_collections_that_grow_are_found_wherever_they_are() -> None:
    world = a_world(1)
    world.run(5)
    assert large_collections(counter(world.hosts[0]), 1000) == []
    assert large_collections(ManualClock(), 0) == []
    (found,) = large_collections(HybridClockWithList(), 10)
    assert found == "HybridClockWithList._kept[]: 20"


class HybridClockWithList(HybridClock):
    """Stands for a core that keeps too much, two levels down."""

    def __init__(self) -> None:
        super().__init__(ManualClock())
        self._kept = {1: list(range(20))}


HybridClockWithList.__module__ = HybridClock.__module__


def test_time_never_waits_for_infinity() -> None:
    timeline = Timeline()
    timeline.at(math.inf, lambda: None)
    timeline.run(10)
    assert timeline.now == 10
