"""Three hosts build together (network namespaces), and some of them die, freeze, or are cut off.

Skipped, with the reason, where namespaces are not permitted. After each test nothing is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.building import Building, many_commands, outputs_of, where
from testbed.namespaces import Network, why_not
from testbed.nodes import Cluster
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
