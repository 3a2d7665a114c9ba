"""A build's results on their way to the node that keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import Received
from buildnet.mesh.members.genesis import Rights
from buildnet.node import artifacts
from buildnet.node.artifacts import Artifacts, Keeper, NotKeptError
from buildnet.node.store import StoreFullError
from buildnet.pool.messages.keeping import ResultKeep, ResultKept
from buildnet.pool.messages.results import SharedResult, WireDigest
from buildnet.pool.messages.work import MAX_OUTPUTS
from buildnet.pool.workspace import Task

KEEPER = b"k" * 32


class FakeArtifacts:
    """Another node that keeps a result once ``refusals`` have been given."""

    def __init__(self, refusals: int = 0, *, is_there: bool = True) -> None:
        self.refusals = refusals
        self.is_there = is_there
        self.kept: list[str] = []
        self.size = 10
        self.refusal: BuildNetError = NotKeptError("there is no room")

    def find(self, node: str) -> bytes | None:
        return KEEPER if self.is_there else None

    async def size_of(self, action: Digest) -> int:
        return self.size

    async def send(self, keeper: bytes, action: Digest, task: Task) -> None:
        await asyncio.sleep(0)
        if self.refusals:
            self.refusals -= 1
            raise self.refusal
        self.kept.append(task.package)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "PAUSES_S", (0.0, 0.0))


def kept(
    there: FakeArtifacts,
    count: int,
    end: Callable[[Keeper], None] = Keeper.close,
    most_bytes: int = 0,
) -> list[str]:
    """Have results kept; return what people are told."""
    notices: list[str] = []

    async def go() -> None:
        keeper = Keeper(cast(Any, there), "store", notices.append, most_bytes)
        running = asyncio.create_task(keeper.run())
        for number in range(count):
            task = Task(f"p{number}", "build", f"p{number}", "make")
            keeper.put(Digest.of(task.package.encode()), task)
        end(keeper)
        await asyncio.wait_for(running, 30)

    asyncio.run(go())
    return notices


def test_all_results_are_kept() -> None:
    there = FakeArtifacts()
    assert kept(there, 20) == []
    assert sorted(there.kept) == sorted(f"p{number}" for number in range(20))


def test_no_more_is_sent_than_the_configuration_gives() -> None:
    there = FakeArtifacts()
    (notice,) = kept(there, 5, most_bytes=25)
    assert len(there.kept) == 2
    assert notice.startswith("not kept on store: p2, p3, p4: the configuration gives")
    assert notice.endswith("GiB there (size_gb)")


def test_what_was_refused_counts_no_bytes() -> None:
    there = FakeArtifacts(refusals=3)  # p0 is given up
    assert len(kept(there, 1, most_bytes=10)) == 1
    assert there.kept == []


def test_what_is_refused_is_sent_again() -> None:
    there = FakeArtifacts(refusals=2)
    assert kept(there, 1) == []
    assert there.kept == ["p0"]


def test_what_could_not_be_kept_is_told_once() -> None:
    there = FakeArtifacts(refusals=1000)
    (notice,) = kept(there, 5)
    assert notice.startswith("not kept on store: ")
    assert notice.endswith(" and 2 more: there is no room")


def test_a_full_store_of_this_node_does_not_end_the_build() -> None:
    there = FakeArtifacts(refusals=1000)
    there.refusal = StoreFullError("the volume is full")
    (notice,) = kept(there, 1)
    assert notice == "not kept on store: p0: the volume is full"


def test_what_does_not_fit_into_a_message_is_not_sent() -> None:
    nothing = WireDigest(bytes(32), 0)
    result = SharedResult(nothing, "strict", KEEPER, bytes(64), 0, 0, "", nothing, None)
    for outputs in (("a",) * (MAX_OUTPUTS + 1), ("a" * 4000,) * 20):
        with pytest.raises(NotKeptError, match="too many outputs"):
            artifacts._check_fits(ResultKeep(bytes(16), result, "", outputs))


def test_a_node_whose_owner_accepts_nothing_of_others_keeps_nothing_for_them() -> None:
    nobody: Any = None
    said: list[tuple[bytes, object]] = []
    member = SimpleNamespace(rights=Rights.BUILDER)
    members = SimpleNamespace(members={KEEPER: member}, is_member=lambda key: key == KEEPER)
    cluster: Any = SimpleNamespace(
        local=SimpleNamespace(members=members),
        say=lambda to, message: said.append((to, message)),
    )
    node = Artifacts(nobody, nobody, lambda: "its owner accepts no builds of others")
    nothing = WireDigest(bytes(32), 0)
    result = SharedResult(nothing, "strict", KEEPER, bytes(64), 0, 0, "", nothing, None)

    async def ask() -> None:
        async with node.guest(cluster):
            node.take(Received(KEEPER, ResultKeep(bytes(16), result, "", ())))

    asyncio.run(ask())
    assert said == [(KEEPER, ResultKept(bytes(16), "its owner accepts no builds of others"))]


def test_a_node_that_is_not_there_is_told() -> None:
    (notice,) = kept(FakeArtifacts(is_there=False), 1)
    assert "there is no such node" in notice


def test_a_build_that_was_cancelled_waits_for_nothing() -> None:
    there = FakeArtifacts()
    (notice,) = kept(there, 3, lambda keeper: keeper.close(0.0))
    assert "it took too long" in notice
    assert there.kept == []
