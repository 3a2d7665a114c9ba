"""Builds that are paused, and how long what is left of one takes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.node.how_far import time_left
from buildnet.node.pausing import PausedError, Pausing
from buildnet.pool.workspace import TaskId


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


A, B, C, D = (TaskId(name, "build") for name in "abcd")


def task(*needs: TaskId, command: str | None = "true") -> Any:
    return SimpleNamespace(depends_on=needs, command=command)


def test_what_is_left_is_told_from_what_commands_took() -> None:
    tasks = {A: task(), B: task(A), C: task(A), D: task(B, C, command=None)}
    took = {A: 1000.0, B: 2000.0, C: 500.0}
    assert time_left(tasks, (), took) == (3500, 3000)
    assert time_left(tasks, (A, B), took) == (500, 500)
    assert time_left(tasks, tasks, took) == (0, 0)


def test_what_never_ran_is_not_guessed() -> None:
    assert time_left({A: task(), B: task()}, (), {A: 1000.0}) == (None, None)
    assert time_left({A: task(), B: task()}, (B,), {A: 1000.0}) == (1000, 1000)
