"""All that a node knows of the keys of its cluster: which were made, and which count no more.

A record is taken if the node of an admin signed it. Once taken it stays: what was revoked is not
undone by what becomes of who revoked it. Records of those who are no admins any more are signed
anew by those who are (:meth:`Register.endorse`), since nodes that come later can't take them else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from blake3 import blake3

from buildnet.mesh.identity import NodeKey, is_signed_by
from buildnet.mesh.members.member_list import MemberList
from buildnet.node.auth.claims import Claims
from buildnet.node.auth.moment import milliseconds
from buildnet.node.auth.revocations import Revocations
from buildnet.node.auth.token import TokenError
from buildnet.pool.messages.keys import MAX_RECORDS, KeyEnded, KeyMade, KeysTold

MOST_MADE = 4096
"""Beyond, keys are not listed; they count all the same."""
MOST_ENDED = 65536


@dataclass(frozen=True, slots=True)
class Made:
    """A key that was made: the record, and what it says."""

    record: KeyMade
    claims: Claims

    @property
    def issued_ms(self) -> int:
        """Since 1970."""
        return milliseconds(self.claims.issued.timestamp())


@dataclass(slots=True)
class Register:
    """Of one cluster. ``problem``: why it is not known what was revoked, so that no key counts;
    None: it is known."""

    cluster_id: bytes
    made: dict[str, Made] = field(default_factory=dict)
    ended: dict[str, KeyEnded] = field(default_factory=dict)
    revocations: Revocations = field(default_factory=Revocations)
    problem: str | None = None

    def take(self, record: KeyMade | KeyEnded, members: MemberList) -> bool:
        """Take a record of anybody; tell whether it is news."""
        if not members.is_admin(record.author):
            return False
        if isinstance(record, KeyEnded):
            return self._take_ended(record, members)
        return self._take_made(record, members)

    def restore(self, record: KeyMade | KeyEnded) -> None:
        """Take a record that was taken before."""
        if isinstance(record, KeyEnded):
            self._keep_ended(record)
        elif (claims := _claims(record)) is not None:
            self.made[claims.id] = Made(record, claims)

    def records(self) -> Iterator[KeyMade | KeyEnded]:
        """Return all of them; what counts no more first."""
        yield from self.ended.values()
        yield from (one.record for one in self.made.values())

    def told(self) -> Iterator[KeysTold]:
        """Return all of them as messages."""
        ended = tuple(self.ended.values())
        made = tuple(one.record for one in self.made.values())
        for at in range(0, len(ended), MAX_RECORDS):
            yield KeysTold((), ended[at : at + MAX_RECORDS])
        for at in range(0, len(made), MAX_RECORDS):
            yield KeysTold(made[at : at + MAX_RECORDS], ())

    def digest(self) -> bytes:
        """Return the same bytes where the same is known, whoever signed it."""
        known = [f"{name} {one.until_ms}" for name, one in self.ended.items()]
        known += [f"{name} {one.issued_ms} made" for name, one in self.made.items()]
        return blake3("\n".join(sorted(known)).encode()).digest()

    def knows(self, claims: Claims, issued_ms: int) -> bool:
        """Tell whether it is known that just this key was made."""
        found = self.made.get(claims.id)
        return found is not None and found.issued_ms == issued_ms and found.claims == claims

    def endorse(self, members: MemberList, key: NodeKey) -> list[KeyMade | KeyEnded]:
        """Sign anew, as the node of an admin, what was signed by one who is none any more: all that
        ended, and of what was made this node's own. Return what changed."""
        me = key.public_key
        if not members.is_admin(me):
            return []
        stale = [
            record
            for record in self.records()
            if not members.is_admin(record.author)
            and (isinstance(record, KeyEnded) or members.current(record.author) == me)
        ]
        anew = [one.signed(self.cluster_id, me, key.sign) for one in stale]
        for record in anew:
            self.restore(record)
        return anew

    def forget(self, now_ms: int) -> bool:
        """Forget what says nothing any more; tell whether there was any."""
        ended = [name for name, one in self.ended.items() if one.forget_ms <= now_ms]
        kept_s = now_ms / 1000 - KEPT_S
        made = [name for name, one in self.made.items() if one.claims.expires.timestamp() < kept_s]
        for name in ended:
            del self.ended[name]
            self.revocations.forget(name)
        for name in made:
            del self.made[name]
        return bool(ended or made)

    def _take_ended(self, record: KeyEnded, members: MemberList) -> bool:
        held = self.ended.get(record.id)
        if held is not None and (
            record.until_ms < held.until_ms
            or (record.until_ms == held.until_ms and members.is_admin(held.author))
        ):
            return False
        if held is None and len(self.ended) >= MOST_ENDED:
            return False
        if not record.is_signed(self.cluster_id, is_signed_by):
            return False
        self._keep_ended(record)
        return True

    def _keep_ended(self, record: KeyEnded) -> None:
        self.ended[record.id] = record
        self.revocations.take(record.id, record.until_ms)

    def _take_made(self, record: KeyMade, members: MemberList) -> bool:
        claims = _claims(record)
        if claims is None or claims.cluster != self.cluster_id.hex():
            return False
        found, held = Made(record, claims), self.made.get(claims.id)
        if held is not None and (
            found.issued_ms < held.issued_ms
            or (found.issued_ms == held.issued_ms and members.is_admin(held.record.author))
        ):
            return False
        if held is None and len(self.made) >= MOST_MADE:
            return False
        if not record.is_signed(self.cluster_id, is_signed_by):
            return False
        self.made[claims.id] = found
        return True


KEPT_S = 30 * 86400.0
"""So long a key is listed after its time is over."""


def _claims(record: KeyMade) -> Claims | None:
    try:
        return Claims.decode(record.claims.encode())
    except TokenError:
        return None
