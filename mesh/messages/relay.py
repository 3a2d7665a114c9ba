"""Messages of relaying: two members that can't dial each other talk through a third.

A session has a number on each of the relay's two links. What :class:`RelayData` carries is a
handshake and then sealed frames between the two ends: the relay can drop them, but not read or
change them. What is relayed waits for all that the relay itself has to say: whatever is inside, the
ends choose. The end of a session comes after its data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Key, Limit, RandomId

MAX_RELAYED_BYTES = 62 * 1024
_Data = Annotated[bytes, Limit(0, MAX_RELAYED_BYTES)]
_Reason = Annotated[str, Limit(0, 64)]


@message(
    60,
    priority=Priority.PROBE,
    sender="a member that can't dial another one",
    receiver="a member that is linked to both",
    effect="offers a session to the target, or refuses with RelayClose",
)
@dataclass(frozen=True, slots=True)
class RelayOpen(Message):
    """Open a session to ``target``; ``session`` is its number on this link."""

    session: Counter
    target: Key


@message(
    61,
    priority=Priority.PROBE,
    sender="the relay",
    receiver="the target",
    effect="awaits the other end's handshake in this session",
)
@dataclass(frozen=True, slots=True)
class RelayOffer(Message):
    """``source`` opens a session through the sender; ``session`` is its number on this link."""

    session: Counter
    source: Key


@message(
    62,
    priority=Priority.OTHER,
    sender="either end, or the relay",
    receiver="the relay, or either end",
    effect="handed on by the relay; taken as a message of the connection by the end",
)
@dataclass(frozen=True, slots=True)
class RelayData(Message):
    """One message of the session."""

    session: Counter
    data: _Data


@message(
    63,
    priority=Priority.OTHER,
    sender="either end, or the relay",
    receiver="the relay, or either end",
    effect="ends the session; the relay tells the other end",
)
@dataclass(frozen=True, slots=True)
class RelayClose(Message):
    """The session is over, or never began."""

    session: Counter
    reason: _Reason


@message(
    64,
    priority=Priority.OTHER,
    sender="a member that opened a bulk connection to the relay, through the relay",
    receiver="the member it wants to reach",
    effect="opens a bulk connection to the relay with the same ticket; the relay splices the two",
)
@dataclass(frozen=True, slots=True)
class BulkOffer(Message):
    """``source`` waits at the sender with ``ticket`` for a bulk connection."""

    ticket: RandomId
    source: Key
