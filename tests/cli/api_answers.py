"""A node that gives the answers that a test makes up, and what a client asked of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from buildnet.cli.client import Pool
from buildnet.cli.client.async_pool import AsyncPool
from buildnet.cli.testing import TIMEOUT_S, http_answer

EVENT_STREAM = "text/event-stream"


class Node:
    """Gives one answer a connection, in their order, and hangs up; remembers what was asked."""

    def __init__(self, home: Path, answers: list[bytes]) -> None:
        home.mkdir(exist_ok=True)
        self.home = home
        self.asked: list[bytes] = []
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(home / "node.sock"))
        self._listener.listen()
        self._listener.settimeout(TIMEOUT_S)

    def pool(self, **more: Any) -> Pool:
        return Pool(home=self.home, **more)

    def async_pool(self, **more: Any) -> AsyncPool:
        return AsyncPool(home=self.home, **more)

    def bodies(self) -> list[Any]:
        return [json.loads(asked.partition(b"\r\n\r\n")[2] or b"null") for asked in self.asked]

    def serve(self) -> None:
        with self._listener:
            for answer in self._answers:
                connection, _ = self._listener.accept()
                with connection:
                    asked = b""
                    while b"\r\n\r\n" not in asked:
                        asked += connection.recv(1 << 16)
                    head, _, body = asked.partition(b"\r\n\r\n")
                    _, _, length = head.lower().partition(b"content-length: ")
                    while len(body) < int(length.split(b"\r\n")[0] or 0):
                        body += connection.recv(1 << 16)
                    self.asked.append(head + b"\r\n\r\n" + body)
                    connection.sendall(answer)


@contextmanager
def answering(home: Path, *answers: bytes) -> Iterator[Node]:
    node = Node(home, list(answers))
    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(node.serve)
        yield node
        serving.result(TIMEOUT_S)


def problem(status: str, code: str, *more: str) -> bytes:
    body = {"status": int(status.split()[0]), "detail": "no", "code": code, "exit_code": 4}
    answer = http_answer(json.dumps(body), status=status, type="application/problem+json")
    head, _, rest = answer.partition(b"\r\n")
    return b"\r\n".join([head, *(line.encode() for line in more), rest])


def sse(*events: tuple[str, dict[str, Any]]) -> bytes:
    text = "".join(f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in events)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {EVENT_STREAM}\r\n\r\n"
    return (head + text).encode()


def event(number: int) -> tuple[str, dict[str, Any]]:
    data = {"type": "ledger_entry", "cursor": f"e-{number}", "channel": "ledger", "data": {}}
    return "ledger_entry", data


SNAPSHOT = ("snapshot", {"type": "snapshot", "cursor": "e-0", "state": {}})
RESUMED = ("resumed", {"type": "resumed", "cursor": "e-2"})


WATCHED = (
    {"type": "watching", "workspace": "w", "builds": True},
    {"type": "changed", "paths": ["a"], "count": 1, "impact": "INCREMENTAL", "affected": []},
    {"type": "error", "error": {"code": "DEFINITION", "message": "a mistake"}},
    {"type": "idle"},
)
WATCH_ENDS = [
    (
        {"type": "ended", "error": {"code": "WORKSPACE_GONE", "message": "gone", "exit_code": 6}},
        ("WORKSPACE_GONE", "gone", 6),
    ),
    (
        {"type": "error", "code": "KEY_REVOKED", "message": "revoked", "exit_code": 4},
        ("KEY_REVOKED", "revoked", 4),
    ),
    (None, ("NODE_UNREACHABLE", "the node tells no more of what it watches", 3)),
]


def watch_answer(end: dict[str, Any] | None) -> bytes:
    lines = (json.dumps(each) + "\n" for each in (*WATCHED, end) if each is not None)
    return http_answer("".join(lines), type="application/x-ndjson")
