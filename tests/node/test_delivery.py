"""Outputs into the workspace: exact, stable, and never half old and half new."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.execute.declared import has_patterns
from buildnet.node.execute.delivery import DeliveryReport, deliver, stale_outputs
from buildnet.node.execute.errors import DeliveryError
from buildnet.node.execute.removal import remove_tree
from buildnet.node.store.store import Store
from buildnet.pool.tree import DirectoryTree, FileEntry, Leaf, LinkEntry


class Workspace:
    """A workspace that outputs are delivered to."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "workspace"
        self.root.mkdir()
        self.store = Store.open(directory / "store", 1 << 30)
        self.table = self.store.file_table("workspace")

    def tree(self, files: Mapping[str, str | Leaf]) -> DirectoryTree:
        return DirectoryTree.from_paths(
            {
                path: FileEntry(self.store.put(content.encode()))
                if isinstance(content, str)
                else content
                for path, content in files.items()
            }
        )

    def deliver(self, outputs: DirectoryTree | Mapping[str, str | Leaf], *declared: str) -> str:
        """Deliver; returns ``written kept removed``."""
        tree = outputs if isinstance(outputs, DirectoryTree) else self.tree(outputs)
        report: DeliveryReport = deliver(tree, declared, self.root, self.store, self.table)
        return f"{report.files_written} {report.files_kept} {report.files_removed}"

    def write(self, path: str, content: str = "") -> Path:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(content)
        return self.root / path

    def everything(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}

    def identities(self) -> dict[str, tuple[int, int, int]]:
        stats = {path: (self.root / path).lstat() for path in ("", *self.everything())}
        return {
            path: (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
            for path, status in stats.items()
        }


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path)
    with workspace.store:
        yield workspace


def test_outputs_come_exactly_as_the_tree_says(workspace: Workspace) -> None:
    tool = FileEntry(workspace.store.put(b"tool"), executable=True)
    tree = workspace.tree(
        {"a/dist/x": "x", "a/dist/bin/tool": tool, "a/dist/l": LinkEntry("x"), "b.txt": "b"}
    ).merged(DirectoryTree({"empty": DirectoryTree({})}).placed_at("a/dist"))
    assert workspace.deliver(tree, "a/dist", "b.txt") == "4 0 0"
    assert workspace.everything() == {
        *("a", "a/dist", "a/dist/x", "a/dist/bin", "a/dist/bin/tool", "a/dist/l", "a/dist/empty"),
        "b.txt",
    }
    assert (workspace.root / "a/dist/l").readlink() == Path("x")
    assert stat.S_IMODE((workspace.root / "a/dist/bin/tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((workspace.root / "a/dist/x").stat().st_mode) == 0o644


def test_what_is_in_place_is_not_touched(workspace: Workspace) -> None:
    files: dict[str, str | Leaf] = {"dist/x": "x", "dist/l": LinkEntry("x"), "one": "1"}
    workspace.deliver(files, "dist", "one")
    before = workspace.identities()
    assert workspace.deliver(files, "dist", "one") == "0 3 0"
    assert workspace.identities() == before


def test_only_what_is_not_in_place_is_copied(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[str] = []
    copy_to = workspace.store.copy_to

    def counted(digest: Digest, place: str, *arguments: Any, **more: Any) -> Any:
        copies.append(Path(place).name)
        return copy_to(digest, place, *arguments, **more)

    monkeypatch.setattr(workspace.store, "copy_to", counted)
    files: dict[str, str | Leaf] = {"dist/a": "1", "dist/deep/b": "2", "one": "3"}
    workspace.deliver(files, "dist", "one")
    assert sorted(copies) == ["a", "b", "one"]
    copies.clear()
    workspace.deliver(files, "dist", "one")
    assert copies == []
    workspace.write("dist/deep/b", "altered")
    workspace.deliver(files, "dist", "one")
    assert copies == ["b"]


def test_unchanged_files_of_a_changed_directory_keep_inode_and_time(workspace: Workspace) -> None:
    workspace.deliver({"dist/same": "same", "dist/deep/same": "2", "dist/old": "old"}, "dist")
    kept = [workspace.root / "dist/same", workspace.root / "dist/deep/same"]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in kept]
    files = {"dist/same": "same", "dist/deep/same": "2", "dist/new": "new"}
    assert workspace.deliver(files, "dist") == "1 2 1"
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in kept] == before
    assert [path.stat().st_nlink for path in kept] == [1, 1]
    assert not (workspace.root / "dist/old").exists()
    assert {name for name in workspace.everything() if ".buildnet" in name} == set()


def test_altered_bytes_and_modes_are_repaired(workspace: Workspace) -> None:
    workspace.deliver({"dist/x": "right", "dist/y": "y"}, "dist")
    (workspace.root / "dist/x").write_text("wrong")
    (workspace.root / "dist/y").chmod(0o755)
    assert workspace.deliver({"dist/x": "right", "dist/y": "y"}, "dist") == "2 0 0"
    assert (workspace.root / "dist/x").read_text() == "right"
    assert stat.S_IMODE((workspace.root / "dist/y").stat().st_mode) == 0o644


def test_kinds_replace_each_other(workspace: Workspace) -> None:
    workspace.write("file", "a file where a directory should be")
    workspace.write("directory/deep/x")
    workspace.write("elsewhere/kept")
    (workspace.root / "link").symlink_to("elsewhere")
    files = {"file/x": "1", "directory": "2", "link/y": "3"}
    assert workspace.deliver(files, "file", "directory", "link") == "3 0 1"
    assert (workspace.root / "file/x").read_text() == "1"
    assert (workspace.root / "directory").read_text() == "2"
    assert not (workspace.root / "link").is_symlink()
    assert (workspace.root / "elsewhere/kept").exists()


def test_optional_directories_that_are_gone_go(workspace: Workspace) -> None:
    workspace.write("maybe/deep/x")
    workspace.write("kept/x")
    assert workspace.deliver({}, "maybe/**", "never/was/**") == "0 0 1"
    assert workspace.everything() == {"kept", "kept/x"}


def test_files_of_patterns_are_written_one_by_one(workspace: Workspace) -> None:
    workspace.write("src/source.js", "mine")
    files = {"src/made.js": "made", "dist/x": "x"}
    assert workspace.deliver(files, "src/*.js", "dist") == "2 0 0"
    assert workspace.everything() == {
        *("src", "src/source.js", "src/made.js", "dist", "dist/x"),
    }
    assert workspace.deliver(files, "src/*.js", "dist") == "0 2 0"


def test_the_table_learns_what_was_delivered(workspace: Workspace) -> None:
    workspace.deliver({"dist/x": "x", "one": "1"}, "dist", "one")
    assert workspace.table.previous("dist/x") == Digest.of(b"x")
    assert workspace.table.previous("one") == Digest.of(b"1")
    workspace.deliver({"dist/y": "y", "one": "1"}, "dist", "one")
    assert workspace.table.previous("dist/x") is None
    assert workspace.table.previous("dist/y") == Digest.of(b"y")


def test_a_change_that_comes_in_between_is_not_taken_for_the_output(workspace: Workspace) -> None:
    """Same size, same second, right after delivery: the next delivery must see it."""
    for _ in range(20):
        workspace.deliver({"dist/x": "right"}, "dist")
        (workspace.root / "dist/x").write_text("wrong")
        workspace.deliver({"dist/x": "right"}, "dist")
        assert (workspace.root / "dist/x").read_text() == "right"


@pytest.mark.parametrize("path", ["out", "out/deep", "a/out/deep"])
def test_places_outside_of_the_workspace_are_refused(
    workspace: Workspace, tmp_path: Path, path: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    link = workspace.root / path.removesuffix("/deep")
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(DeliveryError, match="leads out") as caught:
        workspace.deliver({f"{path}/x": "x"}, path)
    assert caught.value.hint
    assert [path.name for path in outside.iterdir()] == ["precious"]
    with pytest.raises(DeliveryError):
        workspace.deliver({}, f"{path}/**")
    assert (outside / "precious").exists()


@pytest.mark.parametrize("path", ["", ".", "..", "../x", "a/../../x"])
def test_hostile_paths_are_refused(workspace: Workspace, path: str) -> None:
    with pytest.raises(DeliveryError):
        workspace.deliver(DirectoryTree({}), path)
    assert workspace.root.exists()


def test_a_file_in_the_way_of_a_parent_is_an_error(workspace: Workspace) -> None:
    workspace.write("a", "mine")
    with pytest.raises(DeliveryError, match="not a directory"):
        workspace.deliver({"a/dist/x": "x"}, "a/dist")
    assert (workspace.root / "a").read_text() == "mine"


def test_a_read_only_place_is_an_error_and_stays_as_it_was() -> None:
    directory = Path(tempfile.mkdtemp(prefix="buildnet-test-"))
    root = os.geteuid() == 0
    if root:  # permissions do not bind root
        os.chown(directory, 65534, 65534)
        os.seteuid(65534)
    try:
        workspace = Workspace(directory)
        with workspace.store:
            workspace.write("a/dist/old", "old")
            (workspace.root / "a").chmod(0o555)
            with pytest.raises(DeliveryError, match="a/dist can't be put") as caught:
                workspace.deliver({"a/dist/new": "new"}, "a/dist")
            assert "writable" in (caught.value.hint or "")
            assert workspace.everything() == {"a", "a/dist", "a/dist/old"}
            (workspace.root / "a").chmod(0o755)
            (workspace.root / "a/dist").chmod(0o555)  # a directory that a tool made read-only
            assert workspace.deliver({"a/dist/new": "new"}, "a/dist") == "1 0 1"
    finally:
        if root:
            os.seteuid(0)
        remove_tree(directory)


def test_the_old_directory_comes_back_if_the_new_one_cannot_take_its_place(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write("a/dist/old", "old")
    rename = os.rename
    refused: list[str] = []

    def refuse_once(source: str, target: str) -> None:
        if Path(target).name == "dist" and not refused:
            refused.append(source)
            raise OSError(16, "Device or resource busy")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse_once)
    with pytest.raises(DeliveryError):
        workspace.deliver({"a/dist/new": "new"}, "a/dist")
    assert refused
    assert workspace.everything() == {"a", "a/dist", "a/dist/old"}


def test_leftovers_of_dead_runs_are_removed(workspace: Workspace) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    left = f".buildnet-{dead.pid}-0123abcd-7"
    own_before_restart = f".buildnet-{os.getpid()}-0123abcd-7"
    living = f".buildnet-{os.getppid()}-0123abcd-7"
    for name in (left, own_before_restart, living, ".buildnet-mine"):
        workspace.write(f"a/{name}/x")
    workspace.deliver({"a/dist/x": "x"}, "a/dist")
    names = {path.name for path in (workspace.root / "a").iterdir()}
    assert names == {"dist", living, ".buildnet-mine"}


DELIVER_FOR_EVER = """
import itertools, sys
from pathlib import Path
from typing import Any
from buildnet.node.execute.delivery import deliver
from buildnet.node.store.store import Store
from buildnet.pool.tree import DirectoryTree, FileEntry

directory = Path(sys.argv[1])
with Store.open(directory / "store", 1 << 30) as store:
    for number in itertools.count():
        content = FileEntry(store.put(b"version %d" % (number % 7)))
        names = [f"file{index}" for index in range(30)]
        dist = DirectoryTree(dict.fromkeys(names, content))
        outputs = DirectoryTree({"dist": dist, "one": content})
        deliver(outputs, ("dist", "one"), directory / "workspace", store, store.file_table("w"))
        if number == 20:
            print("delivered", flush=True)
"""


@pytest.mark.parametrize("kilobytes", [0, 3, 40, 90])
def test_kill_leaves_the_old_the_new_or_nothing(tmp_path: Path, kilobytes: int) -> None:
    """Killed at whatever point it has reached while this process reads some bytes."""
    (tmp_path / "workspace").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", DELIVER_FOR_EVER, tmp_path], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"delivered\n"
        with Path("/dev/urandom").open("rb") as source:
            source.read(kilobytes << 10)
        process.send_signal(signal.SIGKILL)
    dist = tmp_path / "workspace" / "dist"
    if dist.exists():
        contents = {path.read_text() for path in dist.iterdir()}
        assert len(list(dist.iterdir())) == 30
        assert len(contents) == 1
    assert (tmp_path / "workspace" / "one").read_text().startswith("version ")
    with Store.open(tmp_path / "store", 1 << 30) as store:
        outputs = DirectoryTree({"dist": DirectoryTree({"file": FileEntry(store.put(b"after"))})})
        deliver(outputs, ("dist",), tmp_path / "workspace", store, store.file_table("w"))
    assert {path.name for path in (tmp_path / "workspace").iterdir()} == {"dist", "one"}
    assert [path.name for path in dist.iterdir()] == ["file"]


# What patterns matched before


def _replace(
    workspace: Workspace, before: DirectoryTree, now: DirectoryTree, *declared: str
) -> DeliveryReport:
    stale = stale_outputs(before.leaves(), now, declared)
    return deliver(now, declared, workspace.root, workspace.store, workspace.table, stale=stale)


def test_what_a_pattern_no_longer_finds_goes_and_all_else_stays(workspace: Workspace) -> None:
    before = workspace.tree(
        {
            "a/1.txt": "1",
            "a/2.txt": "2",
            "a/3.txt": "3",
            "a/4.txt": LinkEntry("1.txt"),
            "a/5.txt": LinkEntry("1.txt"),
            "a/2.md": "not declared now",
            "a/run.txt": FileEntry(workspace.store.put(b"run"), executable=True),
        }
    )
    workspace.deliver(before, "a/*.txt", "a/*.md")
    workspace.write("a/3.txt", "own")
    workspace.write("a/own.txt", "own")
    (workspace.root / "a/5.txt").unlink()
    (workspace.root / "a/5.txt").symlink_to("own.txt")
    (workspace.root / "a/run.txt").chmod(0o644)
    report = _replace(workspace, before, workspace.tree({"a/1.txt": "1"}), "a/*.txt")
    assert (report.files_written, report.files_kept, report.files_removed) == (0, 1, 3)
    left = {"a", "a/1.txt", "a/3.txt", "a/5.txt", "a/own.txt", "a/2.md"}
    assert workspace.everything() == left


def test_a_stale_file_can_become_a_directory_and_a_directory_a_file(workspace: Workspace) -> None:
    before = workspace.tree({"out/x.txt": "file", "out/y.txt/z.txt": "below"})
    workspace.deliver(before, "out/**/*.txt")
    now = workspace.tree({"out/x.txt/z.txt": "below", "out/y.txt": "file"})
    _replace(workspace, before, now, "out/**/*.txt")
    assert (workspace.root / "out/x.txt/z.txt").read_text() == "below"
    assert (workspace.root / "out/y.txt").read_text() == "file"


def test_whole_directories_have_no_stale_files_of_their_own(workspace: Workspace) -> None:
    before = workspace.tree({"dist/1.txt": "1", "plain/1.txt": "1", "x.txt": "1"})
    stale = stale_outputs(before.leaves(), DirectoryTree({}), ("dist/**", "plain", "**/*.txt"))
    assert stale.keys() == {"x.txt"}
    assert not has_patterns(("dist/**", "plain"))
    assert has_patterns(("dist/**", "*.txt"))
    assert has_patterns(("*/dist/**",))


def test_nothing_is_removed_through_a_link(workspace: Workspace, tmp_path: Path) -> None:
    before = workspace.tree({"a/out/1.txt": "1"})
    elsewhere = workspace.write("elsewhere/1.txt", "1")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1.txt").write_text("1")
    (workspace.root / "a").mkdir()
    for target in (elsewhere.parent, outside):
        (workspace.root / "a/out").symlink_to(target)
        report = _replace(workspace, before, DirectoryTree({}), "a/out/*.txt")
        assert report.files_removed == 0
        assert (target / "1.txt").exists()
        (workspace.root / "a/out").unlink()


def test_a_workspace_that_is_gone_is_told_as_that(workspace: Workspace) -> None:
    tree = workspace.tree({"dist/x": "x"})
    workspace.root.rmdir()
    with pytest.raises(DeliveryError, match=f"{workspace.root} is gone") as caught:
        workspace.deliver(tree, "dist")
    assert "while it was built" in (caught.value.cause or "")
    assert "build again" in (caught.value.hint or "")
    assert not workspace.root.exists()
