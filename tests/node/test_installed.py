"""Noticing that somebody changed an installed node_modules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildnet.node.installed import changed_by_hand

INSTALLED_S = 1_700_000_000
LATER_S = INSTALLED_S + 3600


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "node_modules/.package-lock.json",
        "node_modules/left/index.js",
        "node_modules/.cache/tool/x",
        "packages/a/node_modules/right/index.js",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    for path in tmp_path.rglob("*"):
        os.utime(path, (INSTALLED_S, INSTALLED_S))
    return tmp_path


MEMBERS = ("", "packages/a", "packages/none")


def test_an_untouched_tree_serves(root: Path) -> None:
    assert changed_by_hand(root, MEMBERS) is None


@pytest.mark.parametrize(
    "name", ["node_modules/left/index.js", "packages/a/node_modules/right/index.js"]
)
def test_an_edited_file_is_named(root: Path, name: str) -> None:
    os.utime(root / name, (LATER_S, LATER_S))
    assert changed_by_hand(root, MEMBERS) == name


def test_a_linked_package_is_noticed(root: Path) -> None:
    (root / "node_modules/linked").symlink_to("/elsewhere")
    assert changed_by_hand(root, MEMBERS) == "node_modules/linked"


def test_caches_of_tools_do_not_count(root: Path) -> None:
    (root / "node_modules/.cache/tool/y").write_text("new")
    assert changed_by_hand(root, MEMBERS) is None


def test_without_a_note_nothing_is_known(root: Path) -> None:
    (root / "node_modules/.package-lock.json").unlink()
    assert changed_by_hand(root, MEMBERS) == "node_modules"


def test_a_file_that_goes_while_it_is_looked_for_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listed(list[os.DirEntry[str]]):
        def __enter__(self) -> Listed:
            return self

        def __exit__(self, *_: object) -> None: ...

    with os.scandir(root / "node_modules/left") as entries:
        listed = Listed(entries)
    (root / "node_modules/left/index.js").unlink()
    monkeypatch.setattr(os, "scandir", lambda directory: listed)
    assert changed_by_hand(root, MEMBERS) == "node_modules/left/index.js"
