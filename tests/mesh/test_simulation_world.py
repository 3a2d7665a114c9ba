"""The simulated network, with a stand-in for the cores: nodes that count to each other."""

from __future__ import annotations

import pytest
from tests.mesh.counting_world import Count, Counter, a_world, counter, heard, members_of

from buildnet.mesh.events import Dial, DialFailed, LinkDown, LinkUp, Relay, Send, Stalled
from buildnet.mesh.simulation.faults import (
    ClockJump,
    Clog,
    Crash,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Loss,
    Partition,
    Pause,
    Unreachable,
)
from buildnet.mesh.simulation.network import GIVE_UP_S
from buildnet.mesh.simulation.switchboard import CONNECT_TIMEOUT_S
from buildnet.mesh.simulation.world import World


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
