"""What git tells of a workspace's changes, and that a repository can't make it do anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.node import git_changes
from buildnet.node.git_changes import (
    GitError,
    NotARepositoryError,
    UnknownRevisionError,
    changes_since,
)
from testbed.git import commit, git, repository


def paths(root: Path, revision: str = "main") -> set[str]:
    return set(changes_since(root, revision).paths)


def test_all_kinds_of_changes_are_told_once_and_below_the_workspace_alone(tmp_path: Path) -> None:
    same = {name: f"{name}\n" * 20 for name in ("staged", "unstaged", "gone", "moved", "same")}
    inside = {f"shop/{name}": text for name, text in same.items()}
    repository(tmp_path, {**inside, "outside": "", ".gitignore": "*.o\n"})
    git(tmp_path, "switch", "-qc", "work")
    write_files(tmp_path, {"shop/committed": "", "outside": "other"})
    commit(tmp_path)
    root = tmp_path / "shop"
    (root / "staged").write_text("other")
    git(root, "add", "staged")
    (root / "unstaged").write_text("other")
    (root / "gone").unlink()
    git(root, "mv", "moved", 'ümläut\n and "quotes"')
    write_files(root, {"new/file": "", "new/ignored.o": ""})
    (root / "same").touch()
    assert paths(root) == {
        *("committed", "staged", "unstaged", "gone", "moved"),
        *('ümläut\n and "quotes"', "new/file"),
    }
    git(tmp_path, "switch", "-q", "main", "--discard-changes")
    write_files(tmp_path, {"shop/later-on-main": ""})
    commit(tmp_path)
    git(tmp_path, "switch", "-q", "work")
    assert "later-on-main" not in paths(root)
    assert "committed" in paths(root)


def test_directories_may_have_lines_in_their_names(tmp_path: Path) -> None:
    top = repository(tmp_path / "of\ntwo lines", {"shop\n/x/a\nb": "", "other": ""})
    write_files(top, {"shop\n/x/a\nb": "edited", "other": "edited"})
    assert paths(top / "shop\n/x") == {"a\nb"}


def test_what_is_none_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(NotARepositoryError, match="no working tree"):
        changes_since(tmp_path, "main")
    root = tmp_path / "shop"
    root.mkdir()
    git(root, "init", "-qb", "main")
    with pytest.raises(UnknownRevisionError, match="no revision 'main'"):
        changes_since(root, "main")
    repository(root, {"a": ""})
    for wrong in ("nope", "--output=x", "", "a\0b", "x" * 1000):
        with pytest.raises(UnknownRevisionError):
            changes_since(root, wrong)
    git(root, "switch", "-q", "--orphan", "other")
    write_files(root, {"b": ""})
    commit(root)
    with pytest.raises(UnknownRevisionError, match="no commit in common"):
        changes_since(root, "main")
    assert not (root / "x").exists()


def test_a_shallow_clone_is_told_how_to_get_the_rest(tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin", {"a": ""})
    write_files(origin, {"b": ""})
    commit(origin)
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{origin}", "clone")
    with pytest.raises(UnknownRevisionError) as caught:
        changes_since(tmp_path / "clone", "HEAD~1")
    assert "--unshallow" in (caught.value.hint or "")


def test_a_submodule_and_what_links_lead_to_count(tmp_path: Path) -> None:
    part = repository(tmp_path / "part", {"a": "", "b": ""})
    root = repository(tmp_path / "shop", {"data/x": "", "app/main": ""})
    git(root, "submodule", "add", "-q", str(part), "vendor/part")
    (root / "app/data").symlink_to("../data")
    commit(root)
    assert paths(root) == set()
    (root / "vendor/part/a").write_text("edited")
    write_files(root, {"vendor/part/new": "", "data/x": "edited"})
    assert paths(root) == {"vendor/part/a", "vendor/part/new", "data/x", "app/data"}
    commit(root / "vendor/part")
    assert "vendor/part/" in paths(root)


def test_a_repository_makes_git_run_nothing_and_write_nothing(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "shop",
        {"a": "1", "b.txt": "", "c": "", ".gitattributes": "* filter=f\nc filter=a=b\n"},
    )
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
    program.chmod(0o755)
    for name in (
        "core.fsmonitor",
        "filter.a=b.clean",
        "filter.f.clean",
        "filter.f.process",
        "diff.external",
    ):
        git(root, "config", name, str(program))
    git(root, "config", "filter.f.required", "true")
    git(root, "config", "core.pager", str(program))
    (root / ".git/hooks").mkdir(exist_ok=True)
    (root / ".git/hooks/post-index-change").symlink_to(program)
    (root / "a").write_text("2")
    (root / "b.txt").touch()
    (root / "c").touch()
    index = (root / ".git/index").read_bytes()
    assert paths(root) == {"a"}
    assert not ran.exists()
    assert (root / ".git/index").read_bytes() == index


def test_too_much_counts_as_everything_and_no_git_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path / "shop", {"a": ""})
    write_files(root, {f"new-{number}": "" for number in range(4)})
    monkeypatch.setattr(git_changes, "MOST_PATHS", 2)
    assert changes_since(root, "main").paths == ("",)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GitError, match="can't be run"):
        changes_since(root, "main")
