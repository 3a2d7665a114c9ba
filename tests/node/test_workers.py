"""Runner threads: one action at a time, cancelled at every moment, never left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.capacity import Capacity
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.workers import Turn, Workers, either
from buildnet.pool.requirements import Requirements, RequirementsError

T = TypeVar("T")
A, B, C = Digest.of(b"a"), Digest.of(b"b"), Digest.of(b"c")


def using(slots: int, work: Callable[[Workers], Awaitable[T]]) -> T:
    async def run() -> T:
        workers = Workers(Capacity(slots, range(slots)))
        try:
            return await work(workers)
        finally:
            workers.close()

    return asyncio.run(run())


def test_equal_actions_run_one_after_the_other_and_the_second_is_told() -> None:
    order: list[tuple[str, bool]] = []
    entered, go = threading.Event(), threading.Event()

    def first(turn: Turn) -> None:
        entered.set()
        assert go.wait(30)
        order.append(("first", turn.waited))

    async def both(workers: Workers) -> None:
        one = asyncio.ensure_future(workers.run(A, CancelToken(), first))
        await asyncio.to_thread(entered.wait, 30)
        assert workers.running == 1
        second = workers.run(A, CancelToken(), lambda turn: order.append(("second", turn.waited)))
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
    started: list[Turn] = []

    def busy(turn: Turn) -> None:
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

    def work(turn: Turn) -> None:
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
    def fail(turn: Turn) -> None:
        raise OSError("broken")

    async def run(workers: Workers) -> None:
        with pytest.raises(OSError, match="broken"):
            await workers.run(A, CancelToken(), fail)
        await workers.run(A, CancelToken(), lambda turn: None)

    using(1, run)


def test_each_has_cores_of_its_own_and_waits_until_they_are_free() -> None:
    had: list[tuple[int, ...] | None] = []
    entered, go = threading.Event(), threading.Event()

    def large(turn: Turn) -> None:
        had.append(turn.share.cores)
        entered.set()
        assert go.wait(30)

    async def run(workers: Workers) -> None:
        one = asyncio.ensure_future(workers.run(A, CancelToken(), large, Requirements(cores=2)))
        await asyncio.to_thread(entered.wait, 30)
        assert workers.slots_in_use == 2
        two = asyncio.ensure_future(
            workers.run(B, CancelToken(), lambda turn: had.append(turn.share.cores))
        )
        await asyncio.sleep(0)
        assert (len(had), workers.running) == (1, 1)
        go.set()
        await asyncio.gather(one, two)
        assert workers.slots_in_use == 0

    using(2, run)
    assert had == [(0, 1), (0, 1)]


def test_what_waits_for_its_cores_is_cancelled_and_holds_nobody_up() -> None:
    entered, go = threading.Event(), threading.Event()
    started: list[str] = []

    def busy(turn: Turn) -> None:
        entered.set()
        assert go.wait(30)

    async def run(workers: Workers) -> None:
        one = asyncio.ensure_future(workers.run(A, CancelToken(), busy))
        await asyncio.to_thread(entered.wait, 30)
        token = CancelToken()
        needed = Requirements(cores=2)
        large = asyncio.ensure_future(
            workers.run(B, token, lambda turn: started.append("large"), needed)
        )
        await asyncio.sleep(0)
        small = asyncio.ensure_future(
            workers.run(C, CancelToken(), lambda turn: started.append("small"))
        )
        await asyncio.sleep(0)
        token.set()
        await asyncio.gather(large, small)  # while the first still runs
        go.set()
        await one

    using(2, run)
    assert started == ["small"]


def test_more_than_is_granted_never_starts() -> None:
    async def run(workers: Workers) -> None:
        with pytest.raises(RequirementsError, match="cores 3 of at most 2"):
            await workers.run(A, CancelToken(), lambda turn: None, Requirements(cores=3))
        assert workers.slots_in_use == 0

    using(2, run)


def test_either_tells_which_ended() -> None:
    async def run() -> tuple[bool, bool]:
        never = asyncio.Event()
        return (
            await either(asyncio.sleep(0), never.wait()),
            await either(never.wait(), asyncio.sleep(0)),
        )

    assert asyncio.run(run()) == (True, False)
