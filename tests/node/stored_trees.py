"""Trees of files whose bytes a store holds."""

from __future__ import annotations

from collections.abc import Mapping

from buildnet.node.store.store import Store
from buildnet.pool.tree import DirectoryTree, FileEntry, Leaf


def tree_of(store: Store, files: Mapping[str, bytes | Leaf]) -> DirectoryTree:
    return DirectoryTree.from_paths(
        {
            path: FileEntry(store.put(content)) if isinstance(content, bytes) else content
            for path, content in files.items()
        }
    )
