"""Which tasks' results are known to stand in a workspace, kept between builds.

A task stands while nothing that its key is made of and none of its outputs has changed: what it
reads (by the answers of :mod:`buildnet.node.source_memory` that it was worked out from), the tools,
the inherited variables, the definition. A build looks only at tasks that do not stand, and at what
depends on those if they turn out to be changed.

Several builds of a workspace may be at work at once, in different packages. Each goes by what stood
when it began (:class:`Standing`), and what it found in place counts for later ones only if nothing
of it was forgotten meanwhile (:class:`KnownStanding`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.build_record import Results
from buildnet.node.execute.isolation import WORKSPACE
from buildnet.node.source_memory import Key
from buildnet.node.toolchain import Tool, Toolchain
from buildnet.pool.claims import Claim
from buildnet.pool.graph import closure
from buildnet.pool.territory import sharing_files
from buildnet.pool.tree import DirectoryTree
from buildnet.pool.workspace import Task, TaskId, Workspace


@dataclass(slots=True)
class Visible:
    """What tasks that depend on a task see of it: ``own``, and with ``transitive`` all below it."""

    own: DirectoryTree
    below: DirectoryTree
    skipped: bool
    """Its outputs stand as they stood."""

    def looks_like(self, other: Visible) -> bool:
        """Whether who sees it sees the same."""
        return self.own.digest == other.own.digest and self.below.digest == other.below.digest


@dataclass(frozen=True, slots=True)
class StandingTask:
    """A task whose result stands; ``action`` and ``isolation`` None: it has no command."""

    visible: Visible
    outputs: DirectoryTree
    action: Digest | None
    isolation: str | None
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all keys of a workspace's tasks may depend on besides files.

    ``environment`` are the values of all variables that any task inherits; ``tools`` those that
    were declared, ``words`` the programs that commands begin with, as far as they were asked for.
    """

    workspace: Workspace
    isolation: str
    environment: tuple[str | None, ...]
    platform: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, Tool] = field(default_factory=dict)
    words: Mapping[str, Tool | None] = field(default_factory=dict)


class Plan:
    """The tasks that a request means, with their dependencies. ``packages`` none: all; None: not
    one.

    Raises:
        NotFoundError: there is no such package or task.
    """

    def __init__(self, workspace: Workspace, packages: tuple[str, ...] | None, task: str) -> None:
        self.workspace = workspace
        self.key = (packages, task)
        self.tasks = {
            each.id: each
            for each in (() if packages is None else closure(workspace, packages, task))
        }

    @cached_property
    def _dependents(self) -> Mapping[TaskId, list[TaskId]]:
        return dependents_of(self.tasks.values())

    @cached_property
    def packages(self) -> tuple[str, ...]:
        """The names of the packages."""
        return tuple(dict.fromkeys(task.package for task in self.tasks))

    @cached_property
    def claim(self) -> Claim:
        """What of the workspace a build of it needs for itself: the packages, with those that may
        make the same files; all of it where commands or hooks run in the workspace itself."""
        workspace = self.workspace
        in_place = any(task.isolation == WORKSPACE for task in self.tasks.values())
        if in_place or workspace.pre_build is not None or workspace.post_build is not None:
            return Claim(workspace, None)
        names = frozenset(self.packages)
        sharing = sharing_files(workspace.packages)
        return Claim(workspace, names.union(*(sharing.get(name, ()) for name in names)))

    def reached_from(self, tasks: Iterable[TaskId]) -> dict[TaskId, None]:
        """Return ``tasks`` and all that depends on them."""
        reached = dict.fromkeys(tasks)
        waiting = list(reached)
        while waiting:
            for dependent in self._dependents[waiting.pop()]:
                if dependent not in reached:
                    reached[dependent] = None
                    waiting.append(dependent)
        return reached


def dependents_of(tasks: Iterable[Task]) -> Mapping[TaskId, list[TaskId]]:
    """Return for each of these tasks the ones that depend on it directly."""
    dependents: dict[TaskId, list[TaskId]] = {}
    for task in tasks:
        dependents.setdefault(task.id, [])
        for needed in task.depends_on:
            dependents.setdefault(needed, []).append(task.id)
    return dependents


@dataclass(slots=True)
class Complete:
    """A plan all of whose tasks stand. ``build_id`` is the build whose record lists them."""

    build_id: str
    tasks: dict[TaskId, StandingTask]
    results: Results


@dataclass(slots=True)
class Standing:
    """What stands as one build sees it: as it was when the build began, but for what the build
    itself looks at. ``former`` are tasks that stood until something of theirs changed;
    ``on_remove`` is told of each that is looked at."""

    tasks: dict[TaskId, StandingTask] = field(default_factory=dict)
    former: dict[TaskId, StandingTask] = field(default_factory=dict)
    on_remove: Callable[[TaskId], None] = lambda task: None

    def remove(self, task: TaskId) -> None:
        """Forget a task: it is looked at again."""
        found = self.tasks.pop(task, None)
        if found is not None:
            self.former[task] = found
        self.on_remove(task)


@dataclass(frozen=True, slots=True)
class Found:
    """A task that a build found in place, and how it saw what the task depends on."""

    standing: StandingTask
    needed: Mapping[TaskId, Visible]


@dataclass(slots=True)
class KnownStanding:
    """What stands, between builds and for all of them; see the module's text. For one thread at a
    time.

    Of each task that stands holds: what it was made from is what is known of the tasks that it
    depends on, as they stand or (``former``) stood last. ``epoch`` counts how often all was
    forgotten.
    """

    surroundings: Surroundings | None = None
    epoch: int = 0
    tasks: dict[TaskId, StandingTask] = field(default_factory=dict)
    former: dict[TaskId, StandingTask] = field(default_factory=dict)
    complete: dict[object, Complete] = field(default_factory=dict)
    _tasks_of: dict[Key, set[TaskId]] = field(default_factory=dict)
    _dependents: Mapping[TaskId, list[TaskId]] = field(default_factory=dict)

    def enter(self, now: Surroundings, toolchain: Toolchain) -> None:
        """Begin a build: where anything besides files is different, nothing stands any more."""
        known = self.surroundings
        if (
            known is None
            or known.workspace is not now.workspace
            or (known.isolation, known.environment, known.platform)
            != (now.isolation, now.environment, now.platform)
            or not _are_same(known, toolchain)
        ):
            self.clear()
            self.surroundings = now
            self._dependents = dependents_of(now.workspace.tasks())

    def asked_for(self, tools: Mapping[str, Tool], words: Mapping[str, Tool | None]) -> bool:
        """Take note of the programs that a build asked for. Where another build saw one of them
        otherwise, nothing stands any more; tell whether that is not so."""
        assert self.surroundings is not None
        known = self.surroundings
        if _differ(known.tools, tools) or _differ(known.words, words):
            self.clear()
            self.surroundings = replace(known, tools={}, words={})
            return False
        self.surroundings = replace(
            known, tools={**known.tools, **tools}, words={**known.words, **words}
        )
        return True

    def add(self, task: TaskId, found: Found) -> None:
        """Take note that a task stands, if what it depends on does, as the build saw it. To be
        called in the order of dependencies: what depends on a task and stood while that was not
        known, or was another, has to be looked at again."""
        for needed, seen in found.needed.items():
            other = self.tasks.get(needed)
            if other is None or not seen.looks_like(other.visible):
                return
        standing = found.standing
        former = self.tasks.get(task) or self.former.get(task)
        if former is None or not standing.visible.looks_like(former.visible):
            for dependent in self._dependents.get(task, ()):
                self.remove(dependent)
        self.former.pop(task, None)
        self.tasks[task] = standing
        for key in standing.keys:
            self._tasks_of.setdefault(key, set()).add(task)

    def forget(self, keys: Iterable[Key]) -> None:
        """Forget the tasks that were worked out from these answers."""
        for key in keys:
            for task in self._tasks_of.pop(key, ()):
                self.remove(task)

    def remove(self, task: TaskId) -> None:
        """Forget a task: it has to be looked at again."""
        found = self.tasks.pop(task, None)
        if found is not None:
            self.former[task] = found
            self.complete.clear()

    def clear(self) -> None:
        """Forget all tasks."""
        self.epoch += 1
        for task in tuple(self.tasks):
            self.remove(task)
        self.complete.clear()
        self._tasks_of.clear()


def _differ(known: Mapping[str, Tool | None], other: Mapping[str, Tool | None]) -> bool:
    return any(name in known and known[name] != tool for name, tool in other.items())


def _are_same(known: Surroundings, toolchain: Toolchain) -> bool:
    try:
        return all(toolchain.tool(name) == tool for name, tool in known.tools.items()) and all(
            toolchain.program(word) == program for word, program in known.words.items()
        )
    except BuildNetError:
        return False
