"""Blobs between this node's store and other members', over bulk connections of the mesh."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from buildnet.mesh.bulk import BlobSink, FetchRefusedError
from buildnet.mesh.bulk_serving import serve
from buildnet.mesh.bulk_stream import open_stream
from buildnet.mesh.connection import Connection
from buildnet.mesh.digest import Digest
from buildnet.mesh.frames import FrameCipher
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.messages.bulk import MISSING
from buildnet.mesh.service import MeshService
from buildnet.node.store import MissingBlobError, Store
from buildnet.node.store.exchange import StoreSource, fetch_into

_WORKERS = 4


class BlobExchange:
    """Serves the store's blobs to members, and fetches theirs; to be made by :meth:`running`."""

    def __init__(self, mesh: MeshService, store: Store, workers: ThreadPoolExecutor) -> None:
        self._mesh = mesh
        self._store = store
        self._source = StoreSource(store)
        self._workers = workers

    @classmethod
    @contextmanager
    def running(cls, mesh: MeshService, store: Store) -> Iterator[BlobExchange]:
        """Serve until the context ends; the mesh has ended its connections by then."""
        with ThreadPoolExecutor(_WORKERS, "bulk") as workers:
            exchange = cls(mesh, store, workers)
            mesh.serve_bulk(exchange.serve)
            yield exchange

    async def serve(self, connection: Connection, cipher: FrameCipher, peer: bytes) -> None:
        """Send a member the blobs that it asks for."""
        await serve(connection, cipher, self._source, self._workers)

    async def fetch(self, digest: Digest, peer: bytes) -> bool:
        """Get a blob from the member with this key; return whether it had to be.

        Raises:
            BulkUnreachableError: the member can't be reached.
            MissingBlobError: it does not have the blob.
            FetchRefusedError: it can't read it.
            WrongBytesError: it sent another one; nothing is kept.
            StoreFullError: there is no room for it.
        """

        async def fill(sink: BlobSink) -> None:
            async with (
                self._mesh.bulk(peer) as (connection, cipher),
                open_stream(connection, cipher, self._workers) as stream,
            ):
                await stream.fetch(sink)

        try:
            return await fetch_into(self._store, digest, fill)
        except FetchRefusedError as error:
            if error.refusal != MISSING:
                raise
            raise MissingBlobError(
                f"{node_id_of(peer)} does not have the blob {digest}",
                hint="it may have been collected there; on that node: buildnet cache show HASH",
            ) from error
