"""Results that are kept on a node that a build's configuration names, beside the one that made
them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Limit, RandomId, Text
from buildnet.pool.messages.results import SharedResult
from buildnet.pool.messages.work import MAX_OUTPUTS


@message(
    171,
    priority=Priority.OTHER,
    sender="a node that builds, for which a configuration names the receiver",
    receiver="the node that is to keep the build's results",
    effect="checks the result, fetches what it consists of from the sender, keeps it, and answers "
    "with ResultKept",
)
@dataclass(frozen=True, slots=True)
class ResultKeep(Message):
    """Keep this result. ``declared``: the outputs of its action, which runs in
    ``working_directory``."""

    request: RandomId
    result: SharedResult
    working_directory: Annotated[str, Limit(0, 4096)]
    declared: Annotated[tuple[Annotated[str, Limit(1, 4096)], ...], Limit(0, MAX_OUTPUTS)]


@message(
    172,
    priority=Priority.OTHER,
    sender="a node that was asked to keep a result",
    receiver="who asked",
    effect="takes it for kept, or tries again later",
)
@dataclass(frozen=True, slots=True)
class ResultKept(Message):
    """The result is kept whole; or ``problem`` says why not."""

    request: RandomId
    problem: Text | None
