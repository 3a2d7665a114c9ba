"""When a definition is read again, and when not even looked at."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.node.definition_files import DefinitionFiles, Stamp
from buildnet.node.workspaces import OpenWorkspace, Workspaces
from buildnet.pool.workspace import WorkspaceError, load_workspace

YAML = "workspace: w\npackages:\n- {name: a, path: in/a}\n- {name: b, path: in/b}\n"
DESCRIBED = {"buildnet.yaml": YAML, "in/a/src/x": "", "in/b/x": ""}
MANIFEST = '{"name": "%s", "scripts": {"build": "true"}}'
DETECTED = {
    "package.json": '{"name": "w", "workspaces": ["in/*"]}',
    "in/a/package.json": MANIFEST % "a",
    "in/a/src/x": "",
    "in/b/package.json": MANIFEST % "b",
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is told")


class Found:
    """A workspace that is asked for again and again, as builds do."""

    def __init__(self, root: Path, cookies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.workspaces = Workspaces(cookies)
        self.stamps = 0
        stamp = DefinitionFiles.stamp

        def counted(files: DefinitionFiles) -> Stamp:
            self.stamps += 1
            return stamp(files)

        monkeypatch.setattr(DefinitionFiles, "stamp", counted)
        # Nothing here is too new.
        monkeypatch.setattr(DefinitionFiles, "are_settled", lambda *_: True)

    def build(self) -> OpenWorkspace:
        """Find it and look at what changed, as a build does."""
        opened = self.workspaces.find(self.root)
        opened.look()
        return opened

    def looks(self) -> int:
        """Return how often a build looks at the files."""
        before = self.stamps
        self.build()
        return self.stamps - before


@pytest.fixture(params=[DESCRIBED, DETECTED], ids=["described", "detected"])
def found(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Found]:
    root = write_files(tmp_path / "w", request.param)
    found = Found(root, tmp_path / "cookies", monkeypatch)
    for _ in range(3):
        found.build()
    yield found
    found.workspaces.close()


def test_what_is_watched_is_not_looked_at(found: Found) -> None:
    assert found.looks() == 0
    (found.root / "in/a/src/x").write_text("other")
    (found.root / "in/a/src/y").write_text("new")
    assert found.looks() == 0


def test_a_change_is_noticed_whenever_it_is_told(found: Found) -> None:
    before = found.build().definition
    opened = found.workspaces.find(found.root)
    file = next(path for path in found.root.iterdir() if path.is_file())
    file.write_text(file.read_text() + "\n")
    opened.look()  # the files are told of it first
    assert found.build().definition is not before


def test_a_new_file_at_the_root_is_looked_at(found: Found) -> None:
    (found.root / "package-lock.json").write_text("{}")
    assert (found.root / "buildnet.yaml").exists() or found.looks() > 0


def test_outputs_that_are_put_in_place_again_change_nothing(found: Found) -> None:
    (found.root / "in/a/dist").mkdir()
    before = found.build().definition
    for number in range(2):
        new = found.root / f"in/a/.new{number}"
        new.mkdir()
        (found.root / "in/a/dist").rmdir()
        new.rename(found.root / "in/a/dist")
        assert found.build().definition is before
    found.build()
    assert found.looks() == 0


def test_a_directory_in_the_place_of_a_file_is_noticed(found: Found) -> None:
    file = found.root / "in/a/tsconfig.json"
    file.write_text("{}")
    before = found.build().definition
    file.unlink()
    file.mkdir()
    is_detected = not (found.root / "buildnet.yaml").exists()
    assert (found.build().definition is not before) == is_detected


def test_a_package_that_is_moved_away_and_back(found: Found) -> None:
    (found.root / "in/a").rename(found.root / "elsewhere")
    if (found.root / "buildnet.yaml").exists():
        for _ in range(2):
            with pytest.raises(WorkspaceError, match="a"):
                found.build()
    else:
        assert set(found.build().definition.workspace.packages) == {"b"}
    (found.root / "elsewhere").rename(found.root / "in/a")
    assert set(found.build().definition.workspace.packages) == {"a", "b"}


def test_a_directory_above_the_packages_is_moved_away(found: Found) -> None:
    (found.root / "in").rename(found.root / "elsewhere")
    if (found.root / "buildnet.yaml").exists():
        with pytest.raises(WorkspaceError):
            found.build()
    else:
        assert not found.build().definition.workspace.packages


def test_a_definition_with_a_second_name_is_looked_at_each_time(found: Found) -> None:
    file = next(path for path in found.root.iterdir() if path.is_file())
    os.link(file, found.root.parent / "second")
    file.touch()
    found.build()
    assert found.looks() == 1


def test_a_file_dated_in_whole_seconds_may_change_once_more_for_two(tmp_path: Path) -> None:
    file = write_files(tmp_path, DESCRIBED) / "buildnet.yaml"
    second_ns = time.time_ns() // 10**9 * 10**9
    os.utime(file, ns=(second_ns, second_ns))
    files = DefinitionFiles(load_workspace(tmp_path))
    files.remember()
    assert not files.are_settled(second_ns + 1_900_000_000)
    assert files.are_settled(second_ns + 3_000_000_000)


def test_a_plan_that_was_made_while_the_definition_was_read_anew_is_not_taken_again(
    found: Found,
) -> None:
    opened = found.build()
    before = opened.definition.workspace
    file = next(path for path in found.root.iterdir() if path.is_file())
    file.write_text(file.read_text() + "\n")
    now = found.build().definition.workspace
    assert opened.plan(before, ("a",), "build").workspace is before
    assert opened.plan(now, ("a",), "build").workspace is now


def test_a_watcher_that_is_closed_is_nobodys_any_more(
    found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = found.build()
    watcher = opened.watcher
    assert watcher is not None
    close, kept = watcher.close, []

    def closed() -> None:
        kept.append(opened.watcher)
        close()

    monkeypatch.setattr(watcher, "close", closed)
    opened.unwatch()
    opened.unwatch()
    assert kept == [None]  # what another thread would close a second time, or ask, while it closes
    assert found.build().not_watched is None


def test_a_directory_that_was_just_changed_may_change_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DefinitionFiles(load_workspace(write_files(tmp_path, DETECTED)))
    files.remember()
    stamp, now_ns = files._stamp, time.time_ns()
    monkeypatch.setattr(
        files,
        "_stamp",
        lambda name: (1, 1, now_ns, now_ns) if (tmp_path / name).is_dir() else stamp(name),
    )
    assert files.hold()  # nothing came or went
    write_files(tmp_path, {"in/c/package.json": MANIFEST % "c"})
    assert not files.hold()
