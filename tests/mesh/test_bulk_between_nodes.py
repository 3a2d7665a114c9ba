"""Blobs between whole nodes over loopback: directly, and where one can't dial the other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.mesh.bounded import run
from tests.mesh.mesh_nodes import until

from buildnet.mesh.bulk import links as bulk_links
from buildnet.mesh.bulk.fetch import BlobUnavailableError, BulkFetcher
from buildnet.mesh.bulk.files import FileReader, FileSink
from buildnet.mesh.bulk.links import BulkUnreachableError
from buildnet.mesh.bulk.protocol import BlobReader
from buildnet.mesh.bulk.serving import serve
from buildnet.mesh.digest import Digest
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.dialing import dial
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.link.handshake import HandshakeRefusedError, Initiator, Purpose
from buildnet.mesh.link.handshaking import initiate
from buildnet.mesh.messages.bulk import BulkVisit
from buildnet.mesh.service.service import MeshService
from buildnet.mesh.service.testing import Node, listening_node

BLOB = os.urandom(1000) * 3000
DIGEST = Digest.of(BLOB)


class Exchange:
    """Serves one blob, and fetches it."""

    def __init__(self, directory: Path, workers: ThreadPoolExecutor) -> None:
        self._blob = directory / "blob"
        self._blob.write_bytes(BLOB)
        self._fetched = directory / "fetched"
        self._workers = workers

    def open(self, digest: Digest, offset: int) -> BlobReader | None:
        if digest != DIGEST:
            return None
        return FileReader(os.open(self._blob, os.O_RDONLY), offset)

    async def serve(self, connection: Connection, cipher: FrameCipher, peer: bytes) -> None:
        await serve(connection, cipher, self, self._workers)

    async def fetch(self, service: MeshService, holder: bytes) -> bytes:
        descriptor = os.open(self._fetched, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            fetcher = BulkFetcher(service.bulk, self._workers, note=lambda note: None)
            await fetcher.fetch(FileSink(descriptor, DIGEST), [holder])
        finally:
            os.close(descriptor)
        return self._fetched.read_bytes()


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    with ThreadPoolExecutor(4) as workers:
        yield Exchange(tmp_path, workers)


@asynccontextmanager
async def cluster(directory: Path, **reachable: bool) -> AsyncIterator[list[Node]]:
    """Nodes of which all join the first one; not ``reachable``: nobody knows its address."""
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(
                listening_node(directory / name, name, reachable=dialable)
            )
            for name, dialable in reachable.items()
        ]
        first = nodes[0]
        await until(first.service, lambda: first.service.view().office)
        invited = await first.service.invite(uses=len(nodes))
        for node in nodes[1:]:
            await node.service.join(first.address, token=invited.token)
            await until(node.service, linked(node, first))
            await until(first.service, linked(first, node))
        yield nodes


def linked(node: Node, other: Node) -> Callable[[], bool]:
    def holds() -> bool:
        member = node.service.view().member(other.service.key)
        return member is not None and member.linked

    return holds


def test_a_member_fetches_from_another_one(tmp_path: Path, exchange: Exchange) -> None:
    async def work() -> None:
        async with cluster(tmp_path, a=True, b=True) as [a, b]:
            a.service.serve_bulk(exchange.serve)
            assert await exchange.fetch(b.service, a.service.key) == BLOB

    run(work())


def test_a_holder_that_nobody_can_dial_comes_when_it_is_called(
    tmp_path: Path, exchange: Exchange
) -> None:
    async def work() -> None:
        async with cluster(tmp_path, a=True, b=False) as [a, b]:
            b.service.serve_bulk(exchange.serve)
            for _ in range(3):
                assert await exchange.fetch(a.service, b.service.key) == BLOB

    run(work())


def test_one_member_can_t_take_all_connections(
    tmp_path: Path, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_links, "MAX_SERVED_PER_PEER", 2)

    async def work() -> None:
        async with cluster(tmp_path, a=True, b=True) as [a, b]:
            a.service.serve_bulk(exchange.serve)
            async with AsyncExitStack() as stack:
                for _ in range(2):
                    await stack.enter_async_context(b.service.bulk(a.service.key))
                with pytest.raises(BlobUnavailableError):
                    await exchange.fetch(b.service, a.service.key)
                reasons = {counter.reason for counter in a.service.view().counters}
                assert "too many bulk connections" in reasons
            while True:  # they end, and others may come
                try:
                    assert await exchange.fetch(b.service, a.service.key) == BLOB
                    return
                except BlobUnavailableError:
                    await asyncio.sleep(0)

    run(work())


def test_two_that_can_t_dial_each_other_talk_through_a_third(
    tmp_path: Path, exchange: Exchange
) -> None:
    async def work() -> None:
        async with cluster(tmp_path, a=True, b=False, c=False) as [_, b, c]:
            b.service.serve_bulk(exchange.serve)
            await until(c.service, linked(c, b))
            for _ in range(3):  # more than may be spliced at once for one: none is left behind
                assert await exchange.fetch(c.service, b.service.key) == BLOB

    run(work())


def test_who_has_no_blobs_serves_none(tmp_path: Path, exchange: Exchange) -> None:
    async def work() -> None:
        async with cluster(tmp_path, a=True, b=True) as [a, b]:
            with pytest.raises(BlobUnavailableError):
                await exchange.fetch(b.service, a.service.key)

    run(work())


def test_a_stranger_gets_nothing(tmp_path: Path, exchange: Exchange) -> None:
    async def visit(address: str, cluster_id: bytes, extra: bytes, purpose: Purpose) -> None:
        connection = await dial(address, route="bulk")
        stranger = Initiator(NodeKey.generate(), 1, purpose, cluster_id=cluster_id, extra=extra)
        try:
            await initiate(connection, stranger)
        finally:
            await connection.close()

    async def work() -> None:
        async with cluster(tmp_path, a=True) as [a]:
            a.service.serve_bulk(exchange.serve)
            cluster_id = a.service.view().cluster_id
            for extra in (b"", BulkVisit(bytes(16), None).encode()):
                with pytest.raises(HandshakeRefusedError):
                    await visit(a.address, cluster_id, extra, Purpose.BULK)
            with pytest.raises(HandshakeRefusedError):
                await visit(a.address, cluster_id, b"", Purpose.MEMBER)
            with pytest.raises(ConnectionClosed):
                await visit(a.address, b"x" * 32, b"", Purpose.BULK)

    run(work())


async def revoked_meanwhile(reader: Node, holder: Node, admin: Node, whom: str) -> None:
    """Read what ``holder`` sends until it ends; ``whom`` is revoked after the first message."""
    async with asyncio.timeout(20), reader.service.bulk(holder.service.key) as (connection, _):
        await connection.receive()
        await admin.service.revoke(whom)
        while True:
            await connection.receive()


@pytest.mark.parametrize("dialable", [True, False], ids=["served", "spliced"])
def test_a_revoked_member_loses_its_bulk_connections_at_once(
    tmp_path: Path, dialable: bool
) -> None:
    """Whoever serves it and whoever splices for it, in the middle of a transfer."""
    cut = asyncio.Event()

    async def endless(connection: Connection, cipher: FrameCipher, peer: bytes) -> None:
        try:
            while True:
                await connection.send(cipher.seal(bytes(1000)))
                await asyncio.sleep(0.01)
        finally:
            cut.set()

    async def work() -> None:
        async with cluster(tmp_path, a=True, b=dialable, c=False) as [a, b, c]:
            b.service.serve_bulk(endless)
            await until(c.service, linked(c, b))
            with pytest.raises(ConnectionClosed):
                await revoked_meanwhile(c, b, a, "c")
            async with asyncio.timeout(10):
                await cut.wait()
            for node in (b,) if dialable else (a, b):
                reasons = {counter.reason for counter in node.service.view().counters}
                assert "bulk connection of a former member cut" in reasons

    run(work())


def test_who_serves_a_fetch_may_be_revoked_during_it(tmp_path: Path) -> None:
    async def silent(connection: Connection, cipher: FrameCipher, peer: bytes) -> None:
        await connection.send(cipher.seal(b"welcome"))
        await asyncio.sleep(60)

    async def work() -> None:
        async with cluster(tmp_path, a=True, b=True) as [a, b]:
            b.service.serve_bulk(silent)
            with pytest.raises(ConnectionClosed):
                await revoked_meanwhile(a, b, a, "b")
            with pytest.raises(BulkUnreachableError):
                await revoked_meanwhile(a, b, a, "b")

    run(work())
