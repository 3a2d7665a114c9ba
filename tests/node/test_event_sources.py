"""What feeds events: how builds and nodes are shown, and when sources run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.errors import StoppingError
from buildnet.node.events import build_source
from buildnet.node.events import service as events_module
from buildnet.node.events.build_source import BuildSource
from buildnet.node.events.build_state import RECENT, BuildState
from buildnet.node.events.channel import Channel, Wanted
from buildnet.node.events.hub import Hub
from buildnet.node.events.pool_source import ALLOCATIONS, PoolSource
from buildnet.node.events.service import Events, Ready, TooManyReadersError
from buildnet.pool.view import Coordinator, NodeState

LEDGER = Wanted(frozenset({Channel.LEDGER}))


def finished(name: str, status: str = "succeeded") -> dict[str, Any]:
    more = {"tier": "full", "node": "n", "duration_ms": 1.0, "output": "long"}
    return {"type": "task_finished", "name": name, "task": "build", "status": status, **more}


def test_a_build_is_followed_by_its_events() -> None:
    state = BuildState("one", "1", True, actor="ann")
    started = {"type": "build_started", "workspace": "w", "started_at": 5.0, "tasks": 12}
    up_to_date = {"type": "tasks_up_to_date", "count": 3, "tasks": []}
    for event in (started, up_to_date, {"type": "waiting", "for": "room"}):
        state.take(event)
    assert (state.item()["done"], state.item()["waits_for"]) == (3, "room")
    for name in "abcdefg":
        state.take({"type": "task_started", "name": name, "task": "build"})
    assert (state.item()["running"][0], state.item()["waits_for"]) == ("a#build", "room")
    state.take({"type": "resumed"})
    assert state.item()["waits_for"] is None
    for name in "abcdef":
        state.take(finished(name))
    state.take(finished("g", "failed"))
    state.take({"type": "notice", "text": "of no concern"})
    item = state.item()
    assert (item["done"], item["failed"], item["running"], item["tasks"]) == (10, 1, [], 12)
    assert [each["name"] for each in item["recent"]] == list("cdefg")[-RECENT:]
    assert "output" not in item["recent"][0]
    assert not state.is_over
    state.take({"type": "build_finished", "report": {"status": "failed", "duration_ms": 9.0}})
    assert (state.is_over, state.item()["duration_ms"]) == (True, 9.0)


def test_what_another_node_goes_on_with_is_counted_from_its_start() -> None:
    state = BuildState("one", "1", True)
    started: dict[str, Any] = {"type": "build_started", "workspace": "w", "tasks": 2}
    lost = {"type": "waiting", "for": "the node that goes on with the build"}
    begun = [{"type": "task_started", "name": name, "task": "build"} for name in "ab"]
    for event in (started, *begun, finished("a"), lost, started, finished("a")):
        state.take(event)
    item = state.item()
    assert (item["done"], item["running"], item["waits_for"]) == (1, [], None)


def node(name: str, **more: Any) -> NodeState:
    return NodeState(f"id-{name}", name, "online", "worker", "http://x", None, **more)


def test_nodes_come_change_and_go() -> None:
    hub = Hub("e")
    told: list[tuple[str, str]] = []
    reader, _ = hub.subscribe(
        Wanted(frozenset({Channel.NODES, Channel.RESOURCES})), None, lambda: None, 0.0
    )
    service: Any = None
    source = PoolSource(service, hub)
    office = Coordinator("id-a", "a", 1, True)
    source.show([node("a"), node("b", latency_ms=1.0)], office, 10.0)
    source.show([node("a"), node("b", latency_ms=2.0)], office, 11.0)  # no news
    source.show([node("a", cores_in_use=2)], None, 12.0)
    for event in reader.take(1 << 20):
        data = json.loads(event.text)["data"]
        told.append((event.type, data["id"]))
    assert told == [
        ("node_joined", "id-a"),
        ("resource_update", "id-a"),
        ("node_joined", "id-b"),
        ("resource_update", "id-b"),
        ("allocation_changed", ALLOCATIONS),
        ("node_status", "id-a"),  # coordinates no more
        ("resource_update", "id-a"),
        ("node_left", "id-b"),
        ("resource_update", "id-b"),
    ]


class Clicks:
    """A source of ledger entries; ``broken`` makes it fail."""

    channels = frozenset({Channel.LEDGER})

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.runs = 0
        self.is_running = False
        self.broken = asyncio.Event()

    async def run(self, ready: Ready) -> None:
        self.runs += 1
        self.is_running = True
        try:
            ready(Channel.LEDGER)
            await self.broken.wait()
            self.broken.clear()
            raise ValueError("broken")
        finally:
            self.is_running = False

    def click(self) -> None:
        self.hub.tell(Channel.LEDGER, "click", {}, 0.0)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.005)


def test_a_source_runs_only_for_those_who_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "LINGER_S", 0.1)
    monkeypatch.setattr(events_module, "AGAIN_S", 0.01)

    async def run() -> None:
        events = Events()
        source = Clicks(events.hub)
        async with events.running([source]):
            assert source.runs == 0
            async with events.open(LEDGER, None) as one, events.open(LEDGER, None) as other:
                source.click()
                for subscription in (one, other):
                    assert [event.type for event in await subscription.next(10)] == ["click"]
                assert await one.next(0.01) == []
            cursor = events.hub.cursor
            async with events.open(LEDGER, cursor) as again:
                assert again.opening.resumed
            await until(lambda: not source.is_running)
            async with events.open(LEDGER, cursor) as late:
                assert source.runs == 2
                assert not late.opening.resumed  # who knows what happened meanwhile
        assert not source.is_running

    asyncio.run(run())


def test_a_source_that_fails_ends_its_readers_and_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events_module, "AGAIN_S", 0.01)

    async def run() -> None:
        events = Events()
        source = Clicks(events.hub)
        async with events.running([source]):
            async with events.open(LEDGER, None) as one:
                source.broken.set()
                assert await one.next(10) == []
                assert one.over == "the events broke off: subscribe again"
            await until(lambda: source.runs == 2)
            async with events.open(LEDGER, None) as other:
                source.click()
                assert len(await other.next(10)) == 1

    asyncio.run(run())


def test_who_listens_as_the_node_stops_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "MOST_READERS", 1)

    async def run() -> None:
        events = Events()
        with pytest.raises(StoppingError):
            async with events.open(LEDGER, None):
                pass
        async with events.running([Clicks(events.hub)]):
            context = events.open(LEDGER, None)
            one = await context.__aenter__()
            with pytest.raises(TooManyReadersError):
                async with events.open(LEDGER, None):
                    pass
        assert one.over == "the node stops"
        assert await one.next(10) == []
        await context.__aexit__(None, None, None)

    asyncio.run(run())


def test_one_key_has_so_many_seats_and_takes_none_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events_module, "MOST_EACH", 1)
    monkeypatch.setattr(events_module, "MOST_READERS", 3)
    events = Events()
    with events.seat("one"), events.seat("other"):
        with pytest.raises(TooManyReadersError), events.seat("one"):
            pass
        with (
            events.seat(""),
            pytest.raises(TooManyReadersError),
            events.seat(""),
        ):
            pass
    with events.seat("one"):
        pass


def test_what_another_node_tells_amiss_leaves_nothing_behind_and_is_not_read_on_and_on() -> None:
    opened: list[str] = []

    async def open_(build: str) -> AsyncIterator[bytes]:
        async def lines() -> AsyncIterator[bytes]:
            yield b'{"type": "build_started", "workspace": "w"}\n{"type": "task_started"}\n'

        opened.append(build)
        return lines()

    entry = {"build_id": "b1", "node": "two", "node_id": "2", "this_node": False, "actor": "ann"}
    entry |= {"workspace": "w", "asked_at": 5.0}
    queue: dict[str, Any] = {"complete": True, "paused": False, "paused_by": None}
    queue |= {"reason": None, "builds": [entry]}

    async def run() -> None:
        hub, looks = Hub("e"), 0

        async def view() -> dict[str, Any]:
            nonlocal looks
            looks += 1
            return queue

        builder = SimpleNamespace(running=lambda: (), on_build=None)
        watching = SimpleNamespace(open=open_)
        service: Any = SimpleNamespace(builder=builder, watching=watching)
        source = BuildSource(service, hub)
        with pytest.MonkeyPatch.context() as patch:
            access = SimpleNamespace(view=view, sharing=SimpleNamespace(on_queue=None))
            patch.setattr(build_source, "queue_of", lambda _: access)
            patch.setattr(build_source, "_REST_S", 0.0)
            working = asyncio.create_task(source.run(hub.begin))
            await until(lambda: looks > 3)
            working.cancel()
            await asyncio.wait([working])
        assert opened == ["b1"]
        _, opening = hub.subscribe(Wanted(frozenset({Channel.BUILDS})), None, lambda: None, 0.0)
        assert json.loads(opening.text)["state"] == {"builds": {}}

    asyncio.run(run())


@pytest.mark.parametrize("amiss", [{"line": "x"}, {"line": 0.5}, {"text": ["y"]}, {"name": ["b"]}])
def test_output_of_another_form_keeps_no_other_from_being_told(amiss: dict[str, Any]) -> None:
    hub = Hub("e")
    source = BuildSource(SimpleNamespace(), hub, lambda: None)  # type: ignore[arg-type]
    piece = {"type": "task_output", "name": "a", "task": "build", "text": "x", "line": 0}
    hub.begin(Channel.LOGS)
    source.take("b1", BuildState("one", "1", False), [{**piece, **amiss}, piece], 1.0)
    _, opening = hub.subscribe(Wanted(frozenset({Channel.LOGS})), None, lambda: None, 1.0)
    assert "x" in json.loads(opening.text)["state"]["logs"]["b1 a#build"]["text"]


def test_a_build_that_was_handed_over_is_shown_as_whose_it_is() -> None:
    entry = {"build_id": "b1", "node": "two", "node_id": "2", "this_node": False, "actor": "ann"}
    entry |= {"workspace": "w", "asked_at": 5.0}
    queue: dict[str, Any] = {"complete": True, "paused": False, "paused_by": None}
    queue |= {"reason": None, "builds": [entry]}

    async def open_(build: str) -> AsyncIterator[bytes]:
        async def lines() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        return lines()

    async def view() -> dict[str, Any]:
        return dict(queue)

    async def run() -> None:
        hub, sharing = Hub("e"), SimpleNamespace(on_queue=None)
        service: Any = SimpleNamespace(
            builder=SimpleNamespace(running=lambda: (), on_build=None),
            watching=SimpleNamespace(open=open_),
        )

        def whose() -> str | None:
            _, opening = hub.subscribe(Wanted(frozenset({Channel.BUILDS})), None, lambda: None, 0.0)
            shown = json.loads(opening.text)["state"]["builds"]
            return str(shown["b1"]["actor"]) if shown else None

        with pytest.MonkeyPatch.context() as patch:
            access = SimpleNamespace(view=view, sharing=sharing)
            patch.setattr(build_source, "queue_of", lambda _: access)
            patch.setattr(build_source, "_REST_S", 0.0)
            working = asyncio.create_task(BuildSource(service, hub).run(hub.begin))
            await until(lambda: whose() == "ann")
            entry["actor"] = "account:ben"
            sharing.on_queue()
            await until(lambda: whose() == "account:ben")
            working.cancel()
            await asyncio.wait([working])

    asyncio.run(asyncio.wait_for(run(), 30))


def test_what_somebody_wants_of_the_queue_is_told_without_waiting_for_the_next_look() -> None:
    queue: dict[str, Any] = {"complete": True, "paused": False, "paused_by": None}
    queue |= {"reason": None, "builds": []}

    async def view() -> dict[str, Any]:
        return dict(queue)

    async def run(patch: pytest.MonkeyPatch) -> None:
        hub, ready, news = Hub("e"), asyncio.Event(), asyncio.Event()
        sharing = SimpleNamespace(on_queue=None)
        access = SimpleNamespace(view=view, sharing=sharing)
        patch.setattr(build_source, "queue_of", lambda _: access)
        patch.setattr(build_source, "LOOK_EVERY_S", 3600.0)
        service: Any = SimpleNamespace(builder=SimpleNamespace(running=lambda: (), on_build=None))
        reader, _ = hub.subscribe(Wanted(frozenset({Channel.QUEUE})), None, news.set, 0.0)
        source = BuildSource(service, hub)
        working = asyncio.create_task(
            source.run(lambda channel: ready.set() if channel is Channel.QUEUE else None)
        )
        await ready.wait()
        assert json.loads(reader.take(1 << 20)[0].text)["data"]["paused"] is False
        news.clear()
        queue.update(paused=True, paused_by="ann")
        sharing.on_queue()
        await news.wait()
        told = json.loads(reader.take(1 << 20)[0].text)
        assert (told["type"], told["data"]["paused_by"]) == ("queue_changed", "ann")
        working.cancel()
        await asyncio.wait([working])
        sharing.on_queue()  # nobody listens any more

    with pytest.MonkeyPatch.context() as patch:
        # The first change of an item is told at once, what follows soon after it by a tick.
        patch.setattr("buildnet.node.events.view.PERIOD_S", 0.0)
        asyncio.run(run(patch))


def test_a_build_tells_its_latest_estimate_and_nothing_that_is_none() -> None:
    state = BuildState("a", "1", True)
    assert state.item()["estimated_ms"] is None
    state.take({"type": "estimate", "estimated_ms": 1200, "left_ms": 700})
    assert state.item()["estimated_ms"] == 1200
    state.take({"type": "estimate", "estimated_ms": "soon"})
    assert state.item()["estimated_ms"] is None
