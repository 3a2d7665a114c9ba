"""Entity tags (RFC 9110): who has an answer already is told so in place of getting it again."""

from __future__ import annotations

from blake3 import blake3
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

_BYTES = 16
_OF_THE_BODY = ("content-length", "content-type", "content-encoding")
"""What an answer without one does not say. All else counts for the one that is kept: a client
takes over what it is told here, or was not told (15.4.5)."""


def tag_of(body: bytes) -> str:
    """Return the strong entity tag of a body."""
    return f'"{blake3(body).hexdigest(_BYTES)}"'


def tagged(request: Request, response: Response) -> Response:
    """Return the answer to a GET with its tag, or, to who names that one (``If-None-Match``),
    status 304. A stream has none."""
    if request.method != "GET" or response.status_code != 200:
        return response
    if isinstance(response, StreamingResponse) or not response.body:
        return response
    tag = response.headers.get("etag")
    if tag is None:
        tag = response.headers["etag"] = tag_of(bytes(response.body))
    known = request.headers.get("if-none-match", "")
    if not _names(known, tag):
        return response
    kept = {name: said for name, said in response.headers.items() if name not in _OF_THE_BODY}
    return Response(status_code=304, headers=kept)


def _names(known: str, tag: str) -> bool:
    """Tell whether a list of tags has this one; a weak one of the same words counts (13.1.2)."""
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in known.split(","))
