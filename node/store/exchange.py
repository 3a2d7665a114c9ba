"""The store as one end of a bulk transfer: what peers fetch here, and what comes from them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from blake3 import blake3

from buildnet.mesh.bulk.files import FileReader, FileSink
from buildnet.mesh.bulk.protocol import BlobReader, BlobSink
from buildnet.mesh.digest import EMPTY, Digest
from buildnet.node.store.errors import (
    DamagedBlobError,
    MissingBlobError,
    StoreFullError,
    is_disk_full,
)
from buildnet.node.store.store import Store


class StoreSource:
    """The mesh's ``BlobSource`` over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self, digest: Digest, offset: int) -> BlobReader | None:
        """Open a blob to read from ``offset``; None: it is not here, or not of that size."""
        try:
            reader = FileReader(self._store.descriptor(digest), offset)
        except (MissingBlobError, DamagedBlobError):
            return None
        return _CheckedReader(self._store, digest, reader) if offset == 0 else reader


class _CheckedReader:
    """Reads a whole blob for a peer, who refuses wrong bytes, and drops it here if it has them."""

    def __init__(self, store: Store, digest: Digest, reader: FileReader) -> None:
        self._store = store
        self._digest = digest
        self._reader = reader
        self._hasher = blake3()
        self._left_bytes = digest.size_bytes

    def read(self, size_bytes: int) -> bytes:
        data = self._reader.read(size_bytes)
        self._hasher.update(data)
        self._left_bytes -= len(data)
        if data and self._left_bytes == 0 and self._hasher.hexdigest() != self._digest.hash:
            with suppress(MissingBlobError):
                self._store.read(self._digest, 0, 0)  # which looks again, and drops it
        return data

    def close(self) -> None:
        self._reader.close()


async def fetch_into(
    store: Store, digest: Digest, fetch: Callable[[BlobSink], Awaitable[None]]
) -> bool:
    """Let ``fetch`` fill a sink with a blob that the store lacks; return whether it was needed.

    Raises:
        StoreFullError: the volume is full, and collecting did not help.
        BuildNetError: what ``fetch`` raises; nothing of the blob is kept.
    """
    if not await asyncio.to_thread(store.missing, (digest,)):
        return False
    if digest == EMPTY:  # nobody need be asked for it
        await asyncio.to_thread(store.put, b"")
        return True
    incoming = await asyncio.to_thread(store.receive, digest)
    whole = False
    try:
        await fetch(FileSink(incoming.descriptor, digest))
        whole = True
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise StoreFullError(
            f"no room left on the volume: {digest.size_bytes:,} bytes could not be written",
            cause=str(error),
            hint="free space on the volume, or set BUILDNET_HOME to a larger one",
        ) from error
    finally:
        await asyncio.to_thread(incoming.close, whole=whole)
    return True
