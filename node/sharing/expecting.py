"""Getting ready for what other nodes expect to ask this one for: their inputs are fetched and their
tools looked at before the first command comes. Whether it does so is up to this node's owner.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import LinkDown, Received, Status, StatusChanged
from buildnet.mesh.local import Local
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.blob_exchange import BlobExchange
from buildnet.node.pool_results import may_ask
from buildnet.node.store import Hold, Store
from buildnet.pool.expectations import Batch, Expectations
from buildnet.pool.messages.expecting import WorkExpected

MOST_BYTES = 1 << 30
"""Are asked for ahead in a minute, and kept for those who said so, and no more than a quarter of
what the store may hold."""
_LOOK_S = 1.0
_log = logging.getLogger("buildnet.pool")


class Expecting:
    """See the module's text. :meth:`guest` is for the mesh; ``is_willing`` tells whether this node
    does so now; ``look_at`` takes note of a tool, as a command that needs it would. ``used`` may be
    called from any thread."""

    def __init__(
        self,
        store: Store,
        exchange: BlobExchange,
        look_at: Callable[[str], object],
        is_willing: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._take_note = look_at
        self._is_willing = is_willing
        self._clock = clock
        self._lock = threading.Lock()
        self._expected = Expectations(MOST_BYTES)
        self._tools: dict[str, None] = {}
        self._local: Local | None = None
        self._news = asyncio.Event()
        self._under_way: Batch | None = None
        self._held: deque[tuple[Hold, Batch]] = deque()
        self._held_bytes = 0

    @property
    def fetched_bytes(self) -> int:
        """How much was fetched because others expected to need it here."""
        return self._expected.fetched_bytes

    @property
    def used_bytes(self) -> int:
        """How much of that was there when a command came that reads it."""
        return self._expected.used_bytes

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        self._local = cluster.local
        with self._lock:
            self._expected.forget()
        running = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            running.cancel()
            await asyncio.wait((running,))
            self._local = None

    def take(self, event: GuestEvent) -> None:
        """Take note of what another node expects, or that it is gone."""
        with self._lock:
            match event:
                case Received(sender, WorkExpected() as said):
                    self._told(sender, said)
                case LinkDown(peer) | StatusChanged(peer, Status.DEAD | Status.LEFT):
                    self._expected.gone(peer)
                case _:
                    return
            if self._under_way is not None and not self._expected.expects(self._under_way.blobs):
                self._exchange.interrupt_ahead()
        self._news.set()

    def _told(self, sender: bytes, said: WorkExpected) -> None:
        if self._local is None or not may_ask(self._local.members, sender):
            return
        if not self._is_willing():
            return
        self._expected.most_bytes = min(MOST_BYTES, self._store.capacity_bytes // 4)
        blobs = [each.digest for each in said.blobs]
        self._expected.told(sender, said.watch, blobs, said.for_ms / 1000, self._clock())
        self._tools = dict.fromkeys(said.tools)

    def used(self, blobs: Collection[Digest]) -> None:
        """Take note that a command of another node reads these."""
        with self._lock:
            self._expected.used(blobs)

    async def _run(self) -> None:
        try:
            while True:
                self._news.clear()
                with self._lock:
                    batch = self._expected.next(self._clock()) if self._is_willing() else None
                    is_idle = not len(self._expected)
                if batch is not None:
                    await self._fetch(batch)
                    continue
                if is_idle:
                    await self._let_go(0)
                if self._tools:
                    tools, self._tools = self._tools, {}
                    await asyncio.to_thread(self._look_at, tools)
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if is_idle else _LOOK_S):
                        await self._news.wait()
        finally:
            for hold, _ in self._held:
                hold.close()
            self._held.clear()
            self._held_bytes = 0

    async def _let_go(self, most_bytes: int) -> None:
        """Let what was fetched first go from the store, if need be, until no more is kept there."""
        gone = list[Hold]()
        while self._held and self._held_bytes > most_bytes:
            hold, batch = self._held.popleft()
            gone.append(hold)
            self._held_bytes -= batch.counted_bytes
            with self._lock:
                self._expected.let_go(batch)
        if gone:
            await asyncio.to_thread(_close, gone)

    async def _fetch(self, batch: Batch) -> None:
        self._under_way = batch
        hold = self._store.hold()
        self._held.append((hold, batch))
        self._held_bytes += batch.counted_bytes
        try:
            await self._let_go(self._expected.most_bytes)
            await asyncio.to_thread(hold.add, batch.blobs)  # they stay until they are needed
            fetched = await self._exchange.fetch_ahead(batch.blobs, batch.holder)
            with self._lock:
                if fetched is None:
                    self._expected.again(batch)
                else:
                    self._expected.fetched(batch, fetched)
        except (BuildNetError, OSError, TimeoutError) as error:
            _log.info("what another node expects to need here can't be fetched: %s", error)
        finally:
            self._under_way = None

    def _look_at(self, names: Collection[str]) -> None:
        for name in names:
            with suppress(BuildNetError, OSError):
                self._take_note(name)


def _close(holds: Iterable[Hold]) -> None:
    for hold in holds:
        hold.close()
