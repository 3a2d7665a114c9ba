"""What is kept for others: taken in whole or not at all, and held while somebody works on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.node.stored_plans import CORE, PLAN, tree

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.node.durable.keeping import Keeping, NotKeptError
from buildnet.node.durable.shelf import Shelf
from buildnet.node.durable.stored_plan import Trees
from buildnet.node.platform import platform_properties
from buildnet.node.store import Store
from buildnet.pool.messages.durable import Finished, KeepAsk
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.tree import EMPTY_TREE
from buildnet.pool.warrant import Warrant

DRIVER = b"d" * 32
WARRANT = Warrant(DRIVER, bytes(16))
PROGRAM = "known"


@dataclass
class FakeResults:
    """The driver's store, and results of others that come when ``may_come`` is set."""

    there: Store
    here: Store
    may_come: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def fetch_all(self, blobs: Iterable[Digest], peer: bytes) -> None:
        for blob in blobs:
            self.here.put(self.there.get(blob))

    async def find(self, actions: Sequence[Digest]) -> dict[Digest, Any]:
        self.asked += 1
        await self.may_come.wait()
        return {}

    async def take_in(self, wanted: Sequence[Any], hold: Any) -> dict[Digest, Any]:
        hold.add([Digest.of(b"x")])  # fails once it is closed
        return {}


@dataclass
class Place:
    keeping: Keeping
    results: FakeResults

    def ask(self, **changes: Any) -> KeepAsk:
        """Put a request into the driver's store; return how it is asked for."""
        there, trees = self.results.there, Trees([tree(a_b="1"), tree(c="22"), EMPTY_TREE])
        for text in (b"1", b"22"):
            there.put(text)
        plan = replace(PLAN, tools={}, words={}, platform=dict(platform_properties()))
        plan = replace(plan, **{"driver": node_id_of(DRIVER), **changes})
        blobs = [WireDigest.of(there.put(each)) for each in (plan.encode(), trees.encode())]
        return KeepAsk("b1", 1, blobs[0], blobs[1], WARRANT)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with (
        Store.open(tmp_path / "there", 1 << 30) as there,
        Store.open(tmp_path / "here", 900) as here,
    ):
        shelf = Shelf.open(tmp_path / "requests.db")
        results = FakeResults(there, here)

        def tool(name: str) -> Any:
            if name != PROGRAM:
                raise BuildNetError(f"no {name}")
            return SimpleNamespace(identity="1")

        toolchain = SimpleNamespace(tool=tool, program=lambda word: None)
        levels = SimpleNamespace(strict=lambda: object())
        keeping = Keeping(
            here, shelf, cast(Any, results), cast(Any, toolchain), cast(Any, levels), 3
        )
        yield Place(keeping, results)
        keeping.close()
        shelf.close()


def test_a_request_is_there_whole_and_nothing_of_it_is_collected(place: Place) -> None:
    async def run() -> None:
        keeping, here = place.keeping, place.keeping.store
        parcel = await keeping.take_in(DRIVER, place.ask())
        await keeping.put("b1", DRIVER, 1, parcel)
        for number in range(20):
            here.put(bytes([number]) * 200)
        assert [here.get(Digest.of(text)) for text in (b"1", b"22")] == [b"1", b"22"]
        unpacked = await keeping.unpack("b1", keeping.requests["b1"])
        assert unpacked is not None
        trees, blobs = unpacked
        assert [each.digest for each in trees.trees[:2]] == [
            tree(a_b="1").digest,
            tree(c="22").digest,
        ]
        assert here.get(blobs.plan) == parcel.plan
        await keeping.forget("b1")
        assert keeping.shelf.builds() == []

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"build_id": "b2"}, "another build"),
        ({"driver": node_id_of(b"x" * 32)}, "another build"),
        ({"isolation": "staged"}, "runs in staged"),
        ({"platform": {"ISA": "none"}}, "another ISA"),
        ({"tools": {PROGRAM: "2"}}, "another known"),
        ({"tools": {"gone": "1"}}, "no gone"),
        ({"words": {"cp": "1"}}, "another cp"),
    ],
)
def test_what_would_not_be_the_same_here_is_not_kept(
    place: Place, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(BuildNetError, match=why):
        asyncio.run(place.keeping.take_in(DRIVER, place.ask(**changes)))


def test_what_is_more_than_its_share_of_the_store_is_not_kept(place: Place) -> None:
    place.keeping.most_bytes = 2
    with pytest.raises(NotKeptError, match="too large"):
        asyncio.run(place.keeping.take_in(DRIVER, place.ask()))


def test_a_request_that_is_forgotten_while_results_are_fetched_is_held_until_then(
    place: Place,
) -> None:
    async def run() -> None:
        keeping = place.keeping
        tasks = (replace(PLAN.tasks[0], package=CORE.package, name=CORE.task),)
        parcel = await keeping.take_in(DRIVER, place.ask(tasks=tasks))
        await keeping.put("b1", DRIVER, 1, parcel)
        action = WireDigest.of(Digest.of(b"action"))
        keeping.want("b1", [Finished("core", "build", action), Finished("no", "build", action)])
        assert keeping.wants
        fetching = asyncio.ensure_future(keeping.fetch_wanted())
        while not place.results.asked:
            await asyncio.sleep(0)
        forgetting = asyncio.ensure_future(keeping.forget("b1"))
        await asyncio.sleep(0)
        assert not parcel.kept.hold.closed
        place.results.may_come.set()
        await asyncio.gather(fetching, forgetting)
        assert parcel.kept.hold.closed
        assert await keeping.unpack("b1", parcel.kept) is None

    asyncio.run(run())
