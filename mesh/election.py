"""Who coordinates: the bully's order, fenced by terms that a majority of the voters promised.

    follower ──(coordinator silent or gone)──▶ candidate ──(majority promised)──▶ granted office
        ▲                                          └──(no majority in reach)──▶ provisional office
        └───────────(a better office is announced, or the attempt comes to nothing)──────┘

- A granted term's counter is unique: each voter promises it once (:mod:`buildnet.mesh.voter`).
- A provisional term ranks below every granted one; of two the higher rank's wins.
- A coordinator that did not hear from a majority for 0.8 s says so before it says anything else.
- Nobody takes a working office away but by a transfer that the coordinator signed.

The parts: :mod:`~buildnet.mesh.voter` promises, :mod:`~buildnet.mesh.candidacy` stands,
:mod:`~buildnet.mesh.tenure` holds the office, :mod:`~buildnet.mesh.following` listens to who does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from buildnet.mesh.candidacy import Candidacy, Granted, Grounds, Outcome, higher_ranks
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import (
    DialFailed,
    Effect,
    Event,
    Fact,
    LinkDown,
    LinkUp,
    MembersChanged,
    Note,
    Office,
    OfficeChanged,
    Persist,
    Persisted,
    Raise,
    Received,
    Send,
    Stalled,
    Status,
    StatusChanged,
)
from buildnet.mesh.following import Following
from buildnet.mesh.handover import Handover, is_transfer
from buildnet.mesh.local import Local
from buildnet.mesh.messages.election import (
    Coordinator,
    CoordinatorAsk,
    ElectionAnswer,
    ElectionCall,
    Hears,
    Heartbeat,
    HeartbeatAck,
    MissAnswer,
    MissAsk,
    PromiseAnswer,
    PromiseAsk,
    PromoteAsk,
    TermProof,
    Transfer,
    Verdict,
)
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.promise import (
    MAX_JUMP,
    AcceptedLog,
    Certificate,
    CertificateFact,
    Mandate,
    Position,
    PromiseFact,
)
from buildnet.mesh.tenure import Tenure
from buildnet.mesh.voter import Situation, Voter

TIMEOUT_S = (0.8, 1.2)
"""A follower misses a coordinator that was silent for a random time between these."""
RESTLESS_S = (2.0, 3.0)
"""So long a coordinator may lack its quorum while a follower reaches a majority."""
STAGGER_S = 0.04
"""At a known death, each rank waits so long for the one above it."""
_MAX_STAGGER_S = 0.4
_STALL_S = 0.05  # so late, this node was not running
_GRACE_S = 0.3  # after a stall, to read what arrived meanwhile
_LONG_STALL_S = 1.0  # after which a candidacy is not worth going on with
_CORRECT_S = 0.5  # no peer is told more often who coordinates
_RETRY_S = (0.05, 0.25)
_PROVISIONAL_RETRY_S = (1.0, 2.0)
_START_S = 3.0  # after a start, links to a majority are waited for before a term is provisional
_START_LOOK_S = 0.25
_OTHERS_ACK_BEATS = 4  # who is no voter acknowledges each fourth heartbeat
_DEFER_S = (0.3, 0.5)  # when a higher rank is at it


class NotInOffice(BuildNetError):
    """Only a coordinator can hand over, and only to a living worker it is linked to."""

    code = "HANDOVER"
    http_status = 409


class Election:
    """The election core.

    Args:
        local: what all cores share.
        log: the member log, as far as the election needs it.
        facts: what was persisted before; other cores' facts are passed over.
        now: monotonic seconds.
    """

    def __init__(
        self, local: Local, *, log: AcceptedLog, facts: Iterable[Fact] = (), now: float
    ) -> None:
        promise: PromiseFact | None = None
        self._proof: Certificate | None = None
        for fact in facts:
            if isinstance(fact, PromiseFact):
                promise = fact
            elif isinstance(fact, CertificateFact):
                self._proof = fact.certificate
        self._local = local
        self._log = log
        self._voter = Voter(local, log, promise)
        self._handover = Handover(local)
        self._tenure: Tenure | None = None
        self._following: Following | None = None
        self._candidacy: Candidacy | None = None
        self._unproven: tuple[bytes, Coordinator] | None = None
        self._epoch = local.members.epoch
        self._series_since: float | None = None
        self._named = 0
        self._told: dict[bytes, float] = {}
        self._began = now
        self._forgiven_until = now
        self._timeout = local.random.uniform(*TIMEOUT_S)
        self._restless_s = local.random.uniform(*RESTLESS_S)
        self._alarm = now if self._is_alone() else now + self._timeout
        self._out: list[Effect] = []

    # --- what others need to know --------------------------------------------------------------

    @property
    def promised(self) -> int:
        """The highest counter this node promised: nothing of a lower term may be accepted."""
        return self._voter.counter

    @property
    def promise(self) -> PromiseFact | None:
        """To whom; it may still be on its way to the disk."""
        return self._voter.promise

    @property
    def mandate(self) -> Mandate | None:
        """While this node holds a granted term: who promised it, and with which member log."""
        return None if self._tenure is None else self._tenure.mandate

    @property
    def office(self) -> Office | None:
        """Who coordinates, as far as this node knows."""
        if self._tenure is not None:
            return self._tenure.office
        return None if self._following is None else self._following.office

    def accepts(self, sender: bytes, counter: int) -> bool:
        """Tell whether a command of ``sender`` in the term ``counter`` is to be obeyed.

        Only the present office's are; an older term's is noted.
        """
        office = self.office
        if office is not None and (sender, counter) == (office.coordinator, office.counter):
            return True
        if counter < self._floor or (office is not None and counter < office.counter):
            self._out.append(Note("term too old", sender, f"term {counter}"))
        return False

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return -math.inf if self._out else self._due()

    def _due(self) -> float:
        due = [self._waits_until()]
        if self._tenure is not None:
            due.append(self._tenure.deadline)
        if self._following is not None and self._following.waiting:
            due.append(self._following.missing_at(self._coordinator_round_trip_s()))
        return min(due)

    def _waits_until(self) -> float:
        if self._candidacy is not None:
            return self._candidacy.until
        if self._tenure is not None and self._tenure.office.granted:
            return math.inf
        return self._alarm

    # --- the owner's wishes --------------------------------------------------------------------

    def promote(self, successor: bytes, now: float) -> list[Effect]:
        """Hand the office over; away from the coordinator, ask it to.

        Raises:
            NotInOffice: nobody is known to coordinate with a quorum, or ``successor`` can't.
        """
        self._enter(now)
        office, members = self.office, self._local.members
        if office is None or not office.quorum:
            raise NotInOffice(
                "no coordinator with a quorum is known",
                hint="see `buildnet pool health` for who is missing",
            )
        if not members.stands(successor) or not self._local.alive(successor):
            raise NotInOffice(
                "that node can't coordinate now",
                hint="choose a worker that `node list` shows alive",
            )
        if successor == office.coordinator:
            return self._leave(now)
        if self._tenure is not None:
            self._hand_over(self._tenure, successor)
        else:
            self._out.append(Send(office.coordinator, PromoteAsk(successor)))
        return self._leave(now)

    def resign(self, now: float) -> list[Effect]:
        """Hand the office over to the highest rank that is alive, and do not stand again."""
        self._enter(now)
        self._handover.resign(now)
        self._candidacy = None
        self._resign_further(now)
        return self._leave(now)

    # --- events --------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        self._enter(now)
        match event:
            case Received(sender, message) if self._local.members.is_member(sender):
                self._received(sender, message, now)
            case Persisted(token):
                self._persisted(token)
            case LinkUp(peer):
                self._linked(peer, now)
            case LinkDown(peer):
                self._unlinked(peer, now)
            case DialFailed(peer=bytes() as peer, refused=True) if peer not in self._local.links:
                self._found_gone(peer, now)
            case StatusChanged(peer, status) if status in (Status.DEAD, Status.LEFT):
                self._found_gone(peer, now)
            case Stalled(seconds):
                self._forgive(now - max(now - seconds, self._forgiven_until), now)
            case MembersChanged():
                self._members_changed(now)
            case _:
                pass
        return self._leave(now)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        self._enter(now)
        if self._tenure is not None:
            if now >= self._tenure.deadline:
                self._out += self._tenure.tick(now)
            self._resign_further(now)
            self._renew(self._tenure, now)
        self._answer_waiting(now)
        if self._candidacy is not None:
            self._out += self._candidacy.tick(now)
        elif now >= self._waits_until():
            self._alarmed(now)
        return self._leave(now)

    def _enter(self, now: float) -> None:
        """Notice how much time passed, before anything is said."""
        late = now - max(self._due(), self._forgiven_until)
        if _STALL_S < late < math.inf:
            self._forgive(late, now)
        if self._tenure is not None:
            self._out += self._tenure.check_quorum(now)

    def _leave(self, now: float) -> list[Effect]:
        self._settle(now)
        effects, self._out = self._out, []
        return effects

    def _forgive(self, seconds: float, now: float) -> None:
        """This node was not running: others' silence in that time says nothing."""
        if seconds <= 0:
            return
        self._forgiven_until = now
        if self._following is not None:
            self._following.forgive(seconds, now)
            # What arrived meanwhile is read first.
            self._alarm = max(self._alarm + seconds, now + _GRACE_S)
        if self._candidacy is not None:
            self._candidacy.postpone(seconds)
            if seconds > _LONG_STALL_S:
                self._abandon(now)

    def _received(self, sender: bytes, message: object, now: float) -> None:
        match message:
            case Heartbeat():
                self._heartbeat(sender, message, now)
            case HeartbeatAck():
                if self._tenure is not None and message.counter == self._tenure.office.counter:
                    self._out += self._tenure.acknowledged(sender, message, now)
            case MissAsk(round_):
                self._asked_whether_missed(sender, round_, now)
            case MissAnswer(round_, hears, promised):
                self._name(promised)
                if self._candidacy is not None and hears <= Hears.QUORUM:
                    self._out += self._candidacy.told(sender, round_, Hears(hears), now)
            case ElectionCall():
                self._called(sender, message, now)
            case ElectionAnswer(round_, takes_over):
                if self._candidacy is not None:
                    self._out += self._candidacy.answered_call(sender, round_, takes_over, now)
            case PromiseAsk():
                self._asked_to_promise(sender, message, now)
            case PromiseAnswer():
                self._promise_answered(sender, message, now)
            case Coordinator():
                self._announced(sender, message, now)
            case CoordinatorAsk():
                self._tell_office(sender, now, at_once=True)
            case Transfer():
                self._handed_over(sender, message, now)
            case PromoteAsk(successor):
                self._asked_to_promote(sender, successor)
            case TermProof(certificate):
                self._learn(certificate, now)
            case _:
                pass

    # --- following -----------------------------------------------------------------------------

    def _heartbeat(self, sender: bytes, said: Heartbeat, now: float) -> None:
        following = self._following
        term = (sender, said.counter, said.granted)
        if following is not None and term == _term(following.office):
            self._heard(following, said.quorum and said.granted, now)
            self._acknowledge(sender, said.counter, said.beat)
        elif not said.granted:
            self._provisional_announced(sender, said.counter, (sender,), now)
        elif said.counter > self._floor or self._is_holder(sender, said.counter):
            self._tell(sender, CoordinatorAsk(self._floor), now)
        else:
            self._out.append(Note("term too old", sender, f"term {said.counter}"))
            self._tell_office(sender, now)

    def _heard(self, following: Following, quorum: bool, now: float) -> None:
        if following.take(quorum, now):
            self._out.append(Raise(OfficeChanged(following.office)))
        self._series_since = None
        if self._candidacy is None:
            self._alarm = now + self._patience_s()
            restless = now - following.quorum_heard > self._restless_s
            if restless and self._reaches_majority() and self._may_stand():
                following.quorum_heard = now
                self._stand(now)
        elif quorum and self._candidacy.defers:
            self._abandon(now)
        self._answer_waiting(now)

    def _acknowledge(self, coordinator: bytes, counter: int, beat: int) -> None:
        if self._local.key in self._log.voters or beat % _OTHERS_ACK_BEATS == 0:
            ack = HeartbeatAck(counter, beat, self._voter.counter)
            self._out.append(Send(coordinator, ack))

    def _announced(self, sender: bytes, said: Coordinator, now: float) -> None:
        if not said.granted:
            if said.coordinator == sender:
                self._provisional_announced(sender, said.counter, said.reached, now, said.beat)
            return
        certificate = said.certificate
        if certificate is None or (certificate.counter, certificate.candidate) != (
            said.counter,
            said.coordinator,
        ):
            self._out.append(Note("certificate missing", sender))
            return
        if said.counter < self._floor:
            self._out.append(Note("term too old", sender, f"term {said.counter}"))
            self._tell_office(sender, now)
            return
        if not self._learn(certificate, now):
            if said.version > self._local.members.version:
                self._unproven = (sender, said)  # the member log catches up, then it is looked at
            else:
                self._out.append(Note("certificate unproven", sender, f"term {said.counter}"))
            return
        if not self._is_holder(said.coordinator, said.counter):
            self._out.append(Note("two coordinators of one term", sender, f"term {said.counter}"))
            return
        if said.coordinator == self._local.key or not self._local.members.stands(said.coordinator):
            return
        self._follow(sender, said, now)

    def _follow(self, sender: bytes, said: Coordinator, now: float) -> None:
        """Follow a proven granted office, or take note of news of it."""
        following = self._following
        itself = sender == said.coordinator
        if following is not None and _term(following.office)[:2] == (
            said.coordinator,
            said.counter,
        ):
            following.certificate = said.certificate
            if itself:
                reached = said.reached
                if reached != following.office.reached:
                    following.office = replace(following.office, reached=reached)
                    self._out.append(Raise(OfficeChanged(following.office)))
                self._heard(following, said.quorum, now)
                self._acknowledge(sender, said.counter, said.beat)
            return
        office = Office(said.coordinator, said.counter, True, said.quorum, said.reached, now)
        self._enter_office_of(office, said.certificate, now)
        if itself:
            self._out.append(
                Send(sender, HeartbeatAck(said.counter, said.beat, self._voter.counter))
            )

    def _enter_office_of(self, office: Office, certificate: Certificate | None, now: float) -> None:
        self._tenure = None
        self._following = Following.of(office, certificate, now)
        self._out.append(Raise(OfficeChanged(office)))
        if office.granted or self._candidacy is None or self._candidacy.defers:
            self._abandon(now)
        self._series_since = None

    def _provisional_announced(
        self,
        sender: bytes,
        counter: int,
        reached: tuple[bytes, ...],
        now: float,
        beat: int = 0,
    ) -> None:
        if counter < self._floor and self._proof is not None:
            self._tell(sender, TermProof(self._proof), now)
            return
        following = self._following
        if following is not None and _term(following.office) == (sender, counter, False):
            self._heard(following, False, now)
            self._acknowledge(sender, counter, beat)
        elif self._prefers(sender, now):
            office = Office(sender, counter, False, False, reached, now)
            self._enter_office_of(office, None, now)
            self._acknowledge(sender, counter, 0)
        else:
            self._tell_office(sender, now)

    def _prefers(self, sender: bytes, now: float) -> bool:
        """Tell whether ``sender``'s provisional term is better than what there is."""
        members = self._local.members
        if not members.stands(sender):
            return False
        if self._tenure is not None:
            if self._tenure.office.granted:
                return False
            return members.rank(sender) > members.rank(self._local.key)
        following = self._following
        if following is None or following.office.coordinator == sender:
            return True
        if self._hears(now) is Hears.NOBODY:
            return True
        if following.office.granted:
            return False
        return members.rank(sender) > members.rank(following.office.coordinator)

    def _learn(self, certificate: Certificate, now: float) -> bool:
        """Check a certificate, and keep it if it proves a higher term; tell whether it is good."""
        if certificate == self._proof:
            return True
        local = self._local
        if not (
            certificate.is_of_majority(local, local.members.voters)
            or certificate.is_of_majority(local, self._log.voters)
        ):
            return False
        if certificate.counter > self._floor:
            self._keep(certificate)
            office = self.office
            if office is not None and office.granted and office.counter < certificate.counter:
                self._vacate(now)  # the term is over, whoever holds the new one
            elif self._tenure is not None and self._tenure.office.counter < certificate.counter:
                self._out += self._tenure.name(certificate.counter, now)
        return True

    def _keep(self, certificate: Certificate) -> None:
        self._proof = certificate
        self._out.append(Persist(self._local.tokens.next(), (CertificateFact(certificate),)))

    def _vacate(self, now: float) -> None:
        """Nobody is known to coordinate any more."""
        self._tenure = self._following = None
        self._out.append(Raise(OfficeChanged(None)))
        self._abandon(now)

    def _tell_office(self, peer: bytes, now: float, *, at_once: bool = False) -> None:
        """Tell a peer who coordinates, if that is known and heard."""
        if self._tenure is not None:
            said = self._tenure.announcement(now)
        elif self._following is not None and self._hears(now) is not Hears.NOBODY:
            said = self._following.announcement(self._local.members.version)
        else:
            return
        if at_once:
            self._out.append(Send(peer, said))
        else:
            self._tell(peer, said, now)

    def _tell(self, peer: bytes, said: Message, now: float) -> None:
        """Say something that need not be said often."""
        if now - self._told.get(peer, -math.inf) >= _CORRECT_S:
            self._told[peer] = now
            self._out.append(Send(peer, said))

    # --- what others ask -----------------------------------------------------------------------

    def _asked_whether_missed(self, sender: bytes, round_: int, now: float) -> None:
        following, members = self._following, self._local.members
        if following is not None and following.is_unsure(now, self._coordinator_round_trip_s()):
            following.waiting[sender] = round_
        else:
            self._answer_miss(sender, round_, now)
        if self._candidacy is None and self._tenure is None and self._may_stand():
            me = self._local.key
            if members.stands(sender) and members.rank(sender) > members.rank(me):
                self._alarm = max(self._alarm, now + self._local.random.uniform(*_DEFER_S))

    def _answer_miss(self, sender: bytes, round_: int, now: float) -> None:
        answer = MissAnswer(round_, int(self._hears(now)), self._voter.counter)
        self._out.append(Send(sender, answer))

    def _answer_waiting(self, now: float) -> None:
        following = self._following
        if following is None or not following.waiting:
            return
        if following.is_unsure(now, self._coordinator_round_trip_s()):
            return
        waiting, following.waiting = following.waiting, {}
        for sender in sorted(waiting):
            self._answer_miss(sender, waiting[sender], now)

    def _called(self, sender: bytes, call: ElectionCall, now: float) -> None:
        members = self._local.members
        hears = self._hears(now)
        takes_over = (
            self._may_stand()
            and hears is not Hears.QUORUM
            and members.rank(self._local.key) > members.rank(sender)
            and not Position.of(self._log).is_older_than(call.position)
            and (self._reaches_majority() or not call.majority)
        )
        self._out.append(Send(sender, ElectionAnswer(call.round, takes_over)))
        if hears is Hears.QUORUM:
            self._tell_office(sender, now)
        elif takes_over and self._tenure is not None:
            self._tell_office(sender, now)
            if not self._tenure.office.granted and self._candidacy is None:
                self._alarm = now
        elif takes_over and self._candidacy is None:
            self._alarm = min(self._alarm, now + self._stagger_s())

    def _asked_to_promise(self, sender: bytes, asked: PromiseAsk, now: float) -> None:
        if asked.proof is not None:
            self._learn(asked.proof, now)
        office = self.office
        sticky = (
            self._hears(now) is Hears.QUORUM
            and office is not None
            and office.coordinator != sender
            and not self._is_transferred(office, asked.transfer, sender)
        )
        known = max(self._floor, self._voter.counter, self._log.accepted[0])
        holder = None if self._proof is None else self._proof.candidate
        situation = Situation(known, self._floor, holder, sticky, self._proof)
        answer = self._voter.ask(sender, asked, situation)
        if isinstance(answer, Persist):
            self._out.append(answer)
            self._abandon(now)
        elif answer is not None:
            if answer.verdict == Verdict.JUMP:
                self._out.append(Note("term jump", sender, f"term {asked.counter}"))
            self._out.append(Send(sender, answer))

    def _is_transferred(self, office: Office, transfer: Transfer | None, to: bytes) -> bool:
        return (
            transfer is not None
            and (transfer.counter, transfer.successor) == (office.counter, to)
            and is_transfer(self._local, transfer, office.coordinator)
        )

    def _persisted(self, token: int) -> None:
        told = self._voter.persisted(token, self._proof)
        if told is None:
            return
        candidate, answer = told
        if candidate == self._local.key:
            self._promise_counted(candidate, answer)
        else:
            self._out.append(Send(candidate, answer))

    def _promise_answered(self, sender: bytes, answer: PromiseAnswer, now: float) -> None:
        if answer.proof is not None:
            self._learn(answer.proof, now)
        self._name(answer.promised)
        if answer.verdict <= max(Verdict):
            self._promise_counted(sender, answer)

    def _promise_counted(self, sender: bytes, answer: PromiseAnswer) -> None:
        if self._candidacy is not None:
            self._out += self._candidacy.answered(sender, answer)
        if self._tenure is not None and answer.verdict == Verdict.GRANTED:
            self._tenure.granted(sender, answer)

    def _handed_over(self, sender: bytes, transfer: Transfer, now: float) -> None:
        office = self.office
        if (
            office is not None
            and office.coordinator == sender
            and office.granted
            and self._is_transferred(office, transfer, self._local.key)
            and self._may_stand()
            and self._reaches_majority()
        ):
            self._stand(now, transfer=transfer)
        else:
            self._out.append(Note("transfer refused", sender))

    def _asked_to_promote(self, sender: bytes, successor: bytes) -> None:
        members = self._local.members
        can = members.stands(successor) and self._local.alive(successor)
        if self._tenure is not None and members.is_admin(sender) and can:
            self._hand_over(self._tenure, successor)
        else:
            self._out.append(Note("promotion refused", sender))

    # --- links, members ------------------------------------------------------------------------

    def _linked(self, peer: bytes, now: float) -> None:
        if self._tenure is not None:
            self._out += self._tenure.linked(peer, now)
        following = self._following
        if following is not None and following.office.coordinator == peer:
            if following.gone:
                self._alarm = now + self._patience_s()
            following.closed = following.gone = False
            self._answer_waiting(now)

    def _unlinked(self, peer: bytes, now: float) -> None:
        self._told.pop(peer, None)
        if self._tenure is not None:
            self._tenure.lost(peer)
        if self._following is not None:
            self._following.waiting.pop(peer, None)
            if self._following.office.coordinator == peer:
                self._following.closed = True
        if self._candidacy is not None:
            self._out += self._candidacy.lost(peer, now)

    def _found_gone(self, peer: bytes, now: float) -> None:
        if self._candidacy is not None:
            self._out += self._candidacy.lost(peer, now)
        following = self._following
        if following is not None and following.office.coordinator == peer and not following.gone:
            following.gone = True
            self._answer_waiting(now)
            self._alarm = min(self._alarm, now + self._stagger_s())

    def _members_changed(self, now: float) -> None:
        members, local = self._local.members, self._local
        if members.epoch != self._epoch:
            self._epoch = members.epoch
            self._forget_unproven(now)
        office = self.office
        if office is not None and not members.is_member(office.coordinator):
            self._vacate(now)
            self._alarm = now + self._stagger_s()
        if not self._may_stand():
            self._candidacy = None
        if self._tenure is not None:
            if not members.stands(local.key):
                self._handover.resign(now)
            self._tenure.review(now)
        if self._unproven is not None:
            (sender, said), self._unproven = self._unproven, None
            self._announced(sender, said, now)
        if self._is_alone() and self._tenure is None and self._candidacy is None:
            self._alarm = now

    def _forget_unproven(self, now: float) -> None:
        """A recovery gave the cluster other voters: what the former ones granted is void."""
        proof, voters = self._proof, self._local.members.voters
        if proof is None or proof.is_of_majority(self._local, voters):
            return
        self._proof = None
        if self.office is not None and self.office.granted:
            self._vacate(now)

    # --- standing ------------------------------------------------------------------------------

    def _alarmed(self, now: float) -> None:
        """Nobody was heard for long enough."""
        self._alarm = now + self._patience_s()
        if self._tenure is not None:
            self._alarm = now + self._local.random.uniform(*_PROVISIONAL_RETRY_S)
            if self._reaches_majority() and self._may_stand():
                self._stand(now)
        elif not self._may_stand():
            if self._following is not None and self._hears(now) is Hears.NOBODY:
                self._vacate(now)
        elif self._awaits_links(now):
            self._alarm = now + _START_LOOK_S
        elif self._hears(now) is not Hears.QUORUM:
            self._stand(now)

    def _awaits_links(self, now: float) -> bool:
        young = now - self._began < _START_S
        return young and self._following is None and not self._reaches_majority()

    def _stand(self, now: float, *, transfer: Transfer | None = None, renews: bool = False) -> None:
        hears, missed, following = Hears.NOBODY, None, self._following
        if following is not None:
            hears = self._hears(now)
            if hears is Hears.NOBODY:
                missed = following.office.coordinator
                if following.say_quorum(False):
                    self._out.append(Raise(OfficeChanged(following.office)))
        if self._series_since is None:
            self._series_since = now
        grounds = Grounds(
            hears,
            missed,
            known=max(self._floor, self._log.accepted[0]),
            named=self._named,
            since=self._series_since,
            proof=self._proof,
            transfer=transfer,
            renews=renews,
        )
        self._candidacy = Candidacy(
            self._local, self._log, self._voter, grounds, self._round_trip_s
        )
        self._out += self._candidacy.start(now)

    def _renew(self, tenure: Tenure, now: float) -> None:
        """Take a higher counter if a voter promised one that nobody won: it can't follow else."""
        contested = tenure.contested_by(now)
        if contested and self._candidacy is None and now >= self._alarm and self._may_stand():
            self._name(contested)
            self._alarm = now + self._local.random.uniform(*_PROVISIONAL_RETRY_S)
            self._stand(now, renews=True)

    def _settle(self, now: float) -> None:
        """Draw the consequences of how a candidacy ended."""
        candidacy = self._candidacy
        if candidacy is None or candidacy.outcome is None:
            return
        self._candidacy = None
        self._named = max(self._named, candidacy.named)
        match candidacy.outcome:
            case Outcome.WON:
                self._take_office(candidacy.counter, candidacy.promises, candidacy.asked_at, now)
            case Outcome.ALONE if self._tenure is None:
                self._take_office(max(self._floor, self._office_counter()), {}, now, now)
            case Outcome.ALONE:
                pass
            case Outcome.SPLIT:
                self._alarm = now + self._local.random.uniform(*_RETRY_S)
            case Outcome.GIVEN_UP:
                self._abandon(now)

    def _take_office(
        self, counter: int, promises: dict[bytes, Granted], asked_at: float, now: float
    ) -> None:
        self._following = None
        self._series_since = None
        self._tenure = Tenure(
            self._local,
            self._log,
            self._handover,
            counter,
            promises,
            asked_at=asked_at,
            now=now,
        )
        if self._tenure.certificate is not None:
            self._keep(self._tenure.certificate)
        self._alarm = now + self._local.random.uniform(*_PROVISIONAL_RETRY_S)
        self._out += self._tenure.begin(now)

    def _abandon(self, now: float) -> None:
        """Stand no more for now; wait as long as a follower does."""
        self._candidacy = None
        self._series_since = None
        self._timeout = self._local.random.uniform(*TIMEOUT_S)
        self._restless_s = self._local.random.uniform(*RESTLESS_S)
        if self._tenure is None:
            self._alarm = now + self._patience_s()

    def _hand_over(self, tenure: Tenure, successor: bytes) -> None:
        transfer = self._handover.sign(tenure.office.counter, successor)
        self._out.append(Send(successor, transfer))

    def _resign_further(self, now: float) -> None:
        tenure = self._tenure
        if tenure is None:
            return
        successor = self._handover.next_successor(tenure.office.reached, now)
        if successor is not None:
            self._hand_over(tenure, successor)

    # --- what is the case ----------------------------------------------------------------------

    @property
    def _floor(self) -> int:
        """The highest counter that was granted, as far as it was proven here."""
        return 0 if self._proof is None else self._proof.counter

    def _office_counter(self) -> int:
        return 0 if self.office is None else self.office.counter

    def _is_holder(self, key: bytes, counter: int) -> bool:
        proof = self._proof
        return proof is not None and (proof.candidate, proof.counter) == (key, counter)

    def _name(self, counter: int) -> None:
        """Take note of a counter that somebody names, as far as it is plausible."""
        if counter <= max(self._floor, self._voter.counter) + MAX_JUMP:
            self._named = max(self._named, counter)

    def _may_stand(self) -> bool:
        return self._local.members.stands(self._local.key) and not self._handover.resigning

    def _is_alone(self) -> bool:
        members = self._local.members
        me = self._local.key
        return members.voters == (me,) and all(
            key == me for key in members.members if members.is_member(key)
        )

    def _reaches_majority(self) -> bool:
        local, voters = self._local, self._log.voters
        reached = sum(voter == local.key or voter in local.links for voter in voters)
        return reached > len(voters) // 2

    def _hears(self, now: float) -> Hears:
        if self._tenure is not None:
            return Hears.QUORUM if self._tenure.office.quorum else Hears.PROVISIONAL
        if self._following is None:
            return Hears.NOBODY
        return self._following.hears(now, self._coordinator_round_trip_s())

    def _coordinator_round_trip_s(self) -> float:
        office = self.office
        link = None if office is None else self._local.links.get(office.coordinator)
        return (link.round_trip_s or 0.0) if link is not None else 0.0

    def _round_trip_s(self) -> float:
        """The slowest link's."""
        return max((link.round_trip_s or 0.0 for link in self._local.links.values()), default=0.0)

    def _patience_s(self) -> float:
        return self._timeout + 4 * self._coordinator_round_trip_s()

    def _stagger_s(self) -> float:
        office = self.office
        coordinator = None if office is None else office.coordinator
        higher = sum(peer != coordinator for peer in higher_ranks(self._local))
        return min(_MAX_STAGGER_S, STAGGER_S * higher)


def _term(office: Office) -> tuple[bytes, int, bool]:
    return (office.coordinator, office.counter, office.granted)
