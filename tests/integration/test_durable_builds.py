"""Builds outlive the node that was asked for them: three real nodes, and deaths in every order."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from buildnet.cli.testing import write_files
from buildnet.node.durable.successor import GIVEN_UP
from testbed.building import Building
from testbed.nodes import Cluster, Node, NodeError
from testbed.waiting import until

PACKAGES = 6
RAN = "date +%s%N > ran.txt; sleep 0.7; cp in.txt out.txt"


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "trio", 3) as cluster:
        yield cluster


def chains(directory: Path, text: str, command: str = RAN) -> Path:
    """Write a workspace of two chains of packages; each tells when it ran."""
    packages = [
        f"  - name: p{number}\n    path: p{number}\n    build_cmd: {command}\n"
        f"    outputs: [p{number}/out.txt, p{number}/ran.txt]\n"
        + (f"    dependencies: [p{number - 1}]\n" if number % 3 else "")
        for number in range(PACKAGES)
    ]
    files = {f"p{number}/in.txt": f"{text} {number}\n" for number in range(PACKAGES)}
    files["buildnet.yaml"] = "workspace: chains\npackages:\n" + "".join(packages)
    write_files(directory, files)
    return directory


def build_at(node: Node, build_id: str) -> dict[str, Any] | None:
    """Return what a node has on record of a build; None: nothing of its own."""
    try:
        found: dict[str, Any] = node.get(f"/api/build/{build_id}")
    except NodeError:
        return None
    return None if found.get("recorded_on") else found


def teller(node: Node, build_id: str) -> str | None:
    """Return the name of the other node that tells a node of a build; None: nobody does."""
    with suppress(NodeError):
        return str(node.get(f"/api/build/{build_id}")["recorded_on"]["name"])
    return None


def ended_at(node: Node, build_id: str) -> dict[str, Any]:
    """Wait until a node tells the end of a build."""

    def look() -> dict[str, Any] | None:
        found = build_at(node, build_id)
        return None if found is None or found["status"] == "running" else found

    found: dict[str, Any] = until(look)
    return found


def event(building: Building, kind: str) -> dict[str, Any]:
    return next(each for each in list(building.events) if each["type"] == kind)


def begun(node: Node, root: Path, finished: int) -> tuple[Building, str, str]:
    """Begin a durable build; return it, its id, and the id of who stands in."""
    building = Building(node, root, durable=True)
    building.until("durable", 1)
    if finished:
        building.until("task_finished", finished)
    names = event(building, "build_started"), event(building, "durable")
    return building, names[0]["build_id"], names[1]["node"]


def actions(report: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["action"] for each in report["packages"]}


def results(node: Node, packages: dict[str, str]) -> dict[str, float]:
    """Return when the result of each package was made, as it is in a node's store."""
    listed = json.loads(node("cache", "list", "--json").out)["actions"]
    made = {each["action"]: each["created_at"] for each in listed}
    return {name: made[action] for name, action in packages.items() if action in made}


def test_a_build_goes_on_where_its_node_is_killed(trio: Cluster, tmp_path: Path) -> None:
    asked = trio.members[0]
    root = chains(tmp_path / "w", "a")
    building, build_id, stand_in = begun(asked, root, 2)
    keeper = next(node for node in trio.members if node.identity == stand_in)
    done = [each for each in building.events if each["type"] == "task_finished"]
    done_actions = {each["name"]: each["action"] for each in done}
    until(lambda: len(results(keeper, done_actions)) == len(done_actions))
    before = results(keeper, done_actions)
    asked.kill()
    killed_at = time.monotonic()
    until(lambda: build_at(keeper, build_id))
    assert time.monotonic() - killed_at < 30
    # From yet another node somebody follows it to its end.
    third = next(node for node in trio.members if node not in (asked, keeper))
    seen = third("build", "--attach", build_id, "--json", "--progress", "json")
    assert seen.code == 0, seen.err
    report = ended_at(keeper, build_id)
    assert report["status"] == "succeeded", report
    assert seen.data["build_id"] == build_id
    assert report["durable"]["state"] == "taken over"
    assert report["durable"]["node"] == asked.identity
    # What was finished did not run again.
    tiers = {each["name"]: each["tier"] for each in report["packages"]}
    assert {tiers[name] for name in done_actions} <= {"local-cache", "pool-cache"}, tiers
    assert results(keeper, done_actions) == before
    # Who asks meanwhile on yet another node is told by the one that went on with it.
    assert until(lambda: teller(third, build_id)) == keeper.name
    # Its root is that of the other host: what lies there on this one is another's.
    graph = keeper.get(f"/api/build/{build_id}/graph")
    assert {each["path"] for each in graph["tasks"]} == {None}
    asked.start()
    told = ended_at(asked, build_id)
    assert (told["status"], told["error"]) == ("succeeded", None)
    assert told["durable"]["state"] == "ended elsewhere"
    assert told["durable"]["node"] == stand_in
    assert actions(told) == actions(report)
    for node in (asked, keeper):  # as it was asked for, and from then to its end
        listed = node.get("/api/builds")["builds"]
        (each,) = [one for one in listed if build_id in (one.get("id"), one.get("build_id"))]
        assert each["request"]["packages"] == []
        whole_ms = (each["completed_at"] - each["started_at"]) * 1000
        assert each["duration_ms"] == pytest.approx(whole_ms, abs=1000)
    assert f"{keeper.name} brought it to its end" in asked("history", build_id).out
    trio.settle()
    again = asked.command.build(root)
    assert {each["tier"] for each in again["packages"]} <= {"local-cache", "pool-cache"}
    for number in range(PACKAGES):
        assert (root / f"p{number}/out.txt").read_text() == f"a {number}\n"
    assert not list((keeper.home.directory / "requests").glob("*"))
    kinds = until(lambda: ended_kinds(asked, build_id))
    assert kinds == ["build.started", "build.taken_over", "build.completed"]
    for node in trio.members:  # one build, with one status and one driver
        assert until(partial(listed_as, node, build_id, "succeeded")) == keeper.name
        assert listed_by(node, text=build_id)["counts"] == {"succeeded": 1}
        assert listed_by(node, status="running")["builds"] == []
        by_node = [
            listed_by(node, text=build_id, node=one.name)["counts"] for one in (asked, keeper)
        ]
        assert by_node == [{}, {"succeeded": 1}]


def listed_by(by: Node, /, **asked: str) -> dict[str, Any]:
    found: dict[str, Any] = by.get(f"/api/builds?{urlencode(asked)}")
    return found


def listed_as(node: Node, build_id: str, status: str) -> str | None:
    """Return who drives a build that a node lists once, with that status."""
    found = [one for one in listed_by(node)["builds"] if one["build_id"] == build_id]
    return found[0]["node"] if [one["status"] for one in found] == [status] else None


def test_a_build_whose_node_is_lost_does_not_run_for_ever(trio: Cluster, tmp_path: Path) -> None:
    asked, other, _ = trio.members
    building = Building(asked, chains(tmp_path / "w", "u", "sleep 600"), local_only=True)
    building.until_started(1)
    build_id = event(building, "build_started")["build_id"]
    until(lambda: listed_as(other, build_id, "running"))
    asked.kill()
    assert until(lambda: listed_as(other, build_id, "unknown")) == asked.name
    assert listed_by(other)["counts"] == {"unknown": 1}
    assert listed_by(other, status="running")["builds"] == []
    (one,) = listed_by(other, status="unknown")["builds"]
    assert (one["build_id"], one["status"]) == (build_id, "unknown")
    assert "unknown" in other("history").out
    asked.start()
    assert until(lambda: listed_as(other, build_id, "cancelled")) == asked.name
    assert listed_by(other)["counts"] == {"cancelled": 1}


def ended_kinds(node: Node, build_id: str) -> list[str] | None:
    """Return the types of a build's entries in the ledger, once its end is among them."""
    answer = node("ledger", "list", "--build", build_id, "--json")
    kinds = [each["type"] for each in answer.data["entries"]]
    return sorted(kinds, key=_ORDER.index) if len(kinds) > 2 else None


_ORDER = ["build.started", "build.taken_over", "build.completed", "build.failed", "build.cancelled"]


def test_a_build_fails_whose_node_is_killed_before_it_is_durable(
    trio: Cluster, tmp_path: Path
) -> None:
    asked = trio.members[0]
    building = Building(asked, chains(tmp_path / "w", "b"))
    building.until_started(1)
    build_id = event(building, "build_started")["build_id"]
    assert event(building, "build_started")["durable"]["state"] == "not yet"
    asked.kill()
    asked.start()
    told = ended_at(asked, build_id)
    why = "the node that drove this build was lost before the request was durable"
    assert (told["status"], told["error"]) == ("failed", why)
    shown = asked("history", build_id)
    assert why in shown.out
    until(lambda: trio.settle())
    listed = asked("ledger", "list", "--build", build_id, "--json").data["entries"]
    assert [each["data"]["error"] for each in listed if each["type"] == "build.failed"] == [why]


def test_a_driver_that_starts_anew_while_its_stand_in_builds_learns_the_end(
    trio: Cluster, tmp_path: Path
) -> None:
    asked = trio.members[0]
    _, build_id, stand_in = begun(asked, chains(tmp_path / "w", "c"), 1)
    asked.kill()
    asked.start()  # it says at once that it lost the build
    keeper = next(node for node in trio.members if node.identity == stand_in)
    until(lambda: build_at(keeper, build_id))
    seen = asked("build", "--attach", build_id, "--json")
    assert (seen.code, seen.data["status"]) == (0, "succeeded"), seen.err
    assert ended_at(asked, build_id)["durable"]["state"] == "ended elsewhere"


def test_a_stand_in_that_dies_is_followed_by_another(trio: Cluster, tmp_path: Path) -> None:
    asked = trio.members[0]
    root = chains(tmp_path / "w", "d", "sleep 2; date > ran.txt; cp in.txt out.txt")
    building, build_id, stand_in = begun(asked, root, 0)
    first = next(node for node in trio.members if node.identity == stand_in)
    second = next(node for node in trio.members if node not in (asked, first))
    first.kill()
    building.until("durable", 2)
    assert [each["node"] for each in building.events if each["type"] == "durable"] == [
        stand_in,
        second.identity,
    ]
    asked.kill()
    report = ended_at(second, build_id)
    assert report["status"] == "succeeded", report
    first.start()
    told = until(lambda: build_at(second, build_id))
    assert told["durable"]["attempt"] == 2
    assert build_at(first, build_id) is None  # it gave way to the later one


def test_a_build_is_left_to_itself_and_come_back_to(trio: Cluster, tmp_path: Path) -> None:
    root = chains(tmp_path / "w", "e")
    answer = trio.members[0].command("build", "--detach", "--json", cwd=root)
    assert answer.code == 0, answer.err
    assert answer.data["durable"], answer.data
    build_id = answer.data["build_id"]
    for node in (trio.members[1], trio.members[0]):
        seen = node("build", "--attach", build_id, "--json")
        assert (seen.code, seen.data["status"]) == (0, "succeeded"), seen.err
    assert len(seen.data["packages"]) == PACKAGES
    none = trio.members[2]("build", "--attach", "0" * 12)
    assert none.code == 6


def test_a_node_that_is_stopped_hands_its_durable_build_over(trio: Cluster, tmp_path: Path) -> None:
    asked = trio.members[0]
    _, build_id, stand_in = begun(asked, chains(tmp_path / "w", "f"), 1)
    asked.stop()
    keeper = next(node for node in trio.members if node.identity == stand_in)
    assert ended_at(keeper, build_id)["status"] == "succeeded"
    asked.start()
    assert ended_at(asked, build_id)["durable"]["state"] == "ended elsewhere"


def test_both_start_anew_and_the_build_ends(trio: Cluster, tmp_path: Path) -> None:
    asked = trio.members[0]
    _, build_id, stand_in = begun(asked, chains(tmp_path / "w", "g"), 1)
    keeper = next(node for node in trio.members if node.identity == stand_in)
    asked.kill()
    until(lambda: build_at(keeper, build_id))
    keeper.kill()
    keeper.start()
    asked.start()
    told = ended_at(asked, build_id)
    assert told["status"] == "succeeded", told
    assert told["durable"]["state"] == "ended elsewhere"


def test_a_driver_that_only_slept_goes_on_and_its_stand_in_gives_way(
    trio: Cluster, tmp_path: Path
) -> None:
    asked = trio.members[0]
    root = chains(tmp_path / "w", "i", "sleep 1; date > ran.txt; cp in.txt out.txt")
    building, build_id, stand_in = begun(asked, root, 0)
    keeper = next(node for node in trio.members if node.identity == stand_in)
    asked.freeze()
    until(lambda: build_at(keeper, build_id))
    asked.thaw()
    report = building.report()
    assert report["status"] == "succeeded", report
    assert {each["status"] for each in report["packages"]} == {"succeeded"}
    assert (root / "p5/out.txt").read_text() == "i 5\n"
    there = ended_at(keeper, build_id)
    assert (there["status"], there["error"]["message"]) == ("cancelled", GIVEN_UP), there
    found = until(lambda: ended_kinds(asked, build_id))
    # It goes back and forth once; once more where both said it before they heard of each other.
    assert (found[0], found[-1]) == ("build.started", "build.completed")
    assert set(found[1:-1]) == {"build.taken_over"}
    assert len(found) in (4, 5)


def test_alone_a_build_is_not_durable_and_that_is_said(tmp_path: Path) -> None:
    with Cluster(tmp_path / "one", 1) as cluster:
        root = chains(tmp_path / "w", "h", "cp in.txt out.txt; date > ran.txt")
        answer = cluster.members[0].command("build", "--detach", cwd=root)
        assert answer.code == 0, answer.err
        assert "on this node alone: there is no other worker" in answer.out
