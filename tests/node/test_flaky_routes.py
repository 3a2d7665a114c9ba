"""The list of flaky tests comes in parts, those that were so last first."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

from fastapi import FastAPI

from buildnet.node.api.flaky_routes import flaky_routes
from buildnet.node.api.problems import add_problem_handlers
from buildnet.node.auth.caller import OWNER
from buildnet.node.service import NodeService
from buildnet.pool.learned_tests import FlakyTest


def get(query: str) -> Any:
    tests = tuple(
        FlakyTest("a#test", f"t{number}", 2, 0.0, float(number), None) for number in range(5)
    )
    kept = SimpleNamespace(flaky=lambda: [("w", "/w", tests), ("v", "/v", tests[:1])])
    builder = SimpleNamespace(workshop=SimpleNamespace(kept_tests=kept))
    application = FastAPI()
    add_problem_handlers(application)
    service = cast(NodeService, SimpleNamespace(builder=builder))
    application.include_router(flaky_routes(service))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "state": {"caller": OWNER},
        "type": "http",
        "method": "GET",
        "path": "/api/tests/flaky",
        "query_string": query.encode(),
        "headers": [],
    }
    asyncio.run(application(scope, receive, send))
    return json.loads(sent[1]["body"])


def test_all_of_them_come_in_parts() -> None:
    found, cursor = [], ""
    while cursor is not None:
        page = get(f"workspace=w&limit=2{cursor and '&cursor='}{cursor}")
        assert len(page["flaky"]) <= 2
        found += [each["name"] for each in page["flaky"]]
        cursor = page["next"]
    assert found == ["t4", "t3", "t2", "t1", "t0"]
    whole = get("")
    assert (len(whole["flaky"]), whole["next"]) == (6, None)


def test_what_is_no_cursor_is_refused_in_words() -> None:
    assert (get("cursor=inf_x")["code"], get("limit=0")["status"]) == ("USAGE", 400)
