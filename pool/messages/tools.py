"""Which tools hosts have, and of what platform they are: asked for what the driver of a build lacks
itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Limit, Name, RandomId, Wire
from buildnet.pool.messages.work import Setting

MAX_TOOLS = 64
"""Of one question: declared tools, and as many other programs."""


@dataclass(frozen=True, slots=True)
class ToolTold(Wire):
    """A tool as it is known to who declares it, and what it is called by there. ``identity``: what
    stands in keys."""

    name: Name
    command: Name
    version: Annotated[str, Limit(0, 128)]
    identity: Annotated[str, Limit(1, 1024)]


@message(
    175,
    priority=Priority.OTHER,
    sender="a node that builds, of tools or a platform that it lacks",
    receiver="linked members",
    effect="answers with ToolsAnswer: what it has of them and lends",
)
@dataclass(frozen=True, slots=True)
class ToolsAsk(Message):
    """Have you these tools? None: of what platform are you? ``words``: other programs that a
    command names."""

    request: RandomId
    tools: Annotated[tuple[Name, ...], Limit(0, MAX_TOOLS)]
    words: Annotated[tuple[Name, ...], Limit(0, MAX_TOOLS)]


@message(
    176,
    priority=Priority.OTHER,
    sender="a member that was asked by ToolsAsk",
    receiver="who asked",
    effect="makes the key of the action with these, and has it run by such a host alone",
)
@dataclass(frozen=True, slots=True)
class ToolsAnswer(Message):
    """What the sender has, none if it lends nothing now; ``platform``: what keys say of its host.
    ``words``: identities by program."""

    request: RandomId
    platform: Annotated[tuple[Setting, ...], Limit(0, 16)]
    tools: Annotated[tuple[ToolTold, ...], Limit(0, MAX_TOOLS)]
    words: Annotated[tuple[Setting, ...], Limit(0, MAX_TOOLS)]
