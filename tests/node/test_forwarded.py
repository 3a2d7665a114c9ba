"""Requests between nodes: an answer counts from who was asked only; all of it is bounded."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.types import Receive, Scope, Send

from buildnet.mesh.events import LinkDown, LinkUp, Received
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.cluster import Cluster
from buildnet.node import forwarding as module
from buildnet.node.forwarding import (
    FORWARDED,
    MOST_LOOKS,
    MOST_LOOKS_OF_ONE,
    Forwarded,
    ForwardError,
    Forwarding,
    ForwardTooLongError,
)
from buildnet.pool.messages.forwarding import (
    MAX_ANSWER_BYTES,
    MAX_BODY_BYTES,
    MAX_UNPACKED_BYTES,
    ForwardAnswer,
    ForwardAsk,
    WireHeader,
)

PACKED = WireHeader("accept-encoding", "deflate")
IS_PACKED = WireHeader("content-encoding", "deflate")
PEER, STRANGER, OTHER = b"p" * 32, b"s" * 32, b"o" * 32


class Scene:
    """A node with a link to one member."""

    def __init__(self) -> None:
        self.said: list[tuple[bytes, Message]] = []
        self.tasks: list[asyncio.Task[None]] = []
        members = SimpleNamespace(members={}, is_member=lambda key: key != STRANGER)
        self.links: dict[bytes, Any] = {PEER: None}
        self.met: list[bytes] = []
        local = SimpleNamespace(
            links=self.links, members=members, alive=lambda key: key != STRANGER
        )
        machine = SimpleNamespace(meet=lambda key, now: self.met.append(key))
        self.cluster = SimpleNamespace(
            local=local,
            say=self.say,
            spawn=self.spawn,
            note=lambda note: None,
            drained=self.drained,
            machine=machine,
            driver=SimpleNamespace(request=lambda call: call(1.0)),
        )
        self.forwarding = Forwarding()

    async def drained(self, to: bytes) -> None:
        """Nothing waits."""

    async def looked(self) -> tuple[asyncio.Task[Forwarded], bytes]:
        """Look at a build of the member; return the question and its id."""
        asking = asyncio.create_task(
            self.forwarding.look(PEER, "/api/build/b", lambda answer: answer)
        )
        await asyncio.sleep(0)
        (message,) = [each for _, each in self.said if isinstance(each, ForwardAsk)]
        self.said.clear()
        assert (message.method, message.headers) == ("GET", (PACKED,))
        return asking, message.request

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


def test_a_look_at_a_build_brings_no_credential_and_comes_back_deflated() -> None:
    async def tell(scope: Scope, receive: Receive, send: Send) -> None:
        assert (scope["headers"], scope["state"][FORWARDED]) == ([], PEER)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(2 * MAX_ANSWER_BYTES)})

    async def work(scene: Scene) -> None:
        asking, request = await scene.looked()
        scene.forwarding.application = tell
        scene.forwarding.take(
            Received(PEER, ForwardAsk(request, "GET", "/api/build/b", (PACKED,), b""), 1)
        )
        await scene.tasks[0]
        answers = scene.answers()
        assert len(answers) == 1 + sum(len(each.part) for each in answers) // MAX_BODY_BYTES
        for answer in answers:
            scene.forwarding.take(Received(PEER, answer, 1))
        assert (await asking).body == bytes(2 * MAX_ANSWER_BYTES)

    run(work)


def test_a_look_may_be_answered_as_it_is() -> None:
    async def work(scene: Scene) -> None:
        asking, request = await scene.looked()
        scene.forwarding.take(Received(PEER, ForwardAnswer(request, 200, (), b"plain", True), 1))
        assert (await asking).body == b"plain"

    run(work)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"no deflate", ForwardError),
        (zlib.compress(b"x" * 5000)[:-6], ForwardError),
        (zlib.compress(bytes(MAX_UNPACKED_BYTES + 1)), ForwardTooLongError),
    ],
)
def test_what_is_not_whole_or_too_much_once_inflated_counts_for_nothing(
    body: bytes, error: type[Exception]
) -> None:
    async def work(scene: Scene) -> None:
        asking, request = await scene.looked()
        answer = ForwardAnswer(request, 200, (IS_PACKED,), body[:MAX_BODY_BYTES], False)
        rest = [body[at : at + MAX_BODY_BYTES] for at in range(0, len(body), MAX_BODY_BYTES)]
        for number, part in enumerate(rest, 1):
            told = replace(answer, part=part, last=number == len(rest))
            scene.forwarding.take(Received(PEER, told, 1))
        with pytest.raises(error):
            await asking

    run(work)


class Slow:
    """An application that answers once it may."""

    def __init__(self) -> None:
        self.working: list[bytes] = []
        self.most = 0
        self.free = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.working.append(scope["state"][FORWARDED])
        self.most = max(self.most, len(self.working))
        await self.free.wait()
        self.working.pop()


def looks(scene: Scene, sender: bytes, count: int) -> None:
    for number in range(count):
        ask = ForwardAsk(bytes([number] * 16), "GET", "/api/build/b", (PACKED,), b"")
        scene.forwarding.take(Received(sender, ask, 1))


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_looks_of_members_are_worked_on_a_few_at_a_time_and_nobody_takes_all_turns() -> None:
    async def work(scene: Scene) -> None:
        scene.forwarding.application = slow = Slow()
        looks(scene, PEER, 2 * MOST_LOOKS)
        await settled()
        assert slow.working == [PEER] * MOST_LOOKS_OF_ONE
        looks(scene, OTHER, 2 * MOST_LOOKS)
        looks(scene, b"t" * 32, 2 * MOST_LOOKS)
        await settled()
        assert slow.working == [PEER] * MOST_LOOKS_OF_ONE + [OTHER] * MOST_LOOKS_OF_ONE
        slow.free.set()
        await asyncio.gather(*scene.tasks)
        assert slow.most == MOST_LOOKS
        assert len(scene.answers()) == 6 * MOST_LOOKS

    run(work)


def test_what_waited_longer_for_its_turn_than_anybody_is_not_worked_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(scene: Scene) -> None:
        scene.forwarding.application = slow = Slow()
        looks(scene, PEER, MOST_LOOKS_OF_ONE)
        await settled()
        monkeypatch.setattr(module, "ANSWER_S", 0.0)
        looks(scene, PEER, 1)
        await asyncio.wait((scene.tasks[-1],))
        slow.free.set()
        await asyncio.gather(*scene.tasks)
        assert len(scene.answers()) == MOST_LOOKS_OF_ONE

    run(work)


def test_an_answer_to_somebody_with_a_credential_is_no_longer_for_being_deflated() -> None:
    async def long(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(MAX_ANSWER_BYTES + 1)})

    async def work(scene: Scene) -> None:
        scene.forwarding.application = long
        headers = (PACKED, WireHeader("authorization", "Bearer k"))
        ask = ForwardAsk(bytes(16), "GET", "/api/build/b", headers, b"")
        scene.forwarding.take(Received(PEER, ask, 1))
        await asyncio.gather(*scene.tasks)
        assert all(IS_PACKED not in each.headers for each in scene.answers())
        assert sum(len(each.part) for each in scene.answers()) > MAX_ANSWER_BYTES

    run(work)


def test_what_is_made_of_a_look_is_made_in_its_turn() -> None:
    async def work(scene: Scene) -> None:
        may_end = threading.Event()

        def read(answer: Forwarded) -> int:
            may_end.wait(20)
            return answer.status

        looking = [
            asyncio.create_task(scene.forwarding.look(PEER, "/api/build/b", read))
            for _ in range(MOST_LOOKS + 1)
        ]
        await settled()
        asked = [each for _, each in scene.said if isinstance(each, ForwardAsk)]
        for each in asked:
            answer = ForwardAnswer(each.request, 200, (), b"{}", True)
            scene.forwarding.take(Received(PEER, answer, 1))
        await settled()
        assert sum(isinstance(each, ForwardAsk) for _, each in scene.said) == MOST_LOOKS
        may_end.set()
        assert await asyncio.gather(*looking[:MOST_LOOKS]) == [200] * MOST_LOOKS
        looking[-1].cancel()

    run(work)


def test_a_member_without_a_link_is_met_before_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(scene: Scene) -> None:
        assert await scene.forwarding.meet(PEER)
        assert not await scene.forwarding.meet(STRANGER)  # nobody believes that it is there
        assert scene.met == []
        meeting = [asyncio.create_task(scene.forwarding.meet(OTHER)) for _ in range(2)]
        await asyncio.sleep(0)
        assert scene.met == [OTHER] * 2
        scene.links[OTHER] = None
        scene.forwarding.take(LinkUp(OTHER, True, "http://other:80"))
        assert await asyncio.gather(*meeting) == [True, True]
        del scene.links[OTHER]
        given_up = asyncio.create_task(scene.forwarding.meet(OTHER))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait((given_up,))
        scene.forwarding.take(LinkUp(OTHER, True, "http://other:80"))  # and is lost again
        later = asyncio.create_task(scene.forwarding.meet(OTHER))
        await settled()
        assert not later.done()
        scene.links[OTHER] = None
        scene.forwarding.take(LinkUp(OTHER, True, "http://other:80"))
        assert await later
        monkeypatch.setattr(module, "MEET_S", 0.0)
        del scene.links[OTHER]
        assert not await scene.forwarding.meet(OTHER)

    run(work)
