"""A live tail tells each entry once, whenever it comes and is sealed, and can be taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.ledger import store_making
from tests.ledger.entries import ANN, BOB
from tests.ledger.store_making import Scene

from buildnet.ledger.entry import Entry
from buildnet.ledger.events import Keep
from buildnet.ledger.query import Cursor, Query
from buildnet.ledger.seal import Seal
from buildnet.ledger.store import selecting
from buildnet.ledger.store.rows import StoredEntry
from buildnet.ledger.store.store import LedgerStore
from buildnet.node import ledger_tail
from buildnet.node.ledger_tail import LedgerTail

EVERYTHING = Query()
Told = tuple[StoredEntry, Cursor]


class OneLedger:
    """A file; who writes to it says so."""

    def __init__(self, store: LedgerStore) -> None:
        self.store = store
        self.on_sealed: Callable[[Seal], None] = lambda seal: None
        self.on_appended: Callable[[], None] = lambda: None

    async def current(self) -> OneLedger:
        return self

    async def keep(self, what: Keep) -> None:
        await self.store.keep(what)
        self.on_appended()


class Follower:
    """Reads a tail while the test goes on."""

    def __init__(self, tail: LedgerTail, query: Query, cursor: Cursor | None, last: int) -> None:
        self.told: list[Told] = []
        self.ended = asyncio.Event()
        self._news = asyncio.Event()
        self._lines = tail.follow(query, cursor=cursor, last=last, ended=self.ended)

    async def run(self) -> None:
        async for one in self._lines:
            self.told.append(one)
            self._news.set()

    async def until(self, count: int) -> list[Entry]:
        async with asyncio.timeout(20):
            while len(self.told) < count:
                self._news.clear()
                await self._news.wait()
        return [stored.entry for stored, _ in self.told]


class Stage:
    """A ledger that grows, and those who watch."""

    def __init__(self, ledger: OneLedger, group: asyncio.TaskGroup) -> None:
        self.ledger = ledger
        self.scene = Scene()
        self._tail = LedgerTail(ledger)
        self._group = group
        self.followers: list[Follower] = []

    def follow(
        self, query: Query = EVERYTHING, *, cursor: Cursor | None = None, last: int = 0
    ) -> Follower:
        follower = Follower(self._tail, query, cursor, last)
        self.followers.append(follower)
        self._group.create_task(follower.run())
        return follower

    async def grow(self, *more: Entry) -> None:
        await self.ledger.keep(self.scene.keep(more or None))

    async def seal(self) -> None:
        await self.ledger.keep(self.scene.seal())


def play(path: Path, work: Callable[[Stage], Awaitable[None]]) -> None:
    async def on(store: LedgerStore) -> None:
        async with asyncio.TaskGroup() as group:
            stage = Stage(OneLedger(store), group)
            await work(stage)
            for one in stage.followers:
                one.ended.set()

    store_making.using(path / "l.db", on)


@pytest.fixture(autouse=True, params=[1, 200])
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a page."""
    monkeypatch.setattr(ledger_tail, "_PAGE", request.param)


def test_each_entry_is_told_once_before_it_is_sealed(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        scene = stage.scene
        scene.add(ANN)
        scene.add(BOB)
        await stage.grow()
        follower = stage.follow(last=2)
        assert await follower.until(2) == scene.open[-2:]
        first = scene.add(ANN)
        await stage.grow()
        assert (await follower.until(3))[-1] == first
        await stage.seal()
        second = scene.add(BOB)
        await stage.grow()
        assert (await follower.until(4))[-1] == second
        assert [stored.sealed for stored, _ in follower.told] == [False] * 4

    play(tmp_path, work)


def test_an_entry_that_comes_late_is_told_though_its_clock_is_earlier(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        scene = stage.scene
        late = scene.add(BOB)
        opening = scene.open[0]
        scene.open = []
        scene.add(ANN)
        follower = stage.follow(cursor=Cursor())
        await stage.grow()
        seen = await follower.until(2)
        scene.open = [opening, late, *scene.open]
        await stage.grow()
        assert await follower.until(4) == [*seen, opening, late]

    play(tmp_path, work)


def test_what_was_sealed_before_anybody_looked_is_told_as_sealed(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        scene = stage.scene
        scene.add(ANN)
        await stage.ledger.store.keep(scene.keep())
        begun = stage.follow(cursor=Cursor())
        await begun.until(2)
        scene.add(ANN)
        await stage.ledger.store.keep(scene.keep())
        await stage.seal()
        await begun.until(3)
        assert [stored.height for stored, _ in begun.told] == [None, None, 1]

    play(tmp_path, work)


def test_only_what_is_sealed_comes_in_sealed_order(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        scene = stage.scene
        follower = stage.follow(Query(sealed=True), cursor=Cursor())
        scene.add(BOB)
        scene.add(ANN)
        await stage.grow()
        await stage.seal()
        assert await follower.until(4) == scene.sealed
        assert {stored.height for stored, _ in follower.told} == {1}

    play(tmp_path, work)


@pytest.mark.parametrize("sealed", [None, True])
def test_who_goes_on_from_any_cursor_misses_nothing(tmp_path: Path, sealed: bool | None) -> None:
    async def work(stage: Stage) -> None:
        scene = stage.scene
        query = Query(sealed=sealed)
        follower = stage.follow(query, cursor=Cursor())
        for _ in range(3):
            scene.add(ANN)
            scene.add(BOB)
            await stage.grow()
            await stage.seal()
        seen = await follower.until(8)
        assert sorted(one.id for one in seen) == sorted(one.id for one in scene.sealed)
        for number, (_, cursor) in enumerate(list(follower.told)):
            again = stage.follow(query, cursor=Cursor.parse(str(cursor)))
            told_before = {one.id for one in seen[: number + 1]}
            missing = {one.id for one in seen} - told_before
            found = await again.until(len(missing))
            while not missing <= {one.id for one in found}:  # what was not sealed comes again
                found = await again.until(len(found) + 1)
            if sealed:
                assert found == seen[number + 1 :]

    play(tmp_path, work)


def test_filters_hold(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        scene = stage.scene
        follower = stage.follow(Query(types=("build.failed",)), cursor=Cursor())
        scene.add(ANN)
        wanted = scene.add(ANN, type="build.failed")
        scene.add(ANN)
        await stage.grow()
        assert await follower.until(1) == [wanted]
        await stage.seal()
        other = scene.add(ANN, type="build.failed")
        await stage.grow()
        assert await follower.until(2) == [wanted, other]

    play(tmp_path, work)


def test_what_few_fit_is_looked_for_further_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selecting, "BUDGET", 3)

    async def work(stage: Stage) -> None:
        scene = stage.scene
        rare = [scene.add(ANN, type="test.rare") for _ in range(2)]
        for _ in range(20):
            scene.add(ANN)
        await stage.grow()
        await stage.seal()
        follower = stage.follow(Query(text="test.rare"), last=2)
        assert await follower.until(2) == rare

    play(tmp_path, work)
