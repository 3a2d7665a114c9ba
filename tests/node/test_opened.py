"""Which workspaces are open to others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.node.opened import OpenedWorkspaces, WorkspaceClosedError


def workspace(root: Path) -> Path:
    write_files(root, {"buildnet.yaml": "workspace: w\n", "a/in.txt": ""})
    return root.resolve()


def test_open_is_what_was_built_here_or_is_named(tmp_path: Path) -> None:
    built, named, other = (workspace(tmp_path / name) for name in ("built", "named/in", "other"))
    file = tmp_path / "opened.json"
    opened = OpenedWorkspaces(file, lambda: [tmp_path / "named"])
    opened.opened(built)
    (tmp_path / "link").symlink_to(other)
    (built / "out").symlink_to(other)
    for place in (opened, OpenedWorkspaces(file, lambda: [tmp_path / "named"])):
        assert place.require(built / "a") == built / "a"
        assert place.require(named) == named
        for closed in (
            other,
            tmp_path / "link",
            built / "out",
            built / ".." / "other",
            built / ".." / "none",
            Path("/"),
            Path("/proc/self/root"),
            Path("relative"),
            Path("\0"),
        ):
            with pytest.raises(WorkspaceClosedError):
                place.require(closed)


def test_where_the_list_can_not_be_read_nothing_is_open(tmp_path: Path) -> None:
    root, file = workspace(tmp_path / "w"), tmp_path / "opened.json"
    file.write_text("{")
    with pytest.raises(WorkspaceClosedError):
        OpenedWorkspaces(file, tuple).require(root)


def test_what_is_open_and_there_is_listed_the_latest_first(tmp_path: Path) -> None:
    first, second, gone = (workspace(tmp_path / name) for name in ("first", "second", "gone"))
    named = workspace(tmp_path / "named")
    opened = OpenedWorkspaces(tmp_path / "opened.json", lambda: [named, second, tmp_path / "none"])
    for root in (first, gone, second):
        opened.opened(root)
    (gone / "buildnet.yaml").unlink()
    assert opened.roots() == [second, first, named]
    assert opened.gone() == []


def test_what_is_gone_is_told_and_what_is_forgotten_stays_so(tmp_path: Path) -> None:
    first, second = (workspace(tmp_path / name) for name in ("first", "second"))
    file = tmp_path / "opened.json"
    opened = OpenedWorkspaces(file, lambda: [second])
    for root in (first, second):
        opened.opened(root)
    shutil.rmtree(first)
    assert (opened.roots(), opened.gone()) == ([second], [first])
    assert opened.forget(first)
    assert not opened.forget(first)
    assert opened.forget(second)
    assert opened.require(second) == second, "node.yaml names it"
    for place in (opened, OpenedWorkspaces(file, tuple)):
        assert place.gone() == []
    with pytest.raises(WorkspaceClosedError):
        OpenedWorkspaces(file, tuple).require(second)


def test_what_lies_around_a_directory_that_is_a_workspace_no_more_is_not_listed(
    tmp_path: Path,
) -> None:
    around = workspace(tmp_path)
    inner, named, there = (workspace(around / name) for name in ("inner", "named", "there"))
    opened = OpenedWorkspaces(tmp_path / "opened.json", lambda: [named])
    for root in (inner, there):
        opened.opened(root)
    for root in (inner, named):
        (root / "buildnet.yaml").unlink()
    assert opened.roots() == [there]
