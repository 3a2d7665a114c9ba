"""WebSockets of strangers, bounded: nobody may make the node keep what is never read.

uvicorn keeps any number of fragments of a message, empty ones do not even count for its size, and
answers pings though nobody reads the answers. Here both end the connection. Whole messages need no
bound: while the application has not taken one, nothing more is read. What packed ones of one read
become has one.
"""

from __future__ import annotations

import logging

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from buildnet.mesh.link.connection import FRAGMENTS, MALFORMED, OVERSIZED, UNREAD_PINGS
from buildnet.node.websocket_packing import Packed, Packing

ENDED_HERE = 1006
"""The close code that the application is told where this side ends a connection, with the reason;
nobody can say it over the network."""

MAX_FRAGMENTS = 64
UNREAD_MAX_BYTES = 256 * 1024
PACKED_PATH = "/ws"
"""Where events are told; what comes and goes elsewhere is the mesh's, and encrypted."""
_PACKING = Packing()
_log = logging.getLogger("buildnet.node")


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with a bound on fragments and on unread answers to pings;
    events are packed."""

    def handle_connect(self, event: Request) -> None:
        """Take the request that a WebSocket begins with."""
        if event.path.partition("?")[0] == PACKED_PATH:
            self.conn.available_extensions = (_PACKING,)
        super().handle_connect(event)

    def data_received(self, data: bytes) -> None:
        """Take what came; all that is in it is unpacked at once."""
        if not self.frames:
            for each in self.conn.extensions:
                if isinstance(each, Packed):
                    each.begin()
        super().data_received(data)

    def handle_cont(self, event: Frame) -> None:
        """Take another fragment of a message."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._end(FRAGMENTS)
        else:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer."""
        if self.transport.get_write_buffer_size() > UNREAD_MAX_BYTES:
            self._end(UNREAD_PINGS)
        else:
            super().handle_ping()

    def handle_parser_exception(self) -> None:
        """End what is no WebSocket any more, or too large for any route."""
        sent = self.conn.close_sent
        too_big = sent is not None and sent.code == CloseCode.MESSAGE_TOO_BIG
        self._tell(OVERSIZED if too_big else MALFORMED)
        super().handle_parser_exception()

    def _end(self, why: str) -> None:
        if not self.transport.is_closing():
            self._tell(why)
            self.transport.abort()

    def _tell(self, why: str) -> None:
        """Tell the application why the connection ends, before all else that it is told of it."""
        _log.debug("a WebSocket of %s was ended: %s", self.client, why)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": ENDED_HERE, "reason": why})
