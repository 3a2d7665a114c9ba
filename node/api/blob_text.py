"""A blob as the text of an answer: of a long one no more than a part is in memory at once, however
many ask for it, and however slowly they read."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator

from fastapi.responses import Response, StreamingResponse

from buildnet.mesh.digest import Digest
from buildnet.node.store import Store

NAME = re.compile(r"[0-9a-f]{64}/[0-9]{1,15}", re.ASCII)
"""A blob's digest and size as a build's JSON and requests have them."""
PART_BYTES = 256 * 1024
_TEXT = "text/plain; charset=utf-8"


async def text_of(store: Store, digest: Digest) -> Response:
    """Return the answer that is a blob.

    Raises:
        MissingBlobError, DamagedBlobError: it is not there, or not what its name says.
    """
    if digest.size_bytes <= PART_BYTES:
        return Response(await asyncio.to_thread(store.get, digest), media_type=_TEXT)
    await asyncio.to_thread(store.read, digest, 0, 0)  # verified, while that can still be told
    headers = {"content-length": str(digest.size_bytes)}
    return StreamingResponse(_parts(store, digest), media_type=_TEXT, headers=headers)


async def _parts(store: Store, digest: Digest) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(lambda: os.fdopen(store.descriptor(digest), "rb"))
    with file:
        while part := await asyncio.to_thread(file.read, PART_BYTES):
            yield part
