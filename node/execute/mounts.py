"""Showing an unpacked tree (``node_modules``) in a stage, without copying it.

A mount is a real directory of symbolic links, so that tools can add to it and write their caches
there, while 50,000 files cost a few hundred links:

- links between packages stay what they are and therefore lead to the stage's own copies,
- scope directories (``@scope``) are directories of the same kind, and so is a ``.bin`` that holds
  commands of workspace packages, be they links (npm, yarn) or starters (pnpm),
- caches are empty directories,
- everything else leads to the source, by way of one link beside the stage's root: a link of less
  than 60 bytes lies in its inode, a longer one costs ten times as much to make.

A file that is reached through a link has its real path in the source; what it requires it finds
there. A workspace package that an installed package requires (not the other way round) is therefore
not the stage's copy.
"""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from buildnet.node.execute.errors import StageError
from buildnet.node.execute.links import lexical_target

CACHES = frozenset({".cache", ".parcel-cache", ".turbo", ".vite", ".vite-temp"})
"""Directories of ``node_modules`` that tools write to: scratch, never input or output."""

_FOLLOWED_AT_MOST = 40  # as the Linux kernel
_STARTER_BYTES = 16 << 10  # pnpm's are 1 to 2 KiB


@dataclass(frozen=True, slots=True)
class Mount:
    """An unpacked tree, shown in the stage at ``path`` (``packages/a/node_modules``)."""

    path: str
    source: Path


def show(mount: Mount, root: Path, alias: str, owner: int | None = None) -> None:
    """Make the mount in the stage ``root``. Entries that the stage has already stay.

    ``alias`` is a free name beside ``root``, for the link to the source; ``owner``: the user that
    may write to the mount, if not the node's.

    Raises:
        StageError: the source is not a directory.
    """
    if not mount.source.is_dir():
        raise StageError(
            f"{mount.path}: the tree to be shown there is missing ({mount.source})",
            hint="install the dependencies again",
        )
    root.with_name(alias).symlink_to(mount.source.absolute())
    mounting = _Mounting(mount, root, alias, owner)
    mounting.directory(mount.source.absolute(), mount.path, top=True)
    let_own_commands_be_called(mount, root)


def hide_caches(mount: Mount, upper: Path, owner: int | None) -> None:
    """Let an overlay of the mount whose changes go to ``upper`` have empty caches that ``owner``
    (None: the node's user) may write to, in place of those in the source, which are others'.

    Raises:
        OSError: the file system has no extended attributes.
    """
    for name in sorted(CACHES):
        if not os.path.lexists(mount.source / name):
            continue
        cache = upper / name
        with suppress(FileExistsError):
            cache.mkdir()
        os.setxattr(cache, "user.overlay.opaque", b"y")
        if owner is not None:
            os.chown(cache, owner, owner)


def let_own_commands_be_called(mount: Mount, root: Path) -> None:
    """Make what a tree's ``.bin`` finds in the stage's own packages executable, as package managers
    do when they install."""
    stamps = tuple(
        place.stat().st_mtime_ns if place.is_dir() else 0
        for place in (mount.source, mount.source / ".bin")
    )
    for path in _own_commands(mount, stamps):
        place = (root / path).resolve()
        if place.is_relative_to(root.resolve()) and place.is_file():
            place.chmod(0o755)


@functools.lru_cache(maxsize=256)
def _own_commands(mount: Mount, stamps: tuple[int, ...]) -> tuple[str, ...]:
    """Return where the links in ``.bin`` lead, as far as that is outside of the tree."""
    folder = mount.source / ".bin"
    if not folder.is_dir():
        return ()
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_symlink()]
    leading = (_followed(mount, f"{mount.path}/.bin/{name}") for name in sorted(names))
    return tuple(path for path in leading if path and "node_modules" not in path.split("/"))


def _followed(mount: Mount, path: str) -> str | None:
    """Return where a path leads, links of the tree followed; None: out of the root, or nowhere."""
    workspace, followed = _workspace_of(mount), 0
    here: list[str] = []
    ahead = path.split("/")[::-1]
    while ahead:
        name = ahead.pop()
        if name == "..":
            if not here:
                return None
            here.pop()
        elif name not in {"", "."}:
            here.append(name)
        inside = "/".join(here)
        place = mount.source / inside.removeprefix(f"{mount.path}/")
        if not inside.startswith(f"{mount.path}/") or not place.is_symlink():
            continue
        followed += 1
        target = str(place.readlink())
        if followed > _FOLLOWED_AT_MOST or (target.startswith("/") and workspace is None):
            return None
        if target.startswith("/"):
            here, target = [], os.path.relpath(target, workspace)
        else:
            here.pop()
        ahead += target.split("/")[::-1]
    return "/".join(here)


class _Mounting:
    def __init__(self, mount: Mount, root: Path, alias: str, owner: int | None) -> None:
        self._root = root
        self._path = mount.path
        self._alias = alias
        self._owner = owner
        self._workspace = _workspace_of(mount)
        self._linked: set[str] = set()  # paths that lead to workspace packages

    def directory(self, source: Path, path: str, *, top: bool) -> None:
        self._writable(path)
        with os.scandir(source) as entries:
            # Commands last: by then it is known which packages are the stage's own.
            listed = sorted(entries, key=lambda entry: (entry.name == ".bin", entry.name))
        for entry in listed:
            there = f"{path}/{entry.name}"
            if top and entry.name in CACHES:
                self._writable(there)
            elif entry.is_symlink():
                self._link(entry, path, there)
            elif not entry.is_dir():
                self._lead(there)
            elif (top and entry.name.startswith("@")) or (
                entry.name == ".bin" and self._has_own_commands(Path(entry.path), there)
            ):
                self.directory(Path(entry.path), there, top=False)
            else:
                self._lead(there)

    def _writable(self, path: str) -> None:
        place = self._root / path
        place.mkdir(parents=True, exist_ok=True)
        if self._owner is not None:
            os.chown(place, self._owner, self._owner)

    def _link(self, entry: os.DirEntry[str], directory: str, there: str) -> None:
        target = str(Path(entry.path).readlink())
        if target.startswith("/") and self._workspace is not None:
            inside = os.path.relpath(target, self._workspace)
            if not inside.startswith(".."):
                target = os.path.relpath(inside, directory)
        leads_to = lexical_target(directory, target)
        if leads_to is None:
            self._lead(there)
            return
        if "node_modules" not in leads_to.split("/"):
            self._linked.add(there)
        self._make(target, there)

    def _has_own_commands(self, source: Path, path: str) -> bool:
        """Whether a command of a workspace package is in a ``.bin`` directory."""
        if not self._linked:
            return False
        # A starter finds its program by way of the directory that it was called in.
        modules = path.removesuffix(".bin")
        named = [f"/../{one.removeprefix(modules)}/" for one in self._linked]
        with os.scandir(source) as entries:
            for entry in entries:
                if entry.is_symlink():
                    leads_to = lexical_target(path, str(Path(entry.path).readlink())) or path
                    straight = "node_modules" not in leads_to.split("/")  # yarn's links
                    if straight or any(leads_to.startswith(one + "/") for one in self._linked):
                        return True
                elif entry.is_file() and entry.stat().st_size <= _STARTER_BYTES:
                    text = Path(entry.path).read_text(errors="replace")
                    if any(one in text for one in named):
                        return True
        return False

    def _lead(self, there: str) -> None:
        up = "../" * (there.count("/") + 1)
        self._make(up + self._alias + there.removeprefix(self._path), there)

    def _make(self, target: str, there: str) -> None:
        if not os.path.lexists(place := self._root / there):
            place.symlink_to(target)


def _workspace_of(mount: Mount) -> Path | None:
    """Return the directory in which the source stands as it is to stand in the stage."""
    source = mount.source.absolute()
    parts = Path(mount.path).parts
    if source.parts[-len(parts) :] != parts:
        return None
    return Path(*source.parts[: -len(parts)])
