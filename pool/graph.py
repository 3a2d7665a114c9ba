"""The order of tasks: topological, deterministic, with errors that name the cycle."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.workspace import BUILD, Task, TaskId, Workspace

Node = TypeVar("Node", bound=Hashable)


class CycleError(UsageError):
    """Things that need each other; ``cycle`` begins and ends with the same one."""

    code = "CYCLE"

    def __init__(self, cycle: Sequence[object]) -> None:
        self.cycle = tuple(str(member) for member in cycle)
        super().__init__(
            f"dependency cycle: {' -> '.join(self.cycle)}",
            hint="remove one of these dependencies, or move what both need to a package of its own",
        )


def order(tasks: Iterable[Task]) -> tuple[TaskId, ...]:
    """Return the tasks so that each comes after those it depends on.

    Among the possible orders it is always the same one: the order given, with dependencies moved
    before their dependents. Dependencies that are not among ``tasks`` are left out.

    Raises:
        CycleError: some tasks need each other.
    """
    return sort({task.id: task.depends_on for task in tasks})


def closure(workspace: Workspace, names: Iterable[str], task: str = BUILD) -> tuple[Task, ...]:
    """Return the tasks that bring ``task`` of the named packages up to date, dependencies first.

    No names mean all packages. Packages that do not have the task count only when they are named.

    Raises:
        NotFoundError: an unknown package, or a named package without this task.
        CycleError: some of them need each other.
    """
    named = tuple(names)
    if named:
        wanted = [workspace.task(TaskId(name, task)) for name in named]
    else:
        wanted = [one.tasks[task] for one in workspace.packages.values() if task in one.tasks]
        if not wanted and workspace.packages:
            known = {name for one in workspace.packages.values() for name in one.tasks}
            raise NotFoundError(
                f"no package of {workspace.name} has a task {task!r}",
                hint=did_you_mean(task, known) or f"there are: {', '.join(sorted(known))}",
            )
    needed: dict[TaskId, Task] = {one.id: one for one in wanted}
    waiting = list(reversed(wanted))
    while waiting:
        for dependency in waiting.pop().depends_on:
            if dependency not in needed:
                needed[dependency] = workspace.task(dependency)
                waiting.append(needed[dependency])
    return tuple(needed[one] for one in order(needed.values()))


def sort(edges: Mapping[Node, Iterable[Node]]) -> tuple[Node, ...]:
    """Return the keys of ``edges`` (node -> what it needs), each after what it needs.

    Depth first without recursion, so that chains of any length work.

    Raises:
        CycleError: see there.
    """
    done: dict[Node, None] = {}
    for start in edges:
        if start in done:
            continue
        path: dict[Node, None] = {start: None}
        stack = [(start, iter(edges[start]))]
        while stack:
            node, rest = stack[-1]
            for need in rest:
                if need in path:
                    members = list(path)
                    raise CycleError([*members[members.index(need) :], need])
                if need not in done and need in edges:
                    path[need] = None
                    stack.append((need, iter(edges[need])))
                    break
            else:
                stack.pop()
                del path[node]
                done[node] = None
    return tuple(done)
