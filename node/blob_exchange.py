"""Blobs between this node's store and other members', over bulk connections of the mesh."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from buildnet.mesh.bulk.fetch import BlobUnavailableError, BulkFetcher
from buildnet.mesh.bulk.memory import SMALL_BYTES, MemorySink
from buildnet.mesh.bulk.protocol import BlobSink, FetchRefusedError, WrongBytesError
from buildnet.mesh.bulk.serving import RateCap, serve
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import Note
from buildnet.mesh.link.connection import Connection
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.service.service import MeshService
from buildnet.node.bulk_streams import BulkStreams
from buildnet.node.fetching_ahead import Ahead
from buildnet.node.store import Store, StoreFullError
from buildnet.node.store.exchange import StoreSource, fetch_into
from buildnet.pool.bandwidth import Bandwidths

_WORKERS = 4
_BATCH = 128
"""Small blobs that are put into the store together."""
_BATCHES_AT_ONCE = 2


class BlobExchange:
    """Serves the store's blobs to members, and fetches theirs; to be made by :meth:`running`."""

    def __init__(
        self,
        mesh: MeshService,
        store: Store,
        workers: ThreadPoolExecutor,
        note: Callable[[Note], None],
        bytes_per_s: int | None = None,
    ) -> None:
        self._cap = RateCap(bytes_per_s)
        self._store = store
        self._source = StoreSource(store)
        self._workers = workers
        self._streams = BulkStreams(mesh.bulk, workers)
        self._fetcher = BulkFetcher(mesh.bulk, workers, note=note)
        self._bandwidths = Bandwidths()
        self._ahead = Ahead()

    @classmethod
    @contextmanager
    def running(
        cls,
        mesh: MeshService,
        store: Store,
        note: Callable[[Note], None],
        bytes_per_s: int | None = None,
    ) -> Iterator[BlobExchange]:
        """Serve until the context ends; the mesh has ended its connections by then.

        ``note`` is told of members that sent wrong bytes. ``bytes_per_s`` bounds what is sent to
        all of them together.
        """
        with ThreadPoolExecutor(_WORKERS, "bulk") as workers:
            exchange = cls(mesh, store, workers, note, bytes_per_s)
            mesh.serve_bulk(exchange.serve)
            yield exchange

    async def serve(self, connection: Connection, cipher: FrameCipher, peer: bytes) -> None:
        """Send a member the blobs that it asks for."""
        await serve(connection, cipher, self._source, self._workers, cap=self._cap)

    def bandwidths(self) -> Mapping[bytes, float]:
        """Return how many megabits a second came from members lately, by key."""
        return self._bandwidths.known(time.monotonic())

    async def fetch(self, digest: Digest, peer: bytes) -> bool:
        """Get a blob from the member with this key; return whether it had to be.

        Raises:
            BlobUnavailableError: the member can't be reached, or did not send it.
            StoreFullError: there is no room for it.
        """

        async def fill(sink: BlobSink) -> None:
            await self._fetcher.fetch(sink, (peer,))

        began = time.monotonic()
        needed = await fetch_into(self._store, digest, fill)
        if needed:
            self._note_bandwidth(peer, digest.size_bytes, began)
        return needed

    def _note_bandwidth(self, peer: bytes, size_bytes: int, began: float) -> None:
        now = time.monotonic()
        self._bandwidths.came(peer, size_bytes, now - began, now)

    async def fetch_all(self, blobs: Iterable[Digest], peer: bytes) -> None:
        """Get blobs from the member with this key over one connection, which stays open for a
        while; those that are here already are not asked for. Where it is cut, each that is missing
        has a connection of its own.

        Raises:
            FetchRefusedError: the member lacks some; the others are here.
            WrongBytesError: the member sent others, twice.
            BlobUnavailableError: the member can't be reached any more.
            StoreFullError: there is no room for it.
        """
        wanted = tuple(dict.fromkeys(blobs))
        lacking = await asyncio.to_thread(self._store.missing, wanted)
        if lacking:
            async with self._ahead.first(lacking):
                await self._fetch_some(wanted, peer)

    async def fetch_ahead(self, blobs: Iterable[Digest], peer: bytes) -> Collection[Digest] | None:
        """Get blobs that may be needed soon, while nothing that is needed is fetched; return those
        that had to be fetched. None: that was interrupted.

        Raises:
            BuildNetError: see :meth:`fetch_all`.
        """
        wanted = tuple(dict.fromkeys(blobs))
        lacking = await asyncio.to_thread(self._store.missing, wanted)

        async def work() -> None:
            if len(lacking) == 1:  # over a connection of its own, so that nothing waits behind it
                await self.fetch(next(iter(lacking)), peer)
            else:
                await self._fetch_some(wanted, peer)

        if lacking and not await self._ahead.fetch(lacking, work):
            return None
        return lacking

    def interrupt_ahead(self) -> None:
        """Go no further with what is fetched ahead, unless somebody waits for it by now."""
        self._ahead.interrupt()

    async def _fetch_some(self, wanted: Sequence[Digest], peer: bytes) -> None:
        lacking = await asyncio.to_thread(self._store.missing, wanted)
        small = [digest for digest in wanted if digest in lacking and _is_small(digest)]
        large = [digest for digest in wanted if digest in lacking and not _is_small(digest)]
        outcomes: dict[Digest, BaseException | None] = {}
        began = time.monotonic()
        turns = asyncio.Semaphore(_BATCHES_AT_ONCE)

        async def some(batch: Sequence[Digest]) -> None:
            async with turns:
                outcomes.update(await self._fetch_small(batch, peer))

        async def one(digest: Digest) -> None:
            await fetch_into(self._store, digest, lambda sink: self._streams.fetch(sink, peer))

        batches = (small[at : at + _BATCH] for at in range(0, len(small), _BATCH))
        ended = await asyncio.gather(*map(one, large), *map(some, batches), return_exceptions=True)
        outcomes.update(zip(large, ended, strict=False))
        if failed := [each for each in ended[len(large) :] if each is not None]:
            raise failed[0]
        came = sum(digest.size_bytes for digest, error in outcomes.items() if error is None)
        self._note_bandwidth(peer, came, began)
        refused: list[BuildNetError] = []
        for digest, outcome in outcomes.items():
            if isinstance(outcome, FetchRefusedError):
                refused.append(outcome)
            elif isinstance(outcome, WrongBytesError):
                with suppress(BlobUnavailableError):  # it is told of, and gets another chance
                    await self.fetch(digest, peer)
                    continue
                raise outcome
            elif isinstance(outcome, BuildNetError) and not isinstance(outcome, StoreFullError):
                await self.fetch(digest, peer)
            elif isinstance(outcome, BaseException):
                raise outcome
        if refused:
            raise refused[0]

    async def _fetch_small(
        self, batch: Sequence[Digest], peer: bytes
    ) -> dict[Digest, BaseException | None]:
        """Get small blobs by way of memory; return how that went for each."""
        sinks = [MemorySink(digest) for digest in batch]
        ended = await asyncio.gather(
            *(self._streams.fetch(sink, peer) for sink in sinks), return_exceptions=True
        )
        whole = [sink.data for sink, error in zip(sinks, ended, strict=True) if error is None]
        await asyncio.to_thread(self._put_all, whole)
        return dict(zip(batch, ended, strict=True))

    def _put_all(self, blobs: Iterable[bytes]) -> None:
        for data in blobs:
            self._store.put(data)


def _is_small(digest: Digest) -> bool:
    return 0 < digest.size_bytes <= SMALL_BYTES
