"""What the member log writes to disk, and what it says once that is there."""

from __future__ import annotations

from buildnet.mesh.events import Effect, Fact, Persist
from buildnet.mesh.local import Local
from buildnet.mesh.members.facts import GenesisFact
from buildnet.mesh.members.member_chain import Chain
from buildnet.mesh.messages.kinds import Message


class Keeping:
    """Writes of one node's member log."""

    def __init__(self, local: Local, chain: Chain) -> None:
        self._local = local
        self._chain = chain
        self._waiting: dict[int, tuple[bytes, Message]] = {}

    def keep(
        self,
        facts: tuple[Fact, ...] = (),
        forget: tuple[str, ...] = (),
        *,
        to: bytes | None = None,
        answer: Message | None = None,
    ) -> list[Effect]:
        """Persist the chain's state with ``facts``; then say ``answer``, maybe to ourselves."""
        token = self._local.tokens.next()
        if to is not None and answer is not None:
            self._waiting[token] = (to, answer)
        if self._chain.fresh:
            self._chain.fresh = False
            facts = (GenesisFact(self._chain.committed.genesis), *facts)
        return [Persist(token, (*facts, self._chain.state()), forget)]

    def persisted(self, token: int) -> tuple[bytes, Message] | None:
        """Return what to say now, and to whom (maybe to ourselves)."""
        return self._waiting.pop(token, None)
