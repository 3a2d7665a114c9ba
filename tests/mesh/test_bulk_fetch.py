"""A fetch from several holders: it goes on where one ended, and who lies is noted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.mesh.bulk_bench import BLOB, DIGEST, Bench, Blobs, content

from buildnet.mesh.bulk.fetch import WRONG_BYTES, BlobUnavailableError, BulkFetcher
from buildnet.mesh.bulk.files import FileSink
from buildnet.mesh.events import Note
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.frames import FrameCipher

ONE, OTHER = b"1" * 32, b"2" * 32


class Holders:
    """What a fetcher is given: each opened link is the next bench of that holder."""

    def __init__(self, benches: dict[bytes, list[Bench]]) -> None:
        self.benches = benches
        self.notes: list[Note] = []
        self.dialled: list[bytes] = []

    @asynccontextmanager
    async def open(self, holder: bytes) -> AsyncIterator[tuple[Connection, FrameCipher]]:
        self.dialled.append(holder)
        left = self.benches[holder]
        if not left:
            raise ConnectionClosed(1006, "refused")
        async with left.pop(0).link() as opened:
            yield opened

    def fetcher(self, workers: ThreadPoolExecutor) -> BulkFetcher:
        return BulkFetcher(self.open, workers, note=self.notes.append)


@pytest.fixture
def lying(tmp_path: Path) -> Blobs:
    (tmp_path / "lies").mkdir()
    blobs = Blobs(tmp_path / "lies")
    blobs.put(DIGEST, bytes(len(BLOB)))
    return blobs


def cut(bench: Bench, after: int) -> Bench:
    bench.holder.cut_after = after
    return bench


def test_a_fetch_goes_on_where_the_connection_was_cut(
    tmp_path: Path, workers: ThreadPoolExecutor, descriptor: int
) -> None:
    source = Blobs(tmp_path, BLOB)
    holders = Holders(
        {ONE: [cut(Bench(source, workers), after) for after in (5, 4)] + [Bench(source, workers)]}
    )
    sink = FileSink(descriptor, DIGEST)
    assert asyncio.run(holders.fetcher(workers).fetch(sink, [ONE])) == ONE
    assert content(descriptor) == BLOB
    offsets = [offset for _, offset in source.opened]
    assert offsets == sorted(set(offsets))
    assert len(offsets) == 3


@pytest.mark.parametrize("after", range(16))
@pytest.mark.parametrize("end", ["holder", "requester"])
def test_wherever_it_is_cut_the_blob_is_whole_in_the_end(
    after: int, end: str, tmp_path: Path, workers: ThreadPoolExecutor, descriptor: int
) -> None:
    source = Blobs(tmp_path, BLOB)
    first = Bench(source, workers)
    getattr(first, end).cut_after = after
    holders = Holders({ONE: [first], OTHER: [Bench(source, workers)]})
    sink = FileSink(descriptor, DIGEST)
    asyncio.run(holders.fetcher(workers).fetch(sink, [ONE, OTHER]))
    assert content(descriptor) == BLOB
    assert holders.notes == []


def test_another_holder_goes_on_where_one_ended(
    tmp_path: Path, workers: ThreadPoolExecutor, descriptor: int
) -> None:
    source = Blobs(tmp_path, BLOB)
    holders = Holders({ONE: [cut(Bench(source, workers), 5)], OTHER: [Bench(source, workers)]})
    sink = FileSink(descriptor, DIGEST)
    assert asyncio.run(holders.fetcher(workers).fetch(sink, [ONE, OTHER])) == OTHER
    assert content(descriptor) == BLOB
    assert holders.notes == []


def test_who_sends_wrong_bytes_is_noted_and_another_one_asked(
    tmp_path: Path, workers: ThreadPoolExecutor, descriptor: int, lying: Blobs
) -> None:
    honest = Blobs(tmp_path, BLOB)
    holders = Holders({ONE: [Bench(lying, workers)], OTHER: [Bench(honest, workers)]})
    sink = FileSink(descriptor, DIGEST)
    assert asyncio.run(holders.fetcher(workers).fetch(sink, [ONE, OTHER])) == OTHER
    assert content(descriptor) == BLOB
    assert holders.notes == [Note(WRONG_BYTES, ONE, str(DIGEST))]


def test_who_finishes_a_liar_s_work_is_not_blamed(
    tmp_path: Path, workers: ThreadPoolExecutor, descriptor: int, lying: Blobs
) -> None:
    honest = Blobs(tmp_path, BLOB)
    holders = Holders(
        {
            ONE: [cut(Bench(lying, workers), 6)],
            OTHER: [Bench(honest, workers), Bench(honest, workers)],
        }
    )
    sink = FileSink(descriptor, DIGEST)
    assert asyncio.run(holders.fetcher(workers).fetch(sink, [ONE, OTHER])) == OTHER
    assert content(descriptor) == BLOB
    assert holders.notes == []
    assert honest.opened[-1] == (DIGEST, 0)


def test_if_nobody_has_it_all_are_named(
    tmp_path: Path, workers: ThreadPoolExecutor, descriptor: int, lying: Blobs
) -> None:
    (tmp_path / "empty").mkdir()
    holders = Holders(
        {ONE: [Bench(lying, workers)], OTHER: [Bench(Blobs(tmp_path / "empty"), workers)]}
    )
    sink = FileSink(descriptor, DIGEST)
    with pytest.raises(BlobUnavailableError) as failed:
        asyncio.run(holders.fetcher(workers).fetch(sink, [ONE, OTHER]))
    assert failed.value.cause is not None
    assert ONE.hex()[:16] in failed.value.cause
    assert "BLOB_MISSING" in failed.value.cause
    assert failed.value.exit_code == 1  # one of them lied
    with suppress(BlobUnavailableError):
        asyncio.run(holders.fetcher(workers).fetch(sink, []))
    assert holders.dialled == [ONE, OTHER]


def test_what_all_that_were_asked_lack_is_not_found(
    tmp_path: Path, workers: ThreadPoolExecutor, descriptor: int
) -> None:
    holders = Holders({ONE: [Bench(Blobs(tmp_path), workers)]})
    with pytest.raises(BlobUnavailableError) as failed:
        asyncio.run(holders.fetcher(workers).fetch(FileSink(descriptor, DIGEST), [ONE]))
    assert (failed.value.exit_code, failed.value.http_status) == (6, 404)
    assert "buildnet cache show" in str(failed.value.hint)
