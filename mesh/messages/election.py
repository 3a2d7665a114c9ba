"""What is said in elections: kinds 1 to 19."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from buildnet.mesh.election.promise import Certificate, Position
from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Key, Limit, ShortHash, Signature

_Level = Annotated[int, Limit(0, 255)]
_Round = Annotated[int, Limit(0, 2**32 - 1)]
_Reached = Annotated[tuple[Key, ...], Limit(0, 1024)]


class Hears(IntEnum):
    """Whom a node hears as coordinator."""

    NOBODY = 0
    PROVISIONAL = 1
    """One without a majority of the voters now."""
    QUORUM = 2


class Verdict(IntEnum):
    """What a voter says to a candidate."""

    GRANTED = 0
    PROMISED = 1
    """That counter, or a higher one, belongs to another candidate or process."""
    HEARS = 2
    """It hears a coordinator that has its quorum."""
    OLDER = 3
    """The candidate's member list lacks entries."""
    JUMP = 4
    """The counter lies so far beyond what the voter knows that it follows only part of the way;
    a certificate would prove it."""
    UNFIT = 5
    """The candidate may not stand: no member, an observer, or revoked."""


@message(
    1,
    priority=Priority.ELECTION,
    sender="coordinator, every 200 ms",
    receiver="linked members",
    effect="keeps the coordinator in office; who does not know its term asks for it; who lacks "
    "entries of the member list fetches them",
)
@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """The coordinator is there. ``version`` and ``head`` are of the committed member list."""

    counter: Counter
    granted: bool
    quorum: bool
    beat: Counter
    version: Counter
    head: ShortHash
    reached: Counter


@message(
    2,
    priority=Priority.ELECTION,
    sender="follower: voters at each heartbeat, others at each fourth",
    receiver="coordinator",
    effect="counts for the quorum unless the voter promised a higher term; measures the round trip",
)
@dataclass(frozen=True, slots=True)
class HeartbeatAck(Message):
    """A heartbeat arrived; ``promised`` is the highest counter that the follower promised."""

    counter: Counter
    beat: Counter
    promised: Counter


@message(
    3,
    priority=Priority.ELECTION,
    sender="member that misses the coordinator",
    receiver="linked members",
    effect="is answered with whom the receiver hears; nothing else changes (pre-vote)",
)
@dataclass(frozen=True, slots=True)
class MissAsk(Message):
    """Do you also miss the coordinator?"""

    round: _Round


@message(
    4,
    priority=Priority.ELECTION,
    sender="member",
    receiver="who asked",
    effect="the asker goes on if a majority of the voters hears no coordinator with quorum",
)
@dataclass(frozen=True, slots=True)
class MissAnswer(Message):
    """Whom this node hears (:class:`Hears`), and the highest counter that it promised."""

    round: _Round
    hears: _Level
    promised: Counter


@message(
    5,
    priority=Priority.ELECTION,
    sender="candidate",
    receiver="linked, living members of higher rank",
    effect="the receiver takes over if it can (bully)",
)
@dataclass(frozen=True, slots=True)
class ElectionCall(Message):
    """ELECTION of the bully algorithm. ``majority``: the caller reaches one of the voters."""

    round: _Round
    position: Position
    majority: bool


@message(
    6,
    priority=Priority.ELECTION,
    sender="member of higher rank",
    receiver="candidate",
    effect="the candidate waits up to 1 s for a coordinator, or goes on at once",
)
@dataclass(frozen=True, slots=True)
class ElectionAnswer(Message):
    """ANSWER of the bully algorithm: whether the higher rank stands itself."""

    round: _Round
    takes_over: bool


@message(
    11,
    priority=Priority.ELECTION,
    sender="coordinator",
    receiver="successor, and with its request the voters",
    effect="the successor asks for promises at once; voters grant them though they hear the "
    "coordinator",
)
@dataclass(frozen=True, slots=True)
class Transfer(Message):
    """The coordinator of the term ``counter`` hands over; signed, so it can be shown."""

    counter: Counter
    successor: Key
    signature: Signature


@message(
    7,
    priority=Priority.ELECTION,
    sender="candidate",
    receiver="linked voters",
    effect="the voter promises the term, on disk first, or says why not",
)
@dataclass(frozen=True, slots=True)
class PromiseAsk(Message):
    """Promise me this term. ``proof``: that counters near it were in use."""

    counter: Counter
    boot: Counter
    position: Position
    transfer: Transfer | None
    proof: Certificate | None


@message(
    8,
    priority=Priority.ELECTION,
    sender="voter",
    receiver="candidate",
    effect="a majority of granted promises makes the candidate coordinator; a refusal names the "
    "counter to exceed",
)
@dataclass(frozen=True, slots=True)
class PromiseAnswer(Message):
    """A promise, or a refusal (:class:`Verdict`). ``signature`` is of the promise's statement.

    ``accepted_term`` and ``version`` say how far the voter's member log reaches.
    """

    counter: Counter
    verdict: _Level
    promised: Counter
    accepted_term: Counter
    version: Counter
    signature: Signature | None
    proof: Certificate | None


@message(
    9,
    priority=Priority.ELECTION,
    sender="coordinator; any follower, to who is behind",
    receiver="linked members",
    effect="a proven higher term is followed; a provisional one only if no better one is heard; "
    "who lacks entries of the coordinator's member list fetches them",
)
@dataclass(frozen=True, slots=True)
class Coordinator(Message):
    """COORDINATOR(term, members it reaches); a granted one carries its certificate."""

    coordinator: Key
    counter: Counter
    granted: bool
    quorum: bool
    beat: Counter
    version: Counter
    reached: _Reached
    certificate: Certificate | None


@message(
    10,
    priority=Priority.ELECTION,
    sender="member that hears of a term it does not know",
    receiver="who spoke in that term",
    effect="is answered with Coordinator",
)
@dataclass(frozen=True, slots=True)
class CoordinatorAsk(Message):
    """Who coordinates? ``counter`` is the highest granted term that the sender knows."""

    counter: Counter


@message(
    12,
    priority=Priority.ELECTION,
    sender="admin member",
    receiver="coordinator",
    effect="the coordinator hands over to the successor",
)
@dataclass(frozen=True, slots=True)
class PromoteAsk(Message):
    """Hand the office over to ``successor``."""

    successor: Key


@message(
    13,
    priority=Priority.ELECTION,
    sender="member",
    receiver="provisional coordinator, or candidate, of a lower term",
    effect="a proven higher term is the least that the receiver names from then on",
)
@dataclass(frozen=True, slots=True)
class TermProof(Message):
    """That term was won, though its coordinator may be gone."""

    certificate: Certificate
