"""Three hosts build together (network namespaces), and some of them die, freeze, or are cut off.

Skipped, with the reason, where namespaces are not permitted. After each test nothing is left.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.building import PATIENCE_S, Building, commands_of, many_commands, outputs_of, where
from testbed.namespaces import Network, why_not
from testbed.nodes import Cluster, Node
from testbed.remains import nothing_left

_MAKE = "sha256sum in.txt > out.txt"


@pytest.fixture
def network() -> Iterator[Network]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with Network(3) as network:
        yield network


@pytest.fixture
def trio(network: Network, tmp_path: Path) -> Iterator[Cluster]:
    with (
        Cluster(tmp_path / "nodes", 3, hosts=network.hosts) as cluster,
        nothing_left(cluster.members),
    ):
        yield cluster


def test_a_build_on_three_hosts_outlives_a_worker_and_the_coordinator(
    trio: Cluster, tmp_path: Path
) -> None:
    office = trio.settle()
    coordinator = trio.coordinator(office)
    driver, worker = (node for node in trio.members if node is not coordinator)
    plain = many_commands(tmp_path / "plain", "a", _MAKE, 24)
    driver.command.build(plain, "--local-only")
    root = many_commands(tmp_path / "w", "a", f"sleep 1; {_MAKE}", 24)
    building = Building(driver, root)
    building.until("task_finished", 6)
    assert {each["node"] for each in building.events if each["type"] == "task_finished"} == {
        node.identity for node in trio.members
    }
    worker.kill()
    building.until("task_finished", 10)
    coordinator.kill()
    report = building.report()
    assert report["status"] == "succeeded"
    assert set(where(report)) == {node.identity for node in trio.members}
    assert outputs_of(root) == outputs_of(plain)
    assert {each["tier"] for each in report["packages"]} == {"full"}

    # A full hit for who asks on another node, where only the driver has everything.
    worker.start()
    coordinator.start()
    trio.settle()
    there = many_commands(tmp_path / "there", "a", f"sleep 1; {_MAKE}", 24)
    again = worker.command.build(there)
    assert {each["tier"] for each in again["packages"]} <= {"pool-cache", "local-cache"}
    assert outputs_of(there) == outputs_of(plain)


def test_a_worker_that_is_cut_off_costs_no_build(
    network: Network, trio: Cluster, tmp_path: Path
) -> None:
    driver, worker = _others(trio)
    root = many_commands(tmp_path / "w", "b", f"sleep 1; {_MAKE}", 16)
    building = Building(driver, root)
    building.until_started(6)
    alone = [host for host in network.hosts if host == worker.host]
    network.partition(alone, [host for host in network.hosts if host not in alone])
    report = building.report()
    assert report["status"] == "succeeded"
    _made(root, "b", 16)
    assert {each["node"] for each in _attempts(report)} == {worker.identity}
    network.heal()
    trio.settle()


def test_a_link_that_is_cut_in_the_middle_of_a_transfer(
    network: Network, trio: Cluster, tmp_path: Path
) -> None:
    driver, worker = _others(trio)
    root = many_commands(tmp_path / "w", "c", "sleep 1; cat in.txt large > out.txt", 5)
    large = os.urandom(1 << 20) * 24
    for number in range(5):
        (root / f"p{number}/large").write_bytes(b"%d" % number + large)
    building = Building(driver, root)
    unfinished = worker.home.store / "tmp"
    deadline = time.monotonic() + PATIENCE_S
    while not any(each.stat().st_size for each in unfinished.glob("*/*")):
        assert time.monotonic() < deadline
    alone = [host for host in network.hosts if host == worker.host]
    network.partition(alone, [host for host in network.hosts if host not in alone])
    report = building.report()
    assert report["status"] == "succeeded"
    for number in range(5):
        made = (root / f"p{number}/out.txt").read_bytes()
        assert made == f"c {number}\n".encode() + b"%d" % number + large
    network.heal()
    trio.settle()


def test_a_worker_that_is_frozen_is_given_up_after_seconds(trio: Cluster, tmp_path: Path) -> None:
    driver, worker = _others(trio)
    root = many_commands(tmp_path / "w", "d", f"sleep 1; {_MAKE}", 12)
    building = Building(driver, root)
    deadline = time.monotonic() + PATIENCE_S
    while not commands_of(worker, "sleep"):  # what has not begun there would be taken home
        assert time.monotonic() < deadline
    worker.freeze()
    report = building.report()
    worker.thaw()
    assert report["status"] == "succeeded"
    _made(root, "d", 12)
    assert {each["node"] for each in _attempts(report)} == {worker.identity}
    trio.settle()


@pytest.mark.thorough
def test_a_coordinator_that_is_frozen_costs_no_build(trio: Cluster, tmp_path: Path) -> None:
    driver, _ = _others(trio)
    coordinator = trio.coordinator(trio.settle())
    root = many_commands(tmp_path / "w", "e", f"sleep 1; {_MAKE}", 16)
    building = Building(driver, root)
    building.until_started(6)
    coordinator.freeze()
    report = building.report()
    coordinator.thaw()
    assert report["status"] == "succeeded"
    _made(root, "e", 16)
    trio.settle()


def test_when_all_others_are_lost_the_build_goes_on_here(trio: Cluster, tmp_path: Path) -> None:
    coordinator = trio.coordinator(trio.settle())
    driver, worker = _others(trio)
    root = many_commands(tmp_path / "w", "f", f"sleep 1; {_MAKE}", 12)
    building = Building(driver, root)
    building.until_started(6)
    worker.kill()
    coordinator.kill()
    report = building.report()
    assert report["status"] == "succeeded"
    _made(root, "f", 12)
    assert report["notices"][-1] == "all other nodes are lost: the build goes on here"


@pytest.mark.thorough
def test_a_build_that_loses_half_of_its_nodes_becomes_careful(tmp_path: Path) -> None:
    with Cluster(tmp_path / "nodes", 4) as cluster, nothing_left(cluster.members):
        coordinator = cluster.coordinator(cluster.settle())
        driver, *lost = (node for node in cluster.members if node is not coordinator)
        root = many_commands(tmp_path / "w", "g", f"sleep 1; {_MAKE}", 24)
        building = Building(driver, root)
        building.until_started(8)
        for node in lost:
            node.kill()
        report = building.report()
        assert report["status"] == "succeeded"
        _made(root, "g", 24)
        assert any("half of the nodes" in each for each in report["notices"]), report["notices"]


def _others(cluster: Cluster) -> tuple[Node, Node]:
    """Return who drives a build and another worker: those that do not coordinate."""
    coordinator = cluster.coordinator(cluster.settle())
    driver, worker = (node for node in cluster.members if node is not coordinator)
    return driver, worker


def _made(root: Path, text: str, count: int) -> None:
    expected = {}
    for number in range(count):
        content = hashlib.sha256(f"{text} {number}\n".encode()).hexdigest()
        expected[f"p{number}"] = f"{content}  in.txt\n".encode()
    assert outputs_of(root) == expected


def _attempts(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [attempt for each in report["packages"] for attempt in each["attempts"]]
