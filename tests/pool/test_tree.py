"""Trees: merging, digests, reading hostile messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.digest import Digest
from buildnet.pool.reapi import remote_execution_pb2 as reapi
from buildnet.pool.tree import (
    EMPTY_TREE,
    DirectoryTree,
    FileEntry,
    Leaf,
    LinkEntry,
    TreeConflictError,
    merge_trees,
)

names = st.sampled_from(["a", "b", "c", "é", "A"])
leaves = st.one_of(
    st.builds(FileEntry.of, st.binary(max_size=3).map(Digest.of), st.integers(0, 0o7777)),
    st.builds(LinkEntry, names),
)
paths = st.lists(names, min_size=3, max_size=3).map("/".join)
maps = st.dictionaries(paths, leaves, max_size=8)


@given(maps)
def test_a_tree_reads_back_from_its_message(content: dict[str, Leaf]) -> None:
    tree = DirectoryTree.from_paths(content)
    assert dict(tree.leaves()) == content
    assert DirectoryTree.from_tree_message(tree.tree_message()).digest == tree.digest


@given(maps, maps)
def test_merging_is_the_union_or_a_conflict(
    first: dict[str, Leaf], second: dict[str, Leaf]
) -> None:
    trees = DirectoryTree.from_paths(first), DirectoryTree.from_paths(second)
    if any(second.get(path, leaf) != leaf for path, leaf in first.items()):
        with pytest.raises(TreeConflictError):
            merge_trees(trees)
        return
    union = merge_trees(trees)
    assert dict(union.leaves()) == first | second
    assert union.digest == DirectoryTree.from_paths(first | second).digest


def test_merging_reuses_what_only_one_side_has() -> None:
    first = DirectoryTree.from_paths({"a/x": LinkEntry("y")})
    second = DirectoryTree.from_paths({"b/x": LinkEntry("y")})
    assert first.merged(second).entries["a"] is first.entries["a"]


def test_a_file_and_a_directory_of_one_name_conflict() -> None:
    with pytest.raises(TreeConflictError):
        DirectoryTree.from_paths({"a": LinkEntry("x"), "a/b": LinkEntry("x")})
    with pytest.raises(TreeConflictError):
        DirectoryTree.from_paths({"a/b": LinkEntry("x"), "a": LinkEntry("x")})


def test_trees_can_be_placed_and_searched() -> None:
    tree = DirectoryTree.from_paths({"x": LinkEntry("y")}).placed_at("packages/core")
    assert tree.find("packages/core/x") == LinkEntry("y")
    assert tree.find("packages/other") is None
    assert tree.find("packages/core/x/deeper") is None
    assert tree.find("") is tree
    assert EMPTY_TREE.placed_at("") is EMPTY_TREE


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_names_that_are_no_names_are_refused(name: str) -> None:
    message = reapi.Tree()
    message.root.symlinks.add(name=name, target="x")
    with pytest.raises(ValueError, match="not a plain"):
        DirectoryTree.from_tree_message(message)


def test_a_missing_directory_is_refused() -> None:
    message = reapi.Tree()
    message.root.directories.add(name="gone").digest.hash = "0" * 64
    with pytest.raises(ValueError, match="missing"):
        DirectoryTree.from_tree_message(message)


def test_a_few_bytes_that_mean_more_than_any_memory_holds_are_refused() -> None:
    tree = DirectoryTree.from_paths({"a": FileEntry(Digest.of(b"a"))})
    message = reapi.Tree()
    for _ in range(40):
        message.children.append(tree.message())
        tree = DirectoryTree({"left": tree, "right": tree})
    message.root.CopyFrom(tree.message())
    with pytest.raises(ValueError, match="files and directories"):
        DirectoryTree.from_tree_message(message)


@given(maps, st.lists(paths, max_size=4))
def test_without_some_files(content: dict[str, Leaf], gone: list[str]) -> None:
    tree = DirectoryTree.from_paths(content).without(gone)
    left = {path: leaf for path, leaf in content.items() if path not in gone}
    assert tree.digest == DirectoryTree.from_paths(left).digest
