"""What may be needed soon is fetched after what is needed now, and neither twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.fetching_ahead import Ahead

SOON, NOW = Digest.of(b"soon"), Digest.of(b"now")


class Transfer:
    """A transfer that goes on until it is let end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self) -> None:
        self.begun.set()
        await self.may_end.wait()


def run(main: Callable[[], Coroutine[None, None, None]]) -> None:
    async def within_time() -> None:
        async with asyncio.timeout(20):
            await main()

    asyncio.run(within_time())


def test_it_is_interrupted_for_what_is_needed_now_and_waits() -> None:
    async def main() -> None:
        ahead, transfer = Ahead(), Transfer()
        fetching = asyncio.create_task(ahead.fetch((SOON,), transfer))
        await transfer.begun.wait()
        async with ahead.first((NOW,)):
            assert await fetching is False
            again = Transfer()
            fetching = asyncio.create_task(ahead.fetch((SOON,), again))
            await asyncio.sleep(0)
            assert not again.begun.is_set()
        await again.begun.wait()
        again.may_end.set()
        assert await fetching is True

    run(main)


def test_who_needs_it_by_now_waits_for_it_and_nobody_else_ends_it() -> None:
    async def main() -> None:
        ahead, transfer = Ahead(), Transfer()
        fetching = asyncio.create_task(ahead.fetch((SOON,), transfer))
        await transfer.begun.wait()
        entered = asyncio.Event()

        async def needs_it() -> None:
            async with ahead.first((SOON, NOW)):
                entered.set()

        needing = asyncio.create_task(needs_it())
        await asyncio.sleep(0)
        async with ahead.first((NOW,)):
            ahead.interrupt()
            assert not entered.is_set()
            transfer.may_end.set()
            assert await fetching is True
        await needing
        assert entered.is_set()

    run(main)


def test_what_fails_or_is_ended_lets_others_go_on() -> None:
    async def main() -> None:
        ahead = Ahead()

        async def fail() -> None:
            raise OSError("no")

        with pytest.raises(OSError, match="no"):
            await ahead.fetch((SOON,), fail)
        transfer = Transfer()
        fetching = asyncio.create_task(ahead.fetch((SOON,), transfer))
        await transfer.begun.wait()
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        async with ahead.first((SOON,)):
            pass

    run(main)
