"""What may be done to the member list: one record a kind, signed by its author.

A change names no cluster, its signature does: it is void in any other. Its id is the hash of what
is signed, so saying it twice does it once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from blake3 import blake3

from buildnet.mesh import cbor
from buildnet.mesh.local import Signatures
from buildnet.mesh.members.genesis import Rights, Role, Word, check_name
from buildnet.mesh.members.member import MAX_VOTERS
from buildnet.mesh.members.statement import Sign, Signer, statement
from buildnet.mesh.wire import Counter, Hash, Key, Limit, Name, Signature, Wire

MAX_BODY_BYTES = 1024
MAX_PRIORITY = 1000
MAX_USES = 1000


@dataclass(frozen=True, slots=True)
class ChangeBody(Wire):
    """Base of the kinds of changes."""


BodyType = TypeVar("BodyType", bound=type[ChangeBody])
_bodies: dict[int, type[ChangeBody]] = {}
_numbers: dict[type[ChangeBody], int] = {}


def _kind(number: int) -> Callable[[BodyType], BodyType]:
    def register(body: BodyType) -> BodyType:
        _bodies[number] = body
        _numbers[body] = number
        return body

    return register


@_kind(1)
@dataclass(frozen=True, slots=True)
class Invite(ChangeBody):
    """Whoever signs with ``key`` may join, ``uses`` times, until ``expires`` (hybrid clock)."""

    key: Key
    expires: Counter
    uses: Annotated[int, Limit(1, MAX_USES)]
    role: Word
    rights: Word

    def __post_init__(self) -> None:
        Role(self.role)
        Rights(self.rights)


@_kind(2)
@dataclass(frozen=True, slots=True)
class CloseInvitation(ChangeBody):
    """Nobody joins by this invitation any more."""

    key: Key


@_kind(3)
@dataclass(frozen=True, slots=True)
class Join(ChangeBody):
    """The author joins by an invitation; ``proof`` is the invitation key's signature."""

    name: Name
    role: Word
    invitation: Key
    proof: Signature

    def __post_init__(self) -> None:
        Role(self.role)
        check_name(self.name)


@_kind(4)
@dataclass(frozen=True, slots=True)
class Admit(ChangeBody):
    """An admin lets a node in that asked for it."""

    key: Key
    name: Name
    role: Word
    rights: Word

    def __post_init__(self) -> None:
        Role(self.role)
        Rights(self.rights)
        check_name(self.name)


@_kind(5)
@dataclass(frozen=True, slots=True)
class Leave(ChangeBody):
    """The author is no member any more."""


@_kind(6)
@dataclass(frozen=True, slots=True)
class Remove(ChangeBody):
    """An admin ends a membership; the node may join again."""

    key: Key


@_kind(7)
@dataclass(frozen=True, slots=True)
class Revoke(ChangeBody):
    """An admin declares a key lost: nothing of it is accepted any more, for ever."""

    key: Key
    reason: Annotated[str, Limit(0, 256)]

    def __post_init__(self) -> None:
        if self.reason:
            check_name(self.reason)


@_kind(8)
@dataclass(frozen=True, slots=True)
class Rotate(ChangeBody):
    """The author goes on under ``new``, which signed that too."""

    new: Key
    proof: Signature


@_kind(9)
@dataclass(frozen=True, slots=True)
class SetPriority(ChangeBody):
    """A greater priority is more entitled to coordinate."""

    key: Key
    priority: Annotated[int, Limit(-MAX_PRIORITY, MAX_PRIORITY)]


@_kind(10)
@dataclass(frozen=True, slots=True)
class SetRights(ChangeBody):
    """What a node's owner may do from now on."""

    key: Key
    rights: Word

    def __post_init__(self) -> None:
        Rights(self.rights)


@_kind(11)
@dataclass(frozen=True, slots=True)
class SetVoters(ChangeBody):
    """The coordinator adds a voter or takes one out, one at a time."""

    added: Key | None
    removed: Key | None

    def __post_init__(self) -> None:
        if (self.added is None) is (self.removed is None):
            raise ValueError("one voter is added or removed, not both")


@_kind(12)
@dataclass(frozen=True, slots=True)
class Rename(ChangeBody):
    """Another name for a member; without ``key``, for the cluster."""

    key: Key | None
    name: Name

    def __post_init__(self) -> None:
        check_name(self.name)


@_kind(13)
@dataclass(frozen=True, slots=True)
class Recover(ChangeBody):
    """The majority of the voters is gone for good: these are the voters of a new epoch.

    It goes after ``previous`` only, put there by ``sequencer``, so that nobody can play it
    elsewhere. Signed by an admin or by the cluster key, which signs nothing else after the genesis
    and makes ``sequencer`` an admin: the last one may be among who is gone.
    """

    epoch: Counter
    previous: Hash
    sequencer: Key
    voters: Annotated[tuple[Key, ...], Limit(1, MAX_VOTERS)]

    def __post_init__(self) -> None:
        if list(self.voters) != sorted(set(self.voters)):
            raise ValueError("voters are sorted, each once")


@dataclass(frozen=True, slots=True)
class Change(Wire):
    """A signed change. ``hlc`` is the author's clock, so an old one is not played again."""

    author: Key
    hlc: Counter
    kind: Annotated[int, Limit(1, 255)]
    body: Annotated[bytes, Limit(0, MAX_BODY_BYTES)]
    signature: Signature

    def __post_init__(self) -> None:
        _ = self.what  # a body that does not fit its kind is no change

    @property
    def id(self) -> bytes:
        """32 bytes: the hash of all but the signature."""
        return blake3(cbor.encode(self.as_array()[:-1])).digest()

    @property
    def what(self) -> ChangeBody:
        """The body as a record."""
        body = _bodies.get(self.kind)
        if body is None:
            raise ValueError(f"unknown kind of change {self.kind}")
        return body.decode(self.body)

    def is_signed(self, cluster_id: bytes, signatures: Signatures) -> bool:
        """Tell whether the author said so, for this cluster."""
        return signatures.verify(
            self.author,
            _said(cluster_id, self.author, self.hlc, self.kind, self.body),
            self.signature,
        )


def sign_change(
    what: ChangeBody, *, cluster_id: bytes, author: bytes, hlc: int, sign: Sign
) -> Change:
    """Return ``what`` as a change that ``author``, whose key signs by ``sign``, asks for."""
    kind, body = _numbers[type(what)], what.encode()
    return Change(author, hlc, kind, body, sign(_said(cluster_id, author, hlc, kind, body)))


def join_statement(cluster_id: bytes, joiner: bytes, name: str, role: str) -> bytes:
    """Return what the invitation's key signs to let one node in."""
    return statement("join", cluster_id, joiner, name, role)


def rotate(cluster_id: bytes, old: bytes, new: Signer) -> Rotate:
    """Return the rotation from ``old`` to the key of ``new``, which agrees to it."""
    said = rotate_statement(cluster_id, old, new.public_key)
    return Rotate(new.public_key, new.sign(said))


def rotate_statement(cluster_id: bytes, old: bytes, new: bytes) -> bytes:
    """Return what the new key signs."""
    return statement("rotate", cluster_id, old, new)


def _said(cluster_id: bytes, author: bytes, hlc: int, kind: int, body: bytes) -> bytes:
    return statement("change", cluster_id, author, hlc, kind, body)
