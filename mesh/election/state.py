"""What one node knows of the election, shared by the parts that decide about it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from buildnet.mesh.election.candidacy import Candidacy
from buildnet.mesh.election.contest import Contests
from buildnet.mesh.election.following import Following
from buildnet.mesh.election.handover import Handover
from buildnet.mesh.election.promise import (
    NAMED_STEP,
    AcceptedLog,
    Certificate,
    CertificateFact,
    PromiseFact,
)
from buildnet.mesh.election.ranking import higher_ranks
from buildnet.mesh.election.tenure import Tenure
from buildnet.mesh.election.voter import Voter
from buildnet.mesh.events import Effect, Fact, Note, Office, OfficeChanged, Persist, Raise, Send
from buildnet.mesh.local import Local
from buildnet.mesh.messages.election import Hears, TermProof
from buildnet.mesh.messages.kinds import Message

TIMEOUT_S = (0.8, 1.2)
"""A follower misses a coordinator that was silent for a random time between these."""
RESTLESS_S = (2.0, 3.0)
"""So long a coordinator may lack its quorum while a follower reaches a majority."""
STAGGER_S = 0.04
"""At a known death, each rank waits so long for the one above it."""
_MAX_STAGGER_S = 0.4
_RELIEVED_S = 3.0  # what was on its way when the office passed on has arrived by then
_CORRECT_S = 0.5  # no peer is told more often who coordinates
_ANSWER_S = 0.2  # nor if it asks


class ElectionState:
    """Who holds the office, what was promised and proven, when something is due.

    At most one of ``tenure`` (this node's office) and ``following`` (somebody else's) is set.
    ``alarm`` is when a follower loses patience, or a provisional coordinator tries again.
    """

    def __init__(self, local: Local, log: AcceptedLog, facts: Iterable[Fact], now: float) -> None:
        promise: PromiseFact | None = None
        self.proof: Certificate | None = None
        """The certificate of the highest term that was proven here."""
        for fact in facts:
            if isinstance(fact, PromiseFact):
                promise = fact
            elif isinstance(fact, CertificateFact):
                self.proof = fact.certificate
        self.local = local
        self.log = log
        self.voter = Voter(local, log, promise)
        self.handover = Handover(local)
        self.contests = Contests()
        self.tenure: Tenure | None = None
        self.following: Following | None = None
        self.candidacy: Candidacy | None = None
        self.series_since: float | None = None
        """When the present series of candidacies began."""
        self.attempts = 0
        """How many of the series came to nothing."""
        self.began = now
        self.timeout = local.random.uniform(*TIMEOUT_S)
        self.restless_s = local.random.uniform(*RESTLESS_S)
        self.alarm = now if self.is_alone() else now + self.timeout
        self.out: list[Effect] = []
        """What is to be done once the present event was taken."""
        self.named = 0
        """The highest counter that voters named, as far as it is followed."""
        self.deferred_to: set[bytes] = set()
        """Higher ranks that were let go first in this silence."""
        self._relieved: tuple[bytes, int, float] | None = None
        self._told: dict[bytes, float] = {}
        self._answered: dict[bytes, float] = {}

    # --- what is the case ----------------------------------------------------------------------

    @property
    def office(self) -> Office | None:
        """Who coordinates, as far as this node knows."""
        if self.tenure is not None:
            return self.tenure.office
        return None if self.following is None else self.following.office

    @property
    def floor(self) -> int:
        """The highest counter that was granted, as far as it was proven here."""
        return 0 if self.proof is None else self.proof.counter

    @property
    def named_by(self) -> Certificate | None:
        """What shows the highest term that is named here, be it in a provisional office only."""
        office = self.tenure or self.following
        shown = None if office is None else office.certificate
        return shown if shown is not None and shown.counter > self.floor else self.proof

    def is_holder(self, key: bytes, counter: int) -> bool:
        """Tell whether the highest proven term is ``counter`` and was granted to ``key``."""
        proof = self.proof
        return proof is not None and (proof.candidate, proof.counter) == (key, counter)

    def take_named(self, counter: int) -> None:
        """Follow a counter that a voter names, though only one step of the way."""
        followed = min(counter, max(self.floor, self.voter.counter) + NAMED_STEP)
        self.named = max(self.named, followed)

    def may_stand(self) -> bool:
        """Tell whether this node wants the office and may hold it."""
        return self.local.members.stands(self.local.key) and not self.handover.resigning

    def is_alone(self) -> bool:
        """Tell whether the cluster is this node."""
        members = self.local.members
        me = self.local.key
        return members.voters == (me,) and all(
            key == me for key in members.members if members.is_member(key)
        )

    def reaches_majority(self) -> bool:
        """Tell whether links to a majority of the voters stand."""
        local, voters = self.local, self.log.voters
        reached = sum(voter == local.key or voter in local.links for voter in voters)
        return reached > len(voters) // 2

    def hears(self, now: float) -> Hears:
        """Tell whom this node hears as coordinator; in office, itself."""
        if self.tenure is not None:
            return Hears.QUORUM if self.tenure.office.quorum else Hears.PROVISIONAL
        if self.following is None:
            return Hears.NOBODY
        return self.following.hears(now, self.coordinator_round_trip_s())

    def coordinator_round_trip_s(self) -> float:
        """The coordinator's link's; 0 where nothing was measured."""
        office = self.office
        link = None if office is None else self.local.links.get(office.coordinator)
        return (link.round_trip_s or 0.0) if link is not None else 0.0

    def round_trip_s(self) -> float:
        """The slowest link's."""
        return max((link.round_trip_s or 0.0 for link in self.local.links.values()), default=0.0)

    def patience_s(self) -> float:
        """How long a follower waits for the coordinator this time."""
        return self.timeout + 4 * self.coordinator_round_trip_s()

    def stagger_s(self) -> float:
        """How long this node waits for higher ranks to stand first."""
        office = self.office
        coordinator = None if office is None else office.coordinator
        higher = sum(peer != coordinator for peer in higher_ranks(self.local))
        return min(_MAX_STAGGER_S, STAGGER_S * higher)

    # --- what changes --------------------------------------------------------------------------

    def abandon(self, now: float) -> None:
        """Stand no more for now; wait as long as a follower does."""
        self.candidacy = None
        self.series_since = None
        self.attempts = 0
        self.timeout = self.local.random.uniform(*TIMEOUT_S)
        self.restless_s = self.local.random.uniform(*RESTLESS_S)
        if self.tenure is None:
            self.alarm = now + self.patience_s()

    def vacate(self, now: float) -> None:
        """Nobody is known to coordinate any more."""
        self.tenure = self.following = None
        self.out.append(Raise(OfficeChanged(None)))
        self.abandon(now)

    def learn(self, certificate: Certificate) -> bool:
        """Check a certificate, and keep it if it proves a higher term; tell whether it is good."""
        if certificate == self.proof:
            return True
        local = self.local
        if not (
            certificate.is_of_majority(local, local.members.voters)
            or certificate.is_of_majority(local, self.log.voters)
        ):
            return False
        if certificate.counter > self.floor or self.is_holder(
            certificate.candidate, certificate.counter
        ):
            self.keep(certificate)
        return True

    def may_name(self, certificate: Certificate) -> bool:
        """Tell whether a provisional office may name the certificate's term."""
        voters = (self.local.members.voters, self.log.voters)
        return any(certificate.may_be_named(self.local, each) for each in voters)

    def heed(self, certificate: Certificate, now: float) -> None:
        """Take what somebody shows as proof of a higher term, as far as it counts here.

        What counts for provisional offices only (:meth:`Certificate.may_be_named`) raises no floor:
        this node names it if it is provisional, and becomes so if it lacks its quorum.
        """
        if self.learn(certificate):
            self.end_outdated(now)
            return
        tenure = self.tenure
        if tenure is None or tenure.office.quorum or certificate.counter <= tenure.office.counter:
            return
        if self.may_name(certificate):
            if tenure.office.granted:
                self.vacate(now)
            else:
                self.out += tenure.name(certificate.counter, certificate, now)

    def end_void(self, now: float) -> None:
        """Let go of an own term without quorum that nobody can check any more, since voters that
        granted it were revoked: others would follow it neither as granted nor as provisional."""
        if self.tenure is not None and self.tenure.is_void:
            self.vacate(now)

    def end_outdated(self, now: float) -> None:
        """Let go of an office of a lower term than what is proven now."""
        office = self.office
        if office is None or office.counter >= self.floor:
            return
        if office.granted:
            self.vacate(now)  # its term is over, whoever holds the new one
        elif self.tenure is not None:
            self.out += self.tenure.name(self.floor, self.proof, now)

    def keep(self, certificate: Certificate) -> None:
        """Keep what proves the highest term."""
        self.proof = certificate
        self.out.append(Persist(self.local.tokens.next(), (CertificateFact(certificate),)))

    def tell(self, peer: bytes, said: Message, now: float) -> None:
        """Say something that need not be said often."""
        if now - self._told.get(peer, -math.inf) >= _CORRECT_S:
            self._told[peer] = now
            self.out.append(Send(peer, said))

    def forget(self, peer: bytes) -> None:
        """A link ended: what was told over it may have to be told again."""
        self._told.pop(peer, None)
        self._answered.pop(peer, None)

    def relieve(self, now: float) -> None:
        """Take note that somebody else gets the office of who is followed; if that one was heard to
        the last it handed over, and what it said before it knew is no sign of anything wrong."""
        following = self.following
        if following is not None and self.hears(now) is Hears.QUORUM:
            office = following.office
            self._relieved = (office.coordinator, office.counter, now + _RELIEVED_S)

    def note_outdated(self, sender: bytes, coordinator: bytes, counter: int, now: float) -> None:
        """Tell of a term that is over, and tell the sender."""
        relieved = self._relieved
        late = relieved is not None and relieved[:2] == (coordinator, counter) and now < relieved[2]
        if not late:
            self.out.append(Note("term too old", sender, f"term {counter}"))
        self.correct(sender, now)

    def correct(self, peer: bytes, now: float) -> None:
        """Tell a peer that speaks of an outdated granted term what outdates it.

        A granted office shows its own certificate; a provisional one proves nothing.
        """
        office = self.office
        shown = office is not None and office.granted and self.hears(now) is not Hears.NOBODY
        if self.proof is None or shown:
            self.tell_office(peer, now)
        else:
            self.tell(peer, TermProof(self.proof), now)

    def tell_office(self, peer: bytes, now: float, *, asked: bool = False) -> None:
        """Tell a peer who coordinates, if that is known and heard.

        Whether it is its turn is looked at first: each announcement counts as a heartbeat.
        """
        told, pause = (self._answered, _ANSWER_S) if asked else (self._told, _CORRECT_S)
        if now - told.get(peer, -math.inf) < pause:
            return
        if self.tenure is not None:
            said = self.tenure.announcement(now)
        elif self.following is not None and self.hears(now) is not Hears.NOBODY:
            said = self.following.announcement(self.local.members.version)
        else:
            return
        told[peer] = now
        self.out.append(Send(peer, said))
