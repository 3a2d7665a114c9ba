"""Hosts of the pool come, go, are drained and changed while builds run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.building import Building, many_commands, where
from testbed.commands import ForkedCommandLine
from testbed.nodes import Cluster, Node, join
from testbed.waiting import until


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("pair"), 2) as cluster:
        yield cluster


@pytest.fixture
def parting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two of which one goes."""
    with Cluster(tmp_path_factory.mktemp("parting"), 2) as cluster:
        yield cluster


def server(node: Node, of: Node) -> dict[str, Any]:
    """Return what ``node`` knows of another one."""
    found: dict[str, Any] = node.get(f"/api/servers/{of.identity}")
    return found


def entries(node: Node, kind: str) -> list[dict[str, Any]]:
    answer = node("audit", "query", "--type", kind, "--json")
    found: list[dict[str, Any]] = answer.data["entries"]
    return found


def test_a_drained_node_works_for_nobody_until_it_is_resumed(pair: Cluster, tmp_path: Path) -> None:
    admin, other = pair.members
    answer = admin("server", "drain", other.name, "--wait", "--json")
    assert answer.data["draining"]
    until(lambda: server(admin, other)["lends_nothing"] == "it is drained", "it is told")
    report = admin.command.build(many_commands(tmp_path / "a", "a", "sleep 0.1; cp in.txt out.txt"))
    assert where(report).keys() == {admin.identity}
    assert report["notices"] == [f"{other.name} ran no commands: it is drained"]
    assert f"{other.name} works for nobody else: it is drained" in admin("pool", "status").out
    other.stop()
    other.start()
    pair.settle()
    assert other.get("/api/node")["draining"]
    until(lambda: server(admin, other)["draining"], "it is drained still")
    assert not other("node", "resume", "--json").data["draining"]
    until(lambda: not server(admin, other)["draining"], "it is resumed")
    report = admin.command.build(many_commands(tmp_path / "b", "b"))
    assert where(report).keys() == {admin.identity, other.identity}


def test_what_is_lent_is_seen_everywhere_and_stands_in_the_ledger(
    pair: Cluster, tmp_path: Path
) -> None:
    driver, owner = pair.members
    building = Building(driver, many_commands(tmp_path / "w", "w", "sleep 1; cp in.txt out.txt"))

    def lent() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = owner.get("/api/pool")["leases"]
        return found

    until(lent, "the lender tells of it")
    (lease,) = lent()
    assert (lease["owner"], lease["holder"]) == (owner.identity, driver.identity)
    assert lease["slots"] >= 1
    until(lambda: driver.get("/api/pool")["leases"] == [lease] or not lent(), "all see it")
    report = building.report()
    assert lease["build"] == report["build_id"]
    until(lambda: not lent(), "nothing is lent")
    until(
        lambda: [
            each
            for each in entries(owner, "resources.released")
            if each["entity"] == f"build:{report['build_id']}"
        ],
        "it stands in the ledger",
    )
    build = f"build:{report['build_id']}"
    (begun,), (over,) = (
        [each for each in entries(owner, kind) if each["entity"] == build]
        for kind in ("resources.allocated", "resources.released")
    )
    assert begun["data"]["allocations"][0]["build"] == report["build_id"]
    (allocation,) = over["data"]["allocations"]
    assert allocation["holder"] == driver.identity
    assert allocation["used_ms"] >= 900 * where(report)[owner.identity] > 0
    moved = {
        (each["account"].rpartition("/")[2], each["amount"])
        for each in over["postings"]
        if each["account"].startswith(f"node:{owner.identity}/cores/")
    }
    assert {leg for leg, _ in moved} == {"free", "allocated"}


def test_own_commands_come_before_those_of_others(pair: Cluster, tmp_path: Path) -> None:
    driver, owner = pair.members
    slots = owner.get("/api/node")["slots"]
    root = many_commands(tmp_path / "w", "x", "sleep 1; cp in.txt out.txt", count=10 * slots)
    building = Building(driver, root)
    until(lambda: sum(each["slots"] for each in owner.get("/api/node")["lent"]) == slots, "lent")
    own = many_commands(tmp_path / "own", "own", "cp in.txt out.txt", count=slots)
    report = owner.command.build(own, "--local-only")
    assert where(report) == {owner.identity: slots}
    assert building.count("build_finished") == 0  # which still wanted all that there is
    report = building.report()
    assert report["status"] == "succeeded"
    assert building.count("task_started") == 10 * slots  # what ran there ran to its end


def test_a_server_comes_and_another_goes_while_a_build_runs(
    parting: Cluster, tmp_path: Path
) -> None:
    driver, leaving = parting.members
    coming = Node(tmp_path / "third", "third", listen="127.0.0.1:0", bare=True)
    coming.start()
    try:
        root = many_commands(tmp_path / "w", "w", "sleep 1; cp in.txt out.txt", count=16)
        building = Building(driver, root)
        until(lambda: server(driver, leaving)["lent"], "it works for the build")
        invitation = driver("server", "add", coming.name, "--json").data
        assert (
            f"--name {coming.name} --join {driver.address.removeprefix('http://')}"
            in (invitation["command"])
        )
        join(coming, driver, invitation["token"])
        assert coming.name in driver("server", "list").out
        removed = driver("server", "remove", leaving.name, "--yes", "--json")
        assert removed.data["node_id"] == leaving.identity
        report = building.report()
        assert report["status"] == "succeeded"
        assert where(report).keys() == {driver.identity, leaving.identity, coming.identity}
        # What it had begun it ended: nothing was tried twice.
        assert building.count("task_started") == 16
        names = {each["name"] for each in driver.get("/api/servers")["servers"]}
        assert names == {driver.name, coming.name}
    finally:
        coming.kill()


def test_a_server_comes_up_with_the_tags_and_limits_of_its_command(
    pair: Cluster, tmp_path: Path
) -> None:
    admin = pair.members[0]
    said = ("--label", "gpu", "--tag", "big disk", "--max-cores", "1", "--weight", "2", "--refuse")
    answer = admin("server", "add", "the lab", *said, "--memory", "1 GB", "--json")
    program, *words = shlex.split(answer.data["command"])
    assert program == "buildnet"
    lab = ForkedCommandLine(tmp_path / "lab", bare=True)
    try:
        assert lab(*words, "--listen", "127.0.0.1:0").code == 0
        path = f"/api/servers/{lab('node', 'status', '--json').data['node_id']}"
        until(lambda: admin.get(path)["tags"], "it tells of itself")
        found = admin.get(path)
        assert (found["name"], found["tags"]) == ("the lab", ["gpu", "big disk"])
        assert found["priority_weight"] == 2
        assert found["lends_nothing"] is not None
        shown = lab("node", "config", "show", "resource_limits", "--changed", "--json").data
        values = {each["key"]: each["value"] for each in shown["settings"]}
        assert values["resource_limits.cpu.max_cores"] == 1
        assert values["resource_limits.memory.max_gb"] == 1
        again = lab("node", "start", "--set", "node_tags=[cpu]", "--set", "workers.max=0")
        assert again.code == 2
        assert "workers.max" in again.err
        assert lab("node", "start", "--set", "workers.max").code == 2
        twice = admin("server", "add", "the lab", "--json")
        assert "a node is called the lab already" in twice.data["warning"]
    finally:
        lab("node", "stop")
        admin("server", "remove", "the lab", "--yes", "--force")


def test_a_busy_server_is_removed_only_by_force(parting: Cluster, tmp_path: Path) -> None:
    driver, other = parting.members
    root = many_commands(tmp_path / "w", "w", "sleep 3; cp in.txt out.txt", count=6)
    building = Building(driver, root)
    until(lambda: server(driver, other)["lent"], "it works for the build")
    answer = driver("server", "remove", other.name, "--yes", "--timeout", "200ms", "--json")
    assert (answer.code, answer.data["error"]["code"]) == (3, "SERVER_BUSY")
    assert server(driver, other)["id"] == other.identity
    assert driver("server", "remove", other.name, "--yes", "--force").code == 0
    report = building.report()
    assert report["status"] == "succeeded"
    assert (tmp_path / "w/p0/out.txt").read_text() == "w 0\n"


def test_limits_are_narrowed_at_once_by_whoever_may(pair: Cluster) -> None:
    admin, other = pair.members
    refused = admin("server", "update", other.name, "--max-commands", "1", "--json")
    assert (refused.code, refused.data["error"]["code"]) == (4, "SERVER_REFUSED")
    not_admin = other("server", "drain", admin.name, "--json")
    assert (not_admin.code, not_admin.data["error"]["code"]) == (4, "SERVER_REFUSED")
    assert not admin.get("/api/node")["draining"]
    for wrong in (("update", other.name), ("remove", admin.name, "--yes", "--force")):
        assert admin("server", *wrong, "--json").data["error"]["code"] == "USAGE"
    told = ("--tag", "fast", "--max-commands", "1", "--weight", "2.5")
    assert other("server", "update", other.name, *told).code == 0
    assert other.get("/api/node")["slots"] == 1
    until(lambda: server(admin, other)["tags"] == ["fast"], "tags are told")
    shown = admin("server", "show", other.name).out
    assert "fast" in shown
    assert "2.5" in shown
    # The owner's file is read again, and an admin may do what it allows.
    other.home.config.write_text('{"scheduling": {"accept_changes": true}}')
    change = ("server", "update", other.name, "--reset", "--refuse")
    until(lambda: admin(*change).code == 0, "the file counts")
    until(lambda: server(admin, other)["lends_nothing"], "it lends nothing")
    assert "accepts no builds" in server(admin, other)["lends_nothing"]
    names = {each["data"]["name"] for each in entries(other, "system.setting")}
    assert {"tags", "max_commands", "accept_remote_builds"} <= names
