"""The workspaces that were built on this node, and what is kept of them between builds."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from blake3 import blake3

from buildnet.mesh.errors import NotFoundError
from buildnet.node.claiming import WorkspaceClaims
from buildnet.node.definition_files import DefinitionFiles
from buildnet.node.platform import platform_properties
from buildnet.node.source_file import FileTable
from buildnet.node.source_ignore import IgnoreRules
from buildnet.node.source_memory import Key, SourceMemory
from buildnet.node.sources import outputs_excluded
from buildnet.node.standing import Found, KnownStanding, Plan, Standing, Surroundings
from buildnet.node.store.blobs import TEMPORARY_PREFIX
from buildnet.node.toolchain import Tool, Toolchain
from buildnet.node.watch.audit import changed_silently
from buildnet.node.watch.dirty import EVERYTHING, NOTHING, Dirt
from buildnet.node.watch.listener import Listener
from buildnet.node.watch.watcher import Watcher
from buildnet.pool.glob import Patterns, everything, matched
from buildnet.pool.ignore_file import is_ignored
from buildnet.pool.workspace import TaskId, Workspace, find_root, load_workspace

MOST_WATCHED = 8
"""So many workspaces are watched; beyond, those that were built longest ago are not."""
WATCHED_S = 24 * 3600.0
"""A workspace that was not built for so long is watched no more."""
AGAIN_S = 600.0
"""So long after watching was given up it is tried again; the limits may have been raised."""

MOST_KNOWN = 64
"""Of so many workspaces something is known; beyond, what is known of those that were asked for
longest ago is forgotten: it takes memory."""

AUDIT_AFTER_S = 600.0
AUDIT_EVERY_S = 3600.0
"""So long after a build, and then so often, what is known of a workspace is compared with it."""

_log = logging.getLogger("buildnet.builds")
_MOST_PLANS = 32


@dataclass(frozen=True, slots=True)
class Definition:
    """A workspace as it was described at one moment."""

    workspace: Workspace
    outputs: Patterns
    """The outputs of all tasks, which are no sources."""
    inherits: tuple[str, ...]
    """The variables that any task inherits."""
    files: DefinitionFiles
    is_settled: bool
    """Whether a change of them would show; else it has to be read again."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The latest build of a plan that is in the record of builds; ``depth`` is how many earlier
    ones it refers to, one by another, ``actions`` what it used for each task."""

    build_id: str
    depth: int
    actions: Mapping[TaskId, str | None]


@dataclass(slots=True, eq=False)
class View:
    """What one build at work knows of its workspace, and what came to be known since it began:
    ``forgotten`` are answers about files that are not so any more, ``dirt`` is where something may
    have changed."""

    standing: Standing
    surroundings: Surroundings
    epoch: int
    forgotten: set[Key] = field(default_factory=set)
    dirt: Dirt = NOTHING


@dataclass(slots=True)
class OpenWorkspace:
    """A workspace between builds and for those that are at work in it; ``claims`` sees to it that
    these touch different packages. What is known of its files and tasks is read and changed with
    ``memory.lock`` held.

    ``used_at`` is in monotonic seconds, as is ``found_at``: when it was last asked for;
    ``audited_at`` says when its files were last compared with what is known of them.
    """

    id: str
    definition: Definition
    cookies: Path
    claims: WorkspaceClaims = field(default_factory=WorkspaceClaims)
    ignore_rules: IgnoreRules = field(default_factory=IgnoreRules)
    memory: SourceMemory = field(default_factory=SourceMemory)
    standing: KnownStanding = field(default_factory=KnownStanding)
    recorded: dict[object, Recorded] = field(default_factory=dict)
    watcher: Watcher | None = None
    distrusted: str | None = None
    used_at: float = field(default_factory=time.monotonic)
    found_at: float = field(default_factory=time.monotonic)
    audited_at: float = field(default_factory=time.monotonic)
    _plans: dict[object, Plan] = field(default_factory=dict)
    _views: set[View] = field(default_factory=set)
    _gave_up_at: float = 0.0
    _telling: threading.Lock = field(default_factory=threading.Lock)
    _untold: Dirt = NOTHING
    _is_told: bool = False
    _listeners: set[Listener] = field(default_factory=set)

    def still_holds(self) -> bool:
        """Whether the definition is still what would be read. Blocks."""
        known = self.definition
        if not known.is_settled:
            return False
        with self._telling:
            watcher = self.watcher
            if watcher is not None:
                self._untold |= self._refreshed(watcher)
                if self._is_told and not known.files.are_touched(self._untold):
                    return True
            self._is_told = watcher is not None and known.files.are_watched(watcher.watch)
            holds = known.files.hold()
            self._is_told = self._is_told and holds
            return holds

    def plan(self, workspace: Workspace, packages: tuple[str, ...] | None, task: str) -> Plan:
        """Return the tasks that a request means in a workspace, as it was read for that request: it
        may have been read anew since. ``packages`` none: all; None: not one.

        Raises:
            NotFoundError: there is no such package or task.
        """
        key = (packages, task)
        plan = self._plans.get(key)
        if plan is None or plan.workspace is not workspace:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
                self.recorded.clear()
            plan = self._plans[key] = Plan(workspace, packages, task)
        return plan

    def describe(self, definition: Definition) -> None:
        """Take in what was read anew of the definition."""
        known, self._is_told = self.definition, False
        if definition.workspace == known.workspace:  # it says what it said
            self.definition = replace(
                definition,
                workspace=known.workspace,
                outputs=known.outputs,
                inherits=known.inherits,
            )
            return
        self.definition = definition
        self._plans.clear()
        self.recorded.clear()

    def begin(
        self,
        definition: Definition,
        environment: Mapping[str, str],
        isolation: str,
        toolchain: Toolchain,
        listeners: Iterable[Listener] = (),
    ) -> None:
        """Begin a build: forget of files and tasks what may not be so any more. ``listeners`` are
        those that it is for. Blocks; to be called with ``memory.lock`` held until :meth:`view` or
        the answer was taken."""
        self.used_at = time.monotonic()
        self.look(listeners)
        known = self.standing.surroundings
        if known is not None and known.workspace is not definition.workspace:
            self.memory.forget_answers()  # it may never be asked for these again
        values = tuple(environment.get(name) for name in definition.inherits)
        now = Surroundings(definition.workspace, isolation, values, platform_properties())
        self.standing.enter(now, toolchain)

    def view(self) -> View:
        """Return what a build that begins goes by, until :meth:`close`; see :meth:`begin`."""
        with self.memory.lock:
            known = self.standing
            assert known.surroundings is not None
            standing = Standing(dict(known.tasks), dict(known.former), self._looks_at)
            view = View(standing, known.surroundings, known.epoch)
            self._views.add(view)
            return view

    def close(self, view: View) -> None:
        """Take note that a build has ended. Blocks."""
        with self.memory.lock:
            self._views.discard(view)

    def keep(
        self,
        view: View,
        found: Mapping[TaskId, Found],
        tools: Mapping[str, Tool],
        words: Mapping[str, Tool | None],
    ) -> None:
        """Take note of what a build found in place (in the order of dependencies) and of the
        programs that it asked for, as far as that is so still. Blocks."""
        with self.memory.lock:
            if view.epoch != self.standing.epoch or not self.standing.asked_for(tools, words):
                return
            for task, each in found.items():
                if view.forgotten.isdisjoint(each.standing.keys):
                    self.standing.add(task, each)

    def look(self, listeners: Iterable[Listener] = ()) -> None:
        """Forget of files what may not be so any more; ``listeners`` are those for whom this is the
        look of their build. Blocks."""
        root = os.path.realpath(self.definition.workspace.root)
        with self.memory.lock:
            watcher = self._trying_to_watch(root)
            with self._telling:
                dirt = EVERYTHING if watcher is None else self._untold | self._refreshed(watcher)
                self._untold = NOTHING
                for listener in tuple(listeners):
                    listener.looked()
                if self.definition.files.are_touched(dirt):
                    self._is_told = False
                for view in self._views:
                    view.dirt |= dirt
            gone = self.memory.begin(root, dirt)
            self.standing.forget(gone)
            for view in self._views:
                view.forgotten |= gone

    def is_as_read(self, view: View, outputs: Patterns) -> bool:
        """Whether nothing but outputs has changed since a build began to read, as far as that is
        told. Blocks."""
        with self._telling:
            watcher = self.watcher
            if watcher is None:
                return False
            self._untold |= self._refreshed(watcher)
            dirt = self._untold | view.dirt
        return not dirt.everything and all(_is_output(path, outputs) for path in dirt.paths)

    def listen(self, listener: Listener) -> None:
        """Tell somebody from now on when something may have changed. As long as he listens, it is
        watched and not forgotten."""
        with self._telling:
            self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        """Tell somebody nothing any more."""
        with self._telling:
            self._listeners.discard(listener)

    def heard(self, listener: Listener) -> tuple[Dirt, int]:
        """Return what may have changed since the last call and the last look of the listener's own
        builds, and how many of these there were. Blocks."""
        with self._telling:
            if self.watcher is not None:
                self._untold |= self._refreshed(self.watcher)
            return listener.heard(), listener.looks

    def _refreshed(self, watcher: Watcher) -> Dirt:
        dirt = watcher.refresh()
        for listener in self._listeners:
            listener.hear(dirt)
        return dirt

    def _news(self) -> None:
        for listener in tuple(self._listeners):
            listener.on_news()

    def ignores(self, path: str) -> bool:
        """Whether ignore files name ``path`` (a directory ends in ``/``), or a directory that it
        lies in, as far as they were read. Blocks."""
        if not path:
            return False
        with self.memory.lock:
            chains = self.memory.chains
            at = path.find("/")
            while 0 <= at < len(path) - 1:
                if is_ignored(chains.get(path[:at].rpartition("/")[0], ()), path[: at + 1]):
                    return True
                at = path.find("/", at + 1)
            return is_ignored(chains.get(path.rstrip("/").rpartition("/")[0], ()), path)

    def watch_definition(self) -> None:
        """See that changes of what the definition is read from are told. Blocks."""
        with self._telling:
            watcher = self.watcher
            if watcher is not None:
                self.definition.files.are_watched(watcher.watch)

    def watch(self, directory: str) -> bool:
        """Watch a directory before it is read; tell whether its changes will be told."""
        watcher = self.watcher
        return watcher is not None and watcher.watch(directory)

    @property
    def not_watched(self) -> str | None:
        """Why all files are looked at in each build; None: what changes is told."""
        if self.distrusted is not None:
            return self.distrusted
        watcher = self.watcher
        return "it is not watched" if watcher is None else watcher.problem

    def unwatch(self) -> None:
        """Watch it no more, until it is built again."""
        with self._telling:  # who looks for what is unused does so on several threads
            watcher, self.watcher = self.watcher, None
        if watcher is not None:
            watcher.close()

    def distrust(self, why: str) -> None:
        """Watch it no more as long as the node runs, for a change was not told."""
        self.distrusted = why
        self.unwatch()

    @property
    def is_wanted(self) -> bool:
        """Whether anybody is at work in it, or wants to know what changes."""
        return self.claims.in_use or bool(self._listeners)

    @property
    def may_be_forgotten(self) -> bool:
        """Whether nobody is at work in it, and nothing is known that would not be found out
        again."""
        return not self.is_wanted and self.distrusted is None

    def needs_audit(self, now: float) -> bool:
        """Whether it is time to compare what is known with what is there: some time after a build,
        and seldom after that."""
        if self.watcher is None:
            return False
        if self.audited_at < self.used_at:
            return now - self.used_at > AUDIT_AFTER_S
        return now - self.audited_at > AUDIT_EVERY_S

    def audit(self, table: FileTable, directories: Sequence[str]) -> None:
        """Compare what is known of some directories with what is there; where a change was not
        told, watch no more. Blocks."""
        root = os.path.realpath(self.definition.workspace.root)
        with self.memory.lock:
            self.look()
            path = changed_silently(root, self.memory, table, directories)
            if path is None:
                return
            self.look()  # it may have been changed just now, and be told
            path = changed_silently(root, self.memory, table, directories)
            if path is not None:
                _log.warning("%s in %s changed and nothing told of it", path, root)
                self.distrust(f"{path} changed and was not told: see the node's log")
                self.look()

    def _looks_at(self, task: TaskId) -> None:
        with self.memory.lock:
            self.standing.remove(task)

    def _trying_to_watch(self, root: str) -> Watcher | None:
        if self.distrusted is not None:
            return None
        watcher = self.watcher
        if watcher is not None and watcher.problem is not None:
            if time.monotonic() - self._gave_up_at < AGAIN_S:
                return None
            self.unwatch()
            watcher = None
        if watcher is None:
            watcher = self.watcher = Watcher(Path(root), self.cookies, on_news=self._news)
            self._gave_up_at = time.monotonic()
        return watcher


class Workspaces:
    """Reads definitions, and reads them again when what they were read from has changed.

    ``cookies`` is a directory of the node's own for watchers.
    """

    def __init__(self, cookies: Path) -> None:
        self._cookies = cookies
        self._open: dict[Path, OpenWorkspace] = {}
        self._finding = threading.Lock()

    def find(self, directory: Path) -> OpenWorkspace:
        """Return the workspace that ``directory`` lies in. Blocks: call it on a thread.

        Raises:
            NotFoundError: no such directory.
            WorkspaceError: there is no workspace, or its definition is wrong.
        """
        if not directory.is_dir():
            raise NotFoundError(
                f"{directory} is no directory on this host", hint="name a directory that exists"
            )
        root = find_root(directory)
        with self._finding:  # what is being asked for is not forgotten
            opened = self._open.get(root)
            if opened is not None:
                opened.found_at = time.monotonic()
        if opened is not None and opened.still_holds():
            return opened
        definition = _read(root)
        if opened is None:
            name = blake3(os.fsencode(root)).hexdigest(16)
            with self._finding:
                return self._open.setdefault(root, OpenWorkspace(name, definition, self._cookies))
        opened.describe(definition)
        return opened

    def watched(self) -> list[OpenWorkspace]:
        """Return the workspaces that are watched, the one that was built last first."""
        found = [one for one in tuple(self._open.values()) if one.watcher is not None]
        return sorted(found, key=lambda one: one.used_at, reverse=True)

    def unwatch_unused(self, now: float) -> None:
        """Watch no more what was not built for long, or is too many; of still more forget what is
        known. Blocks."""
        for place, opened in enumerate(self.watched()):
            too_old = now - opened.used_at > WATCHED_S
            if (too_old or place >= MOST_WATCHED) and not opened.is_wanted:
                opened.unwatch()
        for opened in self._forgotten():
            opened.unwatch()

    def _forgotten(self) -> list[OpenWorkspace]:
        """Forget the workspaces that are too many."""
        with self._finding:
            latest = sorted(self._open, key=lambda root: self._open[root].found_at, reverse=True)
            old = [root for root in latest[MOST_KNOWN:] if self._open[root].may_be_forgotten]
            return [self._open.pop(root) for root in old]

    def close(self) -> None:
        """End all watching."""
        for opened in self.watched():
            opened.unwatch()


def _is_output(path: str, outputs: Patterns) -> bool:
    state = outputs.start
    for name in path.split("/"):
        if name.startswith(TEMPORARY_PREFIX):  # of a delivery
            return True
        state = outputs.step(state, name)
        if everything(state):
            return True
    return bool(matched(state))


def _read(root: Path) -> Definition:
    began_ns = time.time_ns()
    workspace = load_workspace(root)
    files = DefinitionFiles(workspace)
    files.remember()
    return Definition(
        workspace,
        outputs_excluded(workspace.outputs),
        tuple(sorted({name for task in workspace.tasks() for name in task.env_inherit})),
        files,
        files.are_settled(began_ns),
    )
