"""The client that scripts use: what it asks, what it asks again, how it follows events."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.cli.api_answers import (
    RESUMED,
    SNAPSHOT,
    WATCH_ENDS,
    WATCHED,
    answering,
    event,
    problem,
    sse,
    watch_answer,
)

from buildnet.cli import events as events_command
from buildnet.cli.client import AnswerError, NodeUnreachableError, asking
from buildnet.cli.client import events as events_module
from buildnet.cli.client.events import EventsEndedError, parsed
from buildnet.cli.client.shapes import ChannelName
from buildnet.cli.testing import http_answer
from buildnet.mesh.errors import BuildNetError
from buildnet.node.events.channel import Channel


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "AGAIN_FIRST_S", 0.001)
    monkeypatch.setattr(events_module, "AGAIN_FIRST_S", 0.001)


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


@pytest.mark.parametrize(("end", "told"), WATCH_ENDS)
def test_a_watch_tells_what_happens_up_to_its_end(
    tmp_path: Path, end: dict[str, Any] | None, told: tuple[str, str, int]
) -> None:
    seen: list[Any] = []
    with answering(tmp_path / "home", watch_answer(end)) as node:
        events = node.pool().watch("/srv/w", ["a"], task="test", builds=False, delay_s=2.0)
        with pytest.raises(BuildNetError) as error:
            seen.extend(events)
    assert seen == [*WATCHED]
    assert (error.value.code, error.value.message, error.value.exit_code) == told
    assert node.asked[0].startswith(b"POST /api/watch ")
    (body,) = node.bodies()
    assert (body["root"], body["packages"], body["task"]) == ("/srv/w", ["a"], "test")
    assert (body["builds"], body["delay_s"]) == (False, 2.0)


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


def test_scripts_know_all_channels() -> None:
    assert set(get_args(ChannelName)) == set(Channel)
