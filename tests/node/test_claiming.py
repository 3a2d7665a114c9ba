"""What a build claims of its workspace is given back, however the build ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.node.builder import Builder
from buildnet.node.claiming import WorkspaceClaims
from buildnet.pool.build import Status
from buildnet.pool.claims import Claim

WHOLE = Claim("layout", None)


class Ended:
    """A build of which nothing counts but its end."""

    id = "b" * 32

    def __init__(self) -> None:
        self.looked = asyncio.Event()
        self.status: Status | None = None
        self.view: object = "what it goes by"

    def close(self, status: Status, duration_ms: float, error: object) -> None:
        self.status = status


def builder(step: str, does: Callable[..., Awaitable[Any]]) -> Builder:
    """Return a builder of which one step does something else."""
    made = Builder.__new__(Builder)
    made.outliving = None
    steps = {"_had_nothing_to_do": returns_false, "_tidy": returns_false, step: does}
    for name, work in steps.items():
        setattr(made, name, work)
    return made


async def returns_false(*_: object) -> bool:
    return False


@pytest.mark.parametrize("step", ["_had_nothing_to_do", "_in_turn"])
def test_a_build_that_breaks_off_anywhere_fails_and_the_next_has_its_turn(step: str) -> None:
    async def breaks(*_: object) -> None:
        raise OSError("no room on the disk")

    async def main() -> None:
        claims, build = WorkspaceClaims(), Ended()
        closed: list[object] = []
        memory = SimpleNamespace(lock=threading.RLock())
        opened = SimpleNamespace(claims=claims, memory=memory, close=closed.append)
        plan = SimpleNamespace(claim=WHOLE)
        await builder(step, breaks)._perform(*cast(Any, (build, opened, plan)))
        assert build.status is Status.FAILED
        assert build.looked.is_set()
        assert closed == ["what it goes by"]
        assert not claims.in_use

    asyncio.run(main())


@pytest.mark.parametrize("step", ["_had_nothing_to_do", "_in_turn"])
def test_a_build_whose_task_is_cancelled_claims_nothing_any_more(step: str) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def hangs(*_: object) -> None:
            begun.set()
            await asyncio.Event().wait()

        claims, build = WorkspaceClaims(), Ended()
        opened, plan = SimpleNamespace(claims=claims), SimpleNamespace(claim=WHOLE)
        performing = asyncio.ensure_future(
            builder(step, hangs)._perform(*cast(Any, (build, opened, plan)))
        )
        await begun.wait()
        assert claims.in_use
        performing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await performing
        assert not claims.in_use

    asyncio.run(main())


def test_who_waits_is_next_and_who_is_cancelled_meanwhile_leaves_no_gap() -> None:
    async def main() -> None:
        claims = WorkspaceClaims()
        one, two, three = (claims.one(WHOLE) for _ in range(3))
        never, cancelled = asyncio.Event(), asyncio.Event()
        async with one:
            assert one.take_at_once()
            assert not two.take_at_once()
            waiting = asyncio.ensure_future(two.take(cancelled))
            last = asyncio.ensure_future(three.take(never))
            await asyncio.sleep(0)
            cancelled.set()
            await asyncio.sleep(0)
        # It is its turn in the moment in which it does not want that any more, perhaps.
        async with two, three:
            if await waiting:
                await two.__aexit__(None)
            assert await last
        assert not claims.in_use

    asyncio.run(main())
