"""Commands that need what their driver lacks run where it is: cores, memory, a tool."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import write_files
from testbed.building import Building, where
from testbed.nodes import Cluster, Node
from testbed.waiting import until

TOOL = """#!/bin/sh
if [ "$1" = --version ]; then echo "frob {version}"; else echo "frob {version} of $(cat "$1")"; fi
"""
TERMS: dict[str, dict[str, Any]] = {
    "node1": {"workers": {"max": 1}, "resource_limits": {"memory": {"max_gb": 0.25}}},
    "node2": {"workers": {"max": 2}},
    "node3": {"workers": {"max": 1}},
}
VERSIONS = {"node2": "1.4.0", "node3": "2.1.0"}


class Equipped(Node):
    """A node with terms of its own, some with a tool that others lack."""

    def launch(self, writing: int, options: str, environment: dict[str, str]) -> Any:
        self.home.directory.mkdir(parents=True, exist_ok=True)
        self.home.config.write_text(json.dumps(TERMS[self.name]))
        if self.name in VERSIONS:
            tool = self.home.directory.parent / f"tools-{self.name}/bin/frob"
            tool.parent.mkdir(parents=True, exist_ok=True)
            tool.write_text(TOOL.format(version=VERSIONS[self.name]))
            tool.chmod(0o755)
            environment = environment | {"PATH": f"{tool.parent}{os.pathsep}{environment['PATH']}"}
        return super().launch(writing, options, environment)


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("trio"), 3, make=Equipped) as cluster:
        yield cluster


def packages(root: Path, **settings: dict[str, Any]) -> Path:
    """A workspace of packages whose outputs tell what their commands saw."""
    described = [
        {"name": name, "path": name, "outputs": [f"{name}/out.txt"], **said}
        for name, said in settings.items()
    ]
    write_files(root, {f"{name}/in.txt": f"{root.name} {name}" for name in settings})
    (root / "buildnet.yaml").write_text(json.dumps({"workspace": "w", "packages": described}))
    return root


def build(node: Node, root: Path, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    report = node.command.build(root, *arguments, code=code)
    return {each["name"]: each for each in report["packages"]}


def test_what_needs_more_than_its_driver_has_runs_where_there_is_enough(
    trio: Cluster, tmp_path: Path
) -> None:
    driver, large, _ = trio.members
    root = packages(
        tmp_path / "large",
        cores={"build_cmd": "nproc > out.txt", "cores": 2},
        memory={"build_cmd": "echo done > out.txt", "memory": "400 MB"},
        disk={"build_cmd": "echo done > out.txt", "disk": "1 GB"},
    )
    found = build(driver, root)
    assert found["cores"]["node"] == large.identity
    assert (root / "cores/out.txt").read_text() == "2\n"
    assert found["memory"]["node"] != driver.identity


def test_limits_hold_elsewhere(trio: Cluster, tmp_path: Path) -> None:
    driver = trio.members[0]
    root = packages(
        tmp_path / "limits",
        memory={
            "build_cmd": "head -c 900m /dev/zero | tail > out.txt",
            "cores": 2,
            "memory": "300 MB",
        },
        disk={"build_cmd": "head -c 90m /dev/zero > out.txt", "cores": 2, "disk": "20 MB"},
        time={"build_cmd": "sleep 60", "cores": 2, "timeout": 1},
    )
    found = build(driver, root, "--keep-going", code=124)
    assert {each["node"] for each in found.values()} == {trio.members[1].identity}, found
    assert found["memory"]["error"]["code"] == "LIMIT_EXCEEDED", found["memory"]
    assert found["disk"]["status"] == "failed"
    assert found["time"]["error"]["code"] == "TIMED_OUT", found["time"]


def test_what_nobody_has_enough_for_says_so(trio: Cluster, tmp_path: Path) -> None:
    root = packages(tmp_path / "huge", huge={"build_cmd": "true", "cores": 3000})
    entry = build(trio.members[0], root, code=1)["huge"]
    assert entry["error"]["code"] == "REQUIREMENTS"
    assert "no other node" in entry["error"]["cause"]


@pytest.mark.parametrize(
    ("tool", "number"), [("frob >=2", 2), ("frob <2", 1), ("frob 1.4", 1), ("frob 2.x", 2)]
)
def test_a_tool_that_others_have_is_used_there(
    trio: Cluster, tmp_path: Path, tool: str, number: int
) -> None:
    driver, has = trio.members[0], trio.members[number]
    settings = {"build_cmd": "frob in.txt > out.txt", "tools": [tool]}
    root = packages(tmp_path / tool.replace(" ", ""), made=settings)
    entry = build(driver, root)["made"]
    assert (entry["node"], entry["tier"]) == (has.identity, "full")
    version = VERSIONS[has.name]
    assert (root / "made/out.txt").read_text() == f"frob {version} of {root.name} made\n"
    assert build(driver, root)["made"]["tier"] in {"instant-skip", "hash-skip"}
    (root / "made/out.txt").unlink()
    assert build(driver, root)["made"]["tier"] == "local-cache"


def test_a_tool_that_nobody_has_is_missing(trio: Cluster, tmp_path: Path) -> None:
    settings = {"build_cmd": "frob in.txt > out.txt", "tools": ["frob >=3"]}
    root = packages(tmp_path / "tool", made=settings)
    error = build(trio.members[0], root, code=1)["made"]["error"]
    assert error["code"] == "TOOL_MISSING"
    assert "no node" in error["cause"]
    entry = build(trio.members[1], root, code=1)["made"]
    assert entry["error"]["message"] == "the tool 'frob' on this host is 1.4.0, not >=3"


def many(root: Path, count: int, command: str) -> Path:
    return packages(root, **{f"p{number}": {"build_cmd": command} for number in range(count)})


def test_memory_of_a_node_is_what_commands_may_use_there(trio: Cluster, tmp_path: Path) -> None:
    driver, large, _ = trio.members
    there = {"node_id": "node2"}
    resources = {
        "cpu": {"node_allocations": [{**there, "cores": 2}]},
        "memory": {"node_allocations": [{**there, "gb": "256 MB"}]},
    }
    driver.post("/api/configs", {"id": "little-memory", "resources": resources})
    root = packages(
        tmp_path / "memory",
        much={"build_cmd": "head -c 900m /dev/zero | tail; frob in.txt", "tools": ["frob <2"]},
        little={"build_cmd": "frob in.txt > out.txt", "tools": ["frob <2"]},
    )
    arguments = ("--keep-going", "--config", "little-memory")
    found = build(driver, root, *arguments, code=1)
    assert {each["node"] for each in found.values()} == {large.identity}
    assert found["much"]["error"]["code"] == "LIMIT_EXCEEDED", found["much"]
    assert found["little"]["status"] == "succeeded"


def test_memory_of_a_node_without_cores_is_for_what_asks_for_it(
    trio: Cluster, tmp_path: Path
) -> None:
    driver, large, small = trio.members
    resources = {
        "cpu": {"node_allocations": [{"node_id": "node3", "cores": 1}]},
        "memory": {"node_allocations": [{"node_id": "node2", "gb": "600 MB"}]},
    }
    driver.post("/api/configs", {"id": "memory-there", "resources": resources})
    quick = {f"p{number}": {"build_cmd": "sleep 0.2; echo > out.txt"} for number in range(6)}
    heavy = {
        f"heavy{number}": {"build_cmd": "sleep 0.2; echo > out.txt", "memory": "400 MB"}
        for number in range(2)
    }
    for name, arguments in (("taken", ()), ("reserved", ("--wait", "30s"))):
        root = packages(tmp_path / name, **quick, **heavy)
        found = build(driver, root, "--config", "memory-there", *arguments)
        nodes = {package: each["node"] for package, each in found.items()}
        assert {nodes[package] for package in heavy} <= {large.identity, small.identity}
        assert large.identity in {nodes[package] for package in heavy}
        assert large.identity not in {nodes[package] for package in quick}
    until(lambda: all(not leases(node) for node in (large, small)))


def configured(node: Node, name: str, **cores: int) -> None:
    allocations = [{"node_id": each, "cores": count} for each, count in cores.items()]
    node.post("/api/configs", {"id": name, "resources": {"cpu": {"node_allocations": allocations}}})
    until(lambda: any(each["id"] == name for each in node.get("/api/configs")["configs"]))


def test_a_build_that_waits_has_all_that_it_reserves_or_nothing(
    trio: Cluster, tmp_path: Path
) -> None:
    driver, large, small = trio.members
    configured(driver, "all-or-none", node2=2, node3=1)
    busy = Building(large, many(tmp_path / "busy", 2, "sleep 3; echo > out.txt"), local_only=True)
    busy.until_started(2)
    root = many(tmp_path / "reserving", 8, "sleep 0.2; echo > out.txt")
    building = Building(driver, root, config_id="all-or-none", wait_s=60)
    building.until("waiting", 1)
    until(lambda: "reserves" in queued(driver)["words"])
    assert queued(driver)["leases"] == 0  # not even the core of node3, which is free
    assert busy.report()["status"] == "succeeded"
    report = building.report()
    assert report["status"] == "succeeded"
    assert where(report).keys() == {node.identity for node in trio.members}
    until(lambda: all(not leases(node) for node in (large, small)))


def test_a_build_that_waited_in_vain_says_what_is_lacking_and_who_could(
    trio: Cluster, tmp_path: Path
) -> None:
    driver = trio.members[0]
    configured(driver, "too-much", node3=2)
    root = many(tmp_path / "vain", 1, "echo > out.txt")
    words = ("build", "--json", "-C", str(root), "--config", "too-much")
    answer = driver(*words, "--wait", "1s")
    assert answer.code == 5
    report = json.loads(answer.out)
    assert report["error"]["code"] == "NO_CAPACITY"
    assert (
        "2 cores on node3: it runs 1 commands at once (node2 could)" in report["error"]["message"]
    )
    refused = driver("build", "--json", "-C", str(root), "--wait", "1s")
    assert refused.code == 2
    assert "--config" in json.loads(refused.out)["error"]["hint"]


def queued(node: Node) -> dict[str, Any]:
    """Return what the queue tells of a node's own build."""
    (mine,) = [each for each in node.get("/api/queue")["builds"] if each["this_node"]]
    return dict(mine)


def leases(node: Node) -> int:
    me = next(each for each in node.get("/api/pool/nodes")["nodes"] if each["this_node"])
    return int(me["cores_in_use"])


def test_a_build_that_takes_too_long_is_ended(trio: Cluster, tmp_path: Path) -> None:
    driver = trio.members[0]
    driver.post("/api/configs", {"id": "short", "execution": {"timeout": "1s"}})
    root = many(tmp_path / "long", 2, "sleep 60")
    answer = driver("build", "--json", "-C", str(root), "--config", "short")
    report = json.loads(answer.out)
    assert report["error"]["code"] == "TIMED_OUT"
    assert answer.code == 124
    assert report["duration_ms"] < 30_000
