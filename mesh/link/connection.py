"""What carries a link: messages of bytes in order, whoever dialled and whatever is in between."""

from __future__ import annotations

from typing import Protocol

from buildnet.mesh.errors import BuildNetError

OVERSIZED = "oversized message"
TEXT = "text message"
FRAGMENTS = "message in too many fragments"
UNREAD_PINGS = "pings without reading the answers"
MALFORMED = "malformed WebSocket frame"

MISBEHAVIOUR = (OVERSIZED, TEXT, FRAGMENTS, UNREAD_PINGS, MALFORMED)
"""For what a connection is ended; whoever is in between may do it as well as the other side."""


class ConnectionClosed(BuildNetError):
    """The other side, or this one, ended the connection; ``close_code`` and ``reason`` say why.

    ``misbehaved``: this one did, for what came from the other side; ``reason`` is one of
    :data:`MISBEHAVIOUR` then.
    """

    code = "CONNECTION_CLOSED"
    http_status = 502

    def __init__(
        self, close_code: int = 1006, reason: str = "", *, misbehaved: bool = False
    ) -> None:
        super().__init__(f"the connection was closed ({close_code} {reason})".replace(" )", ")"))
        self.close_code = close_code
        self.reason = reason
        self.misbehaved = misbehaved


class Connection(Protocol):
    """A WebSocket, or what behaves like one: whole binary messages, ordered, not authenticated."""

    @property
    def remote(self) -> str:
        """Where the other side is, for people and for limits by address."""

    async def send(self, data: bytes) -> None:
        """Send one message; waits while the other side is slow.

        Raises:
            ConnectionClosed: it is closed.
        """

    async def receive(self) -> bytes:
        """Return the next message.

        Raises:
            ConnectionClosed: it is closed and nothing is left to receive.
        """

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it; closing twice is fine. ``reason`` has 120 bytes at most."""
