"""What an admin asks of another node's host: be drained, lend again, have other tags and limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Limit, RandomId, Text

MAX_CHANGE_CHARACTERS = 16 * 1024


@message(
    150,
    priority=Priority.OTHER,
    sender="the node of an admin",
    receiver="any other node",
    effect="takes the terms, if its owner allows that, and answers with HostAnswer",
)
@dataclass(frozen=True, slots=True)
class HostAsk(Message):
    """Change the terms of the receiver's host. ``change``: a JSON object of those that change,
    by name; ``{}`` only asks what is in flight. ``actor``: who asks, for the ledger."""

    request: RandomId
    change: Annotated[str, Limit(2, MAX_CHANGE_CHARACTERS)]
    actor: Annotated[str, Limit(0, 128)]


@message(
    151,
    priority=Priority.OTHER,
    sender="who was asked to change the terms of its host",
    receiver="who asked",
    effect="shows it to whoever asked there",
)
@dataclass(frozen=True, slots=True)
class HostAnswer(Message):
    """How it is now. ``refused``: why nothing changed, None: it is as was asked; ``leases``: how
    many it has granted to others; ``running``: how many commands of others run; ``builds``: how
    many builds it drives."""

    request: RandomId
    refused: Text | None
    hint: Text
    draining: bool
    leases: Annotated[int, Limit(0, 1 << 20)]
    running: Annotated[int, Limit(0, 1 << 20)]
    builds: Annotated[int, Limit(0, 1 << 20)]
