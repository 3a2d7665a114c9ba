"""WebSockets of strangers, bounded: nobody may make the node keep what is never read.

uvicorn keeps any number of fragments of a message, empty ones do not even count for its size, and
answers pings though nobody reads the answers. Here both end the connection. Whole messages need no
bound: while the application has not taken one, nothing more is read.
"""

from __future__ import annotations

import logging

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

MAX_FRAGMENTS = 64
UNREAD_MAX_BYTES = 256 * 1024
_log = logging.getLogger("buildnet.node")


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with a bound on fragments and on unread answers to pings."""

    def handle_cont(self, event: Frame) -> None:
        """Take another fragment of a message."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._end("a message in too many fragments")
        else:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer."""
        if self.transport.get_write_buffer_size() > UNREAD_MAX_BYTES:
            self._end("pings whose answers are not read")
        else:
            super().handle_ping()

    def _end(self, why: str) -> None:
        if not self.transport.is_closing():
            _log.debug("a WebSocket of %s was ended: %s", self.client, why)
            self.transport.abort()
