"""When this node stands, and what follows from how it ended."""

from __future__ import annotations

from buildnet.mesh.election.candidacy import DISK_LOOK_S, Candidacy, Grounds, Outcome
from buildnet.mesh.election.state import ElectionState
from buildnet.mesh.election.tenure import Tenure
from buildnet.mesh.events import Note, OfficeChanged, Raise, Send
from buildnet.mesh.messages.election import Hears, Transfer

_RETRY_S = (0.05, 0.25)
_PROVISIONAL_RETRY_S = (1.0, 2.0)
_START_S = 3.0  # after a start, links to a majority are waited for before a term is provisional
_START_LOOK_S = 0.25
_FRUITLESS_S = 3.0  # so long a series of attempts goes on before a term is provisional


class Standing:
    """Stands for one node, and takes the office if it wins."""

    def __init__(self, state: ElectionState) -> None:
        self._state = state

    def alarmed(self, now: float) -> None:
        """Nobody was heard for long enough."""
        state = self._state
        state.alarm = now + state.patience_s()
        if state.tenure is not None:
            state.alarm = now + state.local.random.uniform(*_PROVISIONAL_RETRY_S)
            if state.reaches_majority() and state.may_stand() and not state.voter.writes:
                self.stand(now)
        elif not state.may_stand():
            if state.following is not None and state.hears(now) is Hears.NOBODY:
                state.vacate(now)
        elif state.voter.writes:
            self._note_silence(now)
            state.alarm = now + DISK_LOOK_S
            self._settle_for_less(now)
        elif self._awaits_links(now):
            state.alarm = now + _START_LOOK_S
        elif state.hears(now) is not Hears.QUORUM:
            self.stand(now)

    def _note_silence(self, now: float) -> None:
        state = self._state
        following = state.following
        if state.series_since is None:
            state.series_since = now
        silent = following is not None and state.hears(now) is Hears.NOBODY
        if following is not None and silent and following.say_quorum(False):
            state.out.append(Raise(OfficeChanged(following.office)))

    def _settle_for_less(self, now: float) -> None:
        """Coordinate provisionally where voters' disks hang: attempts go on."""
        state = self._state
        since = now if state.series_since is None else state.series_since
        free = state.tenure is None and state.hears(now) is Hears.NOBODY
        if free and now - since >= _FRUITLESS_S and state.may_stand():
            self._take_office(state.floor, {}, now, now)

    def _awaits_links(self, now: float) -> bool:
        state = self._state
        young = now - state.began < _START_S
        return young and state.following is None and not state.reaches_majority()

    def stand(self, now: float, *, transfer: Transfer | None = None, renews: bool = False) -> None:
        """Begin a candidacy; see :class:`Grounds` for the arguments."""
        state = self._state
        hears, missed, following = Hears.NOBODY, None, state.following
        if following is not None:
            hears = state.hears(now)
            if hears is Hears.NOBODY:
                missed = following.office.coordinator
        self._note_silence(now)
        assert state.series_since is not None
        grounds = Grounds(
            hears,
            missed,
            known=max(state.floor, state.log.accepted[0]),
            named=state.named,
            since=state.series_since,
            proof=state.proof,
            transfer=transfer,
            attempts=state.attempts,
            renews=renews,
        )
        state.candidacy = Candidacy(
            state.local, state.log, state.voter, grounds, state.round_trip_s
        )
        state.out += state.candidacy.start(now)

    def renew(self, tenure: Tenure, now: float) -> None:
        """Take a higher counter if a voter promised one that nobody won: it can't follow else."""
        state = self._state
        contesting = tenure.contesting()
        voter = state.contests.observe(contesting, now)
        ready = state.candidacy is None and now >= state.alarm and state.may_stand()
        if voter is None or not ready:
            return
        state.contests.follow(voter, now)
        state.out.append(Note("term contested", voter, f"term {contesting[voter]}"))
        state.take_named(contesting[voter])
        state.alarm = now + state.local.random.uniform(*_PROVISIONAL_RETRY_S)
        self.stand(now, renews=True)

    def settle(self, now: float) -> None:
        """Draw the consequences of how a candidacy ended."""
        state = self._state
        candidacy = state.candidacy
        if candidacy is None or candidacy.outcome is None:
            return
        state.candidacy = None
        state.named = max(state.named, candidacy.named)
        match candidacy.outcome:
            case Outcome.WON:
                self._take_office(candidacy.counter, candidacy.promises, candidacy.asked_at, now)
            case Outcome.ALONE if state.tenure is None:
                state.attempts = 0
                self._take_office(state.floor, {}, now, now)
            case Outcome.ALONE:
                pass
            case Outcome.SPLIT:
                state.attempts += 1
                state.alarm = now + state.local.random.uniform(*_RETRY_S)
                self._settle_for_less(now)
            case Outcome.GIVEN_UP:
                state.abandon(now)

    def _take_office(
        self, counter: int, promises: dict[bytes, bytes], asked_at: float, now: float
    ) -> None:
        state = self._state
        state.relieve(now)
        state.following = None
        state.series_since = None
        if promises:
            state.attempts = 0
        state.tenure = Tenure(
            state.local,
            state.log,
            state.handover,
            counter,
            promises,
            proof=state.proof,
            asked_at=asked_at,
            now=now,
        )
        if promises and state.tenure.certificate is not None:
            state.keep(state.tenure.certificate)
        state.alarm = now + state.local.random.uniform(*_PROVISIONAL_RETRY_S)
        state.out += state.tenure.begin(now)

    def hand_over(self, tenure: Tenure, successor: bytes) -> None:
        """Tell ``successor`` to take the office."""
        state = self._state
        transfer = state.handover.sign(tenure.office.counter, successor)
        state.out.append(Send(successor, transfer))

    def resign_further(self, now: float) -> None:
        """Ask the next successor, if this node resigns and it is time."""
        state = self._state
        tenure = state.tenure
        if tenure is None:
            return
        successor = state.handover.next_successor(tenure.office.reached, now)
        if successor is not None:
            self.hand_over(tenure, successor)
