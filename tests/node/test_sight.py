"""What is seen of a workspace's changes: told by the kernel, or looked for where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.node.auto_build.changed_paths import changed_paths
from buildnet.node.auto_build.sight import Pace, Sight
from buildnet.node.running import BuildRequest
from buildnet.node.watch.dirty import EVERYTHING, Dirt
from buildnet.node.watch.listener import Listener
from buildnet.node.workspaces import OpenWorkspace, Workspaces
from buildnet.pool.impact import Impact

DEFINITION = """
workspace: shop
packages:
  - {name: core, path: core, build_cmd: make, outputs: [core/dist]}
  - {name: app, path: app, build_cmd: make, dependencies: [core]}
"""
FILES = {"buildnet.yaml": DEFINITION, "core/a": "1", "core/dist/o": "", "app/a": "1"}


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    write_files(tmp_path / "shop", FILES)
    return Workspaces(tmp_path / "cookies")


@pytest.fixture
def opened(workspaces: Workspaces, tmp_path: Path) -> OpenWorkspace:
    return workspaces.find(tmp_path / "shop")


def sight_of(opened: OpenWorkspace) -> tuple[Sight, Listener, list[str]]:
    happened: list[str] = []
    listener = Listener(lambda: happened.append("news"), lambda: happened.append("look"))
    opened.listen(listener)
    request = BuildRequest(opened.definition.workspace.root, ("app",))
    return Sight(opened, request, Pace(priority=("core",)), listener), listener, happened


def test_where_changes_are_not_told_sources_are_looked_through(
    opened: OpenWorkspace, workspaces: Workspaces, tmp_path: Path
) -> None:
    sight, _, _ = sight_of(opened)
    assert sight.not_told is None  # nobody has tried
    opened.distrust("nothing is told here")
    assert sight.not_told == "nothing is told here"
    first, _ = sight.look()
    assert first is not None
    assert first.impact is Impact.FULL_REBUILD  # nobody knows what was before
    sight.before_build()
    assert sight.look()[0] is None
    root = write_files(tmp_path / "shop", {"core/dist/o": "2"})
    assert sight.look()[0] is None
    write_files(root, {"core/a": "other"})
    found, _ = sight.look()
    assert found is not None
    assert found.affected.touched == {"core"}
    assert list(found.affected.packages) == ["core", "app"]
    assert sight.is_urgent(found)
    write_files(root, {"app/new/file": ""})
    sight.before_build()
    assert sight.look()[0] is None
    (root / "buildnet.yaml").write_text(DEFINITION.replace("make,", "make all,", 1))
    found, _ = sight.look()
    assert found is not None
    assert found.impact is Impact.FULL_REBUILD
    assert not opened.may_be_forgotten  # somebody listens


def test_what_a_build_of_its_own_has_taken_in_is_not_seen_again(
    opened: OpenWorkspace, workspaces: Workspaces, tmp_path: Path
) -> None:
    sight, listener, happened = sight_of(opened)
    opened.look([listener])
    if opened.not_watched is not None:
        pytest.skip(opened.not_watched)
    opened.watch("core")
    root = write_files(tmp_path / "shop", {"core/a": "2"})
    opened.look()  # of a build that others asked for
    found, looks = sight.look()
    assert found is not None
    assert (found.paths, looks) == (("core/a",), 1)
    write_files(root, {"core/a": "3", "core/b": ""})
    opened.look([listener])
    assert sight.look()[0] is None
    assert happened.count("look") == 2
    assert "news" in happened
    opened.leave(listener)
    workspaces.close()


def test_all_sources_are_watched_before_a_build_that_may_read_none_of_them(
    opened: OpenWorkspace, workspaces: Workspaces, tmp_path: Path
) -> None:
    sight, listener, _ = sight_of(opened)
    sight.before_build()
    if opened.not_watched is not None:
        pytest.skip(opened.not_watched)
    opened.look([listener])
    assert sight.look()[0] is None
    write_files(tmp_path / "shop", {"app/a": "2"})
    found, _ = sight.look()
    assert found is not None
    assert found.paths == ("app/a",)
    # Where what was asked for is not there any more, all packages count.
    (tmp_path / "shop/buildnet.yaml").write_text(DEFINITION.replace("name: app", "name: other"))
    workspaces.find(tmp_path / "shop")
    found, _ = sight.look()
    assert found is not None
    assert found.impact is Impact.FULL_REBUILD
    workspaces.close()


def test_paths_are_named_file_by_file_and_what_is_gone_may_have_been_a_directory(
    opened: OpenWorkspace, tmp_path: Path
) -> None:
    write_files(tmp_path / "shop", {"core/new/deep/x": "", "core/new/node_modules/y": ""})
    dirt = Dirt(frozenset({"core/new", "core/a", "core/gone", "core/node_modules"}))
    assert sorted(changed_paths(opened, dirt)) == [
        *("core/a", "core/gone/", "core/new/deep/x", "core/node_modules/"),
    ]
    assert changed_paths(opened, EVERYTHING) == [""]
