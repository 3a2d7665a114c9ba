"""Asking a node over HTTP as anybody may; what it answers has to be what is described."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from testbed.api_node import ApiNode
from testbed.described import JSON, problem_of_answer

SHORT = {"/builds": "/api/builds", "/cache/stats": "/api/cache/stats"}
NOT_DESCRIBED = ("/api/openapi.json",)
"""It is the description."""


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
        said = Said(connection.getresponse())
    finally:
        connection.close()
    if said.body and said.status < 300 and said.headers["content-type"] == JSON:
        wrong = problem_of_answer(method, SHORT.get(path, path), said.status, said.json)
        assert wrong is None or path in NOT_DESCRIBED, wrong
    return said
