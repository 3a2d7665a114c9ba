"""Builds that are paused, and how long what is left of one takes."""

from __future__ import annotations

import asyncio

import pytest

from buildnet.node.pausing import PausedError, Pausing


def test_it_goes_on_once_no_reason_is_left() -> None:
    async def work() -> None:
        pausing = Pausing()
        calls: list[None] = []
        pausing.on_over = lambda: calls.append(None)
        pausing.require_off()
        assert pausing.set("queue", True)
        assert not pausing.set("build", True)
        with pytest.raises(PausedError):
            pausing.require_off()
        waiting = asyncio.ensure_future(pausing.over())
        assert not pausing.set("queue", False)
        await asyncio.sleep(0)
        assert not waiting.done()
        assert pausing.set("build", False)
        await waiting
        assert len(calls) == 1

    asyncio.run(work())


def test_what_is_cancelled_is_held_up_by_nothing() -> None:
    async def work() -> None:
        pausing = Pausing()
        pausing.set("build", True)
        pausing.end()
        await pausing.over()
        pausing.set("queue", True)
        assert not pausing.is_on

    asyncio.run(work())
