"""How a build ended that another node went on with, as that one says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.ledger.history import DURABLE, LOST_TOO_SOON, Durability
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.mesh.identity import node_id_of
from buildnet.node.durable import lost_builds
from buildnet.node.durable.lost_builds import FORGOTTEN, FORGOTTEN_S, GONE, GONE_S, LostBuilds
from buildnet.node.report import TaskReport
from buildnet.node.store import Store
from buildnet.pool.build import Status
from buildnet.pool.durable import Phase
from buildnet.pool.messages.durable import BuildAsk, BuildTold, KeepOver
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.warrant import MAX_ATTEMPT
from buildnet.pool.workspace import TaskId

SENDER = b"s" * 32
ENTRY = TaskReport.of(TaskId("core", "build"), "a-node", Status.SUCCEEDED).as_dict()
REPORT = {
    "status": "failed",
    "completed_at": 2.0,
    "duration_ms": 1000,
    "error": "core failed",
    "packages": [ENTRY | {"action": "a" * 64, "log": f"{'b' * 64}/12", "of later": 1}],
}


class History:
    """The record of one build that was lost too soon."""

    def __init__(self) -> None:
        self.found = SimpleNamespace(id="abcdef", error=LOST_TOO_SOON, durable=None)
        self.ended: list[dict[str, Any]] = []

    async def build(self, prefix: str) -> Any:
        if not self.found.id.startswith(prefix):
            raise NotFoundError("no such build")
        return self.found

    async def mark(self, build: str, where: object) -> None:
        assert build == self.found.id

    async def finish(self, build: str, **how: Any) -> None:
        assert build == self.found.id
        self.ended.append(how)


def ended(
    store: Store,
    data: bytes | None,
    build: str = "abcdef",
    *,
    proven: bool = True,
    error: str = LOST_TOO_SOON,
) -> list[dict[str, Any]]:
    """Tell that a build has ended; return what is recorded. ``data`` None: it can't be fetched."""
    history = History()
    history.found.error = error
    report = Digest.of(data or b"gone")

    async def fetch_all(blobs: Iterable[Digest], peer: bytes) -> None:
        assert (tuple(blobs), peer) == ((report,), SENDER)
        if data is None:
            raise BuildNetError("the member is gone")
        await asyncio.to_thread(store.put, data)

    circle: Any = SimpleNamespace(name_of=lambda node: "berta", is_proven=lambda *_: proven)
    recorded: Any = history
    lost = LostBuilds(circle, store, recorded, fetch_all, lambda record: None)
    told = BuildTold(build, 1, Phase.ENDED.value, WireDigest.of(report))
    asyncio.run(lost.told(SENDER, told))
    return history.ended


def test_the_end_is_recorded_as_it_was_told(store: Store) -> None:
    assert ended(store, json.dumps(REPORT).encode()) == [REPORT]


@pytest.mark.parametrize("phase", list(Phase))
def test_who_keeps_a_build_that_is_over_is_told_so(store: Store, phase: Phase) -> None:
    history, said = History(), list[Any]()
    history.found = SimpleNamespace(id="abcdef", error=None, durable=None, status="cancelled")
    circle: Any = SimpleNamespace(say=lambda to, message: said.append((to, message)))
    nobody: Any = None
    recorded: Any = history
    lost = LostBuilds(circle, store, recorded, nobody, nobody)
    told = BuildTold("abcdef", 3, phase.value, None)
    over = (SENDER, KeepOver("abcdef", MAX_ATTEMPT, ended=True))
    asyncio.run(lost.told(SENDER, told))
    assert said == ([over] if phase is Phase.DRIVING else [])
    said.clear()
    asyncio.run(lost.asked(SENDER, BuildAsk(("abc", "xyz", "abcdef"), lost=False)))
    assert said == [over]
    history.found.status = "running"
    asyncio.run(lost.told(SENDER, told))
    asyncio.run(lost.asked(SENDER, BuildAsk(("abcdef",), lost=False)))
    assert said == [over]


def test_an_end_that_anybody_tells_is_not_recorded(store: Store) -> None:
    assert ended(store, json.dumps(REPORT).encode(), proven=False) == []


@pytest.mark.parametrize(
    "change",
    [
        {"status": "running"},
        {"packages": {}},
        {"packages": [1]},
        {"packages": [ENTRY, {"name": "core"}]},
        {"packages": [ENTRY | {"action": "../x"}]},
        {"packages": [ENTRY | {"log": "a/b"}]},
        {"packages": [ENTRY | {"shards": [{"shard": "1/2", "log": 1}]}]},
        {"packages": [ENTRY | {"depends_on": 1}]},
        {"duration_ms": "long"},
    ],
)
def test_an_end_that_is_none_is_not_recorded(store: Store, change: dict[str, Any]) -> None:
    assert ended(store, json.dumps(REPORT | change).encode()) == []


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b"\xff", None])
def test_what_can_not_be_read_or_had_is_not_recorded(store: Store, data: bytes | None) -> None:
    assert ended(store, data) == []


def test_an_end_with_very_many_values_is_not_looked_at(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = json.dumps(REPORT | {"more": [0] * 1000}).encode()
    assert ended(store, told) != []
    monkeypatch.setattr(lost_builds, "MOST_REPORT_VALUES", 1000)
    assert ended(store, told) == []


class Lost:
    """A node that has lost a build which B stood in for, in a cluster with C, on a clock of its
    own; ``there``: which of them are."""

    B, C = b"b" * 32, b"c" * 32

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
        self.now, self.there, self.proven = 1000.0, {self.B: False, self.C: True}, True
        clock = SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now)
        monkeypatch.setattr(lost_builds, "time", clock)
        where = Durability(DURABLE, node_id_of(self.B), "berta", 1)
        self.history, self.records, self.tasks = History(), list[Any](), list[Any]()
        found: Any = SimpleNamespace(
            id="abcdef", error=None, durable=where, status="running", started_at=0.0
        )
        self.history.found = found
        circle: Any = SimpleNamespace(
            workers=self.there,
            name_of=lambda node: "berta",
            is_proven=lambda *_: self.proven,
            spawn=lambda work, *given: self.tasks.append(work(*given)),
        )
        history: Any = self.history
        nobody: Any = None
        self.lost = LostBuilds(circle, store, history, nobody, self.records.append)
        self.lost._builds["abcdef"] = found

    def at(self, seconds: float) -> list[str]:
        """Look at a time; return the errors with which the build has ended."""
        self.now = 1000.0 + seconds
        self.lost.look()
        while self.tasks:
            asyncio.run(self.tasks.pop())
        return [each["error"] for each in self.history.ended]

    def says(self, node: bytes, phase: str) -> None:
        asyncio.run(self.lost.told(node, BuildTold("abcdef", 1, phase, None)))


def test_a_build_is_given_up_when_nobody_can_go_on_with_it(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    lost = Lost(monkeypatch, store)
    assert lost.at(0) == []
    lost.says(lost.C, "unknown")
    assert lost.at(GONE_S - 1) == []  # berta may come back
    lost.there[lost.B] = True
    assert lost.at(GONE_S) == []
    lost.there[lost.B] = False
    assert lost.at(2 * GONE_S - 1) == []
    assert lost.at(2 * GONE_S) == [GONE]
    assert len(lost.records) == 1
    assert lost.at(3 * GONE_S) == [GONE]


def test_a_build_that_somebody_knows_is_not_given_up(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    lost = Lost(monkeypatch, store)
    assert lost.at(0) == []
    lost.says(lost.C, "unknown")
    lost.says(lost.C, Phase.KEPT.value)
    assert lost.at(9 * GONE_S) == []
    lost.says(lost.C, "unknown")
    assert lost.at(9 * GONE_S + FORGOTTEN_S - 1) == []
    assert lost.at(9 * GONE_S + FORGOTTEN_S) == [GONE]


def test_in_another_cluster_nobody_goes_on_with_a_build(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    lost = Lost(monkeypatch, store)
    lost.there.clear()
    assert lost.at(0) == []
    assert lost.at(FORGOTTEN_S) == [GONE]


@pytest.mark.parametrize("error", [LOST_TOO_SOON, FORGOTTEN, GONE])
def test_who_has_news_of_what_was_given_up_corrects_it(store: Store, error: str) -> None:
    assert ended(store, json.dumps(REPORT).encode(), error=error) == [REPORT]


def test_the_beginning_of_an_id_names_no_build(store: Store) -> None:
    assert ended(store, json.dumps(REPORT).encode(), "abc") == []
