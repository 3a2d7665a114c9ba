"""Actions that others run for this node: what they may say of them, and when they are given up."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.messages.kinds import Message
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.sharing.errands import (
    ALIVE_S,
    SILENT_S,
    TRANSFER_S,
    Errands,
    LostHostError,
    SilentHostError,
    WrongHostError,
)
from buildnet.node.sharing.guest_work import cut, texts_that_fit
from buildnet.pool.messages.results import MAX_RESULT_BYTES, SharedResult, WireDigest
from buildnet.pool.messages.work import (
    MAX_MESSAGE_BYTES,
    WireOutcome,
    WorkAlive,
    WorkBegun,
    WorkCancel,
    WorkDone,
    WorkOutput,
)

OWNER, OTHER = b"o" * 32, b"x" * 32
LEASE = b"l" * 16
LIMIT_BYTES = 100
TIMEOUT_S = 10.0


class Sent:
    """One action that was sent to an owner, on a clock that stands still."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[tuple[bytes, Message]] = []
        self.printed: list[bytes] = []
        self.work = b""
        self.errands = Errands(
            lambda to, message: self.said.append((to, message)), lambda: self.now
        )

    async def begin(self, token: CancelToken | None = None) -> asyncio.Task[WorkDone]:
        def ask(work: bytes) -> Any:
            self.work = work
            return SimpleNamespace(
                work=work, timeout_ms=round(TIMEOUT_S * 1000), output_bytes=LIMIT_BYTES
            )

        running = self.errands.run(OWNER, LEASE, ask, self.printed.append, token or CancelToken())
        task = asyncio.create_task(running)
        await asyncio.sleep(0)
        return task

    def done(self) -> WorkDone:
        return WorkDone(self.work, "no", None, None, None, (), (), ())

    def hear(self, message: Message, sender: bytes = OWNER) -> None:
        self.errands.take(sender, message)

    def alive(self, seconds: float) -> None:
        """Let time pass in which the owner tells now and then that it goes on."""
        until = self.now + seconds
        while self.now < until:
            self.now += ALIVE_S
            self.hear(WorkAlive((self.work,)))
            self.errands.tick()

    def silent(self, seconds: float) -> None:
        """Let time pass in which the owner says nothing."""
        until = self.now + seconds
        while self.now < until:
            self.now += ALIVE_S / 2
            self.errands.tick()


async def error_of(task: asyncio.Task[WorkDone]) -> BuildNetError:
    with pytest.raises(BuildNetError) as caught:
        await asyncio.wait_for(task, 10)
    return caught.value


def test_an_answer_counts_if_who_was_asked_gives_it() -> None:
    async def go() -> None:
        sent = Sent()
        task = await sent.begin()
        sent.hear(WorkDone(sent.work, "other", None, None, None, (), (), ()), OTHER)
        sent.hear(WorkOutput(sent.work, b"other"), OTHER)
        sent.hear(WorkOutput(sent.work, b"mine"))
        sent.hear(sent.done())
        sent.hear(WorkOutput(sent.work, b"at once"))
        sent.hear(WorkDone(sent.work, "changed my mind", None, None, None, (), (), ()))
        assert (await task).refused == "no"
        assert sent.printed == [b"mine"]
        # What comes after the end concerns nobody.
        sent.hear(WorkOutput(sent.work, b"late"))
        sent.hear(sent.done())
        sent.hear(WorkAlive((sent.work,)))
        assert sent.printed == [b"mine"]

    asyncio.run(go())


def test_who_falls_silent_is_given_up_and_told_so() -> None:
    async def go() -> None:
        sent = Sent()
        task = await sent.begin()
        sent.alive(3 * SILENT_S)
        assert not task.done()
        sent.silent(SILENT_S + 0.1)
        error = await error_of(task)
        assert isinstance(error, SilentHostError)
        assert sent.said[-1] == (OWNER, WorkCancel(sent.work))

    asyncio.run(go())


def test_who_stood_still_itself_blames_nobody() -> None:
    async def go() -> None:
        sent = Sent()
        task = await sent.begin()
        sent.alive(ALIVE_S)
        sent.now += 2 * SILENT_S  # what was said meanwhile is read after the clock is looked at
        sent.errands.tick()
        sent.alive(ALIVE_S)
        await asyncio.sleep(0.001)
        assert not task.done()
        sent.silent(SILENT_S + 0.1)
        assert isinstance(await error_of(task), SilentHostError)

    asyncio.run(go())


def test_what_has_not_begun_waits_if_its_host_says_that_it_goes_on() -> None:
    async def work() -> None:
        sent = Sent()
        running = await sent.begin()
        assert not sent.errands.waits(LEASE)  # nothing was heard of it
        sent.hear(WorkAlive((sent.work,)))
        assert sent.errands.waits(LEASE)
        assert not sent.errands.waits(b"x" * 16)
        sent.now += 3.0
        assert not sent.errands.waits(LEASE)  # it is silent
        sent.hear(WorkAlive((sent.work,)))
        sent.hear(WorkBegun(sent.work), OTHER)
        assert sent.errands.waits(LEASE)
        sent.hear(WorkBegun(sent.work))
        assert not sent.errands.waits(LEASE)
        sent.hear(sent.done())
        await running

    asyncio.run(work())


def test_another_node_cannot_keep_an_action_alive() -> None:
    async def go() -> None:
        sent = Sent()
        task = await sent.begin()
        sent.silent(SILENT_S - 0.1)
        sent.hear(WorkAlive((sent.work,)), OTHER)
        sent.silent(1.0)
        assert isinstance(await error_of(task), SilentHostError)

    asyncio.run(go())


def test_who_never_comes_to_an_end_is_given_up() -> None:
    async def go() -> None:
        sent = Sent()
        task = await sent.begin()
        sent.alive(TIMEOUT_S + TRANSFER_S)
        sent.alive(SILENT_S)
        assert isinstance(await error_of(task), SilentHostError)

    asyncio.run(go())


def test_endless_output_ends_the_errand() -> None:
    async def go() -> None:
        sent = Sent()
        task = await sent.begin()
        for _ in range(5):
            sent.hear(WorkOutput(sent.work, b"x" * (LIMIT_BYTES // 2)))
        assert isinstance(await error_of(task), WrongHostError)
        assert sum(map(len, sent.printed)) == LIMIT_BYTES

    asyncio.run(go())


def test_a_lease_that_is_gone_takes_its_action_with_it() -> None:
    async def go() -> None:
        sent = Sent()
        task = await sent.begin()
        sent.errands.lost(b"m" * 16, "another")
        assert not task.done()
        sent.errands.lost(LEASE, "it is gone")
        assert isinstance(await error_of(task), LostHostError)

    asyncio.run(go())


@pytest.mark.parametrize("text", ["", "abc", "ä" * 600, "x" * 1023 + "ä", "\ud800" * 600])
def test_a_text_is_cut_between_characters(text: str) -> None:
    short = cut(text, 1024)
    assert len(short.encode()) <= 1024
    assert text.encode(errors="replace").decode().startswith(short)


def test_an_answer_with_the_longest_texts_and_result_fits_into_a_message() -> None:
    longest = tuple(f"{number}{'€' * 2000}" for number in range(200))
    digest = WireDigest(b"h" * 32, 1)
    result = SharedResult(
        action=digest,
        isolation="strict",
        worker=OWNER,
        signature=b"s" * 64,
        created_ms=1,
        duration_ms=1,
        label=cut("€" * 2000, 1024),
        result_digest=digest,
        result=b"r" * MAX_RESULT_BYTES,
    )
    outcome = WireOutcome(1, "SIGKILL", False, False, 1, 1, 1, 1, 1, "memory")
    texts = texts_that_fit(longest)
    assert texts[0].startswith("0€")
    done = WorkDone(b"w" * 16, None, outcome, digest, result, texts, texts, texts)
    encoded = done.encode()
    assert len(encoded) < MAX_MESSAGE_BYTES
    assert WorkDone.decode(encoded) == done
