"""The store as one end of a bulk transfer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildnet.mesh.bulk.protocol import BlobSink, FetchRefusedError, WrongBytesError
from buildnet.mesh.digest import EMPTY, Digest
from buildnet.node.store import MissingBlobError, Store, StoreFullError
from buildnet.node.store.exchange import StoreSource, fetch_into

DATA = os.urandom(300_000)
DIGEST = Digest.of(DATA)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", 10_000_000) as store:
        yield store


def left_behind(store: Store) -> list[str]:
    return [path.name for path in (store.directory / "tmp").glob("*/*")]


async def send(sink: BlobSink, data: bytes = DATA) -> None:
    for begin in range(0, len(data), 100_000):
        sink.write([memoryview(data)[begin : begin + 100_000]])
    sink.finish()


def test_a_blob_is_read_from_anywhere_in_it(store: Store) -> None:
    store.put(DATA)
    reader = StoreSource(store).open(DIGEST, 1000)
    assert reader is not None
    assert reader.read(5000) == DATA[1000:6000]
    assert reader.read(10_000_000) == DATA[6000:]
    assert reader.read(1) == b""
    reader.close()


def test_a_damaged_blob_is_dropped_when_it_was_read_for_a_peer(store: Store) -> None:
    """The peer refuses the bytes; here they must not stay either."""
    store.put(DATA)
    path = store.directory / "blobs" / DIGEST.hash[:2] / DIGEST.hash
    path.chmod(0o644)
    path.write_bytes(bytes(len(DATA)))
    reader = StoreSource(store).open(DIGEST, 0)
    assert reader is not None
    while reader.read(70_000):
        pass
    reader.close()
    assert store.missing([DIGEST]) == {DIGEST}
    assert not path.exists()


def test_a_blob_that_is_being_read_may_be_collected(store: Store) -> None:
    store.put(DATA)
    reader = StoreSource(store).open(DIGEST, 0)
    assert reader is not None
    store.collect(0)
    with pytest.raises(MissingBlobError):
        store.get(DIGEST)
    assert reader.read(len(DATA)) == DATA
    reader.close()


def test_what_is_not_there_or_has_another_size_is_not_read(store: Store) -> None:
    assert StoreSource(store).open(DIGEST, 0) is None
    store.put(DATA)
    assert StoreSource(store).open(Digest(DIGEST.hash, 5), 0) is None
    assert store.get(DIGEST) == DATA


def test_what_comes_becomes_a_blob(store: Store) -> None:
    assert asyncio.run(fetch_into(store, DIGEST, send))
    assert store.get(DIGEST) == DATA
    assert left_behind(store) == []
    assert (store.directory / "blobs" / DIGEST.hash[:2] / DIGEST.hash).stat().st_mode & 0o777 == (
        0o444
    )


def test_what_is_there_is_not_fetched(store: Store) -> None:
    async def fail(sink: BlobSink) -> None:
        raise AssertionError("nothing to fetch")

    store.put(DATA)
    assert not asyncio.run(fetch_into(store, DIGEST, fail))
    assert asyncio.run(fetch_into(store, EMPTY, fail))
    assert store.get(EMPTY) == b""


def test_no_blob_but_one_is_empty(store: Store) -> None:
    invented = Digest("ab" * 32, 0)

    async def refuse(sink: BlobSink) -> None:
        raise FetchRefusedError(invented, "BLOB_MISSING")

    with pytest.raises(FetchRefusedError):
        asyncio.run(fetch_into(store, invented, refuse))


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (FetchRefusedError(DIGEST, "BLOB_MISSING"), FetchRefusedError),
        (OSError(28, "No space left on device"), StoreFullError),
        (OSError(5, "Input/output error"), OSError),
    ],
)
def test_a_fetch_that_fails_leaves_nothing(
    store: Store, error: Exception, raised: type[Exception]
) -> None:
    async def fail(sink: BlobSink) -> None:
        sink.write([memoryview(DATA)[:1000]])
        raise error

    with pytest.raises(raised):
        asyncio.run(fetch_into(store, DIGEST, fail))
    assert left_behind(store) == []
    assert store.missing((DIGEST,))


def test_wrong_bytes_never_become_a_blob(store: Store) -> None:
    async def lie(sink: BlobSink) -> None:
        await send(sink, DATA[:-1] + bytes([DATA[-1] ^ 1]))

    with pytest.raises(WrongBytesError):
        asyncio.run(fetch_into(store, DIGEST, lie))
    assert left_behind(store) == []
    assert store.missing((DIGEST,))


def test_a_fetch_that_is_cancelled_leaves_nothing(store: Store) -> None:
    async def run() -> None:
        begun = asyncio.Event()

        async def hang(sink: BlobSink) -> None:
            sink.write([memoryview(DATA)[:1000]])
            begun.set()
            await asyncio.Event().wait()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(fetch_into(store, DIGEST, hang))
            await begun.wait()
            task.cancel()

    asyncio.run(run())
    assert left_behind(store) == []
