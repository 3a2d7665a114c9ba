"""How a build ended that another node went on with, as that one says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.ledger.history import LOST_TOO_SOON
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.node.durable.lost_builds import LostBuilds
from buildnet.node.store import Store
from buildnet.pool.durable import Phase
from buildnet.pool.messages.durable import BuildAsk, BuildTold, KeepOver
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.warrant import MAX_ATTEMPT

SENDER = b"s" * 32
REPORT = {
    "status": "failed",
    "completed_at": 2.0,
    "duration_ms": 1000,
    "error": "core failed",
    "packages": [{"name": "core"}],
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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", 1 << 30) as opened:
        yield opened


def ended(
    store: Store, data: bytes | None, build: str = "abcdef", *, proven: bool = True
) -> list[dict[str, Any]]:
    """Tell that a build has ended; return what is recorded. ``data`` None: it can't be fetched."""
    history = History()
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
    "change", [{"status": "running"}, {"packages": {}}, {"packages": [1]}, {"duration_ms": "long"}]
)
def test_an_end_that_is_none_is_not_recorded(store: Store, change: dict[str, Any]) -> None:
    assert ended(store, json.dumps(REPORT | change).encode()) == []


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b"\xff", None])
def test_what_can_not_be_read_or_had_is_not_recorded(store: Store, data: bytes | None) -> None:
    assert ended(store, data) == []


def test_the_beginning_of_an_id_names_no_build(store: Store) -> None:
    assert ended(store, json.dumps(REPORT).encode(), "abc") == []
