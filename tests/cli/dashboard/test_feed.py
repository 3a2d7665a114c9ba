"""What feeds the dashboard: what is asked, and that it goes on where the node does not answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.api_answers import answering, problem, sse
from tests.cli.dashboard.told_values import (
    CACHE,
    HEALTH,
    LEDGER,
    NODE,
    SESSIONS,
    entry,
    event,
    snapshot,
)

from buildnet.cli.client.asking import AnswerError, NodeUnreachableError
from buildnet.cli.client.async_pool import AsyncPool
from buildnet.cli.client.events import EventsEndedError
from buildnet.cli.dashboard import feed as feed_module
from buildnet.cli.dashboard.feed import Feed
from buildnet.cli.dashboard.told import Answered, Failed, Happened, Told
from buildnet.cli.testing import http_answer

ACTIONS = ["view-builds", "view-ledger", "view-resources"]


class FakeClient:
    """Answers by path, with what a test made up; an error is raised."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, object]]] = []

    async def get(self, path: str, **query: object) -> Any:
        self.asked.append((path, query))
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def post(self, path: str, body: object = None, **query: object) -> Any:
        return await self.get(path, **query)


class FakePool:
    """A pool whose events are made up: each list is those of one connection, an error its end."""

    def __init__(self, answers: dict[str, Any], *connections: list[Any]) -> None:
        self.client = FakeClient(answers)
        self.channels: list[tuple[str, ...]] = []
        self._connections = list(connections)
        self.pages: list[dict[str, Any]] = [{"entries": LEDGER["entries"], "next": None}]

    async def events(self, *channels: str, patience_s: float) -> Any:
        self.channels.append(channels)
        for each in self._connections.pop(0) if self._connections else [asyncio.Event()]:
            if isinstance(each, Exception):
                raise each
            if isinstance(each, asyncio.Event):
                await each.wait()
            yield each

    async def ledger(self, limit: int, cursor: str | None = None, **filters: object) -> Any:
        page = int(cursor or 0)
        return self.pages[min(page, len(self.pages) - 1)]

    async def change_queue(self, change: str, build: str, **said: object) -> Any:
        return await self.client.post(f"/{change}/{build}", **said)


def answers(**more: Any) -> dict[str, Any]:
    return {
        "/api/session": {"actions": ACTIONS},
        "/api/node": NODE,
        "/api/pool/health": HEALTH,
        "/api/sessions": SESSIONS,
        "/api/cache/stats": CACHE,
        **more,
    }


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "_AGAIN_FIRST_S", 0.001)
    monkeypatch.setattr(feed_module, "_AGAIN_LONGEST_S", 0.002)


def begun(pool: FakePool) -> list[Told]:
    told: list[Told] = []
    asyncio.run(Feed(pool, told.append).begin())  # type: ignore[arg-type]
    return told


def run_until(pool: FakePool, is_it: Callable[[list[Told]], bool]) -> list[Told]:
    """Begin, and feed until what is told is what is waited for."""
    told: list[Told] = []
    over = asyncio.Event()

    def tell(each: Told) -> None:
        told.append(each)
        if is_it(told):
            over.set()

    async def run() -> None:
        feed = Feed(pool, tell)  # type: ignore[arg-type]
        await feed.begin()
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(feed.run())
            waiting = group.create_task(over.wait())
            await asyncio.wait({feeding, waiting}, return_when=asyncio.FIRST_COMPLETED)
            feeding.cancel()
            waiting.cancel()

    asyncio.run(run())
    return told


def test_it_begins_with_all_there_is() -> None:
    pool = FakePool(answers(), [snapshot()])
    first, *others = begun(pool)
    assert isinstance(first, Happened)
    assert pool.channels == [("nodes", "resources", "builds", "queue", "ledger")]
    told = {each.source: each.data for each in others if isinstance(each, Answered)}
    assert told.keys() == {"node", "health", "sessions", "cache", "ledger"}
    newest = [each["hlc"] for each in told["ledger"]["entries"]]
    assert newest == sorted(newest, reverse=True)


def test_what_one_may_not_see_is_left_out() -> None:
    told = answers(**{"/api/session": {"actions": ["view-builds"]}})
    told["/api/sessions"] = AnswerError({"detail": "not allowed", "status": 403})
    pool = FakePool(told, [snapshot()])
    found = begun(pool)
    assert pool.channels == [("builds", "queue")]
    failed = {each.source for each in found if isinstance(each, Failed)}
    assert failed == {"sessions"}
    assert not any(isinstance(each, Answered) and each.source == "ledger" for each in found)


def test_a_node_that_does_not_answer_at_the_beginning_is_an_error() -> None:
    gone = NodeUnreachableError("no node runs here")
    with pytest.raises(NodeUnreachableError):
        begun(FakePool(answers(**{"/api/session": gone})))
    with pytest.raises(NodeUnreachableError):
        begun(FakePool(answers(), [gone]))


def told_of_ledger(pool: FakePool) -> Answered:
    found = [each for each in begun(pool) if isinstance(each, Answered)]
    return next(each for each in found if each.source == "ledger")


def test_builds_of_the_last_hour_are_read_page_by_page() -> None:
    pool = FakePool(answers(), [snapshot()])
    pool.pages = [
        {"entries": [entry(each, "build.completed", 0.0)], "next": f"{each}"} for each in (1, 2)
    ]
    pool.pages.append({"entries": [entry(3, "build.failed", 0.0)], "next": None})
    ledger = told_of_ledger(pool)
    assert {each["hlc"] for each in ledger.data["entries"]} == {1, 2, 3}
    assert ledger.data["at_least"] is False
    pool = FakePool(answers(), [snapshot()])
    pool.pages = [{"entries": [], "next": "0"}]  # more than is read
    ledger = told_of_ledger(pool)
    assert ledger.data["at_least"] is True


def test_where_the_connection_breaks_it_is_told_and_tried_again() -> None:
    gone = NodeUnreachableError("the node hung up")
    busy = AnswerError({"detail": "stopping", "status": 503})
    connections: list[list[Any]] = [
        [snapshot()],
        [snapshot(), gone],
        [busy],
        [gone],
        [snapshot(count=1)],
    ]
    told = run_until(
        FakePool(answers(), *connections),
        lambda all_: sum(isinstance(each, Happened) for each in all_) == 3,
    )
    failed = [each.error for each in told if isinstance(each, Failed)]
    assert failed == [gone, busy, gone]
    assert all(each.source == "events" for each in told if isinstance(each, Failed))


@pytest.mark.parametrize(
    "error", [EventsEndedError("revoked"), AnswerError({"detail": "no", "status": 403})]
)
def test_it_ends_where_the_credential_does_not_count_any_more(error: Exception) -> None:
    pool = FakePool(answers(), [snapshot()], [snapshot(), error])
    with pytest.raises(BaseExceptionGroup) as raised:
        run_until(pool, lambda told: False)
    assert raised.group_contains(type(error))


def test_what_is_asked_again_and_again_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    often = {source: (path, 0.001) for source, (path, _) in feed_module.PATHS.items()}
    monkeypatch.setattr(feed_module, "PATHS", often)
    pool = FakePool(answers(), [snapshot()])
    told = run_until(pool, lambda all_: sum(isinstance(each, Answered) for each in all_) > 30)
    assert {each.source for each in told if isinstance(each, Answered)} == {*often, "ledger"}


def test_what_keys_ask_for_is_told_in_words() -> None:
    told = {
        "/cancel/b1": {"success": True, "goes_on": False},
        "/cancel/b2": {"success": True, "goes_on": True},
        "/api/servers/n1/drain": {"name": "anna", "leases": 1, "running": 2, "builds": 0},
        "/api/servers/n1/resume": {"name": "anna"},
    }
    pool = FakePool(told)

    async def ask() -> list[str]:
        feed = Feed(pool, lambda told: None)  # type: ignore[arg-type]
        return [
            await feed.cancel("b1"),
            await feed.cancel("b2"),
            await feed.drain("n1"),
            await feed.resume("n1"),
        ]

    assert asyncio.run(ask()) == [
        "build b1 is being cancelled",
        "build b2 goes on for others who asked for the same",
        "anna takes no new work; 2 commands of others there",
        "anna takes work again",
    ]


def test_the_requests_are_those_of_the_api(tmp_path: Path) -> None:
    opening: dict[str, Any] = dict(snapshot())
    found = [
        http_answer(json.dumps({"actions": ["view-builds"]})),
        sse(("snapshot", opening), ("build_progress", dict(event("builds", id="b1")))),
    ]

    with answering(tmp_path / "home", *found, problem("403 No", "NOT_ALLOWED")) as node:
        pool = node.async_pool(retry_s=0.0)
        asyncio.run(_first(pool))
        with pytest.raises(AnswerError):
            asyncio.run(Feed(pool, lambda told: None).drain("n 1"))
    assert node.asked[0].startswith(b"GET /api/session ")
    assert node.asked[1].startswith(b"GET /events?channels=builds&channels=queue ")
    assert node.asked[2].startswith(b"POST /api/servers/n%201/drain HTTP/1.1")
    assert all(b"\r\nbuildnet-user: " in asked for asked in node.asked)


async def _first(pool: AsyncPool) -> None:
    """Begin with a node that tells no more than the events."""
    told: list[Told] = []
    feed = Feed(pool, told.append)
    feed._ask = lambda source: asyncio.sleep(0)  # type: ignore[method-assign]
    await feed.begin()
    assert isinstance(told[0], Happened)
