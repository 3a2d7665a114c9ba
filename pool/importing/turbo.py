"""``buildnet init --from turbo``: the workspace that package.json files and turbo.json describe.

What is what is detected as without turbo.json; it adds the tasks, what they need, read and write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.detect.build_script import build_script
from buildnet.pool.detect.detection import detect_workspace
from buildnet.pool.detect.members import Members, read_members
from buildnet.pool.importing.imported import (
    Findings,
    Imported,
    inheriting,
    joined,
    pattern_within,
    without_overlaps,
)
from buildnet.pool.importing.narrowing import Narrowing
from buildnet.pool.importing.needs import Need, Needs, without_circles
from buildnet.pool.importing.turbo_file import ROOT, TURBO_FILE, TurboFile, TurboTask, read_turbo
from buildnet.pool.importing.turbo_task import TaskImport
from buildnet.pool.territory import Territory
from buildnet.pool.workspace import BUILD, Package, Task, TaskId, Workspace, WorkspaceError

_KEPT_ANYWAY = frozenset({BUILD, "test"})


def import_turbo(root: Path) -> Imported:
    """Return the workspace at ``root`` as its turbo.json has it.

    Raises:
        WorkspaceError: no turbo.json, no workspace around it, or one of the files is wrong.
        CycleError: packages that need each other.
    """
    root = root.resolve()
    members = read_members(root)
    paths = {} if members is None else {one.name or one.path: one.path for one in members.members}
    file = read_turbo(root, paths)
    if members is None or file is None:
        missing = TURBO_FILE if file is None else "package.json"
        raise WorkspaceError(
            f"{root} has no {missing}", hint="run it at the root of the workspace that turbo builds"
        )
    names = (said.text.rpartition("#")[2] for said in file.names() if not _is_roots(said.text))
    scripts = tuple(dict.fromkeys(names))
    workspace = detect_workspace(root, scripts, by_turbo=False)
    if workspace is None:
        raise WorkspaceError(
            f"{root} has packages neither in package.json nor in pnpm-workspace.yaml",
            hint="run it at the root of the workspace that turbo builds",
        )
    return _Import(workspace, members, file, scripts).result()


def _is_roots(name: str) -> bool:
    return name.startswith(f"{ROOT}#")


class _Import:
    """Takes over package after package."""

    def __init__(
        self, workspace: Workspace, members: Members, file: TurboFile, scripts: tuple[str, ...]
    ) -> None:
        self._workspace = workspace
        self._file = file
        self._scripts = scripts
        self._script = build_script(members.root.scripts, members.members)
        self._findings = Findings()
        self._tasks = TaskImport(Territory(workspace.root), file, self._findings)

    def result(self) -> Imported:
        """Return the workspace and what is to be told of it."""
        for problem in self._file.unknown():
            self._findings.tell(problem)
        self._tell_names()
        described = {one.name: self._described(one) for one in self._workspace.packages.values()}
        said = {
            name: {task: self._needs(name, task, one) for task, one in tasks.items()}
            for name, tasks in described.items()
        }
        packages = {
            one.name: self._package(one, described[one.name], said[one.name])
            for one in self._workspace.packages.values()
        }
        self._tasks.tell_narrowed()
        packages = self._ordered(packages, described, said)
        packages = without_overlaps(packages, self._tasks.said_outputs, self._findings)
        files = (TURBO_FILE, *(one.where for one in self._file.packages.values()))
        watched = tuple(dict.fromkeys((*self._workspace.definition_files, *files)))
        workspace = replace(self._workspace, packages=packages, definition_files=watched)
        return Imported(workspace, self._findings.sorted())

    def _tell_names(self) -> None:
        for said in self._file.names():
            package, separator, script = said.text.rpartition("#")
            if _is_roots(said.text):
                self._findings.tell(
                    said.problem(
                        f"{said.text} is a task of the root, which is no package",
                        f"add a package with path: . and a task {script}",
                    )
                )
            elif separator and package not in self._workspace.packages:
                hint = did_you_mean(package, self._workspace.packages)
                message = f"{said.text}: there is no package {package!r}"
                self._findings.tell(said.problem(message, hint or "remove it from turbo.json"))

    def _described(self, package: Package) -> dict[str, TurboTask]:
        """Return what is said of the package's tasks, also of those that it has no script for."""
        return {
            self._name(script): found
            for script in self._scripts
            if (found := self._file.task(package.name, package.path, script)) is not None
        }

    def _name(self, script: str) -> str:
        return BUILD if script == self._script else script

    def _needs(self, package: str, task: str, described: TurboTask) -> tuple[Need, ...]:
        found: list[Need] = []
        for said in described.depends_on:
            owner, separator, script = said.text.rpartition("#")
            if script.startswith("$") or owner == ROOT:
                continue
            name = self._name(script.removeprefix("^"))
            found.append(Need(said, name, owner if separator else None, script.startswith("^")))
        own = self._workspace.packages[package]
        built = (said for said in described.inputs or () if _is_built(own, said.text))
        found += [Need(said, BUILD) for said in built if task != BUILD]
        if task == "test" and own.tasks[BUILD].command is not None:
            found.append(Need(described.name, BUILD))  # see the page "try on your monorepo"
        return tuple(found)

    def _package(
        self,
        package: Package,
        described: Mapping[str, TurboTask],
        said: Mapping[str, Sequence[Need]],
    ) -> Package:
        """Return the package with the tasks that are taken over, in no order yet."""
        there = {
            name: one
            for name, one in described.items()
            if name in package.tasks and package.tasks[name].command is not None
        }
        narrowing = Narrowing(
            self._workspace.root / package.path,
            {name: [each.text for each in one.inputs or ()] for name, one in there.items()},
            package.tasks[BUILD].outputs,
        )
        named = (
            at
            for one in there.values()
            for each in one.outputs or ()
            if (at := pattern_within(package.path, each.text)) is not None
        )
        guessed = self._tasks.guessed(package, named)
        tasks = {BUILD: package.tasks[BUILD]}
        for name in self._taken(there, said):
            task = self._tasks.taken(package.tasks[name], there[name], narrowing)
            if name == BUILD:
                task = replace(task, outputs=(*task.outputs, *guessed))
            tasks[name] = task
        return replace(package, tasks=tasks)

    def _taken(
        self, described: Mapping[str, TurboTask], said: Mapping[str, Sequence[Need]]
    ) -> list[str]:
        needed = {need.task for name in described for need in said[name]}
        found: list[str] = []
        for name, one in described.items():
            if not one.ends:
                message = f"{name} does not end by itself, so it is no task here"
                hint = "start it as before, beside buildnet build --watch"
                self._findings.tell(one.name.problem(message, hint))
            elif not one.cache and name not in _KEPT_ANYWAY | needed:
                message = f"{name} is not cached, so it is run for what it does elsewhere: left out"
                self._findings.tell(one.name.problem(message, "run it as before"))
            else:
                self._tell_differences(name, one)
                found.append(name)
        return found

    def _tell_differences(self, name: str, described: TurboTask) -> None:
        if not described.cache:
            message = f"{name} runs every time with turbo; here its result is kept"
            self._findings.tell(described.name.problem(message, "--force runs it again"))
        for said in described.beside:
            message = f"{name} runs with {said.text} at the same time"
            self._findings.tell(said.problem(message, f"start {said.text} as before"))

    def _ordered(
        self,
        packages: Mapping[str, Package],
        described: Mapping[str, Mapping[str, TurboTask]],
        said: Mapping[str, Mapping[str, Sequence[Need]]],
    ) -> dict[str, Package]:
        """Return the packages with what comes before each task."""
        joins = frozenset(
            TaskId(package, name)
            for package, tasks in described.items()
            for name, one in tasks.items()
            if not one.cache and not one.outputs and name not in _KEPT_ANYWAY
        )
        needs = Needs(packages, said, joins, self._findings)
        found: dict[str, Package] = {}
        for package in packages.values():
            tasks: dict[str, Task] = {}
            for name, task in package.tasks.items():
                before = needs.before(task.id)
                first = [package.tasks[one] for one in before.joined]
                task = replace(task, depends_on=before.needs)
                tasks[name] = joined(first, task) if first else task
            build = tasks[BUILD]
            found[package.name] = replace(
                package, tasks={name: inheriting(build, task) for name, task in tasks.items()}
            )
        return without_circles(found, said, self._findings)


def _is_built(package: Package, pattern: str) -> bool:
    """Return whether an input is what the package's own build writes."""
    at = pattern_within(package.path, pattern)
    outputs = [one.removesuffix("/**") for one in package.tasks[BUILD].outputs]
    return at is not None and any(at == one or at.startswith(f"{one}/") for one in outputs)
