"""The list of all nodes' builds: put together, paged and filtered over both records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.ledger import store_making
from tests.ledger.entries import ANN, BOB, CLUSTER
from tests.ledger.store_making import Scene
from tests.node.test_ledger_tail import OneLedger

from buildnet.ledger.history import DURABLE, ELSEWHERE, ENDED_ELSEWHERE, Durability, History
from buildnet.ledger.history_filter import ALL, Wanted
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.told_builds import ToldBuilds
from buildnet.mesh.errors import NotFoundError
from buildnet.mesh.events import Status
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.testing import key_number
from buildnet.node.ledger_tail import LedgerTail
from buildnet.node.pool_builds import PoolBuilds, PoolPage
from buildnet.node.service import NodeService

ME, FORMER = (key_number(number).public_key for number in (3, 4))
BEGAN = store_making.START / 65536000


@dataclass(frozen=True)
class Seen:
    """A member as this node sees it."""

    key: bytes
    name: str
    away: set[bytes]

    @property
    def status(self) -> Status:
        return Status.DEAD if self.key in self.away else Status.ALIVE


class Node:
    """A node whose ledger two others write to. ``rotated``: which keys are others now."""

    def __init__(self, directory: Path, store: LedgerStore, history: History) -> None:
        self.scene = Scene()
        self.one = OneLedger(store)
        self.rotated: dict[bytes, bytes] = {}
        self.members = SimpleNamespace(
            cluster_id=CLUSTER, current=lambda key: self.rotated.get(key, key)
        )
        cluster = SimpleNamespace(local=SimpleNamespace(members=self.members))
        self.one.cluster = cluster  # type: ignore[attr-defined]
        named = [(ME, "me"), (ANN.public_key, "ann"), (BOB.public_key, "bob")]
        self.away: set[bytes] = set()
        view = SimpleNamespace(
            members=[Seen(key, name, self.away) for key, name in named],
            former=[SimpleNamespace(key=FORMER, name="former")],
        )
        service = SimpleNamespace(
            home=SimpleNamespace(told_builds=directory / "told.db"),
            history=history,
            others=SimpleNamespace(proves=lambda entry: False),
            ledger=self.one,
            tail=LedgerTail(self.one),
            mesh=SimpleNamespace(key=ME, cluster=cluster, view=lambda: view),
        )
        self.history = history
        self.builds = PoolBuilds(cast(NodeService, service))

    async def told(self, build: str, who: Any = ANN, *, ends: bool = True) -> None:
        """Write down that a build of another node began and ended."""
        asked: dict[str, Any] = {"workspace": "shop", "task": "build", "packages": []}
        for what, data in (("started", asked), ("completed", {"duration_ms": 5}))[: 1 + ends]:
            self.scene.add(who, type=f"build.{what}", entity=f"build:{build}", data=data)
        await self.one.keep(self.scene.keep())
        await self.one.keep(self.scene.seal())

    async def own(self, build: str, after_ms: float) -> None:
        more: Any = {"root": "/shop", "request": {}, "triggered_by": "ann"}
        await self.history.begin(
            build, workspace="shop", started_at=BEGAN + after_ms / 1000, **more
        )

    async def page(self, **asked: Any) -> PoolPage:
        whole: dict[str, Any] = {"limit": 100, "before": None, "wanted": ALL}
        return await self.builds.page(**(whole | asked))

    async def until(self, count: int) -> PoolPage:
        async with asyncio.timeout(20):
            while len((found := await self.page()).builds) < count or not found.complete:
                await asyncio.sleep(0.01)
        return found


def using(
    path: Path, work: Callable[[Node], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildnet.node.pool_builds._REST_S", 0.0)

    async def run(store: LedgerStore) -> None:
        history = await History.open(path / "history.db")
        try:
            node = Node(path, store, history)
            async with node.builds.running():
                await work(node)
        finally:
            await history.close()

    store_making.using(path / "ledger.db", run)


def ids(page: PoolPage) -> list[str]:
    return [one.build.id for one in page.builds]


def test_builds_of_all_nodes_are_one_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(node: Node) -> None:
        await node.told("a1")  # the scene's clock goes on by 1 ms with each entry
        await node.own("m1", 4.5)
        await node.told("b1", BOB)
        await node.own("m2", 1000)
        found = await node.until(4)
        assert [(one.build.id, one.node) for one in found.builds] == [
            ("m2", "me"),
            ("b1", "bob"),
            ("m1", "me"),
            ("a1", "ann"),
        ]
        assert found.counts == {"running": 2, "succeeded": 2}
        cursor, paged = None, list[str]()
        for _ in range(4):
            part = await node.page(limit=1, before=cursor)
            paged += ids(part)
            cursor = part.next
        assert (cursor, paged) == (None, ids(found))

    using(tmp_path, work, monkeypatch)


def test_one_node_is_asked_for_by_name_or_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(node: Node) -> None:
        await node.told("a1")
        await node.told("b1", BOB)
        await node.own("m1", 1000)
        await node.until(3)
        assert ids(await node.page(node="bob")) == ["b1"]
        assert ids(await node.page(node=node_id_of(ANN.public_key))) == ["a1"]
        mine = await node.page(node="me")
        assert (ids(mine), mine.counts) == (["m1"], {"running": 1})
        assert ids(await node.page(node="former")) == []
        assert ids(await node.page(wanted=Wanted(status="succeeded"))) == ["b1", "a1"]
        for none in ("nobody", "ab" * 8):
            with pytest.raises(NotFoundError):
                await node.page(node=none)

    using(tmp_path, work, monkeypatch)


def test_a_key_for_some_nodes_shows_no_builds_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(node: Node) -> None:
        await node.told("a1")
        await node.told("b1", BOB)
        await node.own("m1", 1000)
        await node.until(3)
        found = await node.page(nodes=frozenset({node_id_of(BOB.public_key)}))
        assert ids(found) == ["m1", "b1"]
        assert found.counts == {"running": 1, "succeeded": 1}
        assert ids(await node.page(nodes=frozenset())) == ["m1"]

    using(tmp_path, work, monkeypatch)


def test_builds_of_a_key_that_was_rotated_are_its_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(node: Node) -> None:
        await node.told("a1")
        await node.told("b1", BOB)
        await node.until(2)
        node.rotated[ANN.public_key] = BOB.public_key
        assert ids(await node.page(node="bob")) == ["b1", "a1"]
        assert {one.node for one in (await node.page()).builds} == {"bob"}

    using(tmp_path, work, monkeypatch)


def test_what_this_node_took_over_is_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(node: Node) -> None:
        await node.told("a1")
        await node.until(1)
        await node.own("a1", 1.0)  # on record before the ledger tells so
        (one,) = (await node.page()).builds
        assert one.node == "me"
        await node.own("b1", 3.0)
        await node.told("b1", BOB)
        await node.told("a2")
        found = await node.until(3)
        assert [(one.build.id, one.node) for one in found.builds] == [
            ("a2", "ann"),
            ("b1", "me"),
            ("a1", "me"),
        ]

    using(tmp_path, work, monkeypatch)


def test_a_build_is_counted_once_when_this_node_has_taken_it_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(node: Node) -> None:
        await node.told("a1", ends=False)
        assert (await node.until(1)).counts == {"running": 1}
        await node.own("a1", 1.0)  # on record before the ledger tells so
        await node.history.finish(
            "a1", status="succeeded", completed_at=BEGAN + 1, duration_ms=1, error=None, packages=()
        )
        found = await node.page()
        assert [(one.node, one.build.status) for one in found.builds] == [("me", "succeeded")]
        assert found.counts == {"succeeded": 1}
        assert ids(await node.page(wanted=Wanted(status="running"))) == []

    using(tmp_path, work, monkeypatch)


def test_what_another_node_went_on_with_is_of_that_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(node: Node) -> None:
        bob = node_id_of(BOB.public_key)
        await node.own("m1", 1)
        await node.history.mark("m1", Durability(ENDED_ELSEWHERE, bob, "bob", 1))
        await node.own("m2", 2)
        await node.history.mark("m2", Durability(ELSEWHERE, "ab" * 8, "gone", 1))
        await node.own("m3", 3)
        await node.history.mark("m3", Durability(DURABLE, bob, "bob"))
        await node.own("m4", 4)
        shown = [(one.build.id, one.node) for one in (await node.page()).builds]
        assert shown == [("m4", "me"), ("m3", "me"), ("m2", "gone"), ("m1", "bob")]
        await node.told("b1", BOB)
        await node.until(5)
        of_bob, mine = await node.page(node="bob"), await node.page(node="me")
        assert (set(ids(of_bob)), of_bob.counts) == ({"b1", "m1"}, {"succeeded": 1, "running": 1})
        assert (ids(mine), mine.counts) == (["m4", "m3"], {"running": 2})

    using(tmp_path, work, monkeypatch)


def test_a_build_whose_node_is_away_does_not_count_as_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(node: Node) -> None:
        await node.told("a1", ends=False)
        await node.told("a2")
        await node.told("b1", BOB, ends=False)
        await node.until(3)
        before = node.builds.version
        assert node.builds.version == before
        node.away.add(ANN.public_key)
        assert node.builds.version != before
        found = await node.page()
        shown = {one.build.id: one.build.status for one in found.builds}
        assert shown == {"a1": "unknown", "a2": "succeeded", "b1": "running"}
        assert found.counts == {"unknown": 1, "succeeded": 1, "running": 1}
        for status, build in (("unknown", "a1"), ("running", "b1")):
            asked = await node.page(wanted=Wanted(status=status))
            assert [(one.build.id, one.build.status) for one in asked.builds] == [(build, status)]
        node.away.clear()
        assert (await node.page()).counts == {"succeeded": 1, "running": 2}
        assert ids(await node.page(wanted=Wanted(status="unknown"))) == []

    using(tmp_path, work, monkeypatch)


def test_in_another_cluster_its_builds_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[ToldBuilds] = []
    opening = ToldBuilds.open

    def opens(told: ToldBuilds) -> None:
        opened.append(told)
        opening(told)

    async def work(node: Node) -> None:
        await node.told("a1")
        await node.until(1)
        node.members.cluster_id = b"d" * 32
        found = await node.page()
        assert (ids(found), found.complete) == ([], False)
        await node.told("a2")
        assert ids(await node.until(2)) == ["a2", "a1"]
        assert len(opened) == 1

    monkeypatch.setattr(ToldBuilds, "open", opens)

    using(tmp_path, work, monkeypatch)
