"""Results on the node that a configuration names: they are there when all others are gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from testbed.building import Building, many_commands, outputs_of
from testbed.nodes import Cluster, Node

_CONFIGURATION = """
name: Kept
execution: {max_nodes: 1}
resources:
  storage:
    volumes:
      - {node_id: node3, purpose: cache, size_gb: 1}
"""


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "nodes", 3) as cluster:
        yield cluster


def configure(node: Node, directory: Path) -> None:
    write_files(directory, {"kept.yaml": _CONFIGURATION})
    done = node("config", "import", str(directory / "kept.yaml"))
    assert done.code == 0, done.err


def test_results_are_found_where_they_are_kept(trio: Cluster, tmp_path: Path) -> None:
    driver, worker, store = trio.members
    configure(driver, tmp_path)
    root = many_commands(tmp_path / "w", "kept", "cp in.txt out.txt", 6)
    report = driver.command.build(root, "--config", "kept")
    assert {each["node"] for each in report["packages"]} == {driver.identity}
    assert report["notices"] == []
    for node in (driver, worker):
        node.kill()
    there = many_commands(tmp_path / "there", "kept", "cp in.txt out.txt", 6)
    again = store.command.build(there)
    assert {each["tier"] for each in again["packages"]} == {"local-cache"}
    assert outputs_of(there) == outputs_of(root)


def test_what_cannot_be_kept_is_told_and_costs_no_build(trio: Cluster, tmp_path: Path) -> None:
    driver, _, store = trio.members
    configure(driver, tmp_path)
    root = many_commands(tmp_path / "w", "lost", "sleep 1; cp in.txt out.txt", 2)
    building = Building(driver, root, config_id="kept")
    building.until_started(1)
    store.kill()
    report = building.report()
    assert report["status"] == "succeeded"
    assert any(each.startswith("not kept on node3: p") for each in report["notices"]), report
