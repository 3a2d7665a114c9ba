"""What a coordinator does for the member list: takes changes, looks after the voters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from buildnet.mesh.events import Effect, Note, Send, SendAll
from buildnet.mesh.local import Local
from buildnet.mesh.members.accepting import Accepting
from buildnet.mesh.members.catching_up import CatchingUp
from buildnet.mesh.members.changes import Change, Leave, Remove, Rotate, SetVoters, sign_change
from buildnet.mesh.members.entry import Entry, Lineage
from buildnet.mesh.members.facts import EntryFact
from buildnet.mesh.members.keeping import Keeping
from buildnet.mesh.members.member_chain import Chain
from buildnet.mesh.members.member_list import Refused
from buildnet.mesh.members.proposals import Proposals
from buildnet.mesh.members.publishing import Publishing
from buildnet.mesh.members.revocations import HeldRevocations
from buildnet.mesh.members.sequencing import Sequencing
from buildnet.mesh.members.voters import (
    ABSENT_S,
    HEARD_S,
    STABLE_S,
    is_majority_present,
    next_voters,
)
from buildnet.mesh.messages.member_log import (
    AppendAnswer,
    BallotAnswer,
    ChangeRefused,
    Entries,
    EntriesAsk,
    LogHead,
)

RESEND_S = (0.25, 4.0)
"""First and longest pause before voters that did not answer are asked again."""
FETCH_S = 1.0
"""A voter that named a newer chain hands it over within that time, or another one is asked."""
UPKEEP_S = 1.0
"""So often the coordinator looks after the voters."""
MAX_WAITING = 1024
"""Changes that a coordinator keeps until it can take them."""


@dataclass(slots=True)
class Term:
    """What the coordinator keeps beside its :class:`Sequencing`."""

    sequencing: Sequencing
    waiting: dict[bytes, tuple[Change, bytes | None]] = field(default_factory=dict)
    """Changes to take, by id, with who asked; in the order they came."""
    absent: dict[bytes, float] = field(default_factory=dict)
    """Voters that are not there, since when."""
    doubted: dict[bytes, float] = field(default_factory=dict)
    """Linked members that were not alive, when they last were not."""
    resend_at: float = 0.0
    pause: float = RESEND_S[0]
    fetching: tuple[bytes, float] | None = None
    """Whose chain is wanted, since when."""
    upkeep_at: float = 0.0


class Coordinating:
    """One node's terms of office, one after the other."""

    def __init__(
        self,
        local: Local,
        chain: Chain,
        *,
        keeping: Keeping,
        accepting: Accepting,
        catching_up: CatchingUp,
        publishing: Publishing,
        held: HeldRevocations,
        proposals: Proposals,
    ) -> None:
        self._local = local
        self._chain = chain
        self._keeping = keeping
        self._accepting = accepting
        self._catching_up = catching_up
        self._publishing = publishing
        self._held = held
        self._proposals = proposals
        self._term: Term | None = None
        self._holders: dict[bytes, float] = {}
        """Who said on which link (by its beginning) that it holds the list as it was then."""
        self._heard: dict[bytes, tuple[Lineage, float]] = {}
        """Of which epoch linked members told their list last, and when."""

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        term = self.active()
        return math.inf if term is None else min(term.upkeep_at, term.resend_at)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        term = self.active()
        if term is None:
            return []
        effects: list[Effect] = []
        if now >= term.upkeep_at:
            term.upkeep_at = now + UPKEEP_S
            effects += self._look_after(term, now)
        if now >= term.resend_at:
            effects += self._resend(term, now)
        return effects

    def hurry(self, now: float) -> None:
        """Do at the next tick what would be done later."""
        term = self.active()
        if term is not None:
            term.resend_at = term.upkeep_at = now

    def stalled(self, seconds: float) -> None:
        """Take note that nobody was watched for so long."""
        if self._term is not None:
            absent = self._term.absent
            self._term.absent = {key: since + seconds for key, since in absent.items()}

    def active(self) -> Term | None:
        """Return this node's term while its ballot is the highest that it knows."""
        term, office = self._term, self._local.office
        if term is None or office is None or not office.granted:
            return None
        ballot = term.sequencing.ballot
        if ballot != (office.counter, office.coordinator) or ballot != self._chain.promised:
            return None
        return None if term.sequencing.lineage != self._chain.lineage else term

    def take_office(self, now: float) -> list[Effect]:
        office, me = self._local.office, self._local.key
        if office is None or not office.granted or office.coordinator != me:
            return []
        if self.active() is not None:
            return []
        ballot = (office.counter, me)
        again = self._term is not None and self._term.sequencing.ballot == ballot
        # Used once in each lineage: what another process of this node began is not gone on with.
        if ballot <= self._chain.promised and not (again and ballot == self._chain.promised):
            return [Note("member log: ballot used before", me)]
        sequencing = Sequencing(self._local, self._chain, ballot, self._chain.lineage)
        self._term = Term(sequencing, upkeep_at=now + UPKEEP_S, resend_at=now + RESEND_S[0])
        vote = self._accepting.vote(me, sequencing.ask)
        effects = self._keeping.keep(to=me, answer=vote.answer)
        return effects + self._to_voters(sequencing)

    def _to_voters(self, sequencing: Sequencing) -> list[Effect]:
        effects: list[Effect] = []
        if unasked := sequencing.unasked():
            effects.append(SendAll(unasked, sequencing.ask))
        effects += [Send(voter, said) for voter, said in sequencing.appends()]
        return effects

    def _resend(self, term: Term, now: float) -> list[Effect]:
        effects = self._to_voters(term.sequencing)
        effects += self._fetch(term, now)
        term.pause = min(2 * term.pause, RESEND_S[1]) if effects else RESEND_S[0]
        term.resend_at = now + term.pause if effects else math.inf
        return effects

    def _soon(self, term: Term, now: float) -> None:
        term.pause = RESEND_S[0]
        term.resend_at = min(term.resend_at, now + term.pause)

    def _fetch(self, term: Term, now: float) -> list[Effect]:
        """Ask for the chain that would make the base known, and not one voter for too long."""
        newer = term.sequencing.newer()
        who, since = term.fetching or (b"", now)
        if newer and who == newer[0] and now - since >= FETCH_S:
            term.sequencing.give_up(who)
            term.fetching, newer = None, term.sequencing.newer()
        if newer is None:
            term.fetching = None
            return []
        if term.fetching is None or term.fetching[0] != newer[0]:
            term.fetching = (newer[0], now)
        return [Send(newer[0], EntriesAsk(True, self._chain.points(self._chain.newest.version)))]

    def voted(self, sender: bytes, answer: BallotAnswer, now: float) -> list[Effect]:
        term = self.active()
        if term is None:
            return []
        if not term.sequencing.vote(sender, answer):
            return [Note("member log: no vote", sender)]
        return self._begin(term, now)

    def _begin(self, term: Term, now: float) -> list[Effect]:
        """Go on once the votes say which chain is the base."""
        sequencing = term.sequencing
        self._soon(term, now)
        if sequencing.begin():
            me = self._local.key
            effects = self._keeping.keep(to=me, answer=self._accepting.accepted())
            return [*effects, *self._to_voters(sequencing)]
        if sequencing.base is None:
            return self._fetch(term, now)
        return [Send(voter, said) for voter, said in sequencing.appends()]

    def appended(self, sender: bytes, answer: AppendAnswer, now: float) -> list[Effect]:
        term = self.active()
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
            effects += self._keeping.keep()
            effects += self._publishing.became_final(known, entries)
            if len(self._chain.committed.voters) % 2 == 0:
                term.upkeep_at = now  # no even number longer than needed
        effects += self._sequence(term, now)
        if sequencing.reach(sender) != before and sequencing.lacks(sender):
            effects.append(Send(sender, sequencing.append_to(sender)))
        return effects

    def _sequence(self, term: Term, now: float) -> list[Effect]:
        """Put waiting changes into the chain, as far as it goes now."""
        sequencing = term.sequencing
        put: list[Entry] = []
        effects: list[Effect] = []
        self._add_held(term)
        for change_id in list(term.waiting):
            change, asker = term.waiting[change_id]
            if change_id in self._chain.newest.recent:
                del term.waiting[change_id]
                continue
            if self._ends_a_vote(change) and not self._may_end(change):
                continue
            try:
                if self._is_void(change):
                    raise _void()
                entry = sequencing.put(change)
            except Refused as error:
                if error.reason == "sequencer no member":
                    break  # this node leaves: who asks does so again, of its successor
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
            effects += self._keeping.keep(facts, to=self._local.key, answer=answer)
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

    def asked(self, asker: bytes, change: Change, now: float) -> list[Effect]:
        """Take a change that somebody asks for, if this node coordinates."""
        term = self.active()
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

    def told_head(self, sender: bytes, said: LogHead, now: float) -> None:
        """Take note of the list that a member says it holds."""
        links = self._local.links
        self._heard = {key: heard for key, heard in self._heard.items() if key in links}
        self._heard[sender] = ((said.epoch, said.recovery), now)
        link = links.get(sender)
        if link is None or said.version < self._chain.committed.version:
            self._holders.pop(sender, None)
        else:
            self._holders[sender] = link.since

    def _stable(self, term: Term, present: list[bytes], now: float) -> list[bytes]:
        """Return who of those present was so for a while, and holds the list."""
        local, links = self._local, self._local.links
        term.doubted = {key: at for key, at in term.doubted.items() if key in links}
        term.doubted |= {key: now for key in links if not local.alive(key)}
        since = {
            key: max(links[key].since, term.doubted.get(key, -math.inf))
            for key in present
            if key in links and self._holders.get(key) == links[key].since
        }
        return [local.key, *(key for key in since if now - since[key] >= STABLE_S)]

    def _lately_heard(self, present: list[bytes], now: float) -> list[bytes]:
        lineage = self._chain.lineage
        heard = {
            key for key, (of, at) in self._heard.items() if of == lineage and now - at <= HEARD_S
        }
        return [key for key in present if key == self._local.key or key in heard]

    def _present(self) -> list[bytes]:
        local = self._local
        return [local.key, *(peer for peer in sorted(local.links) if local.alive(peer))]

    def _look_after(self, term: Term, now: float) -> list[Effect]:
        """Keep the voters right, and sequence revocations that are held."""
        present = self._present()
        voters = self._chain.newest.voters
        term.absent = {key: term.absent.get(key, now) for key in voters if key not in present}
        stable = self._stable(term, present, now)
        sequencing = term.sequencing
        if not sequencing.opened:
            return []
        effects = self._sequence(term, now)
        if term.waiting or sequencing.is_changing_voters or not self._local.may_change_voters():
            return effects
        lost = [key for key, since in term.absent.items() if now - since >= ABSENT_S]
        step = next_voters(
            self._held.overlay(self._chain.newest),
            coordinator=self._local.key,
            present=present,
            heard=self._lately_heard(present, now),
            stable=stable,
            lost=lost,
        )
        if step is not None:
            change = self._signed(step, sequencing)
            term.waiting[change.id] = (change, None)
            effects += self._sequence(term, now)
        return effects

    def _may_end(self, change: Change) -> bool:
        """Tell whether a voter may go by it now: not where too few of those who stay are there,
        for then nobody could change the list any more, and who is there could not take it back."""
        what, voters = change.what, self._chain.newest.voters
        gone = what.key if isinstance(what, Remove) else change.author
        rest = [key for key in voters if key != gone]
        return self._local.may_change_voters() and (
            not rest or is_majority_present(rest, self._present())
        )

    def _ends_a_vote(self, change: Change) -> bool:
        """Tell whether a voter goes by it; a revocation waits for nothing."""
        match change.what:
            case Leave() | Rotate():
                return change.author in self._chain.newest.voters
            case Remove(key):
                return key in self._chain.newest.voters
            case _:
                return False

    def _spare_voter(self, term: Term, now: float) -> Entry | None:
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
        step = SetVoters(spare[-1], None)
        return term.sequencing.put(self._signed(step, term.sequencing))

    def _signed(self, step: SetVoters, sequencing: Sequencing) -> Change:
        local = self._local
        return sign_change(
            step,
            cluster_id=self._chain.committed.cluster_id,
            author=local.key,
            hlc=sequencing.date(),
            sign=local.signatures.sign,
        )

    def take_base(self, sender: bytes, said: Entries, now: float) -> list[Effect]:
        """Take the chain of a voter that holds a newer one than this coordinator."""
        term = self.active()
        if term is None:
            return []
        taken = term.sequencing.take_base(sender, said)
        if taken is None:
            return []
        effects = self._keeping.keep(*taken)
        return [*effects, *self._begin(term, now), *self._to_voters(term.sequencing)]

    def _add_held(self, term: Term) -> None:
        """Put the revocations that are held first: nothing of these keys comes before them."""
        held = {
            change.id: term.waiting.get(change.id, (change, None))
            for change in self._held.changes
            if change.id not in self._chain.newest.recent
        }
        term.waiting = {**held, **term.waiting}

    def _is_void(self, change: Change) -> bool:
        """Tell whether the change is of a key whose revocation is held. (Of admins who revoke each
        other the list takes the first.)"""
        if change.author not in self._local.members.revoked:
            return False
        return all(change.id != held.id for held in self._held.changes)


def _void() -> Refused:
    return Refused("revoked", "the key that signed this change is revoked")
