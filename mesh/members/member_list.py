"""Who belongs to the cluster: the fold of its genesis and of all changes since.

The list is a value. :meth:`MemberList.apply` checks an entry against the rules and returns the next
list, so every node that holds the same entries holds the same list, and nobody gets in or up
without the signature that the rules ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from buildnet.mesh.local import Signatures
from buildnet.mesh.members import genesis as beginning
from buildnet.mesh.members.changes import Recover, Revoke
from buildnet.mesh.members.entry import (
    Ballot,
    CommitProof,
    Entry,
    Lineage,
    accepted_statement,
    ballot_statement,
    is_decided,
)
from buildnet.mesh.members.genesis import Genesis, Rights, Role
from buildnet.mesh.members.member import Ending, Former, Invitation, Member, Refused, Revocation
from buildnet.mesh.members.recent import RecentChanges
from buildnet.mesh.members.rules import perform
from buildnet.mesh.members.statement import Signer

__all__ = [
    "Ending",
    "Former",
    "Invitation",
    "Member",
    "MemberList",
    "Refused",
    "Revocation",
    "Rights",
    "Role",
]


MAX_AGE_S = 24 * 3600
"""A change that was signed longer ago is not sequenced any more. Until then its id is remembered,
so the two together let no change happen twice. Revocations are exempt: they happen once anyway."""

MAX_AHEAD_S = 300
"""A change from further ahead of the sequencer's clock is not sequenced."""

NO_BALLOT: Ballot = (0, bytes(32))
_A_SECOND = 1000 << 16  # of the hybrid clock


@dataclass(frozen=True, slots=True)
class MemberList:
    """The members of one cluster at one version."""

    genesis: Genesis
    cluster_id: bytes
    cluster_name: str
    version: int
    """Number of entries since the genesis."""
    head: bytes
    """Hash of the newest entry; of the genesis at version 0."""
    epoch: int
    """Number of recoveries."""
    members: Mapping[bytes, Member]
    voters: tuple[bytes, ...]
    """Sorted keys."""
    former: Mapping[bytes, Former] = field(default_factory=dict)
    revoked: Mapping[bytes, Revocation] = field(default_factory=dict)
    invitations: Mapping[bytes, Invitation] = field(default_factory=dict)
    hlc: int = 0
    """The newest entry's clock."""
    ballot: Ballot = NO_BALLOT
    """In which the newest entry was first put into the chain."""
    recovery: bytes = bytes(32)
    """Hash of the entry that began the epoch; zeros where it is the first."""
    recent: RecentChanges = field(default_factory=RecentChanges)
    """Changes that were made lately."""

    @classmethod
    def of(cls, genesis: Genesis, signatures: Signatures) -> MemberList:
        """Return the list of a cluster as it began.

        Raises:
            Refused: a signature is wrong.
        """
        if not genesis.is_signed(signatures):
            raise Refused(
                "forged genesis", "the cluster's first record is not signed as it should be"
            )
        return cls._of(genesis)

    @classmethod
    def found(
        cls,
        cluster: Signer,
        founder: Signer,
        *,
        name: str,
        founder_name: str,
        founder_role: Role = Role.WORKER,
        created: int,
        nonce: bytes,
    ) -> MemberList:
        """Found a cluster of one. ``created``: hybrid clock; ``nonce``: 16 random bytes."""
        return cls._of(
            beginning.found(
                cluster,
                founder,
                name=name,
                founder_name=founder_name,
                founder_role=founder_role,
                created=created,
                nonce=nonce,
            )
        )

    @classmethod
    def _of(cls, genesis: Genesis) -> MemberList:
        cluster_id = genesis.cluster_id
        role = Role(genesis.founder_role)
        founder = Member(genesis.founder, genesis.founder_name, role, Rights.ADMIN, seniority=0)
        return cls(
            genesis,
            cluster_id,
            genesis.name,
            version=0,
            head=cluster_id,
            epoch=0,
            members={founder.key: founder},
            voters=(founder.key,),
            hlc=genesis.created,
        )

    def apply(self, entry: Entry, signatures: Signatures | None) -> MemberList:
        """Return the list after ``entry``. ``signatures``: None where they were checked before,
        such as in what this node itself wrote to its disk.

        Raises:
            Refused: it is not the next entry, not signed as it should be, or not allowed.
        """
        self._check_place(entry, signatures)
        change = entry.change
        if change.id in self.recent:
            raise Refused("change made already")
        aged = not isinstance(change.what, Revoke)
        if aged and change.hlc + MAX_AGE_S * _A_SECOND <= entry.hlc:
            raise Refused("change too old", hint="ask for it again; check the host's clock")
        if change.hlc > entry.hlc + MAX_AHEAD_S * _A_SECOND:
            raise Refused("change from the future", hint="check the host's clock")
        if signatures is not None and not change.is_signed(self.cluster_id, signatures):
            raise Refused("forged change", "the change is not signed by its author")
        after = perform(self, entry, signatures)
        return replace(
            after,
            version=entry.version,
            head=entry.hash,
            hlc=entry.hlc,
            # Nobody won a ballot to recover, so nobody goes on in it.
            ballot=entry.ballot if after.epoch == self.epoch else (entry.term, bytes(32)),
            recent=self.recent.plus(
                change.id, change.hlc, horizon=entry.hlc - MAX_AGE_S * _A_SECOND
            ),
        )

    def _check_place(self, entry: Entry, signatures: Signatures | None) -> None:
        if entry.version != self.version + 1 or entry.previous != self.head:
            raise Refused("not the next entry")
        if entry.hlc < self.hlc:
            raise Refused("entry from the past")
        recovers = isinstance(entry.change.what, Recover)
        if entry.term < self.ballot[0] or (entry.ballot < self.ballot and not recovers):
            raise Refused("old ballot")
        if recovers and entry.term != self.ballot[0]:
            raise Refused("recovery out of turn")
        if not self.is_member(entry.sequencer):
            raise Refused("sequencer no member")
        if signatures is None:
            return
        if not entry.is_signed(self.cluster_id, signatures):
            raise Refused("forged entry")
        # A recovery stands by its author's signature: there is no majority to ask.
        needs_votes = not recovers and entry.ballot != self.ballot
        if not needs_votes:
            if entry.votes:
                raise Refused("votes for nothing")
            return
        said = ballot_statement(self.cluster_id, self.lineage, entry.ballot)
        if not is_decided(entry.votes, self.voters, said, signatures):
            raise Refused("ballot not won", "the entry's author did not win its ballot")

    def is_committed(self, proof: CommitProof, signatures: Signatures) -> bool:
        """Tell whether ``proof`` shows that this very version is final."""
        if (proof.version, proof.head) != (self.version, self.head):
            return False
        if proof.head in (self.cluster_id, self.recovery):
            return True
        said = accepted_statement(self.cluster_id, proof.ballot, proof.version, proof.head)
        return is_decided(proof.votes, self.signers(proof.ballot), said, signatures)

    def signers(self, ballot: Ballot) -> tuple[bytes, ...]:
        """Return the keys by which the voters sign in ``ballot`` that this version is final.

        A sole voter that this very version rotates signs by its old key, for the last time, in the
        ballot that put it there; in a later one it has its new key.
        """
        if ballot != self.ballot:
            return self.voters
        rotated = {
            was.successor: key for key, was in self.former.items() if was.version == self.version
        }
        return tuple(rotated.get(voter, voter) for voter in self.voters)

    @property
    def lineage(self) -> Lineage:
        """Which recovery it comes from; of two chains the one with the greater lineage counts."""
        return (self.epoch, self.recovery)

    def current(self, key: bytes) -> bytes:
        """Return the key under which the owner of ``key`` goes on; itself if not rotated."""
        return self.succession(key)[-1]

    def succession(self, key: bytes) -> tuple[bytes, ...]:
        """Return ``key`` and all that it was rotated to, one after the other."""
        keys = [key]
        while (was := self.former.get(keys[-1])) is not None and was.successor is not None:
            keys.append(was.successor)
        return tuple(keys)

    @property
    def majority(self) -> int:
        """How many voters decide."""
        return len(self.voters) // 2 + 1

    def is_majority(self, keys: Iterable[bytes]) -> bool:
        """Tell whether enough of the voters are among ``keys``."""
        return len(set(keys).intersection(self.voters)) >= self.majority

    def is_member(self, key: bytes) -> bool:
        """Tell whether a node belongs to the cluster; a revoked one does not, at once."""
        return key in self.members and key not in self.revoked

    def stands(self, key: bytes) -> bool:
        """Tell whether a node may coordinate: workers only."""
        return self.is_member(key) and self.members[key].role is Role.WORKER

    def is_admin(self, key: bytes) -> bool:
        """Tell whether a node's owner may change who belongs to the cluster."""
        return self.is_member(key) and self.members[key].rights is Rights.ADMIN

    def rank(self, key: bytes) -> tuple[int, int, str]:
        """Return a member's claim to coordinate; a greater one is more entitled.

        Never derived from the key alone, since keys can be ground: priority first, then seniority.
        """
        member = self.members[key]
        return (member.priority, -member.seniority, member.node_id)

    def with_revocations(self, held: Iterable[Revocation]) -> MemberList:
        """Return the list with revocations that are held but not sequenced: effective at once."""
        more = {one.key: one for one in held if one.key not in self.revoked}
        return replace(self, revoked={**self.revoked, **more}) if more else self
