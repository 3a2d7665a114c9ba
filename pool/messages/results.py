"""Who has which results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.digest import Digest
from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Hash, Key, Limit, RandomId, Signature, Text, Wire

MAX_ASKED = 512
"""Actions in one question."""
MAX_ANSWER_BYTES = 48 * 1024
"""Of encoded results in one answer."""
MAX_RESULT_BYTES = 32 * 1024
"""A longer one is fetched like any blob."""


@dataclass(frozen=True, slots=True)
class WireDigest(Wire):
    """The address of a blob."""

    hash: Hash
    size_bytes: Counter

    @classmethod
    def of(cls, digest: Digest) -> WireDigest:
        """Return a digest in the form that travels."""
        return cls(bytes.fromhex(digest.hash), digest.size_bytes)

    @property
    def digest(self) -> Digest:
        """The digest."""
        return Digest(self.hash.hex(), self.size_bytes)


@dataclass(frozen=True, slots=True)
class SharedResult(Wire):
    """The result of an action as its executor ``worker`` signed it.

    ``result`` is an encoded ``ActionResult``; None: it is long, and the blob ``result_digest`` of
    who sent this. ``created_ms``: unix time; ``duration_ms``: how long the command ran.
    """

    action: WireDigest
    isolation: Annotated[str, Limit(1, 32)]
    worker: Key
    signature: Signature
    created_ms: Counter
    duration_ms: Counter
    label: Text
    result_digest: WireDigest
    result: Annotated[bytes, Limit(0, MAX_RESULT_BYTES)] | None


@message(
    120,
    priority=Priority.OTHER,
    sender="a node that builds, before it runs commands",
    receiver="linked members that may have run them before",
    effect="answers with ResultAnswer: the results that it has whole",
)
@dataclass(frozen=True, slots=True)
class ResultAsk(Message):
    """Have you results of these actions? ``phase``: else the sender runs them itself, sooner or
    later (1) or at once (2); 0: it does not."""

    request: RandomId
    actions: Annotated[tuple[WireDigest, ...], Limit(1, MAX_ASKED)]
    phase: Annotated[int, Limit(0, 2)]


@message(
    121,
    priority=Priority.OTHER,
    sender="a member that was asked by ResultAsk",
    receiver="who asked",
    effect="checks signature and level, fetches the outputs from the sender, and runs nothing",
)
@dataclass(frozen=True, slots=True)
class ResultAnswer(Message):
    """The results that the sender has, in one or more messages; ``last``: no other follows.
    ``running``: what it has none of, but its own builds run now; ``starting``: or are about to;
    ``intended``: or will sooner or later."""

    request: RandomId
    results: Annotated[tuple[SharedResult, ...], Limit(0, MAX_ASKED)]
    last: bool
    running: Annotated[tuple[WireDigest, ...], Limit(0, MAX_ASKED)]
    starting: Annotated[tuple[WireDigest, ...], Limit(0, MAX_ASKED)]
    intended: Annotated[tuple[WireDigest, ...], Limit(0, MAX_ASKED)]

    def __post_init__(self) -> None:
        told = (self.results, self.running, self.starting, self.intended)
        if sum(map(len, told)) > MAX_ASKED:
            raise ValueError("more than was asked for")
