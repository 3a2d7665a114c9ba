"""Reading ``buildnet.yaml``: from its keys to the workspace, every problem told at its line."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.detect.install import describe_install
from buildnet.pool.graph import CycleError, sort
from buildnet.pool.requirements import Requirements
from buildnet.pool.schema import FileKeys, PackageKeys, Settings, TaskKeys, validate
from buildnet.pool.territory import Territory, overlaps
from buildnet.pool.wanted_platform import WantedPlatform
from buildnet.pool.workspace import (
    BUILD,
    WORKSPACE_FILE,
    Install,
    Package,
    Problem,
    Task,
    TaskId,
    Workspace,
    WorkspaceError,
)
from buildnet.pool.yaml_document import YamlDocument, YamlError, YamlPath, load_yaml

_Value = TypeVar("_Value")
_REPOSITORY = frozenset({".git", ".hg", ".svn"})
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
        builds = tuple(TaskId(dependency, BUILD) for dependency in dependencies)
        reader = _TaskReader(self, at, keys, path or "", installs)
        tasks = {BUILD: reader.build(builds)}
        for name, task in keys.tasks.items():
            if name == BUILD:
                hint = "write it as the package's build_cmd, outputs and so on"
                self._problem((*at, "tasks", name), f"{keys.name}: build is no task here", hint)
                continue
            tasks[name] = reader.task(name, task, builds)
        return Package(keys.name, path or "", dependencies, tasks)

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
        needed, _, _other = cycle[1].partition("#")
        index = next(i for i, one in enumerate(self.keys.packages) if one.name == package)
        if not task:
            dependencies = self.keys.packages[index].dependencies
            return ("packages", index, "dependencies", dependencies.index(needed))
        return ("packages", index, "tasks", task, "depends_on")

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


class _TaskReader:
    """Makes the tasks of one package; a task inherits what it does not say itself."""

    def __init__(
        self, definition: _Definition, at: YamlPath, keys: PackageKeys, path: str, installs: bool
    ) -> None:
        self._definition = definition
        self._at = at
        self._keys = keys
        self._path = path
        self._installs = installs

    def build(self, builds: tuple[TaskId, ...]) -> Task:
        """Return the package's own command."""
        keys = self._keys
        outputs = self._outputs(self._at, keys)
        if outputs and keys.build_cmd is None:
            self._definition.problem_in_task(
                (*self._at, "output_dir" if keys.output_dir else "outputs"),
                f"{keys.name} has outputs but no build_cmd that makes them",
                "add build_cmd, or list the files as sources",
            )
        return self._task(BUILD, keys.build_cmd, builds, keys, self._at, outputs, None)

    def task(self, name: str, keys: TaskKeys, builds: tuple[TaskId, ...]) -> Task:
        """Return one of its other tasks."""
        at = (*self._at, "tasks", name)
        known = (BUILD, *self._keys.tasks)
        own: list[TaskId] = []
        for number, needed in enumerate(keys.depends_on):
            if needed == name or needed not in known:
                what = (
                    "itself" if needed == name else f"{needed!r}, which is no task of its package"
                )
                self._definition.problem_in_task(
                    (*at, "depends_on", number),
                    f"{self._keys.name}#{name} depends on {what}",
                    did_you_mean(needed, [one for one in known if one != name])
                    or f"tasks: {', '.join(one for one in known if one != name)}",
                )
            else:
                own.append(TaskId(self._keys.name, needed))
        needs = tuple(dict.fromkeys((*own, *builds)))
        return self._task(name, keys.cmd, needs, keys, at, self._outputs(at, keys), keys.shards)

    def _outputs(self, at: YamlPath, keys: Settings) -> tuple[str, ...]:
        found: tuple[str, ...] = ()
        if keys.output_dir is not None:
            found = self._definition.patterns((*at, "output_dir"), [keys.output_dir], is_read=False)
        found += self._definition.patterns((*at, "outputs"), keys.outputs, is_read=False)
        for output in found:
            if output.startswith("!"):
                self._definition.problem_in_task(
                    (*at, "outputs"),
                    f"{output!r}: outputs cannot exclude",
                    "name the directories and files that the command makes",
                )
            elif output == WORKSPACE_FILE or output.partition("/")[0] in _REPOSITORY:
                self._definition.problem_in_task(
                    (*at, "outputs"),
                    f"{output!r} cannot be an output: a build never makes it",
                    "name the directories and files that the command makes",
                )
        return tuple(dict.fromkeys(found))

    def _task(
        self,
        name: str,
        command: str | None,
        depends_on: tuple[TaskId, ...],
        keys: Settings,
        at: YamlPath,
        outputs: tuple[str, ...],
        shards: int | str | None,
    ) -> Task:
        package = self._keys
        sources = keys.sources if keys.sources is not None else package.sources
        said_at = at if keys.sources is not None else self._at
        patterns = self._definition.patterns((*said_at, "sources"), sources or [])
        for one, where in ((package, self._at), (keys, at)):
            patterns += self._definition.patterns((*where, "extra_sources"), one.extra_sources)
        exports = keys.exports
        shown = [one for one in exports or () if one != "sources"]
        entries = _first(keys.path_prepend, package.path_prepend, [])
        tools = _first(keys.tools, package.tools, [])
        tree = _first(keys.dependencies_tree, package.dependencies_tree, self._installs)
        return Task(
            package=package.name,
            name=name,
            command=command,
            path=self._path,
            depends_on=depends_on,
            sources=tuple(dict.fromkeys(patterns)),
            default_sources=sources is None,
            exports=None if exports is None else self._definition.patterns((*at, "exports"), shown),
            exports_sources="sources" in (exports or ()),
            outputs=outputs,
            tools=tuple(dict.fromkeys(tool.name for tool in tools)),
            tool_versions={tool.name: tool.version for tool in tools if tool.version is not None},
            env={**package.env, **keys.env},
            env_inherit=tuple(dict.fromkeys((*package.env_inherit, *keys.env_inherit))),
            env_paths={
                **self._definition.named_paths((*self._at, "env_paths"), package.env_paths),
                **self._definition.named_paths((*at, "env_paths"), keys.env_paths),
            },
            path_entries=self._definition.paths((*at, "path_prepend"), entries),
            network=_first(keys.network, package.network, False),
            requirements=_requirements(keys).over(_requirements(package)),
            isolation=keys.isolation or package.isolation,
            transitive=_first(keys.transitive, package.transitive, False),
            dependencies_tree=tree,
            shards=shards,
        )


def _requirements(keys: Settings) -> Requirements:
    labels = None if keys.labels is None else tuple(dict.fromkeys(keys.labels))
    platform = None if keys.platform is None else WantedPlatform(**keys.platform.model_dump())
    return Requirements(
        keys.cores, keys.memory, keys.disk, keys.processes, keys.timeout, labels, platform
    )


def _first(said: _Value | None, inherited: _Value | None, default: _Value) -> _Value:
    """Return what the task says, else what its package says, else the default."""
    if said is not None:
        return said
    return default if inherited is None else inherited
