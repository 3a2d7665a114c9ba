"""Events of a build that another node drives, on their way to who watches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.errors import NotFoundError
from buildnet.mesh.messages.kinds import Message
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.durable import waiting, watching
from buildnet.node.durable.watching import Watching
from buildnet.node.progress import Progress
from buildnet.pool.messages.durable import KEPT, WatchAsk, WatchOver, WatchTold

DRIVER = b"d" * 32
WATCH = b"w" * 16
STARTED = b'{"type": "build_started"}\n'
FINISHED = b'{"type": "build_finished"}\n'


class Node:
    """A node that watches, and what it says."""

    def __init__(self, keeps: str | None = None) -> None:
        self.said: list[Message] = []
        circle: Any = SimpleNamespace(
            cluster=SimpleNamespace(local=SimpleNamespace(links={DRIVER: None})),
            only_looks=False,
            say=lambda to, message: self.said.append(message),
            say_all=self.said.append,
        )
        nobody: Any = None
        self.circle = circle
        self.driven: Any = None
        builder: Any = SimpleNamespace(find=lambda build: self.driven)
        self.watching = Watching(circle, builder, nobody, lambda build: build == keeps)

    async def open(self) -> AsyncIterator[bytes]:
        opening = asyncio.ensure_future(self.watching.open("b"))
        await self.asks(1)
        self.tell(STARTED)
        return await opening

    async def asks(self, times: int) -> None:
        """Wait until it has asked the others so often."""
        while sum(isinstance(each, WatchAsk) for each in self.said) < times:
            await asyncio.sleep(0)

    def tell(self, data: bytes, *, known: bool = True, last: bool = False) -> None:
        asked = next(each for each in reversed(self.said) if isinstance(each, WatchAsk))
        self.watching.told(DRIVER, WatchTold(asked.watch, data, known, last))


async def read(lines: AsyncIterator[bytes]) -> bytes:
    return b"".join([each async for each in lines])


@pytest.mark.parametrize(("only_looks", "error"), [(True, NotAllowedError), (False, NotFoundError)])
def test_a_node_that_may_only_look_is_told_so(only_looks: bool, error: type[Exception]) -> None:
    async def run() -> None:
        node = Node()
        node.circle.only_looks = only_looks
        opening = asyncio.ensure_future(node.watching.open("b"))
        await node.asks(1)
        node.tell(b"", known=False, last=True)
        with pytest.raises(error):
            await opening

    asyncio.run(run())


@pytest.mark.parametrize("keeps", ["b", None])
def test_a_build_that_nobody_drives_yet_is_waited_for_where_somebody_may_go_on(
    monkeypatch: pytest.MonkeyPatch, keeps: str | None
) -> None:
    monkeypatch.setattr(watching, "AGAIN_S", 0.001)

    async def run() -> None:
        node = Node(keeps)
        opening = asyncio.ensure_future(node.watching.open("b"))
        await node.asks(1)
        node.tell(b"" if keeps else KEPT, known=False, last=True)
        lines = await opening
        reading = asyncio.ensure_future(read(lines))
        await node.asks(2)
        node.tell(STARTED + FINISHED, last=True)
        waiting, rest = (await reading).split(b"\n", 1)
        assert b'"waiting"' in waiting
        assert rest == STARTED + FINISHED

    asyncio.run(run())


def test_a_build_that_this_node_goes_on_with_is_shown_from_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "AGAIN_S", 0.001)

    async def run() -> None:
        node, progress = Node("b"), Progress()
        opening = asyncio.ensure_future(node.watching.open("b"))
        await node.asks(1)
        progress.tell({"type": "x"})
        progress.tell({"type": "build_finished"})
        node.driven = SimpleNamespace(
            progress=progress, handed_over=False, report=lambda every: {"status": "succeeded"}
        )
        node.tell(b"", known=False, last=True)
        seen = await asyncio.wait_for(read(await opening), 10)
        assert b'"waiting"' in seen
        assert b'"succeeded"' in seen

    asyncio.run(run())


def test_a_build_that_nobody_knows_is_not_found() -> None:
    async def run() -> None:
        node = Node("another")
        opening = asyncio.ensure_future(node.watching.open("b"))
        await node.asks(1)
        node.tell(b"", known=False, last=True)
        with pytest.raises(NotFoundError, match="no build 'b' runs in the pool"):
            await opening

    asyncio.run(run())


def test_events_come_in_whole_lines() -> None:
    async def run() -> None:
        node = Node()
        lines = await node.open()
        for piece in (b'{"type": ', b'"x"}\n{"ty', b'pe": "y"}\n', FINISHED):
            node.tell(piece, last=piece is FINISHED)
        assert await read(lines) == STARTED + b'{"type": "x"}\n{"type": "y"}\n' + FINISHED

    asyncio.run(run())


@pytest.mark.parametrize("piece", [b"x" * 9 + b"\n", b"x" * 10])
def test_who_sends_without_end_fills_no_memory(
    monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITING_BYTES", 100)

    async def run() -> None:
        node = Node()
        lines = await node.open()
        for _ in range(1000):
            node.tell(piece)
        (watch,) = node.watching._watches.values()
        assert watch.parts.qsize() == 1  # what waited went at once
        assert isinstance(node.said[-1], WatchOver)
        *_, last = (await read(lines)).splitlines()
        told = json.loads(last)
        assert told["type"] == "told_no_more"
        assert "waited to be read" in told["why"]

    asyncio.run(run())


def test_who_reads_as_fast_as_is_sent_sees_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITING_BYTES", 200)
    monkeypatch.setattr(waiting, "MAX_WAITING_IN_ALL_BYTES", 200)

    async def run() -> None:
        node = Node()
        lines = await node.open()
        assert await anext(lines) == STARTED
        for _ in range(100):
            node.tell(b"x" * 59 + b"\n")
            assert await anext(lines) == b"x" * 59 + b"\n"
        node.tell(FINISHED, last=True)
        assert await read(lines) == FINISHED

    asyncio.run(run())


@pytest.mark.parametrize("how", ["it has seen enough", "it is gone"])
def test_who_watches_no_more_takes_no_place_though_nothing_happens(how: str) -> None:
    async def run() -> None:
        node, progress = Node(), Progress()
        node.driven = SimpleNamespace(progress=progress, handed_over=False)
        progress.tell({"type": "x"})
        node.circle.cluster.drained = drained
        sending = asyncio.ensure_future(node.watching.asked(DRIVER, WatchAsk(WATCH, "b")))
        while not node.said:
            await asyncio.sleep(0)
        if how == "it is gone":
            node.watching.lost(DRIVER)
        else:
            node.watching.over(b"x" * 32, WatchOver(WATCH))
            node.watching.over(DRIVER, WatchOver(WATCH))
        await asyncio.wait_for(sending, 10)

    asyncio.run(run())


async def drained(to: bytes) -> None:
    pass
