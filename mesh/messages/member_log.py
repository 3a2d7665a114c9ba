"""Messages 40-49: how the member list becomes the same everywhere.

Between the coordinator and the voters: BallotAsk, BallotAnswer, Append, AppendAnswer. To and from
everybody: LogHead, EntriesAsk, Entries, ChangeAsk, ChangeRefused, Revocations. What is final proves
itself, so it does not matter who hands it on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.members.changes import Change
from buildnet.mesh.members.entry import CommitProof, Entry
from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Hash, Key, Limit, ShortHash, Signature, Text, Wire

MAX_ENTRIES = 64
MAX_ENTRIES_BYTES = 40 * 1024
"""What one message carries of entries, at most, with the envelope well below 64 KiB."""
MAX_LOCATOR = 40
MAX_REVOCATIONS = 16

EntryBatch = Annotated[tuple[Entry, ...], Limit(0, MAX_ENTRIES)]


@message(
    40,
    priority=Priority.ELECTION,
    sender="coordinator with a granted term",
    receiver="voters",
    effect="follows this ballot and no lower one, answers with what it holds",
)
@dataclass(frozen=True, slots=True)
class BallotAsk(Message):
    """Asks for a vote on the member list in the sender's term."""

    term: Counter
    epoch: Counter
    recovery: Hash


@message(
    41,
    priority=Priority.ELECTION,
    sender="voter",
    receiver="coordinator",
    effect="with a majority of them, the newest chain among them goes on",
)
@dataclass(frozen=True, slots=True)
class BallotAnswer(Message):
    """A vote, and the chain that the voter holds: in which ballot it took it, how far it goes."""

    term: Counter
    accepted_term: Counter
    accepted_coordinator: Key
    version: Counter
    head: Hash
    committed: Counter
    signature: Signature


@message(
    42,
    priority=Priority.OTHER,
    sender="coordinator with a ballot",
    receiver="voters that voted for it",
    effect="keeps the entries on disk, in place of what it held beyond, and answers",
)
@dataclass(frozen=True, slots=True)
class Append(Message):
    """Entries after ``previous``. ``base``: how far the ballot's chain went when it began; a voter
    takes the ballot's chain up to there at once or not at all."""

    term: Counter
    epoch: Counter
    recovery: Hash
    base: Counter
    base_head: Hash
    previous: Counter
    previous_head: Hash
    entries: EntryBatch


@message(
    43,
    priority=Priority.OTHER,
    sender="voter",
    receiver="coordinator",
    effect="with a majority of them, the entries are final",
)
@dataclass(frozen=True, slots=True)
class AppendAnswer(Message):
    """The chain up to ``version`` is on the voter's disk; without ``signature`` it is not: the
    coordinator shall send what comes after ``version``."""

    term: Counter
    version: Counter
    head: Hash
    signature: Signature | None


@message(
    44,
    priority=Priority.GOSSIP,
    sender="member",
    receiver="member",
    effect="asks for entries if it holds less, sends entries if it holds more",
)
@dataclass(frozen=True, slots=True)
class LogHead(Message):
    """How far the sender's final list goes."""

    epoch: Counter
    recovery: Hash
    version: Counter
    head: Hash


@dataclass(frozen=True, slots=True)
class Point(Wire):
    """A version and the beginning of its hash."""

    version: Counter
    head: ShortHash


@message(
    45,
    priority=Priority.OTHER,
    sender="member",
    receiver="member",
    effect="answers with the entries after the newest point that it knows too",
)
@dataclass(frozen=True, slots=True)
class EntriesAsk(Message):
    """Points of the sender's chain, newest first. ``accepted``: not only final entries are wanted,
    but all that the voter keeps."""

    accepted: bool
    points: Annotated[tuple[Point, ...], Limit(1, MAX_LOCATOR)]


@message(
    46,
    priority=Priority.OTHER,
    sender="member",
    receiver="member",
    effect="checks them and, once they reach what the proof shows to be final, takes them over",
)
@dataclass(frozen=True, slots=True)
class Entries(Message):
    """Entries after ``previous``; ``proof`` is of the newest final version of the sender."""

    accepted: bool
    previous: Counter
    previous_head: Hash
    entries: EntryBatch
    proof: CommitProof


@message(
    47,
    priority=Priority.OTHER,
    sender="member",
    receiver="coordinator",
    effect="checks the change and puts it into the chain, once",
)
@dataclass(frozen=True, slots=True)
class ChangeAsk(Message):
    """A signed change that shall happen."""

    change: Change


@message(
    48,
    priority=Priority.OTHER,
    sender="coordinator",
    receiver="who asked for the change",
    effect="tells whoever waits that it did not happen",
)
@dataclass(frozen=True, slots=True)
class ChangeRefused(Message):
    """The change will not happen, and why. (That one happened is told by its entry.)"""

    change_id: Hash
    reason: Annotated[str, Limit(1, 64)]
    message: Text
    hint: Text


@message(
    49,
    priority=Priority.ELECTION,
    sender="member",
    receiver="member",
    effect="holds the revocations: the keys are refused at once, before they are sequenced",
)
@dataclass(frozen=True, slots=True)
class Revocations(Message):
    """Signed revocations that are not sequenced yet, as the sender knows."""

    changes: Annotated[tuple[Change, ...], Limit(1, MAX_REVOCATIONS)]


def signatures_in(message: Message) -> int:
    """Return how many signed entries or changes a message brings: what it costs to verify."""
    match message:
        case Append(entries=signed) | Entries(entries=signed) | Revocations(changes=signed):
            return len(signed)
        case _:
            return 0
