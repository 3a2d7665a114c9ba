"""From a task to its key, and from the key to a result that exists already.

A resolver serves one build. For each task, once what it depends on is known, it reads the task's
sources, encodes the action, and says whether the result stands in the workspace, lies in the cache,
or has to be made. It is called from worker threads, one batch at a time.
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from google.protobuf.message import DecodeError

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.isolation import STRICT
from buildnet.node.platform import platform_properties
from buildnet.node.sources import Sources, outputs_key, source_key
from buildnet.node.standing import Found, Standing, StandingTask, Visible
from buildnet.node.store import ActionRecord, Hold, LastRun, MissingBlobError, Store
from buildnet.node.task_sources import SourceError, sources_of
from buildnet.node.toolchain import PlatformMissingError, Tool, Toolchain, ToolMissingError
from buildnet.node.tracked import TrackedFiles
from buildnet.pool.action import Action, ActionSpec, encode_action
from buildnet.pool.command_words import FIRST_LINE_BYTES, interpreter_words, program_words
from buildnet.pool.explain import DEPENDENCIES, Change, Nearest, changes_between, nearest_of
from buildnet.pool.far_tools import FarTools, ToolsWanted
from buildnet.pool.glob import Patterns, is_pattern
from buildnet.pool.result import (
    DecodedResult,
    MalformedResultError,
    decode_result,
    output_directory,
)
from buildnet.pool.tested import TaskTests
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree, FileEntry, merge_trees
from buildnet.pool.version import VersionRequirement
from buildnet.pool.wanted_platform import platform_text
from buildnet.pool.workspace import Task, TaskId, Workspace


class OutputConflictError(BuildNetError):
    """Two tasks make the same file."""

    code = "OUTPUT_CONFLICT"
    exit_code = 2


class Tier(StrEnum):
    """Which way a task's result came about (see the glossary of tiers in the docs)."""

    INSTANT_SKIP = "instant-skip"
    HASH_SKIP = "hash-skip"
    LOCAL_CACHE = "local-cache"
    POOL_CACHE = "pool-cache"
    FULL = "full"


NEAREST_AMONG = 16
"""So many of a task's latest results are compared to find the nearest one."""
SKIPS = frozenset({Tier.INSTANT_SKIP, Tier.HASH_SKIP})


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task with its action and what is known of its result.

    ``tier`` is None while the result has to be made; ``outputs`` (rooted at the workspace) and
    ``log`` are those of the result that was found. ``undelivered`` tells that the outputs still
    have to be put into the workspace. ``node``, ``node_name``: id and name of the node that gave
    the result, None: this one. ``changes`` are those since the last run, ``nearest`` is the nearest
    cached result of one that has to be made, if that was asked for. ``far``: what other hosts have
    that this one lacks, so it runs on one of them; None: it may run here.
    ``tests``: what the result tells of them.
    """

    task: Task
    action: Action | None
    environment: Mapping[str, str]
    tier: Tier | None = None
    outputs: DirectoryTree = EMPTY_TREE
    log: Digest | None = None
    undelivered: bool = False
    reasons: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    nearest: Nearest | None = None
    node: str | None = None
    node_name: str | None = None
    far: FarTools | None = None
    tests: TaskTests | None = None


class InstalledKey(Protocol):
    """The dependency tree as far as keys are concerned."""

    @property
    def key(self) -> str:
        """Digest of the install action."""
        ...


@dataclass(slots=True)
class Resolver:
    """See the module's text.

    ``inherited`` holds the submitter's environment, ``standing`` the tasks that need not be
    resolved, ``tools`` and ``words`` the programs that this build has asked for so far. ``far``
    asks other hosts for what this one lacks, and blocks meanwhile; None: nobody is asked.
    """

    workspace: Workspace
    workspace_id: str
    reader: Sources
    store: Store
    hold: Hold
    toolchain: Toolchain
    outputs: Patterns
    inherited: Mapping[str, str]
    isolation: str
    source_epoch_s: int
    force: bool = False
    explain: bool = False
    dependencies: InstalledKey | None = None
    standing: Standing = field(default_factory=Standing)
    platform: Mapping[str, str] = field(default_factory=platform_properties)
    tools: dict[str, Tool] = field(default_factory=dict)
    words: dict[str, Tool | None] = field(default_factory=dict)
    far: Callable[[ToolsWanted], FarTools | None] | None = None
    _far: dict[Hashable, FarTools | None] = field(default_factory=dict)
    _visible: dict[TaskId, Visible] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _sources: dict[TaskId, DirectoryTree] = field(default_factory=dict)
    _goes_deep: bool = field(init=False)
    _tracked: TrackedFiles | None = None
    _has_patterns: bool = field(init=False)
    _makers: dict[str, TaskId] = field(default_factory=dict)
    _task_of_output: dict[str, TaskId | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Gathering everything below each task costs; most workspaces name what they need.
        self._has_patterns = any(
            is_pattern(output) and output_directory(output) is None
            for output in self.workspace.outputs
        )
        self._goes_deep = any(task.transitive for task in self.workspace.tasks())

    def prepare(self, task: Task) -> Prepared:
        """Return the task's action and the result that exists for it.

        Raises:
            BuildNetError: the sources can't be read, or a tool is missing.
        """
        with self._lock:
            return self._prepare(task)

    def stands(self, task: TaskId, known: StandingTask) -> None:
        """Take note that a task stands and is not looked at in this build."""
        if self._has_patterns:
            for path, _ in known.outputs.leaves():
                self._makers.setdefault(path, task)

    def _prepare(self, task: Task) -> Prepared:
        self.standing.remove(task.id)
        below = [self.seen(dependency) for dependency in task.depends_on]
        sources = sources_of(task, self.reader, self.outputs)
        self._sources[task.id] = sources.tree
        if task.exports:  # what can't be read is told before anything runs, not after it
            self._exported(task.exports)
        skipped = not sources.touched and all(each.skipped for each in below)
        if task.command is None:
            tier = Tier.INSTANT_SKIP if skipped else Tier.HASH_SKIP
            return Prepared(task, None, {}, tier=tier)
        visible = merge_trees(each.own for each in below)
        if task.transitive:
            visible = merge_trees((visible, *(each.below for each in below)))
        prepared = self._with_action(task, sources.tree.merged(visible))
        if self.force:
            return replace(prepared, reasons=("--force was given",))
        found = self._find_result(prepared, skipped)
        if found.tier is not None:
            self.claim(found)
        return found

    def claim(self, prepared: Prepared) -> None:
        """See that no other task makes what this one has made. Patterns that are told apart only by
        the files they match can't be checked when the workspace is read.

        Raises:
            OutputConflictError: another task makes it too.
        """
        if not self._has_patterns:
            return
        task = prepared.task
        for path, _ in prepared.outputs.leaves():
            maker = self._makers.setdefault(path, task.id)
            if maker != task.id:
                raise OutputConflictError(
                    f"{path} is made by {maker} too",
                    hint="let the outputs of both in buildnet.yaml match different files",
                )

    def settle(self, prepared: Prepared) -> None:
        """Take note of a task's result, so that what depends on it can be prepared."""
        task = prepared.task
        own = prepared.outputs
        if task.shows_sources:
            own = own.merged(self._sources[task.id])
        if task.exports:
            with self._lock:
                own = own.merged(self._exported(task.exports))
        needed = [self.seen(each) for each in task.depends_on]
        if task.command is None:  # a name for other packages: who needs it needs those
            own = merge_trees((own, *(each.own for each in needed)))
        below = EMPTY_TREE
        if self._goes_deep:
            below = merge_trees(tree for each in needed for tree in (each.own, each.below))
        self._visible[task.id] = Visible(own, below, prepared.tier in SKIPS)

    def _exported(self, exports: tuple[str, ...]) -> DirectoryTree:
        """Return the sources that a task shows to what depends on it."""
        exported = self.reader.tree(exports, None, self.outputs)
        if exported.unmatched:
            raise SourceError(
                f"no file matches {', '.join(map(repr, exported.unmatched))}",
                hint="correct the pattern under exports in buildnet.yaml, or remove it",
            )
        return exported.tree

    def seen(self, task: TaskId) -> Visible:
        """Return what others see of a task, of this build or as it stands."""
        found = self._visible.get(task)
        return self.standing.tasks[task].visible if found is None else found

    def has_changed(self, task: TaskId) -> bool:
        """Whether what depends on a task may see something else than before this build."""
        before, now = self.standing.former.get(task), self._visible.get(task)
        return before is None or now is None or not now.looks_like(before.visible)

    def found_in_place(self, prepared: Prepared) -> Found | None:
        """Return, for the next builds, a task whose result was found in place. One that needs other
        hosts (None) is looked at in each build: their tools may have changed."""
        task, action = prepared.task, prepared.action
        if prepared.far is not None:
            return None
        keys = [source_key(task.sources, task.path if task.default_sources else None)]
        if action is not None:
            keys.append(outputs_key(task.outputs))
        if task.exports:
            keys.append(source_key(task.exports))
        if task.dependencies_tree and self.workspace.install is not None:
            keys.append(source_key(self.workspace.install.inputs))
        standing = StandingTask(
            replace(self._visible[task.id], skipped=True),
            prepared.outputs,
            action.digest if action else None,
            isolation_of(action) if action else None,
            tuple(keys),
        )
        return Found(standing, {each: self.seen(each) for each in task.depends_on})

    def _with_action(self, task: Task, inputs: DirectoryTree) -> Prepared:
        far: FarTools | None = None
        words = self._words(task, inputs)
        isolation = task.isolation or self.isolation
        try:
            self._require_platform(task)
            tools = [self._tool(name, task) for name in task.tools]
        except (ToolMissingError, PlatformMissingError) as error:
            if self.far is None or isolation != STRICT:
                raise
            far, tools = self._far_tools(self.far, task, words, error), []
        if far is None:
            found = (*self._programs(words, tools), *tools)
            programs = {tool.name: tool.identity for tool in found}
        else:
            programs = dict(far.programs)
        platform = {**(self.platform if far is None else far.platform), "isolation": isolation}
        platform.update({f"tool:{name}": identity for name, identity in programs.items()})
        if task.network:
            platform["network"] = "allowed"
        platform.update({f"variable:{name}": path for name, path in task.env_paths.items()})
        if task.path_entries:
            platform["path"] = ":".join(task.path_entries)
        if task.dependencies_tree and self.dependencies is not None:
            platform[DEPENDENCIES] = self.dependencies.key
        declared = {
            name: self.inherited[name] for name in task.env_inherit if name in self.inherited
        }
        environment = {
            "LANG": "C.UTF-8",
            "SOURCE_DATE_EPOCH": str(self.source_epoch_s),
            **declared,
            **task.env,
        }
        action = encode_action(
            ActionSpec(task.command or "", task.path, environment, task.outputs, platform, inputs)
        )
        return Prepared(
            task,
            action,
            {"PATH": self.toolchain.search_path(tools), **environment},
            far=far,
        )

    def _require_platform(self, task: Task) -> None:
        wanted = task.requirements.platform
        if wanted is not None and not wanted.accepts(self.platform):
            raise PlatformMissingError(
                f"{task.id} is for {wanted}, and this host is {platform_text(self.platform)}",
                hint="have a node of that platform join, or see what the others are: "
                "buildnet pool nodes",
            )

    def _tool(self, name: str, task: Task) -> Tool:
        """Return a tool as it was when this build first asked for it, if it is one that does."""
        if name not in self.tools:
            self.tools[name] = self.toolchain.tool(name)
        tool, required = self.tools[name], task.tool_versions.get(name, "")
        if required and not VersionRequirement.parse(required).accepts(tool.version):
            raise ToolMissingError(
                f"the tool {name!r} on this host is {tool.version or 'of unknown version'}, "
                f"not {required}",
                hint=f"install such a {name}, or name its path under tool_overrides in node.yaml",
            )
        return tool

    def _far_tools(
        self,
        ask: Callable[[ToolsWanted], FarTools | None],
        task: Task,
        words: Iterable[str],
        lacking: ToolMissingError | PlatformMissingError,
    ) -> FarTools:
        """Return what other hosts have of what a task needs.

        Raises:
            BuildNetError: ``lacking``; nobody else has all of it either.
        """
        platform = task.requirements.platform
        wanted = ToolsWanted(task.tools, tuple(words), task.tool_versions, platform)
        versions = tuple(f"{k} {v}" for k, v in wanted.versions.items())
        key = (wanted.tools, wanted.words, versions, platform)
        if key not in self._far:
            self._far[key] = ask(wanted)
        found = self._far[key]
        if found is None or (task.dependencies_tree and found.platform != self.platform):
            raise type(lacking)(
                lacking.message,
                cause="no node that this one is linked with has it and lends now",
                hint=lacking.hint,
            )
        return found

    def _words(self, task: Task, inputs: DirectoryTree) -> list[str]:
        """Return what a command names of the system's programs, as far as that is seen."""
        words: dict[str, None] = {}
        for word in program_words(task.command or ""):
            if "/" in word and not word.startswith("/"):
                words.update(dict.fromkeys(self._interpreters(task, word, inputs)))
            else:
                words[word] = None
        return list(words)

    def _programs(self, words: Iterable[str], tools: list[Tool]) -> list[Tool]:
        """Return the system's programs that a command names, besides its declared tools."""
        declared = {tool.command for tool in tools}
        found: list[Tool] = []
        for word in words:
            if word in declared:
                continue
            if word not in self.words:
                self.words[word] = self.toolchain.program(word)
            program = self.words[word]
            if program is not None:
                found.append(program)
        return found

    def _interpreters(self, task: Task, word: str, inputs: DirectoryTree) -> tuple[str, ...]:
        """Return what runs a script that is an input itself."""
        path = posixpath.normpath(posixpath.join(task.path, word))
        if not isinstance(inputs.find(path), FileEntry):
            return ()
        try:
            with (self.workspace.root / path).open("rb") as file:
                return interpreter_words(file.read(FIRST_LINE_BYTES))
        except OSError:
            return ()  # gone: whoever stages it tells

    def _find_result(self, prepared: Prepared, skipped: bool) -> Prepared:
        task, action = prepared.task, prepared.action
        assert action is not None
        last = self.store.last_run(self.workspace_id, str(task.id))
        standing = self.reader.tree_of_outputs(task.outputs)
        in_place = (
            last is not None
            and standing is not None
            and last.action == action.digest
            and last.outputs_digest == standing.digest
        )
        if in_place and standing is not None:
            tier = Tier.INSTANT_SKIP if skipped else Tier.HASH_SKIP
            return replace(prepared, tier=tier, outputs=standing)
        if last is None:
            if self._tracked is None:
                self._tracked = TrackedFiles(self.workspace.root, self.outputs.patterns)
            self._tracked.require_none(task.outputs)
        changes = self._changes(last, action)
        reasons, told = self._reasons(last, action, standing, changes), tuple(changes or ())
        record = self.hold.get_action(action.digest, frozenset({isolation_of(action)}))
        found = decode_record(record, task.path, self.hold) if record is not None else None
        if found is None:
            nearest = self._nearest(task, action) if self.explain else None
            return replace(prepared, reasons=reasons, changes=told, nearest=nearest)
        return replace(
            prepared,
            reasons=reasons,
            changes=told,
            tier=Tier.LOCAL_CACHE,
            outputs=found.outputs,
            log=found.log,
            undelivered=standing is None or standing.digest != found.outputs.digest,
        )

    def _reasons(
        self,
        last: LastRun | None,
        action: Action,
        standing: DirectoryTree | None,
        changes: list[Change] | None,
    ) -> tuple[str, ...]:
        if last is None:
            return ("not built here before",)
        if last.action == action.digest:
            if standing is None:
                return ("outputs are missing",)
            return ("outputs were changed after the last build",)
        if changes is None:
            return ("inputs changed (the last action is no longer in the cache)",)
        return tuple(str(change) for change in changes)

    def _changes(self, last: LastRun | None, action: Action) -> list[Change] | None:
        """Return what differs from the last run; None if that is not known any more."""
        if last is None or last.action == action.digest:
            return []
        try:
            return changes_between(last.action, action, self.store.get, owner=self._maker)
        except (MissingBlobError, DecodeError):
            return None

    def _nearest(self, task: Task, action: Action) -> Nearest | None:
        label = label_of(self.workspace, task)
        candidates = self.store.latest_actions(label, NEAREST_AMONG)
        gone = (MissingBlobError, DecodeError)
        return nearest_of(candidates, action, self.store.get, gone, owner=self._maker)

    def _maker(self, path: str) -> str | None:
        """Return the task that makes a file, None for a source."""
        patterns = self.outputs.patterns
        for output in (patterns[one] for one in self.outputs.matching(path)):
            if output not in self._task_of_output:
                makers = (task.id for task in self.workspace.tasks() if output in task.outputs)
                self._task_of_output[output] = next(makers, None)
            maker = self._task_of_output[output]
            if maker is not None:
                return str(maker)
        return None


def label_of(workspace: Workspace, task: Task) -> str:
    """Return what results of a task are called in the cache."""
    return f"{workspace.name}/{task.package} {task.name}"


def decode_record(record: ActionRecord, path: str, hold: Hold) -> DecodedResult | None:
    """Return the outputs of a cached result of an action that runs in ``path``, None if damaged."""
    try:
        return decode_result(record.result, path, hold.get)
    except (MalformedResultError, MissingBlobError):
        return None


def isolation_of(action: Action) -> str:
    """Return the isolation level that an action's key asks for."""
    return action.spec.platform["isolation"]
