"""Which encodings a client takes."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from buildnet.node.api.encodings import takes_gzip


@pytest.mark.parametrize(
    ("said", "takes"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("br, GZip;q=0.5", True),
        ("gzip; q=1.0", True),
        ("gzip;q=0", False),
        ("br, gzip;q=0.000, *", False),
        ("*", True),
        ("*;q=0, gzip", True),
        ("identity, *;q=0", False),
        ("x-gzipped", False),
        ("gzip;q=much", False),
    ],
)
def test_a_client_says_whether_it_takes_gzip(said: str | None, takes: bool) -> None:
    headers = [] if said is None else [(b"accept-encoding", said.encode())]
    assert takes_gzip(Request({"type": "http", "headers": headers})) is takes
