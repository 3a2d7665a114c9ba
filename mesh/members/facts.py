"""What the member log keeps on disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from buildnet.mesh.events import Fact
from buildnet.mesh.members.changes import Change
from buildnet.mesh.members.entry import Ballot, CommitProof, Entry
from buildnet.mesh.members.genesis import Genesis
from buildnet.mesh.wire import Counter, Hash, Key

PREFIX = "member log/"
"""All names begin so: who joins another cluster forgets them."""


@dataclass(frozen=True, slots=True)
class GenesisFact(Fact):
    """How the cluster began."""

    genesis: Genesis

    def name(self) -> str:
        """One for the node."""
        return f"{PREFIX}genesis"


@dataclass(frozen=True, slots=True)
class EntryFact(Fact):
    """One entry of the chain that this node holds; it may not be final."""

    entry: Entry

    def name(self) -> str:
        """One for each version."""
        return entry_name(self.entry.version)


@dataclass(frozen=True, slots=True)
class LogFact(Fact):
    """How far the chain goes, what of it is final, and which ballots this node follows."""

    version: Counter
    head: Hash
    accepted_term: Counter
    accepted_coordinator: Key
    promised_term: Counter
    promised_coordinator: Key
    proof: CommitProof

    def name(self) -> str:
        """One for the node."""
        return f"{PREFIX}state"

    @property
    def accepted(self) -> Ballot:
        """The ballot in which this chain was taken."""
        return (self.accepted_term, self.accepted_coordinator)

    @property
    def promised(self) -> Ballot:
        """The highest ballot that was voted for."""
        return (self.promised_term, self.promised_coordinator)


@dataclass(frozen=True, slots=True)
class RevocationFact(Fact):
    """A revocation that is held and not sequenced yet."""

    key: Key
    change: Change

    def name(self) -> str:
        """One for each key."""
        return revocation_name(self.key)


def entry_name(version: int) -> str:
    """Return the name of a version's fact."""
    return f"{PREFIX}entry/{version:012d}"


def revocation_name(key: bytes) -> str:
    """Return the name of a held revocation's fact."""
    return f"{PREFIX}revocation/{key.hex()}"


def facts_of(genesis: Genesis, entries: Iterable[Entry], proof: CommitProof) -> tuple[Fact, ...]:
    """Return what a node keeps of a cluster that it joins: its whole final chain."""
    chain = tuple(entries)
    state = LogFact(
        proof.version,
        proof.head,
        proof.term,
        proof.coordinator,
        promised_term=0,
        promised_coordinator=bytes(32),
        proof=proof,
    )
    return (GenesisFact(genesis), *(EntryFact(entry) for entry in chain), state)
