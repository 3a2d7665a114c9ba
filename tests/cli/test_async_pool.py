"""The client for asyncio: what it asks, what it asks again, how it follows events; and that it has
all that the other one has."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.cli.api_answers import (
    RESUMED,
    SNAPSHOT,
    WATCH_ENDS,
    WATCHED,
    Node,
    answering,
    event,
    problem,
    sse,
    watch_answer,
)

from buildnet.cli.client import AnswerError, Build, NodeUnreachableError, Pool, asking
from buildnet.cli.client import async_connection as connection_module
from buildnet.cli.client import events as events_module
from buildnet.cli.client.async_connection import AsyncClient
from buildnet.cli.client.async_pool import AsyncBuild, AsyncPool
from buildnet.cli.client.events import EventsEndedError
from buildnet.cli.testing import http_answer
from buildnet.mesh.errors import BuildNetError

NDJSON = "application/x-ndjson"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "AGAIN_FIRST_S", 0.001)
    monkeypatch.setattr(events_module, "AGAIN_FIRST_S", 0.001)


@pytest.mark.parametrize(("one", "other"), [(Pool, AsyncPool), (Build, AsyncBuild)])
def test_both_clients_have_the_same_methods(one: type, other: type) -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        return {
            name: [str(each) for each in inspect.signature(found).parameters.values()]
            for name, found in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") or name == "__init__"
        }

    theirs, ours = methods(one), methods(other)
    client = theirs.pop("__init__"), ours.pop("__init__")
    assert theirs == ours
    assert len(client[0]) == len(client[1])


def asked(
    home: Path, ask: Callable[[AsyncPool], Coroutine[Any, Any, Any]], *answers: bytes, **more: Any
) -> tuple[Node, Any]:
    with answering(home, *answers) as node:
        found = asyncio.run(ask(node.async_pool(**more)))
    return node, found


def test_a_build_is_asked_for_followed_and_reported(tmp_path: Path) -> None:
    lines = (
        '{"type": "build_started"}\n{"type": "build_finished", "report": {"status": "failed"}}\n'
    )

    async def ask(pool: AsyncPool) -> Any:
        build = await pool.build("/srv/w", ["a"], priority="high", environment={"A": "1"})
        return build.id, await build.wait(), await build.log("a")

    node, (build, report, log) = asked(
        tmp_path / "home",
        ask,
        http_answer('{"build_id": "b1"}', status="202 Accepted"),
        http_answer(lines, type=NDJSON),
        http_answer("made it\n", type="text/plain"),
    )
    assert (build, report["status"], log) == ("b1", "failed", "made it\n")
    body = node.bodies()[0]
    assert (body["root"], body["packages"], body["priority"]) == ("/srv/w", ["a"], "high")
    assert node.asked[1].startswith(b"GET /api/build/b1/events ")
    assert node.asked[2].startswith(b"GET /api/build/b1/log?package=a&task=build ")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("", NodeUnreachableError),
        ('{"type": "told_no_more", "why": "32 MiB waited"}\n', EventsEndedError),
        (
            '{"type": "error", "code": "KEY_REVOKED", "message": "no more builds"}\n',
            EventsEndedError,
        ),
    ],
)
def test_events_that_end_before_the_build_are_told(
    tmp_path: Path, line: str, error: type[Exception]
) -> None:
    answer = http_answer('{"type": "build_started"}\n' + line, type=NDJSON)
    with pytest.raises(error, match="build"):
        asked(tmp_path / "home", lambda pool: pool.attach("b1").wait(), answer)
    with answering(tmp_path / "other", answer) as node, pytest.raises(error, match="build"):
        node.pool().attach("b1").wait()


def test_what_begins_something_is_asked_again_under_the_same_key(tmp_path: Path) -> None:
    node, _ = asked(
        tmp_path / "home",
        lambda pool: pool.change_queue("priority", "b1", priority="low"),
        b"",
        problem("503 Service Unavailable", "STOPPING"),
        problem("429 Too Many Requests", "TOO_MANY_REQUESTS", "retry-after: 0"),
        http_answer("{}"),
    )
    assert node.bodies() == [{"priority": "low"}] * 4
    keys = {re.findall(rb"idempotency-key: ([0-9a-f]{32})\r", each)[0] for each in node.asked}
    assert len(keys) == 1


def test_what_changes_something_is_asked_once(tmp_path: Path) -> None:
    with pytest.raises(NodeUnreachableError, match="stopped answering"):
        asked(tmp_path / "home", lambda pool: pool.change_config("mine", {"name": "x"}), b"")


@pytest.mark.parametrize(
    ("retry_s", "answer"),
    [
        (10.0, problem("403 Forbidden", "NOT_ALLOWED")),
        (0.0, problem("503 No", "STOPPING")),
        (0.1, problem("429 Too Many Requests", "TOO_MANY_REQUESTS", "retry-after: 5")),
    ],
)
def test_what_is_refused_is_an_error(tmp_path: Path, retry_s: float, answer: bytes) -> None:
    with pytest.raises(AnswerError) as error:
        asked(tmp_path / "home", lambda pool: pool.configs(), answer, retry_s=retry_s)
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    "answer",
    [
        b"no HTTP at all\r\n\r\n",
        http_answer('{"cut": "here"}')[:-4],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_node_that_stops_answering_is_told(tmp_path: Path, answer: bytes) -> None:
    with pytest.raises(NodeUnreachableError, match="stopped answering") as error:
        asked(tmp_path / "home", lambda pool: pool.node(), answer, retry_s=0.0)
    assert error.value.cause


def test_no_node_is_told_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(NodeUnreachableError, match="no node runs here"):
        asyncio.run(AsyncPool(home=tmp_path, retry_s=0.0).queue())
    with pytest.raises(NodeUnreachableError, match=r"no node answers at http://127\.0\.0\.1:9"):
        asyncio.run(AsyncPool("127.0.0.1:9", retry_s=0.0).queue())


def test_a_node_that_is_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("LOOK_AFTER_S", 0.05), ("ALIVE_WITHIN_S", 0.05), ("SILENT_S", 0.1)):
        monkeypatch.setattr(connection_module, name, seconds)

    async def ask() -> None:
        path = tmp_path / "node.sock"
        with socket.socket(socket.AF_UNIX) as listener:  # its process is stopped
            listener.bind(str(path))
            listener.listen()
            with pytest.raises(NodeUnreachableError, match="has not answered for"):
                await AsyncClient(socket_path=path).get("/api/x")

    asyncio.run(ask())


def test_many_ask_at_once(tmp_path: Path) -> None:
    async def ask(pool: AsyncPool) -> Any:
        return await asyncio.gather(*(pool.queue() for _ in range(5)))

    answer = http_answer(json.dumps({"builds": []}))
    _, found = asked(tmp_path / "home", ask, *([answer] * 5))
    assert found == [{"builds": []}] * 5


def test_events_go_on_where_the_connection_broke(tmp_path: Path) -> None:
    async def ask(pool: AsyncPool) -> Any:
        events = pool.events("ledger", build="b")
        found = [await anext(events) for _ in range(5)]
        await events.aclose()  # type: ignore[attr-defined]
        return found

    node, found = asked(
        tmp_path / "home",
        ask,
        sse(SNAPSHOT, event(1), event(2)),
        b"",
        problem("503 Service Unavailable", "STOPPING"),
        sse(RESUMED, event(3), ("over", {"type": "over", "reason": "the node stops"})),
        sse(("snapshot", {**SNAPSHOT[1], "cursor": "f-0", "gap": True})),
    )
    assert [each["cursor"] for each in found] == ["e-0", "e-1", "e-2", "e-3", "f-0"]
    assert node.asked[0].startswith(b"GET /events?channels=ledger&build=b ")
    assert [b"last-event-id: e-2" in each for each in node.asked[1:4]] == [True] * 3


def test_events_end_with_the_credential(tmp_path: Path) -> None:
    why = {"type": "error", "code": "KEY_REVOKED", "message": "revoked", "exit_code": 4}

    async def ask(pool: AsyncPool) -> Any:
        return [each async for each in pool.events()]

    with pytest.raises(EventsEndedError) as error:
        asked(tmp_path / "home", ask, sse(SNAPSHOT, ("error", why)))
    assert error.value.code == "KEY_REVOKED"


@pytest.mark.parametrize(("end", "told"), WATCH_ENDS)
def test_a_watch_tells_what_happens_up_to_its_end(
    tmp_path: Path, end: dict[str, Any] | None, told: tuple[str, str, int]
) -> None:
    seen: list[Any] = []

    async def ask(pool: AsyncPool) -> None:
        async for each in pool.watch("/srv/w", ["a"], builds=False):
            seen.append(each)

    with pytest.raises(BuildNetError) as error:
        asked(tmp_path / "home", ask, watch_answer(end))
    assert (error.value.code, error.value.message, error.value.exit_code) == told
    assert seen == [*WATCHED]
