"""The queue of three nodes: seen and changed from any of them, and kept when one is lost."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from buildnet.cli.testing import write_files
from buildnet.cli.user import user_name
from testbed.nodes import Cluster, Node
from testbed.waiting import until

Found = TypeVar("Found")
COMMAND = "sleep 0.5; cp in.txt out.txt"


def workspace(
    directory: Path, packages: int, command: str = "sleep 0.5; cp in.txt out.txt"
) -> Path:
    """Write a workspace whose packages all take a while; its name is that of the directory."""
    entries = [
        f"  - name: p{number}\n    path: p{number}\n    build_cmd: {COMMAND}\n"
        f"    outputs: [p{number}/out.txt]\n"
        for number in range(packages)
    ]
    files = {f"p{number}/in.txt": f"{directory} {number}\n" for number in range(packages)}
    files["buildnet.yaml"] = f"workspace: {directory.name}\npackages:\n" + "".join(entries)
    write_files(directory, files)
    return directory


def begin(node: Node, root: Path, **more: Any) -> str:
    """Ask for a build without waiting for it; return its id."""
    body = {"root": str(root), "environment": {}, "actor": "test", **more}
    build: str = node.post("/api/build", body)["build_id"]
    return build


def queue(node: Node) -> dict[str, dict[str, Any]]:
    """Return the builds that a node shows, by id and in their order."""
    return {each["build_id"]: each for each in node.get("/api/queue")["builds"]}


def until_over(node: Node, build: str) -> dict[str, Any]:
    def over() -> dict[str, Any] | None:
        report: dict[str, Any] = node.get(f"/api/build/{build}")
        return None if report["status"] == "running" else report

    return until(over, f"{build} is never over")


def change(node: Node, *arguments: str, code: int = 0) -> None:
    answer = node("queue", *arguments)
    assert answer.code == code, answer


def entries(node: Node, kind: str) -> list[dict[str, Any]]:
    """Return what the ledger has of a kind, newest first."""
    found: list[dict[str, Any]] = until(
        lambda: node.get(f"/api/ledger?type={kind}")["entries"], f"no {kind}"
    )
    return found


def test_every_node_sees_all_builds_also_those_on_one_node_alone(
    trio: Cluster, tmp_path: Path
) -> None:
    one, two, three = trio.members
    build = begin(one, workspace(tmp_path / "alone", 4), local_only=True, priority="high")
    seen = until(lambda: queue(three).get(build), "it is not seen")
    assert (seen["workspace"], seen["actor"], seen["node"]) == ("alone", "test", one.name)
    assert (seen["priority"], seen["place"], seen["this_node"]) == ("high", 1, False)
    words = until(
        lambda: (now := queue(two).get(build)) and now["state"] == "running" and now["words"],
        "it does not run",
    )
    assert words == "running on one host"
    assert until_over(one, build)["status"] == "succeeded"
    until(lambda: build not in queue(two), "it stays in the queue")


def test_a_build_is_paused_and_resumed_from_another_node(trio: Cluster, tmp_path: Path) -> None:
    one, two, _ = trio.members
    build = begin(one, workspace(tmp_path / "w", 30))
    until(lambda: queue(two).get(build, {}).get("running"), "it does not run")
    change(two, "pause", build[:8], code=4)  # which is no admin
    change(one, "pause", build, "--reason", "lunch")
    until(lambda: queue(two)[build]["words"] == "paused", "its commands do not end")
    until(lambda: queue(two)[build]["reason"] == "lunch", "nobody says why")
    done = len(one.get(f"/api/build/{build}")["packages"])
    time.sleep(1.5)  # it would go on meanwhile
    assert len(one.get(f"/api/build/{build}")["packages"]) == done < 30
    assert queue(two)[build]["leases"] == 0
    change(one, "resume", build)
    assert until_over(one, build)["status"] == "succeeded"
    for kind in ("queue.build_paused", "queue.build_resumed"):
        assert entries(one, kind)[0]["entity"] == f"build:{build}"


def test_a_build_of_another_node_that_goes_on_is_not_resumed_again(
    trio: Cluster, tmp_path: Path
) -> None:
    one, two, _ = trio.members
    build = begin(two, workspace(tmp_path / "w", 30))
    until(lambda: queue(one).get(build), "it is not seen")
    change(one, "pause", build)
    change(one, "resume", build)
    again = one("queue", "resume", build[:8], "--json").data
    assert (again["build_id"], again["changed"]) == (build, False)
    change(two, "cancel", build)
    until_over(two, build)
    told = [each for each in entries(one, "queue.build_resumed") if each["entity"].endswith(build)]
    assert len(told) == 1


def test_an_admin_changes_the_builds_of_other_nodes_and_the_whole_queue(
    trio: Cluster, tmp_path: Path
) -> None:
    one, two, three = trio.members
    change(two, "pause", code=4)
    change(one, "pause", "--reason", "a test")
    build = begin(two, workspace(tmp_path / "w", 3))
    seen = until(lambda: queue(three).get(build), "it is not seen")
    assert seen["words"] == "paused"
    told = until(
        lambda: (data := two("queue", "list", "--json").data)["reason"] and data, "nobody says why"
    )
    assert told["paused_by"]
    assert told["reason"] == "a test"
    change(one, "priority", build, "low")
    until(lambda: queue(two)[build]["priority"] == "low", "its priority stays")
    assert two.get(f"/api/build/{build}")["packages"] == []
    change(one, "resume")
    assert until_over(two, build)["status"] == "succeeded"
    recorded = entries(one, "queue.paused")
    assert recorded[0]["data"]["reason"] == "a test"
    again = one("queue", "resume", "--json").data
    assert (again["success"], again["changed"]) == (True, False)
    assert len(entries(one, "queue.resumed")) == 1
    (given,) = entries(one, "queue.build_prioritized")
    assert (given["entity"], given["data"]) == (f"build:{build}", {"priority": "low"})


def test_what_is_urgent_overtakes(trio: Cluster, tmp_path: Path) -> None:
    one, two, _ = trio.members
    slow = begin(one, workspace(tmp_path / "slow", 60), priority="low")
    until(lambda: queue(one).get(slow, {}).get("leases"), "it gets nothing of others")
    fast = begin(two, workspace(tmp_path / "fast", 12), priority="critical")
    assert until_over(two, fast)["status"] == "succeeded"
    assert one.get(f"/api/build/{slow}")["status"] == "running"
    change(one, "cancel", slow)
    assert until_over(one, slow)["status"] == "cancelled"


def test_a_build_is_cancelled_from_elsewhere(trio: Cluster, tmp_path: Path) -> None:
    one, two, _ = trio.members
    build = begin(two, workspace(tmp_path / "w", 40))
    until(lambda: queue(one).get(build), "it is not seen")
    change(one, "cancel", build)
    assert until_over(two, build)["status"] == "cancelled"
    change(one, "cancel", build, code=6)  # it is over
    near = begin(two, workspace(tmp_path / "near", 40))
    until(lambda: queue(two).get(near), "it is not seen")
    change(two, "cancel", near)
    for each in (build, near):  # by whom, whoever asked for it, and whichever way it was said
        told = until(partial(ended_by, two, each), "it is not recorded")
        assert told == (user_name(), "test had asked for it")


def ended_by(node: Node, build: str) -> tuple[str, str] | None:
    """Return who cancelled a build, and why, as the ledger tells it."""
    for each in node.get("/api/ledger?type=build.cancelled")["entries"]:
        if each["entity"] == f"build:{build}":
            return each["actor"]["name"], each["data"]["reason"]
    return None


def test_builds_are_moved(trio: Cluster, tmp_path: Path) -> None:
    one, two, _ = trio.members
    builds = [begin(one, workspace(tmp_path / f"w{n}", 40)) for n in range(2)]
    builds.append(begin(two, workspace(tmp_path / "w2", 40)))
    until(lambda: set(builds) <= set(queue(one)), "they are not seen")
    change(one, "move", builds[2], "1")
    until(lambda: next(iter(queue(two))) == builds[2], "it is not moved")
    change(one, "move", builds[1], "2")
    until(lambda: list(queue(two)) == [builds[2], builds[1], builds[0]], "it is not moved")
    until(lambda: len(entries(one, "queue.reordered")) == 2, "it is not recorded")
    entry = entries(one, "queue.reordered")[0]
    assert (entry["entity"], entry["data"]["before"]) == (f"build:{builds[1]}", builds[0])
    for build in builds:
        change(one, "cancel", build)
    assert until_over(two, builds[2])["status"] == "cancelled"
    assert until_over(one, builds[1])["status"] == "cancelled"


def test_what_is_paused_stays_so_when_the_coordinator_is_killed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Cluster(tmp_path_factory.mktemp("killed"), 3) as cluster:
        office = cluster.settle()
        others = [node for node in cluster.members if node.identity != office.coordinator]
        paused = begin(others[0], workspace(tmp_path / "w", 20))
        until(lambda: queue(others[1]).get(paused), "it is not seen")
        change(others[0], "pause", paused)
        change(others[0], "priority", paused, "high")
        until(lambda: queue(others[1])[paused]["words"] == "paused", "it is not paused")
        done = len(others[0].get(f"/api/build/{paused}")["packages"])
        cluster.coordinator(office).kill()

        def again() -> dict[str, Any] | None:
            told = others[1].get("/api/queue")
            builds = {each["build_id"]: each for each in told["builds"]}
            return builds.get(paused) if told["complete"] else None

        seen = until(again, "the next coordinator does not know it")
        assert (seen["state"], seen["priority"]) == ("paused", "high")
        assert len(others[0].get(f"/api/build/{paused}")["packages"]) == done
        change(others[0], "resume", paused)
        assert until_over(others[0], paused)["status"] == "succeeded"
        # That the queue as a whole is paused outlives all nodes.
        cluster.coordinator(office).start()
        cluster.settle()
        admin = cluster.members[0]
        change(admin, "pause")
        until(lambda: entries(others[1], "queue.paused"), "it is not recorded everywhere")
        for node in cluster.members:
            node.stop()
        for node in cluster.members:
            node.start()
        cluster.settle()
        held = until(lambda: others[0].get("/api/queue")["paused"], "it is forgotten")
        assert held
        change(admin, "resume")
        until(lambda: not others[0].get("/api/queue")["paused"], "it stays paused")
