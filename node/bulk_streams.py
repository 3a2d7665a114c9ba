"""Bulk connections to members that stay open between transfers: to make one takes longer than most
blobs do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from buildnet.mesh.bulk.fetch import OpenLink
from buildnet.mesh.bulk.protocol import BlobSink, FetchRefusedError, WrongBytesError
from buildnet.mesh.bulk.stream import BulkStream, open_stream
from buildnet.mesh.errors import BuildNetError

IDLE_S = 5.0
"""A connection that nobody uses for so long is closed; the other end would do so after a minute."""
_FETCHES_AT_ONCE = 16
"""On one connection: sent ahead, answered one after the other."""


@dataclass(slots=True, eq=False)
class _Held:
    """A connection; ``users``: fetches that use it or wait to."""

    stream: asyncio.Future[BulkStream] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_FETCHES_AT_ONCE))
    over: asyncio.Event = field(default_factory=asyncio.Event)
    users: int = 0
    used_at: float = 0.0


class BulkStreams:
    """One connection to each member that something is fetched from."""

    def __init__(self, open_link: OpenLink, workers: Executor) -> None:
        self._open_link = open_link
        self._workers = workers
        self._held: dict[bytes, _Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def fetch(self, sink: BlobSink, peer: bytes) -> None:
        """Fetch a blob; see :meth:`BulkStream.fetch`.

        Raises:
            BuildNetError: no connection could be had, or it ended, or the member lacks the blob.
            OSError: the sink can't be written.
        """
        async with self._using(peer) as held:
            stream = await asyncio.shield(held.stream)
            async with held.turns:
                try:
                    await stream.fetch(sink)
                except (FetchRefusedError, WrongBytesError):
                    raise
                except BaseException:
                    self._drop(peer, held)
                    raise

    @asynccontextmanager
    async def _using(self, peer: bytes) -> AsyncIterator[_Held]:
        held = self._held.get(peer)
        if held is None:
            held = self._held[peer] = _Held()
            task = asyncio.create_task(self._keep(peer, held))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        held.users += 1
        try:
            yield held
        finally:
            held.users -= 1
            held.used_at = time.monotonic()

    async def _keep(self, peer: bytes, held: _Held) -> None:
        """Hold a connection open until it is not needed any more."""
        try:
            async with (
                self._open_link(peer) as (connection, cipher),
                open_stream(connection, cipher, self._workers) as stream,
            ):
                held.stream.set_result(stream)
                while held.users or time.monotonic() - held.used_at < IDLE_S:
                    try:
                        async with asyncio.timeout(IDLE_S):
                            await held.over.wait()
                        return
                    except TimeoutError:
                        continue
                self._drop(peer, held)
        except (BuildNetError, OSError, TimeoutError) as error:
            if not held.stream.done():
                held.stream.set_exception(error)
                held.stream.exception()  # whoever waits is told; nobody else need be
        finally:
            if not held.stream.done():
                held.stream.cancel()
            self._drop(peer, held)

    def _drop(self, peer: bytes, held: _Held) -> None:
        held.over.set()
        if self._held.get(peer) is held:
            del self._held[peer]
