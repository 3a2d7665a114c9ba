"""Requests that another node answers: sent there over the mesh with the credential of who asks.

No node lends its rights: what somebody may do there is decided there, by the same gate that they
would come to over the network. A request is sent on once, never twice. One without a credential is
of the node itself: it looks at a build for somebody whom it has let do that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote
from weakref import WeakValueDictionary

from starlette.types import ASGIApp, Message, Scope

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import LinkDown, LinkUp, Received
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.peer_questions import Question, Questions
from buildnet.node.pool_results import name_of
from buildnet.pool.messages.forwarding import (
    MAX_ANSWER_BYTES,
    MAX_BODY_BYTES,
    MAX_HEADERS,
    MAX_UNPACKED_BYTES,
    ForwardAnswer,
    ForwardAsk,
    WireHeader,
)

ANSWER_S = 20.0
MEET_S = 3.0
MOST_AT_ONCE = 32
"""Requests of one member that are answered at the same time."""
MOST_LOOKS = 4
"""Looks at builds that are worked on at once, at either end: each may take much memory."""
MOST_LOOKS_OF_ONE = 2
"""Of these, of one member: so nobody keeps the others from theirs."""
FORWARDED = "forwarded_by"
"""In the state of a request that came from another node: that one's key."""
_TAKEN = ("authorization", "buildnet-proof", "content-type", "accept", "idempotency-key")
_CREDENTIAL = "authorization"
_PACKED = ("accept-encoding", "deflate")
_IS_PACKED = ("content-encoding", "deflate")
_GIVEN = ("content-type", "www-authenticate", "retry-after")
_MOST_PARTS = MAX_ANSWER_BYTES // MAX_BODY_BYTES + 1
_WITHOUT_BODY = frozenset({*range(200), 204, 205, 304})
_NO_ANSWER = 502
_log = logging.getLogger("buildnet.api")
T = TypeVar("T")


class ForwardError(BuildNetError):
    """The node that has to answer a request can't be asked, or gives no answer."""

    code = "NOT_FORWARDED"
    exit_code = 3
    http_status = 503


class ForwardTooLongError(BuildNetError):
    """A request, or its answer, is longer than what is sent on."""

    code = "BODY_TOO_LARGE"
    exit_code = 2
    http_status = 413


def sender_of(scope: Scope) -> bytes | None:
    """Return the key of the member that sent a request here; None: it came from no node."""
    sender = scope.get("state", {}).get(FORWARDED)
    return sender if isinstance(sender, bytes) else None


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The answer of another node."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class _Question(Question):
    """A request that is out; ``answer``: what came of it, once the last part is there."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    answer: Forwarded | ForwardTooLongError | None = None


class Forwarding:
    """See the module's text. ``application`` is what answers requests of other nodes: a gate at
    which nobody is known without a credential; None: not yet."""

    def __init__(self) -> None:
        self.application: ASGIApp | None = None
        self._questions: Questions[_Question] = Questions(MOST_AT_ONCE)
        self._meeting: dict[bytes, asyncio.Event] = {}
        self._looking = asyncio.Semaphore(MOST_LOOKS)
        self._showing = asyncio.Semaphore(MOST_LOOKS)
        self._showing_to: WeakValueDictionary[bytes, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        async with self._questions.joined(cluster):
            yield self

    def reaches(self, key: bytes) -> bool:
        """Tell whether a member can be asked now."""
        cluster = self._questions.cluster
        return cluster is not None and key in cluster.local.links

    async def meet(self, key: bytes) -> bool:
        """Tell whether a member can be asked; one that is there without a link is waited for: where
        there are many members, not all have links to each other."""
        cluster = self._questions.cluster
        if cluster is not None and not self.reaches(key) and cluster.local.alive(key):
            met = self._meeting.setdefault(key, asyncio.Event())
            try:
                cluster.driver.request(lambda now: cluster.machine.meet(key, now))
                with suppress(TimeoutError):
                    async with asyncio.timeout(MEET_S):
                        await met.wait()
            finally:
                if self._meeting.get(key) is met:
                    del self._meeting[key]
        return self.reaches(key)

    # --- asking --------------------------------------------------------------------------------

    async def ask(
        self, key: bytes, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Forwarded:
        """Have a member answer a request; only those of its headers go along that it needs.

        Raises:
            ForwardTooLongError: it is too long for that.
            ForwardError: the member can't be asked, or does not answer.
        """
        cluster = self._reached(key)
        if len(body) > MAX_BODY_BYTES:
            raise ForwardTooLongError(
                f"more than {MAX_BODY_BYTES} bytes are not sent on to another node",
                hint=f"ask {name_of(cluster.local.members, key)}",
            )
        taken = tuple(WireHeader(name, headers[name]) for name in _TAKEN if name in headers)
        return await self._ask(cluster, key, method, target, taken, body)

    async def look(self, key: bytes, target: str, read: Callable[[Forwarded], T]) -> T:
        """Have a member tell this node of a build: ``target`` is path and query. Return what
        ``read`` makes of the answer, on a thread.

        Raises:
            ForwardTooLongError, ForwardError: as with :meth:`ask`.
            BaseException: what ``read`` raises.
        """
        cluster = self._reached(key)
        async with self._looking:
            found = await self._ask(cluster, key, "GET", target, (WireHeader(*_PACKED),), b"")
            return await asyncio.to_thread(lambda: read(_unpacked(found)))

    def _reached(self, key: bytes) -> Cluster:
        cluster = self._questions.cluster
        if cluster is not None and self.reaches(key):
            return cluster
        name = node_id_of(key)[:12] if cluster is None else name_of(cluster.local.members, key)
        raise ForwardError(
            f"this node has no link with {name} now, which has to answer that",
            hint="ask again, or ask that node",
        )

    async def _ask(
        self,
        cluster: Cluster,
        key: bytes,
        method: str,
        target: str,
        headers: tuple[WireHeader, ...],
        body: bytes,
    ) -> Forwarded:
        message = ForwardAsk(os.urandom(16), method, target, headers, body)
        question = _Question(peers={key})
        await self._questions.ask(cluster, message.request, message, question, ANSWER_S)
        match question.answer:
            case Forwarded() as answer:
                return answer
            case ForwardTooLongError() as error:
                raise error
        if question.over.is_set():
            raise ForwardError(
                "the link with the node that has to answer was lost",
                hint="look whether it did what was asked; then ask again",
            )
        raise ForwardError(
            f"{name_of(cluster.local.members, key)} does not answer",
            cause=f"nothing was heard for {ANSWER_S:.0f} s; whether it did it is not known",
            hint="look whether it did; then ask again",
        )

    def take(self, event: GuestEvent) -> None:
        """Take note of what others ask and answer."""
        match event:
            case Received(sender, ForwardAsk() as ask):
                self._asked(sender, ask)
            case Received(sender, ForwardAnswer() as answer):
                question = self._questions.of(answer.request, sender)
                if question is not None:
                    _answered(question, sender, answer)
            case LinkUp(peer):
                if (met := self._meeting.get(peer)) is not None:
                    met.set()
            case LinkDown(peer):
                self._questions.gone(peer)

    # --- answering -----------------------------------------------------------------------------

    def _asked(self, sender: bytes, ask: ForwardAsk) -> None:
        cluster, application = self._questions.cluster, self.application
        if cluster is None or application is None or not cluster.local.members.is_member(sender):
            return
        if not self._questions.may_answer(cluster, sender, "ForwardAsk"):
            busy = ForwardAnswer(ask.request, 429, (WireHeader("retry-after", "1"),), b"", True)
            cluster.say(sender, busy)
            return
        turn = self._turn(sender) if _is_look(ask) else nullcontext()
        work = partial(_answer, cluster, application, sender, ask, turn)
        self._questions.answer(cluster, sender, work)

    @asynccontextmanager
    async def _turn(self, sender: bytes) -> AsyncIterator[None]:
        """Wait until a look of a member can be worked on."""
        of_one = asyncio.Semaphore(MOST_LOOKS_OF_ONE)
        of_one = self._showing_to.setdefault(sender, of_one)
        async with of_one, self._showing:
            yield


def _is_look(ask: ForwardAsk) -> bool:
    """Tell whether a node asks for itself."""
    return all(each.name.lower() != _CREDENTIAL for each in ask.headers)


def _answered(question: _Question, sender: bytes, answer: ForwardAnswer) -> None:
    question.parts.append(answer.part)
    question.size += len(answer.part)
    if question.size > MAX_ANSWER_BYTES or len(question.parts) > _MOST_PARTS:
        question.answer = ForwardTooLongError(
            "the answer of the other node is too long to be sent on"
        )
    elif answer.last:
        headers = {each.name: each.value for each in answer.headers if _is_given(each)}
        status = _NO_ANSWER if answer.status in _WITHOUT_BODY else answer.status
        question.answer = Forwarded(status, headers, b"".join(question.parts))
    else:
        return
    question.peers.discard(sender)
    question.settle()


def _is_given(header: WireHeader) -> bool:
    """Tell whether a header is one that who asked gets, and can be sent on as one."""
    is_one = header.name in _GIVEN or (header.name, header.value) == _IS_PACKED
    return is_one and header.value.isascii() and header.value.isprintable()


async def _answer(
    cluster: Cluster,
    application: ASGIApp,
    sender: bytes,
    ask: ForwardAsk,
    turn: AbstractAsyncContextManager[None],
) -> None:
    with suppress(TimeoutError):  # who waited, or reads, so long has given up meanwhile
        async with asyncio.timeout(ANSWER_S) as waiting, turn:
            waiting.reschedule(None)
            parts = await _answers(application, sender, ask)
        async with asyncio.timeout(ANSWER_S):
            for part in parts:
                cluster.say(sender, part)
                if not part.last:  # many at once would clog the link
                    await cluster.drained(sender)


async def _answers(application: ASGIApp, sender: bytes, ask: ForwardAsk) -> list[ForwardAnswer]:
    """Let the application answer a request; return the messages that say what it did."""
    path, _, query = ask.target.partition("?")
    is_word = ask.method.isascii() and ask.method.isalpha()
    if not (is_word and path.startswith("/") and unquote(path).isprintable()):  # as at the port
        return [ForwardAnswer(ask.request, 400, (), b"", True)]
    scope = _scope(sender, ask, path, query)
    packs = _is_look(ask) and any(
        (each.name.lower(), each.value) == _PACKED for each in ask.headers
    )
    most = MAX_UNPACKED_BYTES if packs else MAX_ANSWER_BYTES
    sent: list[Message] = []
    size, came = 0, False

    async def receive() -> Message:
        nonlocal came
        if came:
            return {"type": "http.disconnect"}
        came = True
        return {"type": "http.request", "body": ask.body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal size
        sent.append(message)
        size += len(message.get("body", b""))
        if size > most:  # who asks learns that from what there is of it
            raise ForwardTooLongError("the answer is too long to be sent on")

    try:
        async with asyncio.timeout(ANSWER_S):
            await application(scope, receive, send)
    except (ForwardTooLongError, TimeoutError) as ended:
        _log.info("an answer for %s was broken off: %s", node_id_of(sender), ended)
    except Exception:
        _log.exception("a request of %s failed", node_id_of(sender))
    return await asyncio.to_thread(_messages, ask.request, sent, packs=packs)


def _scope(sender: bytes, ask: ForwardAsk, path: str, query: str) -> dict[str, Any]:
    named = {each.name.lower(): each.value for each in ask.headers if each.name.lower() in _TAKEN}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": ask.method.upper(),
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1", "replace"),
        "query_string": query.encode("latin-1", "replace"),
        "root_path": "",
        "headers": [
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in named.items()
        ],
        "client": (f"node {node_id_of(sender)}", 0),
        "server": None,
        "state": {FORWARDED: sender},
    }


def _unpacked(answer: Forwarded) -> Forwarded:
    """Return an answer with its body as it was before it was deflated, if it was. Blocks.

    Raises:
        ForwardError: it was not, or not all of it is there.
        ForwardTooLongError: it is longer than anything that is told.
    """
    if answer.headers.get(_IS_PACKED[0]) != _IS_PACKED[1]:
        return answer
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(answer.body, MAX_UNPACKED_BYTES + 1)
    except zlib.error as error:
        raise ForwardError(
            "the other node's answer can't be read", cause=str(error), hint="ask again"
        ) from error
    if len(found) > MAX_UNPACKED_BYTES:
        raise ForwardTooLongError("the answer of the other node is too long to be sent on")
    if not unpacking.eof:
        raise ForwardError("the other node's answer is not whole", hint="ask again")
    return Forwarded(answer.status, answer.headers, found)


def _messages(request: bytes, sent: list[Message], *, packs: bool) -> list[ForwardAnswer]:
    if not sent or sent[0]["type"] != "http.response.start":
        return [ForwardAnswer(request, 500, (), b"", True)]
    status = int(sent[0]["status"])
    headers = [
        WireHeader(name.decode("latin-1").lower(), value.decode("latin-1")[:8192])
        for name, value in sent[0].get("headers", ())
        if name.decode("latin-1").lower() in _GIVEN
    ][: MAX_HEADERS - 1]
    body = b"".join(each.get("body", b"") for each in sent[1:])
    if packs and body:
        body = zlib.compress(body, 1)
        headers.append(WireHeader(*_IS_PACKED))
    body = body[: MAX_ANSWER_BYTES + 1]  # of more who asks learns that it is too much
    cuts = range(0, max(len(body), 1), MAX_BODY_BYTES)
    return [
        ForwardAnswer(
            request,
            status,
            tuple(headers),
            body[at : at + MAX_BODY_BYTES],
            at + MAX_BODY_BYTES >= len(body),
        )
        for at in cuts
    ]
