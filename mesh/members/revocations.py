"""Revocations that are held but not sequenced yet: they count at once, wherever they are known.

Whoever holds one tells it on, and whoever coordinates with a quorum sequences it. Only what the
final list would take is held, and nothing that leaves no admin beside what is held already; what
the final list then says about the author stands. As there, it counts for the keys, too, that a
revoked one was rotated to.
"""

from __future__ import annotations

from collections.abc import Iterable

from buildnet.mesh.events import Fact
from buildnet.mesh.local import Signatures
from buildnet.mesh.members.changes import Change, Revoke
from buildnet.mesh.members.facts import RevocationFact, revocation_name
from buildnet.mesh.members.member_list import MemberList, Refused, Revocation
from buildnet.mesh.members.rules import check_revocation

MAX_HELD = 256


class HeldRevocations:
    """What one node holds."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._held = {fact.key: fact.change for fact in facts if isinstance(fact, RevocationFact)}

    @property
    def changes(self) -> tuple[Change, ...]:
        """All of them, in the order of the revoked keys."""
        return tuple(self._held[key] for key in sorted(self._held))

    def overlay(self, committed: MemberList) -> MemberList:
        """Return the final list with what is held in force."""
        held = []
        for change in self.changes:
            what = _revoke(change)
            held += [
                Revocation(key, change.author, what.reason, version=None)
                for key in committed.succession(what.key)
            ]
        return committed.with_revocations(held)

    def hold(
        self, change: Change, committed: MemberList, signatures: Signatures
    ) -> RevocationFact | None:
        """Hold a revocation of any origin; None: it is known, void or forged."""
        if len(self._held) >= MAX_HELD or not _is_due(change, committed):
            return None
        key = _revoke(change).key
        if key in self._held or not self._leaves_an_admin(change, committed):
            return None
        if not change.is_signed(committed.cluster_id, signatures):
            return None
        self._held[key] = change
        return RevocationFact(key, change)

    def _leaves_an_admin(self, change: Change, committed: MemberList) -> bool:
        now = self.overlay(committed)
        gone = now.current(_revoke(change).key)
        return any(now.is_admin(key) for key in now.members if key != gone)

    def prune(self, committed: MemberList) -> tuple[str, ...]:
        """Drop what was sequenced or became void; return the names of facts to forget."""
        done = [key for key in sorted(self._held) if not _is_due(self._held[key], committed)]
        for key in done:
            del self._held[key]
        return tuple(revocation_name(key) for key in done)


def _is_due(change: Change, committed: MemberList) -> bool:
    what = change.what
    if not isinstance(what, Revoke):
        return False
    try:
        check_revocation(committed, change.author, what.key)
    except Refused:
        return False
    return True


def _revoke(change: Change) -> Revoke:
    what = change.what
    if not isinstance(what, Revoke):
        raise TypeError("only revocations are held")
    return what
