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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from buildnet.mesh.digest import Digest
from buildnet.node.execute.declared import DeclaredOutputs
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
    kinds = DeclaredOutputs(declared)
    whole = kinds.outermost()
    for path in whole:
        delivery.place(path, outputs.find(path))
    if kinds.patterns.patterns:
        for path, leaf in outputs.leaves():
            if not any(path == one or path.startswith(one + "/") for one in whole):
                delivery.place(path, leaf)
    return delivery.report()


def stale_outputs(
    before: DirectoryTree, now: DirectoryTree, declared: tuple[str, ...]
) -> dict[str, Leaf]:
    """Return the files and links that patterns of ``declared`` match and only ``before`` has.

    Directories that are outputs as a whole are left out: delivery replaces them entirely.
    """
    kinds = DeclaredOutputs(declared)
    return {
        path: leaf
        for path, leaf in before.leaves()
        if isinstance(now.find(path), DirectoryTree | None) and kinds.is_matched(path)
    }


class _Delivery:
    def __init__(self, root: Path, blobs: BlobAccess, table: FileTable) -> None:
        self._root = root
        self._real_root = root.resolve()
        self._blobs = blobs
        self._table = table
        self._written = 0
        self._kept = 0
        self._removed = 0
        self._swept: set[Path] = set()

    def report(self) -> DeliveryReport:
        return DeliveryReport(self._written, self._kept, self._removed)

    def place(self, path: str, entry: Leaf | DirectoryTree | None) -> None:
        """Make ``path`` what ``entry`` says; None removes it."""
        try:
            for name in path.split("/"):
                plain_name(name)
        except ValueError as error:
            raise DeliveryError(f"{path!r} can't be an output", cause=str(error)) from error
        target = self._root / path
        try:
            with full_disk_reported(f"delivering {path}"):
                self._parents(path, make=entry is not None)
                self._refuse_link_out(path, target)
                self._sweep(target.parent)
                if entry is None:
                    self._remove(path, target)
                elif isinstance(entry, DirectoryTree):
                    self._place_directory(path, target, entry)
                else:
                    self._place_leaf(path, target, entry)
        except OSError as error:
            raise DeliveryError(
                f"output {path} can't be put into the workspace",
                cause=str(error),
                hint=f"see that {target.parent} is writable and not in use",
            ) from error

    def remove_stale(self, path: str, leaf: Leaf) -> None:
        """Remove the file or link ``path`` if it is still ``leaf`` and no link leads to it."""
        target = self._root / path
        try:
            status = _status(target)
            if status is None or self._is_reached_by_links(path):
                return
            if isinstance(leaf, LinkEntry):
                same = _is_link_to(target, leaf.target)
            else:
                same = self._holds(path, target, status, leaf.digest)
            if not same:
                return
            target.unlink(missing_ok=True)
        except OSError as error:
            raise DeliveryError(
                f"{path} is no output any more and can't be removed",
                cause=str(error),
                hint=f"remove it yourself, or see that {target.parent} is writable",
            ) from error
        self._table.forget(path)
        self._removed += 1

    def _is_reached_by_links(self, path: str) -> bool:
        here = self._root
        for name in path.split("/")[:-1]:
            here = here / plain_name(name)
            if here.is_symlink():
                return True
        return False

    def _parents(self, path: str, *, make: bool) -> None:
        here = self._root
        for name in path.split("/")[:-1]:
            here = here / name
            if here.is_symlink() and not here.resolve().is_relative_to(self._real_root):
                raise _leads_out(path, here)
            if make and not here.is_dir():
                if os.path.lexists(here):
                    raise DeliveryError(
                        f"output {path} can't be put into the workspace: {here} is not a directory",
                        hint="move it out of the way, or declare another output path",
                    )
                here.mkdir(exist_ok=True)

    def _refuse_link_out(self, path: str, target: Path) -> None:
        if target.is_symlink() and not target.resolve().is_relative_to(self._real_root):
            raise _leads_out(path, target)

    def _sweep(self, directory: Path) -> None:
        """Remove what dead runs left in a directory; once a delivery."""
        if directory in self._swept or not directory.is_dir():
            return
        self._swept.add(directory)
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(TEMPORARY_PREFIX)]
        for name in names:
            if not name.startswith(_RUN) and not _is_of_living_run(name):
                remove_tree(directory / name)

    def _place_directory(self, path: str, target: Path, tree: DirectoryTree) -> None:
        if _is_directory(target) and self._is_in_place(path, target, tree):
            self._kept += sum(1 for _ in tree.leaves())
            return
        before = _paths(target) if _is_directory(target) else set()
        made, old = _beside(target), _beside(target)
        delivered: list[tuple[str, Digest]] = []
        try:
            self._build(path, target, made, tree, delivered)
            observed_at_ns = time.time_ns()
            if os.path.lexists(target):
                target.rename(old)
            try:
                made.rename(target)
            except OSError:
                old.rename(target)
                raise
        finally:
            remove_tree(made)
        remove_tree(old)
        stale = before.difference(below for below, _ in tree.leaves())
        self._removed += len(stale)
        for below in stale:
            self._table.forget(f"{path}/{below}")
        for below, digest in delivered:
            self._record(below, digest, observed_at_ns)

    def _build(
        self,
        path: str,
        present: Path,
        made: Path,
        tree: DirectoryTree,
        delivered: list[tuple[str, Digest]],
    ) -> None:
        """Fill a new directory; what is the same in the present one becomes a hard link to it."""
        made.mkdir()
        usable = _is_directory(present)
        for name, entry in tree.entries.items():
            there, here = made / plain_name(name), present / name
            below = f"{path}/{name}"
            if isinstance(entry, DirectoryTree):
                self._build(below, here, there, entry, delivered)
            elif isinstance(entry, LinkEntry):
                there.symlink_to(entry.target)
                self._count(kept=usable and _is_link_to(here, entry.target))
            else:
                kept = usable and self._is_same(below, here, entry) and _hard_link(here, there)
                if not kept:
                    self._copy(entry, there)
                self._count(kept=kept)
                delivered.append((below, entry.digest))

    def _place_leaf(self, path: str, target: Path, entry: Leaf) -> None:
        if isinstance(entry, LinkEntry):
            kept = _is_link_to(target, entry.target)
        else:
            kept = self._is_same(path, target, entry)
        self._count(kept=kept)
        if kept:
            return
        made, old = _beside(target), _beside(target)
        try:
            made.mkdir()
            new = made / target.name
            if isinstance(entry, LinkEntry):
                new.symlink_to(entry.target)
            else:
                self._copy(entry, new)
            observed_at_ns = time.time_ns()
            if _is_directory(target):
                self._removed += len(_paths(target))
                target.rename(old)
            new.replace(target)
        finally:
            remove_tree(made)
        remove_tree(old)
        if isinstance(entry, LinkEntry):
            self._table.forget(path)
        else:
            self._record(path, entry.digest, observed_at_ns)

    def _remove(self, path: str, target: Path) -> None:
        if not os.path.lexists(target):
            return
        if _is_directory(target):
            stale = _paths(target)
            old = _beside(target)
            target.rename(old)
            remove_tree(old)
        else:
            stale = {""}
            target.unlink()
        self._removed += len(stale)
        for below in stale:
            self._table.forget(f"{path}/{below}" if below else path)

    def _is_in_place(self, path: str, target: Path, tree: DirectoryTree) -> bool:
        with os.scandir(target) as listed:
            present = {entry.name for entry in listed}
        if present != tree.entries.keys():
            return False
        for name, entry in tree.entries.items():
            here, below = target / name, f"{path}/{name}"
            if isinstance(entry, DirectoryTree):
                same = _is_directory(here) and self._is_in_place(below, here, entry)
            elif isinstance(entry, LinkEntry):
                same = _is_link_to(here, entry.target)
            else:
                same = self._is_same(below, here, entry)
            if not same:
                return False
        return True

    def _copy(self, entry: FileEntry, place: Path) -> None:
        self._blobs.copy_to(entry.digest, place, entry.executable, None, fresh=True)
        if entry.mode is not None:
            place.chmod(entry.mode)

    def _is_same(self, path: str, here: Path, entry: FileEntry) -> bool:
        status = _status(here)
        return (
            status is not None
            and stat.S_IMODE(status.st_mode) == entry.permissions
            and self._holds(path, here, status, entry.digest)
        )

    def _holds(self, path: str, here: Path, status: os.stat_result, digest: Digest) -> bool:
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

    def _record(self, path: str, digest: Digest, observed_at_ns: int) -> None:
        """Remember what a delivered file holds.

        Anyone who changed it since ``observed_at_ns``, when it was whole and not yet in place, gave
        it a later date, which the table does not trust.
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._table.record(path, (self._root / path).lstat(), digest, observed_at_ns)

    def _count(self, *, kept: bool) -> None:
        if kept:
            self._kept += 1
        else:
            self._written += 1


def _beside(target: Path) -> Path:
    """Return a new temporary name in the same directory."""
    return target.with_name(f"{_RUN}{next(_numbers)}")


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


def _leads_out(path: str, link: Path) -> DeliveryError:
    return DeliveryError(
        f"output {path} can't be put into the workspace: {link} is a symbolic link that leads out",
        cause=f"it leads to {link.readlink()}",
        hint="replace the link by a directory: BuildNet writes nothing outside of the workspace",
    )


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_link_to(path: Path, target: str) -> bool:
    return path.is_symlink() and str(path.readlink()) == target


def _hard_link(existing: Path, new: Path) -> bool:
    try:
        os.link(existing, new)
    except OSError:  # a file system without hard links, or too many of them
        return False
    return True


def _paths(directory: Path) -> set[str]:
    """Return the files and links below a directory, relative to it."""
    return {
        os.path.relpath(f"{parent}/{name}", directory)
        for parent, directories, files in os.walk(directory)
        for name in (*files, *(one for one in directories if Path(parent, one).is_symlink()))
    }


def _digest_of(path: Path) -> Digest:
    hasher = blake3()
    size_bytes = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
            size_bytes += len(chunk)
    return Digest(hasher.hexdigest(), size_bytes)
