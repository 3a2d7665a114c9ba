"""A stand-in whose driver says that the build is over while its request is fetched or written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.messages.kinds import Message
from buildnet.node.durable.drives import FETCHING, UNKNOWN
from buildnet.node.durable.keeping import MAX_KEPT
from buildnet.node.durable.shelf import NOTHING_SAID, Said, ShelfFullError
from buildnet.node.durable.stands_in import StandsIn
from buildnet.node.durable.successor import Successor
from buildnet.pool.demand import Orders, Priority
from buildnet.pool.durable import Phase
from buildnet.pool.messages.durable import (
    BuildTold,
    Driven,
    DriveTold,
    Finished,
    FinishedTold,
    KeepAnswer,
    KeepAsk,
    KeepOver,
)
from buildnet.pool.messages.lending import WireOrders
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.warrant import Warrant

DRIVER, ASKED_FIRST, STRANGER = b"d" * 32, b"a" * 32, b"x" * 32
NOTHING = WireDigest(bytes(32), 0)
WARRANT = Warrant(ASKED_FIRST, bytes(16))
ASK, OVER = KeepAsk("b", 1, NOTHING, NOTHING, WARRANT), KeepOver("b", 1, True)


def in_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Let a test be a coroutine."""

    def run() -> None:
        asyncio.run(test())

    return run


async def nothing() -> None:
    """Nothing happens meanwhile."""


class Keeping:
    """Takes in and writes what it is given; ``fetching`` and ``writing`` happen meanwhile."""

    def __init__(self) -> None:
        self.fetching: Callable[[], Awaitable[None]] = nothing
        self.writing: Callable[[], Awaitable[None]] = nothing
        self.unreadable: BuildNetError | None = None
        self.requests: dict[str, Any] = {}
        self.wants = False
        self.wanted: list[str] = []
        self.open = 0
        self.plan = SimpleNamespace(driver=node_id_of(ASKED_FIRST))
        self.shelf = SimpleNamespace(set_phase=self.set_phase, set_said=self.set_said)
        self.on_disk: dict[str, Said] = {}

    def closed(self) -> None:
        self.open -= 1

    async def take_in(self, driver: bytes, ask: KeepAsk) -> Any:
        await self.fetching()
        self.open += 1
        hold = SimpleNamespace(close=self.closed)
        kept = SimpleNamespace(hold=hold, plan=self.plan, warrant=ask.warrant, said=NOTHING_SAID)
        return SimpleNamespace(kept=kept)

    async def put(self, build: str, driver: bytes, attempt: int, parcel: Any) -> None:
        await self.writing()
        self.requests[build] = parcel.kept

    async def set_phase(self, *_: object) -> None:
        if self.unreadable is not None:
            raise self.unreadable

    async def set_said(self, build: str, said: Said) -> None:
        self.on_disk[build] = said

    async def unpack(self, build: str, request: object) -> tuple[None, None]:
        return None, None

    def want(self, build: str, finished: object) -> None:
        self.wanted.append(build)

    async def forget(self, build: str) -> None:
        request = self.requests.pop(build, None)
        if request is not None:
            request.hold.close()


class Drives(dict[str, Any]):
    """The builds that the node drives."""

    def add(self, build: Any, attempt: int, blobs: object) -> None:
        self["b"] = build

    def said_of(self, build: str) -> tuple[Orders, float]:
        return self[build].orders, 0.0


class Node:
    """A node that may stand in, and what it says."""

    def __init__(self) -> None:
        self.said: list[Message] = []
        self.proves = True
        """Whether the warrants that are shown count."""
        self.tasks: list[Awaitable[None]] = []
        self.keeping = Keeping()
        circle: Any = SimpleNamespace(
            say=lambda to, message: self.said.append(message),
            say_all=self.said.append,
            spawn=lambda work, *arguments: self.tasks.append(work(*arguments)),
            linked=(),
            name_of=lambda node: "driver",
            is_now=lambda member, node: node_id_of(member) == node,
            is_granted=lambda *asked: self.proves,
            is_proven=lambda *claimed: self.proves,
        )

        async def no(*_: object) -> bool:
            return False

        self.own: set[str] = set()
        self.obeyed: list[Orders] = []
        successor: Any = SimpleNamespace(
            has_ended=no,
            close=no,
            drives_itself=self.own.__contains__,
            builder=SimpleNamespace(find=lambda build: None),
            take_over=lambda inherited: self.build,
        )
        self.build: Any = SimpleNamespace(
            obey=self.obeyed.append, limited_since=None, orders=Orders()
        )
        keeping: Any = self.keeping
        drives: Any = Drives()
        self.stands_in = StandsIn(circle, keeping, successor, drives, lambda: None, 60.0)

    async def settle(self) -> None:
        while self.tasks:
            await self.tasks.pop(0)

    async def keep(self, ask: KeepAsk = ASK) -> bool:
        await self.stands_in.keep(DRIVER, ask)
        await self.settle()
        answer = self.said.pop()
        assert isinstance(answer, KeepAnswer)
        return answer.kept

    async def is_over(self) -> None:
        self.stands_in.released(DRIVER, OVER)
        await self.settle()

    @property
    def has_nothing(self) -> bool:
        return not self.keeping.requests and not self.keeping.open and "b" not in self.stands_in


@in_loop
async def test_what_is_over_while_it_is_fetched_is_not_kept() -> None:
    node = Node()
    node.keeping.fetching = node.is_over
    assert not await node.keep()
    assert node.has_nothing


@in_loop
async def test_what_is_over_while_it_is_written_is_not_kept() -> None:
    node = Node()
    node.keeping.writing = node.is_over
    assert not await node.keep()
    assert node.has_nothing


@in_loop
async def test_what_can_not_be_written_is_not_kept() -> None:
    async def full() -> None:
        raise ShelfFullError("the volume is full")

    node = Node()
    node.keeping.writing = full
    assert not await node.keep()
    assert node.has_nothing


@in_loop
async def test_what_can_not_be_read_again_is_not_gone_on_with() -> None:
    node = Node()
    assert await node.keep()
    node.keeping.unreadable = ShelfFullError("the volume is full")
    await node.stands_in._take_over("b", 1)
    assert node.has_nothing


@in_loop
async def test_so_many_requests_are_fetched_at_once_and_no_more() -> None:
    node, go = Node(), asyncio.Event()

    async def wait() -> None:
        await go.wait()

    node.keeping.fetching = wait
    async with asyncio.TaskGroup() as group:
        for number in range(MAX_KEPT):
            ask = KeepAsk(f"b{number}", 1, NOTHING, NOTHING, WARRANT)
            group.create_task(node.stands_in.keep(DRIVER, ask))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not await node.keep()
        go.set()
    assert len(node.keeping.requests) == MAX_KEPT


@in_loop
async def test_who_asks_is_told_before_a_request_is_fetched() -> None:
    node = Node()
    said: list[Message] = []

    async def look() -> None:
        said.extend(node.said)

    node.keeping.fetching = look
    assert await node.keep()
    assert said == [BuildTold("b", 0, FETCHING, None)]


@in_loop
async def test_a_node_keeps_no_request_for_a_build_that_it_drives_itself() -> None:
    node = Node()
    node.own.add("b")
    assert not await node.keep()
    assert node.has_nothing


def test_what_a_killed_process_left_of_a_build_is_removed_at_the_start(tmp_path: Path) -> None:
    nobody: Any = None
    scratch = tmp_path / "requests"
    (scratch / "b").mkdir(parents=True)
    (scratch / "b/package.json").touch()
    keeping: Any = SimpleNamespace(restore=list)
    circle: Any = SimpleNamespace()
    history: Any = SimpleNamespace(running=running)
    successor = Successor(nobody, nobody, history, nobody, scratch)
    stands_in = StandsIn(circle, keeping, successor, nobody, lambda: None, 60.0)
    asyncio.run(stands_in.restore())
    assert not scratch.exists()
    asyncio.run(stands_in.restore())  # there is nothing to remove


async def running() -> list[object]:
    """No build runs."""
    return []


@in_loop
async def test_what_people_said_of_a_build_holds_for_who_goes_on_with_it() -> None:
    node = Node()
    assert await node.keep()
    paused = Orders(Priority.HIGH, paused=True)
    told = DriveTold((Driven("b", 1, WireOrders.of(paused), 0),))
    node.stands_in.driven(b"x" * 32, DriveTold((Driven("b", 1, WireOrders.of(Orders()), 0),)))
    node.stands_in.driven(DRIVER, told)
    node.stands_in.driven(b"x" * 32, DriveTold((Driven("b", 1, WireOrders.of(Orders()), 0),)))
    await node.settle()
    assert node.keeping.on_disk["b"].orders == paused
    await node.stands_in._take_over("b", 2)
    assert node.obeyed == [paused]
    # What they say of it from now on holds for the next one, and after a restart.
    node.build.orders = Orders(Priority.LOW)
    node.stands_in.tick()
    await node.settle()
    assert node.keeping.on_disk["b"].orders == Orders(Priority.LOW)


@in_loop
async def test_the_time_limit_of_a_build_goes_on_where_the_build_does() -> None:
    node = Node()
    assert await node.keep()
    told = DriveTold((Driven("b", 1, WireOrders.of(Orders()), 3_600_000),))
    node.stands_in.driven(DRIVER, told)
    first = node.keeping.requests["b"].said
    node.stands_in.driven(DRIVER, told)
    assert node.keeping.requests["b"].said == first  # it is not written each time
    await node.settle()
    await node.stands_in._take_over("b", 2)
    assert 3600 <= time.monotonic() - node.build.limited_since < 3700


@in_loop
async def test_only_its_driver_or_who_was_asked_first_takes_a_build_back() -> None:
    node = Node()
    assert await node.keep()
    requests = node.stands_in._core.requests
    told = DriveTold((Driven("b", 9, WireOrders.of(Orders()), 0),))
    node.stands_in.driven(STRANGER, told)
    assert requests["b"].driver == DRIVER
    node.stands_in.driven(ASKED_FIRST, told)
    assert requests["b"].driver == ASKED_FIRST
    await node.settle()


@in_loop
async def test_without_a_warrant_nobody_is_stood_in_for_and_nobody_is_given_way_to() -> None:
    node = Node()
    node.proves = False
    assert not await node.keep()
    assert node.has_nothing
    node.proves = True
    assert await node.keep()
    node.proves = False
    later = BuildTold("b", 9, Phase.DRIVING.value, None, WARRANT)
    node.stands_in.told(STRANGER, later)
    assert not await node.keep(replace(ASK, attempt=9))
    assert "b" in node.stands_in
    node.proves = True
    node.stands_in.told(STRANGER, replace(later, attempt=1))
    node.stands_in.told(STRANGER, replace(later, phase=UNKNOWN))
    assert "b" in node.stands_in
    node.stands_in.told(STRANGER, later)
    assert "b" not in node.stands_in
    await node.settle()


@in_loop
async def test_only_who_drives_says_what_is_finished() -> None:
    node = Node()
    assert await node.keep()
    for sender in (STRANGER, ASKED_FIRST, DRIVER):
        node.stands_in.finished(sender, FinishedTold("b", (Finished("p", "build", NOTHING),)))
    assert node.keeping.wanted == ["b"]


@in_loop
async def test_results_are_fetched_after_a_cluster_that_ended_before_it_began() -> None:
    node = Node()
    spawned: list[Callable[[], Coroutine[None, None, None]]] = []
    fetched: list[bool] = []
    keeping: Any = node.keeping

    async def fetch() -> None:
        fetched.append(True)

    keeping.wants, keeping.fetch_wanted = True, fetch
    circle: Any = node.stands_in._circle
    circle.spawn = spawned.append
    node.stands_in.tick()
    del spawned[:]  # as without a cluster
    node.stands_in.tick()
    node.stands_in.tick()
    await asyncio.gather(*(work() for work in spawned))
    assert fetched
