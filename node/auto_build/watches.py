"""All workspaces that somebody watches on this node. Who wants the same shares one watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from buildnet.mesh.errors import BuildNetError, StoppingError
from buildnet.node.auto_build.own import OwnWatches
from buildnet.node.auto_build.sight import Pace
from buildnet.node.auto_build.watch import Start, Watch, finder
from buildnet.node.running import BuildRequest
from buildnet.node.workspaces import OpenWorkspace, Workspaces

MOST_WATCHES = 64


class TooManyWatchesError(BuildNetError):
    """More is watched on one node than it takes."""

    code = "TOO_MANY_WATCHES"
    exit_code = 5
    http_status = 409


class Watches:
    """Owns the watches; :meth:`run` as long as the node runs. ``own`` are those of the node itself,
    at which nobody looks on. ``expect_no_more``: see :class:`Watch`."""

    def __init__(
        self,
        workspaces: Workspaces,
        start: Start,
        expect_no_more: Callable[[bytes], None] = lambda watch: None,
    ) -> None:
        self._workspaces = workspaces
        self._start = start
        self._expect_no_more = expect_no_more
        self._watches: list[Watch] = []
        self._group: asyncio.TaskGroup | None = None
        self.own = OwnWatches(workspaces, start, expect_no_more)

    async def run(self) -> None:
        """Run what is opened."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await self.own.run()
            finally:
                self._group = None

    def stop(self) -> None:
        """End all watches: the node stops."""
        for watch in tuple(self._watches):
            watch.close(StoppingError("the node is stopping"))
        self.own.stop()

    async def open(
        self, request: BuildRequest, pace: Pace, *, builds: bool, every: bool
    ) -> AsyncIterator[bytes]:
        """Return what happens in a workspace from now on, as lines of JSON; ``every``: reports have
        each package.

        Raises:
            BuildNetError: there is no such workspace or package; too much is watched.
        """
        opened = await asyncio.to_thread(self._workspaces.find, request.directory)
        opened.plan(opened.definition.workspace, request.packages, request.task)
        is_new = self._like(opened, request, pace, builds=builds) is None
        if is_new and len(self._watches) >= MOST_WATCHES:
            raise TooManyWatchesError(
                f"{MOST_WATCHES} workspaces are watched here", hint="end one of the watches"
            )
        return self._lines(opened, request, pace, builds=builds, every=every)

    async def _lines(
        self,
        opened: OpenWorkspace,
        request: BuildRequest,
        pace: Pace,
        *,
        builds: bool,
        every: bool,
    ) -> AsyncIterator[bytes]:
        # Not before the first line is read, so that nobody is left watching who never came.
        watch = self._like(opened, request, pace, builds=builds)
        if watch is None:
            watch = self._begin(opened, request, pace, builds=builds)
        viewer = watch.join()
        try:
            async for lines in viewer.lines(every=every):
                yield lines
        finally:
            watch.leave(viewer)

    def _like(
        self, opened: OpenWorkspace, request: BuildRequest, pace: Pace, *, builds: bool
    ) -> Watch | None:
        """Return the watch that does just what somebody wants, if there is one."""
        for watch in self._watches:
            if watch.builds is builds and watch.is_like(opened, request, pace):
                return watch
        return None

    def _begin(
        self, opened: OpenWorkspace, request: BuildRequest, pace: Pace, *, builds: bool
    ) -> Watch:
        if self._group is None:
            raise StoppingError("the node is stopping", hint="start it again: buildnet node start")
        root = opened.definition.workspace.root
        watch = Watch(
            opened,
            request,
            pace,
            builds=builds,
            find=finder(self._workspaces, root),
            start=self._start,
            expect_no_more=self._expect_no_more,
        )
        self._watches.append(watch)
        self._group.create_task(self._run(watch))
        return watch

    async def _run(self, watch: Watch) -> None:
        try:
            await watch.run()
        finally:
            self._watches.remove(watch)
