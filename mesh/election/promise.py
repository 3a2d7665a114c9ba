"""Promises of voters: signed statements that a term belongs to a candidate.

A term's counter is unique because a voter promises it once, and on disk before it says so. A
majority of such statements is a certificate: whoever holds the member list can check that a
coordinator won its term, also when somebody else repeats it.

The statement names the candidate's boot number beside its key: a coordinator that crashed and came
up again may not win the same term a second time, having forgotten what it did in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

from buildnet.mesh import cbor
from buildnet.mesh.events import Fact
from buildnet.mesh.local import Local
from buildnet.mesh.wire import Counter, Hash, Key, Limit, Signature, Wire

RAISE_PER_S = 2**30
"""How fast each candidate may raise what a voter promised, with as much at once: one that is
hostile needs centuries to use the counters up."""
NAMED_STEP = RAISE_PER_S // 8
"""How far one attempt follows counters that voters name: attempts are so rare that what a liar
names makes nobody exceed :data:`RAISE_PER_S`."""
_MAX_PROMISES = 16
_CONTEXT = "buildnet promise 1"
_TRANSFER_CONTEXT = "buildnet transfer 1"


class AcceptedLog(Protocol):
    """What the election needs of the member log: the newest chain of entries that this node
    accepted, whether or not it is committed."""

    @property
    def accepted(self) -> tuple[int, int]:
        """Return (term in which it was accepted, version of its last entry)."""

    @property
    def head(self) -> bytes:
        """Return the 32-byte hash of its last entry."""

    @property
    def voters(self) -> tuple[bytes, ...]:
        """Return the voters it names, sorted: a change of voters counts once it is accepted."""


@dataclass(frozen=True, slots=True)
class Position(Wire):
    """How far a node's chain of the member list reaches."""

    term: Counter
    version: Counter
    head: Hash

    @classmethod
    def of(cls, log: AcceptedLog) -> Position:
        """Return where ``log`` stands."""
        term, version = log.accepted
        return cls(term, version, log.head)

    def is_older_than(self, other: Position) -> bool:
        """Tell whether ``other``'s chain may hold an entry that is missing here.

        The comparison of Raft (section 5.4.1), which makes a winner hold every committed entry;
        equal heads are equal chains whatever term they were accepted in.
        """
        newer = (other.term, other.version)
        return self.head != other.head and (self.term, self.version) < newer


@dataclass(frozen=True, slots=True)
class PromiseFact(Fact):
    """The highest counter that this node promised, and to which process of which node."""

    counter: Counter
    candidate: Key
    boot: Counter


@dataclass(frozen=True, slots=True)
class SignedPromise(Wire):
    """One voter's signature of :func:`promise_statement`."""

    voter: Key
    signature: Signature


@dataclass(frozen=True, slots=True)
class Certificate(Wire):
    """Proof that ``candidate`` won the term ``counter`` in its process ``boot``."""

    counter: Counter
    candidate: Key
    boot: Counter
    promises: Annotated[tuple[SignedPromise, ...], Limit(1, _MAX_PROMISES)]

    @classmethod
    def of(
        cls, counter: int, candidate: bytes, boot: int, signatures: Mapping[bytes, bytes]
    ) -> Certificate:
        """Put together the signatures of voters (voter to signature)."""
        chosen = sorted(signatures)[:_MAX_PROMISES]
        promises = tuple(SignedPromise(voter, signatures[voter]) for voter in chosen)
        return cls(counter, candidate, boot, promises)

    def is_of_majority(self, local: Local, voters: Iterable[bytes]) -> bool:
        """Tell whether a majority of ``voters`` signed; who is revoked does not count.

        Only such a term is granted to anybody, and fences lower ones off.
        """
        needed, signers = self._signers(local, voters)
        return sum(voter not in local.members.revoked for voter in signers) >= needed

    def may_be_named(self, local: Local, voters: Iterable[bytes]) -> bool:
        """Tell whether a majority of ``voters`` signed, revoked or not, at least one of whom is not
        revoked: a *provisional* office may name such a term.

        Once a voter is revoked, who saw the term won before and who did not can't agree whether it
        was, and where no majority is left no other term settles that: each would take the other's
        provisional office for outdated or unproven, for ever. To name the term in a provisional
        office is harmless, whoever signed: it grants nothing, fences nothing off and makes nobody
        promise anything. The one honest voter bounds the counter, which a thief of all the other
        keys can't drive up alone.
        """
        needed, signers = self._signers(local, voters)
        return len(signers) >= needed and not local.members.revoked.keys() >= signers

    def _signers(self, local: Local, voters: Iterable[bytes]) -> tuple[int, set[bytes]]:
        """Return how many of ``voters`` are a majority, and which of them signed."""
        entitled = frozenset(voters)
        by_voter = {said.voter: said.signature for said in self.promises if said.voter in entitled}
        needed = len(entitled) // 2 + 1
        if len(by_voter) < needed:
            return needed, set()
        statement = promise_statement(local, self.counter, self.candidate, self.boot)
        verify = local.signatures.verify
        return needed, {voter for voter in by_voter if verify(voter, statement, by_voter[voter])}


@dataclass(frozen=True, slots=True)
class CertificateFact(Fact):
    """The certificate of the highest term that this node saw proven."""

    certificate: Certificate


def promise_statement(local: Local, counter: int, candidate: bytes, boot: int) -> bytes:
    """Return what a voter signs for a candidate."""
    return cbor.encode([_CONTEXT, local.members.cluster_id, counter, candidate, boot])


def transfer_statement(local: Local, counter: int, successor: bytes) -> bytes:
    """Return what a coordinator signs to hand its term over."""
    return cbor.encode([_TRANSFER_CONTEXT, local.members.cluster_id, counter, successor])
