"""What is remembered between builds is what a reader without memory finds, whatever was done."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildnet.node.source_file import SourceError
from buildnet.node.source_memory import SourceMemory, fingerprint
from buildnet.node.sources import SourceReader, outputs_excluded
from buildnet.node.store.files import FileTable
from buildnet.node.store.store import Store
from buildnet.node.watch.audit import changed_silently
from buildnet.node.watch.watcher import Watcher
from buildnet.pool.tree import DirectoryTree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
OUTPUTS = outputs_excluded(("p/dist",))
QUESTIONS: tuple[tuple[tuple[str, ...], str | None], ...] = (
    (("p/src/**/*.a",), None),
    (("p/*.a", "!p/b.a"), None),
    ((), "p"),
    (("**/*.a",), None),
    (("q/a.a",), None),
)


class Kept:
    """A workspace with its memory and watcher."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "w"
        self.root.mkdir()
        self.store = Store.open(directory / "store", 1 << 30)
        self.table: FileTable = self.store.file_table("w")
        self.watcher = Watcher(self.root, directory / "cookies")
        self.memory = SourceMemory()

    def reader(self) -> SourceReader:
        self.memory.begin(str(self.root), self.watcher.refresh())
        return SourceReader(self.root, self.table, memory=self.memory, watch=self.watcher.watch)

    def close(self) -> None:
        self.watcher.close()
        self.store.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    if kept.watcher.problem is not None:
        kept.close()
        pytest.skip(f"no watching here: {kept.watcher.problem}")
    yield kept
    kept.close()


def found(reader: SourceReader) -> list[object]:
    answers: list[object] = []
    for patterns, default in QUESTIONS:
        try:
            answers.append(sorted(reader.tree(patterns, default, OUTPUTS).tree.leaves()))
        except SourceError:
            answers.append("refused")
    standing = reader.tree_of_outputs(("p/dist",))
    answers.append(None if standing is None else standing.digest)
    return answers


class NoTable:
    """Knows nothing: every file is read."""

    def lookup(self, path: str, stat: os.stat_result) -> None: ...

    def previous(self, path: str) -> None: ...

    def record(self, *given: object) -> None: ...


def truth(root: Path) -> list[object]:
    return found(SourceReader(root, NoTable()))


PLACES = st.sampled_from(
    ["p", "p/src", "p/src/x", "p/dist", "p/dist/x", "q", "p/src/a.a", "p/b.a", "q/a.a", "p/c", "l"]
)
ACTS = st.tuples(
    st.sampled_from(
        "write append again mkdir remove move move link hard mode ignore back look look".split()
    ),
    PLACES,
    PLACES,
)


def act(root: Path, what: str, one: str, other: str) -> None:
    path, there = root / one, root / other
    match what:
        case "write":
            path.write_text(f"{one} {other}")
        case "append":
            with path.open("a") as file:
                file.write("x")
        case "again":  # the same size in the same tick, and an old date
            status = path.stat()
            with path.open("r+") as file:
                file.write("z")
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "mkdir":
            path.mkdir(parents=True)
        case "remove" if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        case "remove":
            path.unlink()
        case "move":
            path.rename(there)
        case "link":
            path.symlink_to(os.path.relpath(there, path.parent))
        case "hard":
            os.link(there, path)
        case "mode":
            path.chmod(0o755 if path.stat().st_mode & 0o100 == 0 else 0o644)
        case "ignore":
            (path / ".gitignore").write_text(f"{there.name}\n")
        case "back":
            os.utime(path, ns=(1, 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTS, min_size=1, max_size=25))
def test_memory_and_truth_agree(acts: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        kept = Kept(Path(directory))
        if kept.watcher.problem is not None:
            kept.close()
            return
        try:
            (kept.root / "p" / "src").mkdir(parents=True)
            (kept.root / "p" / "src" / "a.a").write_text("a")
            for what, one, other in [*acts, ("look", "", "")]:
                if what == "look":
                    assert found(kept.reader()) == truth(kept.root)
                    continue
                try:
                    act(kept.root, what, one, other)
                except (OSError, ValueError):
                    continue
        finally:
            kept.close()


def test_one_edit_leaves_every_other_answer_and_subtree_as_it_is(kept: Kept) -> None:
    for name in ("p/src/x", "p/src/y", "q"):
        (kept.root / name).mkdir(parents=True)
        (kept.root / name / "a.a").write_text(name)
    first = kept.reader()
    before = first.tree(("p/src/**/*.a",), None, OUTPUTS)
    aside = first.tree(("q/a.a",), None, OUTPUTS)
    (kept.root / "p/src/x/a.a").write_text("edited")
    (kept.root / "q/other").write_text("of no interest to who wants q/a.a")
    (kept.root / "top").write_text("nor this")
    second = kept.reader()
    after = second.tree(("p/src/**/*.a",), None, OUTPUTS)
    assert second.tree(("q/a.a",), None, OUTPUTS).tree is aside.tree
    assert after.touched == {"p/src/x/a.a"}
    assert after.tree.find("p/src/x") is not before.tree.find("p/src/x")
    assert after.tree.find("p/src/y") is before.tree.find("p/src/y")
    (kept.root / "p/src/x/a.a").write_text("p/src/x")
    restored = kept.reader().tree(("p/src/**/*.a",), None, OUTPUTS).tree
    assert restored.digest == before.tree.digest


def test_a_second_name_made_in_sight_is_looked_at_each_time(kept: Kept) -> None:
    (kept.root / "q").mkdir()
    (kept.root / "p").mkdir()
    (kept.root / "q/a.a").write_text("1")
    assert found(kept.reader()) == truth(kept.root)
    os.link(kept.root / "q/a.a", kept.root / "p/a.a")
    assert found(kept.reader()) == truth(kept.root)
    (kept.root / "p/a.a").write_text("2")
    assert found(kept.reader()) == truth(kept.root)


def test_a_second_name_through_which_it_was_written_at_once(kept: Kept) -> None:
    for name in ("q", "p"):
        (kept.root / name).mkdir()
    (kept.root / "q/a.a").write_text("1")
    assert found(kept.reader()) == truth(kept.root)
    os.link(kept.root / "q/a.a", kept.root / "p/a.a")
    (kept.root / "p/a.a").write_text("2")
    assert found(kept.reader()) == truth(kept.root)


def test_what_may_change_once_more_without_another_time_is_read_again(tmp_path: Path) -> None:
    """On a file system that dates files in whole seconds a second is long."""
    file = tmp_path / "a"
    file.write_text("a")
    os.link(file, tmp_path / "b")
    status = file.stat()
    memory = SourceMemory()
    for followed in (False, True):
        memory.remember_file("a", status, status.st_ctime_ns + 1_000_000, followed=followed)
        assert memory.looked_at == {"a": (followed, None)}
        memory.remember_file("a", status, status.st_ctime_ns + 10**10, followed=followed)
        assert memory.looked_at == {"a": (followed, fingerprint(status))}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of writers")
def test_a_file_that_is_held_open_under_a_name_that_is_gone_is_read_each_time(kept: Kept) -> None:
    (kept.root / "p").mkdir(exist_ok=True)
    other = kept.root.parent / "other"
    with other.open("w") as held:
        held.write("1")
        held.flush()
        os.link(other, kept.root / "p/a.a")
        other.unlink()
        assert found(kept.reader()) == truth(kept.root)
        held.write("2")  # which is told nobody here
        held.flush()
        assert found(kept.reader()) == truth(kept.root)
    assert found(kept.reader()) == truth(kept.root)
    assert kept.memory.looked_at == {}


def test_a_file_outside_that_a_link_leads_to_is_looked_at_each_time(
    kept: Kept, tmp_path: Path
) -> None:
    (kept.root / "q").mkdir()
    outside = tmp_path / "outside"
    outside.write_text("1")
    (kept.root / "q/a.a").symlink_to(outside)
    assert found(kept.reader()) == truth(kept.root)
    outside.write_text("2")
    assert found(kept.reader()) == truth(kept.root)


def test_an_audit_finds_what_was_not_told(kept: Kept, tmp_path: Path) -> None:
    def audit() -> str | None:
        kept.reader()  # takes in what was told
        every = list(kept.memory.listings)
        return changed_silently(str(kept.root), kept.memory, kept.table, every)

    (kept.root / "q").mkdir()
    (kept.root / "q/a.a").write_text("1")
    found(kept.reader())
    assert audit() is None
    (kept.root / "q/a.a").write_text("2")
    found(kept.reader())
    assert audit() is None
    os.link(kept.root / "q/a.a", tmp_path / "out of sight")
    (tmp_path / "out of sight").write_text("3")
    assert audit() == "q/a.a"


def test_reusing_gives_the_former_tree_where_equal() -> None:
    empty = DirectoryTree({})
    former = DirectoryTree({"a": DirectoryTree({"x": empty}), "b": empty})
    same = DirectoryTree({"a": DirectoryTree({"x": DirectoryTree({})}), "b": DirectoryTree({})})
    assert same.reusing(former) is former
    other = DirectoryTree({"a": DirectoryTree({"x": DirectoryTree({})})}).reusing(former)
    assert other is not former
    assert other.entries["a"] is former.entries["a"]
