"""What the page shows of builds besides their reports: graphs, artifacts, workspaces, counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.client import AnswerError, Client
from buildnet.cli.testing import write_files
from testbed.ledger_calls import data
from testbed.nodes import Cluster, Node

SHOP = """
workspace: shop
packages:
  - name: base
    path: libs/base
    build_cmd: mkdir -p out/deep && cp in.txt out/deep/copy && echo hi > out/hi
    outputs: [libs/base/out/**]
  - {name: app, path: app, dependencies: [base], build_cmd: cp in.txt made, outputs: [app/made]}
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Cluster(tmp_path_factory.mktemp("views"), 1) as cluster:
        yield cluster.members[0]


def workspace(root: Path) -> Path:
    write_files(root, {"buildnet.yaml": SHOP, "libs/base/in.txt": "12345", "app/in.txt": "a"})
    return root


def built(node: Node, root: Path) -> dict[str, Any]:
    found = data(node, "build", "-C", str(root))
    assert found["status"] == "succeeded"
    return dict(found)


def tasks(node: Node, build: dict[str, Any]) -> dict[str, tuple[str | None, list[str]]]:
    graph = node.get(f"/api/build/{build['build_id']}/graph")
    return {one["name"]: (one["path"], one["depends_on"]) for one in graph["tasks"]}


def test_a_build_has_its_graph_also_where_nothing_was_to_do(node: Node, tmp_path: Path) -> None:
    root = workspace(tmp_path / "w")
    whole = {"base": ("libs/base", []), "app": ("app", ["base"])}
    first, again = built(node, root), built(node, root)
    assert (first["request"]["packages"], first["node_id"]) == (
        [],
        node.get("/api/node")["node_id"],
    )
    assert first["triggered_by"]
    assert tasks(node, first) == tasks(node, again) == whole
    again = node.get(f"/api/build/{again['build_id']}")
    assert {one["name"]: one["depends_on"] for one in again["packages"]} == {
        "base": [],
        "app": ["base"],
    }
    node.stop()
    node.start()
    assert tasks(node, first) == tasks(node, again) == whole  # from the record
    (root / "buildnet.yaml").unlink()
    assert tasks(node, first)["app"] == (None, ["base"])


def test_a_build_that_failed_keeps_its_graph(node: Node, tmp_path: Path) -> None:
    root = workspace(tmp_path / "w")
    (root / "buildnet.yaml").write_text(SHOP.replace("mkdir -p", "false &&"))
    failed = data(node, "build", "-C", str(root), code=1)
    assert failed["status"] == "failed"
    node.stop()
    node.start()
    assert tasks(node, failed) == {"base": ("libs/base", []), "app": ("app", ["base"])}
    told = node.get(f"/api/build/{failed['build_id']}")["packages"]
    assert [(one["status"], one["depends_on"]) for one in told] == [
        ("failed", []),
        ("skipped", ["base"]),
    ]


def test_what_tasks_made_is_listed_with_sizes_and_digests(node: Node, tmp_path: Path) -> None:
    build = built(node, workspace(tmp_path / "w"))
    found = node.get(f"/api/build/{build['build_id']}/artifacts")
    base, app = sorted(found["tasks"], key=lambda one: str(one["name"]), reverse=True)
    assert [(one["path"], one["size_bytes"]) for one in base["files"]] == [
        ("out/hi", 3),
        ("out/deep/copy", 5),
    ]
    assert (base["count"], base["size_bytes"], base["problem"]) == (2, 8, None)
    digest = app["files"][0]["digest"]
    assert node.get(f"/api/cache/show/{digest}")["size_bytes"] == 1
    alone = node.get(f"/api/build/{build['build_id']}/artifacts?package=app")
    assert [one["name"] for one in alone["tasks"]] == ["app"]
    part = node.get(f"/api/build/{build['build_id']}/artifacts?limit=1")
    assert (len(part["tasks"]), part["next"] is None) == (1, False)


def test_what_was_removed_from_the_store_is_said(node: Node, tmp_path: Path) -> None:
    build = built(node, workspace(tmp_path / "w"))
    node.post("/api/cache/clear")
    (task, _) = node.get(f"/api/build/{build['build_id']}/artifacts")["tasks"]
    assert (task["count"], task["files"]) == (None, [])
    assert "not in this node's store" in task["problem"]


def test_what_was_built_here_can_be_built_by_others(node: Node, tmp_path: Path) -> None:
    root = workspace(tmp_path / "w")
    built(node, root)
    (latest, *_) = node.get("/api/workspaces")["workspaces"]
    good = {"root": str(root), "name": "shop", "packages": 2}
    assert latest == {**good, "problem": None, "problem_kind": None}
    (root / "buildnet.yaml").write_text("workspace: [")
    (latest, *_) = node.get("/api/workspaces")["workspaces"]
    assert (latest["name"], latest["problem"] is None) == (None, False)
    assert latest["problem_kind"] == "unreadable"


def test_a_workspace_that_is_gone_is_told_and_forgotten(node: Node, tmp_path: Path) -> None:
    root = workspace(tmp_path / "here")
    built(node, root)
    root.rename(tmp_path / "there")

    def listed() -> list[tuple[str, str | None]]:
        known = node.get("/api/workspaces")["workspaces"]
        return [(one["root"], one["problem_kind"]) for one in known if one["root"] == str(root)]

    assert listed() == [(str(root), "gone")]
    client = Client(socket_path=node.home.socket_path())
    client.delete("/api/workspaces", root=str(root))
    assert listed() == []
    with pytest.raises(AnswerError, match="was built here"):
        client.delete("/api/workspaces", root=str(root))
    (tmp_path / "there").rename(root)
    built(node, root)
    assert listed() == [(str(root), None)]


def test_builds_are_counted_by_status(node: Node, tmp_path: Path) -> None:
    root = workspace(tmp_path / "w")
    (root / "buildnet.yaml").write_text(SHOP.replace("workspace: shop", "workspace: counted"))
    built(node, root)
    built(node, root)
    found = node.get("/api/builds?workspace=counted&limit=1&status=failed")
    assert (found["builds"], found["counts"]) == ([], {"succeeded": 2})
    assert len(node.get("/api/builds?text=COUNTED")["builds"]) == 2


def test_a_package_tells_what_its_tasks_are_made_from(node: Node, tmp_path: Path) -> None:
    found = node.post("/api/workspace", {"root": str(workspace(tmp_path / "w"))})
    (task,) = found["packages"][1]["details"]
    assert (task["name"], task["command"]) == ("build", "cp in.txt made")
    assert (task["depends_on"], task["all_files"]) == (["base"], True)
