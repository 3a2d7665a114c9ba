"""Questions to linked members, and theirs: what all kinds of them have in common.

A question goes to some members at once. It is over once each of them has answered or is gone, once
enough was heard, or when its time is up. Of one member only a few questions are worked on at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from buildnet.mesh.events import Note
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.cluster import Cluster

ASKS_AT_ONCE = 4
"""Questions of one member that are worked on; more are dropped."""


@dataclass(slots=True, kw_only=True)
class Question:
    """One question that is out; ``peers``: who has not answered yet."""

    peers: set[bytes]
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_answered(self) -> bool:
        """Whether nothing more is waited for."""
        return not self.peers

    def settle(self) -> None:
        """Take note that something was heard."""
        if self.is_answered:
            self.over.set()


Asked = TypeVar("Asked", bound=Question)


class Questions(Generic[Asked]):
    """One node's questions of one kind, and the members'. ``cluster``: None: it is in none;
    ``at_once``: how many of one member are worked on."""

    def __init__(self, at_once: int = ASKS_AT_ONCE) -> None:
        self.cluster: Cluster | None = None
        self._at_once = at_once
        self._open: dict[bytes, Asked] = {}
        self._working: Counter[bytes] = Counter()

    @asynccontextmanager
    async def joined(self, cluster: Cluster) -> AsyncIterator[None]:
        """Ask and answer in a cluster until the context ends; then all questions are over."""
        self.cluster = cluster
        self._working = Counter()  # what another cluster's end broke off never counts itself out
        try:
            yield
        finally:
            self.cluster = None
            for question in self._open.values():
                question.over.set()

    async def ask(
        self, cluster: Cluster, request: bytes, message: Message, question: Asked, within_s: float
    ) -> Asked:
        """Ask a question's peers, and return it once it is over, or after a time."""
        self._open[request] = question
        try:
            for peer in tuple(question.peers):
                cluster.say(peer, message)
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await question.over.wait()
        finally:
            del self._open[request]
        return question

    @property
    def out(self) -> tuple[bytes, ...]:
        """The requests that are out."""
        return tuple(self._open)

    def of(self, request: bytes, sender: bytes) -> Asked | None:
        """Return the question that a member answers; None: it was not asked, or it is over."""
        question = self._open.get(request)
        return question if question is not None and sender in question.peers else None

    def gone(self, peer: bytes) -> None:
        """Take note that a member will not answer any more."""
        for question in self._open.values():
            question.peers.discard(peer)
            question.settle()

    def may_answer(self, cluster: Cluster, sender: bytes, kind: str) -> bool:
        """Tell whether a member's question is worked on: not if it has too many there."""
        if self._working[sender] < self._at_once:
            return True
        cluster.note(Note("too many questions", sender, kind))
        return False

    def answer(
        self, cluster: Cluster, sender: bytes, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Work on a member's question in the background."""
        working = self._working
        working[sender] += 1

        async def counted() -> None:
            try:
                await work()
            finally:
                working[sender] -= 1
                if not working[sender]:
                    del working[sender]

        cluster.spawn(counted)
