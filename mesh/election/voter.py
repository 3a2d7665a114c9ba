"""The voter's half of an election: each counter is promised once, and on disk before it is told.

The rules are those of a Paxos acceptor (phase 1) with the check of Raft that the candidate's log
is not older (section 5.4.1), and stickiness: who hears a coordinator with quorum promises nothing
to somebody else.

A candidate may raise what is promised here by so much a second (:class:`_Allowance`). One that
asks for more gets as far as it may, though no vote: however far apart somebody drove the voters'
promises, those that stayed behind follow within about the time that it took.
"""

from __future__ import annotations

from dataclasses import dataclass

from buildnet.mesh.election.promise import (
    NAMED_STEP,
    RAISE_PER_S,
    AcceptedLog,
    Certificate,
    Position,
    PromiseFact,
    promise_statement,
)
from buildnet.mesh.events import Persist
from buildnet.mesh.local import Local
from buildnet.mesh.messages.election import PromiseAnswer, PromiseAsk, Verdict


@dataclass(frozen=True, slots=True)
class _Pending:
    """A promise on its way to the disk, and how far the candidate's member list reached.

    ``asked`` is the counter that was asked for; a promise below it is no vote.
    """

    promise: PromiseFact
    position: Position
    asked: int


@dataclass(slots=True)
class _Allowance:
    """How far one candidate may raise the promise, as of ``at``."""

    left: float
    at: float

    def refill(self, now: float) -> None:
        self.left = min(RAISE_PER_S, self.left + RAISE_PER_S * (now - self.at))
        self.at = now


@dataclass(frozen=True, slots=True)
class Situation:
    """What a voter has to know of the present to judge a request."""

    known: int
    """The highest counter that is proven or was promised here."""
    floor: int
    """The highest granted counter; nobody else can win it or a lower one."""
    holder: tuple[bytes, int] | None
    """Who was granted ``floor``, and the boot number of its process."""
    sticky: bool
    """A coordinator with quorum is heard, and the request brings no transfer of it."""
    proof: Certificate | None
    now: float


class Voter:
    """What this node promised. ``fact`` is the promise that was found on disk at the start."""

    def __init__(self, local: Local, log: AcceptedLog, fact: PromiseFact | None) -> None:
        self._local = local
        self._log = log
        self._promise = fact
        self._durable = fact
        self._pending: dict[int, _Pending] = {}
        self._allowances: dict[bytes, _Allowance] = {}

    @property
    def promise(self) -> PromiseFact | None:
        """The highest promise, on disk or on its way: nothing of a lower term is accepted."""
        return self._promise

    @property
    def counter(self) -> int:
        """The highest counter that was promised; 0 before the first."""
        return 0 if self._promise is None else self._promise.counter

    @property
    def writes(self) -> bool:
        """Whether a promise is on its way to the disk: until then no other one gets there."""
        return bool(self._pending)

    def ask(
        self, candidate: bytes, asked: PromiseAsk, situation: Situation
    ) -> Persist | PromiseAnswer | None:
        """Judge a request: promise (to be persisted), answer, or wait for the disk (None)."""
        promise = PromiseFact(asked.counter, candidate, asked.boot)
        if promise == self._promise:
            if promise != self._durable:
                return None
            return self._answer(promise, asked.position, situation.proof)
        verdict = self._judge(candidate, asked, situation)
        if verdict is not Verdict.GRANTED:
            return self._refusal(asked.counter, verdict, situation.proof)
        counter = self._raised(candidate, asked.counter, situation)
        if counter < asked.counter and counter <= situation.known:
            return self._refusal(asked.counter, Verdict.JUMP, situation.proof)
        given = PromiseFact(counter, candidate, asked.boot)
        return self._give(given, asked.position, asked.counter)

    def give(self, promise: PromiseFact, position: Position) -> Persist:
        """Promise, without judging; a candidate does so to itself with a counter of its own."""
        return self._give(promise, position, promise.counter)

    def _give(self, promise: PromiseFact, position: Position, asked: int) -> Persist:
        if promise.counter <= self.counter:
            raise ValueError(f"counter {promise.counter} is promised, or a higher one")
        self._promise = promise
        token = self._local.tokens.next()
        self._pending[token] = _Pending(promise, position, asked)
        return Persist(token, (promise,))

    def _raised(self, candidate: bytes, counter: int, situation: Situation) -> int:
        """Return how far towards ``counter`` the candidate may raise the promise, and count it."""
        now = situation.now
        allowance = self._allowances.setdefault(candidate, _Allowance(RAISE_PER_S, now))
        allowance.refill(now)
        raised = max(0, min(counter - situation.known, int(allowance.left)))
        allowance.left -= raised
        return min(counter, situation.known + raised)

    def persisted(
        self, token: int, proof: Certificate | None
    ) -> tuple[bytes, PromiseAnswer] | None:
        """Take note that a promise is on disk; return whom to answer and what."""
        pending = self._pending.pop(token, None)
        if pending is None:
            return None
        self._durable = pending.promise
        if pending.promise.counter < pending.asked:
            answer = self._refusal(pending.asked, Verdict.JUMP, proof)
        else:
            answer = self._answer(pending.promise, pending.position, proof)
        return pending.promise.candidate, answer

    def _judge(self, candidate: bytes, asked: PromiseAsk, situation: Situation) -> Verdict:
        holder = (candidate, asked.boot)
        holds = holder == situation.holder and asked.counter == situation.floor
        floor = max(situation.floor, self._log.accepted[0])
        if not self._local.members.stands(candidate):
            return Verdict.UNFIT
        if situation.sticky:
            return Verdict.HEARS
        if asked.counter <= self.counter or (asked.counter <= floor and not holds):
            return Verdict.PROMISED
        if asked.position.is_older_than(Position.of(self._log)):
            return Verdict.OLDER
        return Verdict.GRANTED

    def _answer(
        self, promise: PromiseFact, position: Position, proof: Certificate | None
    ) -> PromiseAnswer:
        if promise != self._promise:
            return self._refusal(promise.counter, Verdict.PROMISED, proof)
        if position.is_older_than(
            Position.of(self._log)
        ):  # what it accepted before, but after it was asked
            return self._refusal(promise.counter, Verdict.OLDER, proof)
        counter = promise.counter
        statement = promise_statement(self._local, counter, promise.candidate, promise.boot)
        signature = self._local.signatures.sign(statement)
        term, version = self._log.accepted
        return PromiseAnswer(
            counter, int(Verdict.GRANTED), self.counter, term, version, signature, None
        )

    def _refusal(self, counter: int, verdict: Verdict, proof: Certificate | None) -> PromiseAnswer:
        term, version = self._log.accepted
        promised = max(self.counter, term, 0 if proof is None else proof.counter)
        shown = proof if promised > counter + NAMED_STEP else None
        return PromiseAnswer(counter, int(verdict), promised, term, version, None, shown)
