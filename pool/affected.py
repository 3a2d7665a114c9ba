"""Which packages of a workspace a change of files affects, and why.

Pure: paths go in, relative to the workspace's root. A path that ends in ``/`` stands for all that
is at or below it; ``""`` is the root with everything in it. Where it can't be told from the path
alone whether a package reads a file, it counts as one that does: building what is up to date costs
a look, leaving out what is not would be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from buildnet.pool.glob import SKIPPED, Patterns, is_reached
from buildnet.pool.ignore_file import IGNORE_FILE
from buildnet.pool.workspace import WORKSPACE_FILE, Task, Workspace

_ALL = "everything in the workspace may have changed"


@dataclass(frozen=True, slots=True)
class Affected:
    """The packages, in the workspace's order, each with what affects it, in words; ``touched`` are
    those of them that are affected by themselves and not through what they depend on."""

    packages: Mapping[str, str]
    touched: frozenset[str] = frozenset()


NONE_AFFECTED = Affected({})


class Readers:
    """Tells of paths which packages of ``workspace`` read them."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._included: list[tuple[Task, Patterns | None]] = []
        patterns: list[str] = []
        self._defaults: dict[str, list[tuple[Task, Patterns | None]]] = {}
        for task in workspace.tasks():
            excluded = [one[1:] for one in task.sources if one.startswith("!")]
            but = Patterns(excluded, reach_below=True) if excluded else None
            for one in task.sources:
                if not one.startswith("!"):
                    patterns.append(one)
                    self._included.append((task, but))
            if task.default_sources:
                self._defaults.setdefault(task.path, []).append((task, but))
        self._patterns = Patterns(patterns)
        self._outputs = Patterns(workspace.outputs, reach_below=True)
        self._paths = {each.path: name for name, each in workspace.packages.items()}
        install = workspace.install
        self._install = Patterns(() if install is None else install.inputs, reach_below=True)

    def of(self, path: str, *, ignored: bool = False) -> frozenset[str] | None:
        """Return the names of the packages that may read ``path``; None: all of them, for it says
        what the workspace is or what is installed. ``ignored``: ignore files name it."""
        whole = path.endswith("/") or not path
        path = path.rstrip("/")
        if not path or self._is_about_all(path, whole=whole):
            return None
        if is_reached(self._outputs, path):
            return frozenset()
        if path.rpartition("/")[2] == IGNORE_FILE:  # it is about all that is beside and below it
            return self._beside(path.rpartition("/")[0])
        numbers = self._patterns.at_or_below(path) if whole else self._patterns.matching(path)
        found = {
            task.package
            for task, but in (self._included[number] for number in numbers)
            if but is None or not is_reached(but, path)
        }
        manifest_of = self._manifest_of(path)
        if manifest_of is not None:
            found.add(manifest_of)
        if not ignored:
            found |= self._by_default(path, whole=whole)
        return frozenset(found)

    def _is_about_all(self, path: str, *, whole: bool) -> bool:
        if path == WORKSPACE_FILE:
            return True
        workspace = self.workspace
        files = workspace.definition_files
        is_defining = path in files or bool(self._install.matching(path))
        if whole and not is_defining:
            install = () if workspace.install is None else (workspace.install.lock_file,)
            is_defining = any(each.startswith(f"{path}/") for each in install)
        if not is_defining:
            return False
        if workspace.install is not None and path == workspace.install.lock_file:
            return True
        return self._manifest_of(path) is None

    def _manifest_of(self, path: str) -> str | None:
        """Return the package in whose own directory, not the root, a file of the definition is."""
        if path not in self.workspace.definition_files:
            return None
        directory = path
        while directory := directory.rpartition("/")[0]:
            if directory in self._paths:
                return self._paths[directory]
        return None

    def _beside(self, directory: str) -> frozenset[str] | None:
        if not directory:
            return None
        whole = self._by_default(directory, whole=True)
        return frozenset(whole)

    def _by_default(self, path: str, *, whole: bool) -> set[str]:
        """Return the packages that read all files below their own directory, this among them."""
        names = path.split("/")
        found: set[str] = set()
        for count in range(len(names) + 1 if whole else len(names)):
            for task, but in self._defaults.get("/".join(names[:count]), ()):
                if SKIPPED.isdisjoint(names[count:]) and not (but and is_reached(but, path)):
                    found.add(task.package)
        if whole:
            below = f"{path}/"
            for directory, tasks in self._defaults.items():
                if directory.startswith(below):
                    found.update(task.package for task, _ in tasks)
        return found


def affected_by(
    readers: Readers,
    paths: Iterable[str],
    is_ignored: Callable[[str], bool] = lambda path: False,
) -> Affected:
    """Return what a change of ``paths`` affects: packages that read one of them, and all packages
    that depend on these. ``is_ignored``: whether ignore files name a path."""
    workspace = readers.workspace
    why: dict[str, str] = {}
    for path in paths:
        found = readers.of(path, ignored=is_ignored(path))
        if found is None:
            text = f"{path.rstrip('/')} changed, which is about all packages" if path else _ALL
            return Affected(dict.fromkeys(workspace.packages, text), frozenset(workspace.packages))
        for name in sorted(found):
            why.setdefault(name, f"{path} changed")
    touched = frozenset(why)
    dependents = dependents_among(workspace)
    waiting = [name for name in workspace.packages if name in why]
    for name in waiting:  # it grows meanwhile
        for dependent in dependents.get(name, ()):
            if dependent not in why:
                why[dependent] = f"depends on {name}"
                waiting.append(dependent)
    return Affected({name: why[name] for name in workspace.packages if name in why}, touched)


def dependents_among(workspace: Workspace) -> Mapping[str, list[str]]:
    """Return for each package those that depend on it directly, by its own word or a task's."""
    found: dict[str, dict[str, None]] = {}
    for package in workspace.packages.values():
        needed = dict.fromkeys(package.dependencies)
        for task in package.tasks.values():
            needed |= dict.fromkeys(each.package for each in task.depends_on)
        for name in needed:
            if name != package.name:
                found.setdefault(name, {})[package.name] = None
    return {name: list(dependents) for name, dependents in found.items()}
