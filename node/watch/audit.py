"""Comparing what is known of a workspace with what is there: was a change not told?"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from buildnet.mesh.digest import Digest
from buildnet.node.source_file import FileTable, SourceError, digest_file
from buildnet.node.source_memory import SourceMemory, listing_of
from buildnet.pool.tree import FileEntry, Leaf, LinkEntry


def changed_silently(
    root: str, memory: SourceMemory, table: FileTable, directories: Iterable[str]
) -> str | None:
    """Return a path in one of ``directories`` that is not what it is remembered as, or None.

    Ask when everything that was told has been taken in. Files are compared by ``stat``, and read
    only where that decides nothing.
    """
    for directory in directories:
        listing = memory.listings.get(directory)
        if listing is None:
            continue
        try:
            if listing_of(root, directory) != listing:
                return directory or "."
        except OSError:
            return directory
        for keeps_modes in (False, True):
            for name, leaf in memory.leaves.get((directory, keeps_modes), {}).items():
                path = f"{directory}/{name}" if directory else name
                if name in listing and not _is_as_remembered(root, path, leaf, table):
                    return path
    return None


def _is_as_remembered(root: str, path: str, leaf: Leaf, table: FileTable) -> bool:
    full_path = f"{root}/{path}"
    try:
        if isinstance(leaf, LinkEntry):
            return os.readlink(full_path) == leaf.target
        status = os.stat(full_path)
        if not stat.S_ISREG(status.st_mode):
            return False
        if bool(status.st_mode & 0o100) != leaf.executable:
            return False
        return _digest(full_path, path, status, leaf, table) == leaf.digest
    except (OSError, SourceError):
        return False


def _digest(
    full_path: str, path: str, status: os.stat_result, leaf: FileEntry, table: FileTable
) -> Digest | None:
    if status.st_size != leaf.digest.size_bytes:
        return None
    return table.lookup(path, status) or digest_file(full_path, path, _Unrecorded(), lambda: 0)


class _Unrecorded:
    """A file table that takes nothing in: the next build is to see what it did not know."""

    def lookup(self, path: str, stat: os.stat_result) -> Digest | None: ...

    def previous(self, path: str) -> Digest | None: ...

    def record(
        self, path: str, stat: os.stat_result, digest: Digest, observed_at_ns: int
    ) -> None: ...
