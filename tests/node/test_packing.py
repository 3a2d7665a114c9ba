"""Long answers come compressed to who takes that."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from buildnet.node.api.entity_tag import tagged
from buildnet.node.api.packing import FROM_BYTES, packed

LONG = ["node"] * (FROM_BYTES // 4)


def answered(response: Response, takes: str = "gzip") -> Response:
    headers = [(b"accept-encoding", takes.encode())]
    request = Request({"type": "http", "method": "GET", "headers": headers})
    return tagged(request, asyncio.run(packed(request, response)))


def test_a_long_answer_is_packed_for_who_takes_it() -> None:
    response = answered(JSONResponse(LONG))
    assert json.loads(gzip.decompress(response.body)) == LONG
    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) == len(response.body) < FROM_BYTES


def test_the_same_comes_plain_to_others_under_another_tag() -> None:
    response = answered(JSONResponse(LONG), "br")
    assert json.loads(bytes(response.body)) == LONG
    assert "content-encoding" not in response.headers
    assert response.headers["vary"] == "accept-encoding"
    assert response.headers["etag"] != answered(JSONResponse(LONG)).headers["etag"]
    assert (
        answered(JSONResponse(LONG)).headers["etag"] == answered(JSONResponse(LONG)).headers["etag"]
    )


@pytest.mark.parametrize(
    "response",
    [
        JSONResponse(["node"]),
        Response(b"x" * FROM_BYTES, media_type="text/plain"),
        StreamingResponse(iter([b"x" * FROM_BYTES]), media_type="application/json"),
        Response(
            gzip.compress(json.dumps(LONG).encode(), 0),
            media_type="application/json",
            headers={"content-encoding": "gzip", "vary": "accept-encoding"},
        ),
    ],
    ids=["short", "no JSON", "stream", "packed"],
)
def test_all_else_stays_as_it_is(response: Response) -> None:
    before = getattr(response, "body", None)
    assert getattr(answered(response), "body", None) == before
