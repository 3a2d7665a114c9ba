"""A build's lines as somebody reads them who may want them no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from buildnet.node.build_lines import until


@pytest.mark.parametrize("how", ["they want it no more", "they hung up"])
def test_who_reads_no_more_leaves_nothing_that_waits(how: str) -> None:
    async def parts(reached: asyncio.Event, closed: asyncio.Event) -> AsyncIterator[int]:
        try:
            yield 1
            reached.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def run() -> list[int]:
        over, reached, closed = (asyncio.Event() for _ in range(3))
        read: list[int] = []

        async def reads() -> None:
            async for part in until(over, parts(reached, closed)):
                read.append(part)

        reading = asyncio.create_task(reads())
        await reached.wait()
        if how == "they hung up":
            reading.cancel()
        else:
            over.set()
        await asyncio.wait((reading,))
        async with asyncio.timeout(60):
            await closed.wait()
        return read

    assert asyncio.run(run()) == [1]


def test_what_is_there_is_read_to_its_end() -> None:
    async def parts() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def run() -> list[int]:
        return [part async for part in until(asyncio.Event(), parts())]

    assert asyncio.run(run()) == [1, 2]
