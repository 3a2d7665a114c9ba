"""The requester's end of a bulk connection: what :mod:`buildnet.mesh.bulk` decides, done.

Opening, hashing and writing happen in worker threads, a few chunks at a time and side by side with
the socket, so that the event loop only hands bytes on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from buildnet.mesh.bulk import (
    READ_AHEAD,
    WINDOW_BYTES,
    BlobSink,
    BulkError,
    Refused,
    Requester,
    WrongBytesError,
)
from buildnet.mesh.bulk_serving import STALL_S, StalledError
from buildnet.mesh.connection import Connection, ConnectionClosed
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.frames import FrameCipher, FrameError
from buildnet.mesh.in_thread import in_thread

_QUEUE_FRAMES = 2 * READ_AHEAD


@dataclass(slots=True, eq=False)
class _Fetch:
    sink: BlobSink
    done: asyncio.Future[None]


_Outcome = tuple[_Fetch, BaseException | None]


class BulkStream:
    """A bulk connection to one holder, from :func:`open_stream`. Fetches may run side by side:
    they are sent ahead and answered one after the other."""

    def __init__(
        self,
        connection: Connection,
        cipher: FrameCipher,
        workers: Executor,
        window_bytes: int,
        stall_s: float,
    ) -> None:
        self._connection = connection
        self._sealer, self._opener = cipher.sealer, cipher.opener
        self._workers = workers
        self._stall_s = stall_s
        self._requester = Requester(window_bytes)
        self._turn = asyncio.Lock()
        """Held by whoever uses the requester, the fetches or their sinks."""
        self._fetches: deque[_Fetch] = deque()
        self._frames: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE_FRAMES)
        self._received = 0
        self._ended: BuildNetError | None = None

    async def fetch(self, sink: BlobSink) -> None:
        """Fetch what is missing of ``sink.digest`` and check it.

        When this returns or raises, nothing is written to the sink any more; after an error other
        than WrongBytesError, ``sink.offset`` says where to go on. A fetch that is cancelled ends
        the whole stream.

        Raises:
            FetchRefusedError: the holder does not have it.
            WrongBytesError: it is another blob; the sink is empty again.
            ConnectionClosed, BulkError, FrameError, StalledError: the stream is at its end.
            OSError: the sink can't be written; the stream is at its end.
        """
        if sink.offset >= sink.digest.size_bytes:
            await in_thread(self._workers, sink.finish)
            return
        fetch = _Fetch(sink, asyncio.get_running_loop().create_future())
        async with self._turn:
            if self._ended is not None:
                raise self._ended
            if not self._requester.room:
                raise BulkError("too many fetches at once")
            self._fetches.append(fetch)
            asked = self._requester.fetch(sink.digest, sink.offset)
            try:
                await self._say(asked)
            except BaseException as error:
                self._end(error)
                raise
        try:
            await self._done(fetch)
        finally:
            if not fetch.done.done():
                await self._abandon(fetch)

    async def _done(self, fetch: _Fetch) -> None:
        received = -1
        while True:
            await asyncio.wait([fetch.done], timeout=self._stall_s)
            if fetch.done.done():
                return fetch.done.result()
            if received == self._received:
                raise StalledError("the holder sent nothing", cause=f"for {self._stall_s:g} s")
            received = self._received

    async def _abandon(self, fetch: _Fetch) -> None:
        """End the stream and wait until no thread writes to the sink any more."""
        fetch.done.cancel()
        self._end(None)
        while self._turn.locked():
            with suppress(asyncio.CancelledError):
                async with self._turn:
                    break
        await self._connection.close()

    async def run(self) -> None:
        """Receive until the connection or a sink fails."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive())
                tasks.create_task(self._write())
        except* (BuildNetError, OSError) as errors:
            self._end(errors.exceptions[0])
        finally:
            self._end(None)

    async def _receive(self) -> None:
        while True:
            await self._frames.put(await self._connection.receive())

    async def _write(self) -> None:
        while True:
            frames = [await self._frames.get()]
            while len(frames) < READ_AHEAD and not self._frames.empty():
                frames.append(self._frames.get_nowait())
            async with self._turn:
                if self._ended is not None:
                    return
                self._received += len(frames)
                ended, failure = await in_thread(self._workers, self._take, frames)
                for fetch, error in ended:
                    _tell(fetch, error)
                if failure is not None:
                    raise failure
                await self._say(self._requester.grant())

    def _take(self, frames: list[bytes]) -> tuple[list[_Outcome], BaseException | None]:
        """In a thread: open frames and write what they bring; return the fetches that ended, and
        what ends the stream."""
        ended: list[_Outcome] = []
        try:
            for sealed in frames:
                said = self._requester.receive(self._opener.open(sealed))
                sink = self._fetches[0].sink
                if isinstance(said, Refused):
                    ended.append((self._fetches.popleft(), said.error))
                    continue
                try:
                    sink.write(said.data)
                except OSError as error:  # the disk is full: this fetch's matter, but its bytes
                    ended.append((self._fetches.popleft(), error))  # would still come
                    raise
                if said.last:
                    ended.append((self._fetches.popleft(), _finish(sink)))
        except (BulkError, FrameError, OSError) as error:
            return ended, error
        return ended, None

    async def _say(self, frames: list[bytes]) -> None:
        for frame in frames:
            await self._connection.send(self._sealer.seal(frame))

    def _end(self, error: BaseException | None) -> None:
        """Fail what is asked for, and all that will be."""
        if self._ended is None:
            self._ended = (
                error
                if isinstance(error, BuildNetError)
                else ConnectionClosed(1000, "the stream was ended")
            )
        for fetch in self._fetches:
            _tell(fetch, self._ended)


@asynccontextmanager
async def open_stream(
    connection: Connection,
    cipher: FrameCipher,
    workers: Executor,
    *,
    window_bytes: int = WINDOW_BYTES,
    stall_s: float = STALL_S,
) -> AsyncIterator[BulkStream]:
    """Use a connection whose handshake is done to fetch blobs; it is closed in the end."""
    stream = BulkStream(connection, cipher, workers, window_bytes, stall_s)
    # No TaskGroup: it would wrap the errors of the caller's block.
    running = asyncio.create_task(stream.run())
    try:
        yield stream
    finally:
        running.cancel()
        await asyncio.wait([running])
        await connection.close()
        if not running.cancelled():
            running.result()


def _finish(sink: BlobSink) -> BaseException | None:
    try:
        sink.finish()
    except WrongBytesError as error:
        return error
    return None


def _tell(fetch: _Fetch, error: BaseException | None) -> None:
    if fetch.done.done():
        return
    if error is None:
        fetch.done.set_result(None)
    else:
        fetch.done.set_exception(error)
