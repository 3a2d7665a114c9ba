"""Messages of membership: probes, what came of them, and who is believed to be in which state.

SWIM (Das, Gupta, Motivala 2002) with Lifeguard's nacks (Dadgar, Phillips, Currey 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Limit, ShortHash, Wire

MAX_PIGGYBACK = 12
MAX_NEWS = 512

NodeId = ShortHash  # the first 8 bytes of a node's key: unique within a cluster


@dataclass(frozen=True, slots=True)
class StatusUpdate(Wire):
    """Somebody's word on ``node``. ``accuser`` is who suspects it or declared it dead."""

    node: NodeId
    incarnation: Counter
    status: Annotated[int, Limit(0, 2)]
    accuser: NodeId | None = None


Updates = Annotated[tuple[StatusUpdate, ...], Limit(0, MAX_PIGGYBACK)]


@message(
    20,
    priority=Priority.PROBE,
    sender="any member",
    receiver="a linked peer",
    effect="answers with Ack at once",
)
@dataclass(frozen=True, slots=True)
class Ping(Message):
    """Are you there? ``incarnation`` is the sender's own."""

    number: Counter
    incarnation: Counter
    updates: Updates


@message(
    21,
    priority=Priority.PROBE,
    sender="who got a Ping",
    receiver="who sent it",
    effect="ends the probe; the round trip is measured",
)
@dataclass(frozen=True, slots=True)
class Ack(Message):
    """I am here. ``number`` is the Ping's, ``incarnation`` the sender's own."""

    number: Counter
    incarnation: Counter
    updates: Updates


@message(
    22,
    priority=Priority.PROBE,
    sender="who got no answer from target",
    receiver="a linked peer that may reach target",
    effect="pings target and answers with PingReport",
)
@dataclass(frozen=True, slots=True)
class PingRequest(Message):
    """Please ping ``target`` for me."""

    number: Counter
    target: NodeId


@message(
    23,
    priority=Priority.PROBE,
    sender="who got a PingRequest",
    receiver="who sent it",
    effect="reached ends the probe; not reached (a nack) shows that the asker itself is healthy",
)
@dataclass(frozen=True, slots=True)
class PingReport(Message):
    """What came of a PingRequest."""

    number: Counter
    reached: bool


@message(
    24,
    priority=Priority.PROBE,
    sender="any member",
    receiver="linked peers",
    effect="merges the updates; the newer ones spread further, older ones are corrected",
)
@dataclass(frozen=True, slots=True)
class StatusNews(Message):
    """Updates that do not wait for the next probe; ``whole``: all that the sender knows."""

    updates: Annotated[tuple[StatusUpdate, ...], Limit(0, MAX_NEWS)]
    whole: bool
