"""What a workspace's definition was read from, and which changes mean that it has to be looked at.

Each build asks whether the definition still holds. Comparing what ``stat`` says of all its files
costs the more the more packages there are; where the directories around them are watched, it is
enough that nothing was told of these.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable
from functools import cached_property

from buildnet.node.store.files import settled
from buildnet.node.watch.dirty import Dirt
from buildnet.pool.workspace import Workspace

Stamp = tuple[tuple[int, ...] | None, ...]


class DefinitionFiles:
    """The files, directories and missing ones that ``workspace`` was read from, and the directories
    of its packages."""

    def __init__(self, workspace: Workspace) -> None:
        self._root = os.fspath(workspace.root)
        self._files = workspace.definition_files
        self._packages = tuple(package.path for package in workspace.packages.values())
        self._listings: dict[str, frozenset[tuple[str, bool]] | None] = {}
        self._known: Stamp = ()

    def remember(self) -> None:
        """Take note of how they are now. Blocks."""
        # Listed first: what is newer than the listing then shows in the stamp, as its date.
        self._listings = {name: self._listing(name) for name in self._files}
        self._known = self.stamp()

    def hold(self) -> bool:
        """Whether they are as they were when last remembered. Blocks.

        Of a directory only what stands in it counts: outputs that are put there anew change its
        date, and nothing was read from that.
        """
        observed_at_ns = time.time_ns()
        now = self.stamp()
        if now[-1] != self._known[-1]:
            return False
        known = list(now)
        for number, name in enumerate(self._files):
            before, after, listing = self._known[number], now[number], self._listings[name]
            if before != after and (listing is None or listing != self._listing(name)):
                return False
            if not _is_settled(after, observed_at_ns):
                known[number] = before  # it may change once more without another date
        self._known = tuple(known)
        return True

    def stamp(self) -> Stamp:
        """Return what changes when one of them does; of a package's directory, whether it is there.
        Blocks."""
        files = (self._stamp(name) for name in self._files)
        is_there = (int(os.path.isdir(f"{self._root}/{path}")) for path in self._packages)
        return (*files, tuple(is_there))

    def are_settled(self, observed_at_ns: int) -> bool:
        """Whether what changed since it was read at that time, must have got another date than the
        one that was remembered."""
        return all(_is_settled(entry, observed_at_ns) for entry in self._known[:-1])

    def are_watched(self, watch: Callable[[str], bool]) -> bool:
        """Watch the directories around them; tell whether every change of them will be told.
        Blocks."""
        if any(_leads_elsewhere(path) for path in (*self._files, *self._packages)):
            return False
        directories = {path.rpartition("/")[0] for path in (*self._files, *self._packages)}
        for name in self._files:
            try:
                status = os.lstat(f"{self._root}/{name}")
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                directories.add(_plain(name))
            elif stat.S_ISLNK(status.st_mode) or status.st_nlink > 1:
                return False  # it can change by another name
        links = (path for path in self._packages if os.path.islink(f"{self._root}/{path}"))
        return not any(links) and all(watch(_plain(directory)) for directory in directories)

    def are_touched(self, dirt: Dirt) -> bool:
        """Whether a change may be one of theirs."""
        if dirt.everything:
            return True
        return any(
            path in self._paths or path.rpartition("/")[0] in self._named for path in dirt.paths
        )

    @cached_property
    def _paths(self) -> frozenset[str]:
        """They and all directories above them."""
        return frozenset(_with_parents((*self._files, *self._packages)))

    @cached_property
    def _named(self) -> frozenset[str]:
        return frozenset(map(_plain, self._files))

    def _stamp(self, name: str) -> tuple[int, ...] | None:
        try:
            status = os.stat(f"{self._root}/{name}")
        except OSError:
            return None
        return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def _listing(self, name: str) -> frozenset[tuple[str, bool]] | None:
        """Return what stands in a directory, and which of it are directories; None: it is none."""
        try:
            with os.scandir(f"{self._root}/{name}") as entries:
                return frozenset((entry.name, entry.is_dir()) for entry in entries)
        except OSError:
            return None


def _is_settled(entry: tuple[int, ...] | None, observed_at_ns: int) -> bool:
    return entry is None or all(settled(stamp_ns, observed_at_ns) for stamp_ns in entry[2:])


def _plain(path: str) -> str:
    return "" if path == "." else path


def _leads_elsewhere(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/")


def _with_parents(paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        while path and path != ".":
            yield path
            path = path.rpartition("/")[0]
