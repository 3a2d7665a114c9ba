"""Going on where the quick way stopped: a build that was asked for already, and does something.

Reads the events itself: an HTTP client, and even ``json``, take as long to load as most builds of
one package.
"""

from __future__ import annotations

from _json import make_scanner
from _socket import socket

from buildnet.cli.following import follow

TYPE_CHECKING = False  # importing typing would take as long, too
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from buildnet.cli.client import Client
    from buildnet.cli.quick import Begun
    from buildnet.cli.settings import Settings

_PART_BYTES = 1 << 16


def resume(begun: Begun, settings: Settings) -> int:
    """Show the progress of a build that was asked for already, print its report; return the exit
    code."""

    def client() -> Client:
        from buildnet.cli.client import Client

        return Client.of(settings)

    events = events_of(begun)
    if events is not None:
        return follow(events, settings, client)
    with client().resumed(begun) as others:
        return follow(others, settings, client)


def events_of(begun: Begun) -> Iterator[dict[str, Any]] | None:
    """Return the events of the answer, one JSON object a line; None: it is no plain stream of
    events, and nothing was taken from it."""
    head, _, rest = begun.answered.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    if b" 200 " not in lines[0] or b"transfer-encoding: chunked" not in lines:
        return None
    return _events(begun.descriptor, rest)


def _events(descriptor: int, rest: bytes) -> Iterator[dict[str, Any]]:
    scan = make_scanner(_Json())  # type: ignore[arg-type]
    line = b""
    connection = socket(fileno=descriptor)
    try:
        for part in _chunks(connection, rest):
            *whole, line = (line + part).split(b"\n")
            for each in whole:
                yield scan(each.decode(), 0)[0]
    finally:
        connection.close()


class _Json:
    """What ``json.loads`` tells its scanner; the whole of ``json`` takes longer to load."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _chunks(connection: socket, waiting: bytes) -> Iterator[bytes]:
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
