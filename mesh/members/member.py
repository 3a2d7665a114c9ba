"""What the member list is made of: members, former ones, revocations, open invitations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.genesis import Rights, Role

MAX_MEMBERS = 1024
MAX_VOTERS = 7
MAX_INVITATIONS = 256
MAX_OWN_CHANGES = 32
"""So often within a day a member that is no admin may change its own name or key: every change
stays in the chain for ever."""
MAX_FORMER = 256
"""How many that left or were removed are remembered; revoked and rotated keys are for ever."""


class Refused(BuildNetError):
    """A change, entry or genesis that the member list does not take; the list stays as it is.

    ``reason`` is a few stable words to count and to test by.
    """

    code = "MEMBER_CHANGE"
    http_status = 409

    def __init__(self, reason: str, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message or reason, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Member:
    """A node that belongs to the cluster. ``seniority``: the version that admitted it."""

    key: bytes
    name: str
    role: Role
    rights: Rights
    seniority: int
    priority: int = 0
    own_changes: tuple[int, ...] = ()
    """Hybrid clocks of what it changed about itself within a day, without an admin's rights."""

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

    @property
    def id(self) -> str:
        """What people see, 16 hexadecimal digits."""
        return node_id_of(self.key)
