"""Reading sources: which files, their digests, and what changed since the last build."""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node import source_file
from buildnet.node.source_file import SourceError, digest_file
from buildnet.node.source_ignore import IgnoreRules
from buildnet.node.sources import SourceReader
from buildnet.pool.tree import DirectoryTree, FileEntry, LinkEntry


class Table:
    """A file table in memory that trusts every stat; ``hashed`` are the recorded files."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, ...], Digest]] = {}
        self.hashed: list[str] = []

    @staticmethod
    def _fingerprint(stat: os.stat_result) -> tuple[int, ...]:
        return (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_mode)

    def lookup(self, path: str, stat: os.stat_result) -> Digest | None:
        known = self._known.get(path)
        return known[1] if known and known[0] == self._fingerprint(stat) else None

    def previous(self, path: str) -> Digest | None:
        known = self._known.get(path)
        return known[1] if known else None

    def record(self, path: str, stat: os.stat_result, digest: Digest, observed_at_ns: int) -> None:
        self._known[path] = (self._fingerprint(stat), digest)
        self.hashed.append(path)


Write = Callable[[dict[str, str]], None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files, given as path -> text."""

    def files(texts: dict[str, str]) -> None:
        for path, text in texts.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

    return files


def paths(tree: DirectoryTree | None) -> list[str]:
    assert tree is not None
    return sorted(path for path, _ in tree.leaves())


def test_patterns_choose_files(tmp_path: Path, write: Write) -> None:
    write({"a/src/x.ts": "x", "a/src/deep/y.ts": "y", "a/src/y.test.ts": "t", "a/README": "r"})
    reader = SourceReader(tmp_path, Table())
    found = reader.tree(["a/src/**/*.ts", "a/package.json", "!**/*.test.ts"])
    assert paths(found.tree) == ["a/src/deep/y.ts", "a/src/x.ts"]
    assert found.unmatched == ("a/package.json",)
    assert found.tree.find("a/src/x.ts") == FileEntry(Digest.of(b"x"))


def test_the_workspaces_file_is_a_source_only_if_it_is_named(tmp_path: Path, write: Write) -> None:
    write({"buildnet.yaml": "1", "x": "2", "a/buildnet.yaml": "3"})
    reader = SourceReader(tmp_path, Table())
    assert paths(reader.tree([], "").tree) == ["a/buildnet.yaml", "x"]
    assert paths(reader.tree(["*"], None).tree) == ["buildnet.yaml", "x"]


def test_a_plain_directory_means_all_below(tmp_path: Path, write: Write) -> None:
    write({"a/src/x": "1", "a/src/b/.y": "2", "a/src/node_modules/z": "3", "a/other": "4"})
    found = SourceReader(tmp_path, Table()).tree(["a/src"])
    assert paths(found.tree) == ["a/src/b/.y", "a/src/x"]
    assert found.unmatched == ()


def test_a_pattern_whose_files_are_all_excluded_matches_nothing(
    tmp_path: Path, write: Write
) -> None:
    write({"a/dist/x": "1", "a/y": "2"})
    found = SourceReader(tmp_path, Table()).tree(["a/dist/**", "a/y"], None, ["a/dist"])
    assert (paths(found.tree), found.unmatched) == (["a/y"], ("a/dist/**",))


def test_default_sources_respect_ignore_files_and_outputs(tmp_path: Path, write: Write) -> None:
    write(
        {
            ".gitignore": "*.log\n/a/cache/\nkeep/*\n!keep/this\n",
            "a/.gitignore": "!important.log\nlocal\n",
            "a/src/x": "1",
            "a/src/debug.log": "2",
            "a/important.log": "3",
            "a/local": "4",
            "a/cache/c": "5",
            "a/keep/this": "6",
            "a/keep/that": "7",
            "a/dist/out": "8",
            "a/gen-1/out": "9",
            "a/.git/config": "10",
            "a/node_modules/m": "11",
            "a/.buildnet-12-ab/x": "12",
            "b/x": "13",
        }
    )
    reader = SourceReader(tmp_path, Table())
    found = reader.tree([], "a", ("a/dist", "a/gen-*/**"))
    expected = ["a/.gitignore", "a/important.log", "a/src/x"]
    assert paths(found.tree) == [*expected[:2], "a/keep/that", "a/keep/this", "a/src/x"]
    assert paths(reader.tree(["!a/keep", "b/x"], "a", ("a/dist", "a/gen-*")).tree) == [
        *expected,
        "b/x",
    ]


def test_default_sources_agree_with_git(tmp_path: Path, write: Write) -> None:
    try:
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git is not installed")
    write(
        {
            ".gitignore": "*.o\n!keep.o\nbuild/\n/only-root\ndocs/**/draft\n\\!odd\n# no\n",
            "lib/.gitignore": "/*.gen\n!special/\n",
            "lib/special/.gitignore": "*\n!*.md\n",
            **{
                path: path
                for path in (
                    "a.o", "keep.o", "build/x", "lib/build/keep.o", "only-root", "lib/only-root",
                    "docs/draft", "docs/a/b/draft", "!odd", "lib/x.gen", "lib/deep/x.gen",
                    "lib/special/a.md", "lib/special/b.txt", "lib/special/deep/c.md", "# no",
                    "lib/ü.txt", "with space/x",
                )
            },
        }
    )  # fmt: skip
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-standard"],
        cwd=tmp_path, check=True, capture_output=True,
    ).stdout  # fmt: skip
    expected = sorted(path for path in listed.decode().split("\0") if path)
    assert paths(SourceReader(tmp_path, Table()).tree([], "").tree) == expected


def test_what_was_touched_and_what_changed(tmp_path: Path, write: Write) -> None:
    write({"a/same": "1", "a/touched": "2", "a/changed": "3"})
    table, rules = Table(), IgnoreRules()
    first = SourceReader(tmp_path, table, rules).tree([], "a")
    assert first.touched == first.changed == {"a/same", "a/touched", "a/changed"}
    os.utime(tmp_path / "a/touched", ns=(1, 1))
    write({"a/changed": "three", "a/new": "4"})
    second = SourceReader(tmp_path, table, rules).tree([], "a")
    assert second.touched == {"a/touched", "a/changed", "a/new"}
    assert second.changed == {"a/changed", "a/new"}
    table.hashed.clear()
    third = SourceReader(tmp_path, table, rules).tree([], "a")
    assert third.touched == frozenset()
    assert table.hashed == []
    assert third.tree.digest == second.tree.digest


def test_ignore_rules_follow_their_file(tmp_path: Path, write: Write) -> None:
    write({".gitignore": "x\n", "a/x": "1", "a/y": "2"})
    table, rules = Table(), IgnoreRules()
    assert paths(SourceReader(tmp_path, table, rules).tree([], "a").tree) == ["a/y"]
    write({".gitignore": "*y\n"})
    assert paths(SourceReader(tmp_path, table, rules).tree([], "a").tree) == ["a/x"]
    (tmp_path / ".gitignore").unlink()
    assert paths(SourceReader(tmp_path, table, rules).tree([], "a").tree) == ["a/x", "a/y"]


def test_each_file_is_read_once_for_many_tasks(tmp_path: Path, write: Write) -> None:
    write({"shared/x": "1", "a/y": "2"})
    table = Table()
    reader = SourceReader(tmp_path, table)
    first = reader.tree(["shared/**"], "a")
    second = reader.tree(["shared/x"])
    assert sorted(table.hashed) == ["a/y", "shared/x"]
    assert first.touched == {"a/y", "shared/x"}
    assert second.touched == {"shared/x"}


def test_executable_bits(tmp_path: Path, write: Write) -> None:
    write({"run": "1"})
    (tmp_path / "run").chmod(0o755)
    found = SourceReader(tmp_path, Table()).tree(["run"])
    assert found.tree.find("run") == FileEntry(Digest.of(b"1"), executable=True)


def test_links_inside_stay_links_and_bring_what_they_lead_to(tmp_path: Path, write: Write) -> None:
    write(
        {"README": "r", "shared/x": "1", "shared/skip.log": "2", ".gitignore": "*.log\n", "a/y": ""}
    )
    (tmp_path / "a/README").symlink_to("../README")
    (tmp_path / "a/shared").symlink_to("../shared")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "a/gone").symlink_to("./nowhere")
    tree = SourceReader(tmp_path, Table()).tree([], "a").tree
    assert tree.find("a/README") == LinkEntry("../README")
    assert tree.find("a/gone") == LinkEntry("./nowhere")
    assert paths(tree) == [
        "README", "a/README", "a/gone", "a/shared", "a/up", "a/y", "shared/x",
    ]  # fmt: skip


def test_links_that_lead_out(tmp_path: Path, write: Write) -> None:
    write({"outside/file": "o", "root/a/x": "1"})
    root = tmp_path / "root"
    (root / "a/file").symlink_to(tmp_path / "outside/file")
    found = SourceReader(root, Table()).tree([], "a")
    assert found.tree.find("a/file") == FileEntry(Digest.of(b"o"))
    (root / "a/directory").symlink_to("../../outside")
    with pytest.raises(SourceError, match="directory outside") as caught:
        SourceReader(root, Table()).tree([], "a")
    assert caught.value.hint == "exclude it from the sources: !a/directory"
    assert SourceReader(root, Table()).tree(["!a/directory"], "a").tree.find("a/x")
    (root / "a/directory").unlink()
    (root / "a/broken").symlink_to("/nowhere/at/all")
    with pytest.raises(SourceError, match="does not exist"):
        SourceReader(root, Table()).tree([], "a")


def test_special_files_are_refused(tmp_path: Path, write: Write) -> None:
    write({"a/x": "1"})
    os.mkfifo(tmp_path / "a/pipe")
    with pytest.raises(SourceError, match="a/pipe is a named pipe"):
        SourceReader(tmp_path, Table()).tree([], "a")
    (tmp_path / "a/pipe").unlink()
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    try:
        os.chdir(tmp_path / "a")  # socket addresses are short
        server.bind("s")
        with pytest.raises(SourceError, match="a/s is a socket"):
            SourceReader(tmp_path, Table()).tree([], "a")
    finally:
        os.chdir(here)
        server.close()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS allows UTF-8 names only")
def test_names_must_be_utf8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bad\xff")).write_text("x")
    with pytest.raises(SourceError, match="not UTF-8"):
        SourceReader(tmp_path, Table()).tree([], "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_unreadable_files(tmp_path: Path, write: Write) -> None:
    write({"a/secret": "1"})
    (tmp_path / "a/secret").chmod(0)
    with pytest.raises(SourceError, match="cannot be read"):
        SourceReader(tmp_path, Table()).tree([], "a")


def test_a_file_that_goes_after_it_was_listed_is_absent(tmp_path: Path, write: Write) -> None:
    write({"a/x": "1", "a/y": "2", "a/d/z": "3"})
    reader = SourceReader(tmp_path, Table())
    assert set(reader.listing("a")) == {"x", "y", "d"}
    (tmp_path / "a/x").unlink()
    (tmp_path / "a/d/z").unlink()
    (tmp_path / "a/d").rmdir()
    assert paths(reader.tree([], "a").tree) == ["a/y"]
    assert reader.tree(["a/x"]).unmatched == ("a/x",)


def test_nothing_there(tmp_path: Path) -> None:
    reader = SourceReader(tmp_path, Table())
    assert paths(reader.tree([], "missing").tree) == []
    assert reader.tree(["missing/**"]).unmatched == ("missing/**",)


def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x"
    file.write_text("first")
    texts = iter(["second!", None, None, None])
    digest = source_file._digest

    def disturbed(descriptor: int, size_bytes: int) -> Digest:
        found = digest(descriptor, size_bytes)
        text = next(texts)
        if text is not None:
            file.write_text(text)
        return found

    monkeypatch.setattr(source_file, "_digest", disturbed)
    table = Table()
    assert digest_file(str(file), "x", table, lambda: 0) == Digest.of(b"second!")
    assert table.hashed == ["x"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of writers")
def test_a_file_that_is_open_for_writing_is_not_trusted(tmp_path: Path) -> None:
    """What is written through memory after the first time changes no date of the file."""
    place = tmp_path / "mapped"
    place.write_bytes(b"0000")
    observed: list[int] = []
    held: list[str] = []

    class Noting(Table):
        def record(
            self, path: str, stat: os.stat_result, digest: Digest, observed_at_ns: int
        ) -> None:
            observed.append(observed_at_ns)

    with place.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = 1
        digest_file(str(place), "mapped", Noting(), lambda: 7, lambda: held.append("mapped"))
        before = place.stat()
        mapped[0] = 2
        assert place.stat() == before
    digest_file(str(place), "mapped", Noting(), lambda: 7, lambda: held.append("closed"))
    assert observed == [0, 7]
    assert held == ["mapped"]


def test_a_file_that_keeps_changing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x"
    file.write_text("0")
    digest = source_file._digest

    def disturbed(descriptor: int, size_bytes: int) -> Digest:
        found = digest(descriptor, size_bytes)
        file.write_text(file.read_text() + "more")
        return found

    monkeypatch.setattr(source_file, "_digest", disturbed)
    table = Table()
    with pytest.raises(SourceError, match="keeps changing"):
        digest_file(str(file), "x", table, lambda: 0)
    assert table.hashed == []


def test_large_files(tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 3 + b"end"
    (tmp_path / "large").write_bytes(content)
    found = SourceReader(tmp_path, Table()).tree(["large"])
    assert found.tree.find("large") == FileEntry(Digest.of(content))


def test_outputs_as_they_stand(tmp_path: Path, write: Write) -> None:
    write({"a/dist/x": "1", "a/dist/node_modules/y": "2", "a/lib/p.js": "3", "a/lib/p.ts": "4"})
    (tmp_path / "a/dist/empty").mkdir()
    (tmp_path / "a/dist/link").symlink_to("x")
    reader = SourceReader(tmp_path, Table())
    tree = reader.tree_of_outputs(["a/dist", "a/lib/*.js", "a/absent/**"])
    assert paths(tree) == ["a/dist/link", "a/dist/node_modules/y", "a/dist/x", "a/lib/p.js"]
    assert tree is not None
    empty = tree.find("a/dist/empty")
    assert isinstance(empty, DirectoryTree)
    assert not empty.entries
    assert reader.tree_of_outputs(["a/dist/x"]) is not None
    assert reader.tree_of_outputs(["a/dist/x", "a/dist"]) is not None
    assert reader.tree_of_outputs(["a/missing"]) is None
    assert paths(reader.tree_of_outputs(["a/missing/**"])) == []
    (tmp_path / "a/bad").symlink_to("/")
    assert SourceReader(tmp_path, Table()).tree_of_outputs(["a/bad"]) is None
