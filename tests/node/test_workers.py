"""Runner threads: one action at a time, cancelled at every moment, never left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.workers import Workers, either

T = TypeVar("T")
A, B = Digest.of(b"a"), Digest.of(b"b")


def using(slots: int, work: Callable[[Workers], Awaitable[T]]) -> T:
    async def run() -> T:
        workers = Workers(slots)
        try:
            return await work(workers)
        finally:
            workers.close()

    return asyncio.run(run())


def test_equal_actions_run_one_after_the_other_and_the_second_is_told() -> None:
    order: list[tuple[str, bool]] = []
    entered, go = threading.Event(), threading.Event()

    def first(waited: bool) -> None:
        entered.set()
        assert go.wait(30)
        order.append(("first", waited))

    async def both(workers: Workers) -> None:
        one = asyncio.ensure_future(workers.run(A, CancelToken(), first))
        await asyncio.to_thread(entered.wait, 30)
        assert workers.running == 1
        second = workers.run(A, CancelToken(), lambda waited: order.append(("second", waited)))
        two = asyncio.ensure_future(second)
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(one, two)
        assert workers.running == 0

    using(2, both)
    assert order == [("first", False), ("second", True)]


@pytest.mark.parametrize("other", [A, B])  # waits for the same action; for a free thread
def test_what_waits_is_cancelled_at_once(other: Digest) -> None:
    entered, go = threading.Event(), threading.Event()
    started: list[bool] = []

    def busy(waited: bool) -> None:
        entered.set()
        assert go.wait(30)

    async def run(workers: Workers) -> None:
        one = asyncio.ensure_future(workers.run(A, CancelToken(), busy))
        await asyncio.to_thread(entered.wait, 30)
        token = CancelToken()
        two = asyncio.ensure_future(workers.run(other, token, started.append))
        await asyncio.sleep(0)
        token.set()
        await two  # while the first still runs
        go.set()
        await one

    using(1, run)
    assert started == []


def test_a_cancelled_caller_waits_for_its_thread() -> None:
    entered = threading.Event()
    ended: list[bool] = []
    token = CancelToken()
    told = threading.Event()

    def work(waited: bool) -> None:
        entered.set()
        with token.calling(told.set):
            assert told.wait(30)  # the command is ended by the token
        ended.append(True)

    async def run(workers: Workers) -> None:
        task = asyncio.ensure_future(workers.run(A, token, work))
        await asyncio.to_thread(entered.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == [True]

    using(1, run)


def test_an_error_reaches_the_caller_and_frees_the_action() -> None:
    def fail(waited: bool) -> None:
        raise OSError("broken")

    async def run(workers: Workers) -> None:
        with pytest.raises(OSError, match="broken"):
            await workers.run(A, CancelToken(), fail)
        await workers.run(A, CancelToken(), lambda waited: None)

    using(1, run)


def test_either_tells_which_ended() -> None:
    async def run() -> tuple[bool, bool]:
        never = asyncio.Event()
        return (
            await either(asyncio.sleep(0), never.wait()),
            await either(never.wait(), asyncio.sleep(0)),
        )

    assert asyncio.run(run()) == (True, False)
