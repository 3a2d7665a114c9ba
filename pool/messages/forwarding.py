"""Requests to the API that another node answers: with the credential of who asks, or as a member
that is told of builds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Limit, RandomId, Wire

MAX_BODY_BYTES = 32 * 1024
"""Of a request; and of one part of an answer."""
MAX_ANSWER_BYTES = 8 << 20
"""As it is sent: deflated, where who asked takes that."""
MAX_UNPACKED_BYTES = 16 << 20
MAX_HEADERS = 16


@dataclass(frozen=True, slots=True)
class WireHeader(Wire):
    """A header of HTTP."""

    name: Annotated[str, Limit(1, 64)]
    value: Annotated[str, Limit(0, 8192)]


@message(
    178,
    priority=Priority.OTHER,
    sender="a node that somebody asked for what it can't do itself, or for a build of another node",
    receiver="the coordinator, or the node that it is about",
    effect="lets the request through its own gate, or not, and answers with ForwardAnswers; "
    "without a credential the sender itself asks, which is told of builds alone",
)
@dataclass(frozen=True, slots=True)
class ForwardAsk(Message):
    """A request, whole. ``target``: path and query; among the headers is the credential, if any;
    with ``accept-encoding`` ``deflate`` the answer's body may be deflated (RFC 1950)."""

    request: RandomId
    method: Annotated[str, Limit(1, 16)]
    target: Annotated[str, Limit(1, 4096)]
    headers: Annotated[tuple[WireHeader, ...], Limit(1, MAX_HEADERS)]
    body: Annotated[bytes, Limit(0, MAX_BODY_BYTES)]


@message(
    179,
    priority=Priority.OTHER,
    sender="who was asked by ForwardAsk",
    receiver="who asked",
    effect="hands it to who asked there",
)
@dataclass(frozen=True, slots=True)
class ForwardAnswer(Message):
    """A part of the answer; ``status`` and headers stand in each."""

    request: RandomId
    status: Annotated[int, Limit(100, 599)]
    headers: Annotated[tuple[WireHeader, ...], Limit(0, MAX_HEADERS)]
    part: Annotated[bytes, Limit(0, MAX_BODY_BYTES)]
    last: bool
