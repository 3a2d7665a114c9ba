"""What an admin's node asks others of those who use them: who is there, send somebody away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Limit, RandomId, Text

MAX_FOUND_CHARACTERS = 40 * 1024
LIST, END, HAND_OVER = "list", "end", "hand over"

_Name = Annotated[str, Limit(0, 128)]


@message(
    185,
    priority=Priority.OTHER,
    sender="the node of an admin",
    receiver="any other node",
    effect="does it, and answers with SessionsAnswer",
)
@dataclass(frozen=True, slots=True)
class SessionsAsk(Message):
    """``what``: list who uses the receiver, end the session ``whose``, or hand over the builds of
    ``whose`` to the actor ``to``; ``actor``: who asks, for the ledger."""

    request: RandomId
    what: Annotated[str, Limit(1, 16)]
    whose: _Name
    to: _Name
    actor: _Name
    reason: Annotated[str, Limit(0, 1000)]


@message(
    186,
    priority=Priority.OTHER,
    sender="who was asked about those who use it",
    receiver="who asked",
    effect="shows it to whoever asked there",
)
@dataclass(frozen=True, slots=True)
class SessionsAnswer(Message):
    """``refused``: why nothing was done, None: it was; ``found``: a JSON list of those who are
    there, of the session that ended, or of the builds that were handed over; ``left_out``: how many
    are not in it for want of room."""

    request: RandomId
    refused: Text | None
    hint: Text
    found: Annotated[str, Limit(2, MAX_FOUND_CHARACTERS)]
    left_out: Annotated[int, Limit(0, 1 << 20)]
