"""Reading ``buildnet.yaml``: from its keys to the workspace, every problem told at its line."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.detect.install import describe_install
from buildnet.pool.graph import CycleError, sort
from buildnet.pool.schema import FileKeys, PackageKeys, Settings, validate
from buildnet.pool.task_definition import TaskReader
from buildnet.pool.territory import Territory, overlaps
from buildnet.pool.workspace import (
    BUILD,
    Install,
    Package,
    Problem,
    Workspace,
    WorkspaceError,
)
from buildnet.pool.yaml_document import YamlDocument, YamlError, YamlPath, load_yaml

_PLACEHOLDER = re.compile(r"(?<!\$)\{(name|path)\}")


def read_workspace(file: Path) -> Workspace:
    """Read a workspace from its file.

    Raises:
        WorkspaceError: all that is wrong with it, with lines and hints.
    """
    document = _document(file)
    if document.data is None:
        hint = "describe the packages; or remove the file, and buildnet init writes what it detects"
        raise WorkspaceError.of([Problem(file.name, 1, "the file is empty", hint)])
    keys = validate(_prepared(document), document)
    if not isinstance(keys, FileKeys):
        raise WorkspaceError.of(sorted(keys, key=lambda problem: problem.line or 0))
    return _Definition(file, document, keys).workspace()


def _document(file: Path) -> YamlDocument:
    try:
        return load_yaml(file.read_text(encoding="utf-8"), file.name)
    except YamlError as error:
        problems = [Problem(file.name, *problem) for problem in error.problems]
        raise WorkspaceError.of(problems) from None
    except UnicodeDecodeError as error:
        problem = Problem(file.name, None, "the file is not UTF-8 text", "save it as UTF-8")
        raise WorkspaceError.of([problem]) from error
    except OSError as error:
        problem = Problem(file.name, None, f"cannot be read: {error.strerror}")
        raise WorkspaceError.of([problem]) from error


def _prepared(document: YamlDocument) -> object:
    """Return the data with placeholders filled in and the values of ``env`` as they stand there."""
    data = document.data
    if not isinstance(data, dict) or not isinstance(data.get("packages"), list):
        return data
    workspace = data.get("workspace", data.get("name"))
    packages: list[object] = []
    for index, package in enumerate(data["packages"]):
        if not isinstance(package, dict):
            packages.append(package)
            continue
        known = {"name": package.get("name"), "path": package.get("path")}
        for key, outer in (("name", workspace), ("path", None)):
            value = known[key]
            if isinstance(value, str):
                within = {"name": outer} if key == "name" else {"name": known["name"]}
                known[key] = _filled(value, within)
        written = _env_as_written(package, document, ("packages", index))
        packages.append({**_filled_all(written, known), **_present(known, package)})
    return {**data, "packages": packages}


def _present(known: dict[str, object], package: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in known.items() if key in package}


def _filled(text: str, values: dict[str, object]) -> str:
    def value(match: re.Match[str]) -> str:
        found = values.get(match[1])
        return found if isinstance(found, str) else match[0]

    return _PLACEHOLDER.sub(value, text)


def _filled_all(data: dict[str, object], values: dict[str, object]) -> dict[str, object]:
    def fill(value: object) -> object:
        if isinstance(value, str):
            return _filled(value, values) if "{" in value else value
        if isinstance(value, list):
            return [fill(one) for one in value]
        if isinstance(value, dict):
            return {key: fill(one) for key, one in value.items()}
        return value

    return {key: fill(value) for key, value in data.items()}


def _env_as_written(
    keys: dict[str, object], document: YamlDocument, at: YamlPath
) -> dict[str, object]:
    """Take ``VERSION: 1.10`` and ``FLAG: yes`` as the text that stands there."""
    result = dict(keys)
    env, tasks = keys.get("env"), keys.get("tasks")
    if isinstance(env, dict):
        result["env"] = {
            key: document.text((*at, "env", key))
            if isinstance(value, bool | int | float)
            else value
            for key, value in env.items()
        }
    if isinstance(tasks, dict):
        result["tasks"] = {
            name: _env_as_written(task, document, (*at, "tasks", name))
            if isinstance(task, dict)
            else task
            for name, task in tasks.items()
        }
    return result


class _Definition:
    """A file whose keys and types are right, on its way to a workspace."""

    def __init__(self, file: Path, document: YamlDocument, keys: FileKeys) -> None:
        self.file = file
        self.root = file.parent.resolve()
        self.keys = keys
        self._named = {one.name: one for one in keys.packages}
        self.territory = Territory(self.root)
        self._document = document
        self._problems: list[Problem] = []
        self._install_files: tuple[str, ...] = ()
        self._directories: dict[tuple[int, int], tuple[str, str]] = {}

    def workspace(self) -> Workspace:
        """Check everything and return the workspace, or raise all problems."""
        keys = self.keys
        name = keys.workspace or keys.name
        if keys.workspace and keys.name:
            self._problem(("name",), "workspace and name are the same key", "keep workspace")
        if name is None:
            self._problem((), "'workspace' is missing", "begin with: workspace: NAME")
        if not keys.packages:
            self._problem(("packages",), "there are no packages", "list at least one")
        self._check_names()
        install = self._install()
        packages = {
            one.name: self._package(index, one, install is not None)
            for index, one in enumerate(keys.packages)
        }
        if not self._problems:
            self._check_cycles(packages)
            self._check_outputs(packages)
        if self._problems:
            # What a task inherits is checked for each, so that a problem may be there repeatedly.
            distinct = dict.fromkeys(self._problems)
            raise WorkspaceError.of(sorted(distinct, key=lambda problem: problem.line or 0))
        return Workspace(
            name=name or "",
            root=self.root,
            file=self.root / self.file.name,
            packages=packages,
            install=install,
            pre_build=keys.hooks.pre_build if keys.hooks else None,
            post_build=keys.hooks.post_build if keys.hooks else None,
            description=keys.description,
            definition_files=(self.file.name, *self._install_files),
        )

    def _problem(self, path: YamlPath, message: str, hint: str | None = None) -> None:
        line = self._document.line(path)
        self._problems.append(Problem(self.file.name, line, message, hint))

    def _check_names(self) -> None:
        first: dict[str, int] = {}
        known = [package.name for package in self.keys.packages]
        for index, package in enumerate(self.keys.packages):
            at = ("packages", index)
            if package.name in first:
                line = self._document.line(("packages", first[package.name]))
                message = f"a second package {package.name!r}, the first is at line {line}"
                self._problem((*at, "name"), message, "give it a name of its own")
            first.setdefault(package.name, index)
            for number, dependency in enumerate(package.dependencies):
                where = (*at, "dependencies", number)
                if dependency == package.name:
                    self._problem(where, f"{package.name} depends on itself", "remove it")
                elif dependency not in known:
                    hint = did_you_mean(dependency, known) or f"packages: {', '.join(known[:10])}"
                    message = f"{package.name} depends on {dependency!r}, which is no package"
                    self._problem(where, message, hint)

    def _install(self) -> Install | None:
        if self.keys.install is None:
            return None
        try:
            found = describe_install(
                self.root, manager=self.keys.install.manager, command=self.keys.install.command
            )
        except WorkspaceError as error:
            self._problem(("install",), error.message, error.hint)
            return None
        self._install_files = found.files
        return found.install

    def _package(self, index: int, keys: PackageKeys, installs: bool) -> Package:
        at: YamlPath = ("packages", index)
        path = self._path((*at, "path"), keys.path)
        if path is not None:
            self._check_directory((*at, "path"), keys, path)
        dependencies = tuple(dict.fromkeys(keys.dependencies))
        reader = TaskReader(self, at, keys, self._named, path or "", installs)
        return Package(keys.name, path or "", dependencies, reader.tasks())

    def _check_directory(self, at: YamlPath, keys: PackageKeys, path: str) -> None:
        directory = self.root / path
        try:
            status = directory.stat()
        except OSError:
            self._missing_directory(at, keys, directory)
            return
        if not stat.S_ISDIR(status.st_mode):
            self._missing_directory(at, keys, directory)
            return
        known = self._directories.setdefault((status.st_dev, status.st_ino), (keys.name, path))
        if known[1] != path:
            # Neither would be told of what the other makes there.
            message = f"{keys.name}: {path!r} is the directory of {known[0]}, {known[1]!r}"
            self._problem(at, f"{message}, by a link", f"write path: {known[1]}")

    def _missing_directory(self, at: YamlPath, keys: PackageKeys, directory: Path) -> None:
        if directory.exists():
            message, hint = "is not a directory", "name the directory that holds the package"
        else:
            beside = directory.parent
            siblings = [one.name for one in beside.iterdir()] if beside.is_dir() else []
            message = "does not exist"
            hint = did_you_mean(directory.name, siblings) or "make it, or correct the path"
        self._problem(at, f"{keys.name}: {keys.path!r} {message}", hint)

    def _path(self, at: YamlPath, text: str) -> str | None:
        try:
            return self.territory.path(text)
        except BuildNetError as error:
            self._problem(at, error.message, error.hint)
            return None

    def patterns(
        self, at: YamlPath, texts: Iterable[str], *, is_read: bool = True
    ) -> tuple[str, ...]:
        """Return the patterns of a list, each checked at its line; outputs are not ``is_read``."""
        found: dict[str, None] = {}
        for number, text in enumerate(texts):
            try:
                found[self.territory.pattern(text, is_read=is_read)] = None
            except BuildNetError as error:
                self._problem((*at, number), error.message, error.hint)
        return tuple(found)

    def paths(self, at: YamlPath, texts: Iterable[str]) -> tuple[str, ...]:
        """Return the plain paths of a list, each checked at its line."""
        found = (self._path((*at, number), text) for number, text in enumerate(texts))
        return tuple(dict.fromkeys(path for path in found if path is not None))

    def named_paths(self, at: YamlPath, texts: Mapping[str, str]) -> dict[str, str]:
        """Return the plain paths of a mapping, each checked at its line."""
        found = {name: self._path((*at, name), text) for name, text in texts.items()}
        return {name: path for name, path in found.items() if path is not None}

    def problem_in_task(self, at: YamlPath, message: str, hint: str | None) -> None:
        """Record what is wrong with a task."""
        self._problem(at, message, hint)

    def _check_cycles(self, packages: dict[str, Package]) -> None:
        try:
            sort({name: package.dependencies for name, package in packages.items()})
            sort(
                {
                    task.id: task.depends_on
                    for one in packages.values()
                    for task in one.tasks.values()
                }
            )
        except CycleError as error:
            self._problem(self._cycle_place(error.cycle), error.message, error.hint)

    def _cycle_place(self, cycle: Sequence[str]) -> YamlPath:
        """Return where the first member names the second."""
        package, _, task = cycle[0].partition("#")
        index = next(i for i, one in enumerate(self.keys.packages) if one.name == package)
        at: YamlPath = ("packages", index)
        if task:
            return (*at, "tasks", task, "depends_on")
        dependencies = self.keys.packages[index].dependencies
        if cycle[1] in dependencies:
            return (*at, "dependencies", dependencies.index(cycle[1]))
        return (*at, "depends_on")

    def _check_outputs(self, packages: dict[str, Package]) -> None:
        indexes = {one.name: index for index, one in enumerate(self.keys.packages)}
        for overlap in overlaps(packages):
            at: YamlPath = ("packages", indexes[overlap.task.package])
            if overlap.task.name != BUILD:
                at = (*at, "tasks", overlap.task.name)
            keys: Settings = self.keys.packages[indexes[overlap.task.package]]
            if overlap.task.name != BUILD and isinstance(keys, PackageKeys):
                keys = keys.tasks[overlap.task.name]
            key = "output_dir" if keys.output_dir and not keys.outputs else "outputs"
            self._problem((*at, key), overlap.message, overlap.hint)
