"""``turbo.json``: the tasks that it describes, of version 1 (``pipeline``) and 2 (``tasks``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from buildnet.pool.importing.foreign import ForeignTask, Said
from buildnet.pool.importing.settings_file import JsonPath, SettingsFile, read_settings
from buildnet.pool.workspace import Problem

TURBO_FILE = "turbo.json"
COMMENTED_FILE = "turbo.jsonc"
ROOT = "//"
_EXTENDS = "$TURBO_EXTENDS$"
_LISTS = ("dependsOn", "inputs", "outputs", "env", "passThroughEnv", "dotEnv", "with")
_SHOWN_ONLY = frozenset({"outputLogs", "outputMode", "description", "interruptible", "extends"})
_KNOWN = frozenset({*_LISTS, *_SHOWN_ONLY, "cache", "persistent", "interactive"})
_GLOBAL_SHOWN_ONLY = frozenset(
    {
        "$schema",
        "ui",
        "daemon",
        "cacheDir",
        "envMode",
        "experimentalUI",
        "noUpdateNotifier",
        "concurrency",
        "dangerouslyDisablePackageManagerCheck",
        "tags",
        "extends",
        "futureFlags",
    }
)
_GLOBAL = frozenset(
    {
        "tasks",
        "pipeline",
        "globalDependencies",
        "globalEnv",
        "globalPassThroughEnv",
        "globalDotEnv",
    }
)
_GLOBAL_REMEDIES = {
    "remoteCache": "the pool's nodes share results by themselves: buildnet join",
    "boundaries": "check them with turbo, or as a task of their own",
}


@dataclass(slots=True)
class TurboFile:
    """The root's file and those of packages that extend it."""

    root: SettingsFile
    packages: dict[str, SettingsFile] = field(default_factory=dict)
    """By the package's path."""
    _tasks: dict[tuple[str, str, str], ForeignTask | None] = field(default_factory=dict)

    def task(self, package: str, path: str, script: str) -> ForeignTask | None:
        """Return what holds for a script of the package that lies at ``path``; None: nothing."""
        key = (package, path, script)
        if key not in self._tasks:
            self._tasks[key] = self._described(package, path, script)
        return self._tasks[key]

    def names(self) -> Iterator[Said]:
        """Yield the names of all tasks, ``package#script`` among them, where they stand."""
        for file in (self.root, *self.packages.values()):
            for name in _tasks(file):
                yield Said(name, file.where, file.line(_key(file), name))

    def listed(self, key: str) -> tuple[Said, ...]:
        """Return a list of the root's file, such as ``globalEnv``."""
        return _said(self.root, (key,)) or ()

    def unknown(self) -> Iterator[Problem]:
        """Yield what the files say beyond what this module reads."""
        for file in (self.root, *self.packages.values()):
            for key in file.data:
                if key not in _GLOBAL | _GLOBAL_SHOWN_ONLY:
                    remedy = _GLOBAL_REMEDIES.get(key, "see whether buildnet.yaml can say it")
                    yield file.problem((key,), f"{key!r} is not taken over", remedy)
            for name, task in _tasks(file).items():
                for key in task if isinstance(task, dict) else ():
                    if key not in _KNOWN:
                        where = (_key(file), name, key)
                        hint = "see whether buildnet.yaml can say it"
                        yield file.problem(where, f"{name}: {key!r} is not taken over", hint)

    def _described(self, package: str, path: str, script: str) -> ForeignTask | None:
        described: ForeignTask | None = None
        for name in (f"{package}#{script}", script):
            if name in _tasks(self.root):
                described = _read(self.root, name, None)
                break
        own = self.packages.get(path)
        if own is not None and script in _tasks(own):
            if own.value(_key(own), script, "extends") is False:
                described = None
                if len(own.mapping(_key(own), script)) == 1:
                    return None
            described = _read(own, script, described)
        return described


def read_turbo(root: Path, paths: Mapping[str, str]) -> TurboFile | None:
    """Read the ``turbo.json`` of a workspace with packages at ``paths`` (their values).

    Returns None if there is none at the root.

    Raises:
        WorkspaceError: one of the files cannot be read.
    """
    own = _first(root, "")
    if own is None:
        return None
    file = TurboFile(own)
    for path in paths.values():
        found = _first(root, path) if path else None
        if found is not None:
            file.packages[path] = found
    return file


def _first(root: Path, path: str) -> SettingsFile | None:
    prefix = f"{path}/" if path else ""
    names = (TURBO_FILE, COMMENTED_FILE)
    return next((one for name in names if (one := read_settings(root, prefix + name))), None)


def _key(file: SettingsFile) -> str:
    return "tasks" if "tasks" in file.data else "pipeline"


def _tasks(file: SettingsFile) -> Mapping[str, Any]:
    return file.mapping(_key(file))


def _said(file: SettingsFile, path: JsonPath) -> tuple[Said, ...] | None:
    """Return the texts of a list with their lines; None if there is no list."""
    found = file.value(*path)
    if not isinstance(found, list):
        return None
    return tuple(
        Said(one, file.where, file.line(*path, index))
        for index, one in enumerate(found)
        if isinstance(one, str)
    )


def _read(file: SettingsFile, name: str, over: ForeignTask | None) -> ForeignTask:
    """Return a task as ``file`` describes it, ``over`` what it extends."""
    at = (_key(file), name)
    base = over or ForeignTask(Said(name, file.where, file.line(*at)))

    def listed(key: str, inherited: tuple[Said, ...] | None) -> tuple[Said, ...] | None:
        said = _said(file, (*at, key))
        if said is None:
            return inherited
        if any(one.text == _EXTENDS for one in said):
            return (*(inherited or ()), *(one for one in said if one.text != _EXTENDS))
        return said

    def flag(key: str, inherited: bool) -> bool:
        value = file.value(*at, key)
        return value if isinstance(value, bool) else inherited

    held = flag("persistent", False) or flag("interactive", False)
    said_so = {"persistent", "interactive"} & file.mapping(*at).keys()
    return ForeignTask(
        name=Said(name, file.where, file.line(*at)),
        depends_on=listed("dependsOn", base.depends_on) or (),
        inputs=listed("inputs", base.inputs),
        outputs=listed("outputs", base.outputs),
        env=listed("env", base.env) or (),
        pass_through=listed("passThroughEnv", base.pass_through) or (),
        files=listed("dotEnv", base.files) or (),
        beside=listed("with", base.beside) or (),
        cache=flag("cache", base.cache),
        ends=not held if said_so else base.ends,
    )
