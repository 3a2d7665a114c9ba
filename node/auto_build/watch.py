"""One workspace that is built, or prepared, again and again as it changes.

When is decided by :mod:`buildnet.pool.watch_plan`, what a change means by
:mod:`buildnet.pool.impact`. One task takes in what happens, one thing after the other.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from buildnet.mesh.errors import BuildNetError, NotFoundError, StoppingError
from buildnet.node.auto_build.sight import Pace, Sight
from buildnet.node.auto_build.viewer import Event, Viewer
from buildnet.node.cancelled import OUTDATED, WATCH_ENDED, Cancelled
from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.same_builds import inherited_by
from buildnet.node.watch.dirty import MOST_PATHS
from buildnet.node.watch.listener import Listener
from buildnet.node.workspaces import OpenWorkspace, Workspaces
from buildnet.pool import watch_plan
from buildnet.pool.impact import Impact
from buildnet.pool.watch_plan import (
    Changed,
    Ended,
    Looked,
    Outdated,
    Recurring,
    Rest,
    WatchPlan,
    Woken,
)
from buildnet.pool.workspace import Workspace

GATHERED_S = 0.02
"""So long changes are gathered before anybody looks what they are."""
CHECK_S = 5.0
"""So often it is seen to it that the workspace is still there: a directory above it may go without
a word to who watches it."""
_MOST_PATHS_TOLD = 20
_PREPARES_AFTER = 1 / 3
"""Of the debounce."""
_log = logging.getLogger("buildnet.builds")


class GoneError(NotFoundError):
    """A workspace that was watched is there no more."""

    code = "WORKSPACE_GONE"


class _Happened(Enum):
    NEWS = auto()
    LOOKED = auto()
    OUTDATED = auto()
    LATE = auto()


Find = Callable[[], Awaitable[Workspace]]
Start = Callable[[BuildRequest], Awaitable[RunningBuild]]


def finder(workspaces: Workspaces, root: Path) -> Find:
    """Return what returns the workspace around ``root`` as it is described now."""

    async def find() -> Workspace:
        opened = await asyncio.to_thread(workspaces.find, root)
        return opened.definition.workspace

    return find


def _plan_of(pace: Pace, *, builds: bool) -> WatchPlan:
    prepares = builds and pace.prepares and pace.debounce_s > 0
    prepares_s = pace.debounce_s * _PREPARES_AFTER if prepares else None
    return WatchPlan(pace.debounce_s, pace.delay_s, pace.longest_s, prepares_s)


class Watch:
    """See the module's text; :meth:`run` until :meth:`close` or there is nothing to watch any more.

    Args:
        builds: else it only looks what a build would do, which reads what changed.
        find: returns the workspace as it is described now.
        start: begins a build.
        expect_no_more: called with the watch's name once what it foretold is over.
    """

    def __init__(
        self,
        opened: OpenWorkspace,
        request: BuildRequest,
        pace: Pace,
        *,
        builds: bool,
        find: Find,
        start: Start,
        expect_no_more: Callable[[bytes], None] = lambda watch: None,
    ) -> None:
        self._name = secrets.token_bytes(16)
        self.opened = opened
        self.builds = builds
        self.pace = pace
        self._root = opened.definition.workspace.root
        self._request = replace(
            request, directory=self._root, dry_run=not builds, first=pace.priority
        )
        self._find, self._start, self._expect_no_more = find, start, expect_no_more
        self._loop = asyncio.get_running_loop()
        self._recurring = Recurring()
        self._plan = _plan_of(pace, builds=builds)
        self._listener = Listener(self._on_news, self._on_look)
        self._items: asyncio.Queue[_Happened | RunningBuild | None] = asyncio.Queue()
        self._viewers: list[Viewer] = []
        self._timer: asyncio.TimerHandle | None = None
        self._news_waits = False
        self._looks = 0
        self._sight = Sight(opened, self._request, pace, self._listener)
        self._not_told: str | None = None
        self._gathered: dict[str, None] = {}
        self._impact = Impact.IGNORED
        self._affected: dict[str, str] = {}
        self._build: RunningBuild | None = None
        self._asker = 0
        self._following: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._at_work: set[tuple[str, str]] = set()
        self._outdated: set[str] = set()
        self._all_outdated = False
        self._is_over = False

    def is_like(self, opened: OpenWorkspace, request: BuildRequest, pace: Pace) -> bool:
        """Whether it does just what somebody else wants now."""
        wanted = replace(request, dry_run=not self.builds, first=self.pace.priority)
        return (
            not self._is_over
            and opened is self.opened
            and request.actor == self._request.actor
            and pace == self.pace
            and self._request.is_like(wanted, inherited_by(opened.definition))
        )

    # --- viewers -------------------------------------------------------------------------------

    def join(self) -> Viewer:
        """Tell somebody from now on what happens, and what goes on."""
        viewer = Viewer()
        self._viewers.append(viewer)
        viewer.tell(
            {
                "type": "watching",
                "workspace": self.opened.definition.workspace.name,
                "root": os.fspath(self._root),
                "builds": self.builds,
                "debounce_ms": round(self.pace.debounce_s * 1000),
                "delay_ms": round(self.pace.delay_s * 1000),
                "viewers": len(self._viewers),
            }
        )
        if self._build is not None:
            viewer.tell(self._build)
        elif self._plan.is_waiting:
            viewer.tell({"type": "idle"})
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Tell somebody no more; with the last one it ends."""
        self._viewers.remove(viewer)
        if not self._viewers:
            self.close()

    def close(self, error: BuildNetError | None = None) -> None:
        """End it; ``error`` is told to those who still look on."""
        if error is not None:
            told = {**error.as_dict(), "exit_code": error.exit_code}
            self._tell({"type": "ended", "error": told})
        self._is_over = True
        self._items.put_nowait(None)

    def _tell(self, event: Event) -> None:
        if self._build is not None and self._build.outcome is None:
            self._build.progress.tell(event)  # among the build's own
            return
        for viewer in self._viewers:
            viewer.tell(event)

    # --- what happens --------------------------------------------------------------------------

    async def run(self) -> None:
        """Watch and build."""
        self.opened.listen(self._listener)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                try:
                    await self._handle(Woken())
                    while await self._next():
                        pass
                finally:
                    self._cancel(WATCH_ENDED)
                    for task in (self._following, self._preparing):
                        if task is not None:
                            task.cancel()
        except* Exception as errors:
            _log.exception("watching %s ended", self._root)
            self._build = None
            self.close(_unexpected(errors.exceptions[0]))
        finally:
            self._expect_no_more(self._name)
            self.opened.leave(self._listener)
            if self._timer is not None:
                self._timer.cancel()
            for viewer in self._viewers:
                viewer.close()

    async def _next(self) -> bool:
        """Take in the next thing that happens; False: it is over."""
        try:
            item = await asyncio.wait_for(self._items.get(), self._patience_s)
        except TimeoutError:
            if self._sight.not_told is not None:
                await self._take_news(self._loop.time())
            return await self._is_there()
        match item:
            case None:
                return False
            case _Happened.NEWS:
                at = self._loop.time()
                await asyncio.sleep(GATHERED_S)
                await self._take_news(at)
                return await self._is_there()
            case _Happened.LOOKED:
                await self._looked(self._listener.looks)
            case _Happened.OUTDATED:
                await self._handle(Outdated())
            case _Happened.LATE:
                await self._take_news(self._loop.time())
                await self._handle(Woken())
            case RunningBuild():
                await self._ended(item)
        return True

    def _on_news(self) -> None:
        if not self._news_waits:
            self._news_waits = True
            self._loop.call_soon_threadsafe(self._items.put_nowait, _Happened.NEWS)

    def _on_look(self) -> None:
        self._loop.call_soon_threadsafe(self._items.put_nowait, _Happened.LOOKED)

    async def _take_news(self, at: float) -> None:
        """Find out what changed, and what that means; ``at``: when it was told."""
        self._news_waits = False
        found, looks = await asyncio.to_thread(self._sight.look)
        await self._looked(looks)  # it may not have come round to that yet
        if found is None:
            return
        is_first = not self._gathered
        if len(self._gathered) < MOST_PATHS:
            self._gathered |= dict.fromkeys(found.paths)
        self._impact = max(self._impact, found.impact)
        self._affected = {**found.affected.packages, **self._affected}
        if is_first:
            self._tell({"type": "changed", **self._change()})
        await self._handle(Changed(self._sight.is_urgent(found)), at)
        self._outdated.update(found.affected.packages)
        self._all_outdated = self._all_outdated or found.impact is Impact.FULL_REBUILD
        if self._runs_outdated:
            await self._handle(Outdated())

    async def _looked(self, looks: int) -> None:
        """Take note that a build has taken in all that changed up to its look, once for each."""
        if looks <= self._looks:
            return
        self._looks = looks
        await self._handle(Looked())
        if not self._is_cancelled:
            self._forget_change()

    @property
    def _runs_outdated(self) -> bool:
        if self._all_outdated:
            return bool(self._at_work)
        return any(name in self._outdated for name, _ in self._at_work)

    async def _is_there(self) -> bool:
        """Whether there is still something to watch; if not, that is told."""
        if await asyncio.to_thread(self._root.is_dir):
            return True
        self._cancel(WATCH_ENDED)
        self._build = None
        self.close(
            GoneError(
                f"the workspace {self._root} is not there any more",
                hint="watch it anew where it is now",
            )
        )
        return False

    @property
    def _patience_s(self) -> float:
        """How long to wait for the next thing that happens."""
        return CHECK_S if self._sight.not_told is None else self._sight.rests_s

    # --- what is done --------------------------------------------------------------------------

    async def _handle(self, event: watch_plan.Event, at: float | None = None) -> None:
        for effect in self._plan.handle(event, self._loop.time() if at is None else at):
            match effect:
                case watch_plan.Begin():
                    await self._begin()
                case watch_plan.Cancel():
                    self._tell({"type": "outdated", **self._change()})
                    self._cancel(OUTDATED)
                case watch_plan.Prepare():
                    if self._preparing is not None:
                        self._preparing.cancel()
                    self._preparing = self._group.create_task(self._prepare())
                case watch_plan.Wake(when):
                    if self._timer is not None:
                        self._timer.cancel()
                    self._timer = self._loop.call_at(when, self._items.put_nowait, _Happened.LATE)

    async def _prepare(self) -> None:
        """Look what the next build is going to do: what it reads is known then, and nodes on which
        its commands are likely to run are told. What is wrong the build tells."""
        with suppress(BuildNetError, OSError):
            build = await self._start(replace(self._foretelling, dry_run=True))
            asker = build.askers.add(self._request.actor).number
            try:
                await build.over.wait()
            finally:
                if build.outcome is None and build.askers.withdraw(asker):
                    build.cancel(WATCH_ENDED)

    @property
    def _foretelling(self) -> BuildRequest:
        return replace(self._request, foretells=self._name)

    async def _begin(self) -> None:
        if self._preparing is not None:
            self._preparing.cancel()
        self._tell({"type": "building", **self._change()})
        self._forget_change()
        try:
            await self._described()
            await asyncio.to_thread(self._sight.before_build)
            build = await self._start(self._request if self.builds else self._foretelling)
        except StoppingError as error:
            self.close(error)
            return
        except (BuildNetError, OSError) as error:
            self._tell({"type": "error", "error": _told(error)})
            await asyncio.to_thread(self._sight.after_build)
            self._tell({"type": "idle"})
            await self._handle(Ended())
            return
        build.listeners.add(self._listener)
        self._build, self._asker = build, build.askers.add(self._request.actor).number
        for viewer in self._viewers:
            viewer.tell(build)
        self._following = self._group.create_task(self._follow(build))

    async def _described(self) -> Workspace:
        """Return the workspace as it is described now.

        Raises:
            BuildNetError: it is described wrongly, or not at all any more.
        """
        workspace = await self._find()
        if workspace.root != self._root:
            raise GoneError(
                f"{self._root} describes no workspace now", hint="it is built once it does again"
            )
        return workspace

    async def _follow(self, build: RunningBuild) -> None:
        """Take note of what a build runs, and of its end."""
        async with build.progress.follow() as batches:
            async for batch in batches:
                for event in batch:
                    self._note(event)
        self._items.put_nowait(build)

    def _note(self, event: dict[str, Any]) -> None:
        if event["type"] == "task_started":
            self._at_work.add((event["name"], event["task"]))
            if self._runs_outdated:
                self._items.put_nowait(_Happened.OUTDATED)
        elif event["type"] == "task_finished":
            self._at_work.discard((event["name"], event["task"]))

    @property
    def _is_cancelled(self) -> bool:
        return self._build is not None and self._build.cancelled.is_set()

    def _cancel(self, how: Cancelled) -> None:
        build = self._build
        if build is not None and build.outcome is None and build.askers.withdraw(self._asker):
            build.cancel(how)

    async def _ended(self, build: RunningBuild) -> None:
        """Wait for what changes next, unless there is something to be built."""
        self._build = None
        self._at_work.clear()
        if self.builds:
            self._expect_no_more(self._name)
        if not await self._is_there():
            return
        # What defines the workspace may have changed before that was watched.
        await asyncio.to_thread(self._sight.after_build)
        if not build.cancelled.is_set():
            await self._slow_down()
        await self._handle(Ended())
        if not self._plan.is_waiting:
            return
        not_told = self._sight.not_told
        if not_told is not None and not_told != self._not_told:
            every = f"{self._sight.rests_s:g} s"
            text = f"sources are looked through every {every}, for changes are not told: {not_told}"
            self._tell({"type": "notice", "text": text})
        self._not_told = not_told
        try:
            is_same = await self._described() is build.workspace
        except (BuildNetError, OSError) as error:
            self._tell({"type": "error", "error": _told(error)})
            is_same = True
        if is_same:
            self._tell({"type": "idle"})
        else:
            await self._handle(Changed(sooner=True))

    async def _slow_down(self) -> None:
        """Wait longer where builds themselves change what they are made from, as it seems."""
        pause_s = self._recurring.ended(frozenset(self._gathered))
        if pause_s:
            self._tell({"type": "recurring", "pause_ms": round(pause_s * 1000), **self._change()})
            await self._handle(Rest(pause_s))

    def _forget_change(self) -> None:
        """Begin anew with what changed: a build has taken it in."""
        self._gathered, self._affected, self._impact = {}, {}, Impact.IGNORED
        self._outdated, self._all_outdated = set(), False

    def _change(self) -> dict[str, Any]:
        """Return the JSON of what changed since the last build began."""
        paths = [path.rstrip("/") or "." for path in self._gathered]
        return {
            "paths": paths[:_MOST_PATHS_TOLD],
            "count": len(paths),
            "impact": self._impact.name,
            "affected": [{"name": name, "why": why} for name, why in self._affected.items()],
        }


def _told(error: BuildNetError | OSError) -> dict[str, str | None]:
    return (error if isinstance(error, BuildNetError) else _unexpected(error)).as_dict()


def _unexpected(error: Exception) -> BuildNetError:
    return BuildNetError(
        "the workspace can't be watched",
        cause=f"{type(error).__name__}: {error}",
        hint="the node's log has the details",
    )
