"""Trees are removed however deep they are, and nothing beside them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildnet.node.execute.removal import discard, remove_tree


def test_very_deep_trees_are_removed(tmp_path: Path) -> None:
    """Deeper than a path may be long."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove_tree(tmp_path / "deep")
    assert not (tmp_path / "deep").exists()


def test_removal_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to("kept")
    remove_tree(tmp_path / "tree")
    remove_tree(tmp_path / "link")
    remove_tree(tmp_path / "missing")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "file").exists()


def test_what_cannot_be_removed_is_moved_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stage").mkdir()

    def refuse(_: Path) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr("buildnet.node.execute.removal.remove_tree", refuse)
    discard(tmp_path / "stage")
    assert [path.name for path in tmp_path.iterdir()] == ["stage.undeletable-0"]
