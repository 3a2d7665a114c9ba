"""Merkle trees as in RFC 9162 section 2.1, over BLAKE3: one hash stands for a row of leaves.

A path shows that a leaf is in the row; a consistency path shows that one row begins with another.
Hashes of leaves and of nodes open with another byte each, so neither passes for the other. Nothing
here trusts a path: what does not fit is told as False.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from blake3 import blake3

from buildnet.mesh.wire import Counter, Hash, Limit, Wire

HASH_BYTES = 32
MAX_PATH = 64
"""Hashes in an inclusion path of less than 2**64 leaves; a consistency path has one more."""
EMPTY_ROOT = blake3(b"").digest()
"""The root of no leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf: of a zero byte and the leaf."""
    return blake3(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node: of a one byte and both hashes below it."""
    return blake3(b"\1" + left + right).digest()


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over ``leaves``; :data:`EMPTY_ROOT` if there are none."""
    level = [leaf_hash(leaf) for leaf in leaves]
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        level = _above(level)
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the hashes that lead from the leaf at ``index`` (from 0) to the root.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} of {len(leaves)}")
    level = [leaf_hash(leaf) for leaf in leaves]
    path: list[bytes] = []
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        level = _above(level)
        index >>= 1
    return tuple(path)


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Tell whether ``path`` shows that ``leaf`` is number ``index`` (from 0) of the ``size`` leaves
    under ``root`` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or len(path) > MAX_PATH:
        return False
    at, last, found = index, size - 1, leaf_hash(leaf)
    for beside in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(beside, found)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            found = node_hash(found, beside)
        at >>= 1
        last >>= 1
    return last == 0 and found == root


def consistency_path(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """Return the hashes that show that the row of ``leaves`` begins with its first ``old_size``.

    Raises:
        IndexError: there are not so many.
    """
    if not 0 <= old_size <= len(leaves):
        raise IndexError(f"{old_size} of {len(leaves)} leaves")
    if old_size in (0, len(leaves)):
        return ()
    path: list[bytes] = []
    first, last, whole = 0, len(leaves), True
    while old_size != last:  # RFC 9162, 2.1.4.1, from the root downwards
        middle = first + _left_size(last - first)
        if old_size <= middle:
            path.append(root_of(leaves[middle:last]))
            last = middle
        else:
            path.append(root_of(leaves[first:middle]))
            first, whole = middle, False
    if not whole:
        path.append(root_of(leaves[first:last]))
    return tuple(reversed(path))


def is_consistent(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Tell whether ``path`` shows that the row under ``new_root`` begins with the one under
    ``old_root`` (RFC 9162, 2.1.4.2). Every row begins with the empty one, and with itself."""
    if not 0 <= old_size <= new_size or len(path) > MAX_PATH + 1:
        return False
    if old_size == new_size:
        return not path and old_root == new_root
    if old_size == 0:
        return not path and old_root == EMPTY_ROOT
    hashes = list(path)
    if old_size & (old_size - 1) == 0:  # a whole tree: its root is where the path begins
        hashes.insert(0, old_root)
    if not hashes:
        return False
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at >>= 1
        last >>= 1
    old = new = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old = node_hash(beside, old)
            new = node_hash(beside, new)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            new = node_hash(new, beside)
        at >>= 1
        last >>= 1
    return last == 0 and old == old_root and new == new_root


@dataclass(frozen=True, slots=True)
class CompactRange(Wire):
    """A row of leaves of which only the roots of its whole subtrees are kept, greatest first: so
    much is needed to add leaves and to tell the root. A value; ``CompactRange()`` is empty."""

    size: Counter = 0
    peaks: Annotated[tuple[Hash, ...], Limit(0, MAX_PATH)] = ()

    def __post_init__(self) -> None:
        if len(self.peaks) != self.size.bit_count():
            raise ValueError("a compact range has one peak for each bit of its size")

    @classmethod
    def of(cls, leaves: Iterable[bytes]) -> CompactRange:
        """Return the range of ``leaves``."""
        return cls().extended(leaves)

    def appended(self, leaf: bytes) -> CompactRange:
        """Return the range with one leaf more, in O(log size)."""
        return self.extended((leaf,))

    def extended(self, leaves: Iterable[bytes]) -> CompactRange:
        """Return the range with ``leaves`` after its own."""
        size, peaks = self.size, list(self.peaks)
        for leaf in leaves:
            top, carry = leaf_hash(leaf), size
            while carry & 1:
                top = node_hash(peaks.pop(), top)
                carry >>= 1
            peaks.append(top)
            size += 1
        return CompactRange(size, tuple(peaks))

    @property
    def root(self) -> bytes:
        """The root over all leaves; the RFC's tree head."""
        if not self.peaks:
            return EMPTY_ROOT
        top = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            top = node_hash(peak, top)
        return top


def _above(level: list[bytes]) -> list[bytes]:
    """Return the hashes of pairs; an odd last one goes up as it is."""
    pairs = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return [*pairs, level[-1]] if len(level) & 1 else pairs


def _left_size(size: int) -> int:
    """Return the greatest power of two less than ``size`` (2 or more)."""
    return 1 << ((size - 1).bit_length() - 1)
