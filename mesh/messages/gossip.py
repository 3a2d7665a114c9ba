"""Messages of gossip: records as rumours, and comparing who holds which (anti-entropy)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.gossip.records import Record, Topic
from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Key, Limit, ShortHash, Wire

MAX_TOPICS = 12
MAX_OWNERS = 128
"""In one digest: reading it takes a few milliseconds at most."""
MAX_WANTED = 512
MAX_RECORDS = 64
"""In one message: checking their signatures takes a few milliseconds at most."""


@dataclass(frozen=True, slots=True)
class Mark(Wire):
    """Which version of a topic somebody holds; ``signature`` is the first 8 bytes of it."""

    topic: Topic
    boot: Counter
    version: Counter
    signature: ShortHash

    @property
    def age_order(self) -> tuple[int, int, bytes]:
        """Comparable with :attr:`~buildnet.mesh.gossip.records.Record.age_order`."""
        return (self.boot, self.version, self.signature)


@dataclass(frozen=True, slots=True)
class OwnerMarks(Wire):
    """What somebody holds of ``owner``."""

    owner: Key
    marks: Annotated[tuple[Mark, ...], Limit(0, MAX_TOPICS)]


@dataclass(frozen=True, slots=True)
class Wanted(Wire):
    """One record that is asked for."""

    owner: Key
    topic: Topic


@message(
    30,
    priority=Priority.GOSSIP,
    sender="any member, when a link stands and every 10 s",
    receiver="a linked peer",
    effect="nothing if its own summary is the same; else it answers with Digest",
)
@dataclass(frozen=True, slots=True)
class Summary(Message):
    """A hash over all records that the sender holds."""

    summary: ShortHash


@message(
    31,
    priority=Priority.GOSSIP,
    sender="who got a Summary or Digest that differs from what it holds",
    receiver="who sent that",
    effect="asks for what is newer (Ask), offers what the sender lacks (Digest, not complete)",
)
@dataclass(frozen=True, slots=True)
class Digest(Message):
    """What the sender holds. ``complete``: it holds nothing else of the owners between ``first``
    and ``last`` (both included), else these are offers."""

    complete: bool
    first: Key
    last: Key
    owners: Annotated[tuple[OwnerMarks, ...], Limit(0, MAX_OWNERS)]


@message(
    32,
    priority=Priority.GOSSIP,
    sender="who saw newer records in a Digest",
    receiver="who sent it",
    effect="answers with Records",
)
@dataclass(frozen=True, slots=True)
class Ask(Message):
    """Please send me these."""

    wanted: Annotated[tuple[Wanted, ...], Limit(1, MAX_WANTED)]


@message(
    33,
    priority=Priority.GOSSIP,
    sender="who has something new (rumour), or was asked",
    receiver="linked peers",
    effect="verifies each, keeps the newer ones, tells three others, of large ones by a Digest",
)
@dataclass(frozen=True, slots=True)
class Records(Message):
    """Records, each signed by its owner; below 60 KiB together."""

    records: Annotated[tuple[Record, ...], Limit(1, MAX_RECORDS)]
