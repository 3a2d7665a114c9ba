"""The files of a workspace as detection looks at them, each directory and file once."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from buildnet.pool.detect.manifest import read_commented_json
from buildnet.pool.git_files import tracked_files
from buildnet.pool.ignore_file import IGNORE_FILE, Chain, IgnoreFile, is_ignored


class Files:
    """A memory of what was looked at; ``seen`` are the files that a change of could matter."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen: set[str] = set()
        self._chains: dict[str, Chain] = {}
        self._json: dict[str, dict[str, Any] | None] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._tracked: frozenset[str] | None = None

    def names(self, path: str) -> frozenset[str]:
        """Return the names in a directory; none if there is no such directory."""
        if path not in self._names:
            try:
                self._names[path] = frozenset(os.listdir(f"{self.root}/{path}"))
            except OSError:
                self._names[path] = frozenset()
        return self._names[path]

    def is_there(self, path: str) -> bool:
        """Return whether there is a file or directory at ``path``."""
        parent, _, name = path.rpartition("/")
        return name in self.names(parent)

    def is_directory(self, path: str) -> bool:
        return (self.root / path).is_dir()

    def json(self, path: str) -> dict[str, Any] | None:
        """Return the commented JSON object in a file; None if there is none."""
        if path not in self._json:
            self.seen.add(path)
            there = self.is_there(path)
            self._json[path] = read_commented_json(self.root, path) if there else None
        return self._json[path]

    def text(self, path: str) -> str:
        """Return a text file's content; nothing if it cannot be read."""
        self.seen.add(path)
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def is_ignored(self, path: str, *, directory: bool) -> bool:
        """Return whether .gitignore files name ``path`` or a directory above it."""
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            above = "/".join(parts[: count - 1])
            is_directory = directory or count < len(parts)
            here = "/".join(parts[:count]) + ("/" if is_directory else "")
            chain = self._chain(above)
            if chain and is_ignored(chain, here):
                return True
        return False

    def _chain(self, directory: str) -> Chain:
        known = self._chains.get(directory)
        if known is None:
            known = self._chain(directory.rpartition("/")[0]) if directory else ()
            if IGNORE_FILE in self.names(directory):
                where = f"{directory}/{IGNORE_FILE}" if directory else IGNORE_FILE
                self.seen.add(where)
                known = (*known, IgnoreFile(directory, (self.root / where).read_bytes()))
            self._chains[directory] = known
        return known

    def is_tracked(self, path: str) -> bool | None:
        """Return whether git tracks files below ``path``; None if git tracks nothing here.

        Whether the directory exists does not count: that changes with the first build.
        """
        if self._tracked is None:
            self._tracked = self._tracked_directories()
        return path in self._tracked if self._tracked else None

    def looked_at(self) -> tuple[str, ...]:
        """Return the files that were read and the directories that were listed, sorted."""
        return tuple(sorted({*self.seen, *(path or "." for path in self._names)}))

    def _tracked_directories(self) -> frozenset[str]:
        found: set[str] = set()
        for path in tracked_files(self.root):
            while path and path not in found:
                found.add(path)
                path = path.rpartition("/")[0]
        return frozenset(found)


class MemberPaths:
    """Where the members of a workspace lie; asked without looking at each of a thousand."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths) - {""}
        self._below: dict[str, list[str]] = {}
        for path in sorted(self._paths):
            for above in _ancestors(path):
                self._below.setdefault(above, []).append(path)

    def holding(self, path: str) -> str | None:
        """Return the innermost member that ``path`` is or lies in."""
        return next((one for one in (path, *_ancestors(path)) if one in self._paths), None)

    def below(self, directory: str) -> Sequence[str]:
        """Return the members that lie in ``directory``, but not itself."""
        return self._below.get(directory, ())


def _ancestors(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path


def resolved(directory: str, path: str) -> str | None:
    """Return a relative path seen from ``directory`` as one of the root; None if it leads out."""
    if path.startswith("/"):
        return None
    plain = posixpath.normpath(posixpath.join(directory or ".", path))
    if plain == ".." or plain.startswith("../"):
        return None
    return "" if plain == "." else plain


def is_below(path: str, directory: str) -> bool:
    """Return whether ``path`` is ``directory`` or lies below it."""
    return not directory or path == directory or path.startswith(f"{directory}/")
