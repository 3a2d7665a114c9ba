"""What strangers can't make a node keep."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from buildnet.node import bounded_protocols
from buildnet.node.bounded_protocols import BoundedHttp, BoundedWebSocket, Waiting

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


LENGTH = [(b"content-length", b"5")]


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": LENGTH})
        await send({"type": "http.response.body", "body": b"hello"})
        return
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message["bytes"]})


class Server:
    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.waiting = Waiting(self.refuse)
        self.port = 0

    def refuse(self, reason: str, remote: str) -> None:
        assert remote == "127.0.0.1"
        self.reasons.append(reason)

    async def connection(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def websocket(self) -> ClientConnection:
        return await connect(f"ws://127.0.0.1:{self.port}/", compression=None, proxy=None)


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[Server]:
    bounds = Server()
    http: Any = partial(BoundedHttp, bounds.waiting)
    websocket: Any = partial(BoundedWebSocket, bounds.refuse)
    config = uvicorn.Config(
        application, http=http, ws=websocket, lifespan="off", log_config=None, ws_max_size=100_000
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    bounds.port = listener.getsockname()[1]
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield bounds
    finally:
        await server.shutdown(sockets=[listener])
        listener.close()


def run(scenario: Callable[[Server], Any]) -> None:
    async def main() -> None:
        async with served() as server:
            await scenario(server)

    asyncio.run(main())


REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def is_ended(streams: Streams) -> bool:
    try:
        return await streams[0].read() == b""
    except ConnectionError:
        return True
    finally:
        streams[1].close()
        with contextlib.suppress(ConnectionError):
            await streams[1].wait_closed()


def test_usual_requests_are_answered_one_after_the_other() -> None:
    async def scenario(server: Server) -> None:
        reader, writer = await server.connection()
        for _ in range(3):
            writer.write(REQUEST)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            assert len(server.waiting) == 0
        writer.write(REQUEST * 2)
        await reader.readuntil(b"hello")
        await reader.readuntil(b"hello")
        body = b"x" * 200_000
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body))
        writer.write(body)
        await reader.readuntil(b"hello")
        writer.close()
        assert server.reasons == []

    run(scenario)


def test_a_request_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocols, "HEAD_TIMEOUT_S", 0.05)

    async def scenario(server: Server) -> None:
        silent = await server.connection()
        halting = await server.connection()
        halting[1].write(REQUEST[:-4])
        later = await server.connection()
        later[1].write(REQUEST)
        await later[0].readuntil(b"hello")
        later[1].write(REQUEST[:5])  # another one that does not end
        for streams in (silent, halting, later):
            assert await is_ended(streams)
        assert server.reasons == ["no request in time"] * 3
        assert len(server.waiting) == 0

    run(scenario)


def test_the_oldest_of_too_many_silent_connections_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocols, "MAX_WAITING", 3)

    async def scenario(server: Server) -> None:
        silent = [await server.connection() for _ in range(4)]
        assert await is_ended(silent[0])
        assert server.reasons == ["too many silent connections"]
        silent[1][1].write(REQUEST)
        await silent[1][0].readuntil(b"hello")
        for _, writer in silent:
            writer.close()

    run(scenario)


@pytest.mark.parametrize(
    "endless", [b"GET /" + b"x" * 200_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 40_000]
)
def test_a_head_without_end(endless: bytes) -> None:
    async def scenario(server: Server) -> None:
        streams = await server.connection()
        streams[1].write(endless)
        assert await is_ended(streams)
        assert server.reasons == ["request head too large"]

    run(scenario)


def test_messages_in_a_few_fragments_are_taken_and_in_many_are_not() -> None:
    async def scenario(server: Server) -> None:
        async with await server.websocket() as websocket:
            await websocket.send([b"a", b"b", b"c"])
            assert await websocket.recv() == b"abc"
            websocket.transport.write(
                Frame(Opcode.BINARY, b"", fin=False).serialize(mask=True)
                + Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 1000
            )
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
        assert server.reasons == ["too many fragments"]

    run(scenario)


def test_pings_are_answered_to_who_reads_the_answers() -> None:
    async def scenario(server: Server) -> None:
        async with await server.websocket() as websocket:
            await (await websocket.ping())
            assert server.reasons == []
            websocket.transport.pause_reading()
            ping = Frame(Opcode.PING, bytes(125)).serialize(mask=True) * 1000
            while not server.reasons:
                websocket.transport.write(ping)
                await asyncio.sleep(0)
            websocket.transport.abort()
        assert server.reasons == ["pings without end"]

    run(scenario)
