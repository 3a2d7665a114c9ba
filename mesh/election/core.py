"""Who coordinates: the bully's order, fenced by terms that a majority of the voters promised.

    follower ──(coordinator silent or gone)──▶ candidate ──(majority promised)──▶ granted office
        ▲                                          └──(no majority in reach)──▶ provisional office
        └───────────(a better office is announced, or the attempt comes to nothing)──────┘

- A granted term's counter is unique: each voter promises it once (:mod:`.voter`).
- A provisional term ranks below every granted one; of two the higher rank's wins.
- A coordinator that did not hear from a majority for 0.8 s says so before it says anything else.
- Nobody takes a working office away but by a transfer that the coordinator signed.

The parts share :mod:`.state`: :mod:`.announcements` says whom to follow, :mod:`.answers` what
others are told, :mod:`.standing` when to stand. :mod:`.candidacy` is one attempt, :mod:`.tenure`
the office once it is won.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from buildnet.mesh.election.announcements import Announcements
from buildnet.mesh.election.answers import Answers
from buildnet.mesh.election.promise import AcceptedLog
from buildnet.mesh.election.standing import Standing
from buildnet.mesh.election.state import ElectionState
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import (
    DialFailed,
    Effect,
    Event,
    Fact,
    LinkDown,
    LinkUp,
    MembersChanged,
    Office,
    Persisted,
    Received,
    Send,
    Stalled,
    Status,
    StatusChanged,
)
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
)

_STALL_S = 0.05  # so late, this node was not running
_GRACE_S = 0.3  # after a stall, to read what arrived meanwhile
_LONG_STALL_S = 1.0  # after which a candidacy is not worth going on with


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
        state = ElectionState(local, log, facts, now)
        self._state = state
        self._standing = Standing(state)
        self._answers = Answers(state, self._standing)
        self._announcements = Announcements(state, self._standing, self._answers)
        self._epoch = local.members.epoch
        self._forgiven_until = now

    # --- what others need to know --------------------------------------------------------------

    @property
    def office(self) -> Office | None:
        """Who coordinates, as far as this node knows."""
        return self._state.office

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return -math.inf if self._state.out else self._due()

    def _due(self) -> float:
        state = self._state
        due = [self._waits_until()]
        if state.tenure is not None:
            due.append(state.tenure.deadline)
        if state.following is not None and state.following.waiting:
            due.append(state.following.missing_at(state.coordinator_round_trip_s()))
        return min(due)

    def _waits_until(self) -> float:
        state = self._state
        if state.candidacy is not None:
            return state.candidacy.until
        if state.tenure is not None and state.tenure.office.granted:
            return math.inf
        return state.alarm

    # --- the owner's wishes --------------------------------------------------------------------

    def promote(self, successor: bytes, now: float) -> list[Effect]:
        """Hand the office over; away from the coordinator, ask it to.

        Raises:
            NotInOffice: nobody is known to coordinate with a quorum, or ``successor`` can't.
        """
        state = self._state
        self._enter(now)
        office, members = state.office, state.local.members
        if office is None or not office.quorum:
            raise NotInOffice(
                "no coordinator with a quorum is known",
                hint="see `buildnet pool health` for who is missing",
            )
        if successor == office.coordinator:
            return self._leave(now)
        chosen = members.members.get(successor)
        who = f"{chosen.name} ({chosen.node_id})" if chosen else "that node"
        if not members.stands(successor):
            raise NotInOffice(
                f"{who} is {'an observer' if chosen else 'no member'} and can't coordinate",
                hint="choose a worker: buildnet node list",
            )
        if not state.local.alive(successor):
            raise NotInOffice(
                f"{who} is not alive, as seen from here",
                hint="choose one that is online: buildnet pool health",
            )
        if state.tenure is not None:
            self._standing.hand_over(state.tenure, successor)
        else:
            state.out.append(Send(office.coordinator, PromoteAsk(successor)))
        return self._leave(now)

    def resign(self, now: float) -> list[Effect]:
        """Hand the office over to the highest rank that is alive, and do not stand again."""
        state = self._state
        self._enter(now)
        state.handover.resign(now)
        state.candidacy = None
        self._standing.resign_further(now)
        return self._leave(now)

    def remain(self, now: float) -> list[Effect]:
        """Take :meth:`resign` back: this node stands again, where it may."""
        state = self._state
        self._enter(now)
        state.handover.remain()
        if state.local.members.stands(state.local.key):
            state.handover.stay()
        return self._leave(now)

    # --- events --------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        state = self._state
        self._enter(now)
        match event:
            case Received(sender, message) if state.local.members.is_member(sender):
                self._received(sender, message, now)
            case Persisted(token):
                self._answers.persisted(token, now)
            case LinkUp(peer):
                self._linked(peer, now)
            case LinkDown(peer):
                self._unlinked(peer, now)
            case DialFailed(peer=bytes() as peer, refused=True) if peer not in state.local.links:
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
        state = self._state
        self._enter(now)
        if state.tenure is not None:
            if now >= state.tenure.deadline:
                state.out += state.tenure.tick(now)
            state.end_void(now)
        if state.tenure is not None:
            self._standing.resign_further(now)
            self._standing.renew(state.tenure, now)
        self._answers.answer_waiting(now)
        if state.candidacy is not None:
            state.out += state.candidacy.tick(now)
        elif now >= self._waits_until():
            self._standing.alarmed(now)
        return self._leave(now)

    def _enter(self, now: float) -> None:
        """Notice how much time passed, before anything is said."""
        state = self._state
        late = now - max(self._due(), self._forgiven_until)
        if _STALL_S < late < math.inf:
            self._forgive(late, now)
        if state.tenure is not None:
            state.out += state.tenure.check_quorum(now)

    def _leave(self, now: float) -> list[Effect]:
        state = self._state
        self._standing.settle(now)
        effects, state.out = state.out, []
        return effects

    def _forgive(self, seconds: float, now: float) -> None:
        """This node was not running: others' silence in that time says nothing."""
        state = self._state
        if seconds <= 0:
            return
        self._forgiven_until = now
        if state.following is not None and state.following.forgive(seconds, now):
            # What arrived meanwhile is read first.
            state.alarm = max(state.alarm + seconds, now + _GRACE_S)
        if state.candidacy is not None:
            state.candidacy.postpone(seconds)
            if seconds > _LONG_STALL_S:
                state.abandon(now)

    def _received(self, sender: bytes, message: object, now: float) -> None:
        state = self._state
        match message:
            case Heartbeat():
                self._announcements.heartbeat(sender, message, now)
            case HeartbeatAck():
                if state.tenure is not None and message.counter == state.tenure.office.counter:
                    state.out += state.tenure.acknowledged(sender, message, now)
            case MissAsk(round_):
                self._answers.asked_whether_missed(sender, round_, now)
            case MissAnswer(round_, hears, promised):
                if state.candidacy is not None and hears <= Hears.QUORUM:
                    whom = Hears(hears)
                    state.out += state.candidacy.told(sender, round_, whom, promised, now)
            case ElectionCall():
                self._answers.called(sender, message, now)
            case ElectionAnswer(round_, takes_over):
                if state.candidacy is not None:
                    state.out += state.candidacy.answered_call(sender, round_, takes_over, now)
            case PromiseAsk():
                self._answers.asked_to_promise(sender, message, now)
            case PromiseAnswer():
                self._answers.promise_answered(sender, message, now)
            case Coordinator():
                self._announcements.announced(sender, message, now)
            case CoordinatorAsk():
                state.tell_office(sender, now, asked=True)
            case Transfer():
                self._answers.handed_over(sender, message, now)
            case PromoteAsk(successor):
                self._answers.asked_to_promote(sender, successor)
            case TermProof(certificate):
                state.heed(certificate, now)
            case _:
                pass

    def _linked(self, peer: bytes, now: float) -> None:
        state = self._state
        if state.tenure is not None:
            state.out += state.tenure.linked(peer, now)
        following = state.following
        if following is not None and following.office.coordinator == peer:
            if following.gone:
                state.alarm = now + state.patience_s()
            following.closed = following.gone = False
            self._answers.answer_waiting(now)

    def _unlinked(self, peer: bytes, now: float) -> None:
        state = self._state
        state.forget(peer)
        if state.tenure is not None:
            state.tenure.lost(peer)
        if state.following is not None:
            state.following.waiting.pop(peer, None)
            if state.following.office.coordinator == peer:
                state.following.closed = True
        if state.candidacy is not None:
            state.out += state.candidacy.lost(peer, now)

    def _found_gone(self, peer: bytes, now: float) -> None:
        state = self._state
        if state.candidacy is not None:
            state.out += state.candidacy.lost(peer, now)
        following = state.following
        if following is not None and following.office.coordinator == peer and not following.gone:
            following.gone = True
            self._answers.answer_waiting(now)
            state.alarm = min(state.alarm, now + state.stagger_s())

    def _members_changed(self, now: float) -> None:
        state = self._state
        members, local = state.local.members, state.local
        if members.epoch != self._epoch:
            self._epoch = members.epoch
            self._forget_unproven(now)
        office = state.office
        if office is not None and not members.is_member(office.coordinator):
            state.vacate(now)
            state.alarm = now + state.stagger_s()
        if members.stands(local.key):
            state.handover.stay()
        if not state.may_stand():
            state.candidacy = None
        if state.tenure is not None:
            if not members.stands(local.key):
                state.handover.resign(now, wished=False)
            state.tenure.review(now)
        self._announcements.review(now)
        if state.candidacy is None:
            if state.is_alone() and state.tenure is None:
                state.alarm = now
            elif state.tenure is not None:  # provisional: other voters may be in reach
                state.alarm = min(state.alarm, now + state.stagger_s())

    def _forget_unproven(self, now: float) -> None:
        """A recovery gave the cluster other voters: what the former ones granted is void."""
        state = self._state
        proof, voters = state.proof, state.local.members.voters
        if proof is not None and not proof.is_of_majority(state.local, voters):
            state.proof = None
        office = state.office
        if office is None or office.counter <= state.floor:
            return
        if office.granted:
            state.vacate(now)
        elif state.tenure is not None:
            state.out += state.tenure.name(state.floor, state.proof, now)
        elif state.following is not None:
            state.following.certificate = None
