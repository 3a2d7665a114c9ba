"""Dependency trees unpacked once and shown to many actions.

store/trees/<hash of the install action>/              as the install left it: node_modules/ …
store/trees/<hash of the install action>.fingerprint   what ``stat`` said of it then, and its size
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xxhash import xxh3_128

from buildnet.mesh.digest import Digest
from buildnet.node.execute.errors import full_disk_reported
from buildnet.node.execute.removal import discard, remove_tree
from buildnet.node.execute.staging import copy_tree, give
from buildnet.node.store.holds import BlobAccess
from buildnet.pool.tree import DirectoryTree

logger = logging.getLogger(__name__)

CHECKED_EVERY_S = 3600.0
_FINGERPRINT = ".fingerprint"
_PARTIAL = ".partial"


class UnpackedTrees:
    """The unpacked trees of one node, by key. Thread-safe.

    The directory is private, files are read-only. A tree is compared with its fingerprint (paths,
    sizes, modification times, inodes) when it is first asked for, and every
    :data:`CHECKED_EVERY_S` from then on; it is unpacked again if someone has altered it. Commands
    in ``strict`` can't; after others :meth:`distrust` has it compared at once.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._checked_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._key_locks: dict[str, threading.Lock] = {}
        self._in_use: Counter[str] = Counter()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        for left in directory.glob(f"*{_PARTIAL}*"):
            discard(left)

    def distrust(self) -> None:
        """Have every tree compared again: a command could reach them that nothing held back."""
        self._checked_at.clear()

    def adopt(
        self, key: Digest, root: Path, paths: Iterable[str], owner: int | None = None
    ) -> Path:
        """Move a finished install out of its stage ``root``: the directories at ``paths``.

        Paths that do not exist are left out. Moving costs a copy if the stage is on another file
        system. ``owner``: see :meth:`ensure`. Returns the tree's directory; a tree that is there
        already is kept.
        """
        with self._only(key.hash):
            place = self._directory / key.hash
            if self._is_intact(place):
                return place
            with self._replacing(place, owner) as partial:
                for path in paths:
                    if (root / path).is_dir():
                        (partial / path).parent.mkdir(parents=True, exist_ok=True)
                        shutil.move(root / path, partial / path)
            return place

    def ensure(
        self, key: Digest, tree: DirectoryTree, blobs: BlobAccess, owner: int | None = None
    ) -> Path:
        """Return the directory that holds ``tree``, unpacking it if it is missing or altered.

        ``owner`` is the user that commands run as, if not the node's: what is shown to them as
        something to write to has to be theirs.

        Raises:
            StageError: the tree holds a link that leads out of it; StageFullError: no room.
            MissingBlobError: the store has lost a part of it: install again.
        """
        with self._only(key.hash):
            place = self._directory / key.hash
            if self._is_intact(place):
                _note_use(place)
                return place
            if place.exists():
                logger.warning("the tree %s was altered: it is unpacked again", place)
            with (
                full_disk_reported(f"unpacking tree {key.hash[:12]}"),
                self._replacing(place, owner) as partial,
            ):
                copy_tree(tree, partial, blobs)
            return place

    def find(self, key: Digest) -> Path | None:
        """Return the directory of a tree that is unpacked and as it was; None: there is none."""
        with self._only(key.hash):
            place = self._directory / key.hash
            if not self._is_intact(place):
                return None
            _note_use(place)
            return place

    def has(self, key: Digest) -> bool:
        """Tell whether a tree is unpacked, be it altered or not."""
        return (self._directory / key.hash).is_dir()

    @contextmanager
    def using(self, key: Digest) -> Iterator[None]:
        """Keep :meth:`prune` off a tree, be it there already or not, until the context ends."""
        with self._lock:
            self._in_use[key.hash] += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_use[key.hash] -= 1

    def prune(
        self, keep: int, max_bytes: int | None = None, among: Collection[Digest] | None = None
    ) -> int:
        """Remove all but the ``keep`` trees that were asked for last, or fewer if those are larger
        than ``max_bytes`` together; returns how many went. ``among``: the others are as if they
        were not there.

        Only for times when no action runs with a tree that nobody is :meth:`using`.
        """
        found: list[tuple[int, int, Path]] = []
        names = None if among is None else {key.hash for key in among}
        for file in self._directory.glob(f"*{_FINGERPRINT}"):
            if names is None or file.name.removesuffix(_FINGERPRINT) in names:
                with suppress(FileNotFoundError):  # it is unpacked again, or removed
                    found.append((file.stat().st_mtime_ns, _size_in(file), file))
        found.sort(reverse=True)
        removed = total_bytes = 0
        for number, (_, size_bytes, file) in enumerate(found):
            total_bytes += size_bytes
            if number < keep and (max_bytes is None or total_bytes <= max_bytes):
                continue
            name = file.name.removesuffix(_FINGERPRINT)
            with self._only(name):
                if self._in_use[name]:
                    continue
                file.unlink(missing_ok=True)
                discard(file.with_name(name))
                removed += 1
        return removed

    @contextmanager
    def _only(self, name: str) -> Iterator[None]:
        with self._lock:
            lock = self._key_locks.setdefault(name, threading.Lock())
        with lock:
            yield

    @contextmanager
    def _replacing(self, place: Path, owner: int | None) -> Iterator[Path]:
        """Give a directory to fill that then becomes the tree. Without a fingerprint it is none."""
        partial = place.with_name(place.name + _PARTIAL)
        remove_tree(partial)
        partial.mkdir()
        try:
            yield partial
            _make_read_only(partial)
            if owner is not None:
                give(str(partial), owner)
            _fingerprint_file(place).unlink(missing_ok=True)
            if place.exists():
                old = place.with_name(f"{place.name}{_PARTIAL}-old")
                place.rename(old)
                discard(old)
            partial.rename(place)
            described = f"{_fingerprint(place)} {_size_bytes(place)}"
            _fingerprint_file(place).write_text(described)
            _note_use(place)
            self._checked_at[place.name] = self._clock()
        finally:
            remove_tree(partial)

    def _is_intact(self, place: Path) -> bool:
        try:
            expected = _fingerprint_file(place).read_text().partition(" ")[0]
        except FileNotFoundError:
            return False
        if not place.is_dir():
            return False
        now = self._clock()
        checked_at = self._checked_at.get(place.name)
        if checked_at is not None and now - checked_at < CHECKED_EVERY_S:
            return True
        intact = _fingerprint(place) == expected
        if intact:
            self._checked_at[place.name] = now
        return intact


def _fingerprint_file(place: Path) -> Path:
    return place.with_name(place.name + _FINGERPRINT)


def _size_in(fingerprint: Path) -> int:
    """Return how large a tree is, as its fingerprint says; 0: an earlier version noted none."""
    return int(fingerprint.read_text().partition(" ")[2] or 0)


def _size_bytes(place: Path) -> int:
    return sum(entry.stat(follow_symlinks=False).st_size for _, entry in _walk(str(place)))


def _note_use(place: Path) -> None:
    now = time.time_ns()  # the file system's own clock is coarser
    os.utime(_fingerprint_file(place), ns=(now, now))


def _walk(directory: str, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(directory) as listed:
        entries = sorted(listed, key=lambda entry: entry.name)
    for entry in entries:
        yield prefix + entry.name, entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{prefix}{entry.name}/")


def _fingerprint(place: Path) -> str:
    hasher = xxh3_128()
    for path, entry in _walk(str(place)):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):  # its date changes with a file that came and went
            described = f"{path}\0{status.st_ino}\0"
        else:
            described = (
                f"{path}\0{status.st_ino} {status.st_mode} {status.st_size} {status.st_mtime_ns}\0"
            )
        hasher.update(os.fsencode(described))
    return hasher.hexdigest()


def _make_read_only(directory: Path) -> None:
    for _, entry in _walk(str(directory)):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            Path(entry.path).chmod(0o555 if status.st_mode & stat.S_IXUSR else 0o444)
