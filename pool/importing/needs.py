"""What runs before a task, from what another tool's file says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.graph import CycleError, sort
from buildnet.pool.importing.foreign import Said
from buildnet.pool.importing.imported import Findings
from buildnet.pool.task_definition import upstream_of
from buildnet.pool.workspace import BUILD, Package, Task, TaskId


@dataclass(frozen=True, slots=True)
class Need:
    """A task that comes first: of the same package; ``upstream``: of those that this one depends
    on; with a ``package``: of that one."""

    said: Said
    task: str
    package: str | None = None
    upstream: bool = False


@dataclass(frozen=True, slots=True)
class Before:
    """What comes before one task. ``joined``: tasks of its package that leave nothing which can be
    kept, so that they become part of its command."""

    needs: tuple[TaskId, ...]
    joined: tuple[str, ...]


class Needs:
    """Answers for all tasks of a workspace.

    ``packages`` have the tasks that were taken over, ``said`` what is said of these and others by
    package and task; ``joins``: those that leave nothing that can be kept.
    """

    def __init__(
        self,
        packages: Mapping[str, Package],
        said: Mapping[str, Mapping[str, Sequence[Need]]],
        joins: frozenset[TaskId],
        findings: Findings,
    ) -> None:
        self._packages = packages
        self._said = said
        self._joins = joins
        self._findings = findings

    def before(self, task: TaskId) -> Before:
        """Return what comes before a task; the builds that its package depends on always do.

        Tasks without a command are passed, to what comes before them.
        """
        package = self._packages[task.package]
        own: dict[TaskId, None] = {}
        others: dict[TaskId, None] = {}
        joined: dict[str, None] = {}
        waiting, seen = [task.task], {task.task}
        while waiting:
            for need in self._said[task.package].get(waiting.pop(), ()):
                if need.upstream:
                    others.update(dict.fromkeys(upstream_of(self._packages, package, need.task)))
                elif need.package not in {None, task.package}:
                    others.update(dict.fromkeys(self._named(need)))
                elif need.task not in seen:
                    seen.add(need.task)
                    needed = TaskId(task.package, need.task)
                    if need.task not in package.tasks or needed in self._joins:
                        waiting.append(need.task)
                    if need.task in package.tasks and needed in self._joins:
                        joined[need.task] = None
                    elif need.task in package.tasks:
                        own[needed] = None
        builds = dict.fromkeys(upstream_of(self._packages, package, BUILD))
        across = (one for one in others if one not in builds and one != task)
        return Before((*own, *across, *builds), tuple(reversed(joined)))

    def _named(self, need: Need) -> Iterable[TaskId]:
        name = need.package or ""
        package = self._packages.get(name)
        if package is None:
            hint = did_you_mean(name, self._packages) or f"correct {need.said.file}"
            self._findings.tell(need.said.problem(f"there is no package {name!r}", hint))
        elif need.task in package.tasks:
            yield TaskId(name, need.task)


def without_circles(
    packages: Mapping[str, Package],
    said: Mapping[str, Mapping[str, Sequence[Need]]],
    findings: Findings,
) -> dict[str, Package]:
    """Return the packages so that no tasks need each other: builds that come first only here are
    let go before those that the other tool's file names, which is told.

    Raises:
        CycleError: the tasks of a single package need each other.
    """
    found = dict(packages)
    while True:
        tasks = {task.id: task for one in found.values() for task in one.tasks.values()}
        try:
            sort({task.id: task.depends_on for task in tasks.values()})
        except CycleError as error:
            names = {str(one): one for one in tasks}
            steps = [
                (tasks[names[one]], names[other])
                for one, other in zip(error.cycle, error.cycle[1:], strict=False)
                if names[one].package != names[other].package
            ]
            if not steps:
                raise
            task, needed = next((one for one in steps if not _saying(said, *one)), steps[0])
            owner = found[task.package]
            less = tuple(one for one in task.depends_on if one != needed)
            tasks_then = {**owner.tasks, task.name: replace(task, depends_on=less)}
            found[owner.name] = replace(owner, tasks=tasks_then)
            for need in _saying(said, task, needed):
                message = f"{task.id} cannot need {needed}, which needs it already"
                hint = "remove it, or move what both need to a package of its own"
                findings.tell(need.said.problem(message, hint))
        else:
            return found


def _saying(
    said: Mapping[str, Mapping[str, Sequence[Need]]], task: Task, needed: TaskId
) -> list[Need]:
    """Return what of the other tool's file says that ``needed`` comes before a task."""
    return [
        need
        for need in said[task.package].get(task.name, ())
        if need.task == needed.task and (need.upstream or need.package == needed.package)
    ]
