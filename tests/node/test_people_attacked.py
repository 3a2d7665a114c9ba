"""What attackers try with the pages, cookies and tickets of people who are logged in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection
from tests.node.people import EVIL, HOST, PAGE, Around, Check, Node, running

from buildnet.node.auth.same_site import OtherSiteError


@pytest.mark.parametrize(
    ("scheme", "name", "secure"), [("http", "buildnet_", False), ("https", "__Host-", True)]
)
def test_the_cookie_is_for_this_node_s_pages_alone(
    check: Check, scheme: str, name: str, secure: bool
) -> None:
    async def work(node: Node, around: Around) -> None:
        code = await node.link()
        page = {"origin": f"{scheme}://{HOST}"}
        made = await node.ask("POST", "/api/login", page, {"code": code}, scheme=scheme)
        said = made.headers["set-cookie"]
        assert made.cookie.startswith(name)
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(said.split("; "))
        assert ("Secure" in said) is secure
        assert "Domain" not in said
        other = "https" if scheme == "http" else "http"  # what came with TLS does not count without
        answer = await node.ask("GET", "/api/session", {"cookie": made.cookie}, scheme=other)
        assert answer.status == 401

    check(work)


FORGED = {
    "a form of another site": EVIL,
    "a form of another port of this host": {"origin": "http://node:8081"},
    "a sandboxed frame": {"origin": "null"},
    "no origin": {},
    "the origin, but the browser says otherwise": {**PAGE, "sec-fetch-site": "cross-site"},
    "a page of the node without the token": PAGE,
    "a guessed token": {**PAGE, "x-buildnet-csrf": "0" * 64},
    "the token from elsewhere": {**EVIL, "x-buildnet-csrf": "TOKEN"},
}


@pytest.mark.parametrize("how", FORGED)
def test_cross_site_requests_change_nothing(check: Check, how: str) -> None:
    async def work(node: Node, around: Around) -> None:
        browser = await node.browser(account="anna")
        headers = {
            name: browser.token if value == "TOKEN" else value
            for name, value in FORGED[how].items()
        }
        for method, path in (
            ("POST", "/change"),
            ("DELETE", "/api/session"),
            ("POST", "/api/ws-ticket"),
        ):
            answer = await browser.ask(method, path, headers)
            assert (answer.status, answer.body["code"]) == (403, "OTHER_SITE"), path
        assert (await browser.ask("GET", "/api/session")).status == 200

    check(work)


def test_the_token_of_one_session_is_none_of_another(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        anna, berta = await node.browser(account="anna"), await node.browser(account="berta")
        stolen = {**PAGE, "x-buildnet-csrf": berta.token}
        assert (await anna.ask("POST", "/change", stolen)).status == 403

    check(work)


def test_another_site_can_not_log_somebody_in(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        code = await node.link(account="berta")
        for headers in (EVIL, {}, {"origin": "null"}):
            assert (await node.ask("POST", "/api/login", headers, {"code": code})).status == 403
        key = {"authorization": "Bearer ci", **EVIL}
        assert (await node.ask("POST", "/api/session", key)).status == 403
        assert not node.people.sessions.all()
        assert (await node.ask("POST", "/api/login", PAGE, {"code": code})).status == 201

    check(work)


def test_cookies_open_no_websocket_and_tickets_one(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        browser = await node.browser(account="anna")
        refused = [
            await browser.ask("", "/ws", headers, scheme="ws") for headers in (PAGE, EVIL, {})
        ]
        for answer in refused:
            assert [each["type"] for each in answer.messages] == ["websocket.close"]

        async def ticket() -> str:
            made = await browser.ask("POST", "/api/ws-ticket", browser.own())
            return f"ticket={made.body['ticket']}"

        async def opens(query: str, headers: Mapping[str, str]) -> bool:
            answer = await node.ask("", "/ws", headers, scheme="ws", query=query)
            return bool(answer.messages[0]["type"] == "websocket.accept")

        once = await ticket()
        assert await opens(once, PAGE)
        assert not await opens(once, PAGE)  # it was used
        assert not await opens(await ticket(), EVIL)
        late = await ticket()
        around.now += 30
        assert not await opens(late, PAGE)
        ended = await ticket()
        await browser.ask("DELETE", "/api/session", browser.own())
        assert not await opens(ended, PAGE)
        assert not await opens("ticket=", PAGE)

    check(work)


def test_pages_behind_a_proxy_open_websockets(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        def socket(origin: str) -> HTTPConnection:
            headers = [(b"host", HOST.encode()), (b"origin", origin.encode())]
            return HTTPConnection(
                {"type": "websocket", "scheme": "ws", "path": "/ws", "headers": headers}
            )

        around.pages = ("https://build.example",)
        for own in (f"http://{HOST}", "https://build.example"):
            node.people.require_own_page(socket(own))
        for other in (f"https://{HOST}", "http://build.example", "null"):
            with pytest.raises(OtherSiteError):
                node.people.require_own_page(socket(other))

    check(work)


def test_a_ticket_is_nothing_but_that(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        browser = await node.browser(account="anna")
        made = await browser.ask("POST", "/api/ws-ticket", browser.own())
        query = f"ticket={made.body['ticket']}"
        assert (await node.ask("GET", "/api/session", query=query)).status == 401
        key = {"authorization": "Bearer ci"}
        assert (await node.ask("POST", "/api/ws-ticket", key)).status == 400

    check(work)


def test_nobody_can_prepare_a_session_for_somebody_else(check: Check) -> None:
    """Session fixation: what a browser has before a login is nothing after it."""

    async def work(node: Node, around: Around) -> None:
        prepared = f"buildnet_{node.people.name}=chosen-by-the-attacker"
        code = await node.link(account="anna")
        said = {**PAGE, "cookie": prepared}
        made = await node.ask("POST", "/api/login", said, {"code": code})
        assert made.cookie != prepared
        assert (await node.ask("GET", "/api/session", {"cookie": prepared})).status == 401
        # An attacker's own session in the victim's browser ends when the victim logs in.
        code = await node.link(account="berta")
        again = await node.ask(
            "POST", "/api/login", {**PAGE, "cookie": made.cookie}, {"code": code}
        )
        assert (await node.ask("GET", "/api/session", {"cookie": made.cookie})).status == 401
        who = await node.ask("GET", "/api/session", {"cookie": again.cookie})
        assert who.body["actor"] == "account:berta"

    check(work)


def test_a_cookie_is_of_one_node(tmp_path: Path) -> None:
    async def whole() -> None:
        around = Around()
        async with (
            running(tmp_path / "one.db", around) as one,
            running(tmp_path / "two.db", around) as two,
        ):
            browser = await one.browser(account="anna")
            assert (await two.ask("GET", "/api/session", {"cookie": browser.cookie})).status == 401
            secret = browser.cookie.partition("=")[2]
            renamed = f"buildnet_{two.people.name}={secret}"
            assert (await two.ask("GET", "/api/session", {"cookie": renamed})).status == 401
            both = f"{browser.cookie}; {(await two.browser()).cookie}"  # two ports of one host
            assert (await one.ask("GET", "/api/session", {"cookie": both})).body[
                "actor"
            ] == "account:anna"
            code = await one.link(account="anna")
            assert (await two.ask("POST", "/api/login", PAGE, {"code": code})).status == 401

    asyncio.run(asyncio.wait_for(whole(), 30))
