"""Installed packages of other nodes' workspaces, as commands of theirs see them here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.execute.limits import DEFAULT_LIMITS, ActionLimits
from buildnet.node.execute.mounts import Mount
from buildnet.node.execute.trees import UnpackedTrees
from buildnet.node.sharing.guest_trees import KEPT, GuestTrees, TreeRefusedError
from buildnet.node.store import Hold, Store
from buildnet.pool.tree import DirectoryTree, FileEntry, LinkEntry

HOLDER = b"h" * 32
FILES = {"node_modules/lodash/index.js": b"lodash", "packages/a/node_modules/x/x.js": b"x"}


class Peer:
    """A node that has a tree; ``asked`` holds what was fetched of it."""

    def __init__(self, directory: Path, files: dict[str, bytes] | None = None) -> None:
        self.files = FILES if files is None else files
        tree = DirectoryTree.from_paths(
            {
                **{path: FileEntry(Digest.of(data)) for path, data in self.files.items()},
                "node_modules/a": LinkEntry("../packages/a"),
            }
        )
        self.message = tree.tree_message().SerializeToString(deterministic=True)
        self.tree = Digest.of(self.message)
        self.asked: list[Digest] = []
        self.directory = directory

    async def fetch(self, blobs: Iterable[Digest], holder: bytes, hold: Hold) -> None:
        assert holder == HOLDER
        await asyncio.sleep(0)
        for blob in blobs:
            self.asked.append(blob)
            hold.put(next(x for x in (self.message, *self.files.values()) if Digest.of(x) == blob))

    def trees(self, limits: ActionLimits = DEFAULT_LIMITS) -> GuestTrees:
        return GuestTrees(UnpackedTrees(self.directory / "trees"), self.fetch, limits)


async def shown(trees: GuestTrees, tree: Digest, store: Store) -> tuple[Mount, ...]:
    with store.hold() as hold:
        async with trees.shown(tree, HOLDER, hold, None) as mounts:
            await asyncio.to_thread(trees.trees.prune, 0)
            assert all(mount.source.is_dir() for mount in mounts)
            return mounts


def test_a_tree_is_fetched_once_and_known_after_a_restart(tmp_path: Path, store: Store) -> None:
    async def run() -> None:
        peer = Peer(tmp_path)
        trees = peer.trees()
        found = await asyncio.gather(*(shown(trees, peer.tree, store) for _ in range(5)))
        place = tmp_path / "trees" / peer.tree.hash
        paths = ("node_modules", "packages/a/node_modules")
        assert set(found) == {tuple(Mount(path, place / path) for path in paths)}
        assert sorted(peer.asked) == sorted([peer.tree, *map(Digest.of, FILES.values())])
        store.collect(0)
        assert await shown(peer.trees(), peer.tree, store) == found[0]
        assert len(peer.asked) == 3

    asyncio.run(run())


def test_trees_that_nobody_uses_do_not_add_up_while_others_are_used(
    tmp_path: Path, store: Store
) -> None:
    async def run() -> None:
        unpacked = UnpackedTrees(tmp_path / "trees")
        own, own_tree = Digest.of(b"own"), DirectoryTree.from_paths({})
        with store.hold() as hold:
            place = unpacked.ensure(own, own_tree, hold)
        peers = [
            Peer(tmp_path, {"node_modules/x.js": bytes([number])}) for number in range(KEPT + 4)
        ]

        async def fetch(blobs: Iterable[Digest], holder: bytes, hold: Hold) -> None:
            for blob in blobs:
                all_of_it = (
                    each for peer in peers for each in (peer.message, *peer.files.values())
                )
                hold.put(next(each for each in all_of_it if Digest.of(each) == blob))

        trees = GuestTrees(unpacked, fetch, DEFAULT_LIMITS)
        with store.hold() as hold:
            async with trees.shown(peers[0].tree, HOLDER, hold, None) as (used,):
                for peer in peers[1:]:
                    async with trees.shown(peer.tree, HOLDER, hold, None):
                        pass
                assert used.source.is_dir()
        there = [peer for peer in peers if unpacked.find(peer.tree)]
        assert there == [peers[0], *peers[-KEPT:]]
        assert place.is_dir()  # a build of this node may run with it

    asyncio.run(run())


@pytest.mark.parametrize("limits", [ActionLimits(files=1), ActionLimits(disk_bytes=6)])
def test_a_tree_that_is_too_large_is_not_fetched(
    tmp_path: Path, store: Store, limits: ActionLimits
) -> None:
    peer = Peer(tmp_path)
    with pytest.raises(TreeRefusedError):
        asyncio.run(shown(peer.trees(limits), peer.tree, store))
    assert peer.asked == [peer.tree]


def test_what_is_no_tree_is_refused(tmp_path: Path, store: Store) -> None:
    peer = Peer(tmp_path)
    peer.message, peer.tree = b"nonsense", Digest.of(b"nonsense")
    with pytest.raises(TreeRefusedError):
        asyncio.run(shown(peer.trees(), peer.tree, store))
    assert list((tmp_path / "trees").iterdir()) == []


def test_nothing_is_remembered_of_trees_that_were_asked_for(store: Store, tmp_path: Path) -> None:
    peer = Peer(tmp_path)
    trees = peer.trees()
    asyncio.run(shown(trees, peer.tree, store))
    assert not trees._unpacking
