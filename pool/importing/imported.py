"""What an import of another tool's configuration gives, and what goes into it from any tool."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from buildnet.mesh.errors import UsageError
from buildnet.pool.detect.directory import resolved
from buildnet.pool.detect.scripts import in_sequence
from buildnet.pool.glob import escape, is_pattern
from buildnet.pool.territory import Territory, overlaps
from buildnet.pool.workspace import Package, Problem, Task, TaskId, Workspace

_FILE = re.compile(r"[^/]\.\w+$")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Imported:
    """The workspace, and all that could not be taken over as it was: where it stands, and what to
    do about it."""

    workspace: Workspace
    findings: tuple[Problem, ...]

    def annotated(self) -> Workspace:
        """Return the workspace with the findings among its notes, as they stand in its file."""
        told = tuple(f"{one} ({one.hint})" if one.hint else str(one) for one in self.findings)
        return replace(self.workspace, notes=(*self.workspace.notes, *told))


class Findings:
    """Gathers what is told, each once."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def tell(self, problem: Problem) -> None:
        self._found.setdefault(problem)

    def sorted(self) -> tuple[Problem, ...]:
        """Return them by file and line."""
        return tuple(sorted(self._found, key=lambda one: (one.file, one.line or 0)))


def is_variable(name: str) -> bool:
    """Return whether ``env_inherit`` can hold the name."""
    return _ENV_NAME.fullmatch(name) is not None and name != "PATH"


def pattern_within(path: str, pattern: str) -> str | None:
    """Return a pattern that is relative to the package at ``path`` as one of the root.

    ``!`` before it stays there. None: it leads out of the root.
    """
    excluded = "!" if pattern.startswith("!") else ""
    plain = pattern.removeprefix("!")
    below = plain.removeprefix("./")
    if not below.startswith("../") and "/../" not in below:
        prefix = f"{escape(path)}/" if path else ""
        return None if below.startswith("/") else f"{excluded}{prefix}{below}"
    at = resolved(path, plain)
    return None if at is None else f"{excluded}{at}"


def readable(territory: Territory, pattern: str) -> str | None:
    """Return a pattern of sources in plain form; None if a definition may not hold it."""
    try:
        return territory.pattern(pattern, is_read=True)
    except UsageError:
        return None


def written(territory: Territory, pattern: str) -> str | None:
    """Return a pattern of outputs in plain form; None if a definition may not hold it.

    A path without wildcards is the directory or file that may be there: other tools name both so,
    and do not mind if it is not.
    """
    if "node_modules" in pattern.split("/"):
        return None
    try:
        plain = territory.pattern(pattern)
    except UsageError:
        return None
    if is_pattern(plain):
        return plain
    return f"{plain}{{,/**}}" if _FILE.search(plain) else f"{plain}/**"


def without_overlaps(
    packages: Mapping[str, Package], said: Mapping[tuple[TaskId, str], Problem], findings: Findings
) -> dict[str, Package]:
    """Return the packages with no output that meets another one's; those are told.

    ``said`` tells where outputs stand in the imported file.
    """
    found = dict(packages)
    while clashes := overlaps(found):
        for clash in clashes:
            owner = found[clash.task.package]
            task = owner.tasks[clash.task.name]
            if clash.output not in task.outputs:
                continue
            place = said.get((task.id, clash.output))
            if place is not None:
                hint = "give each task a directory of its own, or make both with one command"
                findings.tell(place._replace(message=clash.message, hint=hint))
            less = tuple(one for one in task.outputs if one != clash.output)
            tasks = {**owner.tasks, task.name: replace(task, outputs=less)}
            found[owner.name] = replace(owner, tasks=tasks)
    return found


def inheriting(build: Task, task: Task) -> Task:
    """Return a task with what it takes from its package in any case."""
    return replace(task, env_inherit=tuple(dict.fromkeys((*build.env_inherit, *task.env_inherit))))


def joined(before: Sequence[Task], task: Task) -> Task:
    """Return a task whose command runs those of others of its package first."""
    every = (*before, task)
    return replace(
        task,
        command=in_sequence([one.command or "true" for one in every]),
        sources=tuple(dict.fromkeys(each for one in every for each in one.sources)),
        env_inherit=tuple(dict.fromkeys(each for one in every for each in one.env_inherit)),
        tools=tuple(dict.fromkeys(each for one in every for each in one.tools)),
    )
