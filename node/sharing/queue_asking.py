"""Asking the coordinator about the queue, for a person at this node."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.mesh.events import LinkDown, OfficeChanged, Received
from buildnet.mesh.local import Local
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.guest import GuestEvent
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.pool_results import may_ask
from buildnet.pool.messages.queueing import (
    QueueAnswer,
    QueueChange,
    QueueLook,
    QueuePage,
    WireQueued,
)

ANSWER_S = 3.0
"""The coordinator is waited for so long."""
_MAX_PAGES = 256


class QueueUnknownError(BuildNetError):
    """Nobody who knows the queue answers."""

    code = "QUEUE_UNKNOWN"
    exit_code = 3
    http_status = 503


@dataclass(slots=True)
class _Question:
    answered: asyncio.Future[None]
    asked: bytes
    pages: list[QueuePage] = field(default_factory=list)
    answer: QueueAnswer | None = None


class QueueAsking:
    """One node's questions about the queue."""

    def __init__(self, local: Local, say: Callable[[bytes, Message], None]) -> None:
        self._local = local
        self._say = say
        self._questions: dict[bytes, _Question] = {}

    def take(self, event: GuestEvent) -> None:
        """Take note of answers, and of a coordinator that gives none any more."""
        match event:
            case OfficeChanged() | LinkDown():
                for question in self._questions.values():
                    if not self._may_answer(question.asked):
                        _settle(question)
            case Received(sender, QueuePage() as page):
                asked = self._questions.get(page.request)
                if asked is not None and asked.asked == sender:
                    asked.pages.append(page)
                    if page.last or len(asked.pages) >= _MAX_PAGES:
                        _settle(asked)
            case Received(sender, QueueAnswer() as answer):
                asked = self._questions.get(answer.request)
                if asked is not None and asked.asked == sender:
                    asked.answer = answer
                    _settle(asked)

    async def look(self) -> tuple[list[WireQueued], str | None]:
        """Return the builds of the queue, who comes next first, and who paused all of it.

        Raises:
            QueueUnknownError: nobody tells.
            NotAllowedError: this node may not see it.
        """
        if self._local.office is not None and not may_ask(self._local.members, self._local.key):
            raise NotAllowedError(
                "this node may only look at the pool: it does not see the queue of others",
                hint="buildnet history shows its own builds; an admin changes its rights: "
                "buildnet rights set",
            )
        question = await self._ask(QueueLook)
        if not question.pages or not question.pages[-1].last:
            raise _unknown()
        builds = [each for page in question.pages for each in page.builds]
        return builds, question.pages[-1].paused

    async def change(self, what: str, build: str, value: int, actor: str) -> QueueAnswer:
        """Have something done with a build, or with all; see :class:`QueueChange`.

        Raises:
            QueueUnknownError: nobody tells whether it was done.
            NotAllowedError: it is not allowed.
            NotFoundError: there is no such build.
        """
        question = await self._ask(
            lambda request: QueueChange(request, what, build[:128], value, actor[:128])
        )
        if question.answer is None:
            raise _unknown()
        if question.answer.code:
            raise refusal(question.answer)
        return question.answer

    async def _ask(self, message: Callable[[bytes], Message]) -> _Question:
        office = self._local.office
        if office is None or not self._may_answer(office.coordinator):
            raise _unknown()
        request = os.urandom(16)
        loop = asyncio.get_running_loop()
        question = self._questions[request] = _Question(loop.create_future(), office.coordinator)
        try:
            self._say(office.coordinator, message(request))
            async with asyncio.timeout(ANSWER_S):
                await question.answered
        except TimeoutError:
            pass
        finally:
            del self._questions[request]
        return question

    def _may_answer(self, peer: bytes) -> bool:
        office = self._local.office
        coordinates = office is not None and office.coordinator == peer
        return coordinates and (peer == self._local.key or peer in self._local.links)


def _settle(question: _Question) -> None:
    if not question.answered.done():
        question.answered.set_result(None)


def refusal(answer: QueueAnswer) -> BuildNetError:
    """Return the error that an answer tells."""
    kind: type[BuildNetError] = NotAllowedError
    if answer.code == NotFoundError.code:
        kind = NotFoundError
    elif answer.code == QueueUnknownError.code:
        kind = QueueUnknownError
    return kind(answer.message, hint=answer.hint or None)


def _unknown() -> QueueUnknownError:
    return QueueUnknownError(
        "nobody who knows the queue answers",
        hint="the cluster may be choosing a coordinator: ask again in some seconds; "
        "buildnet pool status shows who it is",
    )
