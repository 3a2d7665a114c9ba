"""A blob as an answer, text or a file: of a long one no more than a part is in memory at once,
however many ask for it, and however slowly they read."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from fastapi.responses import Response, StreamingResponse

from buildnet.mesh.digest import Digest
from buildnet.node.store import Store

PART_BYTES = 256 * 1024
_NAME = re.compile(r"([0-9a-f]{64})/([0-9]{1,15})", re.ASCII)
FILE = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"


def digest_of(text: str) -> Digest | None:
    """Return the blob that ``HASH/SIZE`` names, wherever that comes from; None: it names none."""
    found = _NAME.fullmatch(text)
    return None if found is None else Digest(found[1], int(found[2]))


async def text_of(store: Store, digest: Digest) -> Response:
    """Return the answer that is a blob of text.

    Raises:
        MissingBlobError, DamagedBlobError: it is not there, or not what its name says.
    """
    return await _blob(store, digest, _TEXT, {})


async def file_of(store: Store, digest: Digest, name: str) -> Response:
    """Return the answer that is a file to be kept under a name. Raises as :func:`text_of`."""
    quoted = quote(name, safe="", errors="replace")
    headers = {"content-disposition": f"attachment; filename*=utf-8''{quoted}"}
    return await _blob(store, digest, FILE, headers)


async def _blob(store: Store, digest: Digest, kind: str, headers: dict[str, str]) -> Response:
    if digest.size_bytes <= PART_BYTES:
        data = await asyncio.to_thread(store.get, digest)
        return Response(data, media_type=kind, headers=headers)
    await asyncio.to_thread(store.read, digest, 0, 0)  # verified, while that can still be told
    headers = {**headers, "content-length": str(digest.size_bytes)}
    return StreamingResponse(_parts(store, digest), media_type=kind, headers=headers)


async def _parts(store: Store, digest: Digest) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(lambda: os.fdopen(store.descriptor(digest), "rb"))
    with file:
        while part := await asyncio.to_thread(file.read, PART_BYTES):
            yield part
