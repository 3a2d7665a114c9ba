"""Doubles of connections for tests: pairs in memory, and nodes that listen on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve

from buildnet.mesh.bulk.protocol import MAX_FRAME_BYTES
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.dialing import WebSocketConnection
from buildnet.mesh.members.member_list import Role
from buildnet.mesh.service.guest import GuestOf
from buildnet.mesh.service.service import MeshService, MeshSettings


class MemoryConnection:
    """One end of a pair; what is sent waits at the other end, ``room`` messages at most."""

    def __init__(self, remote: str, room: int) -> None:
        self._remote = remote
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue(room)
        self.other: MemoryConnection | None = None
        self.closed: ConnectionClosed | None = None
        self._over = asyncio.Event()

    @property
    def remote(self) -> str:
        """What the test says."""
        return self._remote

    async def send(self, data: bytes) -> None:
        """Put it into the other end's inbox; waits for room."""
        if self.other is None or self.closed is not None:
            raise self.closed or ConnectionClosed()
        put = asyncio.ensure_future(self.other.inbox.put(data))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({put, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            put.cancel()
            over.cancel()
        if self.closed is not None:
            raise self.closed

    async def receive(self) -> bytes:
        """Take the next message out of the inbox."""
        while self.inbox.empty():
            if self.closed is not None:
                raise self.closed
            get = asyncio.ensure_future(self.inbox.get())
            over = asyncio.ensure_future(self._over.wait())
            try:
                await asyncio.wait({get, over}, return_when=asyncio.FIRST_COMPLETED)
                if get.done() and (data := get.result()) is not None:
                    return data
            finally:
                get.cancel()
                over.cancel()
        data = self.inbox.get_nowait()
        if data is None:
            raise self.closed or ConnectionClosed()
        return data

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close both ends; what was sent can still be received."""
        for end in (self, self.other):
            if end is not None and end.closed is None:
                end.closed = ConnectionClosed(code, reason)
                end._over.set()


def pair(
    remote: str = "192.0.2.1:1000", *, room: int = 1024
) -> tuple[MemoryConnection, MemoryConnection]:
    """Return two ends; ``remote`` is what the second one says of the first."""
    one, other = MemoryConnection("192.0.2.99:80", room), MemoryConnection(remote, room)
    one.other, other.other = other, one
    return one, other


class Node:
    """A mesh that listens on loopback."""

    def __init__(self, service: MeshService, address: str) -> None:
        self.service = service
        self.address = address


@asynccontextmanager
async def listening_node(
    directory: Path,
    name: str,
    *,
    key: NodeKey | None = None,
    role: Role = Role.WORKER,
    seeds: tuple[str, ...] = (),
    port: int = 0,
    reachable: bool = True,
    guest_of: GuestOf | None = None,
) -> AsyncIterator[Node]:
    """Run a node on ``directory``; ``reachable`` False: it tells nobody its address."""
    directory.mkdir(parents=True, exist_ok=True)
    box: list[MeshService] = []

    async def serve_one(socket: ServerConnection) -> None:
        connection: Connection = WebSocketConnection(socket, _remote(socket))
        path = "" if socket.request is None else socket.request.path
        if path.endswith("/bulk"):
            await box[0].accept_bulk(connection)
        else:
            await box[0].accept(connection)

    server = await serve(
        serve_one,
        "127.0.0.1",
        port,
        compression=None,
        max_size=MAX_FRAME_BYTES,
        ping_interval=None,
        close_timeout=1,
    )
    try:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = MeshSettings(
            directory,
            name,
            role,
            (address,) if reachable else (),
            seeds=seeds,
            key_path=directory / "node.key",
        )
        service = await MeshService.open(key or NodeKey.generate(), settings)
        service.guest_of = guest_of
        box.append(service)
        async with service.running():
            yield Node(service, address)
    finally:
        server.close(close_connections=True)
        await server.wait_closed()


def _remote(socket: ServerConnection) -> str:
    host, port = socket.remote_address[:2]
    return f"{host}:{port}"
