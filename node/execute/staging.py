"""The private directory in which an action runs: copies of its inputs and nothing else.

    work/<first 16 hexadecimal digits of the action>/
        root/   the input root; the command's working directory is in it
        home/   HOME
        tmp/    TMPDIR
        mount0  leads to an unpacked tree that is shown in root

The same action always gets the same path, so that paths which a command embeds repeat. Files are
copies, never hard links: no action can alter the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from buildnet.mesh.digest import Digest
from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.node.execute.errors import StageError, full_disk_reported
from buildnet.node.execute.links import stays_inside
from buildnet.node.execute.mounts import Mount, show
from buildnet.node.execute.removal import discard, remove_tree
from buildnet.node.store.holds import BlobAccess
from buildnet.pool.tree import DirectoryTree, FileEntry, LinkEntry, plain_name

SOURCE_EPOCH_S = 315_532_800
"""Modification time of every input: 1980-01-01, the earliest that a zip archive can hold."""

SOURCE_EPOCH_NS = SOURCE_EPOCH_S * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage that stands."""

    directory: Path
    root: Path
    home: Path
    temporary: Path

    @classmethod
    def at(cls, directory: Path) -> Stage:
        """Return the stage in a directory."""
        names = ("root", "home", "tmp")
        return cls(directory, *(directory / name for name in names))


@contextmanager
def staged(
    work: Path,
    action: Digest,
    inputs: DirectoryTree,
    blobs: BlobAccess,
    *,
    mounts: Iterable[Mount] = (),
    outputs: DeclaredOutputs | None = None,
    working_directory: str = "",
    remove: Callable[[Path], None] = discard,
) -> Iterator[Stage]:
    """Make the action's stage anew and ``remove`` it afterwards.

    Parents of plain outputs and the working directory are made, outputs are not.

    Raises:
        StageError: an input can't be put there; StageFullError: the disk is full.
    """
    stage = Stage.at(work / action.hash[:16])
    try:
        try:
            with full_disk_reported(f"staging action {action.hash[:12]}"):
                remove_tree(stage.directory)
                os.makedirs(stage.directory)
                for directory in (stage.root, stage.home, stage.temporary):
                    os.mkdir(directory)
                fill(stage.root, inputs, blobs, mounts, outputs, working_directory)
        except OSError as error:
            raise StageError(
                f"the stage {stage.directory} can't be made",
                cause=str(error),
                hint="see that the data directory (BUILDNET_HOME) is writable",
            ) from error
        yield stage
    finally:
        remove(stage.directory)


def fill(
    root: Path,
    inputs: DirectoryTree,
    blobs: BlobAccess,
    mounts: Iterable[Mount],
    outputs: DeclaredOutputs | None,
    working_directory: str,
    owner: int | None = None,
) -> None:
    """Put into an empty input root what an action needs there. ``owner``: the user that it is to
    belong to, mounts aside, if not the node's.

    Raises:
        StageError: an input can't be put there.
        OSError: something can't be made.
    """
    copied = copy_tree(inputs, root, blobs, owner)
    for number, mount in enumerate(mounts):
        show(mount, root, f"mount{number}")
    wanted = [working_directory]
    if outputs is not None:
        wanted += [path.rpartition("/")[0] for path in outputs.plain]
    known = set(copied)
    for path in wanted:
        _directory(root, path, known, owner)
    for directory in copied:  # made last: filling a directory changes its time
        os.utime(directory, ns=(SOURCE_EPOCH_NS, SOURCE_EPOCH_NS))


def fill_home(home: Path, files: Mapping[str, bytes], owner: int | None) -> None:
    """Write a command's private files, by name; ``owner``: the user it runs as, if not the node's.

    Raises:
        StageFullError: the disk is full.
    """
    for name, data in files.items():
        place = home / plain_name(name)
        with full_disk_reported("staging an action"):
            place.touch(mode=0o600)
            place.write_bytes(data)
        if owner is not None:
            os.chown(place, owner, owner)


def give(directory: str, owner: int) -> None:
    """Give a directory with all below it to the user ``owner``."""
    os.chown(directory, owner, owner)
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                give(entry.path, owner)
            else:
                os.chown(entry.path, owner, owner, follow_symlinks=False)


def copy_tree(
    tree: DirectoryTree, destination: Path, blobs: BlobAccess, owner: int | None = None
) -> list[str]:
    """Copy a tree into an empty directory, files and links dated :data:`SOURCE_EPOCH_S`, and give
    all of it to the user ``owner``.

    Returns all its directories, whose dates are up to the caller.

    Raises:
        StageError: a link leads out of the tree.
    """
    copying = _Copying(tree, blobs, owner)
    copying.copy(tree, "", os.fspath(destination))
    return copying.directories


class _Copying:
    # Paths are strings here: making Path objects would cost as much as the calls on small files.

    def __init__(self, whole: DirectoryTree, blobs: BlobAccess, owner: int | None) -> None:
        self.directories: list[str] = []
        self._whole = whole
        self._blobs = blobs
        self._owner = owner

    def copy(self, tree: DirectoryTree, at: str, destination: str) -> None:
        """Fill the empty ``destination`` with the ``tree`` that is ``at`` a place of the whole."""
        owner = self._owner
        for name, entry in tree.entries.items():
            there = f"{destination}/{plain_name(name)}"
            if isinstance(entry, FileEntry):
                executable = entry.executable
                self._blobs.copy_to(entry.digest, there, executable, SOURCE_EPOCH_NS, fresh=True)
                if entry.mode is not None:
                    os.chmod(there, entry.mode)
            elif isinstance(entry, LinkEntry):
                if not stays_inside(self._whole, at, entry.target):
                    raise _leads_out(f"{at}/{name}" if at else name, entry.target)
                os.symlink(entry.target, there)
                os.utime(there, ns=(SOURCE_EPOCH_NS, SOURCE_EPOCH_NS), follow_symlinks=False)
            else:
                os.mkdir(there)
                self.copy(entry, f"{at}/{name}" if at else name, there)
                continue
            if owner is not None:
                os.chown(there, owner, owner, follow_symlinks=False)
        if owner is not None:
            os.chown(destination, owner, owner)
        self.directories.append(destination)


def _leads_out(path: str, target: str) -> StageError:
    return StageError(
        f"{path} is a symbolic link that leads out of the inputs: {target}",
        hint="replace the link by what it stands for, or exclude it from the sources",
    )


def _directory(root: Path, path: str, known: set[str], owner: int | None) -> None:
    """Make a directory of the stage and its parents for ``owner``; those that are ``known`` are
    there."""
    here = os.fspath(root)
    for name in path.split("/") if path else ():
        here = f"{here}/{plain_name(name)}"
        if here in known:
            continue
        known.add(here)
        if os.path.isdir(here):
            continue
        try:
            os.mkdir(here)
        except FileExistsError:
            raise StageError(
                f"{path} has to be a directory, but {os.path.relpath(here, root)} is a file",
                hint="an output's directory can't be an input file",
            ) from None
        if owner is not None:
            os.chown(here, owner, owner)
