"""The same asked for twice at the same time: on two nodes, each command runs once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import write_files
from testbed.nodes import Cluster, Node

PACKAGES = 8
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("trio"), 3) as cluster:
        yield cluster


def workspace(directory: Path, text: str, command: str = "sleep 1; cp in.txt out.txt") -> Path:
    entries = [
        f"  - name: p{number}\n    path: p{number}\n    build_cmd: {command}\n"
        f"    outputs: [p{number}/out.txt]\n"
        for number in range(PACKAGES)
    ]
    files = {f"p{number}/in.txt": f"{text} {number}\n" for number in range(PACKAGES)}
    files["buildnet.yaml"] = "workspace: same\npackages:\n" + "".join(entries)
    write_files(directory, files)
    return directory


def begin(node: Node, root: Path, **more: Any) -> str:
    body = {"root": str(root), "environment": {}, "actor": "test", **more}
    build: str = node.post("/api/build", body)["build_id"]
    return build


def end_of(node: Node, build: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while (report := node.get(f"/api/build/{build}"))["status"] == "running":
        assert time.monotonic() < deadline, report
        time.sleep(0.05)
    found: dict[str, Any] = report
    return found


def until_running(node: Node, build: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        builds = {each["build_id"]: each for each in node.get("/api/queue")["builds"]}
        if builds.get(build, {}).get("running"):
            return
        assert time.monotonic() < deadline, builds
        time.sleep(0.02)


def tiers(*reports: dict[str, Any]) -> list[str]:
    return sorted(each["tier"] for report in reports for each in report["packages"])


def test_of_two_nodes_that_build_the_same_each_runs_what_the_other_does_not(
    trio: Cluster, tmp_path: Path
) -> None:
    one, two, _ = trio.members
    roots = [workspace(tmp_path / name, "a") for name in ("here", "there")]
    builds = [begin(one, roots[0]), begin(two, roots[1])]
    reports = [end_of(one, builds[0]), end_of(two, builds[1])]
    assert [each["status"] for each in reports] == ["succeeded"] * 2
    assert tiers(*reports).count("full") == PACKAGES, reports
    for root in roots:
        assert (root / "p3/out.txt").read_text() == "a 3\n"


def test_what_another_node_gives_up_is_run(trio: Cluster, tmp_path: Path) -> None:
    one, two, _ = trio.members
    first = begin(one, workspace(tmp_path / "here", "b", "sleep 5; cp in.txt out.txt"))
    until_running(one, first)
    second = begin(two, workspace(tmp_path / "there", "b", "sleep 5; cp in.txt out.txt"))
    time.sleep(0.5)
    one.post(f"/api/build/{first}/cancel")
    assert end_of(one, first)["status"] == "cancelled"
    assert end_of(two, second)["status"] == "succeeded"
