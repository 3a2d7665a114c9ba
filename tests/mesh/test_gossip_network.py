"""Gossip among many nodes: rumours reach everybody, halves heal, newcomers get all once."""

from __future__ import annotations

import pytest
from tests.mesh.gossip_records import KEYS

from buildnet.mesh.gossip.core import Gossip
from buildnet.mesh.topology.ring import fingers, next_on_ring
from testbed.core_network import CoreNetwork


def cores(network: CoreNetwork) -> list[Gossip]:
    found = []
    for node in network.nodes.values():
        (core,) = node.cores
        assert isinstance(core, Gossip)
        found.append(core)
    return found


def advertise(network: CoreNetwork, key: bytes, topic: str, body: bytes) -> None:
    (core,) = network.nodes[key].cores
    assert isinstance(core, Gossip)
    network.do(key, core.advertise(topic, body, network.now))


def know(network: CoreNetwork, owner: bytes, topic: str, body: bytes) -> int:
    return sum(
        (owner, topic) in core.records and core.records[owner, topic].record.body == body
        for core in cores(network)
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_rumour_reaches_thirty_nodes_in_a_few_hops(seed: int) -> None:
    network = CoreNetwork(30, lambda local: [Gossip(local)], seed=seed, delay_s=0.01)
    network.link_all()
    network.run(1.0)
    network.sent.clear()
    advertise(network, network.keys[3], "load", b"1")
    took = network.run_until(
        lambda: know(network, network.keys[3], "load", b"1") == 30, at_most=0.2
    )
    assert took <= 0.15
    network.run(0.5)
    assert network.sent["Records"] <= 3 * 30


def test_a_large_record_is_fetched_once_by_each() -> None:
    network = CoreNetwork(20, lambda local: [Gossip(local)], delay_s=0.005)
    network.link_all()
    network.run(1.0)
    network.bytes_in.clear()
    advertise(network, network.keys[0], "profile", bytes(20_000))
    network.run_until(
        lambda: know(network, network.keys[0], "profile", bytes(20_000)) == 20, at_most=2.0
    )
    network.run(2.0)
    assert sum(network.bytes_in.values()) < 19 * 22_500


@pytest.mark.parametrize("seed", range(3))
def test_a_rumour_gets_round_on_partial_links(seed: int) -> None:
    network = CoreNetwork(60, lambda local: [Gossip(local)], seed=seed)
    for key in network.keys:
        for peer in fingers(key, sorted(network.keys)):
            if peer > key:
                network.link(key, peer)
    network.run(1.0)
    advertise(network, network.keys[0], "load", b"1")
    network.run_until(lambda: know(network, network.keys[0], "load", b"1") == 60, at_most=1.0)


def test_two_halves_heal() -> None:
    network = CoreNetwork(16, lambda local: [Gossip(local)])
    network.link_all()
    network.run(1.0)
    left, right = network.keys[:8], network.keys[8:]
    network.part(left, right)
    for key in network.keys:
        advertise(network, key, "load", b"apart")
        advertise(network, key, "profile", bytes(5_000))
    network.run(30.0)
    assert know(network, left[0], "load", b"apart") == 8
    network.bytes_in.clear()
    network.link(left[0], right[0])  # one link is enough
    took = network.run_until(
        lambda: all(len(core.records) == 32 for core in cores(network)), at_most=5.0
    )
    assert took < 1.0
    network.run(1.0)
    assert sum(network.bytes_in.values()) < 16 * 16 * 7_000
    assert len({core._book.summary for core in cores(network)}) == 1


def test_a_quiet_cluster_sends_only_summaries() -> None:
    network = CoreNetwork(15, lambda local: [Gossip(local)])
    network.link_all()
    for key in network.keys:
        advertise(network, key, "load", b"1")
        advertise(network, key, "profile", bytes(5_000))
    network.run(40.0)
    network.sent.clear()
    network.bytes_in.clear()
    network.run(100.0)
    assert set(network.sent) == {"Summary"}
    assert 15 * 9 <= network.sent["Summary"] <= 15 * 12
    assert max(network.bytes_in.values()) / 100 < 60  # bytes a second


def test_a_newcomer_gets_everything_once() -> None:
    network = CoreNetwork(15, lambda local: [Gossip(local)])
    newcomer, *old = network.keys
    network.link_all(old)
    for key in old:
        advertise(network, key, "load", b"1")
        advertise(network, key, "profile", bytes(10_000))
    network.run(20.0)
    network.bytes_in.clear()
    for key in old:
        network.link(newcomer, key)
    advertise(network, newcomer, "profile", b"new")
    network.run_until(lambda: know(network, newcomer, "profile", b"new") == 15, at_most=0.5)
    (core,) = network.nodes[newcomer].cores
    assert isinstance(core, Gossip)
    network.run_until(lambda: len(core.records) == 29, at_most=0.5)
    network.run(2.0)
    assert network.bytes_in[newcomer] < 14 * (10_000 + 4_000)


def test_ring_neighbours() -> None:
    ring = sorted(KEYS)
    assert next_on_ring(ring[0], ring[1:]) == ring[1]
    assert next_on_ring(ring[4], ring[:4]) == ring[0]
