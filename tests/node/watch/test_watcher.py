"""The watcher with the kernel's own events."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildnet.node.watch import watcher as module
from buildnet.node.watch.dirty import EVERYTHING, Dirt
from buildnet.node.watch.mounts import TELLING, around
from buildnet.node.watch.watcher import Watcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    (root / "src" / "deep").mkdir(parents=True)
    (root / "src" / "a.ts").write_text("a")
    return root


@pytest.fixture
def watcher(root: Path, tmp_path: Path) -> Iterator[Watcher]:
    watcher = Watcher(root, tmp_path / "cookies")
    if watcher.problem is not None:
        watcher.close()
        pytest.skip(f"no watching here: {watcher.problem}")
    assert watcher.refresh() == EVERYTHING  # nobody knows what was before
    assert watcher.watch("src/deep")
    yield watcher
    watcher.close()


def told(watcher: Watcher) -> set[str]:
    dirt = watcher.refresh()
    assert not dirt.everything
    return set(dirt.paths)


def test_what_was_done_before_the_question_is_in_the_answer(root: Path, watcher: Watcher) -> None:
    for number in range(200):
        (root / "src" / "a.ts").write_text(str(number))
        assert told(watcher) == {"src/a.ts"}
    assert watcher.refresh() == Dirt()


def test_dates_modes_links_and_renames_are_told(root: Path, watcher: Watcher) -> None:
    os.utime(root / "src" / "a.ts", ns=(1, 1))
    assert told(watcher) == {"src/a.ts"}
    (root / "src" / "a.ts").chmod(0o755)
    assert told(watcher) == {"src/a.ts"}
    (root / "src" / "a.ts").rename(root / "src" / "b.ts")
    assert told(watcher) == {"src/a.ts", "src/b.ts"}
    (root / "src" / "link").symlink_to("b.ts")
    assert told(watcher) == {"src/link"}


def test_a_new_directory_is_dirty_and_can_be_watched(root: Path, watcher: Watcher) -> None:
    (root / "src" / "new").mkdir()
    (root / "src" / "new" / "f").write_text("1")
    assert told(watcher) == {"src/new"}
    assert watcher.watch("src/new")
    (root / "src" / "new" / "f").write_text("2")
    assert told(watcher) == {"src/new/f"}


def test_a_directory_that_is_not_there_yet_counts_as_watched(root: Path, watcher: Watcher) -> None:
    assert watcher.watch("dist/x/y")
    (root / "dist" / "x" / "y").mkdir(parents=True)
    assert told(watcher) == {"dist"}


def test_directories_renamed_over_each_other(root: Path, watcher: Watcher) -> None:
    (root / "other").mkdir()
    (root / "other" / "a.ts").write_text("b")
    assert watcher.watch("other")
    told(watcher)
    (root / "src").rename(root / "old")
    (root / "other").rename(root / "src")
    assert {"src", "other", "old"} <= told(watcher)
    assert watcher.watch("src")
    assert watcher.watch("old/deep")
    (root / "src" / "a.ts").write_text("c")
    (root / "old" / "deep" / "f").write_text("c")
    assert told(watcher) == {"src/a.ts", "old/deep/f"}


def test_a_link_to_a_directory_is_not_watched(root: Path, watcher: Watcher) -> None:
    (root / "link").symlink_to(root.parent)
    assert not watcher.watch("link/cookies")


def test_another_root_in_its_place_is_all_new(root: Path, watcher: Watcher) -> None:
    root.rename(root.with_name("old"))
    root.mkdir()
    assert watcher.refresh() == EVERYTHING
    assert watcher.refresh() == Dirt()
    (root / "f").write_text("1")
    assert told(watcher) == {"f"}


def test_a_root_that_went_may_come_back(root: Path, watcher: Watcher) -> None:
    shutil.rmtree(root)
    assert watcher.refresh() == EVERYTHING
    assert watcher.refresh() == EVERYTHING
    root.mkdir()
    assert watcher.refresh() == EVERYTHING
    assert watcher.refresh() == Dirt()
    assert watcher.problem is None


def test_a_root_that_came_back_is_taken_out_of_the_queue_too(root: Path, watcher: Watcher) -> None:
    shutil.rmtree(root)
    watcher.refresh()
    deadline = time.monotonic() + 30
    while watcher.is_taking_out and time.monotonic() < deadline:
        time.sleep(0.001)
    root.mkdir()
    watcher.refresh()
    assert watcher.is_taking_out


def test_another_workspaces_cookie_is_not_taken_for_ones_own(
    root: Path, watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie in one directory; with several builds at once they come together."""
    unlink = Path.unlink

    def together(path: Path, missing_ok: bool = False) -> None:
        (path.parent / "1-2-3").touch()
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", together)
    (root / "src" / "a.ts").write_text("b")
    assert told(watcher) == {"src/a.ts"}
    assert watcher.problem is None


def test_an_overflow_makes_everything_dirty_and_is_got_over(root: Path, watcher: Watcher) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 50_000:
        pytest.skip("the queue here is too long to fill")
    names = [str(root / "src" / str(number)) for number in range(2)]
    with watcher._lock:  # who takes the events out is held up
        for number in range(limit + 10):
            os.mkdir(names[number % 2])
            os.rmdir(names[number % 2])
    assert watcher.refresh() == EVERYTHING
    assert watcher.watch("src")
    (root / "src" / "a.ts").write_text("after")
    assert told(watcher) == {"src/a.ts"}


def test_a_storm_is_taken_out_while_nobody_asks(root: Path, watcher: Watcher) -> None:
    for number in range(3000):
        (root / "src" / "deep" / str(number)).touch()
    assert told(watcher) == {f"src/deep/{number}" for number in range(3000)}


def test_too_many_directories_are_said_with_the_remedy(root: Path, tmp_path: Path) -> None:
    watcher = Watcher(root, tmp_path / "cookies", most_directories=1)
    try:
        assert not watcher.watch("src")
        assert "max_user_watches" in (watcher.problem or "")
        assert watcher.refresh() == EVERYTHING
    finally:
        watcher.close()


def test_a_file_system_that_does_not_tell_is_not_trusted(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TELLING", frozenset({"none"}))
    watcher = Watcher(root, tmp_path / "cookies")
    assert "does not tell" in (watcher.problem or "")
    assert watcher.refresh() == EVERYTHING
    watcher.close()


TABLE = rb"""24 1 254:0 / / rw - ext4 /dev/root rw
30 24 0:27 / /home rw shared:1 - nfs4 server:/ rw
31 30 0:28 / /home/ann/with\040space rw - tmpfs tmpfs rw
32 24 0:29 / /homes rw - tmpfs tmpfs rw
"""


def test_the_table_of_mounts() -> None:
    found = around(TABLE, "/home/ann")
    assert found.kind == "nfs4"
    assert found.kind not in TELLING
    assert [mount.path for mount in found.below] == ["/home/ann/with space"]
    assert found.tells("/home/ann/with space/x")
    assert not found.tells("/home/ann/other")
    assert around(TABLE, "/homes/x").kind == "tmpfs"
    assert around(TABLE, "/usr").kind == "ext4"


def test_without_a_thread_changes_are_looked_for(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the host has no room for one more process, a build goes on all the same."""

    def refused(self: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    watcher = Watcher(root, tmp_path / "cookies")
    assert watcher.problem == "can't start new thread"
    watcher.close()
