"""Blobs of the store over connections of the mesh."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from buildnet.mesh.bulk.protocol import MAX_FRAME_BYTES
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
