"""Topology: a full mesh, partial links that hold together, and how many nodes find each other."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from buildnet.mesh.events import (
    Disconnect,
    Effect,
    LinkState,
    LinkUp,
    MembersChanged,
    Office,
    Status,
)
from buildnet.mesh.gossip.core import Gossip
from buildnet.mesh.gossip.records import ADDRESS_TOPIC, Addresses
from buildnet.mesh.local import Local
from buildnet.mesh.membership.core import Membership
from buildnet.mesh.topology.core import COURTESY_S, FULL_MESH, MET_S, REVIEW_S, Topology
from testbed.core_network import CoreNetwork, keys_of, local_of, member_list

Graph = dict[bytes, set[bytes]]


# --- whom ----------------------------------------------------------------------------------------


def wanted_of(
    size: int, voters: int, dead: frozenset[bytes] = frozenset()
) -> dict[bytes, set[bytes]]:
    """Whom each of ``size`` members wants; the first one coordinates."""
    keys = keys_of(size)
    members = member_list(keys, voters=voters)
    found = {}
    for key in keys:
        local = local_of(key, members)
        local.status = {
            peer: Status.DEAD if peer in dead else Status.ALIVE for peer in keys if peer != key
        }
        local.office = Office(keys[0], 1, True, True)
        found[key] = set(Topology(local, gossip=Gossip(local)).wanted)
    return found


def is_connected(graph: Graph, without: frozenset[bytes] = frozenset()) -> bool:
    """Tell whether who is left reaches each other over links that both ends keep."""
    left = set(graph) - without
    reached, fresh = set(), {min(left)}
    while fresh:
        reached |= fresh
        fresh = {
            peer for key in fresh for peer in left if peer in graph[key] or key in graph[peer]
        } - reached
    return reached == left


def test_a_member_that_is_met_is_wanted_for_a_while() -> None:
    keys = keys_of(64)
    local = local_of(keys[-1], member_list(keys, voters=7))
    local.status = dict.fromkeys(keys[:-1], Status.ALIVE)
    local.office = Office(keys[0], 1, True, True)
    topology = Topology(local, gossip=Gossip(local))
    topology.handle(MembersChanged(), 100.0)
    peer = next(key for key in keys[:-1] if key not in topology.wanted)
    topology.meet(peer, 100.0)
    assert peer in topology.wanted
    assert topology.deadline <= 100.0 + COURTESY_S
    stranger = bytes(32)
    topology.meet(stranger, 100.0)
    assert stranger not in topology.wanted
    while (now := topology.deadline) < 100.0 + MET_S:
        topology.tick(now)
        assert peer in topology.wanted
    while topology.deadline < 100.0 + MET_S + 2 * REVIEW_S:
        topology.tick(topology.deadline)
    assert peer not in topology.wanted


def test_up_to_thirty_two_members_everybody_links_with_everybody() -> None:
    graph = wanted_of(FULL_MESH, 7)
    assert {len(wanted) for wanted in graph.values()} == {FULL_MESH - 1}


@pytest.mark.parametrize("size", [33, 50, 100])
def test_partial_links_hold_together_whoever_dies(size: int) -> None:
    graph = wanted_of(size, 7)
    for one, other in itertools.combinations(graph, 2):
        assert (other in graph[one]) == (one in graph[other])
    ordinary = [len(wanted) for wanted in graph.values() if len(wanted) < size - 1]
    assert len(ordinary) == size - 7
    assert max(ordinary) <= 2 * math.log2(size) + 7 + 1
    for key in graph:
        assert is_connected(graph, frozenset({key}))


@pytest.mark.parametrize("size", [33, 50, 100])
def test_even_without_coordinator_and_voters_the_fingers_hold(size: int) -> None:
    graph = wanted_of(size, 1)
    first = frozenset({keys_of(size)[0]})
    for key in graph:
        assert is_connected(graph, first | {key})


def test_when_many_died_the_living_close_the_ring() -> None:
    keys = keys_of(100)
    dead = frozenset(random.Random(5).sample(keys[1:], 70))
    graph = wanted_of(100, 1, dead)
    assert is_connected(graph, dead | {keys[0]})


def test_links_that_are_not_needed_are_closed_by_who_dialled() -> None:
    keys = keys_of(60)
    local = local_of(keys[50], member_list(keys))
    topology = Topology(local, gossip=Gossip(local))
    topology.tick(100.0)
    extra = [key for key in keys if key not in topology.wanted and key != local.key]
    for key, outgoing in ((extra[0], True), (extra[1], False)):
        local.links[key] = LinkState(outgoing, 100.0)
        topology.handle(LinkUp(key, outgoing), 100.0)
    done: list[Effect] = []
    while topology.deadline <= 170.0:
        done += topology.tick(topology.deadline)
    assert done == [Disconnect(extra[0], "not needed")]


# --- many nodes ----------------------------------------------------------------------------------


def network_of(size: int, seeds: int = 1, seed: int = 1, **more: float) -> CoreNetwork:
    """Nodes that know nothing but each other's keys and the address of the first few."""
    keys = keys_of(size)

    def build(local: Local) -> list[Membership | Gossip | Topology]:
        gossip = Gossip(local)
        urls = [f"http://n{number}:80" for number in range(seeds)]
        body = Addresses((f"http://n{keys.index(local.key)}:80",)).encode()
        gossip.advertise(ADDRESS_TOPIC, body, 0.0)
        return [Membership(local), gossip, Topology(local, gossip=gossip, seeds=urls)]

    return CoreNetwork(size, build, seed=seed, **more)  # type: ignore[arg-type]


def graph_of(network: CoreNetwork) -> Graph:
    return {key: set(node.local.links) for key, node in network.nodes.items() if node.up}


def is_full(network: CoreNetwork) -> bool:
    graph = graph_of(network)
    return all(len(peers) == len(graph) - 1 for peers in graph.values())


@pytest.mark.parametrize("seed", range(3))
def test_a_cluster_finds_itself_from_one_seed(seed: int) -> None:
    network = network_of(15, seed=seed)
    network.run_until(lambda: is_full(network), at_most=5.0)
    network.run(60.0)
    assert is_full(network)
    assert len(network.dials) < 15 * 14  # about one dial for each pair
    begin = len(network.dials)
    network.run(60.0)
    assert len(network.dials) == begin


def test_the_dead_are_dialled_for_ever_and_come_back() -> None:
    network = network_of(8)
    network.run_until(lambda: is_full(network), at_most=5.0)
    victim = network.keys[3]
    network.kill(victim)
    network.run(600.0)
    network.dials.clear()
    network.run(600.0)
    assert 7 * 600 / 30 < len(network.dials) < 7 * 600 / 10
    network.start(victim, boot=1_790_000_900)
    network.run_until(lambda: is_full(network), at_most=3.0)


@pytest.mark.parametrize("seed", range(3))
def test_a_partition_heals_without_any_command(seed: int) -> None:
    network = network_of(10, seed=seed)
    network.run_until(lambda: is_full(network), at_most=5.0)
    network.part(network.keys[:5], network.keys[5:])
    network.run(600.0)
    network.apart.clear()
    network.run_until(lambda: is_full(network), at_most=10.0, step=0.05)
    network.run(1.0)
    assert is_full(network)
    seen = {
        node.local.status[key]
        for one, node in network.nodes.items()
        for key in network.keys
        if key != one
    }
    assert seen == {Status.ALIVE}


def test_two_hosts_behind_nat_talk_through_a_third() -> None:
    network = network_of(4)
    hidden = network.keys[2:]
    network.undialable |= set(hidden)
    network.run_until(lambda: is_full(network), at_most=60.0, step=0.1)
    link = network.nodes[hidden[0]].local.links[hidden[1]]
    assert link.relayed_by in network.keys[:2]
    network.run(100.0)
    network.relays.clear()
    network.dials.clear()
    network.run(600.0)
    assert network.relays == []
    assert len(network.dials) <= 2 * 600 / 240 + 2


@pytest.mark.parametrize("size", [33, 50])
def test_a_large_cluster_links_in_part_and_sees_all(size: int) -> None:
    network = network_of(size)
    network.run(30.0)
    assert is_connected(graph_of(network))
    network.run(200.0)
    graph = graph_of(network)
    voters = set(network.members.voters)
    seeds = {network.keys[0]}
    for key, peers in graph.items():
        if key not in voters | seeds:
            assert len(peers) <= 2 * math.log2(size) + 7 + 1
            node = network.nodes[key]
            assert sum(one is Status.ALIVE for one in node.local.status.values()) == size - 1
            gossip = node.cores[1]
            assert isinstance(gossip, Gossip)
            assert len(gossip.records) == size
    for key in graph:
        assert is_connected(graph, frozenset({key}))
