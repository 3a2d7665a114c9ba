"""Directories that patterns of a workspace's declaration name, in any tree."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from buildnet.node.execute.removal import remove_tree
from buildnet.pool.detect.member_walk import MemberWalk


def test_members_are_found_and_what_is_not_wanted_is_not_looked_into(tmp_path: Path) -> None:
    for path in ("a", "b/c", "b/skipped/d", "e"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "go").touch()
    (tmp_path / "b/skipped/go").touch()
    walk = MemberWalk(tmp_path, "go", ["**", "!**/skipped", "!e"])
    assert walk.paths() == ("a", "b/c")
    assert "b/skipped/d" not in walk.seen


def test_no_tree_is_too_deep(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "go").touch()
    path = os.fspath(tmp_path)
    for _ in range(1200):
        path += "/d"
        os.mkdir(path)
    try:
        assert MemberWalk(tmp_path, "go", ["**"]).paths() == ("a",)
    finally:
        remove_tree(tmp_path / "d")  # pytest itself can't


def test_what_may_not_be_read_holds_no_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("a", "secret"):
        (tmp_path / path).mkdir()
        (tmp_path / path / "go").touch()
    scandir = os.scandir

    def refused(path: str) -> Any:
        if path.endswith("secret"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert MemberWalk(tmp_path, "go", ["**"]).paths() == ("a", "secret")
