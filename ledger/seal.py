"""Seals: checkpoints that a majority of the voters cosigned; they order the entries.

A seal's value names everything that a voter checks. Its cosignatures are of (cluster, height, hash
of the value, term): the same value may be accepted in several terms, and is final by a majority in
one of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Self

from blake3 import blake3

from buildnet.ledger.frontier import Advance
from buildnet.mesh.members.statement import statement
from buildnet.mesh.wire import Counter, Hash, Key, Limit, Signature, Wire

MAX_SEAL_BYTES = 48 * 1024
MAX_ADVANCES = 300
MAX_SEALED_ENTRIES = 4096
"""Under one seal."""
MAX_VOTERS = 15


@dataclass(frozen=True, slots=True)
class SealValue(Wire):
    """What is agreed on at one height.

    ``previous``: hash of the value before; the cluster's id at height 1. ``history``: RFC 9162 tree
    head over the hashes of all values before. ``frontier``: digest of the whole frontier after it.
    ``root``: RFC 9162 tree head over the hashes of its ``count`` entries in canonical order.
    ``members``: the version of the member list whose ``voters`` decide this height; where those are
    others than before, a seal may have no entries.
    """

    cluster: Hash
    epoch: Counter
    height: Annotated[int, Limit(1, 2**63 - 1)]
    previous: Hash
    history: Hash
    frontier: Hash
    advances: Annotated[tuple[Advance, ...], Limit(0, MAX_ADVANCES)]
    count: Annotated[int, Limit(0, MAX_SEALED_ENTRIES)]
    root: Hash
    members: Counter
    voters: Annotated[tuple[Key, ...], Limit(1, MAX_VOTERS)]
    hlc: Counter

    def __post_init__(self) -> None:
        if list(self.voters) != sorted(set(self.voters)):
            raise ValueError("voters are sorted, each once")
        chains = [advance.chain for advance in self.advances]
        if any(not one < other for one, other in itertools.pairwise(chains)):
            raise ValueError("advances are sorted, each chain once")
        if self.count < len(chains) or (self.count > 0) is not bool(chains):
            raise ValueError("each chain that advances has entries under the seal")


@dataclass(frozen=True, slots=True)
class Cosignature(Wire):
    """One voter accepted the value in the seal's term, with all entries on its disk."""

    voter: Key
    signature: Signature


@dataclass(frozen=True, slots=True)
class SealRecord(Wire):
    """A final seal as it is stored and relayed. ``value``: encoded :class:`SealValue`."""

    value: Annotated[bytes, Limit(1, MAX_SEAL_BYTES)]
    term: Counter
    cosignatures: Annotated[tuple[Cosignature, ...], Limit(1, MAX_VOTERS)]


@dataclass(frozen=True)
class Seal:
    """A final seal, read."""

    value: SealValue
    record: SealRecord

    @classmethod
    def read(cls, record: SealRecord) -> Self:
        """Read a seal; its cosignatures are not checked here.

        Raises:
            WireError: it is none.
        """
        return cls(SealValue.decode(record.value), record)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a seal from bytes of any origin; its cosignatures are not checked here.

        Raises:
            WireError: they are none.
        """
        return cls.read(SealRecord.decode(data))

    @cached_property
    def hash(self) -> bytes:
        """The hash of its value."""
        return hash_of_value(self.record.value)

    @property
    def height(self) -> int:
        """Its place in the row of seals, from 1."""
        return self.value.height

    @property
    def order(self) -> tuple[int, int]:
        """Of two seals of one height, the one of the greater epoch counts."""
        return (self.value.epoch, self.value.height)

    def is_final(self, verify: Callable[[bytes, bytes, bytes], bool]) -> bool:
        """Tell whether a majority of the voters that it names cosigned it in its term. Whether
        those are the right voters is not told here. ``verify(key, message, signature)``."""
        value, record = self.value, self.record
        said = cosign_statement(value.cluster, value.height, self.hash, record.term)
        signed = {one.voter: one.signature for one in record.cosignatures}
        if len(signed) != len(record.cosignatures) or not set(signed) <= set(value.voters):
            return False
        if len(signed) < majority_of(value.voters):
            return False
        return all(verify(voter, said, signature) for voter, signature in signed.items())


def majority_of(voters: tuple[bytes, ...]) -> int:
    """Return how many of ``voters`` decide."""
    return len(voters) // 2 + 1


def hash_of_value(value: bytes) -> bytes:
    """Return the hash of an encoded value."""
    return blake3(value).digest()


def cosign_statement(cluster: bytes, height: int, value_hash: bytes, term: int) -> bytes:
    """Return what a voter signs."""
    return statement("seal", cluster, height, value_hash, term)
