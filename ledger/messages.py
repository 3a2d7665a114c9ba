"""Messages of the ledger: who holds what, entries, seals, and changes of shared facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.ledger.entry import MAX_ENTRY_BYTES, Incarnation
from buildnet.ledger.frontier import Advance
from buildnet.ledger.seal import MAX_SEAL_BYTES, SealRecord
from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Hash, Key, Limit, Name, Signature, Text, Wire

KINDS = range(100, 120)
MAX_BATCH_BYTES = 52 * 1024
"""Of entries or seals in one message."""
MAX_BATCH = 512
MAX_HEADS = 300

_EntryBytes = Annotated[bytes, Limit(65, MAX_ENTRY_BYTES)]


@message(
    100,
    priority=Priority.OTHER,
    sender="any member, when a link stands, and to some peers where something is new",
    receiver="a linked peer",
    effect="asks for entries and seals that it lacks (EntriesAsk, SealsAsk)",
)
@dataclass(frozen=True, slots=True)
class Heads(Message):
    """How far the sender's chains reach (some of them, where they are many), and
    its last final seal."""

    sealed: Counter
    seal_hash: Hash
    heads: Annotated[tuple[Advance, ...], Limit(0, MAX_HEADS)]


@message(
    101,
    priority=Priority.GOSSIP,
    sender="the origin that appended them, or who was asked",
    receiver="linked peers",
    effect="verifies, keeps and passes on what is new",
)
@dataclass(frozen=True, slots=True)
class Entries(Message):
    """Entries as they were signed, of one or more chains, ascending within each."""

    entries: Annotated[tuple[_EntryBytes, ...], Limit(1, MAX_BATCH)]


@message(
    102,
    priority=Priority.OTHER,
    sender="who lacks entries, or found some of its own damaged",
    receiver="a peer that has them",
    effect="answers with Entries, as many as go into one message",
)
@dataclass(frozen=True, slots=True)
class EntriesAsk(Message):
    """Please send this chain's entries from ``first`` to ``last``, both included."""

    origin: Key
    incarnation: Incarnation
    first: Annotated[int, Limit(1, 2**63 - 1)]
    last: Annotated[int, Limit(1, 2**63 - 1)]


@message(
    103,
    priority=Priority.GOSSIP,  # a proposal of the next height must not overtake it
    sender="the coordinator once a seal is final; whoever was asked",
    receiver="all members",
    effect="verifies and keeps them, once it holds their entries",
)
@dataclass(frozen=True, slots=True)
class Seals(Message):
    """Final seals, ascending by height without gaps."""

    seals: Annotated[tuple[SealRecord, ...], Limit(1, 64)]


@message(
    104,
    priority=Priority.OTHER,
    sender="who lacks seals",
    receiver="a peer that has them",
    effect="answers with Seals from that height on, as many as go into one message",
)
@dataclass(frozen=True, slots=True)
class SealsAsk(Message):
    """Please send final seals from ``height`` on."""

    height: Annotated[int, Limit(1, 2**63 - 1)]


@message(
    105,
    priority=Priority.GOSSIP,
    sender="a new quorum coordinator",
    receiver="the voters of the next height",
    effect="promises to accept nothing of a lower term, and says what it accepted",
)
@dataclass(frozen=True, slots=True)
class SealPrepare(Message):
    """I seal in ``term`` from ``height`` on."""

    term: Counter
    height: Annotated[int, Limit(1, 2**63 - 1)]


@dataclass(frozen=True, slots=True)
class AcceptedValue(Wire):
    """What a voter accepted last, above its last final seal."""

    term: Counter
    value: Annotated[bytes, Limit(1, MAX_SEAL_BYTES)]


@message(
    106,
    priority=Priority.GOSSIP,
    sender="a voter that was asked, once its promise is on disk",
    receiver="the coordinator",
    effect="seals once a majority promised; catches up first where the voter holds more seals",
)
@dataclass(frozen=True, slots=True)
class SealPromise(Message):
    """``promised``: the highest term promised (the asked one: granted). ``sealed``: height of the
    voter's last final seal."""

    term: Counter
    promised: Counter
    sealed: Counter
    accepted: AcceptedValue | None


@message(
    107,
    priority=Priority.GOSSIP,
    sender="the quorum coordinator",
    receiver="the voters",
    effect="checks the value, keeps it and answers with SealCosign; else with SealRefuse",
)
@dataclass(frozen=True, slots=True)
class SealPropose(Message):
    """Please cosign. ``value``: encoded ``SealValue``."""

    term: Counter
    value: Annotated[bytes, Limit(1, MAX_SEAL_BYTES)]


@message(
    108,
    priority=Priority.GOSSIP,
    sender="a voter, once the value and all its entries are on its disk",
    receiver="the coordinator",
    effect="with those of a majority the seal is final",
)
@dataclass(frozen=True, slots=True)
class SealCosign(Message):
    """``signature`` is of (cluster, height, value, term)."""

    term: Counter
    height: Counter
    value: Hash
    signature: Signature


@message(
    109,
    priority=Priority.GOSSIP,
    sender="a voter that can't cosign",
    receiver="the coordinator",
    effect="gives up the term, sends what the voter lacks, or proposes something else later",
)
@dataclass(frozen=True, slots=True)
class SealRefuse(Message):
    """``reason``: two or three stable words; ``promised`` and ``sealed`` as in SealPromise."""

    term: Counter
    height: Counter
    promised: Counter
    sealed: Counter
    reason: Name


@message(
    110,
    priority=Priority.OTHER,
    sender="who holds two entries of one origin at one place",
    receiver="all members",
    effect="keeps both as evidence, takes no more of that chain, and passes it on once",
)
@dataclass(frozen=True, slots=True)
class Equivocation(Message):
    """Two signed entries of the same chain and sequence that are not the same."""

    one: _EntryBytes
    other: _EntryBytes


@message(
    111,
    priority=Priority.OTHER,
    sender="a member whose owner or user changes a shared fact",
    receiver="the quorum coordinator",
    effect="appends it if the version still holds, and answers with FactAnswer once it is sealed",
)
@dataclass(frozen=True, slots=True)
class FactAsk(Message):
    """Set ``entity`` to ``data`` (JSON object; empty: delete it) if its last sealed version is
    ``expects``. ``draft``: encoded ``FactDraft`` with actor, reason and the like."""

    request: Annotated[bytes, Limit(16, 32)]
    entity: Annotated[str, Limit(1, 256)]
    expects: Counter
    draft: Annotated[bytes, Limit(1, MAX_ENTRY_BYTES)]


@message(
    112,
    priority=Priority.OTHER,
    sender="the coordinator",
    receiver="who sent FactAsk",
    effect="tells the person who asked",
)
@dataclass(frozen=True, slots=True)
class FactAnswer(Message):
    """``outcome``: ``done``, ``conflict``, ``refused`` or ``no quorum``; ``version`` is the sealed
    one now, ``entry`` the id of the entry that made it."""

    request: Annotated[bytes, Limit(16, 32)]
    outcome: Name
    version: Counter
    entry: Annotated[bytes, Limit(0, 32)]
    detail: Text


@message(
    113,
    priority=Priority.OTHER,
    sender="who was asked for entries, and kept no more of them than this",
    receiver="who asked",
    effect="keeps them as far as a final seal is over them: its root shows whether they are right",
)
@dataclass(frozen=True, slots=True)
class PrunedEntries(Message):
    """Of a chain's entries from ``first`` on, which were pruned: hash (32 bytes) and hybrid clock
    (8) of each."""

    origin: Key
    incarnation: Incarnation
    first: Annotated[int, Limit(2, 2**63 - 1)]
    entries: Annotated[tuple[Annotated[bytes, Limit(40, 40)], ...], Limit(1, MAX_BATCH)]
