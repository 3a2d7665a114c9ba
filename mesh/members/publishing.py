"""The members as this node uses them: what is final, and revocations that are held, at once."""

from __future__ import annotations

from collections.abc import Iterable

from buildnet.mesh.events import Disconnect, Effect, MembersChanged, Raise, SendAll
from buildnet.mesh.local import Local
from buildnet.mesh.members.catching_up import CatchingUp
from buildnet.mesh.members.changes import Change
from buildnet.mesh.members.entry import Entry
from buildnet.mesh.members.keeping import Keeping
from buildnet.mesh.members.member_chain import Chain
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.members.proposals import Proposals
from buildnet.mesh.members.revocations import HeldRevocations
from buildnet.mesh.messages.member_log import MAX_REVOCATIONS, Revocations


class Publishing:
    """Keeps ``Local.members`` right, and tells the others what they may not know."""

    def __init__(
        self,
        local: Local,
        chain: Chain,
        *,
        keeping: Keeping,
        held: HeldRevocations,
        catching_up: CatchingUp,
        proposals: Proposals,
    ) -> None:
        self._local = local
        self._chain = chain
        self._keeping = keeping
        self._held = held
        self._catching_up = catching_up
        self._proposals = proposals
        local.members = held.overlay(chain.committed)

    def became_final(self, known: MemberList, entries: tuple[Entry, ...]) -> list[Effect]:
        """Apply what is final, tell everybody, and end links to who is no member any more."""
        local = self._local
        effects: list[Effect] = []
        if not entries and known.lineage == self._chain.lineage:
            return effects
        if gone := self._held.prune(self._chain.committed):
            effects += self._keeping.keep(forget=gone)
        local.members = self._held.overlay(self._chain.committed)
        effects.append(Raise(MembersChanged()))
        if local.links and self._chain.holds(known.version, known.head):
            news = self._catching_up.entries_after(known.version)
            told = self._audience()
            if told:
                effects.append(SendAll(told, news))
        for entry in entries:
            effects += self._proposals.done(entry.change.id, entry.version)
        return [*effects, *self.part()]

    def _audience(self) -> tuple[bytes, ...]:
        """Whom to tell news at once: all, as coordinator; beyond that only where links are few."""
        local = self._local
        office = local.office
        linked = tuple(sorted(local.links))
        if office is not None and office.coordinator == local.key:
            return linked
        return linked if len(local.members.members) > len(linked) + 1 else ()

    def part(self) -> list[Effect]:
        """End links to who is no member."""
        local = self._local
        if not local.members.is_member(local.key):
            return []
        return [
            Disconnect(peer, "no member any more")
            for peer in sorted(local.links)
            if not local.members.is_member(peer)
        ]

    def hold(self, changes: Iterable[Change], sender: bytes | None) -> list[Effect]:
        local, committed = self._local, self._chain.committed
        facts = []
        for change in changes:
            fact = self._held.hold(change, committed, local.signatures)
            if fact is not None:
                facts.append(fact)
        if not facts:
            return []
        local.members = self._held.overlay(committed)
        effects = self._keeping.keep(tuple(facts))
        effects.append(Raise(MembersChanged()))
        others = tuple(peer for peer in sorted(local.links) if peer != sender)
        effects += self.tell_revocations(others, tuple(fact.change for fact in facts))
        return [*effects, *self.part()]

    def tell_revocations(
        self, peers: tuple[bytes, ...], changes: tuple[Change, ...]
    ) -> list[Effect]:
        if not peers:
            return []
        return [
            SendAll(peers, Revocations(changes[start : start + MAX_REVOCATIONS]))
            for start in range(0, len(changes), MAX_REVOCATIONS)
        ]
