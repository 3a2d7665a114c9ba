"""What nodes tell each other of keys for agents: which were made, and which count no more.

Each record is signed by the node of an admin, so it is passed on as it is, from link to link, with
a quorum or without. A key itself never travels: what is told of it is what it says, not the
signature that makes it one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from buildnet.mesh.members.statement import Sign, statement
from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Hash, Key, Limit, Name, Signature, Text, Wire

MAX_RECORDS = 8
"""In one message."""
MAX_CLAIMS_CHARACTERS = 3072
KeyId = Annotated[str, Limit(16, 16)]
_Verify = Callable[[bytes, bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class SignedRecord(Wire):
    """Base of the records; ``author``: the node of an admin."""

    author: Key
    signature: Signature

    def is_signed(self, cluster_id: bytes, verify: _Verify) -> bool:
        """Tell whether its author signed it there; ``verify(key, message, signature)``."""
        return verify(self.author, self._said(cluster_id), self.signature)

    def signed(self, cluster_id: bytes, author: bytes, sign: Sign) -> Self:
        """Return it as signed by ``author``, by whose key ``sign`` signs."""
        draft = replace(self, author=author)
        return replace(draft, signature=sign(draft._said(cluster_id)))

    def _said(self, cluster_id: bytes) -> bytes:
        author, _, *values = self.as_array()
        return statement(type(self).__name__, cluster_id, author, *values)

    @classmethod
    def unsigned(cls, **values: Any) -> Self:
        """Return a record that nobody has signed yet."""
        return cls(author=bytes(32), signature=bytes(64), **values)


@dataclass(frozen=True, slots=True)
class KeyMade(SignedRecord):
    """A key was made, or made anew under its id. ``claims``: what it says, JSON; ``by``: who made
    it; ``digest``: BLAKE3 of the key, by which it is known again."""

    claims: Annotated[str, Limit(2, MAX_CLAIMS_CHARACTERS)]
    by: Name
    digest: Hash


@dataclass(frozen=True, slots=True)
class KeyEnded(SignedRecord):
    """Keys of an id count no more if they were issued until ``until_ms`` (since 1970). ``at_ms``:
    when that was said; ``forget_ms``: when none of them would count any more anyway; ``by``: who
    said it."""

    id: KeyId
    until_ms: Counter
    at_ms: Counter
    forget_ms: Counter
    by: Name
    reason: Text


@message(
    180,
    priority=Priority.OTHER,
    sender="whoever has a link with the receiver, when it begins and every minute",
    receiver="any member",
    effect="answers with all KeysTold that it has, if it has others",
)
@dataclass(frozen=True, slots=True)
class KeysHeld(Message):
    """``digest``: of all records of keys that the sender has."""

    digest: Hash


@message(
    181,
    priority=Priority.OTHER,
    sender="the node of an admin, and whoever passes it on",
    receiver="every member",
    effect="keeps what an admin's node signed and it has not got yet, cuts off who is connected "
    "with a key that counts no more, and passes it on",
)
@dataclass(frozen=True, slots=True)
class KeysTold(Message):
    """Records of keys."""

    made: Annotated[tuple[KeyMade, ...], Limit(0, MAX_RECORDS)]
    ended: Annotated[tuple[KeyEnded, ...], Limit(0, MAX_RECORDS)]
