"""Real nodes on hosts of their own (network namespaces): crashes, partitions, NAT, bad networks.

Skipped, with the reason, where namespaces are not permitted. Each node listens on port 80.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.fault_proxy import Faults
from testbed.namespaces import Network, why_not
from testbed.nodes import Cluster, Node, alive, alive_and_voting, health
from testbed.offices import Office, agreement, of_quorum, successor_of
from testbed.waiting import until


@pytest.fixture
def network() -> Iterator[Network]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with Network(3) as network:
        yield network


@pytest.fixture
def trio(network: Network, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, 3, hosts=network.hosts) as cluster:
        yield cluster


def pool_status(node: Node) -> dict[str, Any]:
    answer = node("pool", "status", "--json")
    assert answer.code == 0, answer.err
    told: dict[str, Any] = answer.data
    return told


def online(pool: dict[str, Any]) -> set[str]:
    return {node["name"] for node in pool["nodes"] if node["status"] == "online"}


def test_three_hosts_join_lose_their_coordinator_and_get_it_back(
    network: Network, tmp_path: Path
) -> None:
    """What the mesh is for, by the commands that people type."""
    nodes = [
        Node(tmp_path / host.name, host.name, host=host, listen=None) for host in network.hosts
    ]
    try:
        for node in nodes:
            node.start()
            assert node.address == f"http://{node.host.address if node.host else ''}:80"
        first, *others = nodes
        for node in others:
            invited = first("node", "invite", "--json")
            assert invited.code == 0, invited.err
            command = invited.data["command"].split()
            assert command[:3] == ["buildnet", "node", "join"]
            joined = node(*command[1:])
            assert joined.code == 0, joined.err
        names = {node.name for node in nodes}
        until(lambda: all(online(pool_status(node)) == names for node in nodes))
        # As long as the first alone votes, nobody can go on without it.
        until(lambda: all(alive_and_voting(node) == (3, 3, 3) for node in nodes))
        office, _ = agreement(nodes, of_quorum)
        pools = [pool_status(node) for node in nodes]
        for pool in pools:
            assert pool["coordinator"] == pools[0]["coordinator"]
            assert pool["cluster"] == pools[0]["cluster"]
        assert pools[0]["coordinator"]["term"] == office.term
        assert pools[0]["coordinator"]["quorum"] is True

        killed = next(node for node in nodes if node.identity == office.coordinator)
        left = [node for node in nodes if node is not killed]
        killed.kill()
        after, _ = agreement(left, successor_of(office))
        assert after.coordinator in {node.identity for node in left}
        until(lambda: all(online(pool_status(node)) == names - {killed.name} for node in left))
        for node in left:
            shown = node("pool", "status")
            assert shown.code == 0, shown.err
            assert "2 of 3" in shown.out + shown.err  # a partial view says so

        killed.start()  # and nothing else
        until(lambda: all(online(pool_status(node)) == names for node in nodes))
        agreed, _ = agreement(nodes, of_quorum)
        assert agreed.term >= after.term
    finally:
        for node in nodes:
            node.kill()


def test_a_minority_says_that_it_is_one_and_a_healed_partition_agrees(
    network: Network, trio: Cluster
) -> None:
    before = trio.settle()
    old = trio.coordinator(before)
    rest = [node for node in trio.members if node is not old]
    assert old.host is not None
    network.partition([old.host], [node.host for node in rest if node.host])
    after, _ = agreement(rest, successor_of(before))
    agreement([old], lambda office: not office.quorum)
    until(lambda: alive(old) == 1)
    state = health(old)["quorum"]["state"]
    assert state.startswith("provisional, 1 of 3 voters reachable since ")
    until(lambda: all(alive(node) == 2 for node in rest))
    network.heal()
    healed = trio.settle()
    assert healed.term >= after.term


def test_one_way_partitions_end_in_one_coordinator(network: Network, trio: Cluster) -> None:
    """The coordinator is heard by nobody but hears all; then it hears nobody but is heard."""
    for deaf in (False, True):
        before = trio.settle()
        old = trio.coordinator(before)
        rest = [node for node in trio.members if node is not old]
        for node in rest:
            assert old.host is not None
            assert node.host is not None
            if deaf:
                network.block(node.host, old.host)
            else:
                network.block(old.host, node.host)
        after, _ = agreement(rest, successor_of(before))
        assert after.coordinator != old.identity
        agreement([old], lambda office: not office.quorum)
        network.heal()
        assert trio.settle().term >= after.term


def test_two_that_do_not_reach_each_other_talk_through_the_third(
    network: Network, trio: Cluster
) -> None:
    """A follower loses the way to the coordinator, but all others hear that: nobody is elected,
    and a relay takes the place of the link that leads nowhere."""
    before = trio.settle()
    coordinator = trio.coordinator(before)
    cut, other = (node for node in trio.members if node is not coordinator)
    assert coordinator.host is not None
    assert cut.host is not None
    network.partition([coordinator.host], [cut.host])

    def is_relayed() -> bool:
        for node in (coordinator, other):
            office = node.office()  # on a busy host it may lack its quorum for a moment
            assert office is None or (office.coordinator, office.term) == (
                before.coordinator,
                before.term,
            )
        return relayed(coordinator, cut) and relayed(cut, coordinator)

    until(is_relayed)
    network.heal()
    assert trio.settle() == before


def relayed(node: Node, other: Node) -> bool:
    links = {each["id"]: each["link"] for each in health(node)["nodes"]}
    link = links[other.identity]
    return link is not None and link["kind"] == "relayed"


def reaches(node: Node, other: Node) -> bool:
    return any(
        each["id"] == other.identity and each["link"] is not None for each in health(node)["nodes"]
    )


def test_a_frozen_coordinator_steps_down_when_it_thaws(trio: Cluster) -> None:
    before = trio.settle()
    old = trio.coordinator(before)
    rest = [node for node in trio.members if node is not old]
    old.freeze()
    after, _ = agreement(rest, successor_of(before))
    old.thaw()
    while (office := old.office()) is None or office.term < after.term:
        assert office is None or not (office.quorum and office.coordinator == old.identity)
    assert trio.settle().term >= after.term


def test_two_hosts_behind_nat_talk_through_a_third(network: Network, tmp_path: Path) -> None:
    for host in network.hosts[1:]:
        network.close_to_strangers(host)
    with Cluster(tmp_path, 3, hosts=network.hosts) as cluster:
        founder, one, two = cluster.members

        until(lambda: relayed(one, two) and relayed(two, one))
        assert reaches(founder, one)
        assert reaches(founder, two)
        network.heal()  # their own ways work again


def test_a_node_that_only_dials_survives_the_loss_of_whom_it_joined_by(
    network: Network, trio: Cluster
) -> None:
    """What it learned of the others is enough to find them again, after a restart too."""
    founder, one, two = trio.members
    trio.settle()
    founder.kill()
    one.kill()
    one.start()
    agreement([one, two], of_quorum)
    assert alive(one) == 2


@pytest.mark.thorough
def test_a_node_follows_its_host_into_another_network(network: Network, tmp_path: Path) -> None:
    """It starts before its host has an address, gets one, and later another one."""
    first = network.hosts[0]
    network.disconnect(first)
    node, *others = nodes = [
        Node(tmp_path / host.name, host.name, host=host, listen="0.0.0.0:80", bare=True)
        for host in network.hosts
    ]
    try:
        for each in nodes:
            each.start()
        assert node.address == "http://127.0.0.1:80"
        moved = f"http://{network.connect(first).address}:80"
        until(lambda: node.get("/api/node")["address"] == moved)
        runtime = node.home.read_runtime()
        assert runtime is not None
        assert runtime.address == moved
        told = node.post("/api/node/invite", {"uses": 2})
        assert moved.removeprefix("http://") in told["command"]
        for each in others:
            each.post("/api/pool/join", {"token": told["token"]})
        until(lambda: all(alive(each) == 3 for each in nodes))
        network.disconnect(first)
        until(lambda: all(alive(each) == 2 for each in others))
        back = f"http://{network.connect(first, 2).address}:80"
        until(lambda: all(alive(each) == 3 for each in nodes))
        until(lambda: all(address_of(node, each) == back for each in nodes))
    finally:
        for each in nodes:
            each.kill()


def address_of(node: Node, seen_by: Node) -> str:
    pool = pool_status(seen_by)
    return next(str(each["address"]) for each in pool["nodes"] if each["id"] == node.identity)


def test_a_whole_cluster_that_restarts_finds_itself(trio: Cluster) -> None:
    before = trio.settle()
    for node in trio.members:
        node.kill()
    for node in trio.members:
        node.start()
    after = trio.settle()
    assert after.term > before.term


@pytest.mark.thorough
def test_delay_and_loss_call_no_election_and_a_crash_is_noticed(tmp_path: Path) -> None:
    """50 ms there and back, 5 % of segments lost."""
    faults = Faults(delay_s=0.025, jitter_s=0.005, loss=0.05)
    with Cluster(tmp_path, 3, faults=faults) as cluster:
        before = cluster.settle()
        ends = time.monotonic() + 15
        while time.monotonic() < ends:
            assert all(node.office() == before for node in cluster.members)
            time.sleep(0.1)
        old = cluster.coordinator(before)
        round_trips = [each["latency_ms"] for each in health(old)["nodes"] if not each["this_node"]]
        assert all(value is not None and value >= 49 for value in round_trips)
        old.kill()
        agreement([node for node in cluster.members if node is not old], successor_of(before))


def test_reset_links_come_back_without_an_election(tmp_path: Path) -> None:
    """A middlebox that resets everything now and then costs links, never the office."""
    with Cluster(tmp_path, 2, faults=Faults()) as cluster:
        founder, other = cluster.members
        before = cluster.settle()
        for _ in range(5):
            until(lambda: reaches(founder, other) and reaches(other, founder))
            for proxy in cluster.proxies:
                cluster.background.run(proxy.reset())
        assert coordinator_and_term(cluster.settle()) == coordinator_and_term(before)


def coordinator_and_term(office: Office) -> tuple[str | None, int]:
    return office.coordinator, office.term


def test_nodes_on_one_network_find_each_other(network: Network, tmp_path: Path) -> None:
    """By multicast DNS, without an address from anybody."""
    first, second = (
        Node(tmp_path / host.name / "home", host.name, listen="0.0.0.0:80", host=host, bare=True)
        for host in network.hosts[:2]
    )
    for host in network.hosts[:2]:
        (tmp_path / host.name).mkdir()
    try:
        first.start()
        second.start()
        for node, other in ((first, second), (second, first)):
            wanted = f"buildnet node join {other.address}\n"
            until(lambda node=node: "buildnet node join" in node("node", "join").out)  # type: ignore[misc]
            assert node("node", "join").out == wanted
    finally:
        for node in (first, second):
            node.kill()
