"""uvicorn's HTTP and WebSocket, with bounds on what strangers can make a node keep.

Anybody who reaches the port can open connections. uvicorn waits for ever for a request that does
not come, keeps a head of any length, as many fragments of a message, and answers to pings that
nobody reads. Here each of these ends the connection, and is told to ``on_refused``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

HEAD_MAX_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 10.0
MAX_WAITING = 256
"""Connections whose request has not come yet. One more ends the oldest: whoever only opens
connections displaces itself, for an honest request comes within a round trip."""

MAX_FRAGMENTS = 64
UNREAD_MAX_BYTES = 256 * 1024

Refused = Callable[[str, str], None]
"""Told the reason, in a few stable words, and the address of who caused it."""


class Waiting:
    """The connections of one listener whose request has not come yet, oldest first."""

    def __init__(self, on_refused: Refused) -> None:
        self.refuse = on_refused
        self._connections: dict[BoundedHttp, None] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: BoundedHttp) -> None:
        """Let a connection wait; the oldest one goes if there are too many."""
        if len(self._connections) >= MAX_WAITING:
            next(iter(self._connections)).end("too many silent connections")
        self._connections[connection] = None

    def remove(self, connection: BoundedHttp) -> None:
        """Take a connection out: its request has come, or it is gone."""
        self._connections.pop(connection, None)


class BoundedHttp(HttpToolsProtocol):
    """HTTP whose requests come in time and whose heads end."""

    def __init__(self, waiting: Waiting, **given: Any) -> None:
        super().__init__(**given)
        self._waiting = waiting
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is a head without end."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._timer is not None and self._head_bytes > HEAD_MAX_BYTES:
            self.end("request head too large")

    def on_message_begin(self) -> None:
        """A request begins: the first one, or another one on the same connection."""
        super().on_message_begin()
        if self._timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_came()
        super().on_headers_complete()

    def end(self, reason: str) -> None:
        """End the connection at once."""
        self._head_came()
        self._waiting.refuse(reason, self.client[0] if self.client else "")
        self.transport.abort()

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self.end, "no request in time")
        self._waiting.add(self)

    def _head_came(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.remove(self)


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """WebSocket whose messages have few fragments, and whose peer reads our answers to its pings.

    Messages that the application does not take yet stop the reading already.
    """

    def __init__(self, on_refused: Refused, **given: Any) -> None:
        super().__init__(**given)
        self._on_refused = on_refused

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment; empty ones count for the number alone."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._end("too many fragments")
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer, unless the answers pile up."""
        if self.transport.get_write_buffer_size() > UNREAD_MAX_BYTES:
            self._end("pings without end")
            return
        super().handle_ping()

    def _end(self, reason: str) -> None:
        if not self.transport.is_closing():
            self._on_refused(reason, self.client[0] if self.client else "")
            self.transport.abort()
