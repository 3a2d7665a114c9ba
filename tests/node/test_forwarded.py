"""Requests between nodes: an answer counts from who was asked only; all of it is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.types import Receive, Scope, Send

from buildnet.mesh.events import LinkDown, Received
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.cluster import Cluster
from buildnet.node import forwarding as module
from buildnet.node.forwarding import (
    FORWARDED,
    Forwarded,
    ForwardError,
    Forwarding,
    ForwardTooLongError,
)
from buildnet.pool.messages.forwarding import (
    MAX_ANSWER_BYTES,
    MAX_BODY_BYTES,
    ForwardAnswer,
    ForwardAsk,
    WireHeader,
)

PEER, STRANGER = b"p" * 32, b"s" * 32


class Scene:
    """A node with a link to one member."""

    def __init__(self) -> None:
        self.said: list[tuple[bytes, Message]] = []
        self.tasks: list[asyncio.Task[None]] = []
        members = SimpleNamespace(members={}, is_member=lambda key: key == PEER)
        local = SimpleNamespace(links={PEER: None}, members=members)
        self.cluster = SimpleNamespace(
            local=local, say=self.say, spawn=self.spawn, note=lambda note: None
        )
        self.forwarding = Forwarding()

    def say(self, to: bytes, message: Message) -> None:
        self.said.append((to, message))

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.tasks.append(asyncio.create_task(work()))

    async def asked(self) -> tuple[asyncio.Task[Forwarded], bytes]:
        """Ask the member; return the question and its id."""
        headers = {"authorization": "Bearer k", "cookie": "secret", "x-other": "1"}
        ask = self.forwarding.ask(PEER, "POST", "/api/queue/pause?x=1", headers, b"{}")
        asking = asyncio.create_task(ask)
        await asyncio.sleep(0)
        (message,) = [each for _, each in self.said if isinstance(each, ForwardAsk)]
        assert message.headers == (WireHeader("authorization", "Bearer k"),)
        return asking, message.request

    def answers(self) -> list[ForwardAnswer]:
        return [each for _, each in self.said if isinstance(each, ForwardAnswer)]


def run(work: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def go() -> None:
        scene = Scene()
        async with scene.forwarding.guest(cast(Cluster, scene.cluster)):
            await work(scene)

    asyncio.run(go())


def test_only_the_credential_goes_along_and_only_harmless_headers_come_back() -> None:
    async def work(scene: Scene) -> None:
        asking, request = await scene.asked()
        headers = (WireHeader("content-type", "a/b"), WireHeader("set-cookie", "x=y"))
        answer = ForwardAnswer(request, 200, headers, b"one ", False)
        scene.forwarding.take(Received(STRANGER, ForwardAnswer(request, 200, (), b"lie", True), 1))
        scene.forwarding.take(Received(PEER, answer, 1))
        scene.forwarding.take(Received(PEER, ForwardAnswer(request, 200, headers, b"two", True), 1))
        assert await asking == Forwarded(200, {"content-type": "a/b"}, b"one two")

    run(work)


@pytest.mark.parametrize("status", [101, 204, 304])
def test_owasp_10_an_answer_that_would_break_the_asker_s_connection_is_none(
    status: int,
) -> None:
    async def work(scene: Scene) -> None:
        asking, request = await scene.asked()
        headers = (
            WireHeader("content-type", "a/b\r\nset-cookie: x=y"),
            WireHeader("retry-after", "\u4e2d"),
        )
        scene.forwarding.take(
            Received(PEER, ForwardAnswer(request, status, headers, b"x", True), 1)
        )
        assert await asking == Forwarded(502, {}, b"x")

    run(work)


def test_an_answer_of_endless_empty_parts_is_broken_off() -> None:
    async def work(scene: Scene) -> None:
        asking, request = await scene.asked()
        for _ in range(MAX_ANSWER_BYTES // MAX_BODY_BYTES + 2):
            scene.forwarding.take(Received(PEER, ForwardAnswer(request, 200, (), b"", False), 1))
        with pytest.raises(ForwardTooLongError):
            await asking

    run(work)


def test_an_answer_without_an_end_a_lost_link_and_a_long_request_end_it() -> None:
    async def work(scene: Scene) -> None:
        asking, request = await scene.asked()
        part = ForwardAnswer(request, 200, (), bytes(MAX_BODY_BYTES), False)
        for _ in range(MAX_ANSWER_BYTES // MAX_BODY_BYTES + 1):
            scene.forwarding.take(Received(PEER, part, 1))
        with pytest.raises(ForwardTooLongError):
            await asking
        scene.said.clear()
        asking, _ = await scene.asked()
        scene.forwarding.take(LinkDown(PEER))
        with pytest.raises(ForwardError, match="link"):
            await asking
        with pytest.raises(ForwardTooLongError):
            await scene.forwarding.ask(PEER, "POST", "/", {}, bytes(MAX_BODY_BYTES + 1))
        with pytest.raises(ForwardError, match="no link"):
            await scene.forwarding.ask(STRANGER, "POST", "/", {}, b"")

    run(work)


def test_what_is_asked_here_is_bounded_in_number_and_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 1)

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["state"][FORWARDED] == PEER
        assert dict(scope["headers"]) == {b"authorization": b"k"}
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        while True:
            await send({"type": "http.response.body", "body": bytes(1 << 18), "more_body": True})

    async def work(scene: Scene) -> None:
        headers = (WireHeader("authorization", "k"), WireHeader("cookie", "c"))
        ask = ForwardAsk(bytes(16), "GET", "/api/ledger/export", headers, b"")
        scene.forwarding.take(Received(PEER, ask, 1))
        assert not scene.tasks  # nothing answers yet
        scene.forwarding.application = endless
        scene.forwarding.take(Received(STRANGER, ask, 1))
        assert not scene.tasks
        for _ in range(2):
            scene.forwarding.take(Received(PEER, ask, 1))
        (busy,) = scene.answers()
        assert (busy.status, len(scene.tasks)) == (429, 1)
        await scene.tasks[0]
        parts = scene.answers()[1:]
        assert {each.headers for each in parts} == {()}
        assert MAX_ANSWER_BYTES < sum(len(each.part) for each in parts) <= MAX_ANSWER_BYTES + 1
        scene.forwarding.take(Received(PEER, ask, 1))
        assert len(scene.tasks) == 2  # there is room again
        scene.tasks[1].cancel()

    run(work)


def test_what_a_cluster_s_end_broke_off_takes_no_room_in_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 1)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)

    async def work(scene: Scene) -> None:
        scene.forwarding.application = answer
        ask = ForwardAsk(bytes(16), "GET", "/", (WireHeader("authorization", "k"),), b"")
        scene.forwarding.take(Received(PEER, ask, 1))
        scene.tasks[0].cancel()  # before it began
        async with scene.forwarding.guest(cast(Cluster, scene.cluster)):
            scene.forwarding.take(Received(PEER, ask, 1))
        assert len(scene.tasks) == 2

    run(work)


@pytest.mark.parametrize("target", ["/a%0aADMIN", "/%1b[2J", "api/node", ""])
def test_a_path_that_would_not_come_in_over_the_port_is_none_here(target: str) -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError(scope["path"])

    async def work(scene: Scene) -> None:
        scene.forwarding.application = never
        ask = ForwardAsk(bytes(16), "GET", target, (WireHeader("authorization", "k"),), b"")
        scene.forwarding.take(Received(PEER, ask, 1))
        await scene.tasks[0]
        assert [each.status for each in scene.answers()] == [400]

    run(work)
