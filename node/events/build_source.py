"""Builds of all nodes, their output, and the queue: the channels ``builds``, ``logs``, ``queue``.

This node's own builds are followed from their start on; of others' the queue tells, and they are
watched as ``buildnet build --attach`` does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from buildnet.mesh.errors import NotFoundError
from buildnet.node.events.build_state import BuildState
from buildnet.node.events.channel import Channel
from buildnet.node.events.event import LEFT_OUT
from buildnet.node.events.hub import WHOLE_QUEUE, Hub
from buildnet.node.events.service import Ready
from buildnet.node.events.view import Kinds
from buildnet.node.queue_access import queue_of
from buildnet.node.running import BUILD_FINISHED, RunningBuild

if TYPE_CHECKING:
    from buildnet.node.service import NodeService

BUILD_KINDS = Kinds("build_progress", "build_progress", "build_progress")
QUEUE_KINDS = Kinds("queue_changed", "queue_changed", "queue_changed")
MOST_WATCHED = 32
"""Builds of other nodes that are watched at once; of more the queue alone tells."""
KEPT_S = 30.0
"""So long the state shows a build that is over."""
LOOK_EVERY_S = 0.5
"""So often the coordinator is asked for the queue, besides when somebody changed it."""
_REST_S = 0.02
_REST = 10.0
_log = logging.getLogger("buildnet.node")


class BuildSource:
    """See the module's text. ``on_change``: called as this node begins or ends a build."""

    channels = frozenset({Channel.BUILDS, Channel.LOGS, Channel.QUEUE})

    def __init__(
        self, service: NodeService, hub: Hub, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._service = service
        self._hub = hub
        self._on_change = on_change
        self._news = asyncio.Event()
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._states: dict[str, BuildState] = {}
        self._over: dict[str, float] = {}

    async def run(self, ready: Ready) -> None:
        """Feed until it is cancelled."""
        builder = self._service.builder
        sharing = queue_of(self._service).sharing
        self._followed.clear()
        self._over.clear()
        async with asyncio.TaskGroup() as group:

            def follow(build: RunningBuild) -> None:
                self._begin(group, build.id, self._follow_own(build))

            builder.on_build, sharing.on_queue = follow, self._news.set
            try:
                for build in builder.running():
                    if not build.request.dry_run:
                        follow(build)
                ready(Channel.BUILDS)
                ready(Channel.LOGS)
                while True:
                    began = time.thread_time()
                    await self._look(group)
                    ready(Channel.QUEUE)
                    await asyncio.sleep(max(_REST_S, _REST * (time.thread_time() - began)))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_EVERY_S):
                            await self._news.wait()
            finally:
                builder.on_build, sharing.on_queue = None, lambda: None
                for task in self._followed.values():
                    task.cancel()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        self._news.clear()
        queue = await queue_of(self._service).view()
        self.show_queue(queue, time.time())
        for entry in queue["builds"]:
            self._watch(group, entry)
            self._see_whose(entry["build_id"], entry["actor"])
        self._hub.keep_output({*self._followed, *(each["build_id"] for each in queue["builds"])})
        self._forget_old(time.time())

    # --- the queue -----------------------------------------------------------------------------

    def show_queue(self, queue: Mapping[str, Any], now: float) -> None:
        """Take in the queue as it is now."""
        whole = {key: queue[key] for key in ("complete", "paused", "paused_by", "reason")}
        self._hub.put(Channel.QUEUE, WHOLE_QUEUE, whole, QUEUE_KINDS, now)
        for entry in queue["builds"]:
            self._hub.put(Channel.QUEUE, entry["build_id"], entry, QUEUE_KINDS, now)
        ids = {entry["build_id"] for entry in queue["builds"]}
        self._hub.keep_only(Channel.QUEUE, {WHOLE_QUEUE, *ids}, now)

    # --- builds --------------------------------------------------------------------------------

    def _begin(self, group: asyncio.TaskGroup, build: str, work: Coroutine[Any, Any, None]) -> None:
        self._changed()
        task = self._followed[build] = group.create_task(work)
        task.add_done_callback(lambda done: self._ended(build))

    def _ended(self, build: str) -> None:
        self._followed.pop(build, None)
        self._states.pop(build, None)
        self._changed()

    def _changed(self) -> None:
        self._news.set()
        self._on_change()

    def _watch(self, group: asyncio.TaskGroup, entry: Mapping[str, Any]) -> None:
        """Follow a build that the queue knows, if it is another node's and not followed yet."""
        build = entry["build_id"]
        known = build in self._followed or build in self._over
        if entry["this_node"] or known or len(self._followed) >= MOST_WATCHED:
            return
        state = BuildState(
            entry["node"],
            entry["node_id"],
            False,
            actor=entry["actor"],
            workspace=entry["workspace"],
            started_at=entry["asked_at"],
        )
        self._begin(group, build, self._follow_other(build, state))

    async def _follow_other(self, build: str, state: BuildState) -> None:
        watching = self._service.watching
        if watching is None:
            return
        try:
            await self._follow(build, state, _events(await watching.open(build)))
        except NotFoundError:
            return  # it has ended meanwhile, or the queue tells of it again
        except Exception:  # what another node sends must not end what is told of all others
            _log.exception("the events of build %s of %s can't be read", build, state.node)
            self._hub.remove(Channel.BUILDS, build, time.time())
            self._over[build] = time.time()  # it is tried again, but not at once

    async def _follow_own(self, build: RunningBuild) -> None:
        me = self._service
        state = BuildState(
            me.name,
            me.key.node_id,
            True,
            actor=build.actor,
            workspace=build.workspace.name,
            started_at=build.started_at,
        )
        async with build.progress.follow() as batches:
            await self._follow(build.id, state, _with_outcome(build, batches))

    def _see_whose(self, build: str, actor: str) -> None:
        """Show whose a build is: its own events don't tell that it was handed to somebody."""
        state = self._states.get(build)
        if state is not None and state.actor != actor:
            state.actor = actor
            self._hub.put(Channel.BUILDS, build, state.item(), BUILD_KINDS, time.time())

    async def _follow(
        self, build: str, state: BuildState, batches: AsyncIterator[list[dict[str, Any]]]
    ) -> None:
        self._states[build] = state
        self._hub.put(Channel.BUILDS, build, state.item(), BUILD_KINDS, time.time())
        async for batch in batches:
            self.take(build, state, batch, time.time())
        if not state.is_over:  # lost, or handed over: the queue tells where it goes on
            self._hub.remove(Channel.BUILDS, build, time.time())

    def take(
        self, build: str, state: BuildState, batch: Iterable[Mapping[str, Any]], now: float
    ) -> None:
        """Take in events of a build."""
        changed = False
        for event in batch:
            if event["type"] == "task_output":
                name, task, text = (str(event[key]) for key in ("name", "task", "text"))
                line, so_far = event.get("line"), bool(event.get("so_far"))
                line = line if isinstance(line, int) else None  # another node may say anything
                self._hub.output(build, name, task, text, now, line=line, so_far=so_far)
            elif event["type"] == LEFT_OUT:
                data = {"build_id": build, "bytes": event["bytes"]}
                self._hub.tell(Channel.LOGS, LEFT_OUT, data, now, build=build)
            else:
                if event["type"] == "task_finished":
                    self._hub.output_over(build, event["name"], event["task"])
                state.take(event)
                changed = True
        if changed:
            self._hub.put(Channel.BUILDS, build, state.item(), BUILD_KINDS, now)
        if state.is_over:
            self._over.setdefault(build, now)

    def _forget_old(self, now: float) -> None:
        for build in [each for each, at in self._over.items() if not 0 <= now - at < KEPT_S]:
            del self._over[build]
            self._hub.remove(Channel.BUILDS, build, now)


async def _with_outcome(
    build: RunningBuild, batches: AsyncIterator[list[dict[str, Any]]]
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield a build's events, the last one with how it ended; of one that another node goes on with
    that end is not told."""
    async for batch in batches:
        if batch[-1]["type"] == BUILD_FINISHED:
            if build.handed_over:
                return
            batch[-1] = {**batch[-1], "report": build.outcome or {}}
        yield batch


async def _events(lines: AsyncIterator[bytes]) -> AsyncIterator[list[dict[str, Any]]]:
    async for several in lines:
        yield [json.loads(line) for line in several.splitlines()]
