"""What may have changed in a workspace, worked out from the events of its directories.

Pure: the kernel's events go in, and out come the paths that may be different now and the watches
that are of no use any more. Whoever reads a directory watches it first, and all directories above
it up to the root; so whatever happens after the reading is told.

A watch is of a directory's inode, not of its path, and one inode can be reached by several paths.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from enum import Enum, auto

MOST_PATHS = 20_000
"""With more dirty paths than that between two builds, looking at everything is as quick."""


class Happened(Enum):
    """What an event tells."""

    CHANGED = auto()
    """An entry of the directory was written to, or got other permissions or dates."""
    CAME_OR_WENT = auto()
    """An entry was made, deleted or renamed."""
    ITSELF = auto()
    """The directory got other permissions or dates."""
    GONE = auto()
    """The directory was deleted, renamed, or its file system unmounted."""
    ENDED = auto()
    """There will be no further events of this watch."""
    OVERFLOW = auto()
    """Events were lost."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``name`` is the entry's, empty where it is about the directory itself."""

    watch: int
    happened: Happened
    name: str = ""


@dataclass(frozen=True, slots=True)
class Dirt:
    """Paths (relative to the root, ``/``-separated) at which or below which anything may be
    different, or ``everything``."""

    paths: Set[str] = frozenset()
    everything: bool = False

    def __bool__(self) -> bool:
        return self.everything or bool(self.paths)

    def __or__(self, other: Dirt) -> Dirt:
        if self.everything or other.everything:
            return EVERYTHING
        return Dirt(self.paths | other.paths)


EVERYTHING = Dirt(everything=True)
NOTHING = Dirt()


class DirtySet:
    """Which directories are watched, and what was told of them since the last :meth:`drain`."""

    def __init__(self) -> None:
        self._watches: dict[str, int] = {}
        self._directories: dict[int, set[str]] = {}
        self._paths: set[str] = set()
        self._everything = False

    def __len__(self) -> int:
        return len(self._watches)

    @property
    def overflowed(self) -> bool:
        """Whether everything may be different."""
        return self._everything

    def is_watched(self, directory: str) -> bool:
        """Whether the directory (``""`` is the root) has a watch."""
        return directory in self._watches

    def watched(self, directory: str, watch: int) -> None:
        """Take note of a watch, made before the directory is read."""
        self._watches[directory] = watch
        self._directories.setdefault(watch, set()).add(directory)

    def take(self, event: Event) -> list[int]:
        """Take in an event; return the watches to end, of directories that are no longer there."""
        if event.happened is Happened.OVERFLOW:
            self._everything = True
            return []
        directories = self._directories.get(event.watch)
        if directories is None:  # of a watch that was ended
            return []
        useless: list[int] = []
        for directory in tuple(directories):
            path = f"{directory}/{event.name}" if directory and event.name else event.name
            match event.happened:
                case Happened.CHANGED:
                    self._add(path)
                case Happened.CAME_OR_WENT:
                    self._add(path)
                    useless += self._unwatch(path)
                case Happened.ITSELF:
                    self._add(directory)
                case Happened.GONE | Happened.ENDED:
                    self._add(directory)
                    useless += self._unwatch(directory)
        if event.happened is Happened.ENDED:
            useless = [watch for watch in useless if watch != event.watch]
        return useless

    def drain(self) -> Dirt:
        """Return what may be different since the last call."""
        dirt = EVERYTHING if self._everything else Dirt(frozenset(self._paths))
        self._paths = set()
        self._everything = False
        return dirt

    def _add(self, path: str) -> None:
        if not path:  # the root itself
            self._everything = True
        elif not self._everything:
            self._paths.add(path)
            self._everything = len(self._paths) > MOST_PATHS

    def _unwatch(self, top: str) -> list[int]:
        """Forget the watches of a directory and of all below; return those without any path left.

        What is above a watched directory is watched, so nothing is below one that is not.
        """
        if top not in self._watches:
            return []
        below = [one for one in self._watches if not top or one == top or one.startswith(top + "/")]
        useless: list[int] = []
        for directory in below:
            watch = self._watches.pop(directory)
            paths = self._directories[watch]
            paths.discard(directory)
            if not paths:
                del self._directories[watch]
                useless.append(watch)
        return useless
