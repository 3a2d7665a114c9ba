"""Dialling: what people write as an address, and what answers there."""

from __future__ import annotations

import asyncio
import socket

import pytest
from websockets.asyncio.server import ServerConnection, serve

from buildnet.mesh.errors import UsageError
from buildnet.mesh.link.connection import ConnectionClosed
from buildnet.mesh.link.dialing import UnreachableError, dial, node_url, websocket_urls


@pytest.mark.parametrize(
    ("address", "urls"),
    [
        ("host", ("ws://host:80/mesh", "ws://host:8080/mesh")),
        ("host:8081", ("ws://host:8081/mesh",)),
        ("http://host", ("ws://host:80/mesh", "ws://host:8080/mesh")),
        ("http://host:80/", ("ws://host:80/mesh",)),
        ("https://host", ("wss://host:443/mesh",)),
        ("wss://host:8443/team/", ("wss://host:8443/team/mesh",)),
        ("10.0.0.1:9", ("ws://10.0.0.1:9/mesh",)),
        ("fe80::1", ("ws://[fe80::1]:80/mesh", "ws://[fe80::1]:8080/mesh")),
        ("[fe80::1]:9", ("ws://[fe80::1]:9/mesh",)),
        (" host ", ("ws://host:80/mesh", "ws://host:8080/mesh")),
    ],
)
def test_addresses(address: str, urls: tuple[str, ...]) -> None:
    assert websocket_urls(address) == urls


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("host:8080", "http://host:8080"),
        (" http://HOST:8080/ ", "http://host:8080"),
        ("ws://host:1", "http://host:1"),
        ("https://host/prefix/", "https://host/prefix"),
        ("wss://host:444", "https://host:444"),
        ("::1", "http://[::1]"),
        ("[::1]:80", "http://[::1]:80"),
        ("host", "http://host"),
        ("no address", "no address"),
    ],
)
def test_an_address_as_a_node_advertises_it(address: str, url: str) -> None:
    assert node_url(address) == url


def test_another_route() -> None:
    assert websocket_urls("host:1", "bulk") == ("ws://host:1/bulk",)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ftp://host",
        "host:port",
        "host:99999",
        "http://",
        "http://a@host",
        "http://h/?q",
        "[::1",
    ],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UsageError, match="no address of a node"):
        websocket_urls(address)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_listens() -> None:
    with pytest.raises(UnreachableError) as caught:
        asyncio.run(dial(f"127.0.0.1:{free_port()}"))
    assert caught.value.refused
    assert caught.value.hint is not None


def test_a_name_with_several_addresses_where_nobody_listens() -> None:
    with pytest.raises(UnreachableError) as caught:
        asyncio.run(dial(f"localhost:{free_port()}"))
    assert caught.value.refused


def test_a_name_that_means_nothing() -> None:
    with pytest.raises(UnreachableError) as caught:
        asyncio.run(dial("no-such-host.invalid:1"))
    assert not caught.value.refused


def test_what_answers_is_no_node() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnreachableError, match="no node") as caught:
            await dial(f"127.0.0.1:{port}")
        assert not caught.value.refused
        assert "no node of BuildNet" in str(caught.value.cause)
        server.close()
        await server.wait_closed()

    asyncio.run(run())


def test_who_accepts_and_stays_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buildnet.mesh.link.dialing.CONNECT_TIMEOUT_S", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(UnreachableError) as caught:
            asyncio.run(dial(f"127.0.0.1:{silent.getsockname()[1]}"))
    assert not caught.value.refused
    assert "no answer within" in str(caught.value.cause)


def test_messages_go_both_ways_and_the_end_says_why() -> None:
    async def echo(socket: ServerConnection) -> None:
        data = await socket.recv()
        await socket.send(data)
        await socket.close(1008, "that was it")

    async def run() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            connection = await dial(f"127.0.0.1:{port}")
            assert connection.remote == f"127.0.0.1:{port}"
            await connection.send(b"hello")
            assert await connection.receive() == b"hello"
            with pytest.raises(ConnectionClosed) as caught:
                await connection.receive()
            assert (caught.value.close_code, caught.value.reason) == (1008, "that was it")
            with pytest.raises(ConnectionClosed):
                await connection.send(b"more")
            await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("nonsense", ["text", bytes(65 * 1024)])
def test_text_and_what_is_too_large_end_the_connection(nonsense: str | bytes) -> None:
    async def speak(socket: ServerConnection) -> None:
        await socket.send(nonsense)
        await socket.wait_closed()

    async def run() -> None:
        async with serve(speak, "127.0.0.1", 0) as server:
            connection = await dial(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
            with pytest.raises(ConnectionClosed):
                await connection.receive()
            await connection.close()

    asyncio.run(run())
