"""Merkle trees against the definition of RFC 9162, written down as it stands there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from buildnet.ledger.merkle import (
    EMPTY_ROOT,
    CompactRange,
    consistency_path,
    inclusion_path,
    is_consistent,
    is_included,
    leaf_hash,
    node_hash,
    root_of,
)
from buildnet.mesh.wire import WireError

LEAVES = st.lists(st.binary(max_size=40), max_size=40)
SIZES = st.integers(1, 70)


def row(size: int) -> list[bytes]:
    return [bytes([number]) * 32 for number in range(size)]


def split(size: int) -> int:
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return blake3(b"").digest()
    if len(leaves) == 1:
        return blake3(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return blake3(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(old: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = split(len(leaves))
    if old <= k:
        return [*naive_subproof(old, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_subproof(old - k, leaves[k:], False), naive_root(leaves[:k])]


@given(LEAVES)
def test_root_is_the_definitions(leaves: list[bytes]) -> None:
    assert root_of(leaves) == naive_root(leaves)
    assert CompactRange.of(leaves).root == naive_root(leaves)


@given(LEAVES, LEAVES)
def test_a_compact_range_grows_in_any_steps_and_travels(
    one: list[bytes], more: list[bytes]
) -> None:
    whole = CompactRange.of([*one, *more])
    steps = CompactRange.decode(CompactRange.of(one).encode())
    for leaf in more:
        steps = steps.appended(leaf)
    assert steps == whole
    assert len(whole.peaks) == whole.size.bit_count()


@pytest.mark.parametrize(("size", "peaks"), [(0, 1), (1, 0), (3, 1), (4, 2)])
def test_a_compact_range_of_another_size_is_refused(size: int, peaks: int) -> None:
    with pytest.raises(ValueError, match="one peak"):
        CompactRange(size, (bytes(32),) * peaks)


@given(st.binary(max_size=60))
def test_hostile_bytes_are_no_compact_range(data: bytes) -> None:
    try:
        found = CompactRange.decode(data)
    except WireError:
        return
    assert found.encode() == data


@given(SIZES, st.data())
def test_paths_are_the_definitions_and_hold(size: int, data: st.DataObject) -> None:
    leaves = row(size)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(leaves, index)
    assert list(path) == naive_path(index, leaves)
    assert is_included(leaves[index], index, size, path, root_of(leaves))


@given(SIZES, st.data())
def test_a_path_shows_nothing_else(size: int, data: st.DataObject) -> None:
    leaves = row(size)
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(-1, size))
    path, root = inclusion_path(leaves, index), root_of(leaves)
    assert not is_included(b"another", index, size, path, root)
    assert not is_included(leaves[index], index, size, path, root_of([*leaves, b"x"]))
    assert not is_included(leaves[index], index, size, (*path, bytes(32)), root)
    if other != index:
        assert not is_included(leaves[index], other, size, path, root)
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        wrong = (*path[:at], bytes(32), *path[at + 1 :])
        assert not is_included(leaves[index], index, size, wrong, root)
        assert not is_included(leaves[index], index, size, path[:-1], root)


def test_a_node_does_not_pass_for_a_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert root_of([b"a", b"b"]) == node_hash(left, right)
    assert leaf_hash(left + right) != node_hash(left, right)
    assert not is_included(left + right, 0, 1, (), root_of([b"a", b"b"]))


@given(SIZES, st.data())
def test_consistency_paths_are_the_definitions_and_hold(size: int, data: st.DataObject) -> None:
    leaves = row(size)
    old = data.draw(st.integers(1, size))
    path = consistency_path(leaves, old)
    assert list(path) == naive_subproof(old, leaves, True)
    assert is_consistent(old, root_of(leaves[:old]), size, root_of(leaves), path)


@given(SIZES, st.data())
def test_a_consistency_path_shows_nothing_else(size: int, data: st.DataObject) -> None:
    leaves = row(size)
    old = data.draw(st.integers(1, size))
    at = data.draw(st.integers(0, old - 1))
    path, new_root = consistency_path(leaves, old), root_of(leaves)
    forked = [*leaves[:at], b"another", *leaves[at + 1 :]]
    assert not is_consistent(old, root_of(forked[:old]), size, new_root, path)
    assert not is_consistent(old, root_of(leaves[:old]), size, root_of(forked), path)
    assert not is_consistent(old, root_of(leaves[:old]), size, new_root, (*path, bytes(32)))
    assert not is_consistent(size, new_root, old - 1, root_of(leaves[: old - 1]), path)
    if path:
        assert not is_consistent(old, root_of(leaves[:old]), size, new_root, path[:-1])
        assert not is_consistent(old, root_of(leaves[:old]), size, new_root, ())


@given(SIZES)
def test_a_compact_range_forked_at_one_leaf_shows_no_path(size: int) -> None:
    """The two sides of a fork have no common continuation by any honest path."""
    one, other = row(size), [*row(size - 1), b"fork"]
    longer = [*one, b"more"]
    path = consistency_path(longer, size)
    root = CompactRange.of(longer).root
    assert is_consistent(size, CompactRange.of(one).root, size + 1, root, path)
    assert not is_consistent(size, CompactRange.of(other).root, size + 1, root, path)


def test_every_row_begins_with_the_empty_one() -> None:
    assert consistency_path(row(5), 0) == ()
    assert is_consistent(0, EMPTY_ROOT, 5, root_of(row(5)), ())
    assert not is_consistent(0, bytes(32), 5, root_of(row(5)), ())
    assert not is_consistent(0, EMPTY_ROOT, 5, root_of(row(5)), (bytes(32),))
    assert is_consistent(0, EMPTY_ROOT, 0, EMPTY_ROOT, ())


@pytest.mark.parametrize("index", [-1, 3, 9])
def test_there_is_no_path_of_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(IndexError):
        inclusion_path(row(3), index)
    with pytest.raises(IndexError):
        consistency_path(row(3), -1 if index < 0 else index + 1)


def test_a_path_that_ends_early_shows_nothing() -> None:
    """Its end is a node of the tree, and could be given out for the root."""
    inner = node_hash(leaf_hash(b"a"), leaf_hash(b"b"))
    assert not is_included(b"a", 0, 2, (), leaf_hash(b"a"))
    assert not is_included(b"a", 0, 4, (leaf_hash(b"b"),), inner)
    assert not is_consistent(2, inner, 4, inner, ())
    assert not is_consistent(1, leaf_hash(b"a"), 4, inner, (leaf_hash(b"b"),))


def test_endless_paths_are_refused() -> None:
    path = (bytes(32),) * 10_000
    assert not is_included(b"a", 0, 2**70, path, bytes(32))
    assert not is_consistent(1, leaf_hash(b"a"), 2**70, bytes(32), path)


def test_a_range_is_a_value() -> None:
    empty = CompactRange()
    assert empty.appended(b"a") != empty
    assert empty == replace(empty)
    assert empty.root == EMPTY_ROOT
