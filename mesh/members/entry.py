"""One step of the member list: a change, where it stands, and who put it there.

Entries form a chain by their hashes. The first entry of a ballot carries the votes that made its
sequencer coordinator; :class:`CommitProof` carries the votes that made entries final. So a chain
can be checked by anybody who knows the cluster id, whoever hands it over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from blake3 import blake3

from buildnet.mesh import cbor
from buildnet.mesh.local import Signatures
from buildnet.mesh.members.changes import Change
from buildnet.mesh.members.member import MAX_VOTERS
from buildnet.mesh.members.statement import Sign, statement
from buildnet.mesh.wire import Counter, Hash, Key, Limit, Signature, Wire

Ballot = tuple[int, bytes]
"""A term's counter and its coordinator's key: unique, and of two the greater is the newer."""

Lineage = tuple[int, bytes]
"""The epoch and the hash of the recovery that began it: the greater one replaces the other."""


@dataclass(frozen=True, slots=True)
class Vote(Wire):
    """One voter's signature of a statement that the context names."""

    voter: Key
    signature: Signature


Votes = Annotated[tuple[Vote, ...], Limit(0, MAX_VOTERS)]


@dataclass(frozen=True, slots=True)
class Entry(Wire):
    """One change in its place. ``previous`` is the hash of the entry before, or the cluster id."""

    version: Counter
    previous: Hash
    term: Counter
    hlc: Counter
    """What a majority of the voters' clocks had reached; it never falls along the chain."""
    sequencer: Key
    votes: Votes
    """For the ballot; empty in all but the first entry of one."""
    change: Change
    signature: Signature

    @property
    def ballot(self) -> Ballot:
        """The ballot that it was first put into the chain in."""
        return (self.term, self.sequencer)

    @property
    def hash(self) -> bytes:
        """32 bytes, of all but the signature."""
        return blake3(cbor.encode(self.as_array()[:-1])).digest()

    def is_signed(self, cluster_id: bytes, signatures: Signatures) -> bool:
        """Tell whether the sequencer signed it for this cluster."""
        said = statement("entry", cluster_id, self.hash)
        return signatures.verify(self.sequencer, said, self.signature)


def sign_entry(
    change: Change,
    *,
    cluster_id: bytes,
    version: int,
    previous: bytes,
    ballot: Ballot,
    hlc: int,
    votes: tuple[Vote, ...],
    sign: Sign,
) -> Entry:
    """Return ``change`` as the entry of ``version``, signed by the ballot's coordinator."""
    term, sequencer = ballot
    bare = Entry(version, previous, term, hlc, sequencer, votes, change, bytes(64))
    return replace(bare, signature=sign(statement("entry", cluster_id, bare.hash)))


@dataclass(frozen=True, slots=True)
class CommitProof(Wire):
    """A majority of the voters of ``version`` kept the chain up to ``head`` in one ballot.

    Without votes it stands for the genesis or for an entry that recovers the cluster, which need
    none.
    """

    term: Counter
    coordinator: Key
    version: Counter
    head: Hash
    votes: Votes

    @property
    def ballot(self) -> Ballot:
        """The ballot it was committed in."""
        return (self.term, self.coordinator)


def ballot_statement(cluster_id: bytes, lineage: Lineage, ballot: Ballot) -> bytes:
    """Return what a voter signs who follows ``ballot`` and no lower one from now on."""
    return statement("ballot", cluster_id, *lineage, *ballot)


def accepted_statement(cluster_id: bytes, ballot: Ballot, version: int, head: bytes) -> bytes:
    """Return what a voter signs who has the chain up to ``head`` on disk, in ``ballot``."""
    return statement("accepted", cluster_id, *ballot, version, head)


def is_decided(
    votes: tuple[Vote, ...], voters: tuple[bytes, ...], said: bytes, signatures: Signatures
) -> bool:
    """Tell whether a majority of ``voters`` signed ``said``; every vote must be a good one."""
    who = {vote.voter for vote in votes}
    return (
        len(who) == len(votes)
        and len(who) > len(voters) // 2
        and who.issubset(voters)
        and all(signatures.verify(vote.voter, said, vote.signature) for vote in votes)
    )
