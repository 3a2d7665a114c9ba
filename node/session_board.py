"""Who uses the nodes of the cluster, seen from one of them: it asks the others.

Another node tells an admin's node only. So what is seen, and who is sent away, does not depend on
what a node says of who asks it, but on the rights that its owner has in the cluster.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from buildnet.mesh.errors import BuildNetError, UsageError
from buildnet.mesh.events import LinkDown, Received
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.member_list import MemberList, Rights
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.auth.session_desk import SessionDesk
from buildnet.node.peer_questions import Question, Questions
from buildnet.node.pool_results import name_of
from buildnet.node.told_to_others import told_to_others
from buildnet.pool.messages.people import (
    END,
    HAND_OVER,
    LIST,
    MAX_FOUND_CHARACTERS,
    SessionsAnswer,
    SessionsAsk,
)

ANSWER_S = 3.0
_TEXT_CHARACTERS = 1024
_MOST_LEVELS = 32
"""No value that a node tells of somebody is nested deeper."""
_ID = re.compile(r"[0-9a-f]{1,64}")
_log = logging.getLogger("buildnet.access")


class SessionsRefusedError(BuildNetError):
    """Another node does not let this one see or change who uses it."""

    code = "SESSIONS_REFUSED"
    exit_code = 4
    http_status = 403


@dataclass(frozen=True, slots=True)
class Told:
    """What the nodes of the cluster told. ``silent``: those that did not, with the reason;
    ``left_out``: how many are missing for want of room."""

    found: list[dict[str, Any]]
    silent: list[dict[str, str]]
    left_out: int = 0


@dataclass(slots=True, kw_only=True)
class _Question(Question):
    """What all linked members are asked at once."""

    answers: dict[bytes, SessionsAnswer] = field(default_factory=dict)


class SessionBoard:
    """See the module's text. ``desk``: of this node."""

    def __init__(self, desk: SessionDesk) -> None:
        self.desk = desk
        self._questions: Questions[_Question] = Questions()

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        async with self._questions.joined(cluster):
            yield self

    async def here(
        self, what: str, whose: str, to: str, actor: str, reason: str
    ) -> list[dict[str, Any]]:
        """Do something on this node; return what it was done to."""
        if what == LIST:
            return self.desk.everybody()
        if what == END:
            return await self.desk.end(whose, actor, reason)
        return await self.desk.hand_over(whose, to, actor)

    async def everywhere(
        self, what: str, *, whose: str = "", to: str = "", actor: str = "", reason: str = ""
    ) -> Told:
        """Do something on this node and on those that it has a link with."""
        told = Told(await self.here(what, whose, to, actor, reason), [])
        cluster = self._questions.cluster
        if cluster is None:
            return told
        local = cluster.local
        _name(told.found, local.members, local.key)
        asked = {key for key in local.links if local.members.is_member(key)}
        ask = SessionsAsk(os.urandom(16), what, whose[:128], to[:128], actor[:128], reason[:1000])
        question = _Question(peers=set(asked))
        if asked:
            await self._questions.ask(cluster, ask.request, ask, question, ANSWER_S)
        left_out = 0
        for key in asked:
            name, answer = name_of(local.members, key), question.answers.get(key)
            if answer is None:
                told.silent.append({"node": name, "why": "it does not answer"})
                continue
            if answer.refused is not None:
                told.silent.append({"node": name, "why": answer.refused})
                continue
            found = read_found(answer.found, "build_id" if what == HAND_OVER else "id")
            if found is None:
                told.silent.append({"node": name, "why": "what it told can't be read"})
                continue
            _name(found, local.members, key)
            told.found.extend(found)
            left_out += answer.left_out
        for key in local.members.members:
            if key not in asked and key != local.key and local.members.is_member(key):
                name = name_of(local.members, key)
                told.silent.append({"node": name, "why": "this node has no link with it now"})
        return Told(told.found, told.silent, left_out)

    def take(self, event: GuestEvent) -> None:
        """Take note of what others say."""
        match event:
            case Received(sender, SessionsAsk() as ask):
                cluster = self._questions.cluster
                if cluster is not None and self._questions.may_answer(
                    cluster, sender, "SessionsAsk"
                ):
                    work = partial(self._answer, cluster, sender, ask)
                    self._questions.answer(cluster, sender, work)
            case Received(sender, SessionsAnswer() as answer):
                question = self._questions.of(answer.request, sender)
                if question is not None:
                    question.answers[sender] = answer
                    question.peers.discard(sender)
                    question.settle()
            case LinkDown(peer):
                self._questions.gone(peer)

    async def _answer(self, cluster: Cluster, sender: bytes, ask: SessionsAsk) -> None:
        cluster.say(sender, await self._done(cluster.local.members, sender, ask))

    async def _done(self, members: MemberList, sender: bytes, ask: SessionsAsk) -> SessionsAnswer:
        try:
            _check_may(members, sender, ask)
            actor = f"{ask.actor}@{name_of(members, sender)}"[:128]
            found = await self.here(ask.what, ask.whose, ask.to, actor, ask.reason)
        except Exception as error:
            refused = told_to_others(_in_words(error), SessionsRefusedError, UsageError)
            return SessionsAnswer(ask.request, refused[:_TEXT_CHARACTERS], "", "[]", 0)
        text, left_out = as_much_as_fits(found)
        return SessionsAnswer(ask.request, None, "", text, left_out)


def as_much_as_fits(found: list[dict[str, Any]]) -> tuple[str, int]:
    """Return as JSON what there is room for in a message, the latest first to go, and how many are
    left out."""
    parts, size = [], 2
    for each in found:
        part = json.dumps(each)
        if size + len(part) + 1 > MAX_FOUND_CHARACTERS:
            break
        parts.append(part)
        size += len(part) + 1
    return f"[{','.join(parts)}]", len(found) - len(parts)


def _check_may(members: MemberList, sender: bytes, ask: SessionsAsk) -> None:
    member = members.members.get(sender) if members.is_member(sender) else None
    if member is None or member.rights is not Rights.ADMIN:
        raise SessionsRefusedError(
            "only admins of the cluster see who uses another node",
            hint="ask on that host itself, or an admin: buildnet rights list",
        )
    if ask.what not in (LIST, END, HAND_OVER):
        raise SessionsRefusedError(f"{ask.what!r:.20} is nothing that this version can do")


def _in_words(error: Exception) -> BuildNetError:
    if isinstance(error, BuildNetError):
        return error
    _log.exception("a bug while another node asked who uses this one", exc_info=error)
    return BuildNetError("a bug")


def read_found(text: str, key: str) -> list[dict[str, Any]] | None:
    """Return what another node told, but for what has under ``key`` no id that a node gives; None:
    it is nothing that could be told on as JSON, or is nested too deeply to be gone through."""
    try:
        found = json.loads(text)
        # Python reads what nobody else takes for JSON: half characters, and numbers that are none.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not _is_shallow(found):
        return None
    return [each for each in found if isinstance(each, dict) and _is_id(each.get(key))]


def _is_shallow(found: list[Any]) -> bool:
    level = found
    for _ in range(_MOST_LEVELS):
        level = [one for each in level for one in _within(each)]
        if not level:
            return True
    return False


def _within(value: object) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _is_id(name: object) -> bool:
    return isinstance(name, str) and _ID.fullmatch(name) is not None


def _name(found: list[dict[str, Any]], members: MemberList, key: bytes) -> None:
    """Say of each on which node it is."""
    for each in found:
        each["node"], each["node_id"] = name_of(members, key), node_id_of(key)
