"""Who belongs to the cluster: the fold of its genesis and of all changes since.

The list is a value. :meth:`MemberList.apply` checks an entry against the rules and returns the next
list, so every node that holds the same entries holds the same list, and nobody gets in or up
without the signature that the rules ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from buildnet.mesh import genesis as beginning
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.genesis import Genesis, Rights, Role
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.local import Signatures
from buildnet.mesh.statement import Signer


class Refused(BuildNetError):
    """A change, entry or genesis that the member list does not take; the list stays as it is."""

    code = "MEMBER_CHANGE"
    http_status = 409


@dataclass(frozen=True, slots=True)
class Member:
    """A node that belongs to the cluster. ``seniority``: the version that admitted it."""

    key: bytes
    name: str
    role: Role
    rights: Rights
    seniority: int
    priority: int = 0

    @property
    def node_id(self) -> str:
        """What people see, 16 hexadecimal digits."""
        return node_id_of(self.key)


class Ending(StrEnum):
    """Why somebody is no member any more."""

    LEFT = "left"
    REMOVED = "removed"
    REVOKED = "revoked"
    ROTATED = "rotated"


@dataclass(frozen=True, slots=True)
class Former:
    """Somebody who was a member. ``version``: the one that ended it."""

    member: Member
    ending: Ending
    version: int
    successor: bytes | None = None
    """The key that took over (rotated)."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """A key that nobody accepts anything of any more, for ever."""

    key: bytes
    author: bytes
    reason: str
    version: int | None
    """The version that sequenced it; None: held, and effective, but not sequenced yet."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an admin offers to whoever holds the secret of ``key``."""

    key: bytes
    author: bytes
    expires: int
    """Hybrid clock."""
    uses_left: int
    role: Role
    rights: Rights


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

    @classmethod
    def of(cls, genesis: Genesis, signatures: Signatures) -> MemberList:
        """Return the list of a cluster as it began.

        Raises:
            Refused: a signature is wrong.
        """
        if not genesis.is_signed(signatures):
            raise Refused("the cluster's first record is not signed as it should be")
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
        )

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
