"""Which results are put into the workspace together: writing each takes less than going to a thread
of its own is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from buildnet.pool.tree import DirectoryTree, FileEntry

_Result = TypeVar("_Result")
_FILES = 64
_BYTES = 1 << 20
_AT_ONCE = 32
"""Small results that are put into the workspace before what depends on them is looked at."""


def is_small(outputs: DirectoryTree) -> bool:
    """Whether a result is one of them."""
    size_bytes = 0
    for count, (_, leaf) in enumerate(outputs.leaves(), 1):
        size_bytes += leaf.digest.size_bytes if isinstance(leaf, FileEntry) else 0
        if count > _FILES or size_bytes > _BYTES:
            return False
    return True


def in_batches(results: Sequence[_Result]) -> Iterator[Sequence[_Result]]:
    """Yield small results as they are put there."""
    for start in range(0, len(results), _AT_ONCE):
        yield results[start : start + _AT_ONCE]
