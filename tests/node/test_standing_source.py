"""What is told of the pool's standing: only that something is different, and when links are."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from buildnet.ledger.store.errors import LedgerError
from buildnet.node.events.channel import Channel, Wanted
from buildnet.node.events.hub import Hub
from buildnet.node.events.standing_source import Links, StandingSource, settled
from buildnet.node.ledger_tail import LedgerTail
from buildnet.pool.view import Connection


def link(latency_ms: float | None, **more: Any) -> dict[tuple[str, str], Connection]:
    return {("a", "b"): Connection("a", "b", latency_ms, **more)}


def test_a_link_is_another_one_only_when_it_is_clearly_so() -> None:
    links = Links()
    found = [links.changes(link(one)) for one in (15.0, 17.5, 12.5, 19.0, 19.5, None, None)]
    assert found == [1, 1, 1, 2, 2, 3, 3]
    assert links.changes(link(None, estimated=True)) == 4
    assert links.changes({}) == 5
    assert [Links().changes(one) for one in ({}, link(1.0))] == [0, 1]


def test_short_round_trips_do_not_flicker() -> None:
    links = Links()
    assert [links.changes(link(one)) for one in (0.1, 0.3, 0.55, 0.7)] == [1, 1, 1, 2]


def test_what_changes_all_the_time_does_not_count() -> None:
    view = {"healthy": True, "nodes": [{"id": "a", "age_s": 3, "link": {"bytes_sent": 1}}]}
    assert settled(view) == {"healthy": True, "nodes": [{"id": "a", "link": {}}]}


class _Ledger:
    """One that is sealed up to a height."""

    def __init__(self) -> None:
        self.height = 3
        self.on_sealed: Any = None
        self.on_appended: Any = None

    @property
    def open_now(self) -> Any:
        core = type("Core", (), {"last": self})
        return type("Open", (), {"core": core, "store": None, "upkeep": None})

    async def current(self) -> Any:
        raise NotImplementedError


def test_changes_are_counted_and_a_seal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "buildnet.node.events.standing_source"
    monkeypatch.setattr(f"{module}.LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(f"{module}._REST_S", 0.0)
    ledger, healthy = _Ledger(), [True]
    letters: list[str] = []

    async def health() -> dict[str, Any]:
        if not healthy[0]:
            raise LedgerError("it can't be read")
        return {"problems": list(letters), "traffic": object()}

    async def picture() -> Any:
        return type("Picture", (), {"view": None, "words": {}})

    async def run() -> None:
        hub = Hub("e")
        pool = type("Pool", (), {"health": staticmethod(health), "picture": staticmethod(picture)})
        scanned = asyncio.Event()
        scanned.set()
        service: Any = type("Service", (), {})()
        service.ledger, service.tail = ledger, LedgerTail(ledger)
        service.pool, service.scanned = pool, scanned
        service.pool_builds = told_builds = type("Builds", (), {"version": 0})()
        source = StandingSource(service, hub)

        async def nothing(*_: object) -> object:
            return None

        for each in ("_admission", "_letters", "_store", "_links"):
            monkeypatch.setattr(source, each, nothing)
        ready, told = asyncio.Event(), asyncio.Event()
        working = asyncio.create_task(source.run(lambda _: ready.set()))
        await ready.wait()
        wanted = Wanted(frozenset({Channel.POOL}))
        hub.begin(Channel.POOL)
        reader, opening = hub.subscribe(wanted, None, told.set, 0.0)
        state = json.loads(opening.text)["state"]["pool"]
        assert state["ledger"] == {"id": "ledger", "height": 3}
        assert state["health"] == {"id": "health", "ask": "/api/pool/health", "changes": 0}

        async def next_of(key: str) -> dict[str, Any]:
            while True:
                hub.tick(1e12)
                for event in reader.take(10_000):
                    data = json.loads(event.text)["data"]
                    if data["id"] == key:
                        return dict(data)
                await asyncio.sleep(0)

        letters.append("new")
        assert (await next_of("health"))["changes"] == 1
        healthy[0] = False
        assert (await next_of("health"))["changes"] == 2
        told_builds.version = 7
        assert (await next_of("builds"))["changes"] == 1
        ledger.height = 4
        ledger.on_sealed(None)
        assert await next_of("ledger") == {"id": "ledger", "height": 4}
        working.cancel()
        await asyncio.wait([working])

    asyncio.run(asyncio.wait_for(run(), 30))
