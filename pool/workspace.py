"""What is to be built: a workspace, its packages and their tasks.

A workspace is described by ``buildnet.yaml`` at its root, or found in the manifests of npm, yarn,
pnpm, Cargo, Go or uv. Both give the same model. All paths in it are relative to the root, in POSIX
form; ``""`` is the root itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.requirements import Requirements

WORKSPACE_FILE = "buildnet.yaml"
BUILD = "build"
DEFAULT_SOURCES = "default"
"""Among ``sources``: what a package without them reads."""
PROBLEMS_SHOWN = 20
UNSEEN_HINT = "leave out what can't be seen: control characters, and those that turn text around"
"""What helps where a name holds characters that would have it shown as another one."""


class Problem(NamedTuple):
    """One thing wrong with a definition: file, line (from 1, or None), what, and a remedy."""

    file: str
    line: int | None
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}"


class WorkspaceError(UsageError):
    """A workspace that cannot be built as it is described; ``problems`` lists all that is wrong."""

    code = "WORKSPACE"

    def __init__(
        self, message: str, *, hint: str | None = None, problems: tuple[Problem, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> WorkspaceError:
        """Return one error that shows the first problems, each with its own hint."""
        found = tuple(problems)
        if len(found) == 1:
            return cls(str(found[0]), hint=found[0].hint, problems=found)
        lines = [f"{one} ({one.hint})" if one.hint else str(one) for one in found[:PROBLEMS_SHOWN]]
        if len(found) > PROBLEMS_SHOWN:
            lines.append(f"… and {len(found) - PROBLEMS_SHOWN} more")
        return cls("\n".join(lines), problems=found)


class TaskId(NamedTuple):
    """Names a task; written ``core`` for the build of core and ``core#test`` for another task."""

    package: str
    task: str

    def __str__(self) -> str:
        return self.package if self.task == BUILD else f"{self.package}#{self.task}"


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of a task's tests a shard runs. ``index``: from 0; ``tests``: its files, none: the
    runner picks them; ``left_out``: those of the other shards, which it does not see."""

    task: str
    index: int
    count: int
    tests: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One command of a package, with everything that can change its result."""

    package: str
    name: str
    command: str | None
    """A shell command line, run in ``path``; None: nothing to run, a package of sources only."""
    path: str
    """The package's directory."""
    depends_on: tuple[TaskId, ...] = ()
    """Direct: what ``depends_on`` names, and the builds of the package's dependencies unless it
    says which of their tasks."""
    sources: tuple[str, ...] = ()
    """Glob patterns; ``!pattern`` excludes."""
    default_sources: bool = True
    """True: besides ``sources``, all files below ``path`` that .gitignore does not name."""
    exports: tuple[str, ...] | None = None
    """Patterns of the files that dependents see besides the outputs."""
    exports_sources: bool = False
    """True: dependents see the sources too."""
    outputs: tuple[str, ...] = ()
    """A plain path must exist after the command (file or directory); a pattern (``dist/**`` is the
    directory ``dist``) may match nothing."""
    tools: tuple[str, ...] = ()
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    """Which versions of them will do, such as ``>=20``; those that are not named: any."""
    env: Mapping[str, str] = field(default_factory=dict)
    env_inherit: tuple[str, ...] = ()
    env_paths: Mapping[str, str] = field(default_factory=dict)
    """Variables that hold where something of the workspace is; the values are relative to its root,
    a command sees them whole."""
    path_entries: tuple[str, ...] = ()
    """Directories that come first on PATH, such as ``node_modules/.bin``."""
    network: bool = False
    requirements: Requirements = field(default_factory=Requirements)
    """What the command needs of a host; no part of its key."""
    isolation: str | None = None
    """``staged``, ``workspace``, or None: the node's choice."""
    transitive: bool = False
    """True: the command sees also what its dependencies depend on, all the way down."""
    dependencies_tree: bool = False
    """True: the tree of the workspace's install action (node_modules) is mounted."""
    shards: int | str | None = None
    """Into how many shards the task is split: a number, or ``auto``."""
    tests: tuple[str, ...] = ()
    """Patterns of the test files that are divided among its shards."""
    shard_outputs: tuple[str, ...] = ()
    """What each shard makes, with ``{shard}`` for its number; ``outputs`` are those of all."""
    junit: tuple[str, ...] = ()
    """Which of the outputs are JUnit XML, also where the command fails."""
    retries: int = 0
    """How often the command runs again if it fails."""
    shard: Shard | None = None
    """What of another task it runs; None: it is none of its shards."""

    @property
    def id(self) -> TaskId:
        return TaskId(self.package, self.name)

    @property
    def part_of(self) -> TaskId | None:
        """The task of which it is a shard."""
        return None if self.shard is None else TaskId(self.package, self.shard.task)

    @property
    def is_gathered(self) -> bool:
        """Whether it runs nothing itself, but stands for its shards."""
        return self.shards is not None and self.command is None

    @property
    def shows_sources(self) -> bool:
        """Whether dependents see the sources: asked for, or there is nothing else to see."""
        return self.exports_sources or (self.exports is None and not self.outputs)


@dataclass(frozen=True, slots=True)
class Package:
    """A unit of the workspace. There is always a task ``build``."""

    name: str
    path: str
    dependencies: tuple[str, ...]
    tasks: Mapping[str, Task]


@dataclass(frozen=True, slots=True)
class Install:
    """Installing third-party dependencies: an action of its own, whose tree other actions mount."""

    manager: str
    """``npm``, ``yarn`` or ``pnpm``."""
    command: str
    inputs: tuple[str, ...]
    """Lock file, manifests and settings of the package manager: exact files, or patterns."""
    lock_file: str
    roots: tuple[str, ...]
    """Directories that may hold a ``node_modules``: ``""`` and each package's path."""
    own_scripts: bool = False
    """True: scripts of the workspace's own manifests run too; else only those of packages."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A repository to be built."""

    name: str
    root: Path
    file: Path | None
    """The file that describes it; None: it was detected."""
    packages: Mapping[str, Package]
    install: Install | None = None
    pre_build: str | None = None
    post_build: str | None = None
    description: str | None = None
    notes: tuple[str, ...] = ()
    """What detection could not tell for sure, for the person who runs ``buildnet init``."""
    definition_files: tuple[str, ...] = ()
    """Files and directories, present or missing, whose change can change this definition."""

    def tasks(self) -> Iterator[Task]:
        """Yield every task of every package, in the order of the definition."""
        for package in self.packages.values():
            yield from package.tasks.values()

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs of all tasks; none of them is ever a source."""
        return tuple(output for task in self.tasks() for output in task.outputs)

    def task(self, task: TaskId) -> Task:
        """Return a task by its id.

        Raises:
            NotFoundError: no such package, or it has no such task.
        """
        package = self.package(task.package)
        if task.task not in package.tasks:
            raise NotFoundError(
                f"{package.name} has no task {task.task!r}",
                hint=did_you_mean(task.task, package.tasks) or f"it has {', '.join(package.tasks)}",
            )
        return package.tasks[task.task]

    def package(self, name: str) -> Package:
        """Return a package by its name.

        Raises:
            NotFoundError: no such package.
        """
        if name not in self.packages:
            raise NotFoundError(
                f"{self.name} has no package {name!r}",
                hint=did_you_mean(name, self.packages) or "see them with: buildnet build --dry-run",
            )
        return self.packages[name]


def load_workspace(root: Path) -> Workspace:
    """Read the workspace at ``root``: its ``buildnet.yaml``, or what is detected without one.

    Raises:
        WorkspaceError: the definition is wrong, or there is none.
    """
    # Both build the model of this module, so they cannot be imported before it.
    if (root / WORKSPACE_FILE).is_file():
        from buildnet.pool.definition import read_workspace

        return read_workspace(root / WORKSPACE_FILE)
    from buildnet.pool.detect.ecosystems import detect

    workspace = detect(root)
    if workspace is None:
        raise WorkspaceError(
            f"{root} holds no workspace: neither {WORKSPACE_FILE} nor one of npm, yarn, pnpm, "
            "Cargo, Go or uv",
            hint=f"describe its packages in a {WORKSPACE_FILE}; see the quickstart",
        )
    return workspace


def find_root(start: Path) -> Path:
    """Return the root of the workspace that ``start`` lies in.

    It is the nearest directory upwards with a ``buildnet.yaml``, else the nearest that declares a
    workspace of npm, yarn, pnpm, Cargo, Go or uv, else the nearest package that can be built alone.

    Raises:
        WorkspaceError: there is none up to the root of the file system.
    """
    from buildnet.pool.detect.ecosystems import declares_workspace, is_single_package

    here = start.resolve()
    upwards = (here, *here.parents)
    for is_root in (_has_file, declares_workspace, is_single_package):
        for directory in upwards:
            if is_root(directory):
                return directory
    raise WorkspaceError(
        f"no workspace at {here} or above it",
        hint=f"run it in a workspace, or describe one in a {WORKSPACE_FILE}; see the quickstart",
    )


def _has_file(directory: Path) -> bool:
    return (directory / WORKSPACE_FILE).is_file()
