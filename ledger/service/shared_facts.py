"""Changes of shared facts: asked of the quorum coordinator, judged by what is sealed.

The coordinator appends a change only if the version that it expects still holds; of two that it did
not know of each other, the one that is sealed first holds (:mod:`buildnet.ledger.facts`). Without a
quorum a change is kept as a draft, and tried again once there is one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.entry import Actor, Entry, as_data
from buildnet.ledger.facts import REVOKED, FactDraft
from buildnet.ledger.messages import FactAnswer, FactAsk
from buildnet.ledger.service.errors import (
    FactConflictError,
    FactRefusedError,
    LedgerStoppedError,
    NoSealsError,
    NotSealedError,
)
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.local import Local
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.wire import WireError

ANSWER_S = 20.0
"""How long the coordinator's answer is waited for."""
MAX_ASKED = 64
"""Changes of other nodes that this one works on at once."""
_DONE, _CONFLICT, _REFUSED, _NO_QUORUM = "done", "conflict", "refused", "no quorum"
_log = logging.getLogger("buildnet.ledger")


@dataclass(frozen=True, slots=True)
class Changed:
    """A change that is sealed. ``version``: the fact's now; ``entry``: the entry's hash."""

    entity: str
    version: int
    entry: bytes


@dataclass(frozen=True, slots=True)
class Ports:
    """What changes of facts need of the ledger. ``append`` returns the entry once it is on disk,
    ``sealed`` the height of its seal."""

    append: Callable[[EntryDraft], Awaitable[Entry]]
    sealed: Callable[[Entry], Awaitable[int]]
    say: Callable[[bytes, Message], None]
    spawn: Callable[[Coroutine[None, None, None]], None]


class SharedFacts:
    """One node's side of it, as who asks and as who coordinates."""

    def __init__(self, local: Local, store: LedgerStore, ports: Ports) -> None:
        self._local = local
        self._store = store
        self._ports = ports
        self._asked: dict[bytes, asyncio.Future[FactAnswer]] = {}
        self._turn = asyncio.Lock()
        self._working: set[bytes] = set()

    async def change(
        self,
        entity: str,
        *,
        kind: str,
        expects: int,
        value: dict[str, Any] | None,
        actor: Actor,
        reason: str = "",
        request: bytes = b"",
        keep: bool = True,
    ) -> Changed:
        """Set ``entity`` (such as ``config:NAME``) to ``value``; None: delete it. ``kind``: the
        entry's type, such as ``config.modified``; ``expects``: the sealed version it is made from,
        0: there is none. ``keep``: without a quorum keep it as a draft. Returns once it is sealed.

        Raises:
            FactConflictError: another version holds.
            NoSealsError: there is no quorum.
            FactRefusedError: this node's owner may not do that.
            NotSealedError: no answer came in time; it may still hold later.
        """
        draft = FactDraft(kind, actor, reason, "", None if value is None else as_data(value))
        ask = FactAsk(request or os.urandom(16), entity, expects, draft.encode())
        answer = await self._ask(ask)
        match answer.outcome:
            case "done":
                return Changed(entity, answer.version, answer.entry)
            case "conflict":
                raise FactConflictError(
                    f"{entity} is in version {answer.version} now, not {expects}",
                    cause=answer.detail or None,
                    hint="look at it as it is now, and make the change again",
                )
            case "no quorum":
                if keep:
                    await self._store.keep_draft(
                        ask.request, time.time_ns() // 1_000_000, ask.encode()
                    )
                raise NoSealsError(
                    "no coordinator has a majority of the voters, so nothing shared can change",
                    cause="the change is kept here as a draft" if keep else None,
                    hint="it is tried again once there is a majority; buildnet pool health tells "
                    "who is missing",
                )
            case _:
                raise FactRefusedError(
                    f"the change of {entity} is refused: {answer.detail}",
                    hint="see buildnet rights list for who may do what",
                )

    async def retry_drafts(self) -> None:
        """Try what was kept for want of a quorum."""
        for kept in await self._store.drafts():
            try:
                ask = FactAsk.decode(kept.body)
                answer = await self._ask(ask)
            except WireError:
                await self._store.drop_draft(kept.request)
                continue
            except BuildNetError:
                return
            if answer.outcome == _NO_QUORUM:
                return
            await self._store.drop_draft(kept.request)
            _log.info("the kept change of %s: %s", ask.entity, answer.outcome)

    def take(self, sender: bytes, said: Message) -> bool:
        """Take a message of a member; False: it is about no fact."""
        match said:
            case FactAsk():
                self.asked(sender, said)
            case FactAnswer():
                self.answered(sender, said)
            case _:
                return False
        return True

    # --- who asks ------------------------------------------------------------------------------

    async def _ask(self, ask: FactAsk) -> FactAnswer:
        office = self._local.office
        if office is None or not office.quorum:
            return FactAnswer(ask.request, _NO_QUORUM, 0, b"", "")
        if office.coordinator == self._local.key:
            return await self._decide(self._local.key, ask)
        waiting: asyncio.Future[FactAnswer] = asyncio.get_running_loop().create_future()
        self._asked[ask.request] = waiting
        try:
            self._ports.say(office.coordinator, ask)
            async with asyncio.timeout(ANSWER_S):
                return await waiting
        except TimeoutError as error:
            raise NotSealedError(
                f"the coordinator did not answer within {ANSWER_S:g} s",
                hint="the change may still come about: look at it before you make it again",
            ) from error
        finally:
            self._asked.pop(ask.request, None)

    def answered(self, sender: bytes, answer: FactAnswer) -> None:
        """Take the coordinator's answer."""
        office, waiting = self._local.office, self._asked.get(answer.request)
        is_coordinator = office is not None and office.coordinator == sender
        if waiting is not None and is_coordinator and not waiting.done():
            waiting.set_result(answer)

    # --- who coordinates -----------------------------------------------------------------------

    def asked(self, sender: bytes, ask: FactAsk) -> None:
        """Work on a change that another node asks for."""
        if ask.request in self._working:
            return
        if len(self._working) >= MAX_ASKED:
            refusal = FactAnswer(ask.request, _REFUSED, 0, b"", "too many changes at once")
            self._ports.say(sender, refusal)
            return
        self._working.add(ask.request)
        self._ports.spawn(self._work(sender, ask))

    async def _work(self, sender: bytes, ask: FactAsk) -> None:
        try:
            self._ports.say(sender, await self._decide(sender, ask))
        finally:
            self._working.discard(ask.request)

    async def _decide(self, sender: bytes, ask: FactAsk) -> FactAnswer:
        """Append the change if it may be made now, and tell what became of it once sealed."""
        try:
            draft = FactDraft.decode(ask.draft)
            entry = draft.entry(ask.entity, expects=ask.expects, request=ask.request)
        except (WireError, ValueError) as error:
            return FactAnswer(ask.request, _REFUSED, 0, b"", str(error)[:1024])
        if (why := self._objection(sender, draft, ask.entity)) is not None:
            return FactAnswer(ask.request, _REFUSED, 0, b"", why)
        # One after the other: what the next one expects is known once this one is sealed.
        async with self._turn:
            try:
                return await self._append(ask, entry)
            except (NotSealedError, LedgerStoppedError):
                return FactAnswer(ask.request, _NO_QUORUM, 0, b"", "it is recorded, not sealed")
            except BuildNetError as error:
                return FactAnswer(ask.request, _REFUSED, 0, b"", error.message[:1024])

    async def _append(self, ask: FactAsk, draft: EntryDraft) -> FactAnswer:
        office, me = self._local.office, self._local.key
        if office is None or office.coordinator != me or not office.quorum:
            return FactAnswer(ask.request, _NO_QUORUM, 0, b"", "")
        version = await self._version(ask.entity)
        if version[0] != ask.expects and draft.type != REVOKED:
            known = await self._known(ask)
            if known is not None:
                return known
            return FactAnswer(ask.request, _CONFLICT, version[0], b"", "")
        entry = await self._ports.append(draft)
        await self._ports.sealed(entry)
        now, made_by = await self._version(ask.entity)
        if made_by == entry.id:
            return FactAnswer(ask.request, _DONE, now, entry.hash, "")
        return FactAnswer(ask.request, _CONFLICT, now, b"", "another change was sealed first")

    async def _known(self, ask: FactAsk) -> FactAnswer | None:
        """Return the answer to a request that was done before; None: it is another one."""
        now, made_by = await self._version(ask.entity)
        if not made_by:
            return None
        entry = (await self._store.entry(made_by)).entry
        if entry.body.request != ask.request:
            return None
        return FactAnswer(ask.request, _DONE, now, entry.hash, "")

    async def _version(self, entity: str) -> tuple[int, str]:
        """Return a fact's sealed version, and the id of the entry that made it."""
        state = await self._store.fact(entity)
        return (0, "") if state is None else (state.version, state.entry.hex())

    def _objection(self, sender: bytes, draft: FactDraft, entity: str) -> str | None:
        members = self._local.members
        kind = draft.type.partition(".")[0]
        if not entity.startswith(f"{kind}:") or len(entity) <= len(kind) + 1:
            return "the type does not fit the entity"
        if not members.is_member(sender):
            return "no member"
        if members.members[sender].rights is not Rights.ADMIN:
            return "only an admin changes that"
        return None
