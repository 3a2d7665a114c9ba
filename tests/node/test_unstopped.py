"""What nodes do regularly goes on after a bug in a part of it."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.node.config import SchedulingSettings
from buildnet.node.durable import service as durable
from buildnet.node.durable.circle import Circle
from buildnet.node.durable.service import DurableBuilds
from buildnet.node.sharing import service as sharing
from buildnet.node.sharing.service import Sharing
from buildnet.node.unstopped import Unstopped


class Parts:
    """Parts whose first fails each time; ``done`` is set once all were done twice."""

    def __init__(self, *names: str) -> None:
        self.counts = dict.fromkeys(names, 0)
        self.done = asyncio.Event()

    def part(self, name: str) -> Any:
        def do(*_: object) -> None:
            self.counts[name] += 1
            if min(self.counts.values()) >= 2:
                self.done.set()
            if name == next(iter(self.counts)):
                raise RuntimeError("a bug")

        return do


def test_the_same_error_is_logged_once_and_another_one_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unstopped = Unstopped(logging.getLogger("buildnet.pool"))
    errors: list[Exception] = [ValueError(), ValueError(), KeyError()]

    def fail() -> None:
        raise errors.pop(0)

    for _ in range(3):
        unstopped.do(fail)
    assert len(caplog.records) == 2


def test_a_bug_ends_neither_the_take_over_of_builds_nor_the_search_for_stand_ins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(durable, "TICK_S", 0.0)
    monkeypatch.setattr(durable, "TELL_S", 0.0)

    async def run() -> None:
        parts = Parts("tick", "look", "tell", "put_away", "ask")
        part = {name: parts.part(name) for name in parts.counts}
        any_of: Any = SimpleNamespace(alone=lambda: None, **part)
        builds = DurableBuilds(Circle(), any_of, any_of, any_of, any_of)
        cluster: Any = SimpleNamespace()
        async with builds.guest(cluster), asyncio.timeout(10):
            await parts.done.wait()

    asyncio.run(run())


def test_a_bug_ends_no_lease_and_no_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TICK_S", "KEEP_S", "ALIVE_S"):
        monkeypatch.setattr(sharing, name, 0.0)

    async def run() -> None:
        parts = Parts("lender", "allocator", "borrower", "keep", "alive", "put_away")
        nobody: Any = SimpleNamespace()
        work: Any = SimpleNamespace(put_away=parts.part("put_away"), tell_alive=parts.part("alive"))
        shared = Sharing(
            nobody,
            work,
            SchedulingSettings,
            lambda: "worker",
            lambda: False,
            lambda record: None,
            nobody,
        )
        shared._lender = nobody_but(tick=parts.part("lender"), leases=())
        shared._allocator = nobody_but(tick=parts.part("allocator"))
        shared._borrower = nobody_but(tick=parts.part("borrower"), keep=parts.part("keep"))
        ticking = asyncio.create_task(shared._tick())
        async with asyncio.timeout(10):
            await parts.done.wait()
        ticking.cancel()

    asyncio.run(run())


def nobody_but(**parts: Any) -> Any:
    return SimpleNamespace(**parts)
