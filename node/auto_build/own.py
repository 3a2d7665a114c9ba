"""The workspaces that a node watches by itself, for its owner named them in node.yaml."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from buildnet.mesh.errors import BuildNetError
from buildnet.node.auto_build.sight import Pace
from buildnet.node.auto_build.watch import Start, Watch, finder
from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.watch_config import AutoBuildSettings, WatchSettings
from buildnet.node.workspaces import Workspaces
from buildnet.pool.choice import AS_THE_NODE_HAS_IT

ACTOR = "auto-build"
LOOK_S = 5.0
"""So often it is looked whether others are to be watched."""
AGAIN_S = 60.0
"""So long after one could not be watched it is tried again."""
_REQUEST = BuildRequest(
    Path(), actor=ACTOR, choice=replace(AS_THE_NODE_HAS_IT, priority="low"), keep_going=True
)
_log = logging.getLogger("buildnet.builds")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the node watches by itself, and how; ``builds``: else it prepares; ``at_once``: so many
    builds."""

    directories: tuple[Path, ...] = ()
    pace: Pace = field(default_factory=Pace)
    builds: bool = False
    at_once: int = 1

    @classmethod
    def of(cls, watch: WatchSettings, auto_build: AutoBuildSettings) -> Wanted:
        """Return what node.yaml says."""
        if not (auto_build.enabled or watch.preemptive_prepare):
            return cls()
        delay_s = auto_build.delay_ms / 1000 if auto_build.enabled else 0.0
        pace = Pace.of(watch, auto_build, delay_s)
        at_once = auto_build.max_concurrent_builds
        return cls(watch.directories, pace, auto_build.enabled, at_once)


class OwnWatches:
    """Keeps one watch for each directory that is wanted; :meth:`run` as long as the node runs.

    Args:
        workspaces: finds them.
        start: begins a build.
        expect_no_more: see :class:`Watch`.

    What is wanted is told by :meth:`follow`.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        start: Start,
        expect_no_more: Callable[[bytes], None] = lambda watch: None,
    ) -> None:
        self._wanted: Callable[[], Wanted] = Wanted
        self._told = asyncio.Event()
        self._workspaces = workspaces
        self._start = start
        self._expect_no_more = expect_no_more
        self._kept = Wanted()
        self._turns = asyncio.Semaphore(1)
        self._watches: dict[Path, Watch] = {}
        self._not_before: dict[Path, float] = {}

    async def run(self) -> None:
        """Watch what is wanted, and no more what is not any longer."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._told.clear()
                await self._look(group)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._told.wait(), LOOK_S)

    def follow(self, wanted: Callable[[], Wanted]) -> None:
        """Watch from now on what ``wanted`` says; it is asked again and again."""
        self._wanted = wanted
        self._told.set()

    def stop(self) -> None:
        """End all of them."""
        for watch in self._watches.values():
            watch.close()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        wanted = self._wanted()
        if wanted != self._kept:
            self.stop()
            self._watches, self._not_before = {}, {}
            self._kept, self._turns = wanted, asyncio.Semaphore(wanted.at_once)
        for directory in wanted.directories:
            is_time = time.monotonic() >= self._not_before.get(directory, 0.0)
            if directory not in self._watches and is_time:
                await self._open(group, directory)

    async def _open(self, group: asyncio.TaskGroup, directory: Path) -> None:
        self._not_before[directory] = time.monotonic() + AGAIN_S
        try:
            opened = await asyncio.to_thread(self._workspaces.find, directory)
        except (BuildNetError, OSError) as error:
            _log.warning("%s, which node.yaml names, is not watched: %s", directory, error)
            return
        root = opened.definition.workspace.root
        kept = self._kept
        watch = self._watches[directory] = Watch(
            opened,
            replace(_REQUEST, directory=root),
            kept.pace,
            builds=kept.builds,
            find=finder(self._workspaces, root),
            start=self._in_turn,
            expect_no_more=self._expect_no_more,
        )
        _log.info("%s is %s as it changes", root, "built" if kept.builds else "prepared")
        group.create_task(self._run(directory, watch))

    async def _run(self, directory: Path, watch: Watch) -> None:
        try:
            await watch.run()
        finally:
            if self._watches.get(directory) is watch:
                del self._watches[directory]

    async def _in_turn(self, request: BuildRequest) -> RunningBuild:
        """Begin a build once no more than so many run."""
        turns = self._turns
        await turns.acquire()
        try:
            build = await self._start(request)
        except BaseException:
            turns.release()
            raise
        build.at_end.append(turns.release)
        return build
