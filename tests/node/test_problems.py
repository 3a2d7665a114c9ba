"""A request that can't mean anything is refused in BuildNet's words."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal

import pytest
from fastapi import Depends, FastAPI, Query, Request

from buildnet.node.api.member_routes import InviteBody, PriorityBody, RecoverBody
from buildnet.node.api.parameters import known_parameters
from buildnet.node.api.problems import add_problem_handlers


def since(moment: Annotated[str | None, Query(alias="from")] = None) -> str | None:
    return moment


def application() -> FastAPI:
    app = FastAPI(dependencies=[Depends(known_parameters)])
    add_problem_handlers(app)

    @app.post("/invite")
    async def invite(body: InviteBody) -> None: ...

    @app.post("/priority")
    async def priority(body: PriorityBody) -> None: ...

    @app.post("/recover")
    async def recover(body: RecoverBody) -> None: ...

    @app.post("/list")
    async def listed(
        wanted: Annotated[str | None, Depends(since)],
        limit: int = 0,
        status: Literal["old", "new"] | None = None,
    ) -> None: ...

    return app


def answer(path: str, body: str) -> tuple[int, dict[str, Any]]:
    path, _, query = path.partition("?")
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"content-type", b"application/json")],
    }
    asyncio.run(application()(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/invite", '{"uses": "x"}', 'wrong value "x" for uses: expected a whole number'),
        (
            "/invite",
            '{"role": "king"}',
            "wrong value \"king\" for role: expected 'worker' or 'observer'",
        ),
        ("/invite", '{"usse": 1}', "unknown key 'usse'"),
        ("/invite", "{", "the request's body is no JSON"),
        ("/invite", "", "the request's body is missing"),
        ("/invite", "[]", "wrong value [] for the request's body: expected keys and values"),
        ("/priority", '{"node": "a"}', "priority is missing"),
        ("/priority", '{"node": "", "priority": 1}', 'wrong value "" for node: expected some text'),
        (
            "/priority",
            '{"node": "a", "priority": 1001}',
            "wrong value 1001 for priority: expected 1000 or less",
        ),
        ("/recover", '{"voters": []}', "wrong value [] for voters: expected at least 1 of them"),
        ("/list?limit=x", "", 'wrong value "x" for limit: expected a whole number'),
        ("/list?status=odd", "", "wrong value \"odd\" for status: expected 'old' or 'new'"),
    ],
)
def test_a_wrong_request_is_explained(path: str, body: str, said: str) -> None:
    status, problem = answer(path, body)
    assert (status, problem["status"], problem["code"]) == (400, 400, "INVALID_REQUEST")
    assert (problem["detail"], problem["exit_code"], problem["cause"]) == (said, 2, None)
    assert problem["hint"]


def test_all_that_is_wrong_is_told_and_not_more_of_it_than_helps() -> None:
    status, problem = answer("/invite", json.dumps({"uses": "x" * 500, "role": 7}))
    assert status == 400
    assert len(problem["detail"]) < 120
    assert problem["cause"] == "wrong value 7 for role: expected 'worker' or 'observer'"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/list?limt=3", "did you mean 'limit'?"),
        ("/list?limit=3&from=2h&color=red", "known here: from, limit, status"),
        ("/list?moment=2h", "known here: from, limit, status"),  # its name in the program
        ("/list?limit=x&zz", "known here: from, limit, status"),
        ("/invite?role=worker", "there are none here"),
    ],
)
def test_a_parameter_that_nobody_knows_is_refused(path: str, hint: str) -> None:
    status, problem = answer(path, "{}")
    assert (status, problem["code"], problem["exit_code"]) == (400, "INVALID_REQUEST", 2)
    assert problem["detail"].startswith("unknown query parameter '")
    assert problem["hint"] == hint


def test_parameters_that_a_route_knows_are_taken() -> None:
    assert answer("/list?limit=3&from=2h&status=old", "")[0] == 200


def test_who_hangs_up_in_the_middle_of_a_request_is_no_error_of_the_node(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = application()

    @app.post("/read")
    async def read(request: Request) -> None:
        await request.body()

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None: ...

    scope = {"type": "http", "method": "POST", "path": "/read", "query_string": b"", "headers": []}
    asyncio.run(app(scope, receive, send))
    assert not caplog.records
