"""Putting outputs into the workspace: old, new or missing after a crash, never half of each.

A directory is made beside its target under a name that begins with ``.buildnet-`` and swapped in
by renaming; a file is written in such a directory and moved out of it. What a dead node left under
these names is removed by the next delivery to the same place.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from buildnet.mesh.digest import Digest
from buildnet.node.execute.declared import kinds_of
from buildnet.node.execute.errors import DeliveryError, full_disk_reported
from buildnet.node.execute.removal import remove_tree
from buildnet.node.store.blobs import TEMPORARY_PREFIX
from buildnet.node.store.files import FileTable
from buildnet.node.store.holds import BlobAccess
from buildnet.pool.tree import DirectoryTree, FileEntry, Leaf, LinkEntry, plain_name

_RUN = f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}-"
_TEMPORARY_NAME = re.compile(re.escape(TEMPORARY_PREFIX) + r"([0-9]+)-[0-9a-f]{8}-[0-9]+")
_numbers = itertools.count()
_CHUNK_BYTES = 1 << 20
_NOTHING: Mapping[str, Leaf] = {}
_Delivered = tuple[str, Digest, os.stat_result | None]  # path, and what it is if it was written


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """Files and links that a delivery wrote, found in place, and removed as stale."""

    files_written: int
    files_kept: int
    files_removed: int


def deliver(
    outputs: DirectoryTree,
    declared: tuple[str, ...],
    root: Path,
    blobs: BlobAccess,
    table: FileTable,
    *,
    stale: Mapping[str, Leaf] = _NOTHING,
) -> DeliveryReport:
    """Make the declared outputs below ``root`` exactly what ``outputs`` says.

    What is the same already keeps its inode and time. Files that a pattern such as ``*.js``
    matches are written one by one, and others that match stay, but for those of ``stale`` (see
    :func:`stale_outputs`) that are still what the run before left.

    Raises:
        DeliveryError: a place can't be written, or leads out of the workspace.
        StageFullError: the disk is full.
    """
    delivery = _Delivery(root, blobs, table)
    for path, leaf in stale.items():  # first: a directory may have to stand there now
        delivery.remove_stale(path, leaf)
    kinds = kinds_of(declared)
    whole = kinds.outermost()
    for path in whole:
        delivery.place(path, outputs.find(path))
    if kinds.patterns.patterns:
        for path, leaf in outputs.leaves():
            if not any(path == one or path.startswith(one + "/") for one in whole):
                delivery.place(path, leaf)
    return delivery.report()


def stale_outputs(
    before: Iterable[tuple[str, Leaf]], now: DirectoryTree, declared: tuple[str, ...]
) -> dict[str, Leaf]:
    """Return the files and links that patterns of ``declared`` match and only ``before`` has.

    Directories that are outputs as a whole are left out: delivery replaces them entirely.
    """
    kinds = kinds_of(declared)
    return {
        path: leaf
        for path, leaf in before
        if isinstance(now.find(path), DirectoryTree | None) and kinds.is_matched(path)
    }


class _Delivery:
    # Paths are strings here: making Path objects would cost more than the calls on small outputs.

    def __init__(self, root: Path, blobs: BlobAccess, table: FileTable) -> None:
        self._root = os.fspath(root)
        self._blobs = blobs
        self._table = table
        self._written = 0
        self._kept = 0
        self._removed = 0
        self._swept: set[str] = set()

    def report(self) -> DeliveryReport:
        return DeliveryReport(self._written, self._kept, self._removed)

    def place(self, path: str, entry: Leaf | DirectoryTree | None) -> None:
        """Make ``path`` what ``entry`` says; None removes it."""
        names = path.split("/")
        try:
            for name in names:
                plain_name(name)
        except ValueError as error:
            raise DeliveryError(f"{path!r} can't be an output", cause=str(error)) from error
        target = f"{self._root}/{path}"
        parent = os.path.dirname(target)
        try:
            with full_disk_reported(f"delivering {path}"):
                if not self._parents(path, names, make=entry is not None):
                    return
                status = _status(target)
                if status is not None and stat.S_ISLNK(status.st_mode):
                    self._refuse_link_out(path, target)
                self._sweep(parent)
                if entry is None:
                    self._remove(path, target, status)
                elif isinstance(entry, DirectoryTree):
                    self._place_directory(path, target, status, entry)
                else:
                    self._place_leaf(path, target, status, entry)
        except OSError as error:
            if not os.path.isdir(self._root):
                raise DeliveryError(
                    f"output {path} can't be put into the workspace: {self._root} is gone",
                    cause="its directory was removed or moved while it was built",
                    hint="bring the directory back, or go to where it is now, and build again",
                ) from error
            raise DeliveryError(
                f"output {path} can't be put into the workspace",
                cause=str(error),
                hint=f"see that {parent} is writable and not in use",
            ) from error

    def remove_stale(self, path: str, leaf: Leaf) -> None:
        """Remove the file or link ``path`` if it is still ``leaf`` and no link leads to it."""
        target = f"{self._root}/{path}"
        try:
            status = _status(target)
            if status is None or self._is_reached_by_links(path):
                return
            if isinstance(leaf, LinkEntry):
                same = _is_link_to(target, status, leaf.target)
            else:
                same = self._holds(path, target, status, leaf.digest)
            if not same:
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(target)
        except OSError as error:
            raise DeliveryError(
                f"{path} is no output any more and can't be removed",
                cause=str(error),
                hint=f"remove it yourself, or see that {os.path.dirname(target)} is writable",
            ) from error
        self._table.forget(path)
        self._removed += 1

    def _is_reached_by_links(self, path: str) -> bool:
        here = self._root
        for name in path.split("/")[:-1]:
            here = f"{here}/{plain_name(name)}"
            if os.path.islink(here):
                return True
        return False

    def _parents(self, path: str, names: Sequence[str], *, make: bool) -> bool:
        """See that the directories above ``path`` are there and inside, and with ``make`` make
        those that are missing; return whether they are there."""
        here = self._root
        for name in names[:-1]:
            here = f"{here}/{name}"
            status = _status(here)
            if status is not None and stat.S_ISLNK(status.st_mode):
                self._refuse_link_out(path, here)
                with contextlib.suppress(OSError):
                    status = os.stat(here)
            if status is None and make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(here)
            elif status is None:
                return False
            elif not stat.S_ISDIR(status.st_mode):
                if not make:
                    return False
                raise DeliveryError(
                    f"output {path} can't be put into the workspace: {here} is not a directory",
                    hint="move it out of the way, or declare another output path",
                )
        return True

    def _refuse_link_out(self, path: str, link: str) -> None:
        if not Path(link).resolve().is_relative_to(Path(self._root).resolve()):
            raise DeliveryError(
                f"output {path} can't be put into the workspace: {link} is a symbolic link that"
                " leads out",
                cause=f"it leads to {os.readlink(link)}",
                hint="replace the link by a directory: BuildNet writes nothing outside of the"
                " workspace",
            )

    def _sweep(self, directory: str) -> None:
        """Remove what dead runs left in a directory; once a delivery."""
        if directory in self._swept:
            return
        self._swept.add(directory)
        for name in os.listdir(directory):
            if (
                name.startswith(TEMPORARY_PREFIX)
                and not name.startswith(_RUN)
                and not _is_of_living_run(name)
            ):
                remove_tree(Path(directory, name))

    def _place_directory(
        self, path: str, target: str, status: os.stat_result | None, tree: DirectoryTree
    ) -> None:
        before: set[str] = set()
        present = None
        if _is_directory(status):
            if self._is_in_place(path, target, tree):
                self._kept += sum(1 for _ in tree.leaves())
                return
            before, present = _paths(target), target
        made = _beside(target)
        delivered: list[_Delivered] = []
        try:
            self._build(path, present, made, tree, delivered)
            observed_at_ns = time.time_ns()
            old = _moved_aside(target)
            try:
                os.rename(made, target)
            except OSError:
                if old is not None:
                    os.rename(old, target)
                raise
        except BaseException:
            remove_tree(Path(made))
            raise
        if old is not None:
            remove_tree(Path(old))
        if before:
            before.difference_update(below for below, _ in tree.leaves())
            self._removed += len(before)
            for below in before:
                self._table.forget(f"{path}/{below}")
        for below, digest, file in delivered:
            self._record(below, digest, file, observed_at_ns)

    def _build(
        self,
        path: str,
        present: str | None,
        made: str,
        tree: DirectoryTree,
        delivered: list[_Delivered],
    ) -> None:
        """Fill a new directory; what is the same in the present one becomes a hard link to it."""
        os.mkdir(made)
        for name, entry in tree.entries.items():
            there, below = f"{made}/{plain_name(name)}", f"{path}/{name}"
            here = None if present is None else f"{present}/{name}"
            status = None if here is None else _status(here)
            if isinstance(entry, DirectoryTree):
                self._build(below, here if _is_directory(status) else None, there, entry, delivered)
            elif isinstance(entry, LinkEntry):
                os.symlink(entry.target, there)
                self._count(kept=here is not None and _is_link_to(here, status, entry.target))
            elif (
                here is not None
                and self._is_same(below, here, status, entry)
                and _hard_link(here, there)
            ):
                self._kept += 1
                delivered.append((below, entry.digest, None))
            else:
                self._written += 1
                delivered.append((below, entry.digest, self._copy(entry, there)))

    def _place_leaf(
        self, path: str, target: str, status: os.stat_result | None, entry: Leaf
    ) -> None:
        if isinstance(entry, LinkEntry):
            kept = _is_link_to(target, status, entry.target)
        else:
            kept = self._is_same(path, target, status, entry)
        self._count(kept=kept)
        if kept:
            return
        made, old, file = _beside(target), None, None
        try:
            os.mkdir(made)
            new = f"{made}/{os.path.basename(target)}"
            if isinstance(entry, LinkEntry):
                os.symlink(entry.target, new)
            else:
                file = self._copy(entry, new)
            observed_at_ns = time.time_ns()
            if _is_directory(_status(target)):
                self._removed += len(_paths(target))
                old = _moved_aside(target)
            os.replace(new, target)
        finally:
            remove_tree(Path(made))
        if old is not None:
            remove_tree(Path(old))
        if isinstance(entry, LinkEntry):
            self._table.forget(path)
        else:
            self._record(path, entry.digest, file, observed_at_ns)

    def _remove(self, path: str, target: str, status: os.stat_result | None) -> None:
        if status is None:
            return
        if _is_directory(status):
            stale = _paths(target)
            old = _moved_aside(target)
            if old is not None:
                remove_tree(Path(old))
        else:
            stale = {""}
            os.unlink(target)
        self._removed += len(stale)
        for below in stale:
            self._table.forget(f"{path}/{below}" if below else path)

    def _is_in_place(self, path: str, target: str, tree: DirectoryTree) -> bool:
        if set(os.listdir(target)) != tree.entries.keys():
            return False
        for name, entry in tree.entries.items():
            here, below = f"{target}/{name}", f"{path}/{name}"
            status = _status(here)
            if isinstance(entry, DirectoryTree):
                same = _is_directory(status) and self._is_in_place(below, here, entry)
            elif isinstance(entry, LinkEntry):
                same = _is_link_to(here, status, entry.target)
            else:
                same = self._is_same(below, here, status, entry)
            if not same:
                return False
        return True

    def _copy(self, entry: FileEntry, place: str) -> os.stat_result:
        """Write a file where none is; return what it is then."""
        written = self._blobs.copy_to(entry.digest, place, entry.executable, None, fresh=True)
        if entry.mode is None:
            return written
        os.chmod(place, entry.mode)
        return os.lstat(place)

    def _is_same(
        self, path: str, here: str, status: os.stat_result | None, entry: FileEntry
    ) -> bool:
        return (
            status is not None
            and stat.S_IMODE(status.st_mode) == entry.permissions
            and self._holds(path, here, status, entry.digest)
        )

    def _holds(self, path: str, here: str, status: os.stat_result, digest: Digest) -> bool:
        """Whether a regular file with these bytes stands there."""
        if not stat.S_ISREG(status.st_mode) or status.st_size != digest.size_bytes:
            return False
        known = self._table.lookup(path, status)
        if known is None:
            observed_at_ns = time.time_ns()
            try:
                known = _digest_of(here)
            except OSError:  # not readable, or gone: to be replaced
                return False
            self._table.record(path, status, known, observed_at_ns)
        return known == digest

    def _record(
        self, path: str, digest: Digest, written: os.stat_result | None, observed_at_ns: int
    ) -> None:
        """Remember what a delivered file holds; ``written``: None for one that was linked.

        Anyone who changed it since ``observed_at_ns``, when it was whole and not yet in place, gave
        it a later date, which the table does not trust.
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            status = written or os.lstat(f"{self._root}/{path}")
            self._table.record(path, status, digest, observed_at_ns)

    def _count(self, *, kept: bool) -> None:
        if kept:
            self._kept += 1
        else:
            self._written += 1


def _beside(target: str) -> str:
    """Return a new temporary name in the same directory."""
    return f"{os.path.dirname(target)}/{_RUN}{next(_numbers)}"


def _moved_aside(target: str) -> str | None:
    """Give what stands at a target a temporary name beside it, and return that."""
    if not os.path.lexists(target):
        return None
    old = _beside(target)
    os.rename(target, old)
    return old


def _is_of_living_run(name: str) -> bool:
    """Whether a temporary name is another living process's; true for names that are not ours."""
    match = _TEMPORARY_NAME.fullmatch(name)
    if match is None:
        return True
    pid = int(match[1])
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_directory(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISDIR(status.st_mode)


def _is_link_to(path: str, status: os.stat_result | None, target: str) -> bool:
    return status is not None and stat.S_ISLNK(status.st_mode) and os.readlink(path) == target


def _hard_link(existing: str, new: str) -> bool:
    try:
        os.link(existing, new)
    except OSError:  # a file system without hard links, or too many of them
        return False
    return True


def _paths(directory: str) -> set[str]:
    """Return the files and links below a directory, relative to it."""
    return {
        os.path.relpath(f"{parent}/{name}", directory)
        for parent, directories, files in os.walk(directory)
        for name in (*files, *(one for one in directories if Path(parent, one).is_symlink()))
    }


def _digest_of(path: str) -> Digest:
    hasher = blake3()
    size_bytes = 0
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
            size_bytes += len(chunk)
    return Digest(hasher.hexdigest(), size_bytes)
