"""Which builds get a stand-in, when, and what is told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.ledger.history import Durability, History
from buildnet.mesh.digest import Digest
from buildnet.mesh.events import Received
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.genesis import Rights, Role
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.testing import CheapSignatures
from buildnet.node.durable import drives as module
from buildnet.node.durable.circle import Circle
from buildnet.node.durable.drives import FETCHING, Drives
from buildnet.node.durable.guard import Blobs
from buildnet.node.durable.service import DurableBuilds
from buildnet.node.progress import Progress
from buildnet.node.report import TaskReport
from buildnet.pool.build import Status
from buildnet.pool.demand import Orders
from buildnet.pool.durable import ANSWER_S, ranked
from buildnet.pool.messages.durable import (
    BuildTold,
    Driven,
    DriveTold,
    FinishedTold,
    KeepAnswer,
    KeepAsk,
    KeepOver,
)
from buildnet.pool.messages.lending import WireOrders
from buildnet.pool.messages.work import MAX_MESSAGE_BYTES
from buildnet.pool.warrant import Warrant
from buildnet.pool.workspace import Task, TaskId

A, B, ME = b"a" * 32, b"b" * 32, b"m" * 32
CORE = TaskId("core", "build")
ASKED = Warrant(ME, bytes(16))
BUILD = ASKED.build
BLOBS = Blobs(Digest.of(b"plan"), Digest.of(b"sources"))


@dataclass
class World:
    """One node's drives, in a cluster with ``others``; ``said`` holds what was told them."""

    others: dict[bytes, Any]
    rights: Rights = Rights.BUILDER
    said: list[tuple[bytes, Message]] = field(default_factory=list)
    revoked: dict[bytes, None] = field(default_factory=dict)
    marks: list[Durability] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    tasks: list[asyncio.Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = {**self.others, ME: member(self.rights)}
        members = SimpleNamespace(
            members=known,
            is_member=known.__contains__,
            former={},
            revoked=self.revoked,
            current=lambda key: key,
        )
        local = SimpleNamespace(
            key=ME,
            links=self.others,
            alive=lambda peer: True,
            members=members,
            signatures=CheapSignatures(ME),
        )
        self.circle = Circle()
        self.circle.cluster = cast(
            Any, SimpleNamespace(local=local, say=self.say, spawn=self.spawn)
        )
        history = cast(History, SimpleNamespace(mark=self.mark))
        self.drives = Drives(self.circle, history, self.records.append)

    def say(self, to: bytes, message: Message) -> None:
        self.said.append((to, message))

    def spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self.tasks.append(asyncio.ensure_future(work()))

    async def mark(self, build_id: str, where: Durability) -> None:
        self.marks.append(where)

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
            await asyncio.gather(*self.tasks)


def member(rights: Rights = Rights.BUILDER, role: Role = Role.WORKER) -> Any:
    return SimpleNamespace(rights=rights, role=role, name="mac")


def asked_for(**request: Any) -> Any:
    asked = {"durable": True, "dry_run": False, "local_only": False, "force": False, **request}
    return SimpleNamespace(
        id=ASKED.build,
        node_id="me",
        warrant=ASKED,
        request=SimpleNamespace(**asked),
        durable=Durability("not yet"),
        progress=Progress(),
        cancelled=asyncio.Event(),
        ended_elsewhere=False,
        handed_over=False,
        term=0,
        limited_since=None,
        orders=Orders(),
        reports=dict,
    )


async def begin(
    world: World,
    build: Any,
    isolation: str = "strict",
    level: str = "strict",
    *,
    leaves_meanwhile: bool = False,
) -> None:
    task = Task("core", "build", "make", "core", isolation=None if level == "strict" else level)
    job = SimpleNamespace(tasks={CORE: task}, isolation=SimpleNamespace(level=isolation))

    async def quietly(work: Callable[[], None]) -> None:
        work()
        if leaves_meanwhile:
            world.circle.cluster = None

    performer = cast(Any, SimpleNamespace(quietly=quietly))
    await world.drives.begin(build, cast(Any, job), performer)


def told(build: Any) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = build.progress._kept
    return events


@pytest.fixture(autouse=True)
def taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "take_in", lambda *_: BLOBS)


@pytest.mark.parametrize(
    ("others", "request_", "levels", "why"),
    [
        ({}, {}, (), "no other worker"),
        ({B: member(rights=Rights.OBSERVER)}, {}, (), "no other worker"),
        ({B: member(role=Role.OBSERVER)}, {}, (), "no other worker"),
        ({B: member()}, {"local_only": True}, (), "nothing of other nodes"),
        ({B: member()}, {"force": True}, (), "--force"),
        ({B: member()}, {}, ("staged",), "core runs in staged"),
        ({B: member()}, {}, ("strict", "workspace"), "core runs in workspace"),
    ],
)
def test_what_can_have_no_stand_in_says_why_and_begins(
    others: dict[bytes, Any], request_: dict[str, Any], levels: tuple[str, ...], why: str
) -> None:
    async def run() -> None:
        world, build = World(others), asked_for(**request_)
        await begin(world, build, *levels)
        (event,) = told(build)
        assert event["type"] == "not_durable"
        assert why in event["why"]
        assert not world.said
        quiet = asked_for(**request_ | {"durable": False})
        await begin(world, quiet, *levels)
        assert not told(quiet)

    asyncio.run(run())


def test_a_build_of_an_observer_has_no_stand_in_and_begins() -> None:
    async def run() -> None:
        world, build = World({B: member()}, Rights.OBSERVER), asked_for()
        await asyncio.wait_for(begin(world, build), 10)
        (event,) = told(build)
        assert event["type"] == "not_durable"
        assert "may only look" in event["why"]
        assert world.drives.expected(build) is None
        assert world.said == []

    asyncio.run(run())


def test_who_asks_for_it_waits_and_all_that_was_asked_is_told_the_end() -> None:
    async def run() -> None:
        world, build = World({B: member()}), asked_for()
        waiting = asyncio.ensure_future(begin(world, build))
        await asyncio.sleep(0)
        ((to, ask),) = world.said
        assert (to, type(ask)) == (B, KeepAsk)
        assert not waiting.done()
        world.drives.answered(B, KeepAnswer(BUILD, 1, True, ""))
        await world.settle()
        await waiting
        assert [each["type"] for each in told(build)] == ["durable"]
        assert [each.state for each in world.marks] == ["durable"]
        assert world.drives.hand_over(build)
        done = TaskReport(CORE, "me", Status.SUCCEEDED, action=Digest.of(b"x"))
        there = TaskReport(TaskId("app", "build"), "other", Status.SUCCEEDED, action=done.action)
        build.reports = lambda: {CORE: done, there.task: there}
        for _ in range(2):
            world.drives.look()
        finished = [message for _, message in world.said if isinstance(message, FinishedTold)]
        assert [[each.package for each in one.finished] for one in finished] == [["core"]]
        world.drives.over(build)
        assert world.said[-1] == (B, KeepOver(BUILD, 1, True))
        assert BUILD not in world.drives

    asyncio.run(run())


def test_what_people_say_of_a_build_is_told_to_who_stands_in_at_once() -> None:
    async def run() -> None:
        world, build = World({B: member()}), asked_for()
        waiting = asyncio.ensure_future(begin(world, build))
        await asyncio.sleep(0)
        world.drives.look()
        world.drives.answered(B, KeepAnswer(BUILD, 1, True, ""))
        await world.settle()
        await waiting
        world.drives.look()
        world.drives.look()
        build.orders = Orders(paused=True)
        build.limited_since = time.monotonic() - 60
        world.drives.look()
        told = [message for _, message in world.said if isinstance(message, DriveTold)]
        assert [each.builds[0].orders.paused for each in told] == [False, True]
        assert [each.builds[0].ran_ms // 60_000 for each in told] == [0, 1]

    asyncio.run(run())


def test_finished_tasks_of_long_names_are_told_in_messages_that_fit() -> None:
    async def run() -> None:
        world, build = World({B: member()}), asked_for()
        waiting = asyncio.ensure_future(begin(world, build))
        await asyncio.sleep(0)
        world.drives.answered(B, KeepAnswer(BUILD, 1, True, ""))
        await world.settle()
        await waiting
        tasks = [TaskId("\U0001f600" * 1000 + str(number), "build") for number in range(50)]
        done = [TaskReport(task, "me", Status.SUCCEEDED, action=Digest.of(b"x")) for task in tasks]
        build.reports = lambda: dict(zip(tasks, done, strict=True))
        world.drives.look()
        finished = [message for _, message in world.said if isinstance(message, FinishedTold)]
        assert max(len(each.encode()) for each in finished) <= MAX_MESSAGE_BYTES
        said = [each.package for one in finished for each in one.finished]
        assert said == [task.package for task in tasks]

    asyncio.run(run())


def test_a_build_that_takes_long_gets_a_stand_in_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AUTOMATIC_AFTER_S", 0.0)

    async def run() -> None:
        world, build = World({B: member()}), asked_for(durable=False)
        await begin(world, build)
        assert not world.said
        await asyncio.sleep(0.001)
        await world.settle()
        assert [type(message) for _, message in world.said] == [KeepAsk]
        ended = asked_for(durable=False)
        ended.id = "b2"
        await begin(world, ended)
        world.drives.over(ended)  # before its time has come
        await asyncio.sleep(0.001)
        assert len(world.said) == 1

    asyncio.run(run())


def test_a_driver_that_lives_takes_its_build_back_under_a_higher_number() -> None:
    async def run() -> None:
        world, build = World({B: member()}), asked_for()
        waiting = asyncio.ensure_future(begin(world, build))
        await asyncio.sleep(0)
        world.drives.answered(B, KeepAnswer(BUILD, 1, True, ""))
        await world.settle()
        await waiting
        ask = world.said[0][1]
        assert isinstance(ask, KeepAsk)
        to_b = ask.warrant
        to_itself = to_b.granted(A, A, 9, CheapSignatures(A).sign)
        for sender, attempt, shown in (
            (B, 1, None),
            (A, 9, None),
            (A, 1, to_b),
            (A, 9, to_itself),
            (A, 9, Warrant(A, bytes(16))),
        ):
            for phase in ("driving", "ended"):
                world.drives.told(sender, BuildTold(BUILD, attempt, phase, None, shown))
        assert (build.term, build.ended_elsewhere) == (0, False)
        world.revoked[ME] = None  # what a revoked key signed counts no more
        world.drives.told(B, BuildTold(BUILD, 1, "driving", None, to_b))
        assert build.term == 0
        world.revoked.clear()
        world.drives.told(B, BuildTold(BUILD, 1, "driving", None, to_b))
        assert world.said[-1] == (B, DriveTold((Driven(BUILD, 2, WireOrders.of(build.orders), 0),)))
        assert build.term == 2
        assert [type(each).__name__ for each in world.records] == ["BuildTakenOver"]
        world.drives.told(B, BuildTold(BUILD, 1, "ended", None, to_b))
        assert build.ended_elsewhere

    asyncio.run(run())


def test_a_build_waits_for_nobody_once_its_node_has_left_the_cluster() -> None:
    async def run() -> None:
        nothing: Any = SimpleNamespace()
        world, build = World({B: member()}), asked_for()
        service = DurableBuilds(world.circle, world.drives, nothing, nothing, nothing)
        cluster: Any = world.circle.cluster
        async with asyncio.timeout(10):
            async with service.guest(cluster):
                waiting = asyncio.ensure_future(begin(world, build))
                await asyncio.sleep(0)
                assert [type(message) for _, message in world.said] == [KeepAsk]
            await waiting
            assert [each["type"] for each in told(build)] == ["not_durable"]
            world, build = World({B: member()}), asked_for()
            await begin(world, build, leaves_meanwhile=True)
            assert [each["type"] for each in told(build)] == ["not_durable"]

    asyncio.run(run())


def test_who_fetches_a_request_is_waited_for_longer_than_who_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, nobody = [0.0], cast(Any, SimpleNamespace())
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def run(says: bool) -> list[Any]:
        now[0] = 0.0
        world, build = World({B: member()}), asked_for()
        waiting = asyncio.ensure_future(begin(world, build))
        await asyncio.sleep(0)
        if says:
            service = DurableBuilds(world.circle, world.drives, nobody, nobody, nobody)
            service.take(Received(B, BuildTold(BUILD, 0, FETCHING, None)))
        now[0] = ANSWER_S + 1
        world.drives.look()
        await world.settle()
        waiting.cancel()
        return [each["type"] for each in told(build)]

    assert asyncio.run(run(says=False)) == ["not_durable"]
    assert asyncio.run(run(says=True)) == []


def test_who_said_nothing_is_asked_last_for_the_next_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def first_asked(world: World, build_id: str) -> bytes:
        build = asked_for()
        build.id = build_id
        world.said.clear()
        waiting = asyncio.ensure_future(begin(world, build))
        await asyncio.sleep(0)
        waiting.cancel()
        world.drives.over(build)
        return world.said[0][0]

    async def run() -> None:
        world = World({A: member(), B: member()})
        best, other = ranked(BUILD, (A, B))
        waiting = asyncio.ensure_future(begin(world, asked_for()))
        for now[0] in (0.0, ANSWER_S):
            await asyncio.sleep(0)
            world.drives.look()
        waiting.cancel()
        same = [f"b{number}" for number in range(20)]
        same = [each for each in same if ranked(each, (A, B))[0] == best]
        assert await first_asked(world, same[0]) == other
        world.drives.answered(best, KeepAnswer(BUILD, 1, False, ""))  # it is there after all
        assert await first_asked(world, same[1]) == best

    asyncio.run(run())


def test_a_node_that_changed_its_key_is_still_the_same() -> None:
    circle = World({}).circle
    members = SimpleNamespace(former={A: None}, current=lambda key: B)
    assert not circle.is_now(B, node_id_of(A))
    circle.cluster = cast(Any, SimpleNamespace(local=SimpleNamespace(members=members)))
    assert circle.is_now(A, node_id_of(A))
    assert circle.is_now(B, node_id_of(A))
    assert not circle.is_now(b"x" * 32, node_id_of(A))
