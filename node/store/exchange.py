"""The store as one end of a bulk transfer: what peers fetch here, and what comes from them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

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
            return FileReader(self._store.descriptor(digest), offset)
        except (MissingBlobError, DamagedBlobError):
            return None


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
