"""What others ask in an election, and what this node answers."""

from __future__ import annotations

from buildnet.mesh.election.handover import is_transfer
from buildnet.mesh.election.promise import Position
from buildnet.mesh.election.ranking import outranks
from buildnet.mesh.election.standing import Standing
from buildnet.mesh.election.state import ElectionState
from buildnet.mesh.election.voter import Situation
from buildnet.mesh.events import Note, Office, Persist, Send
from buildnet.mesh.messages.election import (
    ElectionAnswer,
    ElectionCall,
    Hears,
    MissAnswer,
    PromiseAnswer,
    PromiseAsk,
    Transfer,
    Verdict,
)

_PROMISED_PATIENCE = 2  # who got a promise may have to wait for slow disks
_DEFER_S = (0.3, 0.5)  # when a higher rank is at it


class Answers:
    """Answers for one node."""

    def __init__(self, state: ElectionState, standing: Standing) -> None:
        self._state = state
        self._standing = standing

    def asked_whether_missed(self, sender: bytes, round_: int, now: float) -> None:
        """Say whom this node hears, as soon as it knows."""
        state = self._state
        following = state.following
        if following is not None and following.is_unsure(now, state.coordinator_round_trip_s()):
            following.waiting[sender] = round_
        else:
            self._answer_miss(sender, round_, now)
        idle = state.candidacy is None and state.tenure is None and state.may_stand()
        first = sender not in state.deferred_to
        if idle and first and outranks(state.local, sender, state.local.key):
            state.deferred_to.add(sender)
            state.alarm = max(state.alarm, now + state.local.random.uniform(*_DEFER_S))

    def _answer_miss(self, sender: bytes, round_: int, now: float) -> None:
        state = self._state
        answer = MissAnswer(round_, int(state.hears(now)), state.voter.counter)
        state.out.append(Send(sender, answer))

    def answer_waiting(self, now: float) -> None:
        """Answer who had to wait, if it is known now."""
        state = self._state
        following = state.following
        if following is None or not following.waiting:
            return
        if following.is_unsure(now, state.coordinator_round_trip_s()):
            return
        waiting, following.waiting = following.waiting, {}
        for sender in sorted(waiting):
            self._answer_miss(sender, waiting[sender], now)

    def called(self, sender: bytes, call: ElectionCall, now: float) -> None:
        """Answer ELECTION: take over from a lower rank, or let it go on."""
        state = self._state
        hears = state.hears(now)
        takes_over = (
            state.may_stand()
            and hears is not Hears.QUORUM
            and outranks(state.local, state.local.key, sender)
            and not Position.of(state.log).is_older_than(call.position)
            and (state.reaches_majority() or not call.majority)
        )
        state.out.append(Send(sender, ElectionAnswer(call.round, takes_over)))
        if hears is Hears.QUORUM:
            state.tell_office(sender, now)
        elif takes_over and state.tenure is not None:
            state.tell_office(sender, now)
            if not state.tenure.office.granted and state.candidacy is None:
                state.alarm = now
        elif takes_over and state.candidacy is None:
            state.alarm = min(state.alarm, now + state.stagger_s())

    def asked_to_promise(self, sender: bytes, asked: PromiseAsk, now: float) -> None:
        """Judge a candidate's request."""
        state = self._state
        if asked.proof is not None:
            state.heed(asked.proof, now)
        office = state.office
        sticky = (
            state.hears(now) is Hears.QUORUM
            and office is not None
            and office.coordinator != sender
            and not self._is_transferred(office, asked.transfer, sender)
        )
        known = max(state.floor, state.voter.counter, state.log.accepted[0])
        proof = state.proof
        holder = None if proof is None else (proof.candidate, proof.boot)
        situation = Situation(known, state.floor, holder, sticky, proof, now)
        answer = state.voter.ask(sender, asked, situation)
        if isinstance(answer, Persist):
            if state.voter.counter < asked.counter:
                state.out.append(Note("term jump", sender, f"term {asked.counter}"))
            state.out.append(answer)
            state.abandon(now)
            self._wait_for(now)
        elif answer is not None:
            if answer.verdict == Verdict.JUMP:
                state.out.append(Note("term jump", sender, f"term {asked.counter}"))
            state.out.append(Send(sender, answer))

    def _is_transferred(self, office: Office, transfer: Transfer | None, to: bytes) -> bool:
        return (
            transfer is not None
            and (transfer.counter, transfer.successor) == (office.counter, to)
            and is_transfer(self._state.local, transfer, office.coordinator)
        )

    def persisted(self, token: int, now: float) -> None:
        """A promise is on disk: tell the candidate."""
        state = self._state
        told = state.voter.persisted(token, state.proof)
        if told is None:
            return
        candidate, answer = told
        if candidate == state.local.key:
            self._promise_counted(candidate, answer)
        else:
            self._wait_for(now)
            state.out.append(Send(candidate, answer))

    def _wait_for(self, now: float) -> None:
        """Give a candidate that got a promise time to win."""
        state = self._state
        if state.tenure is None:
            state.alarm = max(state.alarm, now + _PROMISED_PATIENCE * state.patience_s())

    def promise_answered(self, sender: bytes, answer: PromiseAnswer, now: float) -> None:
        """Take a voter's answer."""
        state = self._state
        if answer.proof is not None:
            state.heed(answer.proof, now)
        if answer.verdict in Verdict.__members__.values():
            self._promise_counted(sender, answer)

    def _promise_counted(self, sender: bytes, answer: PromiseAnswer) -> None:
        state = self._state
        if state.candidacy is not None:
            state.out += state.candidacy.answered(sender, answer)
        if state.tenure is not None and answer.verdict == Verdict.GRANTED:
            state.tenure.granted(sender, answer)
        elif state.tenure is not None and answer.verdict == Verdict.PROMISED:
            state.tenure.refused(sender, answer)

    def handed_over(self, sender: bytes, transfer: Transfer, now: float) -> None:
        """Succeed the coordinator at its wish."""
        state = self._state
        office = state.office
        if (
            office is not None
            and office.coordinator == sender
            and office.granted
            and self._is_transferred(office, transfer, state.local.key)
            and state.may_stand()
            and state.reaches_majority()
        ):
            self._standing.stand(now, transfer=transfer)
        else:
            state.out.append(Note("transfer refused", sender))

    def asked_to_promote(self, sender: bytes, successor: bytes) -> None:
        """Hand over at the wish of an admin."""
        state = self._state
        members = state.local.members
        can = members.stands(successor) and state.local.alive(successor)
        if state.tenure is not None and members.is_admin(sender) and can:
            self._standing.hand_over(state.tenure, successor)
        else:
            state.out.append(Note("promotion refused", sender))
