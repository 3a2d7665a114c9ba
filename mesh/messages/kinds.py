"""Kinds of messages: their numbers, how urgent they are, and who says them to whom.

Numbers are for ever: 1-19 election, 20-29 membership, 30-39 gossip, 40-49 member list,
50-59 admission, 60-69 relay, 70-79 bulk; 100 and up belong to the rooms above: 100-119 ledger,
120-199 pool.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from buildnet.mesh.wire import Wire, WireError


class Priority(IntEnum):
    """Which message goes first where a link is busy; less is sooner."""

    ELECTION = 0
    PROBE = 1
    GOSSIP = 2
    OTHER = 3


@dataclass(frozen=True, slots=True)
class Message(Wire):
    """Base of what one node says to another. The sender's key travels in the envelope."""

    def supersedes(self) -> Hashable | None:
        """Return a key: a newer message of this kind and key takes the place of one that still
        waits to be sent. None: each is sent."""
        return None


@dataclass(frozen=True, slots=True)
class MessageKind:
    """One row of the table of kinds. ``effect`` says what the receiver does, for people."""

    number: int
    record: type[Message]
    priority: Priority
    sender: str
    receiver: str
    effect: str


MessageType = TypeVar("MessageType", bound=type[Message])
_by_number: dict[int, MessageKind] = {}
_by_record: dict[type[Message], MessageKind] = {}


def message(
    number: int, *, priority: Priority, sender: str, receiver: str, effect: str
) -> Callable[[MessageType], MessageType]:
    """Class decorator: give a record its number and its row in the table of kinds."""

    def register(record: MessageType) -> MessageType:
        known = _by_number.get(number)
        if known is not None and known.record.__qualname__ != record.__qualname__:
            raise ValueError(f"kind {number} is {known.record.__name__} already")
        kind = MessageKind(number, record, priority, sender, receiver, effect)
        _by_number[number] = kind
        _by_record[record] = kind
        return record

    return register


def kind_of(said: Message) -> MessageKind:
    """Return the row of a message's kind."""
    return _by_record[type(said)]


def kinds() -> list[MessageKind]:
    """Return the table of all kinds, by number."""
    return [_by_number[number] for number in sorted(_by_number)]


def decode_message(number: int, payload: bytes) -> Message | None:
    """Read a message of kind ``number``; None: a kind that this version does not know.

    Raises:
        WireError: the payload is none of that kind.
    """
    kind = _by_number.get(number)
    return None if kind is None else kind.record.decode(payload)


__all__ = [
    "Message",
    "MessageKind",
    "Priority",
    "WireError",
    "decode_message",
    "kind_of",
    "kinds",
    "message",
]
