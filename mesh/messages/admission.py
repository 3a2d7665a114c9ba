"""Messages of admission: what a node that wants to join and a member say to each other.

They travel in a sealed conversation of two, not in envelopes: the one side is no member yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.gossip.records import Record
from buildnet.mesh.members.changes import Change
from buildnet.mesh.members.entry import CommitProof, Entry
from buildnet.mesh.members.genesis import Genesis, Role, Word, check_name
from buildnet.mesh.members.invitation import FINGERPRINT_BYTES
from buildnet.mesh.members.statement import statement
from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Key, Limit, Name, Signature, Text, Wire

MAX_PART_BYTES = 48 * 1024
MAX_NEIGHBOURS = 64
MAX_REQUESTS = 32
MAX_REJECTED = 64
REQUEST_ID_BYTES = 6
_Fingerprint = Annotated[bytes, Limit(FINGERPRINT_BYTES, FINGERPRINT_BYTES)]
_RequestId = Annotated[bytes, Limit(REQUEST_ID_BYTES, REQUEST_ID_BYTES)]


@dataclass(frozen=True, slots=True)
class Ticket(Wire):
    """The part of a token that may be shown: who holds its secret signed the joiner's key."""

    fingerprint: _Fingerprint
    invitation: Key
    proof: Signature


@dataclass(frozen=True, slots=True)
class JoinOffer(Wire):
    """Who wants to join, in the handshake's third message. Without ``ticket``: people decide."""

    name: Name
    role: Word
    ticket: Ticket | None

    def __post_init__(self) -> None:
        Role(self.role)
        check_name(self.name)


def ticket_statement(fingerprint: bytes, joiner: bytes, name: str, role: str) -> bytes:
    """Return what the invitation's key signs in a :class:`Ticket`; it admits nobody yet."""
    return statement("join offer", fingerprint, joiner, name, role)


@dataclass(frozen=True, slots=True)
class JoinWelcome(Wire):
    """What a member says in the handshake's last message to who is to be let in. ``hlc``: its
    hybrid clock, by which the joiner dates its change; the joiner's own may be far off."""

    hlc: Counter


@message(
    50,
    priority=Priority.OTHER,
    sender="a member that was asked to let somebody join",
    receiver="the node that wants to join",
    effect="checks the chain from the genesis to the sender before it says more",
)
@dataclass(frozen=True, slots=True)
class ChainPart(Message):
    """A part of the member list's chain; ``genesis`` in the first, ``proof`` in the last one."""

    genesis: Genesis | None
    entries: tuple[Entry, ...]
    proof: CommitProof | None


@message(
    51,
    priority=Priority.OTHER,
    sender="the node that wants to join by an invitation",
    receiver="the member that it asked",
    effect="proposes the change to the coordinator",
)
@dataclass(frozen=True, slots=True)
class JoinProposal(Message):
    """The change by which the sender lets itself in."""

    change: Change


@message(
    52,
    priority=Priority.OTHER,
    sender="the member that was asked",
    receiver="the node that wants to join",
    effect="is a member, or says why not",
)
@dataclass(frozen=True, slots=True)
class JoinDone(Message):
    """What became of it; ``code`` empty: the sender is admitted, the chain's rest follows."""

    code: Annotated[str, Limit(0, 64)]
    detail: Text
    hint: Text


@message(
    53,
    priority=Priority.OTHER,
    sender="the member that was asked",
    receiver="the node that was let in",
    effect="keeps the addresses: it finds the others although the sender may be gone",
)
@dataclass(frozen=True, slots=True)
class Neighbours(Message):
    """The last word of an admission: "address" records of members, each signed by its owner."""

    records: Annotated[tuple[Record, ...], Limit(0, MAX_NEIGHBOURS)]


@dataclass(frozen=True, slots=True)
class JoinRequest(Wire):
    """Somebody asks to be let in and waits at a member. Times are durations, counted from when
    the record was told: the clocks of two hosts may differ."""

    id: _RequestId
    key: Key
    name: Name
    role: Word
    remote: Annotated[str, Limit(0, 128)]
    code: Annotated[str, Limit(1, 32)]
    """What both sides show to people, who compare it."""
    waited_ms: Counter
    left_ms: Counter


@dataclass(frozen=True, slots=True)
class RequestsBody(Wire):
    """Body of a member's record of the topic "requests": who waits there, and which requests,
    here or elsewhere, its owner's admin rejected."""

    waiting: Annotated[tuple[JoinRequest, ...], Limit(0, MAX_REQUESTS)]
    rejected: Annotated[tuple[_RequestId, ...], Limit(0, MAX_REJECTED)]
