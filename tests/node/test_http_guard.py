"""Nobody holds the node's port by doing nothing, or by a request without an end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI

from buildnet.node import http_guard
from buildnet.node.server import serving

Visit = tuple[asyncio.StreamReader, asyncio.StreamWriter]
REQUEST = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


refusals: list[tuple[str, str]] = []


@asynccontextmanager
async def node() -> AsyncIterator[int]:
    refusals.clear()
    application = FastAPI()

    @application.get("/health")
    async def health() -> str:
        return "ok"

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with serving(application, listener, lambda *each: refusals.append(each)):
            yield listener.getsockname()[1]


async def visit(port: int) -> Visit:
    return await asyncio.open_connection("127.0.0.1", port)


async def answer(visitor: Visit, request: bytes = REQUEST) -> bytes:
    reader, writer = visitor
    writer.write(request)
    line = await reader.readline()
    await reader.readuntil(b'"ok"')
    return line


async def ended(visitor: Visit) -> bool:
    reader, writer = visitor
    try:
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionError):
                while await reader.read(65536):
                    pass
    finally:
        writer.close()
    return True


def test_who_says_nothing_makes_room_for_who_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard.Visitors.__init__, "__defaults__", (3,))

    async def run() -> None:
        async with node() as port:
            silent = [await visit(port) for _ in range(5)]
            late = await visit(port)
            assert await answer(late) == b"HTTP/1.1 200 OK\r\n"
            for visitor in silent[:3]:
                assert await ended(visitor)
            late[1].close()
            assert refusals == [("too many idle connections", "127.0.0.1")] * 3
            for visitor in silent[3:]:
                assert await answer(visitor) == b"HTTP/1.1 200 OK\r\n"
                visitor[1].close()

    asyncio.run(run())


def test_a_request_must_come_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "HEAD_TIMEOUT_S", 0.1)

    async def run() -> None:
        async with node() as port:
            silent, halting, again = [await visit(port) for _ in range(3)]
            halting[1].write(REQUEST[:-2])
            await answer(again)
            again[1].write(REQUEST[:-2])
            for visitor in (silent, halting, again):
                assert await ended(visitor)
            assert refusals == [("no request in time", "127.0.0.1")] * 3

    asyncio.run(run())


@pytest.mark.parametrize("first", [b"", REQUEST])
def test_a_head_without_an_end_is_cut_off(first: bytes) -> None:
    async def run() -> None:
        async with node() as port:
            visitor = await visit(port)
            visitor[1].write(first)
            if first:
                await visitor[0].readuntil(b'"ok"')
            visitor[1].write(b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 10_000)
            assert await ended(visitor)
            assert refusals == [("request head too large", "127.0.0.1")]
            again = await visit(port)
            assert await answer(again) == b"HTTP/1.1 200 OK\r\n"
            again[1].close()

    asyncio.run(run())


def test_several_requests_on_one_connection_are_fine() -> None:
    async def run() -> None:
        async with node() as port:
            visitor = await visit(port)
            request = REQUEST.replace(b"host: x", b"host: " + b"x" * 2000)
            for _ in range(20):  # together more than one head may have
                assert await answer(visitor, request) == b"HTTP/1.1 200 OK\r\n"
            visitor[1].close()

    asyncio.run(run())
