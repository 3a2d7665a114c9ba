"""Where other nodes come in: the WebSockets behind the mesh's connections."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.node.api.peer_routes import BULK_MAX_BYTES, MESH_MAX_BYTES, peer_routes
from buildnet.node.log import configure_logging
from buildnet.node.server import serving

Serve = Callable[[Connection], Awaitable[None]]


async def echo(connection: Connection) -> None:
    while True:
        await connection.send(await connection.receive())


@asynccontextmanager
async def node(serve: Serve) -> AsyncIterator[tuple[str, list[ConnectionClosed]]]:
    """Serve both routes over TCP; yield the address and how connections ended."""
    ended: list[ConnectionClosed] = []

    async def accept(connection: Connection) -> None:
        try:
            await serve(connection)
        except ConnectionClosed as closed:
            ended.append(closed)

    application = FastAPI()
    mesh = SimpleNamespace(accept=accept, accept_bulk=accept)
    application.include_router(peer_routes(cast(Any, SimpleNamespace(mesh=mesh))))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with serving(application, listener, lambda *each: None):
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}", ended


def dial(url: str) -> connect:
    return connect(url, max_size=None, proxy=None, ping_interval=None)


async def refused(link: ClientConnection) -> int:
    with pytest.raises(ConnectionClosedError) as error:
        await link.recv()
    assert error.value.rcvd is not None
    return error.value.rcvd.code


@pytest.mark.parametrize(("route", "size"), [("/mesh", MESH_MAX_BYTES), ("/bulk", BULK_MAX_BYTES)])
def test_messages_go_there_and_back_up_to_the_route_s_size(route: str, size: int) -> None:
    async def run() -> None:
        async with node(echo) as (address, ended), dial(address + route) as link:
            for message in (b"", b"x", bytes(size)):
                await link.send(message)
                assert await link.recv() == message
            await link.send(bytes(size + 1))
            assert await refused(link) == 1009
        assert len(ended) == 1

    asyncio.run(run())


def test_text_is_refused() -> None:
    async def run() -> None:
        async with node(echo) as (address, _), dial(f"{address}/mesh") as link:
            await link.send("words")
            assert await refused(link) == 1003

    asyncio.run(run())


def test_the_end_is_told_with_code_and_reason() -> None:
    async def run() -> None:
        async with node(echo) as (address, ended), dial(f"{address}/mesh") as link:
            await link.close(4001, "enough")
        assert [(one.close_code, one.reason) for one in ended] == [(4001, "enough")]

    asyncio.run(run())


def test_closing_here_is_told_there_and_twice_is_fine() -> None:
    async def close(connection: Connection) -> None:
        assert connection.remote.startswith("127.0.0.1:")
        await connection.receive()
        await connection.close(4002, "ä" * 100)
        await connection.close(4003, "again")
        with pytest.raises(ConnectionClosed, match="4002"):
            await connection.send(b"too late")
        with pytest.raises(ConnectionClosed, match="4002"):
            await connection.receive()
        raise ConnectionClosed(1000, "done")

    async def run() -> None:
        async with node(close) as (address, ended), dial(f"{address}/mesh") as link:
            await link.send(b"go")
            with pytest.raises(ConnectionClosedError) as error:
                await link.recv()
            assert error.value.rcvd is not None
            assert error.value.rcvd.code == 4002
            assert error.value.rcvd.reason == "ä" * 60
        assert [one.reason for one in ended] == ["done"]

    asyncio.run(run())


def test_when_the_mesh_is_done_the_connection_ends() -> None:
    async def once(connection: Connection) -> None:
        await connection.send(await connection.receive())
        await connection.close()

    async def run() -> None:
        async with node(once) as (address, _), dial(f"{address}/mesh") as link:
            await link.send(b"x")
            assert await link.recv() == b"x"
            with pytest.raises(ConnectionClosedOK):
                await link.recv()

    asyncio.run(run())


@pytest.mark.parametrize("route", ["/", "/ws", "/mesh/", "/mesh/x", "/api/pool", "//mesh"])
def test_no_other_socket_is_open(route: str) -> None:
    async def run() -> None:
        async with node(echo) as (address, _):
            with pytest.raises(InvalidStatus) as error:
                await dial(address + route)
            assert error.value.response.status_code == 403

    asyncio.run(run())


def test_compression_is_not_offered() -> None:
    async def run() -> None:
        async with node(echo) as (address, _), dial(f"{address}/mesh") as link:
            assert link.response is not None
            assert "Sec-WebSocket-Extensions" not in link.response.headers

    asyncio.run(run())


def test_text_that_is_no_text_leaves_no_line_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    before = logging.getLogger().handlers[:]
    configure_logging(level="info", form="json", file=log)

    async def run() -> None:
        async with node(echo) as (address, _), dial(f"{address}/mesh") as link:
            frame = bytes([0x81, 0x82, 0, 0, 0, 0, 0xFF, 0xFE])  # text, masked with zeros
            link.transport.write(frame)
            await refused(link)

    try:
        asyncio.run(run())
        assert log.read_text() == ""
    finally:
        for handler in logging.getLogger().handlers:
            handler.close()
        logging.getLogger().handlers[:] = before
