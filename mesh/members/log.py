"""The member list as all nodes come to share it: entries under the election's terms.

What is final is what a majority of the voters has on disk in one ballot (a granted term of one
coordinator); only that is applied to ``Local.members``. This module joins the parts and holds the
timers: :mod:`.sequencing` is the coordinator's side, :mod:`.accepting` a voter's,
:mod:`.catching_up` hands on what is final, and :mod:`.revocations` holds what counts before it is
sequenced.
"""

from __future__ import annotations

from collections.abc import Iterable

from buildnet.mesh.events import (
    ChangeDone,
    Effect,
    Event,
    Fact,
    LinkUp,
    Note,
    OfficeChanged,
    Persisted,
    Received,
    Send,
    Stalled,
)
from buildnet.mesh.local import Local
from buildnet.mesh.members.accepting import Accepting, Kept
from buildnet.mesh.members.catching_up import Adopted, CatchingUp
from buildnet.mesh.members.changes import Change, Recover, Revoke
from buildnet.mesh.members.coordinating import Coordinating
from buildnet.mesh.members.entry import CommitProof, Entry, Lineage, sign_entry
from buildnet.mesh.members.genesis import Genesis
from buildnet.mesh.members.keeping import Keeping
from buildnet.mesh.members.member_chain import Chain
from buildnet.mesh.members.member_list import MemberList, Refused
from buildnet.mesh.members.proposals import Proposals
from buildnet.mesh.members.publishing import Publishing
from buildnet.mesh.members.revocations import HeldRevocations
from buildnet.mesh.members.rules import check_revocation
from buildnet.mesh.messages.election import Coordinator, Heartbeat
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.member_log import (
    Append,
    AppendAnswer,
    BallotAnswer,
    BallotAsk,
    ChangeAsk,
    ChangeRefused,
    Entries,
    EntriesAsk,
    LogHead,
    Revocations,
)

COMPARE_S = (4.0, 6.0)
"""So often a node compares its list with the coordinator's, or with somebody's; what a coordinator
names and this node lacks it asks for at once."""


class MemberLog:
    """The member log of one node.

    Args:
        local: ``local.members`` may be a cluster as it began; it is replaced by what was kept.
        facts: what was persisted before, in any order.

    Raises:
        Refused: what was persisted does not fit together.
    """

    def __init__(self, local: Local, *, facts: Iterable[Fact] = ()) -> None:
        known = tuple(facts)
        self._local = local
        self._chain = Chain(local.members, known, local.signatures)
        self._held = HeldRevocations(known)
        self._accepting = Accepting(local, self._chain)
        self._catching_up = CatchingUp(local, self._chain)
        self._proposals = Proposals(local)
        self._keeping = Keeping(local, self._chain)
        self._publishing = Publishing(
            local,
            self._chain,
            keeping=self._keeping,
            held=self._held,
            catching_up=self._catching_up,
            proposals=self._proposals,
        )
        self._coordinating = Coordinating(
            local,
            self._chain,
            keeping=self._keeping,
            accepting=self._accepting,
            catching_up=self._catching_up,
            publishing=self._publishing,
            held=self._held,
            proposals=self._proposals,
        )
        self._compare_at = 0.0

    # --- what others look at -------------------------------------------------------------------

    @property
    def accepted(self) -> tuple[int, int]:
        """The term in which the newest chain was accepted, and its version; final or not."""
        return (self._chain.accepted[0], self._chain.newest.version)

    @property
    def head(self) -> bytes:
        """Hash of the newest entry held, final or not."""
        return self._chain.newest.head

    @property
    def voters(self) -> tuple[bytes, ...]:
        """The voters that the newest chain names: a change of them counts once it is held."""
        return self._chain.newest.voters

    @property
    def committed(self) -> MemberList:
        """The list of what is final, without revocations that are held only."""
        return self._chain.committed

    @property
    def genesis(self) -> Genesis:
        """How the cluster began."""
        return self._chain.committed.genesis

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All final entries."""
        return tuple(self._chain.entries[: self._chain.committed.version])

    @property
    def proof(self) -> CommitProof:
        """Shows anybody that :attr:`entries` are final."""
        return self._chain.proof

    def recovery(self, voters: Iterable[bytes]) -> Recover:
        """Return what an admin or the cluster key signs so that this node recovers the cluster."""
        newest = self._chain.newest
        return Recover(newest.epoch + 1, newest.head, self._local.key, tuple(sorted(set(voters))))

    # --- the core ------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return min(self._compare_at, self._proposals.deadline, self._coordinating.deadline)

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        match event:
            case Received(sender, said):
                if not self._local.members.is_member(sender):
                    return []
                return self._receive(sender, said, now)
            case Persisted(token):
                return self._persisted(token, now)
            case LinkUp(peer):
                return self._greet(peer, now)
            case OfficeChanged():
                self._proposals.hurry(now)
                return [*self._coordinating.take_office(now), *self._propose_all(now)]
            case Stalled(seconds):
                self._coordinating.stalled(seconds)
                return []
            case _:
                return []

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        if self._chain.fresh:
            effects += self._keeping.keep()
        if now >= self._compare_at:
            self._compare_at = now + self._local.random.uniform(*COMPARE_S)
            effects += self._compare()
        effects += self._propose_all(now)
        return effects + self._coordinating.tick(now)

    def propose(self, change: Change, now: float) -> list[Effect]:
        """Ask for a change; :class:`ChangeDone` tells what became of it. Twice does it once.

        A revocation by an admin is in force here and at all linked members at once.
        """
        what = change.what
        if isinstance(what, Recover):
            return self._recover(change, what, now)
        if change.id in self._chain.committed.recent:
            return [ChangeDone(change.id, self._chain.committed.version)]
        if isinstance(what, Revoke):
            try:
                check_revocation(self._chain.committed, change.author, what.key)
            except Refused as error:
                return [ChangeDone(change.id, self._chain.committed.version, error)]
        effects = self._proposals.add(change, now)
        if isinstance(what, Revoke):
            effects += self._publishing.hold((change,), None)
            self._coordinating.hurry(now)
        return [*effects, *self._propose_all(now)]

    # --- messages ------------------------------------------------------------------------------

    def _receive(self, sender: bytes, said: Message, now: float) -> list[Effect]:
        try:
            match said:
                case BallotAsk(epoch=epoch, recovery=recovery) if self._is_other((epoch, recovery)):
                    return [Send(sender, self._catching_up.head)]
                case BallotAsk():
                    return self._answer(sender, self._accepting.vote(sender, said))
                case Append(epoch=epoch, recovery=recovery) if self._is_other((epoch, recovery)):
                    return [Send(sender, self._catching_up.head)]
                case Append():
                    return self._answer(sender, self._accepting.append(sender, said))
                case BallotAnswer():
                    return self._coordinating.voted(sender, said, now)
                case AppendAnswer():
                    return self._coordinating.appended(sender, said, now)
                case LogHead():
                    self._coordinating.told_head(sender, said, now)
                    return _to(sender, self._catching_up.compare(sender, said, now))
                case Heartbeat(version=version, head=head) if self._coordinates(sender):
                    return _to(sender, self._catching_up.names(sender, version, now, head=head))
                case Coordinator(coordinator, version=version) if coordinator == sender:
                    return _to(sender, self._catching_up.names(sender, version, now))
                case EntriesAsk():
                    return [Send(sender, self._catching_up.serve(said))]
                case Entries():
                    return self._take_entries(sender, said, now)
                case ChangeAsk(change):
                    return self._coordinating.asked(sender, change, now)
                case ChangeRefused():
                    return self._proposals.refused(sender, said)
                case Revocations(changes):
                    self._coordinating.hurry(now)
                    return self._publishing.hold(changes, sender)
                case _:
                    return []
        except Refused as error:
            return [Note(f"member log: {error.reason}", sender, error.message)]

    def _coordinates(self, key: bytes) -> bool:
        office = self._local.office
        return office is not None and office.coordinator == key

    def _is_other(self, lineage: Lineage) -> bool:
        return lineage != self._chain.lineage

    def _answer(self, to: bytes, done: Kept | AppendAnswer | None) -> list[Effect]:
        if done is None:
            return [Send(to, self._catching_up.head)]
        if isinstance(done, Kept):
            return self._keeping.keep(done.facts, done.forget, to=to, answer=done.answer)
        return [Send(to, done)]

    def _persisted(self, token: int, now: float) -> list[Effect]:
        said = self._keeping.persisted(token)
        if said is None:
            return []
        to, answer = said
        if to == self._local.key:
            return self._receive(to, answer, now)
        return [Send(to, answer)]

    # --- what is final -------------------------------------------------------------------------

    def _take_entries(self, sender: bytes, said: Entries, now: float) -> list[Effect]:
        if said.accepted:
            return self._coordinating.take_base(sender, said, now)
        known = self._chain.committed
        taken = self._catching_up.receive(sender, said, now)
        if isinstance(taken, Adopted):
            effects = self._keeping.keep(taken.facts, taken.forget)
            effects += self._publishing.became_final(known, taken.entries)
            if self._is_recovered(known):
                effects += [
                    Note("member log: recovered", sender, f"epoch {self.committed.epoch}"),
                    *self._coordinating.take_office(now),
                ]
            return effects
        return _to(sender, taken)

    def _is_recovered(self, known: MemberList) -> bool:
        return known.lineage != self._chain.lineage

    def _greet(self, peer: bytes, now: float) -> list[Effect]:
        effects: list[Effect] = [Send(peer, self._catching_up.head)]
        effects += self._publishing.tell_revocations((peer,), self._held.changes)
        self._coordinating.hurry(now)
        self._proposals.hurry(now)
        return effects + self._propose_all(now)

    def _compare(self) -> list[Effect]:
        local = self._local
        linked = [peer for peer in sorted(local.links) if local.members.is_member(peer)]
        if not linked:
            return []
        office = local.office
        if office is not None and office.coordinator in linked:
            peer = office.coordinator
        else:
            peer = local.random.choice(linked)
        return [Send(peer, self._catching_up.head)]

    def _recover(self, change: Change, what: Recover, now: float) -> list[Effect]:
        """Begin a new epoch here; it stands by its author's signature."""
        local, chain = self._local, self._chain
        newest = chain.newest
        known = chain.committed
        entry = sign_entry(
            change,
            cluster_id=newest.cluster_id,
            version=newest.version + 1,
            previous=newest.head,
            ballot=(newest.ballot[0], local.key),
            hlc=max(newest.hlc + 1, local.clock.now()),
            votes=(),
            sign=local.signatures.sign,
        )
        try:
            after = newest.apply(entry, local.signatures)
        except Refused as error:
            return [ChangeDone(change.id, newest.version, error)]
        facts, forget = chain.replace_after(newest.version, (entry,), (after,))
        chain.accepted = after.ballot
        entries = chain.commit(CommitProof(*after.ballot, after.version, after.head, ()))
        effects = self._keeping.keep(facts, forget)
        effects += self._publishing.became_final(known, entries)
        return [
            *effects,
            ChangeDone(change.id, after.version),
            *self._coordinating.take_office(now),
        ]

    # --- proposals -----------------------------------------------------------------------------

    def _propose_all(self, now: float) -> list[Effect]:
        """Say what this node asks for to whoever coordinates, as often as it takes."""
        effects: list[Effect] = []
        for change in self._proposals.due(now):
            office = self._local.office
            if office is None:
                continue
            if office.coordinator == self._local.key:
                effects += self._coordinating.asked(self._local.key, change, now)
            elif office.coordinator in self._local.links:
                effects.append(Send(office.coordinator, ChangeAsk(change)))
        return [*effects, *self._proposals.expire(now)]


def _to(peer: bytes, said: Message | None) -> list[Effect]:
    return [] if said is None else [Send(peer, said)]
