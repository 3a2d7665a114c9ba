"""The HTTP API of a node under attack, by whoever reaches its port and by whoever has a key.

One node serves all tests here; see ``docs/security.md`` for what is tried, and why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from buildnet.mesh.errors import UsageError
from buildnet.node.api.description import operations
from buildnet.node.auth.actions import Action
from buildnet.node.scan import detect
from buildnet.node.service import NodeService
from testbed.api_fuzz import Fuzzing, fuzz
from testbed.api_node import ApiNode, api_node


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    home = tmp_path_factory.mktemp("attacked") / "home"
    with pytest.MonkeyPatch.context() as patch:  # no tool is asked for its version
        patch.setenv("PATH", "/nonexistent")
        patch.setattr(detect, "_USUAL_DIRECTORIES", ())
        with api_node(home) as node:
            yield node


class Said:
    """An answer: status, headers and body."""

    def __init__(self, answer: HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def ask(
    node: ApiNode, method: str, path: str, body: Any = None, key: str | None = "admin", **more: str
) -> Said:
    """Ask once; ``more``: headers, with ``_`` for ``-``."""
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        headers.setdefault("content-type", "application/json")
    connection = HTTPConnection("127.0.0.1", node.port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        return Said(connection.getresponse())
    finally:
        connection.close()


def test_who_has_an_answer_is_not_told_again(node: ApiNode) -> None:
    for path in ("/api/pool", "/api/configs"):
        first = ask(node, "GET", path)
        tag = str(first.headers["etag"])
        assert ask(node, "GET", path, if_none_match='"other"').status == 200
    again = ask(node, "GET", "/api/configs", if_none_match=f'W/"x", {tag}')
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert ask(node, "GET", "/api/configs", if_none_match=tag, key=None).status == 401


def test_the_description_tells_how_to_come_in_and_names_each_operation_once(node: ApiNode) -> None:
    described = ask(node, "GET", "/api/openapi.json").json
    found = [one for _, _, one in operations(described)]
    assert described["openapi"].startswith("3.1")
    assert set(described["components"]["securitySchemes"]) == {"key", "session"}
    assert len({one["operationId"] for one in found}) == len(found)
    assert all(Action(one["x-buildnet-action"]) for one in found)
    assert all((one.get("security") == []) == (one["x-buildnet-action"] == "open") for one in found)
    page = ask(node, "GET", "/api/docs")
    shown = page.body.decode()
    assert "POST /api/build" in shown
    assert all(word not in shown for word in ("<script", "src=", "http://", "https://"))
    assert "script-src" not in page.headers["content-security-policy"]
    assert ask(node, "GET", "/api/docs", key=None).status == 401


@pytest.mark.parametrize("path", ["/builds", "/cache/stats"])
def test_the_short_paths_of_before_lead_to_the_same_routes(node: ApiNode, path: str) -> None:
    assert ask(node, "GET", path).json.keys() == ask(node, "GET", f"/api{path}").json.keys()
    assert ask(node, "GET", path, key=None).status == 401


def test_what_is_sent_again_is_done_once(node: ApiNode) -> None:
    body = {"text": "once", "actor": "x"}
    note = ask(node, "POST", "/api/ledger/entries", body, idempotency_key="n1")
    again = ask(node, "POST", "/api/ledger/entries", body, idempotency_key="n1")
    assert (again.status, again.body) == (201, note.body)
    assert again.headers["idempotency-replayed"] == "true"
    others = ask(node, "POST", "/api/ledger/entries", body, "builder", idempotency_key="n1")
    assert others.json["id"] != note.json["id"]
    for key, accept in (("n1", "*/*"), ("with blank", "*/*"), ("n2", "application/x-ndjson")):
        bad = {"text": "other"}
        said = ask(node, "POST", "/api/ledger/entries", bad, idempotency_key=key, accept=accept)
        assert (said.status, said.json["code"]) == (422, "IDEMPOTENCY")


def test_errors_tell_nobody_but_the_owner_where_files_lie_or_what_went_wrong(
    node: ApiNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = str(node.service.home.directory)

    def fail() -> dict[str, Any]:
        raise ValueError(f"secret of {home}")

    def tell() -> dict[str, Any]:
        raise UsageError(f"{home}/x is bad", cause=f"in {home}", hint=f"see {home}/log")

    monkeypatch.setattr(NodeService, "node_status", lambda self: fail())
    said = ask(node, "GET", "/api/node")
    assert (said.status, said.json["cause"]) == (500, None)
    monkeypatch.setattr(NodeService, "node_status", lambda self: tell())
    told = ask(node, "GET", "/api/node")
    assert told.json["detail"] == "DATA/x is bad"
    assert told.json["cause"] == "in DATA"
    for answer in (said, told):
        assert home not in answer.body.decode()
    assert "DATA/x is bad" not in ask(node, "GET", "/api/node", key="owner").body.decode()
    monkeypatch.undo()
    assert ask(node, "GET", "/api/node").json["home"] is None
    assert ask(node, "GET", "/api/node", key="owner").json["home"] == home


def test_requests_made_of_the_description_are_never_an_error_of_the_server(
    node: ApiNode, tmp_path: Path
) -> None:
    """For long, and with the bounds of every field: tests/faults/api_fuzz.py."""
    assert fuzz(node.url, "admin", Fuzzing(2, 1, "fuzzing", 30), tmp_path) is None
