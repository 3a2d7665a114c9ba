"""Membership among many nodes: deaths, slowness, partitions and liars, and what it costs."""

from __future__ import annotations

import pytest

from buildnet.mesh.events import DialFailed, Received, Status, StatusChanged
from buildnet.mesh.membership.core import Membership
from buildnet.mesh.messages.membership import StatusNews, StatusUpdate
from buildnet.mesh.topology.ring import fingers
from testbed.core_network import CoreNetwork


def network_of(size: int, seed: int = 1, **more: float) -> CoreNetwork:
    return CoreNetwork(size, lambda local: [Membership(local)], seed=seed, **more)  # type: ignore[arg-type]


def link_fingers(network: CoreNetwork) -> None:
    for key in network.keys:
        for peer in fingers(key, sorted(network.keys)):
            if peer > key:
                network.link(key, peer)


def believers(network: CoreNetwork, peer: bytes, status: Status) -> int:
    """How many nodes that run believe ``status`` of ``peer``."""
    return sum(
        node.local.status.get(peer) is status
        for key, node in network.nodes.items()
        if node.up and node.frozen_since is None and key != peer
    )


def flaps(network: CoreNetwork, since: float) -> list[StatusChanged]:
    return [
        event
        for node in network.nodes.values()
        for at, event in node.raised
        if at >= since and isinstance(event, StatusChanged)
    ]


def test_a_quiet_cluster_costs_little_and_nobody_is_suspected() -> None:
    network = network_of(15)
    network.link_all()
    network.run(60.0)
    begin = network.now
    network.bytes_in.clear()
    network.bytes_out.clear()
    network.messages_out.clear()
    network.run(120.0)
    assert flaps(network, begin) == []
    for key in network.keys:
        assert (network.bytes_in[key] + network.bytes_out[key]) / 120 < 900
        assert network.messages_out[key] / 120 < 2.5


@pytest.mark.parametrize("size", [2, 3, 5, 15])
def test_a_killed_node_is_dead_for_everybody_soon(size: int) -> None:
    network = network_of(size)
    network.link_all()
    network.run(5.0)
    victim = network.keys[1]
    network.kill(victim)
    network.run_until(lambda: believers(network, victim, Status.SUSPECT) == size - 1, at_most=0.3)
    network.run_until(lambda: believers(network, victim, Status.DEAD) == size - 1, at_most=1.0)
    assert {event.peer for event in flaps(network, 104.0)} == {victim}


@pytest.mark.parametrize("seed", range(3))
def test_a_frozen_node_is_suspected_then_dead_then_back(seed: int) -> None:
    network = network_of(15, seed)
    network.link_all()
    network.run(10.0)
    begin, victim = network.now, network.keys[4]
    core = network.nodes[victim].cores[0]
    assert isinstance(core, Membership)
    before = core.incarnation
    network.freeze(victim)
    network.run_until(lambda: believers(network, victim, Status.SUSPECT) > 0, at_most=3.0)
    network.run_until(lambda: believers(network, victim, Status.DEAD) == 14, at_most=30.0)
    network.thaw(victim)
    network.run_until(lambda: believers(network, victim, Status.ALIVE) == 14, at_most=20.0)
    network.run(60.0)
    # The frozen one came back without accusing anybody, and nobody changed its mind again.
    assert {event.peer for event in flaps(network, begin)} == {victim}
    assert believers(network, victim, Status.ALIVE) == 14
    assert core.incarnation > before


def test_a_single_cut_path_kills_nobody() -> None:
    network = network_of(5)
    network.link_all()
    network.run(5.0)
    begin = network.now
    network.part([network.keys[0]], [network.keys[1]])
    for _ in range(4):
        network.run(10.0)
        network.tell(network.keys[0], DialFailed(network.keys[1], "x", "timed out"))
        network.tell(network.keys[1], DialFailed(network.keys[0], "x", "timed out"))
    network.run(10.0)
    assert flaps(network, begin) == []


def test_halves_count_each_other_dead_and_come_back() -> None:
    network = network_of(12)
    network.link_all()
    network.run(5.0)
    left, right = network.keys[:6], network.keys[6:]
    network.part(left, right)
    network.run(60.0)
    for key, node in network.nodes.items():
        mine = left if key in left else right
        assert {peer for peer, status in node.local.status.items() if status is Status.ALIVE} == {
            *mine
        } - {key}
    for one in left:
        for other in right:
            network.link(one, other)
    network.run(1.0)
    assert all(believers(network, key, Status.ALIVE) == 11 for key in network.keys)
    begin = network.now
    network.run(60.0)
    assert flaps(network, begin) == []


@pytest.mark.parametrize("seed", range(2))
def test_partial_links_still_show_everybody_complete(seed: int) -> None:
    network = network_of(60, seed)
    link_fingers(network)
    network.run_until(
        lambda: all(believers(network, key, Status.ALIVE) == 59 for key in network.keys),
        at_most=5.0,
        step=0.1,
    )
    network.run(40.0)
    victim, frozen = network.keys[7], network.keys[8]
    begin = network.now
    network.kill(victim)
    network.freeze(frozen)
    network.run_until(lambda: believers(network, victim, Status.DEAD) == 58, at_most=5.0, step=0.1)
    network.run_until(lambda: believers(network, frozen, Status.DEAD) == 58, at_most=40.0, step=0.5)
    network.thaw(frozen)
    network.run_until(
        lambda: believers(network, frozen, Status.ALIVE) == 58, at_most=40.0, step=0.5
    )
    assert {event.peer for event in flaps(network, begin)} == {victim, frozen}


def test_a_liar_with_links_to_all_makes_nobody_doubt() -> None:
    network = network_of(8)
    network.link_all()
    network.run(5.0)
    begin, liar = network.now, network.keys[0]
    incarnation = network.nodes[liar].local.boot << 16
    network.messages_out.clear()
    for second in range(20):
        lies = tuple(
            StatusUpdate(key[:8], incarnation + second * 2, 2, liar[:8]) for key in network.keys[1:]
        )
        for key in network.keys[1:]:
            network.tell(key, Received(liar, StatusNews(lies, False)))
        network.run(1.0)
    assert flaps(network, begin) == []
    assert max(network.messages_out.values()) / 20 < 60


def test_a_node_that_stops_now_and_then_accuses_nobody() -> None:
    network = network_of(10)
    network.link_all()
    network.run(5.0)
    begin, slow = network.now, network.keys[3]
    for _ in range(20):
        network.freeze(slow)
        network.run(2.0)
        network.thaw(slow)
        network.run(1.0)
    others = [event for event in flaps(network, begin) if event.peer != slow]
    assert others == []


def test_a_node_that_starts_again_is_alive_at_once() -> None:
    network = network_of(6)
    network.link_all()
    network.run(5.0)
    victim = network.keys[2]
    network.kill(victim)
    network.run(10.0)
    network.start(victim, boot=network.nodes[victim].local.boot + 60)
    for key in network.keys:
        if key != victim:
            network.link(victim, key)
    network.run(0.1)
    assert believers(network, victim, Status.ALIVE) == 5
    begin = network.now
    network.run(60.0)
    assert flaps(network, begin) == []
