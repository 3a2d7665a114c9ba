"""Dependency trees: unpacked once, read-only, unpacked again if altered."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.execute.trees import CHECKED_EVERY_S, UnpackedTrees
from buildnet.node.store.errors import MissingBlobError
from buildnet.node.store.store import Store
from buildnet.pool.tree import DirectoryTree, FileEntry, LinkEntry

KEY = Digest.of(b"npm ci")


@pytest.fixture
def tree(store: Store) -> DirectoryTree:
    return DirectoryTree.from_paths(
        {
            "node_modules/lodash/index.js": FileEntry(store.put(b"lodash")),
            "node_modules/tsc/cli.js": FileEntry(store.put(b"tsc"), executable=True),
            "node_modules/.bin/tsc": LinkEntry("../tsc/cli.js"),
            "node_modules/core": LinkEntry("../packages/core"),
        }
    )


def test_a_tree_is_unpacked_once_and_read_only(
    tmp_path: Path, store: Store, tree: DirectoryTree
) -> None:
    trees = UnpackedTrees(tmp_path / "trees")
    place = trees.ensure(KEY, tree, store)
    file, tool = (place / "node_modules" / name for name in ("lodash/index.js", "tsc/cli.js"))
    assert file.read_text() == "lodash"
    assert stat.S_IMODE(file.stat().st_mode) == 0o444
    assert stat.S_IMODE(tool.stat().st_mode) == 0o555
    assert str((place / "node_modules/core").readlink()) == "../packages/core"
    inode = file.stat().st_ino
    assert trees.ensure(KEY, tree, store) == place
    assert UnpackedTrees(tmp_path / "trees").ensure(KEY, tree, store) == place
    assert file.stat().st_ino == inode


def alter_bytes(modules: Path) -> None:
    (modules / "lodash/index.js").chmod(0o644)
    (modules / "lodash/index.js").write_text("LODASH")


def add_file(modules: Path) -> None:
    (modules / "lodash/extra.js").write_text("")


def remove_file(modules: Path) -> None:
    (modules / "lodash/index.js").unlink()


def change_link(modules: Path) -> None:
    (modules / "core").unlink()
    (modules / "core").symlink_to("lodash")


def remove_fingerprint(modules: Path) -> None:
    place = modules.parent
    place.with_name(place.name + ".fingerprint").unlink()


@pytest.mark.parametrize(
    "alter", [alter_bytes, add_file, remove_file, change_link, remove_fingerprint]
)
def test_an_altered_tree_is_unpacked_again(
    tmp_path: Path, store: Store, tree: DirectoryTree, alter: Callable[[Path], None]
) -> None:
    trees = UnpackedTrees(tmp_path / "trees")
    place = trees.ensure(KEY, tree, store)
    inode = place.stat().st_ino
    alter(place / "node_modules")
    trees.distrust()
    assert trees.ensure(KEY, tree, store) == place
    assert place.stat().st_ino != inode
    assert (place / "node_modules/lodash/index.js").read_text() == "lodash"
    assert not (place / "node_modules/lodash/extra.js").exists()
    assert str((place / "node_modules/core").readlink()) == "../packages/core"
    assert len(list((tmp_path / "trees").iterdir())) == 2


def test_a_tree_is_compared_at_the_start_and_once_an_hour(
    tmp_path: Path, store: Store, tree: DirectoryTree
) -> None:
    """In between nothing looks at its files, be they 50,000."""
    now = 0.0
    trees = UnpackedTrees(tmp_path / "trees", clock=lambda: now)
    place = trees.ensure(KEY, tree, store)
    inode = place.stat().st_ino
    add_file(place / "node_modules")
    now = CHECKED_EVERY_S - 1
    assert trees.ensure(KEY, tree, store).stat().st_ino == inode
    now = CHECKED_EVERY_S + 1
    assert trees.ensure(KEY, tree, store).stat().st_ino != inode
    assert not (place / "node_modules/lodash/extra.js").exists()
    add_file(place / "node_modules")
    UnpackedTrees(tmp_path / "trees").ensure(KEY, tree, store)
    assert not (place / "node_modules/lodash/extra.js").exists()


def test_a_finished_install_is_taken_over(
    tmp_path: Path, store: Store, tree: DirectoryTree
) -> None:
    stage = tmp_path / "stage"
    for path in ("node_modules/lodash/index.js", "packages/a/node_modules/x.js", "package.json"):
        (stage / path).parent.mkdir(parents=True, exist_ok=True)
        (stage / path).write_text(path)
    trees = UnpackedTrees(tmp_path / "trees")
    place = trees.adopt(
        KEY, stage, ["node_modules", "packages/a/node_modules", "packages/b/node_modules"]
    )
    assert (place / "packages/a/node_modules/x.js").exists()
    assert not (stage / "node_modules").exists()
    assert (stage / "package.json").exists()
    inode = place.stat().st_ino
    assert trees.ensure(KEY, tree, store) == place
    assert place.stat().st_ino == inode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_tree_belongs_to_who_writes_to_what_is_shown_of_it(
    tmp_path: Path, store: Store, tree: DirectoryTree
) -> None:
    trees, user = UnpackedTrees(tmp_path / "trees"), 65533
    unpacked = trees.ensure(KEY, tree, store, owner=user)
    (tmp_path / "stage/node_modules/a").mkdir(parents=True)
    adopted = trees.adopt(Digest.of(b"b"), tmp_path / "stage", ["node_modules"], owner=user)
    for place in (unpacked, unpacked / "node_modules/.bin/tsc", adopted / "node_modules/a"):
        assert place.lstat().st_uid == user


def test_nobody_else_reads_trees(tmp_path: Path) -> None:
    (tmp_path / "trees").mkdir(mode=0o755)
    UnpackedTrees(tmp_path / "trees")
    assert stat.S_IMODE((tmp_path / "trees").stat().st_mode) == 0o700


def test_what_a_killed_node_left_is_removed(
    tmp_path: Path, store: Store, tree: DirectoryTree
) -> None:
    partial = tmp_path / "trees" / f"{KEY.hash}.partial"
    (partial / "half").mkdir(parents=True)
    trees = UnpackedTrees(tmp_path / "trees")
    assert not partial.exists()
    assert not (trees.ensure(KEY, tree, store) / "half").exists()


def test_a_lost_blob_leaves_nothing_behind(tmp_path: Path, store: Store) -> None:
    lost = DirectoryTree({"x": FileEntry(Digest.of(b"never stored"))})
    with pytest.raises(MissingBlobError):
        UnpackedTrees(tmp_path / "trees").ensure(KEY, lost, store)
    assert list((tmp_path / "trees").iterdir()) == []


class Watched:
    """A store that tells whether two threads copied out of it at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pair = threading.Barrier(2)
        self.at_once = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def copy_to(
        self,
        digest: Digest,
        to: Path,
        executable: bool,
        mtime_ns: int | None,
        *,
        fresh: bool = False,
    ) -> None:
        try:
            self._pair.wait(timeout=0.2)
            self.at_once = True
        except threading.BrokenBarrierError:
            pass
        self._store.copy_to(digest, to, executable, mtime_ns)


def test_many_threads_unpack_one_tree_once(
    tmp_path: Path, store: Store, tree: DirectoryTree
) -> None:
    trees = UnpackedTrees(tmp_path / "trees")
    watched = Watched(store)
    with ThreadPoolExecutor(8) as pool:
        places = [pool.submit(trees.ensure, KEY, tree, watched) for _ in range(8)]  # type: ignore[arg-type]
        inodes = {place.result().stat().st_ino for place in places}
    assert len(inodes) == 1
    assert not watched.at_once


def test_pruning_keeps_what_was_used_last(
    tmp_path: Path, store: Store, tree: DirectoryTree
) -> None:
    trees = UnpackedTrees(tmp_path / "trees")
    keys = [Digest.of(b"%d" % number) for number in range(4)]
    for key in (*keys, keys[0]):
        trees.ensure(key, tree, store)
    assert trees.prune(2) == 2
    names = {path.name for path in (tmp_path / "trees").iterdir() if path.is_dir()}
    assert names == {keys[0].hash, keys[3].hash}


def test_a_tree_in_use_is_not_removed(tmp_path: Path, store: Store, tree: DirectoryTree) -> None:
    trees = UnpackedTrees(tmp_path / "trees")
    with trees.using(KEY):
        place = trees.ensure(KEY, tree, store)
        assert trees.prune(0) == 0
        assert trees.find(KEY) == place
    assert trees.prune(0) == 1
    assert trees.find(KEY) is None
    assert not place.exists()


def test_trees_stay_within_a_size(tmp_path: Path, store: Store, tree: DirectoryTree) -> None:
    trees = UnpackedTrees(tmp_path / "trees")
    keys = [Digest.of(bytes([number])) for number in range(3)]
    for key in keys:
        trees.ensure(key, tree, store)
    size = sum(each.stat().st_size for each in (tmp_path / "trees" / keys[0].hash).rglob("*.js"))
    assert size == len("lodash") + len("tsc")
    least = size + 1_000_000  # directories and links count, too
    assert UnpackedTrees(tmp_path / "trees").prune(3, least) == 0
    assert trees.prune(3, size) == 3
    for key in keys:
        trees.ensure(key, tree, store)
    noted = (tmp_path / "trees" / f"{keys[0].hash}.fingerprint").read_text().split()
    assert trees.prune(3, 2 * int(noted[1])) == 1
    assert [trees.find(key) is not None for key in keys] == [False, True, True]
