"""What is taken out of what a command left: what is declared, and what holds elsewhere too."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tests.node.stored_trees import tree_of

from buildnet.mesh.digest import Digest
from buildnet.node.execute.collection import UNDECLARED_SHOWN, Collector
from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.node.execute.errors import OutputError
from buildnet.node.execute.staging import SOURCE_EPOCH_S
from buildnet.node.store.store import Store
from buildnet.pool.tree import DirectoryTree, FileEntry, LinkEntry


class Collecting:
    """A directory with files in it, as a command may leave it."""

    def __init__(self, root: Path, store: Store) -> None:
        self.root = root
        self.store = store
        root.mkdir()

    def write(self, path: str, content: str = "", mode: int = 0o644) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(content)
        (self.root / path).chmod(mode)

    def collector(self, *outputs: str, inputs: DirectoryTree | None = None) -> Collector:
        return Collector(
            self.root,
            inputs or DirectoryTree({}),
            DeclaredOutputs(outputs),
            lambda path, status: status.st_mtime != SOURCE_EPOCH_S,
        )

    def collect(self, *outputs: str, inputs: DirectoryTree | None = None) -> DirectoryTree:
        return self.collector(*outputs, inputs=inputs).collect(self.store)


@pytest.fixture
def left(tmp_path: Path, store: Store) -> Collecting:
    return Collecting(tmp_path / "left", store)


def entry(content: str, *, executable: bool = False) -> FileEntry:
    return FileEntry(Digest.of(content.encode()), executable)


def test_directories_files_and_links_are_collected(left: Collecting) -> None:
    left.write("a/dist/index.js", "x")
    left.write("a/dist/bin/tool", "y", 0o6710)
    left.write("a/other", "not declared")
    left.write("b.txt", "z", 0o600)
    (left.root / "a/dist/link").symlink_to("bin/tool")
    (left.root / "a/dist/empty").mkdir()
    tree = left.collect("a/dist", "b.txt")
    assert dict(tree.leaves()) == {
        "a/dist/bin/tool": FileEntry(Digest.of(b"y"), True, 0o710),  # not set-user-id
        "a/dist/index.js": entry("x"),
        "a/dist/link": LinkEntry("bin/tool"),
        "b.txt": FileEntry(Digest.of(b"z"), False, 0o600),
    }
    empty = tree.find("a/dist/empty")
    assert isinstance(empty, DirectoryTree)
    assert not empty.entries
    assert left.store.get(Digest.of(b"y")) == b"y"


def test_missing_plain_outputs_are_named_and_optional_ones_are_not(left: Collecting) -> None:
    left.write("dist/index.js")
    collector = left.collector("dist", "lib", "dist/types.d.ts", "maybe/**", "*.log")
    assert collector.missing() == ("lib", "dist/types.d.ts")
    assert left.collect("maybe/**").entries == {}


def test_patterns_take_what_was_written(left: Collecting) -> None:
    for path in ("src/old.js", "src/new.js", "src/deep/er/new.js", "src/new.ts", "gone/x.js"):
        left.write(path, path)
    os.utime(left.root / "src/old.js", (SOURCE_EPOCH_S, SOURCE_EPOCH_S))
    tree = left.collect("src/**/*.js", "gone/**", "absent/*.js")
    assert [path for path, _ in tree.leaves()] == ["gone/x.js", "src/deep/er/new.js", "src/new.js"]


def test_undeclared_files_are_told(left: Collecting, store: Store) -> None:
    inputs = tree_of(store, {"src/a.js": b"a", "src/b.js": b"b"})
    left.write("src/a.js", "a")
    os.utime(left.root / "src/a.js", (SOURCE_EPOCH_S, SOURCE_EPOCH_S))
    left.write("src/b.js", "changed")
    left.write("dist/index.js")
    left.write("report/x.txt")
    left.write("node_modules/.cache/y")
    left.write("src/__pycache__/z.pyc")
    assert left.collector("dist", inputs=inputs).undeclared() == ("report/x.txt", "src/b.js")
    for number in range(50):
        left.write(f"many/{number}")
    assert len(left.collector("dist", inputs=inputs).undeclared()) == UNDECLARED_SHOWN


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/etc/hosts", "leads out of the workspace"),
        ("../../../x", "leads out of the workspace"),
        ("../secret", "no output and no input"),
    ],
)
def test_links_that_would_not_hold_elsewhere_are_errors(
    left: Collecting, target: str, reason: str
) -> None:
    left.write("dist/index.js")
    (left.root / "dist/link").symlink_to(target)
    with pytest.raises(OutputError, match=f"dist/link is a symbolic link .*{reason}") as caught:
        left.collect("dist")
    assert caught.value.hint


def test_a_link_to_an_input_is_kept(left: Collecting, store: Store) -> None:
    left.write("dist/index.js")
    (left.root / "dist/link").symlink_to("../src/a.js")
    tree = left.collect("dist", inputs=tree_of(store, {"src/a.js": b"a"}))
    assert tree.find("dist/link") == LinkEntry("../src/a.js")


def test_an_output_reached_through_a_link_is_an_error(left: Collecting) -> None:
    left.write("real/index.js")
    (left.root / "dist").symlink_to("real")
    with pytest.raises(OutputError, match="dist is a symbolic link"):
        left.collect("dist/index.js")


def test_special_files_and_names_are_errors(left: Collecting) -> None:
    (left.root / "pipe").mkdir()
    os.mkfifo(left.root / "pipe" / "p")
    with pytest.raises(OutputError, match="pipe/p is a named pipe"):
        left.collect("pipe")
    (left.root / "sock").mkdir()
    with socket.socket(socket.AF_UNIX) as unix:
        place = Path.cwd()
        os.chdir(left.root / "sock")  # the address of a socket may not be long
        try:
            unix.bind("s")
        finally:
            os.chdir(place)
        with pytest.raises(OutputError, match="sock/s is a socket"):
            left.collect("sock")
    (left.root / "names").mkdir()
    try:
        Path(os.fsdecode(os.fsencode(left.root / "names") + b"/caf\xe9")).touch()
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    with pytest.raises(OutputError, match="not UTF-8"):
        left.collect("names")


def test_declared_outputs_by_kind() -> None:
    declared = DeclaredOutputs(
        ["a/dist", "a/dist/types/**", "b/**", "c/*.js", "a/dist.js", r"\[x\]"]
    )
    assert declared.plain == ("a/dist", "a/dist.js", "[x]")
    assert declared.optional == ("a/dist/types", "b")
    assert declared.outermost() == ("[x]", "a/dist", "a/dist.js", "b")
    assert declared.covers("a/dist/deep/x")
    assert declared.covers("c/x.js")
    assert not declared.covers("c/d/x.js")
    assert not declared.covers("a/distant")
