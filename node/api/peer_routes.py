"""Where other nodes come in: the WebSockets of the mesh, open to everybody who reaches the port.

Who may stay is the mesh's to decide, by its own handshake; here is only what carries it.
"""

from __future__ import annotations

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from buildnet.mesh.bulk.protocol import MAX_FRAME_BYTES
from buildnet.mesh.link.connection import OVERSIZED, TEXT, ConnectionClosed
from buildnet.mesh.link.frames import MAX_CONTROL_FRAME_BYTES
from buildnet.node.api.declared import declared_router, does
from buildnet.node.auth.actions import Action
from buildnet.node.listen import Address
from buildnet.node.service import NodeService
from buildnet.node.websocket_guard import ENDED_HERE

MESH_MAX_BYTES = MAX_CONTROL_FRAME_BYTES
BULK_MAX_BYTES = MAX_FRAME_BYTES

_WRONG_TYPE = 1003
_TOO_BIG = 1009
_REASON_MAX_BYTES = 120


class WebSocketConnection:
    """A WebSocket that somebody opened to this node, as the mesh's ``Connection``.

    Messages of more than ``max_bytes``, and text, end it: the server's own limit counts for all
    routes alike.
    """

    def __init__(self, socket: WebSocket, max_bytes: int) -> None:
        self._socket = socket
        self._max_bytes = max_bytes
        self._closed: ConnectionClosed | None = None
        client = socket.client
        self.remote = str(Address(client.host, client.port)) if client else "unknown"

    async def send(self, data: bytes) -> None:
        """Send one message; waits while the other side is slow."""
        if self._closed is not None:
            raise self._closed
        try:
            await self._socket.send_bytes(data)
        except WebSocketDisconnect as gone:
            raise self._ended(gone.code, gone.reason) from gone
        except RuntimeError as error:  # closed by another task while this one waited its turn
            raise self._ended(1006, "closed") from error

    async def receive(self) -> bytes:
        """Return the next message."""
        if self._socket.client_state is not WebSocketState.CONNECTED:
            raise self._ended(1006, "closed")
        message = await self._socket.receive()
        if message["type"] != "websocket.receive":
            code, reason = message.get("code", 1006), message.get("reason") or ""
            raise self._ended(code, reason, misbehaved=code == ENDED_HERE and bool(reason))
        data = message.get("bytes")
        if data is None:
            raise await self._refused(_WRONG_TYPE, TEXT)
        if len(data) > self._max_bytes:
            raise await self._refused(_TOO_BIG, OVERSIZED)
        return bytes(data)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it; closing twice is fine."""
        if self._closed is None:
            self._ended(code, reason)
            await self._say_close(code, reason)

    async def _refused(self, code: int, reason: str) -> ConnectionClosed:
        """Close it for what came, and return how it ended."""
        closed = self._ended(code, reason, misbehaved=True)
        await self._say_close(code, reason)
        return closed

    async def _say_close(self, code: int, reason: str) -> None:
        short = reason.encode()[:_REASON_MAX_BYTES].decode(errors="ignore")
        try:
            await self._socket.close(code, short)
        except (WebSocketDisconnect, RuntimeError):  # the other side was quicker
            return

    def _ended(self, code: int, reason: str, *, misbehaved: bool = False) -> ConnectionClosed:
        if self._closed is None:
            self._closed = ConnectionClosed(code, reason, misbehaved=misbehaved)
        return self._closed


def peer_routes(service: NodeService) -> APIRouter:
    """Return the routes of other nodes."""
    router = declared_router()

    @router.websocket("/mesh")
    @does(Action.OPEN)
    async def mesh(socket: WebSocket) -> None:
        """Links: handshake, then messages in sealed frames."""
        await socket.accept()
        await service.mesh.accept(WebSocketConnection(socket, MESH_MAX_BYTES))

    @router.websocket("/bulk")
    @does(Action.OPEN)
    async def bulk(socket: WebSocket) -> None:
        """Blobs: handshake, then their bytes in sealed frames."""
        await socket.accept()
        await service.mesh.accept_bulk(WebSocketConnection(socket, BULK_MAX_BYTES))

    return router
