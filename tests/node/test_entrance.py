"""What no request gets past, whoever it is of, and what each answer says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from buildnet.node.api.entrance import (
    BODY_MAX_BYTES,
    STRANGERS_BODY_MAX_BYTES,
    BodyTooLargeError,
    Entrance,
    names_of,
)
from buildnet.node.auth.caller import OWNER, Caller

Pairs = list[tuple[bytes, bytes]]
HOST: Pairs = [(b"host", b"127.0.0.1:80")]


def ask(
    headers: Pairs,
    *,
    path: str = "/x",
    body: bytes = b"",
    client: str = "127.0.0.1",
    caller: Caller | None = None,
    names: frozenset[str] | None = frozenset({"box"}),
) -> tuple[int, dict[bytes, bytes]]:
    """Return status and headers of the answer."""
    sent: list[Any] = []
    parts = [body[at : at + 60_000] for at in range(0, len(body), 60_000)] or [b""]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if caller is not None:
            scope["state"] = {"caller": caller}
        try:
            await Request(scope, receive).body()
        except BodyTooLargeError:
            await Response(status_code=413)(scope, receive, send)
        else:
            await Response(headers={"cache-control": "private"})(scope, receive, send)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "headers": headers,
        "client": (client, 9),
    }
    asyncio.run(
        Entrance(application, None if names is None else lambda: names)(scope, receive, send)
    )
    return int(sent[0]["status"]), dict(sent[0]["headers"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (HOST, 200),
        ([], 400),
        (HOST * 2, 400),
        ([*HOST, (b"content-length", b"3"), (b"content-length", b"4")], 400),
        ([*HOST, (b"authorization", b"a"), (b"authorization", b"b")], 400),
        ([*HOST, (b"origin", b"http://a"), (b"origin", b"http://b")], 400),
        ([*HOST, (b"content-length", b"-1")], 400),
        ([*HOST, (b"content-length", b"+1")], 400),
        ([*HOST, (b"content-length", str(BODY_MAX_BYTES + 1).encode())], 413),
        ([*HOST, (b"content-length", b"9" * 5000)], 413),
        ([*HOST, (b"content-encoding", b"gzip")], 415),
        ([*HOST, (b"content-encoding", b"identity")], 200),
    ],
)
def test_a_request_can_be_read_in_one_way_only(headers: Pairs, status: int) -> None:
    assert ask(headers)[0] == status


@pytest.mark.parametrize("path", ["/a\nb", "/a\0b", "/\x1b[2J", "/\x7f"])
def test_no_path_holds_what_a_log_or_a_terminal_would_take_for_its_own(path: str) -> None:
    assert ask(HOST, path=path)[0] == 400


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("localhost:8080", 200),
        ("page.localhost", 200),
        ("BOX:80", 200),
        ("box.:80", 200),
        ("attacker.example", 421),
        ("127.0.0.1.attacker.example", 421),
        ("localhost.attacker.example", 421),
        ("box@attacker.example", 421),
        ("[::1", 421),
        ("a:b:c]", 421),
    ],
)
def test_over_the_loopback_a_request_is_made_out_to_this_host(host: str, status: int) -> None:
    assert ask([(b"host", host.encode())])[0] == status


def test_who_comes_by_another_way_may_name_it_as_they_like() -> None:
    other = [(b"host", b"build.example")]
    assert ask(other, client="10.0.0.7")[0] == 200
    assert ask(other, client="::ffff:127.0.0.1")[0] == 421
    assert ask(other, names=None)[0] == 200


def test_the_names_of_a_node_are_those_in_its_addresses_too() -> None:
    assert {"build.example.org", "10.0.0.1"} <= names_of(
        ["https://Build.example.org:8443", "http://10.0.0.1"]
    )


@pytest.mark.parametrize(
    ("size", "caller", "status"),
    [
        (STRANGERS_BODY_MAX_BYTES, None, 200),
        (STRANGERS_BODY_MAX_BYTES + 1, None, 413),
        (BODY_MAX_BYTES, OWNER, 200),
        (BODY_MAX_BYTES + 1, OWNER, 413),
    ],
)
def test_a_body_that_does_not_say_how_long_it_is_is_measured(
    size: int, caller: Caller | None, status: int
) -> None:
    assert ask(HOST, body=bytes(size), caller=caller)[0] == status


def test_every_answer_says_how_a_browser_is_to_take_it() -> None:
    for headers in (HOST, []):  # an error too
        said = ask(headers)[1]
        assert said[b"x-content-type-options"] == b"nosniff"
        assert said[b"referrer-policy"] == b"no-referrer"
        assert b"frame-ancestors 'none'" in said[b"content-security-policy"]
    assert ask(HOST)[1][b"cache-control"] == b"private"  # what the route says counts
    assert ask([])[1][b"cache-control"] == b"no-store"
