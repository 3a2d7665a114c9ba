"""HTTP connections of strangers, bounded: nobody may hold the node's port by doing nothing.

uvicorn waits for ever for a request that never comes, and reads request headers without end. Here a
connection that is no WebSocket has little time and room for the head of its request, and of many
such connections the oldest makes room for the next. What is a WebSocket is the mesh's to bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 10.0
HEAD_MAX_BYTES = 32 * 1024
PLAIN_MAX = 96
"""Connections at once that are no WebSocket."""


Refused = Callable[[str, str], None]
"""Told the reason, in a few stable words, and the address of who caused it."""


class Visitors:
    """The plain HTTP connections of one server, the oldest first."""

    def __init__(self, refused: Refused, most: int = PLAIN_MAX) -> None:
        self.refused = refused
        self._most = most
        self._connections: dict[GuardedHttp, None] = {}

    def add(self, connection: GuardedHttp) -> None:
        """Take one in; the oldest goes if there are too many."""
        if len(self._connections) >= self._most:
            next(iter(self._connections)).end("too many idle connections")
        self._connections[connection] = None

    def remove(self, connection: GuardedHttp) -> None:
        """Forget one that ended or became a WebSocket."""
        self._connections.pop(connection, None)


class GuardedHttp(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a bound on time and room for the head of each request."""

    def __init__(self, *args: Any, visitors: Visitors, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._visitors = visitors
        self._chunk_bytes = 0
        self._head_bytes = 0
        self._in_head = True
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A visitor came."""
        super().connection_made(transport)
        self._visitors.add(self)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """It went."""
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is a head without an end."""
        self._chunk_bytes = len(data)
        self._head_bytes += self._chunk_bytes
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_MAX_BYTES:
            self.end("request head too large")

    def on_message_begin(self) -> None:
        """A request begins, the first one or another one; what came with its beginning counts."""
        self._in_head = True
        self._head_bytes = self._chunk_bytes
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """It is no HTTP."""
        self._visitors.refused("request malformed", self.client[0] if self.client else "")
        super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        """It is a WebSocket from now on."""
        self._leave()
        super().handle_websocket_upgrade()

    def end(self, reason: str) -> None:
        """End the connection at once."""
        self._leave()
        self._visitors.refused(reason, self.client[0] if self.client else "")
        self.transport.abort()

    def _leave(self) -> None:
        self._visitors.remove(self)
        self._stop_waiting()

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self.end, "no request in time")

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
