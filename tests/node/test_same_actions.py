"""Actions that several nodes are about to run: who runs them, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

from buildnet.mesh.digest import Digest
from buildnet.mesh.events import LinkDown, Note, Received
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.messages.kinds import Message, decode_message, kind_of
from buildnet.node.pool_results import PoolResults
from buildnet.node.same_actions import Phase, SameActions
from buildnet.pool.messages.results import ResultAnswer, WireDigest

ACTION, OTHER = Digest.of(b"an action"), Digest.of(b"another")
LOW, HIGH = b"a" * 32, b"z" * 32


class Nodes:
    """Two linked nodes whose stores have nothing."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Future[None]] = []
        self.notes: list[Note] = []
        self.by_key = {key: PoolResults(_empty()) for key in (LOW, HIGH)}
        for key, results in self.by_key.items():
            results._questions.cluster = self.cluster(key)

    def cluster(self, key: bytes) -> Any:
        (other,) = {LOW, HIGH} - {key}
        member = SimpleNamespace(rights=Rights.BUILDER)
        members = SimpleNamespace(members={other: member}, is_member=lambda one: one == other)
        links = {other: None}
        local = SimpleNamespace(
            key=key, links=links, members=members, alive=lambda peer: peer in links
        )
        return SimpleNamespace(
            local=local,
            say=lambda to, message: self.say(key, to, message),
            spawn=self.spawn,
            note=self.notes.append,
        )

    def say(self, sender: bytes, to: bytes, message: Message) -> None:
        read = decode_message(kind_of(message).number, message.encode())
        assert read is not None
        self.by_key[to].take(Received(sender, read))

    def spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self.tasks.append(asyncio.ensure_future(work()))

    def cut(self) -> None:
        for key, results in self.by_key.items():
            cluster: Any = results._questions.cluster
            cluster.local.links.clear()
            results.take(LinkDown(LOW if key == HIGH else HIGH))


def _empty() -> Any:
    return SimpleNamespace(get_action=lambda action, isolation: None)


def test_who_runs_it_is_told_and_the_others_are_known() -> None:
    same = SameActions()
    same.intend([ACTION])
    assert same.mine([ACTION, OTHER])[Phase.INTENDED] == [ACTION]
    assert not same.is_shared(ACTION)
    same.asked(LOW, [ACTION, OTHER], Phase.INTENDED)
    assert same.is_shared(ACTION)
    same.become(ACTION, Phase.RUNNING)
    assert same.mine([ACTION])[Phase.RUNNING] == [ACTION]
    same.over(ACTION)
    assert not any(same.mine([ACTION]).values())
    assert not same.is_shared(ACTION)


def test_who_asks_learns_of_those_who_will_run_it_too() -> None:
    async def work() -> None:
        nodes = Nodes()
        first, second = nodes.by_key[HIGH], nodes.by_key[LOW]
        for results in (first, second):
            results.same.intend([ACTION])
        assert await first.look((ACTION,), Phase.INTENDED) == ({}, {})
        assert first.same.is_shared(ACTION)
        assert second.same.is_shared(ACTION)

    asyncio.run(work())


def test_what_another_runs_is_waited_for_until_it_does_not() -> None:
    async def work() -> None:
        nodes = Nodes()
        first, second = nodes.by_key[HIGH], nodes.by_key[LOW]
        for results in (first, second):
            results.same.intend([ACTION])
        first.same.become(ACTION, Phase.RUNNING)
        _, elsewhere = await second.look((ACTION,), Phase.INTENDED)
        assert elsewhere == {ACTION: HIGH}
        waiting = asyncio.ensure_future(second.result_of_other(ACTION, 60.0))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        first.same.over(ACTION)
        assert await waiting is None

    asyncio.run(work())


def test_of_two_whose_questions_cross_the_lower_key_goes_first() -> None:
    async def work() -> None:
        nodes = Nodes()
        for results in nodes.by_key.values():
            results.same.intend([ACTION])
            results.same.become(ACTION, Phase.STARTING)
        seen = [await nodes.by_key[key].look((ACTION,), Phase.STARTING) for key in (LOW, HIGH)]
        assert [elsewhere for _, elsewhere in seen] == [{}, {ACTION: LOW}]

    asyncio.run(work())


def test_who_asked_before_the_other_began_goes_first() -> None:
    async def work() -> None:
        nodes = Nodes()
        first, second = nodes.by_key[HIGH], nodes.by_key[LOW]
        for results in (first, second):
            results.same.intend([ACTION])
        first.same.become(ACTION, Phase.STARTING)
        assert await first.look((ACTION,), Phase.STARTING) == ({}, {})
        second.same.become(ACTION, Phase.STARTING)
        assert await second.look((ACTION,), Phase.STARTING) == ({}, {ACTION: HIGH})

    asyncio.run(work())


def test_nobody_waits_for_who_is_gone_or_never_ends() -> None:
    async def work() -> None:
        nodes = Nodes()
        first, second = nodes.by_key[HIGH], nodes.by_key[LOW]
        first.same.intend([ACTION])
        first.same.become(ACTION, Phase.RUNNING)
        assert await second.result_of_other(ACTION, 0.2) is None
        waiting = asyncio.ensure_future(second.result_of_other(ACTION, 60.0))
        await asyncio.sleep(0.05)
        nodes.cut()
        assert await waiting is None

    asyncio.run(work())


def test_what_nobody_asked_for_is_not_waited_for() -> None:
    async def work() -> None:
        nodes = Nodes()
        second = nodes.by_key[LOW]
        looking = asyncio.ensure_future(second.look((ACTION,), Phase.INTENDED, within_s=60.0))
        await asyncio.sleep(0)
        (asked,) = second._questions.out
        running = (WireDigest.of(OTHER), WireDigest.of(ACTION))
        second.take(Received(HIGH, ResultAnswer(asked, (), True, running, (), ())))
        assert await looking == ({}, {ACTION: HIGH})

    asyncio.run(work())


def test_of_many_that_are_waited_for_none_is_asked_for_too_often() -> None:
    many = [Digest.of(bytes([number])) for number in range(40)]

    async def work() -> None:
        nodes = Nodes()
        first, second = nodes.by_key[HIGH], nodes.by_key[LOW]
        first.same.intend(many)
        for action in many:
            first.same.become(action, Phase.RUNNING)
        waiting = [asyncio.ensure_future(second.result_of_other(each, 60.0)) for each in many]
        while len(nodes.tasks) < 2 * len(many) and not nodes.notes:
            await asyncio.sleep(0.01)
        assert nodes.notes == []
        assert not any(each.done() for each in waiting)
        for each in waiting:
            each.cancel()

    asyncio.run(work())
