"""The client that scripts use: what it asks, what it asks again, how it follows events."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli import events as events_command
from buildnet.cli.client import AnswerError, NodeUnreachableError, Pool
from buildnet.cli.client import connection as connection_module
from buildnet.cli.client import events as events_module
from buildnet.cli.client.events import EventsEndedError, parsed
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


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_AGAIN_FIRST_S", 0.001)
    monkeypatch.setattr(events_module, "AGAIN_FIRST_S", 0.001)


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


def test_a_build_is_asked_for_followed_and_reported(tmp_path: Path) -> None:
    lines = (
        '{"type": "build_started"}\n{"type": "build_finished", "report": {"status": "failed"}}\n'
    )
    with answering(
        tmp_path / "home",
        http_answer('{"build_id": "b1"}', status="202 Accepted"),
        http_answer(lines, type="application/x-ndjson"),
    ) as node:
        build = node.pool().build("/srv/w", ["a"], priority="high", environment={"A": "1"})
        assert build.wait()["status"] == "failed"
    assert build.id == "b1"
    body = node.bodies()[0]
    assert (body["root"], body["packages"], body["priority"]) == ("/srv/w", ["a"], "high")
    assert body["environment"] == {"A": "1"}
    assert node.asked[1].startswith(b"GET /api/build/b1/events ")


def test_a_build_whose_node_stops_is_told(tmp_path: Path) -> None:
    answer = http_answer('{"type": "build_started"}\n', type="application/x-ndjson")
    with (
        answering(tmp_path / "home", answer) as node,
        pytest.raises(NodeUnreachableError, match="stopped") as error,
    ):
        node.pool().attach("b1").wait()
    assert "--attach b1" in (error.value.hint or "")


def test_what_only_looks_is_asked_again(tmp_path: Path) -> None:
    with answering(
        tmp_path / "home",
        b"",
        problem("503 Service Unavailable", "STOPPING"),
        problem("429 Too Many Requests", "TOO_MANY_REQUESTS", "retry-after: 0"),
        http_answer('{"builds": []}'),
    ) as node:
        assert node.pool().queue()["builds"] == []
    assert len(node.asked) == 4


@pytest.mark.parametrize(
    ("retry_s", "answer"),
    [
        (10.0, problem("403 Forbidden", "NOT_ALLOWED")),
        (0.0, problem("503 No", "STOPPING")),
        (0.1, problem("429 Too Many Requests", "TOO_MANY_REQUESTS", "retry-after: 5")),
    ],
)
def test_what_is_refused_is_an_error(tmp_path: Path, retry_s: float, answer: bytes) -> None:
    with answering(tmp_path / "home", answer) as node, pytest.raises(AnswerError) as error:
        node.pool(retry_s=retry_s).configs()
    assert error.value.exit_code == 4
    assert error.value.http_status in (403, 429, 503)


def test_what_begins_something_is_asked_again_under_the_same_key(tmp_path: Path) -> None:
    with answering(tmp_path / "home", b"", http_answer("{}")) as node:
        node.pool().change_queue("priority", "b1", priority="low", actor="ann")
    assert node.asked[0].startswith(b"POST /api/queue/b1/priority ")
    assert node.bodies() == [{"priority": "low", "actor": "ann"}] * 2
    keys = [re.search(rb"idempotency-key: ([0-9a-f]{32})\r", asked) for asked in node.asked]
    assert keys[0] is not None
    assert keys[1] is not None
    assert keys[0][1] == keys[1][1]


def test_what_changes_something_is_asked_once(tmp_path: Path) -> None:
    with answering(tmp_path / "home", b"") as node, pytest.raises(NodeUnreachableError):
        node.pool().change_config("mine", {"name": "other"}, expects=3)
    assert node.asked[0].startswith(b"PUT /api/configs/mine?expects=3 ")


def test_events_go_on_where_the_connection_broke(tmp_path: Path) -> None:
    with answering(
        tmp_path / "home",
        sse(SNAPSHOT, event(1), event(2)),
        b"",
        problem("503 Service Unavailable", "STOPPING"),
        sse(RESUMED, event(3), ("over", {"type": "over", "reason": "the node stops"})),
        sse(("snapshot", {**SNAPSHOT[1], "cursor": "f-0", "gap": True})),
    ) as node:
        events = node.pool().events("ledger", build="b")
        found = [next(events) for _ in range(5)]
    assert [each["cursor"] for each in found] == ["e-0", "e-1", "e-2", "e-3", "f-0"]
    assert found[-1]["gap"]
    assert node.asked[0].startswith(b"GET /events?channels=ledger&build=b ")
    assert b"last-event-id" not in node.asked[0]
    assert [b"last-event-id: e-2" in each for each in node.asked[1:4]] == [True] * 3
    assert b"last-event-id: e-3" in node.asked[4]


def test_events_end_with_the_credential(tmp_path: Path) -> None:
    why = {"type": "error", "code": "KEY_REVOKED", "message": "revoked", "exit_code": 4}
    with (
        answering(tmp_path / "home", sse(SNAPSHOT, ("error", why))) as node,
        pytest.raises(EventsEndedError) as error,
    ):
        list(node.pool().events())
    assert (error.value.code, error.value.exit_code) == ("KEY_REVOKED", 4)


def test_events_of_a_node_that_is_gone_end(tmp_path: Path) -> None:
    with answering(tmp_path / "home", sse(SNAPSHOT)) as node:
        events = node.pool().events(patience_s=0.05)
        next(events)
    with pytest.raises(NodeUnreachableError):
        next(events)


def test_lines_of_events_are_read_as_the_standard_has_them() -> None:
    lines = [
        ": alive",
        "",
        "id: 1",
        "event: a",
        'data: {"x":',
        'data: "y"}',
        "",
        'data: {"z": 1}',
        "",
    ]
    assert list(parsed(lines)) == [("a", {"x": "y"}), ("message", {"z": 1})]


@pytest.mark.parametrize(
    ("kind", "data", "shown"),
    [
        (
            "build_output",
            {"name": "a", "task": "build", "text": "x\x1b[2J\n"},
            "a#build │ x\ufffd[2J",
        ),
        ("ledger_entry", {"id": "f" * 64, "type": "system.note", "text": "t"}, "system.note t"),
        ("build_progress", {"id": "b", "done": 1, "running": ["a"]}, "b done=1"),
    ],
)
def test_events_are_shown_as_lines(kind: str, data: dict[str, Any], shown: str) -> None:
    line = events_command.line_of({"type": kind, "cursor": "e-1", "at": 0.0, "data": data})
    assert line.endswith(shown)
    assert kind in line
