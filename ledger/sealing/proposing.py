"""The coordinator's side of sealing: win the voters' promises, propose, gather cosignatures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from buildnet.ledger.entry import Chain
from buildnet.ledger.events import Effect
from buildnet.ledger.frontier import Head
from buildnet.ledger.messages import (
    AcceptedValue,
    SealCosign,
    SealPrepare,
    SealPromise,
    SealPropose,
)
from buildnet.ledger.seal import (
    Cosignature,
    SealRecord,
    SealValue,
    cosign_statement,
    hash_of_value,
    majority_of,
)
from buildnet.ledger.sealing.place import Place
from buildnet.ledger.sealing.values import Values
from buildnet.ledger.sealing.voting import Answer
from buildnet.mesh.events import Note, SendAll
from buildnet.mesh.local import Local
from buildnet.mesh.wire import WireError

INTERVAL_S = 0.02
"""At least so long lies between two new values; the first after a pause waits for nothing."""
LOOK_S = 1.0
"""So often it is looked whether what could not be sealed can be by now."""
RESEND_S = (0.25, 4.0)
"""First and longest pause before voters that did not answer are asked again."""


@dataclass(slots=True)
class _Proposal:
    value: SealValue
    raw: bytes
    hash: bytes
    cosigned: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _Term:
    number: int
    epoch: int
    promises: dict[bytes, SealPromise] = field(default_factory=dict)
    asked: set[bytes] = field(default_factory=set)
    """For their promise, since the last repetition."""
    proposal: _Proposal | None = None
    propose_at: float = 0.0
    """A new value is made no sooner."""
    look_at: float = 0.0
    resend_at: float = 0.0
    pause: float = RESEND_S[0]


@dataclass(slots=True)
class Step:
    """What the coordinator wants: effects, messages to itself, entries that it lacks."""

    effects: list[Effect] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    missing: tuple[tuple[Chain, Head], ...] = ()
    source: bytes = b""
    final: SealRecord | None = None


class Proposing:
    """One node's terms of office, as far as sealing goes."""

    def __init__(self, local: Local, cluster: bytes, place: Place, values: Values) -> None:
        self._local = local
        self._cluster = cluster
        self._place = place
        self._values = values
        self._term: _Term | None = None

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        term = self.active()
        if term is None:
            return math.inf
        return term.resend_at if term.proposal is not None else min(term.look_at, term.resend_at)

    def active(self) -> _Term | None:
        """Return this node's term while it holds the office with a quorum."""
        term, office, me = self._term, self._local.office, self._local.key
        if term is None or office is None or not (office.granted and office.quorum):
            return None
        return term if (office.coordinator, office.counter) == (me, term.number) else None

    @property
    def is_busy(self) -> bool:
        """Tell whether a value is proposed that is not final yet, or one may have to be."""
        term = self.active()
        if term is None:
            return False
        if term.proposal is not None and term.proposal.value.height > self._place.height:
            return True
        return not self._has_promises(term) or self._prior(term) is not None

    def take_office(self, promised: int, epoch: int, now: float) -> Step:
        """Begin a term, if this node won one. ``promised``: what it promised as a voter: a term
        that another process of it began is not gone on with."""
        office, me = self._local.office, self._local.key
        if office is None or not office.granted or office.coordinator != me:
            return Step()
        if self._term is not None and self._term.number == office.counter:
            if self._term.epoch == epoch:
                return Step()
        elif office.counter <= promised:
            return Step([Note("ledger: term used before", me)])
        self._term = term = _Term(office.counter, epoch, resend_at=now + RESEND_S[0])
        term.asked.update((me, *self._named()))
        ask = SealPrepare(term.number, self._place.height + 1)
        return Step(self._to(self._named(), ask), [Answer(me, ask)])

    def promised(self, sender: bytes, said: SealPromise, now: float) -> Step:
        """Take a voter's promise."""
        term = self.active()
        if term is None or said.term != term.number:
            return Step()
        if said.promised != term.number:
            return Step([Note("ledger: term too old", sender)])
        term.promises[sender] = said
        term.look_at = min(term.look_at, now)
        return self.step(now)

    def cosigned(self, sender: bytes, said: SealCosign, now: float) -> Step:
        """Take a cosignature; with a majority's the seal is final."""
        term = self.active()
        proposal = None if term is None else term.proposal
        if term is None or proposal is None:
            return Step()
        expected = (term.number, proposal.value.height, proposal.hash)
        if (said.term, said.height, said.value) != expected or sender in proposal.cosigned:
            return Step()
        statement = cosign_statement(
            self._cluster, proposal.value.height, proposal.hash, term.number
        )
        voters = proposal.value.voters
        if sender not in voters or not self._local.signatures.verify(
            sender, statement, said.signature
        ):
            return Step([Note("ledger: no cosignature", sender)])
        proposal.cosigned[sender] = said.signature
        if len(proposal.cosigned) < majority_of(voters):
            return Step()
        term.pause = RESEND_S[0]
        cosignatures = tuple(
            Cosignature(voter, signature) for voter, signature in sorted(proposal.cosigned.items())
        )
        return Step(final=SealRecord(proposal.raw, term.number, cosignatures))

    def news(self, now: float) -> None:
        """Something came that may be sealed."""
        term = self.active()
        if term is not None:
            term.look_at = min(term.look_at, max(now, term.propose_at))

    def rewound(self) -> None:
        """Final seals were set aside: what was proposed after them continues nothing."""
        if self._term is not None:
            self._term.proposal = None

    def link_up(self, peer: bytes) -> Step:
        """Say to a voter what it did not hear."""
        term = self.active()
        if term is None:
            return Step()
        if term.proposal is not None and peer in term.proposal.value.voters:
            return Step(self._to((peer,), SealPropose(term.number, term.proposal.raw)))
        if peer in self._named() and peer not in term.promises:
            ask = SealPrepare(term.number, self._place.height + 1)
            return Step(self._to((peer,), ask))
        return Step()

    def step(self, now: float) -> Step:
        """Go on: propose what must be proposed again, or something new."""
        term = self.active()
        if term is None:
            return Step()
        if term.proposal is not None:
            if term.proposal.value.height > self._place.height:
                return Step()
            term.proposal = None
            term.resend_at = math.inf
            term.look_at = min(term.look_at, now)
        if not self._has_promises(term):
            return self._ask_promises(term, now)
        prior = self._prior(term)
        if prior is not None:
            return self._propose_again(term, *prior, now)
        if now < term.propose_at:
            term.look_at = term.propose_at
            return Step()
        if now < term.look_at:
            return Step()
        made = self._values.propose()
        if made is None:
            term.look_at = now + LOOK_S
            return Step()
        term.propose_at = now + INTERVAL_S
        return self._propose(term, *made, now)

    def tick(self, now: float) -> Step:
        """Do what is due."""
        term = self.active()
        if term is None:
            return Step()
        if now < term.resend_at:
            return self.step(now)
        term.pause = min(2 * term.pause, RESEND_S[1])
        term.resend_at = now + term.pause
        term.asked.clear()
        if term.proposal is not None and term.proposal.value.height > self._place.height:
            proposal = term.proposal
            lacking = tuple(one for one in proposal.value.voters if one not in proposal.cosigned)
            said = SealPropose(term.number, proposal.raw)
            return Step(self._to(lacking, said), self._to_self(lacking, said))
        return self.step(now)

    def _has_promises(self, term: _Term) -> bool:
        """Tell whether a majority of the next height's voters promised the term, none of whom has
        more final seals."""
        named = self._named()
        counted = [voter for voter in named if self._counts(term, voter)]
        return bool(named) and len(counted) >= majority_of(named)

    def _counts(self, term: _Term, voter: bytes) -> bool:
        promise = term.promises.get(voter)
        return promise is not None and _reach(promise) <= self._place.height

    def _ask_promises(self, term: _Term, now: float) -> Step:
        """Ask the voters whose promise is missing, each once until the next repetition; so are
        those again that said to have more final seals, for what nobody has never comes: the voter
        lied, or its disk went back since."""
        missing = tuple(voter for voter in self._named() if not self._counts(term, voter))
        term.look_at = now + LOOK_S
        if not missing:
            return Step()
        term.resend_at = min(term.resend_at, now + term.pause)
        lacking = tuple(voter for voter in missing if voter not in term.asked)
        if not lacking:
            return Step()
        term.asked.update(lacking)
        ask = SealPrepare(term.number, self._place.height + 1)
        return Step(self._to(lacking, ask), self._to_self(lacking, ask))

    def _prior(self, term: _Term) -> tuple[bytes, AcceptedValue] | None:
        """Return who accepted what in the highest term at the next height, if anybody did."""
        best: tuple[bytes, AcceptedValue] | None = None
        for voter, promise in sorted(term.promises.items()):
            accepted = promise.accepted
            if accepted is None or _reach(promise) != self._place.height:
                continue
            if best is None or accepted.term > best[1].term:
                best = (voter, accepted)
        return best

    def _propose_again(
        self, term: _Term, voter: bytes, accepted: AcceptedValue, now: float
    ) -> Step:
        try:
            value = SealValue.decode(accepted.value)
        except WireError:
            del term.promises[voter]
            term.look_at = now + LOOK_S
            return Step([Note("ledger: no value", voter)])
        if value.epoch < term.epoch:  # what was accepted before a recovery binds nobody
            promise = term.promises[voter]
            term.promises[voter] = SealPromise(promise.term, promise.promised, promise.sealed, None)
            return self.step(now)
        verdict = self._values.check(value, hash_of_value(accepted.value))
        if verdict.problem is not None:
            del term.promises[voter]
            term.look_at = now + LOOK_S
            return Step([Note(f"ledger: value with {verdict.problem}", voter)])
        if not verdict.is_right:
            term.look_at = now + LOOK_S
            return Step(missing=verdict.missing, source=voter)
        return self._propose(term, value, accepted.value, now)

    def _propose(self, term: _Term, value: SealValue, raw: bytes, now: float) -> Step:
        term.proposal = _Proposal(value, raw, hash_of_value(raw))
        term.pause = RESEND_S[0]
        term.resend_at = now + term.pause
        said = SealPropose(term.number, raw)
        return Step(self._to(value.voters, said), self._to_self(value.voters, said))

    def _named(self) -> tuple[bytes, ...]:
        named = self._values.named()
        return () if named is None else named.voters

    def _to_self(self, voters: tuple[bytes, ...], said: SealPrepare | SealPropose) -> list[Answer]:
        me = self._local.key
        return [Answer(me, said)] if me in voters else []

    def _to(self, voters: tuple[bytes, ...], said: SealPrepare | SealPropose) -> list[Effect]:
        links, me = self._local.links, self._local.key
        to = tuple(voter for voter in voters if voter in links and voter != me)
        return [SendAll(to, said)] if to else []


def _reach(promise: SealPromise) -> int:
    """Return up to which height a voter knows seals to be final."""
    if promise.accepted is None:
        return promise.sealed
    try:  # A voter accepts only after the last final seal, though it may have lost that since.
        height = SealValue.decode(promise.accepted.value).height
    except WireError:
        return promise.sealed
    return max(promise.sealed, height - 1)
