"""The workspace that go.work and go.mod files describe: modules, and what they need of each other.

A module with commands is built into its directory ``bin``. Modules that others use are compiled
with these; without commands and users a module is compiled to see that it does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from buildnet.pool.detect.directory import resolved
from buildnet.pool.detect.names import distinct_name, unique_names
from buildnet.pool.glob import escape
from buildnet.pool.workspace import BUILD, WORKSPACE_FILE, Package, Task, TaskId, Workspace

WORK_FILE = "go.work"
MODULE_FILE = "go.mod"
_SHARED = (WORK_FILE, "go.work.sum")
_OF_MODULE = (MODULE_FILE, "go.sum")
_SIZE_LIMIT = 4 * 1024 * 1024
_FILE_HEAD = 64 * 1024
_MAIN = re.compile(rb"^package main\s*$", re.MULTILINE)
_CALLS_C = re.compile(rb'^(?:import\s+|\s+)"C"\s*$', re.MULTILINE)
_SKIPPED = frozenset({"testdata", "vendor", "node_modules", "bin"})


@dataclass(frozen=True, slots=True)
class GoModule:
    """A go.mod. ``path`` is its directory relative to the root, ``module`` its import path."""

    path: str
    module: str | None
    requires: tuple[str, ...]
    replaced: tuple[str, ...]
    """Directories, relative to the module, that stand for modules."""


def declares_modules(directory: Path) -> bool:
    """Return whether the directory has a go.work."""
    return (directory / WORK_FILE).is_file()


def is_module(directory: Path) -> bool:
    """Return whether the directory is a module of Go."""
    return (directory / MODULE_FILE).is_file()


def detect_go(root: Path) -> Workspace | None:
    """Return the workspace that go.work, or else go.mod, describes at ``root``; None without.

    Raises:
        WorkspaceError: two modules of one name.
    """
    root = root.resolve()
    if not (declares_modules(root) or is_module(root)):
        return None
    notes: list[str] = []
    paths = _used(root) if declares_modules(root) else [""]
    modules = unique_names(
        (one for path in paths if (one := read_module(root, path)) is not None),
        lambda one: one.module,
        MODULE_FILE,
        notes,
    )
    return _Detection(root, modules, notes).workspace()


def read_module(root: Path, path: str) -> GoModule | None:
    """Read the go.mod of the directory ``path``; None if there is none."""
    where = root / path / MODULE_FILE
    if not where.is_file():
        return None
    module: str | None = None
    requires: dict[str, None] = {}
    replaced: dict[str, None] = {}
    for verb, words in _directives(where):
        if verb == "module" and words:
            module = words[0]
        elif verb == "require" and words:
            requires[words[0]] = None
        elif verb == "replace" and words and words[-1].startswith((".", "/")):
            replaced[words[-1]] = None
    return GoModule(path, module, tuple(requires), tuple(replaced))


def _used(root: Path) -> list[str]:
    """Return the directories that go.work uses, below the root."""
    found = (words[0] for verb, words in _directives(root / WORK_FILE) if verb == "use" and words)
    paths = (resolved("", one) for one in found)
    return list(dict.fromkeys(one for one in paths if one is not None))


def _directives(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the directives of a go.mod or go.work with their words, blocks line by line."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_SIZE_LIMIT).decode("utf-8", "replace")
    except OSError:
        return
    block = ""
    for line in text.splitlines():
        words = [one.strip('"`') for one in line.partition("//")[0].split()]
        if not words:
            continue
        if block:
            if words == [")"]:
                block = ""
            else:
                yield block, words
        elif words[-1] == "(":
            block = words[0]
        else:
            yield words[0], words[1:]


class _Detection:
    """Gathers a workspace from modules that have been read."""

    def __init__(self, root: Path, modules: dict[str, GoModule], notes: list[str]) -> None:
        self._root = root
        self._modules = modules
        self._notes = notes
        self._by_path = {one.path: name for name, one in modules.items()}

    def workspace(self) -> Workspace:
        """Return the workspace."""
        needs = {name: self._needs(one) for name, one in self._modules.items()}
        used = {needed for names in needs.values() for needed in names}
        packages = {
            name: self._package(name, one, needs[name], used) for name, one in self._modules.items()
        }
        missing = {
            required
            for one in self._modules.values()
            for required in one.requires
            if required not in self._modules
        }
        if missing and not (self._root / "vendor").is_dir():
            self._notes.append(
                "modules of others are not there without network: commit them (`go work vendor`, "
                "or `go mod vendor` without go.work), or set network: true and no GOPROXY"
            )
        looked_at = (WORKSPACE_FILE, *_SHARED, "vendor")
        own = (
            f"{path}/{name}".lstrip("/")
            for path in self._by_path
            for name in (*_OF_MODULE, "cmd")  # where most new commands come to be
        )
        return Workspace(
            name=distinct_name(self._root.name),
            root=self._root,
            file=None,
            packages=packages,
            notes=tuple(self._notes),
            definition_files=tuple(dict.fromkeys((*looked_at, *own))),
        )

    def _needs(self, module: GoModule) -> tuple[str, ...]:
        required = [one for one in module.requires if one in self._modules]
        at = (resolved(module.path, one) for one in module.replaced)
        replaced = [self._by_path[one] for one in at if one is not None and one in self._by_path]
        own = self._by_path[module.path]
        return tuple(dict.fromkeys(one for one in (*required, *replaced) if one != own))

    def _package(
        self, name: str, module: GoModule, needs: tuple[str, ...], used: set[str]
    ) -> Package:
        has_commands, calls_c = self._looked_into(module)
        if has_commands:
            command: str | None = "go build -o bin/ ./..."
        else:
            command = None if name in used else "go build ./..."
        prefix = f"{escape(module.path)}/" if module.path else ""
        build = Task(
            package=name,
            name=BUILD,
            command=command,
            path=module.path,
            depends_on=tuple(TaskId(one, BUILD) for one in needs),
            sources=self._sources(module),
            exports=(),
            exports_sources=True,
            outputs=(f"{prefix}bin/**",) if has_commands else (),
            tools=("go", "cc") if calls_c else ("go",),
            env={"GOFLAGS": "-trimpath", "GOTOOLCHAIN": "local", "GOPROXY": "off"},
            transitive=True,
        )
        test = Task(
            package=name,
            name="test",
            command="go test ./...",
            path=module.path,
            depends_on=build.depends_on,
            sources=build.sources,
            tools=build.tools,
            env=build.env,
            transitive=True,
        )
        return Package(name, module.path, needs, {BUILD: build, "test": test})

    def _sources(self, module: GoModule) -> tuple[str, ...]:
        """Return what a module reads besides its own files: go.work, and what that leads to."""
        shared = [one for one in _SHARED if (self._root / one).is_file()]
        if shared:
            shared += [
                f"{escape(path)}/{name}".lstrip("/")
                for path in self._by_path
                for name in _OF_MODULE
                if (self._root / path / name).is_file()
            ]
        if (self._root / "vendor").is_dir():
            shared.append("vendor/**")
        replaced = (resolved(module.path, one) for one in module.replaced)
        shared += [f"{escape(one)}/**" for one in replaced if one and one not in self._by_path]
        if module.path:
            below = f"{module.path}/"
            shared += [f"!{escape(one)}/**" for one in self._by_path if one.startswith(below)]
        return tuple(dict.fromkeys(shared))

    def _looked_into(self, module: GoModule) -> tuple[bool, bool]:
        """Return whether a module has commands, and whether it calls C."""
        has_commands = calls_c = False
        top = self._root / module.path
        for directory, below, names in os.walk(top):
            below[:] = sorted(
                one
                for one in below
                if one not in _SKIPPED
                and not one.startswith((".", "_"))
                and not os.path.exists(f"{directory}/{one}/{MODULE_FILE}")
            )
            for name in names:
                if name.endswith(".go") and not name.endswith("_test.go"):
                    head = _head(f"{directory}/{name}")
                    has_commands |= _MAIN.search(head) is not None
                    calls_c |= _CALLS_C.search(head) is not None
        return has_commands, calls_c


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_FILE_HEAD)
    except OSError:
        return b""
