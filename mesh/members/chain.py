"""A member list's whole chain as it is handed over: checked by anybody who takes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.local import Signatures
from buildnet.mesh.members.entry import CommitProof, Entry
from buildnet.mesh.members.genesis import Genesis
from buildnet.mesh.members.member_list import MemberList, Refused
from buildnet.mesh.messages.admission import MAX_PART_BYTES, ChainPart

MAX_ENTRIES = 100_000


class ChainError(BuildNetError):
    """A chain that does not prove what it should."""

    code = "MEMBER_CHAIN"
    http_status = 502


@dataclass(frozen=True, slots=True)
class Chain:
    """Genesis, all committed entries, and the proof that they are final."""

    genesis: Genesis
    entries: tuple[Entry, ...]
    proof: CommitProof

    def fold(self, signatures: Signatures) -> MemberList:
        """Check everything and return the members.

        Raises:
            ChainError: a signature, a vote or a rule is missing.
        """
        try:
            members = MemberList.of(self.genesis, signatures)
            for entry in self.entries:
                members = members.apply(entry, signatures)
        except Refused as error:
            raise ChainError("the member list does not hold", cause=error.message) from error
        if not members.is_committed(self.proof, signatures):
            raise ChainError("the member list is not final")
        return members

    def parts(self, after: int = 0) -> Iterator[ChainPart]:
        """Cut it into messages; ``after``: leave out the genesis and what the other side has."""
        genesis = None if after else self.genesis
        entries: list[Entry] = []
        size = 0
        for entry in self.entries[after:]:
            length = len(entry.encode())
            if entries and size + length > MAX_PART_BYTES:
                yield ChainPart(genesis, tuple(entries), None)
                genesis, entries, size = None, [], 0
            entries.append(entry)
            size += length
        yield ChainPart(genesis, tuple(entries), self.proof)

    @classmethod
    def of(cls, parts: Sequence[ChainPart]) -> Chain:
        """Put it together again.

        Raises:
            ChainError: a part is missing.
        """
        genesis, proof = parts[0].genesis, parts[-1].proof
        if genesis is None or proof is None:
            raise ChainError("the member list is incomplete")
        return cls(genesis, tuple(entry for part in parts for entry in part.entries), proof)
