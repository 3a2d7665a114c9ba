"""The pool as a script for asyncio uses it: :class:`~buildnet.cli.client.Pool` and
:class:`~buildnet.cli.client.Build` whose methods are awaited.

from buildnet.cli.client.async_pool import AsyncPool

pool = AsyncPool("http://build.example:8080", key="ci.key")
report = await (await pool.build("/srv/shop")).wait()
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from buildnet.cli.client import calls
from buildnet.cli.client.asking import AnswerError, NodeUnreachableError
from buildnet.cli.client.async_connection import AsyncClient
from buildnet.cli.client.build import build_event, is_last, stopped_before_its_end
from buildnet.cli.client.calls import Json
from buildnet.cli.client.events import PATH, EventLines, Following, query_of
from buildnet.cli.client.pool import PATIENCE_S
from buildnet.cli.client.shapes import (
    BuildEvent,
    BuildReport,
    ChannelName,
    Event,
    Priority,
    Queue,
    WatchEvent,
)
from buildnet.cli.client.watch import watch_broke_off, watch_event
from buildnet.cli.credential import Credential
from buildnet.node.home import Home, default_home


class AsyncBuild:
    """One build, by its id; on whichever node it runs."""

    def __init__(self, client: AsyncClient, build_id: str) -> None:
        self._client = client
        self.id = build_id

    async def events(self) -> AsyncIterator[BuildEvent]:
        """Yield its events; see :meth:`buildnet.cli.client.Build.events`."""
        async with self._client.follow(f"{calls.build_path(self.id)}/events") as events:
            async for event in events:
                yield build_event(event, self.id)
                if is_last(event):
                    return
        raise stopped_before_its_end(self.id)

    async def wait(self) -> BuildReport:
        """Return its report once it is over, failed or not."""
        last: BuildEvent | None = None
        async for event in self.events():
            last = event
        assert last is not None
        return last["report"]

    async def report(self) -> BuildReport:
        """Return what is known of it by now."""
        return await self._client.do(calls.build_report(self.id))

    async def log(self, package: str, task: str = "build") -> str:
        """Return all that a task's command printed; of the node that drove the build."""
        return await self._client.do(calls.build_log(self.id, package, task))

    async def cancel(self) -> None:
        """Ask for its end; what is done stays in the cache."""
        await self._client.do(calls.change_queue("cancel", self.id, {}))

    def __repr__(self) -> str:
        return f"AsyncBuild({self.id!r})"


class AsyncPool:
    """The same as :class:`~buildnet.cli.client.Pool`: its arguments, methods and errors. Any number
    of requests may be under way at once."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | Path | None = None,
        home: Path | None = None,
        retry_s: float = 10.0,
    ) -> None:
        credential = None if key is None else Credential.read(str(key))
        socket_path = Home(home or default_home()).socket_path() if url is None else None
        self.client = AsyncClient(
            socket_path=socket_path, url=url, credential=credential, retry_s=retry_s
        )

    async def build(
        self,
        root: str | Path,
        packages: Sequence[str] = (),
        *,
        task: str = "build",
        priority: Priority | None = None,
        config: str | None = None,
        profile: str | None = None,
        force: bool = False,
        keep_going: bool = False,
        durable: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncBuild:
        """Ask for a build and return it at once; see :meth:`buildnet.cli.client.Pool.build`."""
        call = calls.begin_build(
            root,
            packages,
            task=task,
            priority=priority,
            config=config,
            profile=profile,
            force=force,
            keep_going=keep_going,
            durable=durable,
            environment=environment,
        )
        return AsyncBuild(self.client, await self.client.do(call))

    def attach(self, build_id: str) -> AsyncBuild:
        """Return a build of any node by its id."""
        return AsyncBuild(self.client, build_id)

    async def watch(
        self,
        root: str | Path,
        packages: Sequence[str] = (),
        *,
        task: str = "build",
        builds: bool = True,
        delay_s: float = 0.0,
        priority: Priority | None = None,
        config: str | None = None,
        profile: str | None = None,
        keep_going: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[WatchEvent]:
        """Have a workspace built as it changes; see :meth:`buildnet.cli.client.Pool.watch`."""
        path, body = calls.watch(
            root,
            packages,
            task=task,
            builds=builds,
            delay_s=delay_s,
            priority=priority,
            config=config,
            profile=profile,
            keep_going=keep_going,
            environment=environment,
        )
        async with self.client.stream(path, body) as events:
            async for event in events:
                yield watch_event(event)
        raise watch_broke_off()

    async def builds(
        self, limit: int = 20, status: str | None = None, node: str | None = None
    ) -> list[Json]:
        """Return the latest builds of all nodes, newest first; ``node``: of this one, by its name
        or the beginning of its id."""
        return await self.client.do(calls.builds(limit, status, node))

    async def queue(self) -> Queue:
        """Return what runs and waits in the cluster."""
        return await self.client.do(calls.queue())

    async def change_queue(self, change: str, build_id: str | None = None, **said: object) -> Json:
        """Do something with a build in the queue, or with all of it; see
        :meth:`buildnet.cli.client.Pool.change_queue`."""
        return await self.client.do(calls.change_queue(change, build_id, said))

    async def configs(self) -> list[Json]:
        """Return all configurations."""
        return await self.client.do(calls.configs())

    async def config(self, name: str) -> Json:
        """Return one configuration by its id."""
        return await self.client.do(calls.config(name))

    async def create_config(self, config: Mapping[str, Any]) -> Json:
        """Keep a new configuration."""
        return await self.client.do(calls.create_config(config))

    async def change_config(self, name: str, changes: Mapping[str, Any], **query: object) -> Json:
        """Merge changes into a configuration (RFC 7396)."""
        return await self.client.do(calls.change_config(name, changes, query))

    async def delete_config(self, name: str, **query: object) -> Json:
        """Delete a configuration; ``expects``: only if it is in this version."""
        return await self.client.do(calls.delete_config(name, query))

    async def status(self) -> Json:
        """Return cluster, coordinator, nodes and what they have, as ``buildnet pool status``."""
        return await self.client.do(calls.status())

    async def node(self) -> Json:
        """Return the asked node's own status."""
        return await self.client.do(calls.node())

    async def ledger(self, limit: int = 50, cursor: str | None = None, **filters: object) -> Json:
        """Return ``entries`` of the ledger, newest first, and the cursor of the ``next`` page."""
        return await self.client.do(calls.ledger(limit, cursor, filters))

    async def events(
        self,
        *channels: ChannelName,
        build: str = "",
        cursor: str | None = None,
        patience_s: float = PATIENCE_S,
    ) -> AsyncIterator[Event]:
        """Yield what happens in the pool, for ever; see :meth:`buildnet.cli.client.Pool.events`."""
        following = Following(cursor, patience_s, time.monotonic())
        query = query_of(channels, build)
        while True:
            trouble: NodeUnreachableError | AnswerError | None = None
            try:
                async with self.client.lines(PATH, following.headers(), **query) as lines:
                    taking = EventLines()
                    async for line in lines:
                        ended = taking.take(line)
                        if ended is None:
                            continue
                        event = following.take(*ended, time.monotonic())
                        if event is not None:
                            yield event
                        if following.is_over:
                            break
            except (NodeUnreachableError, AnswerError) as error:
                trouble = error
            await asyncio.sleep(following.rest_s(trouble, time.monotonic()))
