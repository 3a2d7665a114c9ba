"""Feeds the dashboard: follows the pool's events, and asks the node for what they do not tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from buildnet.cli.client.asking import AnswerError, NodeUnreachableError, path_part
from buildnet.cli.client.async_pool import AsyncBuild, AsyncPool
from buildnet.cli.client.shapes import ChannelName, Event
from buildnet.cli.dashboard.last_hour import ENDED, HOUR_S, STARTED
from buildnet.cli.dashboard.told import Answered, Failed, Happened, Source, Told
from buildnet.cli.draining import in_flight_text

PATHS: dict[Source, tuple[str, float]] = {
    "node": ("/api/node", 2.0),
    "health": ("/api/pool/health", 2.0),
    "sessions": ("/api/sessions", 5.0),
    "cache": ("/api/cache/stats", 10.0),
}
"""What is asked again and again, and after how many seconds."""
CHANNELS: tuple[tuple[ChannelName, str], ...] = (
    ("nodes", "view-resources"),
    ("resources", "view-resources"),
    ("builds", "view-builds"),
    ("queue", "view-builds"),
    ("ledger", "view-ledger"),
)
"""What is followed, and the action that takes."""
_AGAIN_FIRST_S, _AGAIN_LONGEST_S = 0.2, 5.0
_PAGE, _MOST_BUILDS, _MOST_PAGES = 500, 2000, 20
_RECENT = 100


class Feed:
    """See the module's text. ``pool`` asks once (``retry_s`` 0): it is the feed that asks again, so
    that people see meanwhile that nothing comes. ``tell`` is given all of it."""

    def __init__(self, pool: AsyncPool, tell: Callable[[Told], None]) -> None:
        self.pool = pool
        self._tell = tell
        self._channels: tuple[ChannelName, ...] = ()

    async def begin(self) -> None:
        """Ask for all of it once; afterwards the screen can be shown.

        Raises:
            AnswerError: the node refuses.
            NodeUnreachableError: none answers.
        """
        may = (await self.pool.client.get("/api/session"))["actions"]
        self._channels = tuple(name for name, action in CHANNELS if action in may)
        async with aclosing(_stream(self.pool, self._channels)) as events:
            self._tell(Happened(await anext(events)))
        async with asyncio.TaskGroup() as group:
            for source in PATHS:
                group.create_task(self._ask(source))
            group.create_task(self._read_ledger())

    async def run(self) -> None:
        """Feed until it is cancelled, whatever becomes of the node.

        Raises:
            BuildNetError: the credential does not count any more.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            for source, (_, every_s) in PATHS.items():
                group.create_task(self._again(source, every_s))

    # --- what keys ask for ---------------------------------------------------------------------

    def attach(self, build: str) -> AsyncBuild:
        """Return a build of any node."""
        return self.pool.attach(build)

    def output(self) -> AsyncGenerator[Event]:
        """Return what commands of all builds printed so far and print, up to the first trouble."""
        return _stream(self.pool, ("logs",))

    async def cancel(self, build: str) -> str:
        """Ask for a build's end; return what becomes of it, in words."""
        found = await self.pool.change_queue("cancel", build)
        if found.get("goes_on"):
            return f"build {build} goes on for others who asked for the same"
        return f"build {build} is being cancelled"

    async def drain(self, node: str) -> str:
        """Let a node take no new work of others; return how it is then, in words."""
        found = await self._server(node, "drain")
        left = in_flight_text(found)
        return f"{found['name']} takes no new work" + (f"; {left}" if left else "")

    async def resume(self, node: str) -> str:
        """Let a node take work again; return how it is then, in words."""
        return f"{(await self._server(node, 'resume'))['name']} takes work again"

    async def _server(self, node: str, change: str) -> dict[str, Any]:
        path = f"/api/servers/{path_part(node)}/{change}"
        found: dict[str, Any] = await self.pool.client.post(path)
        return found

    # --- following and asking ------------------------------------------------------------------

    async def _follow(self) -> None:
        wait_s = _AGAIN_FIRST_S
        while True:
            try:
                async with aclosing(_stream(self.pool, self._channels)) as events:
                    async for event in events:
                        self._tell(Happened(event))
                        if event["type"] == "snapshot":
                            wait_s = _AGAIN_FIRST_S
                            await self._read_ledger()
            except (NodeUnreachableError, AnswerError) as error:
                if isinstance(error, AnswerError) and not error.has_no_time:
                    raise
                self._tell(Failed("events", error))
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _AGAIN_LONGEST_S)

    async def _again(self, source: Source, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            await self._ask(source)

    async def _ask(self, source: Source) -> None:
        try:
            self._tell(Answered(source, await self.pool.client.get(PATHS[source][0])))
        except (NodeUnreachableError, AnswerError) as error:
            self._tell(Failed(source, error))

    async def _read_ledger(self) -> None:
        """Tell the builds of the last hour, and what else happened lately."""
        if "ledger" not in self._channels:
            return
        try:
            ended, at_least = await self._ended()
            recent = (await self.pool.ledger(_RECENT))["entries"]
        except (NodeUnreachableError, AnswerError) as error:
            self._tell(Failed("ledger", error))
            return
        newest = sorted([*recent, *ended], key=lambda entry: -entry["hlc"])
        self._tell(Answered("ledger", {"entries": newest, "at_least": at_least}))

    async def _ended(self) -> tuple[list[dict[str, Any]], bool]:
        """Return the entries of builds of the last hour, and whether there are more of them."""
        since = (datetime.now(UTC) - timedelta(seconds=HOUR_S)).isoformat()
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            wanted = {"type": [*ENDED, STARTED], "from": since}
            page = await self.pool.ledger(_PAGE, cursor, **wanted)
            found += page["entries"]
            if (cursor := page["next"]) is None:
                return found, False
            if len(found) > 2 * _MOST_BUILDS:
                break
        return found, True


def _stream(pool: AsyncPool, channels: tuple[ChannelName, ...]) -> AsyncGenerator[Event]:
    """Return the pool's events up to the first trouble, beginning with a snapshot."""
    return cast("AsyncGenerator[Event]", pool.events(*channels, patience_s=0.0))
