"""The requester's end of a bulk connection: what :mod:`buildnet.mesh.bulk.protocol` decides, done.

Frames are opened in one worker thread, hashed and written in another, a few at a time and side by
side with the socket, so that the event loop only hands bytes on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from buildnet.mesh.bulk.in_thread import in_thread
from buildnet.mesh.bulk.protocol import (
    READ_AHEAD,
    WINDOW_BYTES,
    BlobSink,
    BulkError,
    Bytes,
    Refused,
    Requester,
    WrongBytesError,
)
from buildnet.mesh.bulk.serving import STALL_S, StalledError
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.frames import FrameCipher

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
        self._sealed: asyncio.Queue[bytes | ConnectionClosed] = asyncio.Queue(_QUEUE_FRAMES)
        self._opened: asyncio.Queue[list[bytes] | ConnectionClosed] = asyncio.Queue(1)
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
                fetch.done.cancel()
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
                for work in (self._receive, self._open, self._write):
                    tasks.create_task(work())
        except* (BuildNetError, OSError) as errors:
            self._end(errors.exceptions[0])
        finally:
            self._end(None)

    async def _receive(self) -> None:
        while True:
            try:
                received = await self._connection.receive()
            except ConnectionClosed as closed:  # after all that it brought
                await self._sealed.put(closed)
                return
            await self._sealed.put(received)

    async def _open(self) -> None:
        while True:
            batch: list[bytes] = []
            received = await self._sealed.get()
            while isinstance(received, bytes):
                batch.append(received)
                if len(batch) == READ_AHEAD or self._sealed.empty():
                    break
                received = self._sealed.get_nowait()
            if batch:
                await self._opened.put(await in_thread(self._workers, self._open_all, batch))
            if isinstance(received, ConnectionClosed):
                await self._opened.put(received)
                return

    def _open_all(self, batch: list[bytes]) -> list[bytes]:
        return [self._opener.open(sealed) for sealed in batch]

    async def _write(self) -> None:
        while True:
            frames = await self._opened.get()
            if isinstance(frames, ConnectionClosed):
                raise frames
            async with self._turn:
                if self._ended is not None:
                    return
                self._received += len(frames)
                ended, failure = await in_thread(self._workers, self._take, frames)
                for fetch, error in ended:
                    _tell(fetch, error)
                if failure is not None:
                    raise failure
                with suppress(ConnectionClosed):  # what came before is still written
                    await self._say(self._requester.grant())

    def _take(self, frames: list[bytes]) -> tuple[list[_Outcome], BaseException | None]:
        """In a thread: write what frames bring; return the fetches that ended, and what ends the
        stream."""
        ended: list[_Outcome] = []
        pieces: list[memoryview] = []
        try:
            for frame in frames:
                said = self._requester.receive(frame)
                if isinstance(said, Bytes):
                    pieces.append(said.data)
                    if not said.last:
                        continue
                self._flush(pieces)
                pieces = []
                error = said.error if isinstance(said, Refused) else self._finish()
                ended.append((self._fetches.popleft(), error))
            self._flush(pieces)
        except BulkError as error:
            return ended, error
        except OSError as error:  # the disk is full: one fetch's matter, but its bytes still come
            return [*ended, (self._fetches.popleft(), error)], error
        return ended, None

    def _flush(self, pieces: list[memoryview]) -> None:
        if pieces:
            self._fetches[0].sink.write(pieces)

    def _finish(self) -> BaseException | None:
        try:
            self._fetches[0].sink.finish()
        except WrongBytesError as error:
            return error
        return None

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


def _tell(fetch: _Fetch, error: BaseException | None) -> None:
    if fetch.done.done():
        return
    if error is None:
        fetch.done.set_result(None)
    else:
        fetch.done.set_exception(error)
