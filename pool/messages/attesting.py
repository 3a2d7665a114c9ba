"""Where a file comes from: the node that made it is asked for its signed word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Limit, RandomId, Text
from buildnet.pool.messages.results import WireDigest

MAX_DESCRIPTION_BYTES = 64 * 1024
"""Of an encoded ``Action`` or ``Command``."""

_Description = Annotated[bytes, Limit(0, MAX_DESCRIPTION_BYTES)]


@message(
    190,
    priority=Priority.OTHER,
    sender="a node that is asked where files come from",
    receiver="the member whose key signed their result",
    effect="signs a statement of how it made them, if it did and still has the result, keeps it as "
    "a blob, and answers with AttestAnswer",
)
@dataclass(frozen=True, slots=True)
class AttestAsk(Message):
    """State the provenance of a result. ``action`` names it; the messages of that name and of its
    command come along, for who ran it need not have them any more."""

    request: RandomId
    action: WireDigest
    described: _Description
    command: _Description


@message(
    191,
    priority=Priority.OTHER,
    sender="who was asked for the provenance of a result",
    receiver="who asked",
    effect="fetches the statement, checks it, and hands it on",
)
@dataclass(frozen=True, slots=True)
class AttestAnswer(Message):
    """``statement``: the DSSE envelope as JSON, a blob of the sender; None: ``refused`` says why
    there is none."""

    request: RandomId
    statement: WireDigest | None
    refused: Text | None
