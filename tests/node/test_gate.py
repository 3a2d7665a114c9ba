"""Who gets to which route: the gate, and the action that each route declares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from itertools import product
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from starlette.requests import HTTPConnection

from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.app import Application
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.gate import Gate, _introduce
from buildnet.node.api.problems import add_problem_handlers, problem_of
from buildnet.node.auth.actions import GRANTED, Action
from buildnet.node.auth.authenticator import Authenticator
from buildnet.node.auth.caller import NOBODY, OWNER, Caller, CallerKind
from buildnet.node.auth.connections import Connections
from buildnet.node.auth.refusal import (
    KeyRevokedError,
    NotAllowedError,
    NotAuthenticatedError,
    TooManyConnectionsError,
    TooManyRequestsError,
)
from buildnet.node.http_guard import WELCOME

CALLERS = {
    name: Caller(CallerKind.KEY, name, rights=Rights(name))
    for name in ("admin", "builder", "observer")
}
SIGNED = Caller(CallerKind.KEY, "signed", Rights.ADMIN, body_sha256=sha256(b"no json").digest())
OTHER = replace(SIGNED, body_sha256=sha256(b"{}").digest())
WITHIN = Caller(CallerKind.KEY, "within", Rights.ADMIN, workspaces=frozenset({"shop"}))
NARROW = Caller(CallerKind.KEY, "narrow", Rights.ADMIN, frozenset({Action.VIEW_LEDGER}))
HERE = Caller(CallerKind.KEY, "here", Rights.ADMIN, nodes=frozenset({"abcd"}))
OTHERS = {"narrow": NARROW, "signed": SIGNED, "other": OTHER, "within": WITHIN, "here": HERE}


class Names:
    """A credential that says who one is; ``bad`` does not count."""

    async def caller(self, connection: HTTPConnection) -> Caller | None:
        name = connection.headers.get("authorization")
        if name == "bad":
            raise NotAuthenticatedError("bad")
        if name == "busy":
            raise TooManyRequestsError("too often", 1.2)
        return None if name is None else {**CALLERS, **OTHERS}[name]


def application() -> Application:
    made = Application()
    router = declared_router()
    for action in Action:

        @router.get(f"/{action}")
        @does(action)
        async def answer(asking: Asking) -> str:
            return asking.actor

    @router.get("/here")
    @does(Action.MANAGE_NODES, here=True)
    async def here() -> None: ...

    @router.post("/typed")
    @router.post("/api/build/typed")
    @does(Action.MODIFY_CONFIG)
    async def typed(body: dict[str, int]) -> None: ...

    made.offer(router)
    add_problem_handlers(made)
    return made


def ask(
    path: str, credential: str | None = None, *, otherwise: Caller = NOBODY, method: str = "GET"
) -> int:
    """Return the status of the answer."""
    sent: list[Any] = []
    headers = [] if credential is None else [(b"authorization", credential.encode())]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "query_string": b""}
    scope["headers"] = headers
    made = application()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"no json", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    gate = Gate(made, made.declared, Authenticator((Names(),)), otherwise, Connections())
    asyncio.run(gate(scope, receive, send))
    return int(sent[0]["status"])


def test_a_route_without_a_declaration_can_not_be_made() -> None:
    router = declared_router()
    with pytest.raises(TypeError, match="/plain declares no action"):
        router.get("/plain")(lambda: None)
    undeclared = APIRouter()
    undeclared.get("/other")(lambda: None)
    with pytest.raises(TypeError, match="/other declares no action"):
        Application().offer(undeclared)


@pytest.mark.parametrize(("name", "action"), list(product(CALLERS, Action)))
def test_rights_allow_the_actions_of_the_matrix(name: str, action: Action) -> None:
    allowed = action is Action.OPEN or action in GRANTED[Rights(name)]
    assert ask(f"/{action}", name) == (200 if allowed else 403)


def test_the_matrix_is_that_of_the_source_document() -> None:
    may = {rights: {action for action in Action if action in GRANTED[rights]} for rights in Rights}
    view = {Action.VIEW_RESOURCES, Action.VIEW_LEDGER, Action.VIEW_BUILDS}
    assert may[Rights.OBSERVER] == view
    assert may[Rights.BUILDER] - view == {
        Action.TRIGGER_BUILD,
        Action.CANCEL_BUILD,
        Action.WRITE_NOTE,
    }
    assert set(Action) - may[Rights.ADMIN] == {Action.OPEN, Action.OWN_NODE}


def test_a_short_path_is_the_route_that_it_stands_for_however_a_request_came() -> None:
    assert ask("/build/typed", "admin", method="POST") == 400  # its body is none, so it was there
    assert ask("/build/typed", "observer", method="POST") == 403
    assert ask("/build/typed") == 401


def test_nobody_gets_to_open_routes_only_and_learns_of_no_other() -> None:
    assert ask("/open") == 200
    for path in ("/view-resources", "/own-node", "/none"):
        assert ask(path) == 401
    assert ask("/open", method="POST") == 401


def test_the_owner_does_everything_and_a_credential_counts_in_their_place() -> None:
    for action in Action:
        assert ask(f"/{action}", otherwise=OWNER) == 200
    assert ask("/own-node", "admin", otherwise=OWNER) == 403
    assert ask("/view-builds", "bad", otherwise=OWNER) == 401


def test_a_credential_that_does_not_count_is_refused_though_others_need_none() -> None:
    assert ask("/view-builds", "bad") == 401
    assert ask("/open", "bad") == 200


def test_a_credential_for_one_action_is_for_no_other() -> None:
    assert ask("/view-ledger", "narrow") == 200
    assert ask("/view-builds", "narrow") == 403


def test_a_key_for_single_nodes_does_nothing_that_counts_on_all() -> None:
    of_all = {"modify-config", "delete-config", "manage-nodes", "manage-access"}
    refused = {each.value for each in Action if ask(f"/{each}", "here") == 403}
    assert refused == of_all | {"own-node"}
    assert ask("/here", "here") == 200  # a route that says that it keeps to its node
    with pytest.raises(NotAllowedError, match="whole cluster"):
        HERE.require_cluster()
    CALLERS["admin"].require_cluster()


def test_rights_come_before_existence_and_before_the_body() -> None:
    assert ask("/typed", "builder", method="POST") == 403
    assert ask("/typed", "admin", method="POST") == 400


def test_a_body_is_the_one_that_was_signed() -> None:
    assert ask("/typed", "signed", method="POST") == 400  # it got as far as to its meaning
    assert ask("/typed", "other", method="POST") == 401
    assert ask("/view-builds", "other") == 401


def test_a_key_for_single_workspaces_gets_to_no_route_that_does_not_look_at_them() -> None:
    assert ask("/view-resources", "within") == 200
    for action in set(Action) - {Action.OPEN, Action.VIEW_RESOURCES}:
        assert ask(f"/{action}", "within") == 403


def test_a_builder_changes_its_own_builds_only() -> None:
    CALLERS["builder"].require_touch("builder", "this build")
    CALLERS["admin"].require_touch("builder", "this build")
    OWNER.require_touch("builder", "this build")
    with pytest.raises(NotAllowedError, match="this build is ci's"):
        CALLERS["builder"].require_touch("ci", "this build")


def test_only_who_has_the_socket_says_a_name() -> None:
    assert OWNER.name("anna") == "anna"
    assert CALLERS["admin"].name("anna") == "admin"


@pytest.mark.parametrize(
    ("media_type", "before", "expected"),
    [
        ("application/x-ndjson", b"{}\n", b'{}\n{"type": "error", "code": "KEY_REVOKED"'),
        ("application/x-ndjson", b"{", b'{\n{"type": "error", "code": "KEY_REVOKED"'),
        ("text/event-stream; charset=utf-8", b":\n\n", b':\n\nevent: error\ndata: {"type"'),
        ("text/plain", b"text", b"text"),
        (None, b"", b'{"type":"about:blank"'),
    ],
)
def test_an_answer_ends_with_its_credential_and_says_why(
    media_type: str | None, before: bytes, expected: bytes
) -> None:
    made, connections = Application(), Connections()
    router, begun = declared_router(), asyncio.Event()

    async def for_ever() -> AsyncIterator[bytes]:
        yield before
        begun.set()
        await asyncio.Event().wait()

    @router.get("/stream", response_model=None)
    @does(Action.VIEW_BUILDS)
    async def stream() -> StreamingResponse:
        if media_type is None:
            begun.set()
            await asyncio.Event().wait()
        return StreamingResponse(for_ever(), media_type=media_type)

    made.offer(router)
    gate = Gate(made, made.declared, Authenticator((Names(),)), NOBODY, connections)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async def ends() -> None:
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/stream"}
        scope |= {"query_string": b"", "headers": [(b"authorization", b"builder")]}
        asking = asyncio.create_task(gate(scope, receive, send))
        await begun.wait()
        assert [one.what for one in connections.live()] == ["GET /stream"]
        assert connections.end("", KeyRevokedError("it was revoked")) == 1
        await asking

    asyncio.run(ends())
    assert sent[0]["status"] == (401 if media_type is None else 200)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    assert body.startswith(expected)
    # What has no room for the reason breaks off, and is not taken for whole.
    assert sent[-1].get("more_body", False) is (media_type == "text/plain")
    assert connections.live() == ()


def test_a_websocket_is_closed_with_its_credential() -> None:
    connections, begun = Connections(), asyncio.Event()
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        begun.set()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async def ends() -> None:
        gate = Gate(application, [], Authenticator((Names(),)), NOBODY, connections)
        scope = {"type": "websocket", "path": "/ws", "headers": [(b"authorization", b"builder")]}
        asking = asyncio.create_task(gate(scope, asyncio.Event().wait, send))  # type: ignore[arg-type]
        await begun.wait()
        connections.end("", KeyRevokedError("revoked " * 50))
        await asking

    asyncio.run(ends())
    assert sent[-1]["code"] == 1008
    assert len(sent[-1]["reason"].encode()) <= 123


def test_an_end_of_the_server_is_no_end_of_a_credential() -> None:
    async def ends() -> None:
        begun = asyncio.Event()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

        gate = Gate(application, [], Authenticator(), OWNER, Connections())
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        asking = asyncio.create_task(gate(scope, asyncio.Event().wait, asyncio.sleep))  # type: ignore[arg-type]
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(ends())


def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    error = TooManyRequestsError("too often", 1.2)
    assert problem_of(error).headers["retry-after"] == "2"
    assert ask("/view-builds", "busy") == 429


def test_the_guard_of_a_connection_is_told_who_asks_and_may_say_no() -> None:
    told: list[str] = []

    def know(who: str) -> bool:
        told.append(who)
        return len(told) < 2

    caller = Caller(CallerKind.KEY, "ci", Rights.BUILDER, credential="k1")
    scope: dict[str, Any] = {"extensions": {WELCOME: {"know": know}}}
    _introduce(OWNER, scope)
    _introduce(caller, scope)
    with pytest.raises(TooManyConnectionsError, match="ci has too many"):
        _introduce(caller, scope)
    _introduce(caller, {})
    session = replace(caller, kind=CallerKind.SESSION, credential="s1", opened_with="k1")
    with pytest.raises(TooManyConnectionsError):
        _introduce(session, scope)
    assert told == ["k1", "k1", "k1"]
