"""A request that is sent again with its idempotency key is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from buildnet.node.api import repeats as module
from buildnet.node.api.repeats import Answer, IdempotencyError, Repeats, ToldOnceError


class Work:
    """Counts how often it was done; waits while it is held."""

    def __init__(self) -> None:
        self.count = 0
        self.go = asyncio.Event()
        self.go.set()
        self.fails = False
        self.size = 1
        self.status = 200
        self.is_secret = False

    async def __call__(self) -> Answer:
        self.count += 1
        await self.go.wait()
        if self.fails:
            raise ValueError("no")
        body = str(self.count).encode() * self.size
        return Answer(self.status, "text/plain", body, self.is_secret)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_it_is_done_once_for_each_caller_and_key() -> None:
    async def go() -> None:
        work, repeats = Work(), Repeats(lambda: 0.0)
        assert await repeats.once("a", "1", b"x", work) == (Answer(200, "text/plain", b"1"), False)
        assert await repeats.once("a", "1", b"x", work) == (Answer(200, "text/plain", b"1"), True)
        for who, key in (("b", "1"), ("a", "2")):
            assert not (await repeats.once(who, key, b"x", work))[1]
        with pytest.raises(IdempotencyError, match="another request"):
            await repeats.once("a", "1", b"y", work)
        assert work.count == 3

    run(go())


def test_who_asks_meanwhile_waits_for_the_same_answer() -> None:
    async def go() -> None:
        work, repeats = Work(), Repeats(lambda: 0.0)
        work.go.clear()
        asked = [asyncio.create_task(repeats.once("a", "1", b"x", work)) for _ in range(3)]
        await asyncio.sleep(0)
        asked[2].cancel()  # one of them hangs up
        await asyncio.sleep(0)
        work.go.set()
        assert [(await each)[1] for each in asked[:2]] == [False, True]
        assert work.count == 1

    run(go())


def test_what_failed_was_broken_off_or_is_long_is_done_anew() -> None:
    async def go() -> None:
        work, repeats = Work(), Repeats(lambda: 0.0)
        work.fails = True
        with pytest.raises(ValueError, match="no"):
            await repeats.once("a", "1", b"x", work)
        work.fails = False
        work.go.clear()
        asked = asyncio.create_task(repeats.once("a", "1", b"x", work))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        work.go.set()
        work.size = module.MAX_ANSWER_BYTES + 1
        for _ in range(2):
            assert not (await repeats.once("a", "1", b"x", work))[1]
        assert work.count == 4

    run(go())


def test_what_is_kept_is_bounded_in_number_and_time() -> None:
    async def go() -> None:
        now = [0.0]
        work, repeats = Work(), Repeats(lambda: now[0], most=4, most_each=3)
        for key in "1234":
            await repeats.once("a", key, b"x", work)
        assert not (await repeats.once("a", "1", b"x", work))[1]
        for key in "12":
            await repeats.once("b", key, b"x", work)  # who has most gives way
        assert (await repeats.once("b", "1", b"x", work))[1]
        assert not (await repeats.once("a", "3", b"x", work))[1]
        now[0] = module.KEPT_S
        assert not (await repeats.once("b", "1", b"x", work))[1]

    run(go())


def test_the_error_of_another_node_is_asked_for_anew() -> None:
    async def go() -> None:
        work, repeats = Work(), Repeats(lambda: 0.0)
        work.status = 503
        assert (await repeats.once("a", "1", b"x", work))[0].status == 503
        work.status = 200
        assert (await repeats.once("a", "1", b"x", work))[0].status == 200
        assert work.count == 2

    run(go())


def test_all_answers_together_are_bounded_in_bytes() -> None:
    async def go() -> None:
        work, repeats = Work(), Repeats(lambda: 0.0, most_bytes=100)
        work.size = 30
        for who, key in ("a1", "a2", "b1"):
            await repeats.once(who, key, b"x", work)
        work.size = 20
        await repeats.once("b", "2", b"x", work)  # 110 in all: who has most loses the oldest
        assert [(await repeats.once("b", key, b"x", work))[1] for key in "12"] == [True, True]
        assert (await repeats.once("a", "2", b"x", work))[1]
        assert not (await repeats.once("a", "1", b"x", work))[1]
        assert work.count == 5

    run(go())


def test_of_a_secret_it_is_kept_that_it_was_told() -> None:
    async def go() -> None:
        work, repeats = Work(), Repeats(lambda: 0.0)
        work.is_secret = True
        work.go.clear()
        asked = [asyncio.create_task(repeats.once("a", "1", b"x", work)) for _ in range(2)]
        await asyncio.sleep(0)
        work.go.set()
        (first, _), (second, again) = await asyncio.gather(*asked)
        assert (first.body, second.body, again, work.count) == (b"1", b"", True, 1)
        with pytest.raises(ToldOnceError, match="done already"):
            second.again()

    run(go())
