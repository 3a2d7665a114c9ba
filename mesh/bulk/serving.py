"""The holder's end of a bulk connection: what :mod:`buildnet.mesh.bulk.protocol` decides, done.

Reading and sealing happen in worker threads, a few chunks at a time and side by side with the
socket, so that the event loop only hands bytes on.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor
from contextlib import suppress

from buildnet.mesh.bulk.in_thread import in_thread
from buildnet.mesh.bulk.memory import SMALL_BYTES, MemoryReader
from buildnet.mesh.bulk.protocol import (
    BlobReader,
    BlobSource,
    BulkError,
    Holder,
    OpenBlob,
    ReadChunks,
    chunk,
)
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.frames import FrameCipher, FrameError, FrameSealer

STALL_S = 30.0
"""Without a byte or credit for so long, the connection is given up."""

IDLE_S = 60.0
"""A connection on which nobody asks for anything is closed."""

_POLICY_VIOLATION = 1008


class StalledError(BuildNetError):
    """The other end of a bulk connection sent nothing for too long."""

    code = "BULK_STALLED"
    http_status = 504


class RateCap:
    """Spaces out bytes: at most ``bytes_per_s`` over time, shared by who shares the object."""

    def __init__(self, bytes_per_s: float | None = None) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0

    def wait_s(self, size_bytes: int, now: float) -> float:
        """Return how long to wait, from the monotonic ``now``, before these bytes are sent."""
        if self._bytes_per_s is None:
            return 0.0
        start = max(self._free_at, now)
        self._free_at = start + size_bytes / self._bytes_per_s
        return start - now


async def serve(
    connection: Connection,
    cipher: FrameCipher,
    source: BlobSource,
    workers: Executor,
    *,
    cap: RateCap | None = None,
    stall_s: float = STALL_S,
    idle_s: float = IDLE_S,
) -> None:
    """Answer the fetches on a connection whose handshake is done, until it ends.

    Raises:
        BulkError, FrameError, ConnectionClosed: the requester broke the protocol.
        StalledError: it took nothing, or gave no credit, for ``stall_s``.
    """
    serving = _Serving(connection, cipher, source, workers, cap or RateCap(), stall_s, idle_s)
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            for work in (serving.send, serving.produce, serving.listen):
                tasks.create_task(work())
    except* (ConnectionClosed, _IdleError) as endings:  # mostly, it has what it wanted
        for ending in endings.exceptions:
            if isinstance(ending, ConnectionClosed) and ending.misbehaved:
                failure = ending
    except* (BulkError, FrameError, StalledError) as failures:
        failure = failures.exceptions[0]
    finally:
        serving.close_reader()
        reason = "" if failure is None else str(failure)[:100]
        with suppress(ConnectionClosed):
            await connection.close(1000 if failure is None else _POLICY_VIOLATION, reason)
    if failure is not None:
        raise failure


class _IdleError(Exception):
    """Nobody asked for anything."""


class _Serving:
    def __init__(
        self,
        connection: Connection,
        cipher: FrameCipher,
        source: BlobSource,
        workers: Executor,
        cap: RateCap,
        stall_s: float,
        idle_s: float,
    ) -> None:
        self._connection = connection
        self._sealer, self._opener = cipher.sealer, cipher.opener
        self._source = source
        self._workers = workers
        self._cap = cap
        self._stall_s = stall_s
        self._idle_s = idle_s
        self._holder = Holder()
        self._heard = asyncio.Event()
        self._sealed: asyncio.Queue[list[bytes]] = asyncio.Queue(1)
        self._sending = False
        self._reader: BlobReader | None = None

    async def listen(self) -> None:
        while True:
            sealed = await self._connection.receive()
            self._holder.receive(self._opener.open(sealed))
            self._heard.set()

    async def produce(self) -> None:
        while True:
            match self._holder.next():
                case OpenBlob() as wanted:
                    await self._open(wanted)
                case ReadChunks() as wanted:
                    await self._read(wanted)
                case None:
                    await self._wait()

    async def send(self) -> None:
        while True:
            self._sending = False
            batch = await self._sealed.get()
            self._sending = True
            for sealed in batch:
                wait_s = self._cap.wait_s(len(sealed), time.monotonic())
                # Also where there is no wait: whatever else is ready goes first.
                await asyncio.sleep(wait_s)
                try:
                    async with asyncio.timeout(self._stall_s):
                        await self._connection.send(sealed)
                except TimeoutError:
                    raise StalledError("the requester took nothing") from None

    async def _wait(self) -> None:
        self._heard.clear()
        try:
            async with asyncio.timeout(self._stall_s if self._holder.busy else self._idle_s):
                await self._heard.wait()
        except TimeoutError:
            if self._sending or not self._sealed.empty():
                return  # a low cap takes its time
            if self._holder.busy:
                raise StalledError("the requester gave no credit") from None
            raise _IdleError from None

    async def _open(self, wanted: OpenBlob) -> None:
        try:
            await in_thread(self._workers, self._open_reader, wanted)
        except (OSError, BuildNetError) as error:
            await self._say(self._holder.failed(_words(error)))
            return
        answer = self._holder.opened(self._reader is not None)
        if answer is not None:
            await self._say(answer)

    async def _read(self, wanted: ReadChunks) -> None:
        reader = self._reader
        assert reader is not None
        try:
            if isinstance(reader, MemoryReader):  # sealed sooner than a thread would begin
                sealed = _read_and_seal(reader, wanted.sizes, self._sealer)
            else:
                sealed = await in_thread(
                    self._workers, _read_and_seal, reader, wanted.sizes, self._sealer
                )
        except (OSError, BuildNetError) as error:
            self.close_reader()
            await self._say(self._holder.failed(_words(error), sum(wanted.sizes)))
            return
        if wanted.last:
            self.close_reader()
        await self._sealed.put(sealed)

    async def _say(self, frame: bytes) -> None:
        await self._sealed.put([self._sealer.seal(frame)])

    def _open_reader(self, wanted: OpenBlob) -> None:
        # Kept in the thread, so that one is closed whose opening nobody waits for any more.
        self._reader = self._source.open(wanted.digest, wanted.offset)
        left_bytes = wanted.digest.size_bytes - wanted.offset
        if self._reader is not None and left_bytes <= SMALL_BYTES:
            try:
                data = self._reader.read(left_bytes)
            finally:
                self.close_reader()
            self._reader = MemoryReader(data)

    def close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _read_and_seal(reader: BlobReader, sizes: tuple[int, ...], sealer: FrameSealer) -> list[bytes]:
    # All is read before anything is sealed: a frame that is sealed has to be sent.
    chunks = [reader.read(size) for size in sizes]
    if any(len(data) != size for data, size in zip(chunks, sizes, strict=True)):
        raise OSError("the blob is shorter than it was")
    return [sealer.seal(chunk(data)) for data in chunks]


def _words(error: OSError | BuildNetError) -> str:
    if isinstance(error, BuildNetError):
        return error.message
    return error.strerror or str(error)
