"""Long answers come compressed to who takes that: a list of a hundred nodes is 600 KiB of JSON."""

from __future__ import annotations

import asyncio
import gzip

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from buildnet.node.api.encodings import takes_gzip

FROM_BYTES = 16 * 1024
LEVEL = 1


async def packed(request: Request, response: Response) -> Response:
    """Return an answer of JSON, compressed where it is long and the client takes ``gzip``. A stream
    stays as it is, and so does what is compressed already."""
    if isinstance(response, StreamingResponse) or len(response.body) < FROM_BYTES:
        return response
    is_json = response.headers.get("content-type", "").startswith("application/json")
    if not is_json or "vary" in response.headers:
        return response
    response.headers["vary"] = "accept-encoding"
    if takes_gzip(request):
        body = bytes(response.body)
        response.body = await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(response.body))
    return response
