"""One port for TLS and for links between nodes, which encrypt by themselves."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from fastapi import FastAPI, Request, WebSocket
from starlette.types import Scope
from tests.node.certificates import make_certificate
from websockets.asyncio.client import connect

from buildnet.node import mixed_listener
from buildnet.node.api.encrypted_only import EncryptedOnly
from buildnet.node.certificate import LOOK_S, Certificate, CertificateError
from buildnet.node.config import ConfigError, TlsSettings, parse_config
from buildnet.node.server import serving
from buildnet.node.way_in import WayIn
from buildnet.pool.health import NOTHING_ASKED

refusals: list[tuple[str, str]] = []


@asynccontextmanager
async def node(certificate: Certificate) -> AsyncIterator[int]:
    refusals.clear()
    application = FastAPI()

    @application.get("/scheme")
    async def scheme(request: Request) -> str:
        return request.url.scheme

    @application.websocket("/mesh")
    async def mesh(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_bytes(websocket.url.scheme.encode())
        await websocket.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        stranger: Callable[..., None] = lambda *each: refusals.append(each)  # noqa: E731
        async with serving(application, listener, stranger, certificate):
            yield listener.getsockname()[1]


def run(work: Coroutine[Any, Any, None]) -> None:
    """As nodes do: the event loop of nodes has TLS of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work, 30))


def trusting(settings: TlsSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(settings.certificate))


async def get(port: int, context: ssl.SSLContext | None) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"GET /scheme HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    return str(json.loads(answer.rpartition("\r\n")[2]))


def test_one_port_serves_both_and_links_between_nodes(tmp_path: Path) -> None:
    settings = make_certificate(tmp_path)

    async def check() -> None:
        async with node(Certificate(settings, 0)) as port:
            assert await get(port, trusting(settings)) == "https"
            assert await get(port, None) == "http"
            async with connect(f"ws://127.0.0.1:{port}/mesh") as plain:
                assert await plain.recv() == b"ws"
            url = f"wss://127.0.0.1:{port}/mesh"
            async with connect(url, ssl=trusting(settings)) as encrypted:
                assert await encrypted.recv() == b"wss"
            assert not refusals

    run(check())


@pytest.mark.parametrize(
    ("beginning", "why"),
    [
        (b"\x16\x03\x01\x00\x05hello", "TLS handshake failed"),
        (b"\x16\x03\x01", "TLS handshake failed"),
        (b"", NOTHING_ASKED),
    ],
)
def test_what_does_not_begin_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beginning: bytes, why: str
) -> None:
    monkeypatch.setattr(mixed_listener, "BEGIN_TIMEOUT_S", 0.3)
    settings = make_certificate(tmp_path)

    async def check() -> None:
        async with node(Certificate(settings, 0)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(beginning)
            await reader.read()
            writer.close()
            assert refusals == [(why, "127.0.0.1")]
            assert await get(port, trusting(settings)) == "https"

    run(check())


def test_many_that_do_not_begin_keep_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixed_listener, "BEGINNING_MAX", 8)
    settings = make_certificate(tmp_path)

    async def check() -> None:
        async with node(Certificate(settings, 0)) as port:
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
            assert await get(port, trusting(settings)) == "https"
            assert await silent[0][0].read() == b""
            assert {why for why, _ in refusals} == {"too many connections that do not begin"}
            for _, writer in silent:
                writer.close()

    run(check())


def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    settings = make_certificate(tmp_path)
    context = Certificate(settings, 0).context(0)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_renewed_certificate_counts_and_a_broken_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    settings = make_certificate(tmp_path)
    certificate = Certificate(settings, 0)
    first = certificate.context(LOOK_S)
    make_certificate(tmp_path, "renewed")
    assert certificate.context(2 * LOOK_S - 1) is first
    second = certificate.context(2 * LOOK_S)
    assert second is not first
    settings.key.write_text("nonsense")
    assert certificate.context(3 * LOOK_S) is second
    settings.certificate.unlink()
    assert certificate.context(4 * LOOK_S) is second
    assert [each.levelno for each in caplog.records] == [logging.ERROR] * 2


def test_what_can_not_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    settings = make_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other")
    for key in (other.key, tmp_path / "missing"):
        with pytest.raises(CertificateError, match="can't be used"):
            Certificate(TlsSettings(certificate=settings.certificate, key=key), 0)


def test_node_yaml_names_the_certificate_with_its_key() -> None:
    found = parse_config("network: {tls: {certificate: /c.pem, key: /k.pem}}", "node.yaml")
    assert found.network.tls == TlsSettings(certificate=Path("/c.pem"), key=Path("/k.pem"))
    with pytest.raises(ConfigError, match="the key 'key' is missing"):
        parse_config("network: {tls: {certificate: /c.pem}}", "node.yaml")


@pytest.mark.parametrize(
    ("scheme", "host", "path", "passes"),
    [
        ("https", "10.0.0.1", "/api/pool", True),
        ("wss", "10.0.0.1", "/ws", True),
        ("http", "127.0.0.1", "/api/pool", True),
        ("http", "::1", "/api/pool", True),
        ("http", "::ffff:127.0.0.1", "/api/pool", True),
        ("http", "10.0.0.1", "/health", True),
        ("ws", "10.0.0.1", "/mesh", True),
        ("ws", "10.0.0.1", "/bulk", True),
        ("http", "10.0.0.1", "/api/pool", False),
        ("http", "10.0.0.1", "/login", False),
        ("http", "::ffff:10.0.0.1", "/api/pool", False),
        ("http", "10.0.0.1", "/mesh/", False),
        ("ws", "10.0.0.1", "/ws", False),
        ("http", "", "/api/pool", False),
    ],
)
def test_other_hosts_ask_with_tls(scheme: str, host: str, path: str, passes: bool) -> None:
    passed: list[Scope] = []
    sent: list[Any] = []

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        passed.append(scope)

    async def send(message: Any) -> None:
        sent.append(message)

    kind = "websocket" if scheme.startswith("ws") else "http"
    scope: Scope = {"type": kind, "scheme": scheme, "client": (host, 1), "path": path}
    receive: Any = None  # nobody reads the request
    asyncio.run(EncryptedOnly(application)(scope, receive, send))
    assert bool(passed) is passes
    assert bool(sent) is not passes
    if sent and kind == "http":
        assert sent[0]["status"] == 403
        assert json.loads(sent[1]["body"])["code"] == "TLS_REQUIRED"


WAYS_IN = [
    (WayIn("0.0.0.0", 80), True, "http://127.0.0.1:80", "http://10.0.0.1:80"),
    (WayIn("0.0.0.0", 80, True), False, "http://127.0.0.1:80", "https://10.0.0.1:80"),
    (WayIn("::", 80), True, "http://127.0.0.1:80", "http://10.0.0.1:80"),
    (WayIn("10.0.0.1", 80), True, None, "http://10.0.0.1:80"),
    (WayIn("::1", 80), False, "http://[::1]:80", None),
    (WayIn("127.0.0.1", 80), False, "http://127.0.0.1:80", None),
]


@pytest.mark.parametrize(("way_in", "warns", "local", "network"), WAYS_IN)
def test_where_pages_are_found_and_whether_others_could_listen(
    way_in: WayIn, warns: bool, local: str | None, network: str | None
) -> None:
    advertised = "http://10.0.0.1:80" if way_in.is_open else f"{way_in.local_page()}"
    assert (way_in.warning is not None) is warns
    assert way_in.local_page() == local
    assert way_in.network_page(advertised) == network


def test_a_proxy_that_the_owner_names_leads_to_the_pages() -> None:
    found = WayIn("127.0.0.1", 8080).network_page("https://build.example.com")
    assert found == "https://build.example.com"
