"""People log in: over the real gate and routes, with a browser's requests; and what attackers try.

The application is that of a node, over a service that has no more than what these routes ask.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from fastapi import WebSocket
from starlette.requests import HTTPConnection

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.app import Application
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.gate import Gate
from buildnet.node.api.login_routes import login_routes
from buildnet.node.api.page_routes import page_routes
from buildnet.node.api.problems import add_problem_handlers
from buildnet.node.auth.actions import Action
from buildnet.node.auth.authenticator import Authenticator
from buildnet.node.auth.caller import NOBODY, OWNER, Caller, CallerKind
from buildnet.node.auth.connections import Connections
from buildnet.node.auth.logins import WRONG_AT_ONCE
from buildnet.node.auth.people import People, PeopleSurroundings, lesser
from buildnet.node.auth.refusal import NotAuthenticatedError
from buildnet.node.auth.same_site import OtherSiteError
from buildnet.node.auth.session_records import SessionTold
from buildnet.node.auth.session_store import SessionStore, SessionStoreError
from buildnet.node.auth.sessions import Ended, Grant, SessionLimits
from buildnet.node.service import NodeService
from buildnet.node.way_in import WayIn

HOST = "node:8080"
PAGE = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
EVIL = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


class Keys:
    """Keys: ``Bearer NAME``; ``boss`` and ``clerk`` are of admins, some are for little."""

    ACTIONS: ClassVar = {
        "narrow": frozenset({Action.VIEW_RESOURCES}),
        "clerk": frozenset({Action.VIEW_RESOURCES, Action.MANAGE_ACCESS}),
    }

    def __init__(self) -> None:
        self.problem: BuildNetError | None = None
        self.rate: int | None = None

    async def caller(self, connection: Any) -> Caller | None:
        said = connection.headers.get("authorization", "").partition(" ")[2]
        if not said:
            return None
        return Caller(
            CallerKind.KEY,
            f"agent:{said}",
            Rights.ADMIN if said in ("boss", "clerk") else Rights.BUILDER,
            self.ACTIONS.get(said),
            credential=f"key of {said}",
            body_sha256=sha256(b"").digest() if said == "bound" else None,
            rate=self.rate,
            problem=lambda: self.problem,
        )


class Node:
    """A node as its people see it."""

    def __init__(self, people: People, connections: Connections) -> None:
        self.people = people
        self.connections = connections
        self.keys = Keys()
        self.streaming = asyncio.Event()
        service: Any = SimpleNamespace(
            access=SimpleNamespace(people=people),
            way_in=WayIn("0.0.0.0", 8080),
            address="http://10.0.0.1:8080",
            config=SimpleNamespace(sessions=SimpleNamespace(idle=100.0)),
            key=SimpleNamespace(node_id="id"),
            name="node",
        )
        self.application = Application()
        add_problem_handlers(self.application)
        self.application.offer(page_routes())
        self.application.offer(login_routes(cast(NodeService, service)))
        router = declared_router()

        @router.post("/change")
        @does(Action.TRIGGER_BUILD)
        async def change(asking: Asking) -> str:
            return asking.actor

        @router.get("/stream")
        @does(Action.VIEW_BUILDS)
        async def stream() -> None:
            self.streaming.set()
            await asyncio.Event().wait()

        @router.websocket("/ws")
        @does(Action.VIEW_BUILDS)
        async def events(websocket: WebSocket, asking: Asking) -> None:
            asking.require(Action.VIEW_BUILDS)
            await websocket.accept()
            await websocket.send_text(asking.actor)
            await websocket.close()

        self.application.offer(router)

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        *,
        owner: bool = False,
        scheme: str = "http",
        query: str = "",
    ) -> Answer:
        """Ask as a browser elsewhere does, or the owner at the socket."""
        kind = "websocket" if scheme.startswith("ws") else "http"
        content = b"" if body is None else json.dumps(body).encode()
        said = {"host": HOST, "content-type": "application/json", **(headers or {})}
        scope = {
            "type": kind,
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "scheme": scheme,
            "server": ("node", 8080),
            "client": ("10.0.0.9", 1),
            "headers": [(name.encode(), value.encode()) for name, value in said.items()],
            "subprotocols": [],
        }
        messages = iter(
            [{"type": "websocket.connect"}]
            if kind == "websocket"
            else [{"type": "http.request", "body": content, "more_body": False}]
        )
        answer = Answer()

        async def receive() -> Any:
            for message in messages:
                return message
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            answer.messages.append(message)

        authenticator = Authenticator((self.keys, self.people))
        otherwise = OWNER if owner else NOBODY
        application = self.application
        gate = Gate(application, application.declared, authenticator, otherwise, self.connections)
        await gate(scope, receive, send)
        return answer

    async def link(self, **body: object) -> str:
        """Return the code of a link that the owner makes at the socket."""
        made = await self.ask("POST", "/api/logins", body=body, owner=True)
        assert made.status == 201, made.body
        return str(made.body["url"]).partition("#")[2]

    async def browser(self, **body: object) -> Browser:
        """Return a browser that is logged in."""
        code = await self.link(**body)
        made = await self.ask("POST", "/api/login", PAGE, {"code": code})
        assert made.status == 201, made.body
        return Browser(self, made.cookie, made.body["csrf"])


class Answer:
    """What came back."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    @property
    def status(self) -> int:
        return int(self.messages[0].get("status", 0))

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> Any:
        return json.loads(self.messages[1]["body"])

    @property
    def cookie(self) -> str:
        return self.headers["set-cookie"].partition(";")[0]


class Browser:
    """One that is logged in, at a page of the node."""

    def __init__(self, node: Node, cookie: str, token: str) -> None:
        self.node = node
        self.cookie = cookie
        self.token = token

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        said = {"cookie": self.cookie, **(headers or {})}
        return await self.node.ask(method, path, said, **more)

    def own(self) -> dict[str, str]:
        """Return what a page of the node sends along."""
        return {**PAGE, "x-buildnet-csrf": self.token}


class Around:
    """What people depend on; a clock that the test moves. ``meanwhile``: what happens while an
    account is looked up."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.own: Rights | None = Rights.ADMIN
        self.accounts: dict[str, Rights] = {"anna": Rights.BUILDER, "berta": Rights.ADMIN}
        self.told: list[SessionTold] = []
        self.pages: tuple[str, ...] = ()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None


@asynccontextmanager
async def running(
    path: Path, around: Around, limits: SessionLimits | None = None
) -> AsyncIterator[Node]:
    store = await SessionStore.open(path)
    connections = Connections()

    async def account_rights(name: str) -> Rights | None:
        if around.meanwhile is not None:
            await around.meanwhile()
        return around.accounts.get(name)

    surroundings = PeopleSurroundings(
        limits=lambda: limits or SessionLimits(idle=100, lifetime=1000),
        own_rights=lambda: around.own,
        account_rights=account_rights,
        record=lambda record: around.told.append(cast(SessionTold, record)),
        hang_up=connections.end,
        pages=lambda: around.pages,
    )
    try:
        people = People(
            store, await store.all(), surroundings, lambda: around.now, lambda: around.now
        )
        yield Node(people, connections)
    finally:
        await store.close()


@pytest.fixture
def check(tmp_path: Path) -> Callable[[Callable[[Node, Around], Awaitable[None]]], None]:
    def run(work: Callable[[Node, Around], Awaitable[None]]) -> None:
        async def whole() -> None:
            around = Around()
            async with running(tmp_path / "access.db", around) as node:
                await work(node, around)

        asyncio.run(asyncio.wait_for(whole(), 30))

    return run


Check = Callable[[Callable[[Node, Around], Awaitable[None]]], None]


def test_a_link_logs_a_browser_in_and_logging_out_ends_that(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        browser = await node.browser(account="anna")
        who = (await browser.ask("GET", "/api/session")).body
        assert (who["actor"], who["rights"]) == ("account:anna", "builder")
        assert who["csrf"] == browser.token
        changed = await browser.ask("POST", "/change", browser.own())
        assert (changed.status, changed.body) == (200, "account:anna")
        left = await browser.ask("DELETE", "/api/session", browser.own())
        assert left.status == 200
        assert "Max-Age=0" in left.headers["set-cookie"]
        assert (await browser.ask("GET", "/api/session")).status == 401
        assert [each.type for each in around.told] == ["session.opened", "session.closed"]
        assert around.told[0].data["address"] == "10.0.0.9"
        secret = browser.cookie.partition("=")[2]
        assert secret not in repr(around.told) + repr(node.people.sessions.all())

    check(work)


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


def test_a_code_is_good_once_and_guesses_are_slowed_down(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        code = await node.link(account="anna")
        statuses = [
            (await node.ask("POST", "/api/login", PAGE, {"code": each})).status
            for each in (code, code, *["guess"] * WRONG_AT_ONCE)
        ]
        assert statuses == [201, *[401] * WRONG_AT_ONCE, 429]
        other = await node.link(account="anna")
        assert (await node.ask("POST", "/api/login", PAGE, {"code": other})).status == 429
        around.now += 600
        late = await node.ask("POST", "/api/login", PAGE, {"code": other})
        assert late.status == 401  # ten minutes are over

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


def test_a_user_of_the_host_is_not_the_account_of_the_same_name(tmp_path: Path) -> None:
    async def whole() -> None:
        around, limits = Around(), SessionLimits(idle=100, lifetime=1000, per_actor=1)
        async with running(tmp_path / "access.db", around, limits) as node:
            account, user = await node.browser(account="anna"), await node.browser(actor="anna")
            said = [
                (await each.ask("GET", "/api/session")).body["actor"] for each in (account, user)
            ]
            assert said == ["account:anna", "anna"]  # neither made room for the other
            assert {each.actor for each in around.told} == {"account:anna", "anna"}
            for forged in ("account:anna", "agent:ci"):
                body = {"actor": forged}
                made = await node.ask("POST", "/api/logins", body=body, owner=True)
                assert (made.status, made.body["code"]) == (400, "USAGE")

    asyncio.run(asyncio.wait_for(whole(), 30))


def test_a_session_of_a_link_that_was_made_with_a_key_ends_with_the_key(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        boss = {"authorization": "Bearer boss"}

        async def link(headers: Mapping[str, str]) -> str:
            made = await node.ask("POST", "/api/logins", headers, {"account": "berta"})
            assert made.status == 201, made.body
            return str(made.body["url"]).partition("#")[2]

        async def browser(code: str) -> Browser:
            made = await node.ask("POST", "/api/login", PAGE, {"code": code})
            return Browser(node, made.cookie, made.body["csrf"])

        one, kept = await browser(await link(boss)), await node.browser(account="berta")
        who = (await one.ask("GET", "/api/session")).body
        assert who["rights"] == "admin"
        # what such a session makes stands on the key, too
        second = await browser(await link({"cookie": one.cookie, **one.own()}))
        waiting = await link(boss)
        assert {each.grant.linked_by is None for each in node.people.sessions.all()} == {
            True,
            False,
        }
        streaming = asyncio.ensure_future(one.ask("GET", "/stream"))
        await node.streaming.wait()
        node.keys.problem = NotAuthenticatedError("the key was revoked")
        node.connections.look()  # as soon as the node knows, not at its next look at sessions
        assert (await streaming).body["detail"] == "the key was revoked"
        assert (await one.ask("GET", "/api/session")).status == 401
        assert (await node.ask("POST", "/api/login", PAGE, {"code": waiting})).status == 401
        await node.people.look()
        assert (await second.ask("GET", "/api/session")).status == 401
        assert (await kept.ask("GET", "/api/session")).status == 200
        assert len(node.people.sessions.all()) == 1

    check(work)


def test_a_session_of_a_key_s_link_may_no_more_than_the_key_and_is_not_kept(
    tmp_path: Path,
) -> None:
    async def whole() -> None:
        around, path = Around(), tmp_path / "access.db"
        async with running(path, around) as node:
            clerk = Caller(CallerKind.KEY, "agent:clerk", Rights.BUILDER, credential="k")
            grant = Grant("berta", account=True, linked_by=clerk)
            made = await node.ask("POST", "/api/login", PAGE, {"code": node.people.code_for(grant)})
            who = (await node.ask("GET", "/api/session", {"cookie": made.cookie})).body
            assert who["rights"] == "builder"  # the account's are those of an admin
        async with running(path, around) as again:
            answer = await again.ask("GET", "/api/session", {"cookie": made.cookie})
            assert answer.status == 401

    asyncio.run(asyncio.wait_for(whole(), 30))


def test_sessions_outlive_the_process_and_no_secret_is_on_the_disk(tmp_path: Path) -> None:
    async def whole() -> None:
        around, path = Around(), tmp_path / "access.db"
        async with running(path, around) as node:
            browser, gone = await node.browser(account="anna"), await node.browser()
            await gone.ask("DELETE", "/api/session", gone.own())
            by_key = await node.ask("POST", "/api/session", {**PAGE, "authorization": "Bearer ci"})
            assert by_key.status == 201
        kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
        for secret in (browser.cookie, gone.cookie, by_key.cookie):
            assert secret.partition("=")[2].encode() not in kept
        assert path.stat().st_mode & 0o077 == 0
        async with running(path, around) as again:
            answer = await again.ask("GET", "/api/session", {"cookie": browser.cookie})
            assert answer.body["actor"] == "account:anna"
            for cookie in (gone.cookie, by_key.cookie):
                assert (await again.ask("GET", "/api/session", {"cookie": cookie})).status == 401
        around.now += 100
        async with running(path, around) as later:
            answer = await later.ask("GET", "/api/session", {"cookie": browser.cookie})
            assert answer.status == 401

    asyncio.run(asyncio.wait_for(whole(), 30))


def test_what_was_ended_while_a_request_of_it_came_does_not_come_back(tmp_path: Path) -> None:
    async def work() -> None:
        around = Around()
        async with running(tmp_path / "access.db", around) as node:
            browser = await node.browser(account="anna")
            (session,) = node.people.sessions.all()
            around.meanwhile = lambda: node.people.end(session.id, Ended.KICKED)
            assert (await browser.ask("GET", "/api/session")).status == 401
        async with running(tmp_path / "access.db", around) as node:
            assert node.people.sessions.all() == []

    asyncio.run(work())


def test_who_was_sent_away_while_the_disk_was_full_is_not_back_after_a_new_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(store: SessionStore, session_id: str) -> None:
        raise SessionStoreError("the disk is full")

    async def work() -> None:
        around = Around()
        async with running(tmp_path / "access.db", around) as node:
            await node.browser(account="anna")
            (session,) = node.people.sessions.all()
            with monkeypatch.context() as patch:
                patch.setattr(SessionStore, "remove", full)
                for work in (node.people.end(session.id, Ended.KICKED), node.people.look()):
                    with pytest.raises(SessionStoreError):
                        await work
            await node.people.look()
        async with running(tmp_path / "access.db", around) as node:
            assert node.people.sessions.all() == []

    asyncio.run(work())


def test_a_damaged_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "access.db"
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(SessionStoreError, match="can't be used"):
        asyncio.run(SessionStore.open(path))


@pytest.mark.parametrize(
    ("what", "why"), [("account", Ended.ACCOUNT), ("idle", Ended.IDLE), ("end", Ended.KICKED)]
)
def test_what_goes_on_in_a_session_ends_with_it(check: Check, what: str, why: Ended) -> None:
    async def work(node: Node, around: Around) -> None:
        browser = await node.browser(account="anna")
        streaming = asyncio.ensure_future(browser.ask("GET", "/stream"))
        await node.streaming.wait()
        if what == "account":
            del around.accounts["anna"]
        elif what == "idle":
            around.now += 100
        else:
            (session,) = node.people.sessions.all()
            await node.people.end(session.id, Ended.KICKED)
        await node.people.look()
        answer = await streaming
        assert (answer.status, answer.body["code"]) == (401, "NOT_AUTHENTICATED")
        assert why.value in answer.body["detail"]
        assert (await browser.ask("GET", "/api/session")).status == 401

    check(work)


def test_an_account_s_rights_count_as_they_are_now_and_never_beyond_the_node_s(
    check: Check,
) -> None:
    async def work(node: Node, around: Around) -> None:
        browser = await node.browser(account="berta")

        async def rights() -> str | None:
            return str((await browser.ask("GET", "/api/session")).body["rights"])

        assert await rights() == "admin"
        around.own = Rights.BUILDER
        assert await rights() == "builder"
        around.accounts["berta"] = Rights.OBSERVER
        assert await rights() == "observer"
        assert (await browser.ask("POST", "/change", browser.own())).status == 403
        del around.accounts["berta"]
        assert (await browser.ask("GET", "/api/session")).status == 401

    check(work)


def test_the_owner_logs_in_with_all_or_with_less(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        everything = await node.browser(actor="root")
        who = (await everything.ask("GET", "/api/session")).body
        assert (who["actor"], who["is_owner"]) == ("root", True)
        assert "own-node" in who["actions"]
        less = await node.browser(actor="root", rights="observer")
        who = (await less.ask("GET", "/api/session")).body
        assert (who["rights"], who["is_owner"]) == ("observer", False)
        assert "trigger-build" not in who["actions"]

    check(work)


def test_links_give_no_more_than_who_makes_them_has(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        missing = await node.ask("POST", "/api/logins", body={"account": "carl"}, owner=True)
        assert missing.status == 404
        for key, status in (("ci", 403), ("clerk", 403), ("boss", 201)):
            said = {"authorization": f"Bearer {key}"}
            answer = await node.ask("POST", "/api/logins", said, {"account": "anna"})
            assert answer.status == status, key
        admin = await node.browser(account="berta")
        made = await admin.ask("POST", "/api/logins", admin.own(), body={"account": "anna"})
        assert made.status == 201
        for body in ({}, {"actor": "root"}):  # an admin is not the owner of the host
            answer = await admin.ask("POST", "/api/logins", admin.own(), body=body)
            assert answer.status == 403

    check(work)


def test_a_session_by_key_may_what_the_key_may_and_ends_with_it(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        key = {**PAGE, "authorization": "Bearer narrow"}
        made = await node.ask("POST", "/api/session", key)
        browser = Browser(node, made.cookie, made.body["csrf"])
        who = (await browser.ask("GET", "/api/session")).body
        assert (who["actor"], who["actions"]) == ("agent:narrow", ["open", "view-resources"])
        assert (await browser.ask("POST", "/change", browser.own())).status == 403
        again = await browser.ask("POST", "/api/session", browser.own())
        assert again.status == 400  # a session makes no sessions
        node.keys.problem = NotAuthenticatedError("revoked")
        assert (await browser.ask("GET", "/api/session")).status == 401
        await node.people.look()
        assert not node.people.sessions.all()
        boss = {**PAGE, "authorization": "Bearer boss"}
        node.keys.problem = None
        made = await node.ask("POST", "/api/session", boss)
        assert "manage-access" not in made.body["actions"]  # it would outlive the key
        assert "manage-nodes" in made.body["actions"]
        bound = {**PAGE, "authorization": "Bearer bound"}
        assert (await node.ask("POST", "/api/session", bound)).status == 400

    check(work)


def test_a_ticket_counts_no_longer_than_its_session_s_key(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        key = {**PAGE, "authorization": "Bearer boss"}
        made = await node.ask("POST", "/api/session", key)
        browser = Browser(node, made.cookie, made.body["csrf"])
        ticket = (await browser.ask("POST", "/api/ws-ticket", browser.own())).body["ticket"]
        node.keys.problem = NotAuthenticatedError("revoked")  # nobody has looked at sessions yet
        query = f"ticket={ticket}"
        answer = await node.ask("", "/ws", PAGE, scheme="ws", query=query)
        assert [each["type"] for each in answer.messages] == ["websocket.close"]

    check(work)


def test_sessions_by_key_ask_no_more_often_than_the_key_may(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        node.keys.rate = 12  # of which two may come at once
        key = {**PAGE, "authorization": "Bearer boss"}
        opened = [await node.ask("POST", "/api/session", key) for _ in range(3)]
        browsers = [Browser(node, made.cookie, made.body["csrf"]) for made in opened]
        seen = [(await browser.ask("GET", "/api/session")).status for browser in browsers]
        assert seen == [200, 200, 429]
        around.now += 5
        assert (await browsers[2].ask("GET", "/api/session")).status == 200

    check(work)


def test_a_program_is_no_page_but_sends_its_key_itself(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        answer = await node.ask("POST", "/change", {"authorization": "Bearer ci", **EVIL})
        assert (answer.status, answer.body) == (200, "agent:ci")

    check(work)


@pytest.mark.parametrize("path", ["/", "/login", "/pages/login.js", "/pages/home.js"])
def test_pages_bring_nothing_from_elsewhere(check: Check, path: str) -> None:
    async def work(node: Node, around: Around) -> None:
        answer = await node.ask("GET", path)
        assert answer.status == 200
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        text = answer.messages[1]["body"].decode()
        assert not re.search(r"//[a-z]|style=|\bon[a-z]+=|<script>", text)

    check(work)


def test_the_lesser_rights_count() -> None:
    assert lesser(Rights.ADMIN, Rights.BUILDER) is Rights.BUILDER
    assert lesser(Rights.OBSERVER, Rights.BUILDER) is Rights.OBSERVER
    assert lesser(Rights.ADMIN, None) is None
