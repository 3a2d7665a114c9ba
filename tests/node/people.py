"""A node as its people see it: the real gate and routes, over a service that has no more than what
these routes ask; and a browser that asks them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

from fastapi import WebSocket

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.app import Application
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.gate import Gate
from buildnet.node.api.login_routes import login_routes
from buildnet.node.api.problems import add_problem_handlers
from buildnet.node.auth.actions import Action
from buildnet.node.auth.authenticator import Authenticator
from buildnet.node.auth.caller import NOBODY, OWNER, Caller, CallerKind
from buildnet.node.auth.connections import Connections
from buildnet.node.auth.people import People, PeopleSurroundings
from buildnet.node.auth.session_records import SessionTold
from buildnet.node.auth.session_store import SessionStore
from buildnet.node.auth.sessions import SessionLimits
from buildnet.node.service import NodeService
from buildnet.node.way_in import WayIn
from buildnet.node.web.pages import page_routes

HOST = "node:8080"
PAGE = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
EVIL = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


class Keys:
    """Keys: ``Bearer NAME``; ``boss`` and ``clerk`` are of admins, some are for little; ``shop``
    for one workspace."""

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
            workspaces=frozenset({"shop"}) if said == "shop" else None,
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


Check = Callable[[Callable[[Node, Around], Awaitable[None]]], None]
