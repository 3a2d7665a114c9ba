"""Commands of one node's build run on all nodes of the pool."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.building import Building, many_commands, where
from testbed.nodes import Cluster, Node
from testbed.traces import require_arrows, require_nested, require_valid

PACKAGES = 12
PATIENCE_S = 20.0


def workspace(directory: Path, text: str, command: str = "sleep 0.5; cp in.txt out.txt") -> Path:
    return many_commands(directory, text, command, PACKAGES)


def build(node: Node, root: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    return node.command.build(root, *arguments, code=code)


def test_commands_run_on_all_nodes(trio: Cluster, tmp_path: Path) -> None:
    root = workspace(tmp_path / "w", "a")
    rehearsed = build(trio.members[0], root, "--dry-run")["packages"]
    places = {each["place"]["node"]: each["place"]["node_name"] for each in rehearsed}
    report = build(trio.members[0], root)
    assert {each["tier"] for each in report["packages"]} == {"full"}
    assert where(report).keys() == {node.identity for node in trio.members}, report
    names = {each["node"]: each["node_name"] for each in report["packages"]}
    mine, *others = trio.members
    assert names == {mine.identity: None} | {node.identity: node.name for node in others}
    assert places == names
    for number in range(PACKAGES):
        assert (root / f"p{number}/out.txt").read_text() == f"a {number}\n"
    for each in report["packages"]:
        took = {part["name"]: part["took_ms"] for part in each["timeline"]["parts"]}
        assert took["execution"] >= 500
        assert ("transfer" in took) == (each["node"] != mine.identity)
        ends = [part["at_ms"] + part["took_ms"] for part in each["timeline"]["parts"]]
        assert max(ends) < report["duration_ms"]
    file = tmp_path / "trace.json"
    trio.members[0].command("history", report["build_id"], "--trace", str(file))
    trace = json.loads(file.read_text())
    for require in (require_valid, require_nested, require_arrows):
        require(trace)
    named = [each for each in trace["traceEvents"] if each["name"] == "process_name"]
    names_there = {f"{node.name} ({node.identity})" for node in others}
    assert {each["args"]["name"] for each in named} == {
        "build",
        f"this node ({mine.identity})",
        *names_there,
    }


def test_a_failure_elsewhere_is_told_as_one_here(trio: Cluster, tmp_path: Path) -> None:
    root = workspace(tmp_path / "w", "b", "sleep 0.3; echo spoken; exit 3")
    report = build(trio.members[0], root, "--keep-going", code=1)
    assert len(where(report)) == 3
    for each in report["packages"]:
        assert (each["status"], each["exit_code"]) == ("failed", 3)
        assert each["output"] == "spoken\n"
        assert each["error"]["code"] == "COMMAND_FAILED"


def test_a_failure_elsewhere_hints_at_what_the_workspace_has(trio: Cluster, tmp_path: Path) -> None:
    root = workspace(tmp_path / "w", "e", "sleep 0.3; cat hidden.txt")
    (root / ".gitignore").write_text("hidden.txt\n")
    for number in range(PACKAGES):
        (root / f"p{number}/hidden.txt").write_text("")
    report = build(trio.members[0], root, "--keep-going", code=1)
    assert len(where(report)) == 3
    for each in report["packages"]:
        (hint,) = each["hints"]
        assert hint.startswith(f"{each['name']}/hidden.txt exists in the workspace"), each


def test_force_runs_elsewhere_too_what_has_a_result_there(trio: Cluster, tmp_path: Path) -> None:
    root = workspace(tmp_path / "w", "f", "sleep 0.3; date +%N > out.txt; cat in.txt >> out.txt")
    seen: set[str] = set()
    for time_ in range(1, 4):
        assert len(where(build(trio.members[0], root, "--force"))) == 3
        seen |= {(root / f"p{number}/out.txt").read_text() for number in range(PACKAGES)}
        assert len(seen) == PACKAGES * time_


def test_no_stage_of_what_ran_for_others_is_left(trio: Cluster, tmp_path: Path) -> None:
    assert len(where(build(trio.members[0], workspace(tmp_path / "w", "g")))) == 3
    trash = [node.home.directory / "work/.trash" for node in trio.members[1:]]
    deadline = time.monotonic() + PATIENCE_S
    while any(any(each.iterdir()) for each in trash):
        assert time.monotonic() < deadline, [list(each.iterdir()) for each in trash]
        time.sleep(0.05)


def test_a_node_that_is_killed_in_the_middle_costs_no_build(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Cluster(tmp_path_factory.mktemp("killed"), 3) as cluster:
        office = cluster.settle()
        others = [node for node in cluster.members if node.identity != office.coordinator]
        root = workspace(tmp_path / "w", "c", "sleep 1; cp in.txt out.txt")
        building = Building(others[0], root)
        building.until_started(5)
        others[1].kill()
        report = building.report()
        assert report["status"] == "succeeded"
        assert others[1].identity not in where(report)
        assert (root / "p0/out.txt").read_text() == "c 0\n"
        # The coordinator alike.
        coordinator = cluster.coordinator(office)
        root = workspace(tmp_path / "x", "d", "sleep 1; cp in.txt out.txt")
        building = Building(others[0], root)
        building.until_started(3)
        coordinator.kill()
        report = building.report()
        assert report["status"] == "succeeded"
