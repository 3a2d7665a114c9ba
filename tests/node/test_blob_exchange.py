"""Blobs of the store over connections of the mesh."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from buildnet.mesh.bulk.memory import SMALL_BYTES, MemorySink
from buildnet.mesh.bulk.protocol import MAX_FRAME_BYTES, FetchRefusedError, WrongBytesError
from buildnet.mesh.bulk.stream import open_stream
from buildnet.mesh.digest import Digest
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.service.testing import pair
from buildnet.node.blob_exchange import BlobExchange
from buildnet.node.store import Store
from buildnet.node.store.exchange import fetch_into

BLOB = bytes(1024**2)
DIGEST = Digest.of(BLOB)


class Mesh:
    """No mesh: the test opens the connections."""

    def serve_bulk(self, handler: Any) -> None:
        pass

    def bulk(self, peer: bytes) -> Any:
        raise AssertionError("nothing is fetched")


async def fetched(exchange: BlobExchange, into: Store) -> None:
    mine, theirs = pair()
    one, other = b"1" * 32, b"2" * 32
    async with asyncio.TaskGroup() as group:
        group.create_task(exchange.serve(theirs, FrameCipher(one, other, MAX_FRAME_BYTES), b""))
        cipher = FrameCipher(other, one, MAX_FRAME_BYTES)
        with ThreadPoolExecutor(2) as workers:
            async with open_stream(mine, cipher, workers) as stream:
                assert await fetch_into(into, DIGEST, stream.fetch)


def test_all_that_is_sent_shares_one_limit(tmp_path: Path) -> None:
    async def took_s(exchange: BlobExchange, *into: Store) -> float:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for store in into:
                group.create_task(fetched(exchange, store))
        return time.monotonic() - began

    with (
        Store.open(tmp_path / "holder", 10_000_000) as holder,
        Store.open(tmp_path / "b", 10_000_000) as b,
        Store.open(tmp_path / "c", 10_000_000) as c,
    ):
        holder.put(BLOB)
        mesh: Any = Mesh()
        with BlobExchange.running(mesh, holder, lambda note: None, 4 * 1024**2) as exchange:
            # All but the last chunk of two MiB have to wait for those before them.
            assert asyncio.run(took_s(exchange, b, c)) >= 7 / 8 * 2 / 4
        assert b.get(DIGEST) == c.get(DIGEST) == BLOB


class Loopback(Mesh):
    """A mesh of two: what is fetched comes from ``holder``."""

    holder: BlobExchange

    @asynccontextmanager
    async def bulk(self, peer: bytes) -> AsyncIterator[tuple[Any, FrameCipher]]:
        mine, theirs = pair()
        one, other = b"1" * 32, b"2" * 32
        cipher = FrameCipher(one, other, MAX_FRAME_BYTES)
        serving = asyncio.create_task(self.holder.serve(theirs, cipher, b""))
        try:
            yield mine, FrameCipher(other, one, MAX_FRAME_BYTES)
        finally:
            serving.cancel()


def test_many_blobs_of_all_sizes_come_at_once(tmp_path: Path) -> None:
    sizes = [0, 1, SMALL_BYTES, SMALL_BYTES + 1, 300_000, *range(100, 700)]
    lost, mesh = Digest.of(b"lost"), Loopback()
    with (
        Store.open(tmp_path / "holder", 10_000_000) as holder,
        Store.open(tmp_path / "other", 10_000_000) as other,
        BlobExchange.running(cast(Any, mesh), holder, lambda note: None) as theirs,
        BlobExchange.running(cast(Any, mesh), other, lambda note: None) as mine,
    ):
        mesh.holder = theirs
        blobs = [holder.put(size.to_bytes(4) * (size // 4) + bytes(size % 4)) for size in sizes]
        other.put(holder.get(blobs[7]))

        async def fetch() -> None:
            with pytest.raises(FetchRefusedError):
                await mine.fetch_all([*blobs, lost, *blobs], b"holder")
            await mine.fetch_all(blobs, b"holder")

        asyncio.run(fetch())
        assert other.missing([*blobs, lost]) == {lost}


def test_wrong_bytes_of_a_small_blob_are_not_kept(tmp_path: Path) -> None:
    sink = MemorySink(Digest.of(b"right"))
    sink.write([memoryview(b"wr"), memoryview(b"ong")])
    with pytest.raises(WrongBytesError):
        sink.finish()
    assert sink.offset == 0
    sink.write([memoryview(b"right")])
    sink.finish()
    assert sink.data == b"right"
