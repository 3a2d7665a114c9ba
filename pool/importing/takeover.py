"""Making a workspace of what another tool says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from buildnet.pool.detect.outputs import unknown_outputs
from buildnet.pool.importing.foreign import Foreign, ForeignTask
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
from buildnet.pool.importing.task_import import TaskImport
from buildnet.pool.territory import Territory
from buildnet.pool.workspace import BUILD, Package, Task, TaskId, Workspace

_ROOT = "//"
_KEPT_ANYWAY = frozenset({BUILD, "test"})


class TakeOver:
    """Takes over package after package of a workspace that was detected."""

    def __init__(self, workspace: Workspace, foreign: Foreign, findings: Findings) -> None:
        self._workspace = workspace
        self._foreign = foreign
        self._findings = findings
        self._tasks = TaskImport(Territory(workspace.root), foreign, findings)

    def result(self) -> Imported:
        """Return the workspace and what is to be told of it."""
        described = {one: self._foreign.tasks.get(one, {}) for one in self._workspace.packages}
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
        watched = dict.fromkeys((*self._workspace.definition_files, *self._foreign.files))
        unknown = (
            unknown_outputs(one.path)
            for one in packages.values()
            if not _are_outputs_known(one.tasks[BUILD], described[one.name].get(BUILD))
        )
        workspace = replace(
            self._workspace,
            packages=packages,
            notes=(*self._workspace.notes, *unknown),
            definition_files=tuple(watched),
        )
        return Imported(workspace, self._findings.sorted())

    def _needs(self, package: str, task: str, described: ForeignTask) -> tuple[Need, ...]:
        found: list[Need] = []
        for said in described.depends_on:
            owner, separator, script = said.text.rpartition("#")
            if script.startswith("$") or owner == _ROOT:
                continue
            name = self._foreign.name(script.removeprefix("^"))
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
        described: Mapping[str, ForeignTask],
        said: Mapping[str, Sequence[Need]],
    ) -> Package:
        """Return the package with the tasks that are taken over, in no order yet."""
        there = {
            name: one
            for name, one in described.items()
            if one.command is not None
            or (name in package.tasks and package.tasks[name].command is not None)
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
            base = package.tasks.get(name) or _another(package.tasks[BUILD], name)
            task = self._tasks.taken(base, there[name], narrowing)
            if name == BUILD:
                task = replace(task, outputs=(*task.outputs, *guessed))
            tasks[name] = task
        return replace(package, tasks=tasks)

    def _taken(
        self, described: Mapping[str, ForeignTask], said: Mapping[str, Sequence[Need]]
    ) -> list[str]:
        found = [one for one in described if described[one].ends]
        kept = {one for one in found if described[one].cache or one in _KEPT_ANYWAY}
        waiting = list(kept)
        while waiting:
            for need in said[waiting.pop()]:
                if need.task in found and need.task not in kept:
                    kept.add(need.task)
                    waiting.append(need.task)
        for name, one in described.items():
            if not one.ends:
                message = f"{name} does not end by itself, so it is no task here"
                hint = "start it as before, beside buildnet build --watch"
                self._findings.tell(one.name.problem(message, hint))
            elif name not in kept:
                message = f"{name} is not cached, so it is run for what it does elsewhere: left out"
                self._findings.tell(one.name.problem(message, "run it as before"))
            else:
                self._tell_differences(name, one)
        return [one for one in found if one in kept]

    def _tell_differences(self, name: str, described: ForeignTask) -> None:
        if not described.cache:
            message = f"{name} runs every time with {self._foreign.tool}; here its result is kept"
            self._findings.tell(described.name.problem(message, "--force runs it again"))
        for said in described.beside:
            message = f"{name} runs with {said.text} at the same time"
            self._findings.tell(said.problem(message, f"start {said.text} as before"))

    def _ordered(
        self,
        packages: Mapping[str, Package],
        described: Mapping[str, Mapping[str, ForeignTask]],
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


def _are_outputs_known(build: Task, described: ForeignTask | None) -> bool:
    """Return whether all is known of what a build writes, if only that it is nothing."""
    is_said = described is not None and described.outputs is not None
    return build.command is None or bool(build.outputs) or is_said


def _is_built(package: Package, pattern: str) -> bool:
    """Return whether an input is what the package's own build writes."""
    at = pattern_within(package.path, pattern)
    outputs = [one.removesuffix("/**") for one in package.tasks[BUILD].outputs]
    return at is not None and any(at == one or at.startswith(f"{one}/") for one in outputs)


def _another(build: Task, name: str) -> Task:
    """Return a task of a package beside its build, with what it has in common with it."""
    return replace(build, name=name, exports=None, exports_sources=False, outputs=())
