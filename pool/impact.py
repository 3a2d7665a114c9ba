"""What a change of files means for the packages of a workspace that is watched. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum

from buildnet.pool.affected import NONE_AFFECTED, Affected, Readers, affected_by
from buildnet.pool.glob import Patterns, is_reached

IGNORED_BY_DEFAULT = (
    "**/*~",
    "**/.#*",
    "**/#*#",
    "**/.*.sw?",
    "**/.*.sw?x",
    "**/4913",
    "**/.*.kate-swp",
    "**/*___jb_tmp___",
    "**/*___jb_old___",
    "**/.DS_Store",
)
"""What editors and file managers leave beside the files that people work on."""

_PACKAGE_FILES = frozenset(
    """package.json tsconfig.json jsconfig.json Cargo.toml go.mod pyproject.toml setup.py setup.cfg
    Makefile CMakeLists.txt build.gradle pom.xml .gitignore .babelrc .npmrc""".split()
)
"""Names of files that say how all of a package is built."""

_ASSETS = frozenset(
    """.png .jpg .jpeg .gif .webp .avif .ico .bmp .svg .pdf .woff .woff2 .ttf .otf .eot .mp3 .mp4
    .ogg .wav .webm .txt .md .rst .csv""".split()
)
"""Endings of files that are rather copied than compiled."""


class Impact(IntEnum):
    """How much a change means, the more the higher."""

    IGNORED = 0
    """Nothing that is built reads it."""
    ASSET_ONLY = 1
    """Files that are rather copied than compiled."""
    INCREMENTAL = 2
    """A single source file."""
    PACKAGE_REBUILD = 3
    """Several files, a directory, or what says how a package is built."""
    FULL_REBUILD = 4
    """What is about all packages: the workspace's definition, a lock file."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a change means: the ``paths`` of it that count, and which packages it affects."""

    impact: Impact
    paths: tuple[str, ...] = ()
    affected: Affected = NONE_AFFECTED


class Scales:
    """Weighs changes of the workspace that ``readers`` are of.

    Args:
        packages: the names of those that are built; what only others read does not count.
        ignored: patterns of paths that do not count.
        is_ignored: whether ignore files name a path, so that it is no source by default.
    """

    def __init__(
        self,
        readers: Readers,
        packages: Collection[str],
        ignored: Iterable[str] = IGNORED_BY_DEFAULT,
        is_ignored: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self._readers = readers
        self._packages = frozenset(packages)
        self._ignored = Patterns(ignored, reach_below=True)
        self._is_ignored = is_ignored

    def weigh(self, paths: Iterable[str]) -> Weighed:
        """Return what a change of ``paths``, as :mod:`buildnet.pool.affected` has them, means."""
        counting = {path: impact for path in paths if (impact := self._of(path))}
        if not counting:
            return Weighed(Impact.IGNORED)
        impact = max(counting.values())
        sources = sum(each is Impact.INCREMENTAL for each in counting.values())
        if impact is Impact.INCREMENTAL and sources > 1:
            impact = Impact.PACKAGE_REBUILD
        found = affected_by(self._readers, counting, self._is_ignored)
        packages = {name: why for name, why in found.packages.items() if name in self._packages}
        affected = Affected(packages, found.touched & self._packages)
        return Weighed(impact, tuple(counting), affected)

    def _of(self, path: str) -> Impact:
        if path and is_reached(self._ignored, path.rstrip("/")):
            return Impact.IGNORED
        read_by = self._readers.of(path, ignored=self._is_ignored(path))
        if read_by is None:
            return Impact.FULL_REBUILD
        if self._packages.isdisjoint(read_by):
            return Impact.IGNORED
        name = path.rpartition("/")[2]
        if not name or name in _PACKAGE_FILES:
            return Impact.PACKAGE_REBUILD
        is_asset = name[name.rfind(".") :].lower() in _ASSETS if "." in name else False
        return Impact.ASSET_ONLY if is_asset else Impact.INCREMENTAL
