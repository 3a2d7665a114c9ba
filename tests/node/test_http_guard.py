"""Nobody holds the node's port by doing nothing, or by a request without an end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request, Response

from buildnet.node import http_guard
from buildnet.node.server import serving
from buildnet.pool.health import NOTHING_ASKED

Visit = tuple[asyncio.StreamReader, asyncio.StreamWriter]
REQUEST = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


refusals: list[tuple[str, str]] = []


@asynccontextmanager
async def node() -> AsyncIterator[int]:
    refusals.clear()
    application = FastAPI()

    @application.get("/health")
    async def health(request: Request) -> str:
        who = request.headers.get("authorization")
        if who is not None and not request.scope["extensions"][http_guard.WELCOME]["know"](who):
            return "too many"
        return "ok"

    @application.post("/body")
    async def body(request: Request) -> str:
        await request.body()
        return "ok"

    @application.get("/large")
    async def large() -> Response:
        return Response(bytes(1 << 24))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with serving(application, listener, lambda *each: refusals.append(each)):
            yield listener.getsockname()[1]


def allow(
    monkeypatch: pytest.MonkeyPatch, *, strangers: int = 99, each: int = 99, known: int = 99
) -> None:
    monkeypatch.setattr(http_guard.Visitors.__init__, "__defaults__", (strangers, each, known))


async def visit(port: int, address: str = "127.0.0.1") -> Visit:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


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
    allow(monkeypatch, strangers=3)

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
            silence, *late = sorted(refusals, reverse=True)
            assert silence == (NOTHING_ASKED, "127.0.0.1")
            assert late == [("no request in time", "127.0.0.1")] * 2

    asyncio.run(run())


@pytest.mark.parametrize("first", [b"", REQUEST])
def test_a_head_without_an_end_is_cut_off(first: bytes) -> None:
    async def run() -> None:
        async with node() as port:
            visitor = await visit(port)
            visitor[1].write(first)
            if first:
                await visitor[0].readuntil(b'"ok"')
            visitor[1].write(b"GET /health HTTP/1.1\r\na: " + b"b" * 40_000)
            assert await ended(visitor)
            assert refusals == [("request head too large", "127.0.0.1")]
            again = await visit(port)
            assert await answer(again) == b"HTTP/1.1 200 OK\r\n"
            again[1].close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /health HTTP/1.1\r\na: " + b"b" * 30_000, b"200 OK"),
        (b"GET /health HTTP/1.1\r\na: " + b"b" * 33_000, b"400 Bad Request"),
        (b"GET /health?" + b"b" * 33_000 + b" HTTP/1.1", b"400 Bad Request"),
    ],
)
def test_a_head_that_comes_at_once_has_the_same_bound(head: bytes, status: bytes) -> None:
    async def run() -> None:
        async with node() as port:
            visitor = await visit(port)
            visitor[1].write(head + b"\r\nhost: x\r\n\r\n")
            assert await visitor[0].readline() == b"HTTP/1.1 " + status + b"\r\n"
            visitor[1].close()

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


def test_one_address_pushes_out_its_own_connections_only(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, each=2)

    async def run() -> None:
        async with node() as port:
            other = await visit(port, "127.0.0.2")
            crowd = [await visit(port) for _ in range(4)]
            for visitor in crowd[:2]:
                assert await ended(visitor)
            reason = "too many idle connections of one address"
            assert refusals == [(reason, "127.0.0.1")] * 2
            for visitor in (other, *crowd[2:]):
                assert await answer(visitor) == b"HTTP/1.1 200 OK\r\n"
                visitor[1].close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "", True),
    ],
)
def test_of_ipv6_a_network_counts_as_one_address(one: str, other: str, same: bool) -> None:
    assert (http_guard.network_of(one) == http_guard.network_of(other)) == same


def test_who_is_known_stays_whoever_comes_and_has_so_many_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allow(monkeypatch, strangers=2, known=1)
    with_key = REQUEST.replace(b"host", b"authorization: key\r\nhost")

    async def run() -> None:
        async with node() as port:
            known = await visit(port)
            assert await answer(known, with_key) == b"HTTP/1.1 200 OK\r\n"
            crowd = [await visit(port) for _ in range(4)]
            for visitor in crowd[:2]:
                assert await ended(visitor)
            assert await answer(known, with_key) == b"HTTP/1.1 200 OK\r\n"
            crowd[3][1].write(with_key)
            await crowd[3][0].readuntil(b'"too many"')
            known[1].close()
            assert await ended(known)
            assert await answer(crowd[3], with_key) == b"HTTP/1.1 200 OK\r\n"
            for visitor in crowd[2:]:
                visitor[1].close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nslow", "no body in time"),
        (
            b"POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na",
            "no body in time",
        ),
        (REQUEST, "no request in time"),
    ],
)
def test_all_of_a_request_must_come_in_time(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, why: str
) -> None:
    monkeypatch.setattr(http_guard, "HEAD_TIMEOUT_S", 0.1)
    monkeypatch.setattr(http_guard, "BODY_TIMEOUT_S", 0.1)

    async def run() -> None:
        async with node() as port:
            visitor = await visit(port)
            if sent == REQUEST:  # an empty line begins nothing, but what is idle is busy with it
                await answer(visitor)
            visitor[1].write(b"\r\n" if sent == REQUEST else sent)
            assert await ended(visitor)
            assert refusals == [(why, "127.0.0.1")]

    asyncio.run(run())


def test_who_does_not_take_the_answer_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "UNREAD_TIMEOUT_S", 0.1)

    async def run() -> None:
        async with node() as port:
            visitor = await visit(port)
            visitor[1].write(REQUEST.replace(b"/health", b"/large"))
            async with asyncio.timeout(30):
                while not refusals:
                    await asyncio.sleep(0.01)
            assert refusals == [("answer not read in time", "127.0.0.1")]
            visitor[1].close()

    asyncio.run(run())


def test_headers_are_counted() -> None:
    async def run() -> None:
        async with node() as port:
            visitor = await visit(port)
            visitor[1].write(REQUEST[:-2] + b"a: b\r\n" * 100 + b"\r\n")
            assert await visitor[0].readline() == b"HTTP/1.1 400 Bad Request\r\n"
            assert await ended(visitor)
            assert refusals == [("request malformed", "127.0.0.1")]

    asyncio.run(run())
