"""A requester's stream to a holder that serves, over a connection in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from buildnet.mesh.bulk.files import FileReader
from buildnet.mesh.bulk.protocol import MAX_FRAME_BYTES, BlobReader
from buildnet.mesh.bulk.serving import RateCap, serve
from buildnet.mesh.bulk.stream import BulkStream, open_stream
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.frames import FrameCipher

BLOB = os.urandom(1000) * 3000  # 3 MB, 11 chunks and a bit
DIGEST = Digest.of(BLOB)


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, 1 << 30, 0)


class Pipe:
    """One end of a connection in memory that holds a few messages; it may be cut, or altered."""

    remote = "memory"

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue(4)
        self.other: Pipe = self
        self.closed = asyncio.Event()
        self.cut_after = -1
        """Messages to send before it is cut; negative: never."""
        self.alter: Callable[[bytes], bytes] = lambda data: data

    async def send(self, data: bytes) -> None:
        if self.cut_after == 0:
            await self.close()
        self.cut_after -= 1
        await self._or_closed(self.other.inbox.put(self.alter(data)))

    async def receive(self) -> bytes:
        getting = asyncio.create_task(self.inbox.get())
        closing = asyncio.create_task(self._wait())
        try:
            await asyncio.wait([getting, closing], return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():  # what arrived before the cut is there
                raise ConnectionClosed(1006, "cut")
            data = getting.result()
        finally:
            getting.cancel()
            closing.cancel()
        assert data is not None
        return data

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed.set()
        self.other.closed.set()

    async def _or_closed(self, work: Coroutine[object, object, bytes | None]) -> bytes | None:
        async with asyncio.TaskGroup() as tasks:
            working, closing = tasks.create_task(work), tasks.create_task(self._wait())
            await asyncio.wait([working, closing], return_when=asyncio.FIRST_COMPLETED)
            for task in (working, closing):
                task.cancel()
        if self.closed.is_set():
            raise ConnectionClosed(1006, "cut")
        return working.result()

    async def _wait(self) -> None:
        await self.closed.wait()


def pipe() -> tuple[Pipe, Pipe]:
    one, other = Pipe(), Pipe()
    one.other, other.other = other, one
    return one, other


def ciphers() -> tuple[FrameCipher, FrameCipher]:
    here, there = b"h" * 32, b"t" * 32
    return FrameCipher(here, there, MAX_FRAME_BYTES), FrameCipher(there, here, MAX_FRAME_BYTES)


class Blobs:
    """A source in a directory."""

    def __init__(self, directory: Path, *blobs: bytes) -> None:
        self._directory = directory
        self.opened: list[tuple[Digest, int]] = []
        for blob in blobs:
            self.put(Digest.of(blob), blob)

    def put(self, digest: Digest, data: bytes) -> None:
        (self._directory / digest.hash).write_bytes(data)

    def open(self, digest: Digest, offset: int) -> BlobReader | None:
        self.opened.append((digest, offset))
        try:
            return FileReader(os.open(self._directory / digest.hash, os.O_RDONLY), offset)
        except FileNotFoundError:
            return None


class Bench:
    """A requester's stream to a holder that serves."""

    def __init__(self, source: Blobs, workers: ThreadPoolExecutor, **limits: float) -> None:
        self.source = source
        self.workers = workers
        self.limits = limits
        self.served: BaseException | None = None
        self.holder, self.requester = pipe()
        self.cap: RateCap | None = None

    @asynccontextmanager
    async def link(self) -> AsyncIterator[tuple[Connection, FrameCipher]]:
        mine, theirs = ciphers()
        serving = asyncio.create_task(self._serve(theirs))
        try:
            yield self.requester, mine
        finally:
            await self.requester.close()
            await serving

    async def _serve(self, cipher: FrameCipher) -> None:
        try:
            await serve(self.holder, cipher, self.source, self.workers, cap=self.cap, **self.limits)
        except BuildNetError as error:
            self.served = error

    @asynccontextmanager
    async def stream(self, stall_s: float = 30) -> AsyncIterator[BulkStream]:
        async with (
            self.link() as (connection, cipher),
            open_stream(connection, cipher, self.workers, stall_s=stall_s) as stream,
        ):
            yield stream
