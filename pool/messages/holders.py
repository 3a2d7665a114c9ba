"""Who has which blobs: asked before many bytes are fetched, so that they come from nearby."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Limit, RandomId
from buildnet.pool.messages.results import WireDigest

MAX_BLOBS = 256


@message(
    155,
    priority=Priority.PROBE,
    sender="a node that is about to fetch many bytes",
    receiver="members near to it",
    effect="answers with HoldersAnswer",
)
@dataclass(frozen=True, slots=True)
class HoldersAsk(Message):
    """Which of these blobs do you have?"""

    request: RandomId
    blobs: Annotated[tuple[WireDigest, ...], Limit(1, MAX_BLOBS)]


@message(
    156,
    priority=Priority.PROBE,
    sender="a member that was asked",
    receiver="the node that asked",
    effect="fetches from it what it has, if it is the nearest one",
)
@dataclass(frozen=True, slots=True)
class HoldersAnswer(Message):
    """``has``: the places in the question of the blobs that the sender has, from 0."""

    request: RandomId
    has: Annotated[tuple[Annotated[int, Limit(0, MAX_BLOBS - 1)], ...], Limit(0, MAX_BLOBS)]
