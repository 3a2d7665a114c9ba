"""The member list as all nodes come to share it: entries under the election's terms.

What is final is what a majority of the voters has on disk in one ballot (a granted term of one
coordinator); only that is applied to ``Local.members``. This module joins the parts and holds the
timers: :mod:`~buildnet.mesh.sequencing` is the coordinator's side, :mod:`~buildnet.mesh.accepting`
a voter's, :mod:`~buildnet.mesh.catching_up` hands on what is final, and
:mod:`~buildnet.mesh.revocations` holds what counts before it is sequenced.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from buildnet.mesh.accepting import Accepting, Kept
from buildnet.mesh.catching_up import Adopted, CatchingUp
from buildnet.mesh.changes import Change, Recover, Revoke, SetVoters, sign_change
from buildnet.mesh.entry import CommitProof, Entry, Lineage, sign_entry
from buildnet.mesh.events import (
    ChangeDone,
    Disconnect,
    Effect,
    Event,
    Fact,
    LinkUp,
    MembersChanged,
    Note,
    OfficeChanged,
    Persist,
    Persisted,
    Raise,
    Received,
    Send,
    SendAll,
    Stalled,
)
from buildnet.mesh.genesis import Genesis
from buildnet.mesh.local import Local
from buildnet.mesh.member_chain import Chain
from buildnet.mesh.member_facts import EntryFact, GenesisFact
from buildnet.mesh.member_list import MemberList, Refused
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.member_log import (
    MAX_REVOCATIONS,
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
from buildnet.mesh.proposals import Proposals
from buildnet.mesh.revocations import HeldRevocations
from buildnet.mesh.sequencing import Sequencing
from buildnet.mesh.voters import ABSENT_S, next_voters

COMPARE_S = (4.0, 6.0)
"""So often a node compares its list with the coordinator's, or with somebody's."""
RESEND_S = (0.25, 4.0)
"""First and longest pause before voters that did not answer are asked again."""
UPKEEP_S = 1.0
"""So often the coordinator looks after the voters."""
MAX_WAITING = 1024
"""Changes that a coordinator keeps until it can take them."""


@dataclass(slots=True)
class _Term:
    """What the coordinator keeps beside its :class:`Sequencing`."""

    sequencing: Sequencing
    waiting: dict[bytes, tuple[Change, bytes | None]] = field(default_factory=dict)
    """Changes to take, by id, with who asked; in the order they came."""
    absent: dict[bytes, float] = field(default_factory=dict)
    resend_at: float = 0.0
    pause: float = RESEND_S[0]
    upkeep_at: float = 0.0


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
        self._term: _Term | None = None
        self._pending: dict[int, list[tuple[bytes, Message]]] = {}
        self._compare_at = 0.0
        local.members = self._held.overlay(self._chain.committed)

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

    @property
    def takes_changes(self) -> bool:
        """Tell whether this node coordinates and can put changes into the chain now."""
        term = self._active()
        return term is not None and term.sequencing.opened

    def recovery(self, voters: Iterable[bytes]) -> Recover:
        """Return what an admin or the cluster key signs so that this node recovers the cluster."""
        newest = self._chain.newest
        return Recover(newest.epoch + 1, newest.head, self._local.key, tuple(sorted(set(voters))))

    # --- the core ------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        due = [self._compare_at, self._proposals.deadline]
        term = self._active()
        if term is not None:
            due += [term.upkeep_at, term.resend_at]
        return min(due)

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
                return [*self._take_office(now), *self._propose_all(now)]
            case Stalled(seconds):
                if self._term is not None:
                    absent = self._term.absent
                    self._term.absent = {key: since + seconds for key, since in absent.items()}
                return []
            case _:
                return []

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        if self._chain.fresh:
            self._chain.fresh = False
            effects += self._keep((GenesisFact(self.genesis),))
        if now >= self._compare_at:
            self._compare_at = now + self._local.random.uniform(*COMPARE_S)
            effects += self._compare()
        effects += self._propose_all(now)
        term = self._active()
        if term is not None and now >= term.upkeep_at:
            term.upkeep_at = now + UPKEEP_S
            effects += self._look_after(term, now)
        if term is not None and now >= term.resend_at:
            effects += self._resend(term, now)
        return effects

    def propose(self, change: Change, now: float) -> list[Effect]:
        """Ask for a change; :class:`ChangeDone` tells what became of it. Twice does it once.

        A revocation by an admin is in force here and at all linked members at once.
        """
        what = change.what
        if isinstance(what, Recover):
            return self._recover(change, what, now)
        if change.id in self._chain.committed.recent:
            return [ChangeDone(change.id, self._chain.committed.version)]
        effects = self._proposals.add(change, now)
        if isinstance(what, Revoke):
            effects += self._hold((change,), None)
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
                    return self._voted(sender, said, now)
                case AppendAnswer():
                    return self._appended(sender, said, now)
                case LogHead():
                    answer = self._catching_up.compare(said)
                    return [] if answer is None else [Send(sender, answer)]
                case EntriesAsk():
                    return [Send(sender, self._catching_up.serve(said))]
                case Entries():
                    return self._take_entries(sender, said, now)
                case ChangeAsk(change):
                    return self._asked(sender, change, now)
                case ChangeRefused():
                    return self._proposals.refused(sender, said)
                case Revocations(changes):
                    return self._hold(changes, sender)
                case _:
                    return []
        except Refused as error:
            return [Note(f"member log: {error.reason}", sender, error.message)]

    def _is_other(self, lineage: Lineage) -> bool:
        return lineage != self._chain.lineage

    def _answer(self, to: bytes, done: Kept | AppendAnswer) -> list[Effect]:
        if isinstance(done, Kept):
            return self._keep(done.facts, done.forget, to=to, answer=done.answer)
        return [Send(to, done)]

    def _keep(
        self,
        facts: tuple[Fact, ...] = (),
        forget: tuple[str, ...] = (),
        *,
        to: bytes | None = None,
        answer: Message | None = None,
    ) -> list[Effect]:
        """Persist the chain's state with ``facts``; then say ``answer``, maybe to ourselves."""
        token = self._local.tokens.next()
        if to is not None and answer is not None:
            self._pending[token] = [(to, answer)]
        return [Persist(token, (*facts, self._chain.state()), forget)]

    def _persisted(self, token: int, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for to, answer in self._pending.pop(token, ()):
            if to == self._local.key:
                effects += self._receive(to, answer, now)
            else:
                effects.append(Send(to, answer))
        return effects

    # --- coordinating --------------------------------------------------------------------------

    def _active(self) -> _Term | None:
        """Return this node's term while its ballot is the highest that it knows."""
        term, office = self._term, self._local.office
        if term is None or office is None or not office.granted:
            return None
        ballot = term.sequencing.ballot
        if ballot != (office.counter, office.coordinator) or ballot != self._chain.promised:
            return None
        return None if self._is_other(term.sequencing.lineage) else term

    def _take_office(self, now: float) -> list[Effect]:
        office, me = self._local.office, self._local.key
        if office is None or not office.granted or office.coordinator != me:
            return []
        if self._active() is not None:
            return []
        ballot = (office.counter, me)
        again = self._term is not None and self._term.sequencing.ballot == ballot
        # Used once in each lineage: what another process of this node began is not gone on with.
        if ballot <= self._chain.promised and not (again and ballot == self._chain.promised):
            return [Note("member log: ballot used before", me)]
        sequencing = Sequencing(self._local, self._chain, ballot, self._chain.lineage)
        self._term = _Term(sequencing, upkeep_at=now + UPKEEP_S, resend_at=now + RESEND_S[0])
        effects = self._answer(me, self._accepting.vote(me, sequencing.ask))
        self._add_held(self._term)
        return effects + self._to_voters(sequencing)

    def _to_voters(self, sequencing: Sequencing) -> list[Effect]:
        effects: list[Effect] = []
        if unasked := sequencing.unasked():
            effects.append(SendAll(unasked, sequencing.ask))
        effects += [Send(voter, said) for voter, said in sequencing.appends()]
        return effects

    def _resend(self, term: _Term, now: float) -> list[Effect]:
        effects = self._to_voters(term.sequencing)
        if newer := term.sequencing.newer():
            effects.append(Send(newer[0], self._fetch()))
        term.pause = min(2 * term.pause, RESEND_S[1]) if effects else RESEND_S[0]
        term.resend_at = now + term.pause if effects else math.inf
        return effects

    def _soon(self, term: _Term, now: float) -> None:
        term.pause = RESEND_S[0]
        term.resend_at = min(term.resend_at, now + term.pause)

    def _fetch(self) -> EntriesAsk:
        return EntriesAsk(True, self._chain.points(self._chain.newest.version))

    def _voted(self, sender: bytes, answer: BallotAnswer, now: float) -> list[Effect]:
        term = self._active()
        if term is None:
            return []
        if not term.sequencing.vote(sender, answer):
            return [Note("member log: no vote", sender)]
        return self._begin(term, now)

    def _begin(self, term: _Term, now: float) -> list[Effect]:
        """Go on once the votes say which chain is the base."""
        sequencing = term.sequencing
        self._soon(term, now)
        if newer := sequencing.newer():
            return [Send(newer[0], self._fetch())]
        if sequencing.begin():
            me = self._local.key
            effects = self._keep(to=me, answer=self._accepting.accepted())
            return [*effects, *self._to_voters(sequencing)]
        if sequencing.base is None:
            return []
        return [Send(voter, said) for voter, said in sequencing.appends()]

    def _appended(self, sender: bytes, answer: AppendAnswer, now: float) -> list[Effect]:
        term = self._active()
        if term is None:
            return []
        sequencing = term.sequencing
        before = sequencing.reach(sender)
        if not sequencing.appended(sender, answer):
            return [Note("member log: no answer", sender)]
        effects: list[Effect] = []
        proof = sequencing.decided()
        if proof is not None:
            known = self._chain.committed
            entries = self._chain.commit(proof)
            sequencing.settle()
            effects += self._keep()
            effects += self._became_final(known, entries)
        effects += self._sequence(term, now)
        if sequencing.reach(sender) != before and sequencing.lacks(sender):
            effects.append(Send(sender, sequencing.append_to(sender)))
        return effects

    def _sequence(self, term: _Term, now: float) -> list[Effect]:
        """Put waiting changes into the chain, as far as it goes now."""
        sequencing = term.sequencing
        put: list[Entry] = []
        effects: list[Effect] = []
        for change_id in list(term.waiting):
            change, asker = term.waiting[change_id]
            if change_id in self._chain.newest.recent:
                del term.waiting[change_id]
                continue
            try:
                entry = sequencing.put(change)
            except Refused as error:
                spare = self._spare_voter(term, now) if error.reason == "last voter" else None
                if spare is not None:  # somebody else votes first, then the last one may go
                    put.append(spare)
                    break
                del term.waiting[change_id]
                effects += self._refuse(change, asker, error)
                continue
            if entry is None:
                break
            del term.waiting[change_id]
            put.append(entry)
        if put:
            facts = tuple(EntryFact(entry) for entry in put)
            answer = self._accepting.accepted()
            effects += self._keep(facts, to=self._local.key, answer=answer)
            effects += self._to_voters(sequencing)
            self._soon(term, now)
        return effects

    def _refuse(self, change: Change, asker: bytes | None, error: Refused) -> list[Effect]:
        if asker == self._local.key:
            return self._proposals.failed(change.id, error)
        if asker is None:
            return []
        said = ChangeRefused(change.id, error.reason, error.message, error.hint or "")
        return [Send(asker, said)]

    def _asked(self, asker: bytes, change: Change, now: float) -> list[Effect]:
        """Take a change that somebody asks for, if this node coordinates."""
        term = self._active()
        if term is None:
            return []
        if change.id in self._chain.committed.recent:
            return [Send(asker, self._catching_up.head)]
        if not change.is_signed(self._chain.committed.cluster_id, self._local.signatures):
            forged = Refused("forged change", "the change is not signed by its author")
            return self._refuse(change, asker, forged)
        if len(term.waiting) < MAX_WAITING:
            term.waiting.setdefault(change.id, (change, asker))
        return self._sequence(term, now)

    # --- voters --------------------------------------------------------------------------------

    def _present(self) -> list[bytes]:
        local = self._local
        return [local.key, *(peer for peer in sorted(local.links) if local.alive(peer))]

    def _look_after(self, term: _Term, now: float) -> list[Effect]:
        """Keep the voters right, and sequence revocations that are held."""
        present = self._present()
        voters = self._chain.newest.voters
        term.absent = {key: term.absent.get(key, now) for key in voters if key not in present}
        sequencing = term.sequencing
        if not sequencing.opened:
            return []
        self._add_held(term)
        effects = self._sequence(term, now)
        if term.waiting or sequencing.is_changing_voters:
            return effects
        lost = [key for key, since in term.absent.items() if now - since >= ABSENT_S]
        step = next_voters(
            self._held.overlay(self._chain.newest),
            coordinator=self._local.key,
            present=present,
            lost=lost,
        )
        if step is not None:
            change = self._signed(step)
            term.waiting[change.id] = (change, None)
            effects += self._sequence(term, now)
        return effects

    def _spare_voter(self, term: _Term, now: float) -> Entry | None:
        newest = self._chain.newest
        spare = sorted(
            (
                key
                for key in self._present()
                if self._local.members.stands(key)
                and newest.stands(key)
                and key not in newest.voters
            ),
            key=newest.rank,
        )
        if not spare or term.sequencing.is_changing_voters:
            return None
        return term.sequencing.put(self._signed(SetVoters(spare[-1], None)))

    def _signed(self, step: SetVoters) -> Change:
        local = self._local
        return sign_change(
            step,
            cluster_id=self._chain.committed.cluster_id,
            author=local.key,
            hlc=local.clock.now(),
            sign=local.signatures.sign,
        )

    # --- what is final -------------------------------------------------------------------------

    def _take_entries(self, sender: bytes, said: Entries, now: float) -> list[Effect]:
        if said.accepted:
            return self._take_base(sender, said, now)
        known = self._chain.committed
        taken = self._catching_up.receive(sender, said)
        if isinstance(taken, Adopted):
            effects = self._keep(taken.facts, taken.forget)
            effects += self._became_final(known, taken.entries)
            if self._is_recovered(known):
                effects += [
                    Note("member log: recovered", sender, f"epoch {self.committed.epoch}"),
                    *self._take_office(now),
                ]
            return effects
        return [] if taken is None else [Send(sender, taken)]

    def _is_recovered(self, known: MemberList) -> bool:
        return known.lineage != self._chain.lineage

    def _take_base(self, sender: bytes, said: Entries, now: float) -> list[Effect]:
        """Take the chain of a voter that holds a newer one than this coordinator."""
        term = self._active()
        if term is None:
            return []
        taken = term.sequencing.take_base(sender, said)
        if taken is None:
            return []
        effects = self._keep(*taken)
        return [*effects, *self._begin(term, now), *self._to_voters(term.sequencing)]

    def _became_final(self, known: MemberList, entries: tuple[Entry, ...]) -> list[Effect]:
        """Apply what is final, tell everybody, and end links to who is no member any more."""
        local = self._local
        effects: list[Effect] = []
        if not entries and known.lineage == self._chain.lineage:
            return effects
        if gone := self._held.prune(self._chain.committed):
            effects += self._keep(forget=gone)
        local.members = self._held.overlay(self._chain.committed)
        effects.append(Raise(MembersChanged()))
        if local.links and self._chain.holds(known.version, known.head):
            news = self._catching_up.entries_after(known.version)
            told = self._audience()
            if told:
                effects.append(SendAll(told, news))
        for entry in entries:
            effects += self._proposals.done(entry.change.id, entry.version)
        return [*effects, *self._part()]

    def _audience(self) -> tuple[bytes, ...]:
        """Whom to tell news at once: all, as coordinator; beyond that only where links are few."""
        local = self._local
        office = local.office
        linked = tuple(sorted(local.links))
        if office is not None and office.coordinator == local.key:
            return linked
        return linked if len(local.members.members) > len(linked) + 1 else ()

    def _part(self) -> list[Effect]:
        """End links to who is no member."""
        local = self._local
        if not local.members.is_member(local.key):
            return []
        return [
            Disconnect(peer, "no member any more")
            for peer in sorted(local.links)
            if not local.members.is_member(peer)
        ]

    def _greet(self, peer: bytes, now: float) -> list[Effect]:
        effects: list[Effect] = [Send(peer, self._catching_up.head)]
        effects += self._tell_revocations((peer,), self._held.changes)
        term = self._active()
        if term is not None:
            term.resend_at = now
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
            hlc=max(newest.hlc, local.clock.now()),
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
        effects = self._keep(facts, forget)
        effects += self._became_final(known, entries)
        return [*effects, ChangeDone(change.id, after.version), *self._take_office(now)]

    # --- revocations ---------------------------------------------------------------------------

    def _hold(self, changes: Iterable[Change], sender: bytes | None) -> list[Effect]:
        local, committed = self._local, self._chain.committed
        facts = []
        for change in changes:
            fact = self._held.hold(change, committed, local.signatures)
            if fact is not None:
                facts.append(fact)
        if not facts:
            return []
        local.members = self._held.overlay(committed)
        effects = self._keep(tuple(facts))
        effects.append(Raise(MembersChanged()))
        others = tuple(peer for peer in sorted(local.links) if peer != sender)
        effects += self._tell_revocations(others, tuple(fact.change for fact in facts))
        term = self._active()
        if term is not None:
            term.upkeep_at = 0.0
        return [*effects, *self._part()]

    def _tell_revocations(
        self, peers: tuple[bytes, ...], changes: tuple[Change, ...]
    ) -> list[Effect]:
        if not peers:
            return []
        return [
            SendAll(peers, Revocations(changes[start : start + MAX_REVOCATIONS]))
            for start in range(0, len(changes), MAX_REVOCATIONS)
        ]

    def _add_held(self, term: _Term) -> None:
        for change in self._held.changes:
            if change.id not in self._chain.newest.recent:
                term.waiting.setdefault(change.id, (change, None))

    # --- proposals -----------------------------------------------------------------------------

    def _propose_all(self, now: float) -> list[Effect]:
        """Say what this node asks for to whoever coordinates, as often as it takes."""
        effects: list[Effect] = []
        for change in self._proposals.due(now):
            office = self._local.office
            if office is None:
                continue
            if office.coordinator == self._local.key:
                effects += self._asked(self._local.key, change, now)
            elif office.coordinator in self._local.links:
                effects.append(Send(office.coordinator, ChangeAsk(change)))
        return [*effects, *self._proposals.expire(now)]
