"""Bulk connections with real threads, files and ciphers over a connection in memory."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.mesh.bulk_bench import BLOB, DIGEST, Bench, Blobs, ciphers, content, pipe

from buildnet.mesh.bulk.files import FileReader, FileSink
from buildnet.mesh.bulk.protocol import (
    BlobReader,
    BulkError,
    FetchRefusedError,
    Requester,
    WrongBytesError,
    chunk,
    frame_of,
)
from buildnet.mesh.bulk.serving import RateCap, StalledError
from buildnet.mesh.bulk.stream import BulkStream, open_stream
from buildnet.mesh.digest import EMPTY, Digest
from buildnet.mesh.link.connection import ConnectionClosed
from buildnet.mesh.link.frames import FrameError
from buildnet.mesh.messages.bulk import CHUNK_BYTES, BulkCredit


@pytest.fixture
def bench(tmp_path: Path, workers: ThreadPoolExecutor) -> Bench:
    return Bench(Blobs(tmp_path, BLOB), workers)


def test_a_blob_arrives_in_a_file(bench: Bench, descriptor: int) -> None:
    async def run() -> None:
        async with bench.stream() as stream:
            await stream.fetch(FileSink(descriptor, DIGEST))

    asyncio.run(run())
    assert content(descriptor) == BLOB
    assert bench.served is None


@pytest.mark.parametrize("size", [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_blobs_of_all_sizes(
    size: int, tmp_path: Path, workers: ThreadPoolExecutor, descriptor: int
) -> None:
    blob = BLOB[:size]

    async def run() -> None:
        async with Bench(Blobs(tmp_path, blob), workers).stream() as stream:
            await stream.fetch(FileSink(descriptor, Digest.of(blob)))

    asyncio.run(run())
    assert content(descriptor) == blob


def test_the_empty_blob_needs_nobody(bench: Bench, descriptor: int) -> None:
    async def run() -> None:
        async with bench.stream() as stream:
            await stream.fetch(FileSink(descriptor, EMPTY))

    asyncio.run(run())
    assert bench.source.opened == []


def test_many_fetches_side_by_side_on_one_stream(
    tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    blobs = [BLOB[: number * 70_000 + 1] for number in range(20)]
    source = Blobs(tmp_path, *blobs)

    async def one(stream: BulkStream, number: int) -> None:
        path = tmp_path / f"fetched-{number}"
        target = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            await stream.fetch(FileSink(target, Digest.of(blobs[number])))
        finally:
            os.close(target)
        assert path.read_bytes() == blobs[number]

    async def run() -> None:
        async with Bench(source, workers).stream() as stream, asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(one(stream, number))

    asyncio.run(run())


def test_a_holder_without_the_blob_says_so_and_serves_on(bench: Bench, descriptor: int) -> None:
    async def run() -> None:
        async with bench.stream() as stream:
            with pytest.raises(FetchRefusedError) as refused:
                await stream.fetch(FileSink(descriptor, Digest.of(b"another")))
            assert refused.value.refusal == "BLOB_MISSING"
            await stream.fetch(FileSink(descriptor, DIGEST))

    asyncio.run(run())
    assert content(descriptor) == BLOB


def test_wrong_bytes_are_refused_and_thrown_away(bench: Bench, descriptor: int) -> None:
    bench.source.put(DIGEST, BLOB[:-1] + b"?")

    async def run() -> None:
        async with bench.stream() as stream:
            sink = FileSink(descriptor, DIGEST)
            with pytest.raises(WrongBytesError):
                await stream.fetch(sink)
            assert sink.offset == 0
            assert content(descriptor) == b""
            bench.source.put(DIGEST, BLOB)
            await stream.fetch(sink)  # the stream goes on

    asyncio.run(run())
    assert content(descriptor) == BLOB


def test_a_blob_that_shrinks_while_it_is_read(bench: Bench, descriptor: int) -> None:
    bench.source.put(DIGEST, BLOB[:-1])

    async def run() -> None:
        async with bench.stream() as stream:
            sink = FileSink(descriptor, DIGEST)
            with pytest.raises(FetchRefusedError) as refused:
                await stream.fetch(sink)
            assert refused.value.refusal == "BLOB_UNREADABLE"
            assert 0 < sink.offset < DIGEST.size_bytes
            bench.source.put(DIGEST, BLOB)
            await stream.fetch(sink)  # from where it was

    asyncio.run(run())
    assert content(descriptor) == BLOB
    assert bench.source.opened[1][1] > 0


def test_a_cut_connection_leaves_what_was_written(bench: Bench, descriptor: int) -> None:
    bench.holder.cut_after = 7

    async def run() -> None:
        sink = FileSink(descriptor, DIGEST)
        async with bench.stream() as stream:
            with pytest.raises(ConnectionClosed):
                await stream.fetch(sink)
            with pytest.raises(ConnectionClosed):
                await stream.fetch(sink)
        assert content(descriptor) == BLOB[: sink.offset]
        again = Bench(bench.source, bench.workers)
        async with again.stream() as stream:
            await stream.fetch(sink)

    asyncio.run(run())
    assert content(descriptor) == BLOB


def test_an_altered_frame_ends_the_stream(bench: Bench, descriptor: int) -> None:
    def flip(data: bytes) -> bytes:
        return data[:-1] + bytes([data[-1] ^ 1])

    async def run() -> None:
        async with bench.stream() as stream:
            bench.holder.alter = flip
            with pytest.raises(FrameError):
                await stream.fetch(FileSink(descriptor, DIGEST))

    asyncio.run(run())


def test_a_full_disk_fails_the_fetch(bench: Bench, descriptor: int) -> None:
    class Full(FileSink):
        def write(self, pieces: Sequence[memoryview]) -> None:
            raise OSError(errno.ENOSPC, "no space left")

    async def run() -> None:
        async with bench.stream() as stream:
            with pytest.raises(OSError, match="no space"):
                await stream.fetch(Full(descriptor, DIGEST))
            with pytest.raises(ConnectionClosed):
                await stream.fetch(FileSink(descriptor, DIGEST))

    asyncio.run(run())


def test_nothing_is_written_after_a_fetch_was_cancelled(bench: Bench, descriptor: int) -> None:
    class Slow(FileSink):
        writing = False
        began = asyncio.Event()

        def write(self, pieces: Sequence[memoryview]) -> None:
            self.writing = True
            loops[0].call_soon_threadsafe(self.began.set)
            super().write(pieces)
            self.writing = False

    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        sink = Slow(descriptor, DIGEST)
        async with bench.stream() as stream:
            fetching = asyncio.create_task(stream.fetch(sink))
            await sink.began.wait()
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
            assert not sink.writing
            at = sink.offset
            with pytest.raises(ConnectionClosed):
                await stream.fetch(FileSink(descriptor, Digest.of(b"other")))
        assert sink.offset == at

    asyncio.run(run())


def test_a_holder_that_says_nothing_is_given_up(
    workers: ThreadPoolExecutor, descriptor: int
) -> None:
    async def run() -> None:
        _, requester = pipe()
        async with open_stream(requester, ciphers()[0], workers, stall_s=0.01) as stream:
            with pytest.raises(StalledError):
                await stream.fetch(FileSink(descriptor, DIGEST))

    asyncio.run(run())


def test_a_requester_that_takes_nothing_is_given_up(
    tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    """A slow reader holds up nobody but itself, and not for ever."""
    bench = Bench(Blobs(tmp_path, BLOB), workers, stall_s=0.05)

    async def run() -> None:
        async with bench.link() as (connection, cipher):
            digest = DIGEST
            for frame in asking(digest):
                await connection.send(cipher.seal(frame))
            await bench.holder.closed.wait()

    asyncio.run(run())
    assert isinstance(bench.served, StalledError)


def test_a_requester_that_gives_no_credit_is_given_up(
    tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    bench = Bench(Blobs(tmp_path, BLOB), workers, stall_s=0.01)

    async def run() -> None:
        async with bench.link() as (connection, cipher):
            await connection.send(cipher.seal(asking(DIGEST)[0]))
            await bench.holder.closed.wait()

    asyncio.run(run())
    assert isinstance(bench.served, StalledError)
    assert "credit" in bench.served.message


def test_a_connection_of_no_use_is_closed(tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    bench = Bench(Blobs(tmp_path, BLOB), workers, idle_s=0.01)

    async def run() -> None:
        async with bench.link():
            await bench.holder.closed.wait()

    asyncio.run(run())
    assert bench.served is None


@pytest.mark.parametrize("frame", [b"", bytes(5000), frame_of(BulkCredit(1 << 40)), chunk(b"x")])
def test_a_holder_ends_a_connection_that_breaks_the_protocol(frame: bytes, bench: Bench) -> None:
    async def run() -> None:
        async with bench.link() as (connection, cipher):
            await connection.send(cipher.seal(frame))
            await bench.holder.closed.wait()

    asyncio.run(run())
    assert isinstance(bench.served, BulkError)


def test_a_holder_that_sends_what_nobody_asked_for(
    workers: ThreadPoolExecutor, descriptor: int
) -> None:
    async def run() -> None:
        holder, requester = pipe()
        mine, theirs = ciphers()
        async with open_stream(requester, mine, workers) as stream:
            fetching = asyncio.create_task(stream.fetch(FileSink(descriptor, DIGEST)))
            await holder.receive()
            await holder.send(theirs.seal(chunk(bytes(10))))
            with pytest.raises(BulkError):
                await fetching

    asyncio.run(run())


def test_readers_are_closed_whatever_ends_the_connection(
    tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    readers: list[FileReader] = []

    class Closing(FileReader):
        closed = False

        def close(self) -> None:
            super().close()
            self.closed = True

    class Counted(Blobs):
        def open(self, digest: Digest, offset: int) -> BlobReader | None:
            readers.append(Closing(os.open(tmp_path / digest.hash, os.O_RDONLY), offset))
            return readers[-1]

    bench = Bench(Counted(tmp_path, BLOB), workers)

    async def run() -> None:
        async with bench.link() as (connection, cipher):
            for frame in asking(DIGEST):
                await connection.send(cipher.seal(frame))
            await connection.receive()

    asyncio.run(run())
    assert [getattr(reader, "closed", None) for reader in readers] == [True]


def asking(digest: Digest) -> list[bytes]:
    return Requester().fetch(digest, 0)


def test_a_cap_spaces_bytes_out_over_all_who_share_it() -> None:
    cap = RateCap(1000)
    assert cap.wait_s(500, now=10) == 0
    assert cap.wait_s(1000, now=10) == 0.5
    assert cap.wait_s(100, now=10.5) == pytest.approx(1)
    assert cap.wait_s(100, now=20) == 0
    assert RateCap(None).wait_s(1 << 40, now=0) == 0


def test_a_holder_that_takes_its_time_is_not_idle(
    tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    class Slow(RateCap):
        def wait_s(self, size_bytes: int, now: float) -> float:
            return 0.3

    bench = Bench(Blobs(tmp_path, BLOB[:9]), workers, idle_s=0.05)
    bench.cap = Slow()

    async def run() -> None:
        async with bench.link() as (connection, cipher):
            for frame in asking(Digest.of(BLOB[:9])):
                await connection.send(cipher.seal(frame))
            assert cipher.open(await connection.receive()) == chunk(BLOB[:9])

    asyncio.run(run())
