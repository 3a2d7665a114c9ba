"""Taking a command's outputs out of the directory in which it ran."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.node.execute.errors import OutputError
from buildnet.node.execute.limits import DEFAULT_LIMITS, ActionLimits
from buildnet.node.execute.links import lexical_target
from buildnet.node.execute.mounts import CACHES
from buildnet.node.store.holds import BlobAccess
from buildnet.pool.glob import State, matched
from buildnet.pool.tree import DirectoryTree, FileEntry, Leaf, LinkEntry, merge_trees

UNDECLARED_SHOWN = 20

_DEPTH_LIMIT = 200  # of directories; a stored tree may have 256
_SCRATCH = CACHES | {
    ".git",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
    "node_modules",
}
_SHOWN_CHARACTERS = 60
_KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

IsNew = Callable[[str, os.stat_result], bool]
"""Tells by path and ``lstat`` whether the command wrote a file."""


class Collector:
    """Collects the declared outputs below ``root``, where ``inputs`` were staged."""

    def __init__(
        self,
        root: Path,
        inputs: DirectoryTree,
        declared: DeclaredOutputs,
        is_new: IsNew,
        limits: ActionLimits = DEFAULT_LIMITS,
    ) -> None:
        # A string: making Path objects would cost more than the calls on small outputs.
        self._root = os.fspath(root)
        self._inputs = inputs
        self._declared = declared
        self._is_new = is_new
        self._limits = limits

    def of(self, declared: DeclaredOutputs, limits: ActionLimits) -> Collector:
        """Return one for other outputs of the same command."""
        return Collector(Path(self._root), self._inputs, declared, self._is_new, limits)

    def missing(self) -> tuple[str, ...]:
        """Return the plain outputs that do not exist."""
        return tuple(
            path for path in self._declared.plain if not os.path.lexists(f"{self._root}/{path}")
        )

    def matching(self) -> Iterator[str]:
        """Yield the files that patterns match and the command wrote."""
        return (path for path, _ in self._matching())

    def collect(self, blobs: BlobAccess) -> DirectoryTree:
        """Store the declared outputs; returns them as a tree rooted like the inputs.

        Permission bits are kept; set-user-id, set-group-id and sticky ones are not.

        Raises:
            OutputError: something there can't be an output: a socket, pipe or device, a link that
                is absolute or leads out, a name that is not UTF-8, or they are too many or large.
        """
        matching = self._measured()
        trees: list[DirectoryTree] = []
        for path in self._declared.outermost():
            found = self._whole(path, blobs)
            if found is not None:
                parent, _, name = path.rpartition("/")
                trees.append(DirectoryTree({name: found}).placed_at(parent) if name else found)  # type: ignore[arg-type]
        leaves: dict[str, Leaf] = {}
        for path, status in matching:
            leaves[path] = self._leaf(path, status, blobs)
        trees.append(DirectoryTree.from_paths(leaves))
        return merge_trees(trees)

    def _measured(self) -> list[tuple[str, os.stat_result]]:
        """See that the outputs are within their limits before any of them is read; return the files
        that patterns match.

        Raises:
            OutputError: they are not.
        """
        size_bytes = 0
        matching: list[tuple[str, os.stat_result]] = []
        found = itertools.chain(self._in_whole(), self._matching())
        for files, (path, status) in enumerate(found, 1):
            size_bytes += 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            if path is not None:
                matching.append((path, status))
            if files > self._limits.files or size_bytes > self._limits.disk_bytes:
                most_mib = self._limits.disk_bytes / 2**20
                most = f"{most_mib / 1024:.1f} GiB" if most_mib >= 1024 else f"{most_mib:.0f} MiB"
                raise OutputError(
                    f"the outputs are more than one action may leave: {self._limits.files} files, "
                    f"{most} (holes in files count)",
                    hint="have the command pack them, or declare fewer outputs",
                )
        return matching

    def _in_whole(self) -> Iterator[tuple[None, os.stat_result]]:
        """Yield all that is there of outputs that are taken as a whole."""
        waiting = [f"{self._root}/{path}" for path in self._declared.outermost()]
        while waiting:
            place = waiting.pop()
            try:
                status = os.lstat(place)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                shown = os.path.relpath(place, self._root)[:_SHOWN_CHARACTERS]
                raise OutputError(
                    f"output {shown}…: its path is longer than the system takes",
                    hint="have the command make shorter names, or fewer directories in each other",
                ) from error
            if stat.S_ISDIR(status.st_mode):
                with contextlib.suppress(PermissionError), os.scandir(place) as entries:
                    waiting += [entry.path for entry in entries]
            yield None, status

    def undeclared(self) -> tuple[str, ...]:
        """Return what the command wrote besides its outputs, at most :data:`UNDECLARED_SHOWN`.

        ``node_modules``, caches of tools and empty directories are left out.
        """
        found: list[str] = []
        for path, status in self._files("", self._inputs):
            if self._is_new(path, status) and not self._declared.covers(path):
                found.append(os.fsencode(path).decode(errors="replace"))
                if len(found) == UNDECLARED_SHOWN:
                    break
        return tuple(found)

    def _whole(self, path: str, blobs: BlobAccess) -> Leaf | DirectoryTree | None:
        end = path.find("/")
        while end > 0:
            if os.path.islink(f"{self._root}/{path[:end]}"):
                raise OutputError(
                    f"output {path}: {path[:end]} is a symbolic link",
                    hint="declare the place where the files really are",
                )
            end = path.find("/", end + 1)
        try:
            status = os.lstat(f"{self._root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISDIR(status.st_mode):
            return self._tree(path, blobs, 0)
        return self._leaf(path, status, blobs)

    def _tree(self, path: str, blobs: BlobAccess, depth: int) -> DirectoryTree:
        if depth > _DEPTH_LIMIT:
            raise _too_deep(path)
        entries: dict[str, Leaf | DirectoryTree] = {}
        for entry in self._listed(path):
            there = f"{path}/{entry.name}" if path else entry.name
            if entry.is_dir(follow_symlinks=False):
                entries[entry.name] = self._tree(there, blobs, depth + 1)
            else:
                entries[entry.name] = self._leaf(there, entry.stat(follow_symlinks=False), blobs)
        return DirectoryTree(entries)

    def _leaf(self, path: str, status: os.stat_result, blobs: BlobAccess) -> Leaf:
        place = f"{self._root}/{path}"
        if stat.S_ISREG(status.st_mode):
            return FileEntry.of(blobs.put_file(place), status.st_mode)
        if not stat.S_ISLNK(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a special file")
            raise OutputError(
                f"output {path} is {kind}",
                hint="only files, directories and links can be outputs: have the command remove it",
            )
        target = os.readlink(place)
        leads_to = lexical_target(path.rpartition("/")[0], target)
        if leads_to is None:
            raise OutputError(
                f"output {path} is a symbolic link that leads out of the workspace: {target}",
                hint="make the link relative to its own directory, or copy what it stands for",
            )
        if not (self._declared.covers(leads_to) or self._inputs.find(leads_to) is not None):
            raise OutputError(
                f"output {path} is a symbolic link to {leads_to}, which is no output and no input",
                hint=f"declare {leads_to} as an output too, or copy what the link stands for",
            )
        return LinkEntry(target)

    def _matching(self) -> Iterator[tuple[str, os.stat_result]]:
        patterns = self._declared.patterns
        for top in self._declared.pattern_roots:
            state = patterns.start
            for name in top.split("/") if top else ():
                state = patterns.step(state, name)
            yield from self._matching_below(top, state)

    def _matching_below(self, path: str, state: State) -> Iterator[tuple[str, os.stat_result]]:
        patterns = self._declared.patterns
        if path.count("/") > _DEPTH_LIMIT:
            raise _too_deep(path)
        for entry in self._listed(path):
            there = f"{path}/{entry.name}" if path else entry.name
            after = patterns.step(state, entry.name)
            if self._declared.is_whole(there):
                continue
            if entry.is_dir(follow_symlinks=False):
                if after:
                    yield from self._matching_below(there, after)
            elif matched(after) or patterns.matching(there):
                status = entry.stat(follow_symlinks=False)
                if self._is_new(there, status):
                    yield there, status

    def _files(
        self, path: str, inputs: DirectoryTree | None
    ) -> Iterator[tuple[str, os.stat_result]]:
        """Yield every file that is not below an output declared as a whole, nor scratch."""
        if path.count("/") > _DEPTH_LIMIT:
            return  # nobody looks there
        for entry in self._listed(path, strict=False):
            there = f"{path}/{entry.name}" if path else entry.name
            if entry.name in _SCRATCH or self._declared.is_whole(there):
                continue
            if entry.is_dir(follow_symlinks=False):
                below = inputs.entries.get(entry.name) if inputs is not None else None
                yield from self._files(there, below if isinstance(below, DirectoryTree) else None)
            else:
                yield there, entry.stat(follow_symlinks=False)

    def _listed(self, path: str, *, strict: bool = True) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(f"{self._root}/{path}") as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError as error:
            if not strict:
                return []
            raise OutputError(
                f"output {path} can't be read", cause=str(error), hint="make it readable"
            ) from error
        for entry in listed if strict else ():
            if not _is_utf_8(entry.name):
                raise OutputError(
                    f"output {path}/{entry.name!r}: the name is not UTF-8",
                    hint="give the file a name in UTF-8",
                )
        return listed


def _too_deep(path: str) -> OutputError:
    return OutputError(
        f"output {path[:_SHOWN_CHARACTERS]}…: directories nest deeper than {_DEPTH_LIMIT}",
        hint="have the command make fewer directories in each other",
    )


def _is_utf_8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
