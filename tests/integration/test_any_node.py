"""Any node answers for a build of any other: three real nodes, and one that is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.client import Client
from buildnet.cli.testing import write_files
from testbed.building import Building
from testbed.nodes import Cluster, Node, NodeError
from testbed.waiting import until

SHOP = """\
workspace: shop
packages:
  - {name: base, path: base, build_cmd: "echo of base; cat a.txt > out", outputs: [base/out]}
  - name: app
    path: app
    build_cmd: "echo of app; cat ../base/out b.txt > out"
    outputs: [app/out]
    dependencies: [base]
"""
WAITING = """\
workspace: waiting
packages:
  - {name: first, path: p, build_cmd: "echo of first; cat a.txt > one", outputs: [p/one]}
  - name: second
    path: p
    build_cmd: while [ ! -e GATE ]; do sleep 0.05; done; echo two > two
    outputs: [p/two]
    dependencies: [first]
    isolation: workspace
"""


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "trio", 3) as cluster:
        yield cluster


def shop(directory: Path, text: str) -> Path:
    files = {"buildnet.yaml": SHOP, "base/a.txt": f"{text}\n", "app/b.txt": "b\n"}
    return write_files(directory, files)


def asked(node: Node, path: str) -> Any:
    """Return what a node answers, as soon as it has heard of the build."""

    def look() -> Any:
        try:
            return node.get(path)
        except NodeError as error:
            if "NOT_FOUND" not in str(error):
                raise
            return None

    return until(look)


def problem(node: Node, *arguments: str) -> dict[str, Any]:
    """Return the error of a command."""
    answer = node(*arguments, "--json")
    assert answer.code != 0, answer.out
    found: dict[str, Any] = json.loads(answer.err or answer.out)["error"]
    return found


def test_a_build_of_another_node_is_told_in_full_and_kept(trio: Cluster, tmp_path: Path) -> None:
    driver, other, third = trio.members
    root = shop(tmp_path / "shop", "one")
    first = driver.command.build(root)["build_id"]
    (root / "app/b.txt").write_text("c\n")
    second = driver.command.build(root)["build_id"]

    told = asked(other, f"/api/build/{second}")
    by = told.pop("recorded_on")
    assert (by["node_id"], by["name"], by["kept_at"]) == (driver.identity, driver.name, None)
    told_there = driver.get(f"/api/build/{second}")
    for name in ("build_id", "workspace", "status", "started_at", "request"):
        assert told[name] == told_there[name]
    assert {one["name"]: one["tier"] for one in told["packages"]} == {
        "base": "instant-skip",
        "app": "full",
    }
    graph = other.get(f"/api/build/{second}/graph")
    assert graph == driver.get(f"/api/build/{second}/graph")
    assert {one["name"]: one["depends_on"] for one in graph["tasks"]} == {
        "base": [],
        "app": ["base"],
    }
    for what in ("review", "trace", "artifacts"):
        path = f"/api/build/{second}/{what}"
        assert other.get(path) == driver.get(path), what
    page = other.get(f"/api/build/{second}/artifacts?limit=1")
    rest = other.get(f"/api/build/{second}/artifacts?limit=1&cursor={page['next']}")
    assert [one["name"] for one in page["tasks"] + rest["tasks"]] == ["base", "app"]
    (file,) = [one for one in rest["tasks"][0]["files"] if one["path"].endswith("out")]
    compared = other.get(f"/api/builds/compare?before={first}&after={second}")
    (changed,) = [one for one in compared["tasks"] if one["task"] == "app"]
    assert changed["changes"] == ["file app/b.txt changed"]
    for node in (driver, other):
        path = f"/api/build/{second}/file?package=app&path={file['path']}"
        assert downloaded(node, path) == b"one\nc\n"
    with pytest.raises(NodeError, match="NOT_FOUND"):
        other.get(f"/api/build/{second}/file?package=app&path=none")
    statements = other.get(f"/api/build/{second}/provenance?package=app")["statements"]
    assert [one["package"] for one in statements] == ["app"]

    # On the command line, by the beginning of its id too.
    assert other("history", second[:12], "--log", "app").out == "of app\n"
    assert "of base" in other("logs", first, "base").out
    assert f"on record on {driver.name}, as it told" in other("history", second).out
    other("history", second, "--trace", str(tmp_path / "trace.json"))
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]

    driver.kill()
    until(lambda: told_lost(third, second))
    error = problem(third, "history", second)
    assert error["code"] == "BUILD_ELSEWHERE"
    assert driver.name in error["message"]
    assert "last heard of" in error["cause"]
    assert f"buildnet ledger list --build {second}" in error["hint"]
    # What one of them was told once it goes on telling.
    kept = other.get(f"/api/build/{second}")
    assert kept["recorded_on"]["kept_at"] > told["completed_at"]
    assert kept["packages"] == told["packages"]
    assert other.get(f"/api/build/{second}/graph") == graph
    assert other.get(f"/api/builds/compare?before={first}&after={second}")["tasks"]
    assert other("history", second, "--review", "--json").data["build_id"] == second
    assert other("history", second, "--log", "app").out == "of app\n"
    assert problem(other, "audit", "attest", second)["code"] == "BUILD_ELSEWHERE"
    assert file["size_bytes"] == len("one\nc\n")

    driver.start()
    trio.settle()
    assert asked(third, f"/api/build/{second}")["status"] == "succeeded"


def downloaded(node: Node, path: str) -> bytes:
    """Return the file that a node answers with."""
    with Client(socket_path=node.home.socket_path()).download(path) as content:
        return b"".join(content)


def told_lost(node: Node, build: str) -> bool:
    answer = node("history", build, "--json")
    return answer.code != 0 and "BUILD_ELSEWHERE" in answer.err + answer.out


def test_a_build_that_runs_on_another_node_is_told_as_far_as_it_is(
    trio: Cluster, tmp_path: Path
) -> None:
    driver, other, _ = trio.members
    gate = tmp_path / "gate"
    root = write_files(
        tmp_path / "waiting",
        {"buildnet.yaml": WAITING.replace("GATE", str(gate)), "p/a.txt": "a\n"},
    )
    building = Building(driver, root)
    building.until("task_finished", 1)
    (begun,) = [each for each in building.events if each["type"] == "build_started"]
    build = begun["build_id"]
    told = asked(other, f"/api/build/{build}")
    assert (told["status"], told["recorded_on"]["name"]) == ("running", driver.name)
    assert told["node_id"] == driver.identity
    graph = other.get(f"/api/build/{build}/graph")
    assert graph["complete"]
    assert [one["name"] for one in graph["tasks"]] == ["first", "second"]
    assert other("history", build, "--log", "first").out == "of first\n"
    gate.touch()
    building.until("build_finished", 1)
    over = until(lambda: ended(other, build))
    assert over["status"] == "succeeded"
    assert over["recorded_on"]["kept_at"] is None


def ended(node: Node, build: str) -> dict[str, Any] | None:
    found: dict[str, Any] = node.get(f"/api/build/{build}")
    return None if found["status"] == "running" else found


def test_builds_of_all_nodes_are_listed_on_each(trio: Cluster, tmp_path: Path) -> None:
    one, two, three = trio.members
    root = shop(tmp_path / "shop", "one")
    first = one.command.build(root)["build_id"]
    (root / "base/a.txt").unlink()
    failed = two.command("build", "app", "--json", cwd=root)
    assert failed.code == 1, failed.out
    counts = {"succeeded": 1, "failed": 1}
    until(lambda: all(node.get("/api/builds")["counts"] == counts for node in trio.members))
    lists = [node.get("/api/builds") for node in trio.members]
    for found in lists:
        assert found["complete"] is True
        rows = [(row["node"], row["status"], row["workspace"]) for row in found["builds"]]
        assert rows == [(two.name, "failed", "shop"), (one.name, "succeeded", "shop")]
    (second, _) = lists[2]["builds"]
    assert second["this_node"] is False
    assert second["request"]["task"] == "build"
    assert "base" in second["error"]
    assert (second["root"], second["estimate"], second["durable"]) == (None, None, None)
    assert three.get(f"/api/build/{second['build_id']}")["root"] == str(root)
    assert lists[1]["builds"][0]["root"] == str(root)

    def ids(query: str) -> list[str]:
        return [row["build_id"] for row in three.get(f"/api/builds?{query}")["builds"]]

    assert ids(f"node={one.name}") == [first]
    assert ids(f"node={two.identity}") == [second["build_id"]]
    assert ids(f"node={three.name}") == []
    assert ids("status=succeeded&text=SHOP") == [first]
    page = three.get("/api/builds?limit=1")
    assert ids(f"limit=1&cursor={page['next']}") == [first]
    told = three("history", "--on", one.name, "--json")
    assert [row["build_id"] for row in json.loads(told.out)["builds"]] == [first]
    assert problem(three, "history", "--on", "nobody-of-that-name")["code"] == "NOT_FOUND"
    # Without an id, `logs` is of the latest build of the node that is asked.
    assert problem(three, "logs")["message"] == "nothing was built yet"
    assert "of app" in one("logs").out

    three.stop()
    three.start()
    until(lambda: ids(f"node={one.name}") == [first])
