"""Events of a build that another node drives, on their way to who watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.messages.kinds import Message
from buildnet.node.durable import watching
from buildnet.node.durable.watching import Watching
from buildnet.pool.messages.durable import WatchAsk, WatchOver, WatchTold

DRIVER = b"d" * 32
STARTED = b'{"type": "build_started"}\n'
FINISHED = b'{"type": "build_finished"}\n'


class Node:
    """A node that watches, and what it says."""

    def __init__(self) -> None:
        self.said: list[Message] = []
        circle: Any = SimpleNamespace(
            cluster=SimpleNamespace(local=SimpleNamespace(links={DRIVER: None})),
            say=lambda to, message: self.said.append(message),
            say_all=self.said.append,
        )
        nobody: Any = None
        self.watching = Watching(circle, nobody, nobody)

    async def open(self) -> AsyncIterator[bytes]:
        opening = asyncio.ensure_future(self.watching.open("b"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.tell(STARTED)
        return await opening

    def tell(self, data: bytes, *, last: bool = False) -> None:
        asked = next(each for each in self.said if isinstance(each, WatchAsk))
        self.watching.told(DRIVER, WatchTold(asked.watch, data, True, last))


async def read(lines: AsyncIterator[bytes]) -> bytes:
    return b"".join([each async for each in lines])


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
    monkeypatch.setattr(watching, "MAX_WAITING_BYTES", 100)

    async def run() -> None:
        node = Node()
        lines = await node.open()
        for _ in range(1000):
            node.tell(piece)
        (watch,) = node.watching._watches.values()
        assert watch.parts.qsize() <= 12
        assert (await read(lines)).startswith(STARTED)
        assert isinstance(node.said[-1], WatchOver)

    asyncio.run(run())


def test_who_reads_as_fast_as_is_sent_sees_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_WAITING_BYTES", 200)

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
