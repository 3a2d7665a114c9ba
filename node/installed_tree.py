"""The ``node_modules`` of workspaces in the store, for hosts that have no such workspace."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from buildnet.node.execute.mounts import CACHES
from buildnet.node.installed import NOTES
from buildnet.node.store import Hold
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree, FileEntry, Leaf, LinkEntry

_KEPT = 4
"""Trees that are remembered; a build of another workspace reads its files again."""

_Stamp = tuple[tuple[str, int, int], ...]


class TakenIn:
    """What one node took into its store of its workspaces' own trees. Thread-safe."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[_Stamp, DirectoryTree]] = {}
        self._lock = threading.Lock()

    def tree(self, key: str, root: Path, members: Iterable[str], hold: Hold) -> DirectoryTree:
        """Return what is installed in the workspace ``root``, all of it held in the store.
        ``key`` names the installation, ``members`` the directories that may hold a
        ``node_modules``. Files are read again only if the package manager's note is another one.

        Raises:
            SourceFileError: something in it can't be read.
        """
        stamp = _stamp(root)
        with self._lock:
            known = self._known.get((key, str(root)))
        if known is not None and known[0] == stamp and not hold.missing(known[1].files()):
            return known[1]
        found = EMPTY_TREE
        for member in members:
            place = root / member / "node_modules"
            if place.is_dir():
                path = f"{member}/node_modules".lstrip("/")
                found = found.merged(_read(place, hold, CACHES).placed_at(path))
        with self._lock:
            self._known[key, str(root)] = (stamp, found)
            while len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
        return found


def _stamp(root: Path) -> _Stamp:
    notes = (root / "node_modules" / name for name in NOTES)
    return tuple(
        (note.name, status.st_mtime_ns, status.st_ino)
        for note in notes
        if note.is_file() and (status := note.stat())
    )


def _read(directory: Path, hold: Hold, left_out: frozenset[str] = frozenset()) -> DirectoryTree:
    entries: dict[str, Leaf | DirectoryTree] = {}
    with os.scandir(directory) as found:
        for entry in found:
            if entry.name in left_out:
                continue
            if entry.is_symlink():
                entries[entry.name] = LinkEntry(os.readlink(entry.path))
            elif entry.is_dir():
                entries[entry.name] = _read(Path(entry.path), hold)
            else:
                executable = bool(entry.stat().st_mode & 0o100)
                entries[entry.name] = FileEntry(hold.put_file(Path(entry.path)), executable)
    return DirectoryTree(entries)
