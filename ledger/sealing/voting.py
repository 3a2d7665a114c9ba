"""A voter's side of sealing: promise, check, accept, cosign; each on disk before it is said."""

from __future__ import annotations

from dataclasses import dataclass

from buildnet.ledger.entry import Chain
from buildnet.ledger.events import Effect
from buildnet.ledger.frontier import Head
from buildnet.ledger.keeping import Keeping
from buildnet.ledger.membership import Membership
from buildnet.ledger.messages import (
    AcceptedValue,
    SealCosign,
    SealPrepare,
    SealPromise,
    SealPropose,
    SealRefuse,
)
from buildnet.ledger.restored import Accepted, Promise, Restored
from buildnet.ledger.seal import SealValue, cosign_statement, hash_of_value
from buildnet.ledger.sealing.place import Place
from buildnet.ledger.sealing.values import Values
from buildnet.mesh.local import Local
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.wire import WireError


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say to whom, maybe to this node itself."""

    to: bytes
    message: Message


@dataclass(slots=True)
class Ballot:
    """What came of a message: effects, answers for at once, and what to look for first."""

    effects: list[Effect]
    answers: list[Answer]
    missing: tuple[tuple[Chain, Head], ...] = ()
    sealed: int = 0
    """The coordinator has final seals up to this height at least."""


class Voting:
    """One voter. ``say``: delivers answers that follow a write, see :class:`Answer`."""

    def __init__(
        self,
        local: Local,
        cluster: bytes,
        membership: Membership,
        place: Place,
        values: Values,
        keeping: Keeping,
        restored: Restored,
    ) -> None:
        self._local = local
        self._cluster = cluster
        self._membership = membership
        self._place = place
        self._values = values
        self._keeping = keeping
        self.promised = restored.promise
        """The highest term promised."""
        self._accepted: Accepted | None = restored.accepted
        self._accepted_on_disk = True
        self._pending: tuple[bytes, SealPropose] | None = None
        self.ready: list[Answer] = []
        """Answers whose facts are on disk by now, to be sent."""

    def prepare(self, sender: bytes, said: SealPrepare) -> Ballot:
        """Promise a term to its coordinator, or say which one was promised already."""
        if said.term < self.promised:
            return Ballot([], [Answer(sender, self._promise(said.term))])
        if not self._is_in_office(sender, said.term):
            return Ballot([], [])
        self.promised = said.term
        keep = self._keeping.keep(
            lambda now: self._answer(sender, self._promise(said.term)),
            promise=Promise(self.promised),
        )
        return Ballot([keep], [], sealed=said.height - 1)

    def propose(self, sender: bytes, said: SealPropose) -> Ballot:
        """Accept a value, refuse it, or keep it in mind until all is here that it needs."""
        if said.term < self.promised:
            return self._refuse(sender, said, 0, "term too old")
        if not self._is_in_office(sender, said.term):
            return self._refuse(sender, said, 0, "not in office")
        try:
            value = SealValue.decode(said.value)
        except WireError:
            return self._refuse(sender, said, 0, "no value")
        if self._local.key not in value.voters:
            return self._refuse(sender, said, value.height, "no voter")
        if value.height <= self._place.height:
            return self._refuse(sender, said, value.height, "sealed already")
        self._pending = (sender, said)
        if value.height > self._place.height + 1:
            return Ballot([], [], sealed=value.height - 1)
        value_hash = hash_of_value(said.value)
        before = self._accepted
        if before is not None and (before.term, before.height) == (said.term, value.height):
            self._pending = None
            if before.value != said.value:
                return self._refuse(sender, said, value.height, "another value")
            if self._accepted_on_disk:
                return Ballot([], [Answer(sender, self._cosign(before, value_hash))])
            return Ballot([], [])
        if value.epoch < self._membership.epoch:
            self._pending = None
            return self._refuse(sender, said, value.height, "another epoch")
        verdict = self._values.check(value, value_hash)
        if verdict.problem is not None:
            self._pending = None
            return self._refuse(sender, said, value.height, verdict.problem)
        if verdict.is_right and self._values.is_over_stubs(value):
            self._pending = None
            return self._refuse(sender, said, value.height, "entries pruned")
        if not verdict.is_right or self._values.is_ahead(value):
            return Ballot([], [], missing=verdict.missing)
        self._pending = None
        return self._accept(sender, said, value.height, value_hash)

    def look(self) -> Ballot:
        """Look again at the value that waits: entries, seals or members came."""
        if self._pending is None:
            return Ballot([], [])
        sender, said = self._pending
        self._pending = None
        return self.propose(sender, said)

    @property
    def accepted(self) -> Accepted | None:
        """What was accepted last."""
        return self._accepted

    @property
    def waits_for(self) -> bytes | None:
        """Who proposed the value that waits; None: none does."""
        return None if self._pending is None else self._pending[0]

    def rejoin(self, term: int) -> Promise:
        """Vote again, in no term before this one."""
        self.promised = max(self.promised, term)
        return Promise(self.promised)

    def begin_epoch(self) -> list[Effect]:
        """A recovery began: no value of the old epoch is accepted any more, so the promises of its
        terms have nothing left to keep."""
        self.promised, self._accepted, self._pending = 0, None, None
        return [self._keeping.keep(promise=Promise(0))]

    def rewound(self) -> None:
        """Final seals were set aside, for others of a newer epoch: a value that was accepted after
        them can never be final, and binds nobody."""
        self._pending = None
        if self._accepted is not None and self._accepted.height > self._place.height + 1:
            self._accepted = None

    def _accept(self, sender: bytes, said: SealPropose, height: int, value_hash: bytes) -> Ballot:
        accepted = Accepted(said.term, height, said.value)
        self._accepted, self._accepted_on_disk = accepted, False
        promise = None if self.promised == said.term else Promise(said.term)
        self.promised = said.term

        def then(now: float) -> list[Effect]:
            if self._accepted is accepted:
                self._accepted_on_disk = True
            return self._answer(sender, self._cosign(accepted, value_hash))

        return Ballot([self._keeping.keep(then, accepted=accepted, promise=promise)], [])

    def _cosign(self, accepted: Accepted, value_hash: bytes) -> SealCosign:
        said = cosign_statement(self._cluster, accepted.height, value_hash, accepted.term)
        signature = self._local.signatures.sign(said)
        return SealCosign(accepted.term, accepted.height, value_hash, signature)

    def _promise(self, term: int) -> SealPromise:
        accepted = self._accepted
        told = None
        if accepted is not None and accepted.height > self._place.height:
            told = AcceptedValue(accepted.term, accepted.value)
        return SealPromise(term, self.promised, self._place.height, told)

    def _refuse(self, sender: bytes, said: SealPropose, height: int, reason: str) -> Ballot:
        refusal = SealRefuse(said.term, height, self.promised, self._place.height, reason)
        return Ballot([], [Answer(sender, refusal)])

    def _is_in_office(self, sender: bytes, term: int) -> bool:
        office = self._local.office
        if office is None or not office.granted:
            return False
        return (office.coordinator, office.counter) == (sender, term)

    def _answer(self, to: bytes, message: Message) -> list[Effect]:
        self.ready.append(Answer(to, message))
        return []
