"""A build's request with all that it is performed from, so that a node without the workspace can.

It is two blobs: the *plan* (JSON), and the *sources*, one ``Tree`` message below whose root stand
the numbered trees that the plan refers to. The bytes of the files are blobs of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from google.protobuf.message import DecodeError
from pydantic import TypeAdapter, ValidationError

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.isolation import STRICT
from buildnet.node.sources import Sources, SourceSet
from buildnet.node.standing import Standing, StandingTask, Visible
from buildnet.pool.choice import Choice
from buildnet.pool.configuration import MOST_RUNS
from buildnet.pool.few_values import require_few
from buildnet.pool.glob import Patterns, leads_out
from buildnet.pool.reapi import remote_execution_pb2 as reapi
from buildnet.pool.schema import MOST_RETRIES
from buildnet.pool.tree import DirectoryTree, FileEntry, plain_name
from buildnet.pool.workspace import Install, Package, Task, TaskId, Workspace

MAX_BYTES = 32 * 1024 * 1024
"""Of a plan, and of the directories of its sources."""
MOST_VALUES = 2_000_000
"""Of a plan's JSON."""


class PlanError(BuildNetError):
    """What another node sent as the plan of a build is none."""

    code = "PLAN_UNREADABLE"
    http_status = 400


@dataclass(frozen=True, slots=True)
class StoredSources:
    """What some patterns of the workspace mean: the tree of that number. ``default_path``: the
    directory of which all files count too; ``unmatched``: patterns that match nothing."""

    patterns: tuple[str, ...]
    default_path: str | None
    unmatched: tuple[str, ...]
    tree: int


@dataclass(frozen=True, slots=True)
class Given:
    """A task that stood when the build began, as those see it that depend on it: trees by number,
    its own and of all below it."""

    task: TaskId
    own: int
    below: int


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """See the module's text. ``driver`` is the id of the node that was asked, ``root`` where the
    workspace is there; ``environment`` holds the values of inherited variables, ``tools`` and
    ``words`` what identifies the programs that the commands name; ``retries``: how often a command
    that fails runs again, builds apart; ``times``: how often each runs, to compare what it makes.
    """

    build_id: str
    driver: str
    workspace: str
    root: str
    actor: str
    started_at: float
    task: str
    packages: tuple[str, ...]
    keep_going: bool
    choice: Choice
    isolation: str
    outputs: tuple[str, ...]
    environment: Mapping[str, str]
    platform: Mapping[str, str]
    tools: Mapping[str, str]
    words: Mapping[str, str | None]
    tasks: tuple[Task, ...]
    sources: tuple[StoredSources, ...]
    given: tuple[Given, ...]
    durations_ms: tuple[tuple[TaskId, float], ...]
    install: Install | None
    retries: int = 0
    times: int = 1

    def encode(self) -> bytes:
        """Return it as bytes."""
        return _adapter().dump_json(self)

    @classmethod
    def decode(cls, data: bytes) -> StoredPlan:
        """Read a plan from bytes of any origin.

        Raises:
            PlanError: it is none, or it asks for more than other nodes may.
        """
        try:
            require_few(data, MOST_VALUES)
            plan = _adapter().validate_python(json.loads(data))  # whose errors copy nothing
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise PlanError(
                "the plan of a build can't be read", cause=f"{first['loc']}: {first['msg']}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise PlanError("the plan of a build can't be read", cause=str(error)) from error
        _require_harmless(plan)
        return plan

    def workspace_at(self, root: Path) -> Workspace:
        """Return what of the workspace the build is about, as if it were at ``root``."""
        tasks: dict[str, dict[str, Task]] = {}
        for task in self.tasks:
            tasks.setdefault(task.package, {})[task.name] = task
        packages = {
            name: Package(name, next(iter(of.values())).path, (), of) for name, of in tasks.items()
        }
        return Workspace(self.workspace, root, None, packages, self.install)


def _require_harmless(plan: StoredPlan) -> None:
    """See that a plan names nothing outside of its workspace, and runs nothing but in ``strict``.

    Raises:
        PlanError: it does.
    """
    install = plan.install
    names = [plan.build_id, plan.driver]
    paths = [path for task in plan.tasks for path in _paths_of(task)]
    if install is not None:
        names.append(install.manager)
        paths += [install.lock_file, *install.roots, *install.inputs]
    for name in names:  # directories of this host are called so
        try:
            plain_name(name)
        except ValueError as error:
            raise PlanError("the plan of a build leaves its place", cause=str(error)) from error
    for path in paths:
        if leads_out(path):
            raise PlanError("the plan of a build leaves its workspace", cause=path)
    if max([plan.retries, *(task.retries for task in plan.tasks)]) > MOST_RETRIES:
        raise PlanError(f"the plan of a build repeats commands more than {MOST_RETRIES} times")
    if not 1 <= plan.times <= MOST_RUNS:
        raise PlanError(f"the plan of a build runs commands not once to {MOST_RUNS} times")
    for task in plan.tasks:
        level = task.isolation or plan.isolation
        if task.command is not None and level != STRICT:
            raise PlanError(f"a command of the plan runs in {level}", cause=str(task.id))


def _paths_of(task: Task) -> Iterator[str]:
    yield from (task.path, *task.outputs, *task.junit)
    yield from (*task.path_entries, *task.env_paths.values())


@cache
def _adapter() -> TypeAdapter[StoredPlan]:
    return TypeAdapter(StoredPlan)  # it takes its time, and few builds need it


@dataclass(slots=True)
class Trees:
    """Trees by their numbers, equal ones once."""

    trees: list[DirectoryTree] = field(default_factory=list)
    _numbers: dict[Digest, int] = field(default_factory=dict)

    def number_of(self, tree: DirectoryTree) -> int:
        """Return a tree's number; it gets one if it has none."""
        number = self._numbers.setdefault(tree.digest, len(self.trees))
        if number == len(self.trees):
            self.trees.append(tree)
        return number

    def encode(self) -> bytes:
        """Return them as one ``Tree`` message."""
        together = DirectoryTree({str(number): tree for number, tree in enumerate(self.trees)})
        return together.tree_message().SerializeToString(deterministic=True)

    @classmethod
    def decode(cls, data: bytes) -> Trees:
        """Read trees from bytes of any origin.

        Raises:
            PlanError: they are none.
        """
        try:
            entries = DirectoryTree.from_tree_message(reapi.Tree.FromString(data)).entries
            numbered = [entries[str(number)] for number in range(len(entries))]
        except (DecodeError, ValueError, KeyError) as error:
            raise PlanError("the sources of a build can't be read", cause=str(error)) from error
        trees = [tree for tree in numbered if isinstance(tree, DirectoryTree)]
        if len(trees) < len(numbered):
            raise PlanError("the sources of a build can't be read", cause="a file is no tree")
        return cls(trees)

    def files(self) -> Iterator[tuple[str, Digest]]:
        """Yield path and content of each file, in whichever tree."""
        for tree in self.trees:
            for path, leaf in tree.leaves():
                if isinstance(leaf, FileEntry):
                    yield path, leaf.digest

    def at(self, number: int) -> DirectoryTree:
        """Return the tree of that number.

        Raises:
            PlanError: there is none.
        """
        if not 0 <= number < len(self.trees):
            raise PlanError("the plan of a build refers to sources that are not there")
        return self.trees[number]


class SourcesOfPlan:
    """The sources of a stored plan, read as a :class:`~buildnet.node.sources.SourceReader` reads
    those of a workspace; its outputs stand nowhere."""

    def __init__(self, plan: StoredPlan, trees: Trees) -> None:
        self._known = {(each.patterns, each.default_path): each for each in plan.sources}
        self._trees = trees

    def tree(
        self,
        patterns: Sequence[str],
        default_sources: str | None = None,
        exclude: Sequence[str] | Patterns = (),
    ) -> SourceSet:
        """Return the files that ``patterns`` meant when the plan was made.

        Raises:
            PlanError: they could not be read then.
        """
        found = self._known.get((tuple(patterns), default_sources))
        if found is None:
            raise PlanError("the sources could not be read on the node that was asked")
        tree = self._trees.at(found.tree)
        return SourceSet(tree, frozenset(), frozenset(), found.unmatched)

    def tree_of_outputs(self, outputs: Sequence[str]) -> DirectoryTree | None:
        """Return None: no workspace, no outputs in it."""
        return None


def standing_of(plan: StoredPlan, trees: Trees) -> Standing:
    """Return the tasks that stood when the plan was made.

    Raises:
        PlanError: it refers to what is not there.
    """
    standing = Standing()
    for each in plan.given:
        own, below = trees.at(each.own), trees.at(each.below)
        seen = Visible(own, below, skipped=True)
        standing.tasks[each.task] = StandingTask(seen, own, None, None, ())
    return standing


@dataclass(slots=True)
class Capture:
    """Takes in what a plan consists of while a workspace is read. ``files``: where in the workspace
    each content was found."""

    reader: Sources
    outputs: Patterns
    trees: Trees = field(default_factory=Trees)
    files: dict[Digest, str] = field(default_factory=dict)
    sources: dict[tuple[tuple[str, ...], str | None], StoredSources] = field(default_factory=dict)
    given: list[Given] = field(default_factory=list)

    def read(self, tasks: Iterable[Task], install: Install | None) -> None:
        """Read the sources of tasks, and what an install is made from; what can't be read is left
        out: who performs the plan fails there as this node does."""
        for task in tasks:
            self._read(task.sources, task.path if task.default_sources else None)
            if task.exports:
                self._read(task.exports, None)
        if install is not None:
            self._read(install.inputs, None, ())

    def give(self, task: TaskId, seen: Visible) -> None:
        """Take in a task that stands."""
        own, below = self._keep(seen.own), self._keep(seen.below)
        self.given.append(Given(task, own, below))

    def _read(
        self,
        patterns: tuple[str, ...],
        default_path: str | None,
        exclude: Sequence[str] | Patterns | None = None,
    ) -> None:
        if (patterns, default_path) in self.sources:
            return
        try:
            found = self.reader.tree(
                patterns, default_path, self.outputs if exclude is None else exclude
            )
        except BuildNetError:
            return
        number = self._keep(found.tree)
        self.sources[patterns, default_path] = StoredSources(
            patterns, default_path, found.unmatched, number
        )

    def _keep(self, tree: DirectoryTree) -> int:
        for path, leaf in tree.leaves():
            if isinstance(leaf, FileEntry):
                self.files[leaf.digest] = path
        return self.trees.number_of(tree)
