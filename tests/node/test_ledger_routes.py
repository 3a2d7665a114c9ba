"""What the API of the ledger answers where it can't do what it is asked."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import FastAPI

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.service.errors import NotSealedError
from buildnet.node.api.ledger_routes import ledger_routes
from buildnet.node.api.problems import add_problem_handlers
from buildnet.node.auth.caller import OWNER
from buildnet.node.service import NodeService
from buildnet.pool.testing import member_view, mesh_view

REQUEST, ENTRY, ANNA = "ab" * 16, "cd" * 32, b"\xa1" * 32


class LonelyLedger:
    """Takes entries; none of them is ever sealed."""

    store = None
    core = SimpleNamespace(heads={})

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.entities: list[str] = []
        self.first: EntryDraft | None = None
        """What each request is taken for that was recorded before."""

    async def append(self, drafts: Any) -> tuple[Any]:
        self.requests += [draft.request.hex() for draft in drafts]
        self.entities += [draft.entity for draft in drafts]
        self.first = self.first or drafts[0]
        body = SimpleNamespace(
            type=self.first.type, actor=self.first.actor, entity=self.first.entity
        )
        return (SimpleNamespace(id=ENTRY, body=body, data=dict(self.first.data)),)

    async def sealed(self, entry: Any) -> int:
        raise NotSealedError("kept on this node's disk, not sealed yet")


def post(ledger: LonelyLedger, body: dict[str, str]) -> dict[str, Any]:
    async def current() -> LonelyLedger:
        return ledger

    service = SimpleNamespace(
        ledger=SimpleNamespace(current=current),
        pool=SimpleNamespace(
            sealing=lambda: SimpleNamespace(problem="away: bert, carl"),
            view=lambda: mesh_view(member_view(ANNA, "anna"), me=ANNA),
        ),
    )
    application = FastAPI()
    add_problem_handlers(application)
    application.include_router(ledger_routes(cast(NodeService, service)))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "state": {"caller": OWNER},
        "type": "http",
        "method": "POST",
        "path": "/api/ledger/entries",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    asyncio.run(application(scope, receive, send))
    return cast(dict[str, Any], json.loads(sent[1]["body"]))


def test_what_is_not_sealed_in_time_is_told_with_its_id_and_why() -> None:
    ledger = LonelyLedger()
    problem = post(ledger, {"text": "t", "ack": "sealed", "request": REQUEST})
    assert (problem["status"], problem["code"], problem["exit_code"]) == (504, "NOT_SEALED", 3)
    assert problem["detail"] == f"kept on this node's disk, not sealed yet: {ENTRY}"
    assert problem["cause"] == "away: bert, carl"
    assert problem["hint"].startswith("do not repeat it: it is sealed by itself")
    assert f"request id, {REQUEST}, is recorded once" in problem["hint"]
    assert ledger.requests == [REQUEST]


def test_without_a_request_id_the_chosen_one_is_told() -> None:
    ledger = LonelyLedger()
    problem = post(ledger, {"text": "t", "ack": "sealed"})
    assert f"request id, {ledger.requests[0]}, is recorded once" in problem["hint"]


def test_what_a_note_is_about_is_recorded_so_that_the_filters_find_it() -> None:
    ledger = LonelyLedger()
    post(ledger, {"text": "t", "ack": "sealed", "entity": "node:anna"})
    refused = post(ledger, {"text": "t", "entity": "node:nobody"})
    assert ledger.entities == [f"node:{'a1' * 8}"]
    assert (refused["status"], refused["code"]) == (404, "NOT_FOUND")


def test_a_request_that_was_used_for_another_note_is_refused_with_both_ids() -> None:
    ledger, body = LonelyLedger(), {"text": "one", "ack": "sealed", "request": REQUEST}
    for _ in range(2):
        assert post(ledger, body)["code"] == "NOT_SEALED"
    for change in ({"text": "two"}, {"actor": "bob"}, {"entity": "config:a"}):
        problem = post(ledger, body | change)
        assert (problem["status"], problem["code"]) == (409, "REQUEST_USED")
        assert REQUEST in problem["detail"]
        assert ENTRY in problem["detail"]


@pytest.mark.parametrize("text", ["", "x" * 8001, "a\x1b[2J", "a\x00", "a\r\n", "a\x9b"])
def test_a_note_that_is_no_plain_text_is_refused(text: str) -> None:
    ledger = LonelyLedger()
    problem = post(ledger, {"text": text, "ack": "sealed"})
    assert (problem["status"], problem["code"]) == (400, "LEDGER_DRAFT")
    assert "openapi" not in problem["hint"]
    assert ledger.requests == []


def test_a_note_may_have_lines() -> None:
    assert post(LonelyLedger(), {"text": "a\n\tb", "ack": "sealed"})["code"] == "NOT_SEALED"
