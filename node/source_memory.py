"""What was read of a workspace's files, kept between builds.

Every answer is kept with the directories and names that it was made from. A path that may have
changed takes with it what was learnt there, below it, and from it; the rest is known to be as it
was, because each directory is watched before it is read.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from buildnet.node.store.blobs import TEMPORARY_PREFIX
from buildnet.node.store.files import is_settled
from buildnet.node.watch.dirty import Dirt
from buildnet.pool.ignore_file import IGNORE_FILE, Chain
from buildnet.pool.tree import DirectoryTree, Leaf

_MOST_FILES = 1_000_000
_MOST_TOPS = 64
"""Directories that changed as a whole, beyond which it is simpler to forget everything."""


class Kind(IntEnum):
    """What an entry of a directory is."""

    DIRECTORY = 1
    FILE = 2
    LINK = 3
    OTHER = 4


Listing = dict[str, Kind]
Key = Hashable
Fingerprint = tuple[int, ...]


@dataclass(slots=True)
class Answer:
    """Something that was worked out from the files; ``build`` is the build that did."""

    value: object
    about: object
    build: int
    uses: frozenset[str]


@dataclass(slots=True)
class SourceMemory:
    """See the module's text. For one thread at a time: whoever holds ``lock``. What is read has to
    be kept before the lock is let go of, or a change could be told, and forgotten, in between.

    ``former`` are the trees of answers that were forgotten: a new one that is equal in parts takes
    these over, so that they need not be encoded and digested again.
    """

    build: int = 0
    listings: dict[str, Listing] = field(default_factory=dict)
    leaves: dict[tuple[str, bool], dict[str, Leaf]] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)
    answers: dict[Key, Answer] = field(default_factory=dict)
    former: dict[Key, DirectoryTree] = field(default_factory=dict)
    unwatched: set[str] = field(default_factory=set)
    """Directories of which nothing is told."""
    looked_at: dict[str, tuple[bool, Fingerprint | None]] = field(default_factory=dict)
    """Files that can change without an event in their directory, to be looked at each time: whether
    to follow a link, and what ``stat`` said."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    _inodes: dict[tuple[int, int], str] = field(default_factory=dict)
    _users: dict[str, dict[str, set[Key]]] = field(default_factory=dict)
    """By the directory that a use is about, and by the use."""
    _known: dict[str, set[str]] = field(default_factory=dict)
    """The directories of which anything is known, each with those right below it."""

    def begin(self, root: str, dirt: Dirt) -> set[Key]:
        """Begin a build: forget what may not be so any more; return the keys of the answers that
        went with it."""
        self.build += 1
        paths = set(dirt.paths) | self.unwatched
        paths |= self._changed_silently(root)
        paths |= self._linked_with(root, paths)
        # The rules of an ignore file are about all that is below it.
        paths |= {
            path.rpartition("/")[0]
            for path in paths
            if path == IGNORE_FILE or path.endswith(f"/{IGNORE_FILE}")
        }
        tops = [path for path in paths if path in self._known]
        too_much = len(tops) > _MOST_TOPS or len(self._inodes) > _MOST_FILES
        if dirt.everything or "" in paths or too_much:
            return self._forget_all()
        gone: set[Key] = set()
        for path in paths:
            directory, _, name = path.rpartition("/")
            self.listings.pop(directory, None)
            for keeps_modes in (False, True):
                self.leaves.get((directory, keeps_modes), {}).pop(name, None)
            self.looked_at.pop(path, None)
            users = self._users.get(directory, {})
            gone |= users.pop(path, set()) | users.pop(f"{directory}/", set())
        if tops:
            gone |= self._forget_below(tops)
        self._drop(gone)
        return gone

    def forget_answers(self) -> None:
        """Forget what was worked out, but not what was read."""
        self._drop(set(self.answers))
        self.former.clear()

    def keep(self, key: Key, value: object, about: object, uses: Iterable[str], build: int) -> None:
        """Keep an answer that a build made from ``uses``: paths of entries, and ``directory/`` for
        all that a directory holds. ``about`` is for the asker, to tell whether it is the same
        question."""
        old = self.answers.get(key)
        if old is not None:
            self._drop({key})
        answer = self.answers[key] = Answer(value, about, build, frozenset(uses))
        for use in answer.uses:
            users = self._users.setdefault(_directory_of(use), {})
            users.setdefault(use, set()).add(key)

    def remember_directory(self, directory: str, listing: Listing) -> None:
        """Keep what a directory holds."""
        self.listings[directory] = listing
        known = self._known
        known.setdefault("", set())
        if directory in known:
            return
        known[directory] = set()
        while directory:
            above = directory.rpartition("/")[0]
            is_new = above not in known
            known.setdefault(above, set()).add(directory)
            if not is_new:
                return
            directory = above

    def remember_file(
        self, path: str, status: os.stat_result, at_ns: int, *, followed: bool
    ) -> None:
        """Take note of a file whose content is known now; ``status`` was taken at ``at_ns``."""
        place = (status.st_dev, status.st_ino)
        if followed or status.st_nlink > 1:
            # Where it may change once more without another time it has to be read again.
            known = fingerprint(status) if is_settled(status, at_ns) else None
            self.looked_at[path] = (followed, known)
        if not followed and status.st_nlink > 1:
            other = self._inodes.get(place)
            if other is not None and other != path and other not in self.looked_at:
                self.looked_at[other] = (False, None)  # it was the only name when it was read
        elif not followed:
            self.looked_at.pop(path, None)
        self._inodes[place] = path

    def look_again(self, path: str) -> None:
        """Have a file read again in the next build: somebody has it open for writing, by whatever
        name, and what is written through memory or a name that is gone is told to nobody."""
        followed, _ = self.looked_at.get(path, (False, None))
        self.looked_at[path] = (followed, None)

    def _changed_silently(self, root: str) -> set[str]:
        changed = set()
        for path, (follow, before) in self.looked_at.items():
            try:
                status = os.stat(f"{root}/{path}", follow_symlinks=follow)
            except OSError:
                changed.add(path)
            else:
                if fingerprint(status) != before:
                    changed.add(path)
        return changed

    def _linked_with(self, root: str, paths: Iterable[str]) -> set[str]:
        """Return the other known names of files that have several."""
        found = set()
        for path in paths:
            try:
                status = os.lstat(f"{root}/{path}")
            except (OSError, ValueError):
                continue
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                other = self._inodes.get((status.st_dev, status.st_ino))
                if other is not None:
                    found.add(other)
        return found

    def _forget_below(self, tops: list[str]) -> set[Key]:
        prefixes = tuple(f"{top}/" for top in tops)

        def is_below(path: str) -> bool:
            return f"{path}/".startswith(prefixes)

        gone: set[Key] = set()
        waiting = list(tops)
        for top in tops:
            self._known.get(top.rpartition("/")[0], set()).discard(top)
        while waiting:
            directory = waiting.pop()
            waiting += self._known.pop(directory, ())
            self.listings.pop(directory, None)
            self.chains.pop(directory, None)
            for keeps_modes in (False, True):
                self.leaves.pop((directory, keeps_modes), None)
            gone.update(*self._users.pop(directory, {}).values())
        for path in [one for one in self.looked_at if is_below(one)]:
            del self.looked_at[path]
        self.unwatched = {one for one in self.unwatched if not is_below(one)}
        return gone

    def _forget_all(self) -> set[Key]:
        gone = set(self.answers)
        self._drop(gone)
        self.listings, self.leaves, self.chains, self.looked_at = {}, {}, {}, {}
        self._inodes, self._users, self._known, self.unwatched = {}, {}, {}, set()
        return gone

    def _drop(self, keys: Iterable[Key]) -> None:
        for key in keys:
            answer = self.answers.pop(key, None)
            if answer is None:
                continue
            tree = getattr(answer.value, "tree", answer.value)
            if isinstance(tree, DirectoryTree):
                self.former[key] = tree
            for use in answer.uses:
                users = self._users.get(_directory_of(use), {})
                askers = users.get(use)
                if askers is not None:
                    askers.discard(key)
                    if not askers:
                        del users[use]


def listing_of(root: str, directory: str) -> Listing:
    """Return what is in a directory; nothing if there is none, or if it is a file.

    Raises:
        OSError: it can't be read.
    """
    listing: Listing = {}
    try:
        with os.scandir(f"{root}/{directory}") as entries:
            for entry in entries:
                if not entry.name.startswith(TEMPORARY_PREFIX):
                    listing[entry.name] = _kind(entry)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return listing


def _directory_of(use: str) -> str:
    """Return the directory that an answer's use is about."""
    return use.rpartition("/")[0]


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return Kind.LINK
    if entry.is_dir(follow_symlinks=False):
        return Kind.DIRECTORY
    return Kind.FILE if entry.is_file(follow_symlinks=False) else Kind.OTHER


def fingerprint(status: os.stat_result) -> Fingerprint:
    """Return what changes with a file's content, place or permissions."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode,
    )
