"""Builds of one workspace at the same time: in different packages they do not wait for each other,
and of a package that both need only for that."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import tiers, write_files
from testbed.building import Building
from testbed.nodes import Cluster, Node

PATIENCE_S = 30.0
GATE = "while [ ! -e {gate} ]; do sleep 0.02; done; "


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Cluster(tmp_path_factory.mktemp("one"), 1) as cluster:
        yield cluster.members[0]


class Shop:
    """``core``, which ``web`` and ``admin`` need, and ``docs``; commands in ``staged`` that wait
    for files beside the workspace."""

    def __init__(self, node: Node, directory: Path) -> None:
        self.node, self.root = node, directory / "w"
        self._gates = directory / "gates"
        self._gates.mkdir()
        packages = "".join(
            f"  - name: {name}\n    path: {name}\n    isolation: staged\n"
            f"    dependencies: [{needs}]\n    outputs: [{name}/out]\n    build_cmd: "
            f"{GATE.format(gate=self._gates / name)}cat {others} in > out\n"
            for name, needs, others in (
                ("core", "", ""),
                ("web", "core", "../core/out"),
                ("admin", "core", "../core/out"),
                ("docs", "", ""),
            )
        )
        files = {f"{name}/in": f"{name}\n" for name in ("core", "web", "admin", "docs")}
        write_files(self.root, {**files, "buildnet.yaml": f"workspace: w\npackages:\n{packages}"})

    def begin(self, *packages: str) -> str:
        body = {"root": str(self.root), "packages": packages, "environment": {}, "actor": "test"}
        build: str = self.node.post("/api/build", body)["build_id"]
        return build

    def open_gate(self, *names: str) -> None:
        for name in names:
            (self._gates / name).touch()

    def end_of(self, build: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while (report := self.node.get(f"/api/build/{build}"))["status"] == "running":
            assert time.monotonic() < deadline, report
            time.sleep(0.02)
        assert report["status"] == "succeeded", report
        found: dict[str, Any] = report
        return found

    def until(self, build: str, **wanted: object) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            builds = {each["build_id"]: each for each in self.node.get("/api/queue")["builds"]}
            found = builds.get(build, {})
            if all(found.get(key) == value for key, value in wanted.items()):
                return
            assert time.monotonic() < deadline, builds
            time.sleep(0.02)

    def read(self, name: str) -> str:
        return (self.root / name / "out").read_text()


def test_builds_wait_only_for_the_packages_that_they_share(node: Node, tmp_path: Path) -> None:
    shop = Shop(node, tmp_path)
    web = shop.begin("web")
    shop.until(web, running=1)
    admin = shop.begin("admin")
    shop.until(admin, words="waiting for another build of this workspace")
    shop.open_gate("docs", "admin")
    assert tiers(shop.end_of(shop.begin("docs"))) == {"docs": "full"}, "it meets nobody"
    shop.open_gate("core")
    report = shop.end_of(admin)
    assert tiers(report) == {"core": "instant-skip", "admin": "full"}, "core was made meanwhile"
    assert node.get(f"/api/build/{web}")["status"] == "running"
    # An edit that another build is told of first is not lost for the one that follows.
    (shop.root / "web/in").write_text("changed\n")
    (shop.root / "core/in").write_text("new core\n")
    assert tiers(shop.end_of(shop.begin("admin"))) == {"core": "full", "admin": "full"}
    shop.open_gate("web")
    shop.end_of(web)
    assert shop.read("web") == "core\nweb\n"
    shop.end_of(shop.begin())
    assert shop.read("web") == "new core\nchanged\n"
    assert shop.read("admin") == "new core\nadmin\n"
    for _ in range(2):
        assert set(tiers(shop.end_of(shop.begin())).values()) <= {"instant-skip", "hash-skip"}


def test_what_would_be_built_is_told_while_another_build_runs(node: Node, tmp_path: Path) -> None:
    shop = Shop(node, tmp_path)
    web = shop.begin("web")
    shop.until(web, running=1)
    body = {"root": str(shop.root), "environment": {}, "actor": "test"}
    told = node.post("/api/build/estimate", body)
    assert {each["name"] for each in told["packages"]} == {"core", "web", "admin", "docs"}
    rehearsed = Building(node, shop.root, dry_run=True, packages=["web"]).report()
    assert {each["plan"] for each in rehearsed["packages"]} == {"run"}
    assert node.get(f"/api/build/{web}")["status"] == "running"
    shop.open_gate("core", "web", "admin", "docs")
    shop.end_of(web)
    report = shop.end_of(shop.begin())
    assert tiers(report) == {
        **{"core": "instant-skip", "web": "instant-skip"},
        **{"admin": "full", "docs": "full"},
    }, "what was looked at meanwhile harms nothing"


def test_who_watches_a_build_is_told_that_it_waits_no_more(node: Node, tmp_path: Path) -> None:
    shop = Shop(node, tmp_path)
    web = shop.begin("web")
    shop.until(web, running=1)
    admin = Building(node, shop.root, packages=["admin"])
    admin.until("waiting", 1)
    shop.open_gate("core")
    admin.until("task_started", 1)
    shop.open_gate("web", "admin")
    shop.end_of(web)
    admin.report()
    kinds = [each["type"] for each in admin.events]
    assert kinds.index("waiting") < kinds.index("resumed") < kinds.index("task_started")
