"""Announcements of who coordinates: which of them is followed."""

from __future__ import annotations

import math
from dataclasses import replace

from buildnet.mesh.election.answers import Answers
from buildnet.mesh.election.following import Following
from buildnet.mesh.election.promise import Certificate
from buildnet.mesh.election.ranking import outranks
from buildnet.mesh.election.standing import Standing
from buildnet.mesh.election.state import ElectionState
from buildnet.mesh.events import Note, Office, OfficeChanged, Raise, Send
from buildnet.mesh.messages.election import (
    Coordinator,
    CoordinatorAsk,
    Hears,
    Heartbeat,
    HeartbeatAck,
    TermProof,
)

_OTHERS_ACK_BEATS = 4  # who is no voter acknowledges each fourth heartbeat


class Announcements:
    """Follows the best office that is announced to one node."""

    def __init__(self, state: ElectionState, standing: Standing, answers: Answers) -> None:
        self._state = state
        self._standing = standing
        self._answers = answers
        self._unproven: tuple[bytes, Coordinator] | None = None

    def heartbeat(self, sender: bytes, said: Heartbeat, now: float) -> None:
        """Take a heartbeat, of whoever says to coordinate."""
        state = self._state
        following = state.following
        term = (sender, said.counter, said.granted)
        if following is not None and term == _term(following.office):
            self._heard(following, said.quorum and said.granted, now)
            self._acknowledge(sender, said.counter, said.beat)
        elif not said.granted:
            self._provisional_announced(sender, said, now)
        elif said.counter > state.floor or state.is_holder(sender, said.counter):
            state.tell(sender, CoordinatorAsk(state.floor), now)
        else:
            state.note_outdated(sender, sender, said.counter, now)

    def _heard(self, following: Following, quorum: bool, now: float) -> None:
        state = self._state
        if following.take(quorum, now):
            state.out.append(Raise(OfficeChanged(following.office)))
        state.series_since = None
        state.deferred_to.clear()
        if state.candidacy is None:
            state.alarm = now + state.patience_s()
            restless = now - following.quorum_heard > state.restless_s
            if restless and state.reaches_majority() and state.may_stand():
                following.quorum_heard = now
                self._standing.stand(now)
        elif quorum and state.candidacy.defers:
            state.abandon(now)
        self._answers.answer_waiting(now)

    def _acknowledge(self, coordinator: bytes, counter: int, beat: int) -> None:
        state = self._state
        if state.local.key in state.log.voters or beat % _OTHERS_ACK_BEATS == 0:
            ack = HeartbeatAck(counter, beat, state.voter.counter)
            state.out.append(Send(coordinator, ack))

    def announced(self, sender: bytes, said: Coordinator, now: float) -> None:
        """Take COORDINATOR, from who holds the office or from one of its followers."""
        state = self._state
        if not said.granted:
            if said.coordinator == sender:
                if said.certificate is not None:
                    state.heed(said.certificate, now)
                self._provisional_announced(sender, said, now)
            return
        certificate = said.certificate
        if certificate is None or (certificate.counter, certificate.candidate) != (
            said.counter,
            said.coordinator,
        ):
            state.out.append(Note("certificate missing", sender))
            return
        if said.counter < state.floor:
            state.note_outdated(sender, said.coordinator, said.counter, now)
            return
        if not state.learn(certificate):
            if said.version > state.local.members.version:
                self._unproven = (sender, said)  # looked at again once the member log caught up
            else:
                state.out.append(Note("certificate unproven", sender, f"term {said.counter}"))
            return
        if not state.is_holder(said.coordinator, said.counter):
            state.out.append(Note("two coordinators of one term", sender, f"term {said.counter}"))
            return
        members = state.local.members
        if said.coordinator != state.local.key and members.stands(said.coordinator):
            self._follow(sender, said, now)
        else:
            state.end_outdated(now)

    def review(self, now: float) -> None:
        """The members changed: look again at what could not be checked."""
        if self._unproven is not None:
            (sender, said), self._unproven = self._unproven, None
            self.announced(sender, said, now)

    def _follow(self, sender: bytes, said: Coordinator, now: float) -> None:
        """Follow a proven granted office, or take note of news of it."""
        state = self._state
        following = state.following
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
                    state.out.append(Raise(OfficeChanged(following.office)))
                self._heard(following, said.quorum, now)
                self._acknowledge(sender, said.counter, said.beat)
            return
        known = state.office
        if not itself and known is not None and known.counter >= said.counter:
            return
        quorum = said.quorum and itself
        office = Office(said.coordinator, said.counter, True, quorum, said.reached, now)
        self._enter_office_of(office, said.certificate, now, heard=itself)
        if itself:
            state.out.append(
                Send(sender, HeartbeatAck(said.counter, said.beat, state.voter.counter))
            )

    def _enter_office_of(
        self, office: Office, certificate: Certificate | None, now: float, *, heard: bool = True
    ) -> None:
        state = self._state
        state.relieve(now)
        state.tenure = None
        state.following = Following.of(office, certificate, now)
        if not heard:  # others say so; that it is alive, only it can tell
            state.following.heard = -math.inf
        state.out.append(Raise(OfficeChanged(office)))
        if office.granted or state.candidacy is None or not state.candidacy.majority:
            state.abandon(now)
        state.series_since = None

    def _provisional_announced(
        self, sender: bytes, said: Coordinator | Heartbeat, now: float
    ) -> None:
        state = self._state
        best, counter = state.named_by, said.counter
        if best is not None and counter < best.counter:
            state.tell(sender, TermProof(best), now)
            return
        if best is None or counter > best.counter:
            shown = said.certificate if isinstance(said, Coordinator) else None
            named = shown is not None and shown.counter == counter and state.may_name(shown)
            if counter > 0 and not named:
                state.tell(sender, CoordinatorAsk(state.floor), now)
                return
            best = shown if named else None
        following = state.following
        if following is not None and _term(following.office) == (sender, counter, False):
            self._heard(following, False, now)
            self._acknowledge(sender, counter, said.beat)
        elif self._prefers(sender, now):
            reached = said.reached if isinstance(said, Coordinator) else (sender,)
            office = Office(sender, counter, False, False, reached, now)
            self._enter_office_of(office, best, now)
            self._acknowledge(sender, counter, 0)
        else:
            state.tell_office(sender, now)

    def _prefers(self, sender: bytes, now: float) -> bool:
        """Tell whether ``sender``'s provisional term is better than what there is."""
        state = self._state
        if not state.local.members.stands(sender):
            return False
        if state.tenure is not None:
            if state.tenure.office.granted:
                return False
            return outranks(state.local, sender, state.local.key)
        following = state.following
        if following is None or following.office.coordinator == sender:
            return True
        if state.hears(now) is Hears.NOBODY:
            return True
        if following.office.granted:
            return False
        return outranks(state.local, sender, following.office.coordinator)


def _term(office: Office) -> tuple[bytes, int, bool]:
    return (office.coordinator, office.counter, office.granted)
