"""Dependencies that lie in the repository without being members of its workspace."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from buildnet.pool.detect.directory import resolved
from buildnet.pool.detect.manifest import MANIFEST, Manifest
from buildnet.pool.detect.members import Members
from buildnet.pool.glob import escape

_LINKS = ("link:", "portal:")
_FILES = "file:"


class LocalDependency(NamedTuple):
    """A directory, or an archive, that a manifest names by its path.

    ``linked``: ``node_modules`` leads there instead of holding a copy.
    """

    path: str
    linked: bool

    def as_input(self, root: Path, manager: str) -> str:
        """Return the pattern of what an install reads of it."""
        if not (root / self.path).is_dir():
            return escape(self.path)
        links = self.linked or manager == "npm"  # npm links directories, whatever they are called
        return escape(f"{self.path}/{MANIFEST}") if links else self.as_source(root)

    def as_source(self, root: Path) -> str:
        """Return the pattern of what a package that uses it reads of it."""
        path = escape(self.path)
        return f"{path}/**" if (root / self.path).is_dir() else path


def local_dependencies(root: Path, members: Members) -> tuple[LocalDependency, ...]:
    """Return those of the root and of all members."""
    own = {one.path for one in members.members}
    found: dict[LocalDependency, None] = {}
    for manifest in (members.root, *members.members):
        found.update(dict.fromkeys(named_by(root, manifest)))
    return tuple(one for one in found if one.path not in own)


def named_by(root: Path, manifest: Manifest) -> tuple[LocalDependency, ...]:
    """Return those of one manifest that exist; members of the workspace may be among them."""
    found: dict[LocalDependency, None] = {}
    for spec in (*manifest.needs.values(), *manifest.needs_to_build.values()):
        kind = next((one for one in (*_LINKS, _FILES) if spec.startswith(one)), None)
        if kind is None:
            continue
        at = resolved(manifest.path, spec.removeprefix(kind).partition("#")[0])
        if at and (root / at).exists():
            found[LocalDependency(at, kind in _LINKS)] = None
    return tuple(found)
