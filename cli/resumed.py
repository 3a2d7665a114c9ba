"""Reading on where the quick way stopped: the events of a build, without a whole HTTP client, which
takes as long to load as most builds of one package."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

from buildnet.cli.quick import Begun

_PART_BYTES = 1 << 16


def events_of(begun: Begun) -> Iterator[dict[str, Any]] | None:
    """Return the events of the answer, one JSON object a line; None: it is no plain stream of
    events, and nothing was taken from it."""
    head, _, rest = begun.answered.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    if b" 200 " not in lines[0] or b"transfer-encoding: chunked" not in lines:
        return None
    return _events(begun.descriptor, rest)


def _events(descriptor: int, rest: bytes) -> Iterator[dict[str, Any]]:
    line = b""
    with socket.socket(fileno=descriptor) as connection:
        for part in _chunks(connection, rest):
            *whole, line = (line + part).split(b"\n")
            for each in whole:
                yield json.loads(each)


def _chunks(connection: socket.socket, waiting: bytes) -> Iterator[bytes]:
    """Yield the parts of a body in chunks (RFC 9112, section 7.1), up to where it ends."""
    while True:
        size_line, found, after = waiting.partition(b"\r\n")
        size = int(size_line.split(b";")[0], 16) if found else -1
        if size == 0:
            return
        if found and len(after) >= size + 2:
            yield after[:size]
            waiting = after[size + 2 :]
            continue
        part = connection.recv(_PART_BYTES)
        if not part:
            return
        waiting += part
