"""The simulated world itself, with a stand-in for the cores: nodes that count to each other."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.events import (
    Dial,
    DialFailed,
    Effect,
    Event,
    Fact,
    LinkDown,
    LinkUp,
    Office,
    Persist,
    Persisted,
    Received,
    Relay,
    Send,
    Stalled,
)
from buildnet.mesh.local import Local
from buildnet.mesh.members.genesis import Rights, Role
from buildnet.mesh.members.member import Member
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.simulation.disk import Disk
from buildnet.mesh.simulation.faults import (
    ClockJump,
    Clog,
    Crash,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Fault,
    Loss,
    Partition,
    Pause,
    SlowDisk,
    Unreachable,
)
from buildnet.mesh.simulation.history import History
from buildnet.mesh.simulation.host import Host, Start
from buildnet.mesh.simulation.network import GIVE_UP_S
from buildnet.mesh.simulation.sizes import large_collections
from buildnet.mesh.simulation.switchboard import CONNECT_TIMEOUT_S
from buildnet.mesh.simulation.timeline import Timeline
from buildnet.mesh.simulation.world import World
from buildnet.mesh.testing import CheapSignatures, ManualClock, key_number

PERIOD_S = 0.1
Happened = TypeVar("Happened")


@message(250, priority=Priority.OTHER, sender="a test", receiver="a test", effect="none")
@dataclass(frozen=True, slots=True)
class Count(Message):
    number: int
    pad: bytes = b""


@dataclass(frozen=True, slots=True)
class CountFact(Fact):
    number: int


def members_of(count: int) -> MemberList:
    keys = [key_number(number) for number in range(count)]
    members = MemberList.found(
        key_number(1000),
        keys[0],
        name="test",
        founder_name="n0",
        created=1,
        nonce=bytes(16),
    )
    return replace(
        members,
        members={
            key.public_key: Member(key.public_key, f"n{i}", Role.WORKER, Rights.ADMIN, i)
            for i, key in enumerate(keys)
        },
    )


class Counter:
    """Says 1, 2, 3 … to everybody; keeps on disk how far it came; dials the seeds."""

    def __init__(self, start: Start, members: MemberList) -> None:
        self.local = Local(
            start.key.public_key,
            start.boot,
            CheapSignatures(start.key.public_key),
            start.random,
            HybridClock(start.wall),
            members,
        )
        self.deadline = start.now
        self.seeds = start.seeds
        self.number = 0
        self.kept = max(
            (fact.number for fact in start.facts if isinstance(fact, CountFact)), default=0
        )
        self.heard: dict[bytes, list[int]] = {}
        self.events: list[tuple[float, Event]] = []
        self.linked: set[bytes] = set()
        self.dialled = False

    def begin(self, now: float) -> list[Effect]:
        return []

    def handle(self, event: Event, now: float) -> list[Effect]:
        self.events.append((now, event))
        match event:
            case Received(sender, Count(number)):
                self.heard.setdefault(sender, []).append(number)
            case LinkUp(peer):
                self.linked.add(peer)
            case LinkDown(peer):
                self.linked.discard(peer)
            case Persisted(token):
                self.kept = max(self.kept, token)
            case _:
                pass
        return []

    def tick(self, now: float) -> list[Effect]:
        self.deadline = now + PERIOD_S
        self.number += 1
        effects: list[Effect] = []
        if not self.dialled:
            self.dialled = True
            effects += [Dial(seed, None) for seed in self.seeds]
        effects += [Send(peer, Count(self.number)) for peer in sorted(self.linked)]
        effects.append(Persist(self.number, (CountFact(self.number),)))
        return effects

    def happened(self, kind: type[Happened]) -> list[Happened]:
        return [event for _, event in self.events if isinstance(event, kind)]


def a_world(
    count: int, *, seed: int = 1, history: History | None = None, loss: float = 0.0
) -> World:
    members = members_of(count)
    world = World(
        seed, lambda start: Counter(start, members), round_trip_s=0.01, loss=loss, history=history
    )
    for _ in range(count):
        host = world.add_host()
        host.seeds = tuple(other.address for other in world.hosts[:-1])
    world.size = count
    for host in world.hosts:
        host.start()
    return world


def counter(host: Host) -> Counter:
    assert isinstance(host.program, Counter)
    return host.program


def heard(by: Host, of: Host) -> list[int]:
    return counter(by).heard.get(of.key, [])


def test_hosts_link_and_hear_each_other_in_order() -> None:
    world = a_world(3)
    world.run(5)
    for one in world.hosts:
        assert sorted(one.links) == sorted(other.key for other in world.hosts if other is not one)
        for other in world.hosts:
            if other is not one:
                numbers = heard(one, other)
                assert len(numbers) > 40
                assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_link_takes_four_round_trips() -> None:
    world = a_world(2)
    world.run(1)
    (up,) = counter(world.hosts[1]).happened(LinkUp)
    (at,) = [now for now, event in counter(world.hosts[1]).events if event is up]
    assert up == LinkUp(world.hosts[0].key, True, "http://n0")
    assert at - world.hosts[1]._origin == pytest.approx(0.04, rel=0.15)


@pytest.mark.parametrize("fault", ["loss", "delay", "clog"])
def test_a_bad_network_delays_and_keeps_the_order(fault: str) -> None:
    world = a_world(2)
    world.run(1)
    begun = {
        "loss": Loss(0, 0, 0, 0.5),
        "delay": Delay(0, 0, 0, 2.0),
        "clog": Clog(0, 0, 0, 1500.0),
    }[fault]
    begun.begin(world)
    world.run(5)
    late = max(heard(*world.hosts))
    assert late < counter(world.hosts[1]).number - 1
    begun.end(world)
    world.run(10)
    numbers = heard(*world.hosts)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[-1] >= counter(world.hosts[1]).number - 1
    assert not counter(world.hosts[0]).happened(LinkDown)


def test_a_short_partition_only_delays() -> None:
    world = a_world(2)
    world.run(1)
    partition = Partition(0, 0, (0,))
    partition.begin(world)
    world.run(3)
    assert max(heard(*world.hosts)) <= 11
    partition.end(world)
    world.run(4)
    numbers = heard(*world.hosts)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[-1] > 70


def test_a_long_partition_ends_links_on_both_sides() -> None:
    world = a_world(2)
    world.run(1)
    Partition(0, 0, (0,)).begin(world)
    world.run(GIVE_UP_S + 1)
    for host in world.hosts:
        (down,) = counter(host).happened(LinkDown)
        assert down.reason == "no answer"


def test_a_one_way_partition_lets_the_other_way_through() -> None:
    world = a_world(2)
    world.run(1)
    Partition(0, 0, (0,), one_way=True).begin(world)
    world.run(5)
    assert max(heard(world.hosts[1], world.hosts[0])) <= 11
    assert max(heard(world.hosts[0], world.hosts[1])) > 50


def test_a_cut_leaves_other_paths_alone_and_faults_may_overlap() -> None:
    world = a_world(3)
    world.run(1)
    cut, partition = Cut(0, 0, 0, 1), Partition(0, 0, (0,))
    cut.begin(world)
    world.run(2)
    assert max(heard(world.hosts[0], world.hosts[2])) > 25
    assert max(heard(world.hosts[0], world.hosts[1])) <= 11
    partition.begin(world)
    cut.end(world)
    world.run(2)
    assert max(heard(world.hosts[0], world.hosts[1])) <= 11
    partition.end(world)
    world.run(10)
    assert max(heard(world.hosts[0], world.hosts[1])) > 100


def test_a_dropped_link_ends_at_both_sides() -> None:
    world = a_world(2)
    world.run(1)
    assert Drop(0, 0, 0, 1).begin(world)
    world.run(1)
    assert [host.links for host in world.hosts] == [{}, {}]
    for host in world.hosts:
        assert counter(host).happened(LinkDown) == [
            LinkDown(next(key for key in counter(host).heard), "reset")
        ]
    assert not Drop(0, 0, 0, 1).begin(world)


def test_messages_may_arrive_twice() -> None:
    world = a_world(2)
    Duplicate(0, 0, 0.5).begin(world)
    world.run(5)
    numbers = heard(*world.hosts)
    assert len(numbers) > 1.2 * len(set(numbers))


def test_a_paused_process_hears_everything_later_and_learns_of_its_stall() -> None:
    world = a_world(2)
    world.run(1)
    pause = Pause(0, 0, 0)
    assert pause.begin(world)
    assert not pause.begin(world)
    before = len(counter(world.hosts[0]).events)
    world.run(5)
    assert len(counter(world.hosts[0]).events) == before
    assert max(heard(world.hosts[1], world.hosts[0])) <= 11
    pause.end(world)
    (_, stalled) = counter(world.hosts[0]).events[before]
    assert isinstance(stalled, Stalled)
    assert stalled.seconds == pytest.approx(5)
    assert max(heard(*world.hosts)) > 55
    assert not counter(world.hosts[0]).happened(LinkDown)


def test_a_killed_process_is_noticed_at_once_and_a_dial_is_refused() -> None:
    world = a_world(2)
    world.run(1)
    Crash(0, 0, 0).begin(world)
    world.hosts[1].ask(lambda program, now: [Dial("http://n0", world.hosts[0].key)])
    world.run(0.5)
    one = counter(world.hosts[1])
    assert one.happened(LinkDown) == [LinkDown(world.hosts[0].key, "process ended")]
    assert one.happened(DialFailed) == [
        DialFailed(world.hosts[0].key, "http://n0", "refused", refused=True)
    ]


def test_a_dark_host_is_silent_and_resets_old_links_when_it_is_back() -> None:
    world = a_world(2)
    world.run(1)
    dark = Crash(0, 0, 0, dark=True)
    dark.begin(world)
    world.hosts[1].ask(lambda program, now: [Dial("http://n0", None)])
    world.run(CONNECT_TIMEOUT_S + 0.5)
    one = counter(world.hosts[1])
    assert not one.happened(LinkDown)
    assert one.happened(DialFailed) == [DialFailed(None, "http://n0", "no answer in time")]
    dark.end(world)
    world.run(10)
    assert one.happened(LinkDown) == [LinkDown(world.hosts[0].key, "reset")]


def test_a_restart_has_a_higher_boot_and_what_was_kept() -> None:
    world = a_world(1)
    host = world.hosts[0]
    world.run(2.05)
    boot, kept = host.boot, counter(host).kept
    assert kept > 15
    host.kill()
    host.start()
    assert host.boot > boot
    assert counter(host).kept in (kept, kept + 1)


def test_nobody_dials_a_host_behind_nat_but_it_dials() -> None:
    world = a_world(2)
    Unreachable(0, 0, 0).begin(world)
    world.run(10)
    assert world.hosts[0].links == {}
    world.hosts[0].ask(lambda program, now: [Dial("http://n1", None)])
    world.run(1)
    assert list(world.hosts[0].links) == [world.hosts[1].key]


def test_two_hosts_talk_through_a_relay_until_it_dies() -> None:
    world = a_world(3)
    zero, one, two = world.hosts
    for host in (zero, one):
        host.natted = True
    world.run(1)
    assert one.key not in zero.links
    two.ask(lambda program, now: [])
    for host in (zero, one):
        host.ask(lambda program, now: [Dial("http://n2", None)])
    world.run(1)
    zero.ask(lambda program, now: [Relay(one.key, two.key)])
    world.run(2)
    assert counter(zero).happened(LinkUp)[-1] == LinkUp(one.key, True, None, two.key)
    assert counter(one).happened(LinkUp)[-1] == LinkUp(zero.key, False, None, two.key)
    assert len(heard(zero, one)) > 10
    two.kill()
    world.run(1)
    for host, peer in ((zero, one), (one, zero)):
        ended = {event.peer for event in counter(host).happened(LinkDown)}
        assert ended == {peer.key, two.key}


def test_links_dialled_from_both_sides_end_as_one() -> None:
    world = a_world(2)
    world.run(1)
    world.hosts[0].kill()
    world.run(0.1)
    world.hosts[0].start()
    zero, one = world.hosts
    zero.ask(lambda program, now: [Dial("http://n1", one.key)])
    one.ask(lambda program, now: [Dial("http://n0", zero.key)])
    world.run(2)
    smaller = min(zero.key, one.key)
    end = zero.links[one.key]
    assert end.open
    assert one.links[zero.key] is end.other
    assert end.dialled == (zero.key == smaller)
    assert heard(zero, one)[-1] >= counter(one).number - 1
    assert heard(one, zero)[-1] >= counter(zero).number - 1


def test_who_is_no_member_gets_no_link() -> None:
    members = members_of(1)
    world = World(1, lambda start: Counter(start, members))
    for _ in range(2):
        world.add_host().start()
    world.size = 2
    world.hosts[1].ask(lambda program, now: [Dial("http://n0", None)])
    world.run(1)
    assert world.hosts[0].links == {}
    (failed,) = counter(world.hosts[1]).happened(DialFailed)
    assert failed == DialFailed(None, "http://n0", "no member")


def test_a_reader_that_stands_still_too_long_loses_its_link() -> None:
    world = a_world(2)
    world.run(1)
    zero, one = world.hosts
    Pause(0, 0, 0).begin(world)
    large = Count(1, bytes(40_000))
    for _ in range(300):
        one.ask(lambda program, now: [Send(zero.key, large)])
        world.run(0.001)
    assert counter(one).happened(LinkDown) == [LinkDown(zero.key, "slow reader")]


def test_the_wall_clock_jumps_and_the_monotonic_one_does_not() -> None:
    world = a_world(1)
    host = world.hosts[0]
    wall, monotonic = host.wall_ms(), host.monotonic()
    ClockJump(0, 0, 0, -3600).begin(world)
    assert host.wall_ms() == wall - 3_600_000
    assert host.monotonic() == monotonic


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
