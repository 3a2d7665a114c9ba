"""Questions of members: what was begun in a cluster that this node left weighs on none later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

from buildnet.node.peer_questions import ASKS_AT_ONCE, Question, Questions

PEER = b"p" * 32


class Leaving:
    """A cluster that this node leaves: nothing is begun there any more."""

    def spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        pass

    def note(self, note: object) -> None:
        pass


def test_questions_that_were_dropped_with_a_cluster_do_not_count_in_the_next() -> None:
    async def nothing() -> None:
        pass

    async def main() -> None:
        questions: Questions[Question] = Questions()
        cluster = cast(Any, Leaving())
        async with questions.joined(cluster):
            for _ in range(ASKS_AT_ONCE):
                questions.answer(cluster, PEER, nothing)
            assert not questions.may_answer(cluster, PEER, "Ask")
        async with questions.joined(cluster):
            assert questions.may_answer(cluster, PEER, "Ask")

    asyncio.run(main())
