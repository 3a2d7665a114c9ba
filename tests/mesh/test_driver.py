"""The driver: events one by one, effects in order, one timer, and bugs that cost one link."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from buildnet.mesh.events import (
    Disconnect,
    Effect,
    Event,
    LinkDown,
    Note,
    Persisted,
    Received,
    Stalled,
)
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.driver import BUG, Driver

ALICE = b"a" * 32


@dataclass
class Script:
    """A machine that answers as it is told, on a clock that is set by hand."""

    now: float = 100.0
    deadline: float = math.inf
    events: list[Event] = field(default_factory=list)
    ticks: int = 0
    answers: dict[type, list[Effect] | Exception] = field(default_factory=dict)

    def handle(self, event: Event, now: float) -> list[Effect]:
        self.events.append(event)
        answer = self.answers.get(type(event), [])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def tick(self, now: float) -> list[Effect]:
        if now >= self.deadline:
            self.ticks += 1
            self.deadline = math.inf
            return [Note("ticked")]
        return []


def driver_of(script: Script, perform: Callable[[Effect], None]) -> Driver:
    return Driver(script, perform=perform, each_tick=lambda now: None, clock=lambda: script.now)


def test_an_event_from_within_an_effect_comes_after_all_its_effects() -> None:
    async def run() -> None:
        script = Script(answers={LinkDown: [Note("first"), Note("second")]})
        done: list[object] = []

        def perform(effect: Effect) -> None:
            done.append(effect)
            if effect == Note("first"):
                driver.feed(Persisted(1))
                assert Persisted(1) not in script.events

        driver = driver_of(script, perform)
        driver.feed(LinkDown(ALICE))
        assert done == [Note("first"), Note("second")]
        assert script.events == [LinkDown(ALICE), Persisted(1)]

    asyncio.run(run())


def test_a_bug_costs_the_link_it_came_from_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        script = Script(answers={Received: ValueError("oops")})
        done: list[Effect] = []
        driver = driver_of(script, done.append)
        driver.feed(Received(ALICE, Message()))
        assert done == [Note(BUG, ALICE, "Received"), Disconnect(ALICE, BUG)]
        driver.feed(Persisted(1))
        assert script.events[-1] == Persisted(1)

    asyncio.run(run())
    assert "oops" in caplog.text
    assert "Traceback" in caplog.text


def test_a_stall_is_told_before_what_arrived_meanwhile() -> None:
    async def run() -> None:
        script = Script()
        driver = driver_of(script, lambda effect: None)
        script.now += 10.0
        driver.feed(Persisted(1))
        stalled, persisted = script.events
        assert isinstance(stalled, Stalled)
        assert stalled.seconds == pytest.approx(9.95)
        assert persisted == Persisted(1)

    asyncio.run(run())


def test_what_is_due_comes_before_a_request_and_errors_go_to_the_asker() -> None:
    async def run() -> None:
        script = Script(deadline=100.0)
        done: list[Effect] = []
        driver = driver_of(script, done.append)
        driver.request(lambda now: [Note("asked")])
        assert done == [Note("ticked"), Note("asked")]

        def refuse(now: float) -> list[Effect]:
            raise KeyError("no")

        with pytest.raises(KeyError):
            driver.request(refuse)
        driver.feed(Persisted(1))
        assert script.events == [Persisted(1)]

    asyncio.run(run())


def test_ticks_at_the_deadline_and_not_in_a_hurry_after_a_bug() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        script = Script()
        ticked = asyncio.Event()

        def perform(effect: Effect) -> None:
            if effect == Note("ticked"):
                ticked.set()

        driver = Driver(script, perform=perform, each_tick=lambda now: None, clock=loop.time)
        driver.start()
        script.deadline = loop.time() + 0.02
        driver.feed(Persisted(1))
        assert not ticked.is_set()
        await asyncio.wait_for(ticked.wait(), 5)
        assert script.ticks == 1
        driver.stop()

    asyncio.run(run())


def test_nothing_is_handled_after_the_end() -> None:
    async def run() -> None:
        script = Script()
        driver = driver_of(script, lambda effect: None)
        driver.start()
        driver.stop()
        driver.feed(Persisted(1))
        assert script.events == []

    asyncio.run(run())
