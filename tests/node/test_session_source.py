"""Changes of who uses the nodes are told, without who they are, and not what only drifts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.ledger.store.errors import LedgerError
from buildnet.mesh.identity import node_id_of
from buildnet.node.auth.actions import Action
from buildnet.node.events import session_source
from buildnet.node.events.channel import FOR_ALL, NEEDS, Channel, Wanted
from buildnet.node.events.hub import Hub
from buildnet.node.events.session_source import SessionSource, settled
from buildnet.node.service import NodeService

ME = bytes(32)
NOON = 1795262400.0  # 2026-11-21T12:00:00Z
ANNA: dict[str, Any] = {
    "id": "aa",
    "actor": "account:anna",
    "since": "2026-11-21T11:00:00+00:00",
    "last": "2026-11-21T11:59:41+00:00",
    "requests": 3,
    "connections": [],
    "builds": [{"build_id": "b1", "running": 1, "left_ms": 500.0, "waits_for": None}],
}


def test_what_only_drifts_is_no_change() -> None:
    before = settled(ANNA, NOON)
    (build,) = ANNA["builds"]
    busy = [build | {"running": 3, "left_ms": 20.0}]
    short = [{"what": "GET /api/pool", "since": "2026-11-21T11:59:59+00:00"}]
    later = "2026-11-21T11:59:49+00:00"
    for same in ({"requests": 9}, {"last": later}, {"builds": busy}, {"connections": short}):
        assert settled(ANNA | same, NOON) == before, same
    waits = [build | {"waits_for": "a slot"}]
    long = [{"what": "GET /ws", "since": "2026-11-21T11:59:00+00:00"}]
    later = "2026-11-21T11:59:50+00:00"
    for other in ({"rights": "admin"}, {"last": later}, {"builds": waits}, {"connections": long}):
        assert settled(ANNA | other, NOON) != before, other


def test_who_has_a_connection_open_is_not_told_again_with_each_request() -> None:
    open_for_long = [{"what": "GET /ws", "since": "2026-11-21T11:59:00+00:00"}]
    watching = ANNA | {"connections": open_for_long}
    after = watching | {"last": "2026-11-21T12:07:00+00:00"}
    assert settled(watching, NOON) == settled(after, NOON)


@pytest.mark.parametrize("connections", [None, 7, "x", [3], [{"since": None}], [{}]])
def test_what_another_node_tells_may_have_any_form(connections: object) -> None:
    told = {"id": "aa", "builds": 3, "connections": connections, "last": None}
    assert settled(told, NOON)["id"] == "aa"


def test_only_who_manages_access_is_told_and_only_by_name() -> None:
    assert NEEDS[Channel.SESSIONS] is Action.MANAGE_ACCESS
    assert Channel.SESSIONS not in FOR_ALL
    assert Channel.NODE_LOGS not in FOR_ALL


class Board:
    """Who uses this node, and what others tell when they are asked."""

    def __init__(self) -> None:
        self.own = [dict(ANNA)]
        self.others: list[dict[str, Any]] = []
        self.asked = 0

    async def here(self, *_: object) -> list[dict[str, Any]]:
        return [dict(one) for one in self.own]

    async def everywhere(self, what: str) -> Any:
        self.asked += 1
        own = [one | {"node_id": node_id_of(ME)} for one in self.own]
        return SimpleNamespace(found=[*own, *self.others], silent=[])


class Tail:
    """Tells of logins when it is let; ``problem``: instead it says why it can't."""

    def __init__(self) -> None:
        self.logins = asyncio.Event()
        self.problem: LedgerError | None = None

    async def parts(self, *_: object, **__: object) -> AsyncIterator[list[object]]:
        if self.problem is not None:
            raise self.problem
        while True:
            await self.logins.wait()
            self.logins.clear()
            yield [object()]


def run(monkeypatch: pytest.MonkeyPatch, others_every_s: float, *, ledger: bool = True) -> None:
    monkeypatch.setattr(session_source, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(session_source, "OTHERS_EVERY_S", others_every_s)

    async def work() -> None:
        board, tail, hub = Board(), Tail(), Hub("e")
        tail.problem = None if ledger else LedgerError("it can't be read")
        service = SimpleNamespace(
            access=SimpleNamespace(board=board), tail=tail, mesh=SimpleNamespace(key=ME)
        )
        source = SessionSource(cast(NodeService, service), hub)
        ready = asyncio.Event()
        working = asyncio.create_task(source.run(lambda _: ready.set()))
        await ready.wait()
        hub.begin(Channel.SESSIONS)
        wanted = Wanted(frozenset({Channel.SESSIONS}))
        reader, opening = hub.subscribe(wanted, None, lambda: None, 0.0)
        first = {"id": "sessions", "ask": "/api/sessions", "changes": 0}
        assert json.loads(opening.text)["state"]["sessions"] == {"sessions": first}

        async def next_change() -> dict[str, Any]:
            while True:
                hub.tick(1e12)
                for event in reader.take(10_000):
                    assert "anna" not in event.text
                    return dict(json.loads(event.text)["data"])
                await asyncio.sleep(0.001)

        board.own[0]["rights"] = "admin"
        assert (await next_change())["changes"] == 1
        asked = board.asked
        board.others.append(ANNA | {"id": "bb", "node_id": "ff"})
        if ledger:
            tail.logins.set()
        assert (await next_change())["changes"] == 2
        assert board.asked > asked
        working.cancel()
        await asyncio.wait([working])

    asyncio.run(asyncio.wait_for(work(), 30))


def test_a_change_here_is_told_and_one_elsewhere_after_a_login(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(monkeypatch, 1000.0)


def test_others_are_asked_again_after_a_while_without_a_ledger_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(monkeypatch, 0.05, ledger=False)
