"""One attempt to become coordinator, from the pre-vote to the promises.

    ASKING     do the others miss the coordinator, too? (pre-vote)
    CALLING    does anybody of higher rank stand? (bully)
    YIELDING   one does; wait for its announcement, then ask again without calling
    PROMISING  a majority misses it: collect the promises of the voters
    LONELY     no majority can be reached: a short wait, then a provisional term

Pre-vote and stickiness are those of Raft (thesis, sections 4.2.3 and 9.6), the order by rank is
that of the bully algorithm (Garcia-Molina 1982).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from buildnet.mesh.election.promise import (
    NAMED_STEP,
    AcceptedLog,
    Certificate,
    Position,
    PromiseFact,
    promise_statement,
)
from buildnet.mesh.election.ranking import higher_ranks
from buildnet.mesh.election.voter import Voter
from buildnet.mesh.events import Effect, Send, SendAll
from buildnet.mesh.local import Local
from buildnet.mesh.messages.election import (
    ElectionCall,
    Hears,
    MissAsk,
    PromiseAnswer,
    PromiseAsk,
    Transfer,
    Verdict,
)

ANSWER_S = 0.15
"""How long an answer is waited for at least; four round trips on slower links."""
PROMISE_S = 1.0
"""How long promises are waited for at first: they include writes to disks of busy hosts. Each
further attempt of a series waits twice as long, up to eight times."""
DISK_LOOK_S = 0.25
"""How often it is looked whether a slow disk is done."""
DISK_S = 10.0
"""How long a candidate waits for its own disk."""
YIELD_S = 1.0
"""How long a higher rank that took over has to announce itself."""
LONELY_S = 0.3
PATIENCE_S = 1.0
"""How long linked voters may leave questions unanswered before they count as out of reach."""


class Phase(Enum):
    """What a candidate waits for."""

    ASKING = auto()
    CALLING = auto()
    YIELDING = auto()
    PROMISING = auto()
    LONELY = auto()


class Outcome(Enum):
    """What became of a candidacy."""

    WON = auto()
    ALONE = auto()
    """No majority of the voters can be reached, and nobody better stands: a provisional term."""
    GIVEN_UP = auto()
    """Others hear a coordinator, or hold a newer member list."""
    SPLIT = auto()
    """It came to nothing; try again soon, with a higher counter."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why and with what somebody stands."""

    hears: Hears
    """Whom the candidate itself hears."""
    missed: bytes | None
    """The coordinator that is silent; it is not called."""
    known: int
    """The highest counter proven or promised here."""
    named: int
    """The highest counter that others named."""
    since: float
    """When the series of attempts began that this one belongs to."""
    proof: Certificate | None
    attempts: int = 0
    """How many attempts of the series came to nothing."""
    transfer: Transfer | None = None
    """Handed over by the coordinator: nobody is asked or called."""
    renews: bool = False
    """The candidate is coordinator and needs a higher counter: nobody is asked or called."""


class Candidacy:
    """One attempt. Its owner looks at :attr:`outcome` after each call."""

    def __init__(
        self,
        local: Local,
        log: AcceptedLog,
        voter: Voter,
        grounds: Grounds,
        round_trip_s: Callable[[], float],
    ) -> None:
        self._local = local
        self._log = log
        self._voter = voter
        self._grounds = grounds
        self._round_trip_s = round_trip_s
        self._round = local.random.getrandbits(32)
        self._asked: tuple[bytes, ...] = ()
        self._heard: dict[bytes, Hears] = {}
        self._silent: set[bytes] = set()
        self._refused: dict[bytes, Verdict] = {}
        self._possible: set[bytes] = set()
        self._shown: set[bytes] = set()
        self._yielded_to: bytes | None = None
        self._insists = False
        self._position = Position.of(log)
        self.phase = Phase.ASKING
        self.until = 0.0
        self.majority = False
        """A majority of the voters misses the coordinator."""
        self.counter = 0
        self.asked_at = 0.0
        self.promises: dict[bytes, bytes] = {}
        """Voter to signature."""
        self._follows_to = max(grounds.known, voter.counter) + NAMED_STEP
        self.named = grounds.named
        self.outcome: Outcome | None = None

    @property
    def defers(self) -> bool:
        """Whether news of a coordinator end it: not once a majority is being asked to promise,
        nor where the coordinator itself wants it."""
        return self.phase is not Phase.PROMISING

    def start(self, now: float) -> list[Effect]:
        """Begin."""
        if self._grounds.transfer is not None or self._grounds.renews:
            return self._ask_promises(now)
        return self._ask(now)

    def tick(self, now: float) -> list[Effect]:
        """Go on once :attr:`until` has come."""
        if self.outcome is not None or now < self.until:
            return []
        match self.phase:
            case Phase.ASKING:
                return self._judge(now, waited=True)
            case Phase.CALLING:
                return self._stand(now)
            case Phase.YIELDING:
                return self._resume(now)
            case Phase.PROMISING if self._voter.writes and now < self.asked_at + DISK_S:
                self.until = now + DISK_LOOK_S  # another attempt would wait for the same disk
            case Phase.PROMISING:
                self.outcome = Outcome.SPLIT
            case Phase.LONELY:
                self.outcome = Outcome.ALONE
        return []

    def postpone(self, seconds: float) -> None:
        """Take out a time in which this node was not running."""
        self.until += seconds

    # --- pre-vote ------------------------------------------------------------------------------

    def _ask(self, now: float) -> list[Effect]:
        self.phase = Phase.ASKING
        self._round = self._local.random.getrandbits(32)
        self._heard = {self._local.key: self._grounds.hears}
        self._asked = self._linked()
        self.until = now + self._answer_s()
        asking: list[Effect] = [SendAll(self._asked, MissAsk(self._round))] if self._asked else []
        return asking + self._judge(now, waited=False)

    def told(
        self, sender: bytes, round_: int, hears: Hears, promised: int, now: float
    ) -> list[Effect]:
        """Take note of whom somebody hears, and the highest counter that it promised."""
        if self.phase is not Phase.ASKING or round_ != self._round or self.outcome is not None:
            return []
        self._heard[sender] = hears
        self._name(sender, promised)
        return self._judge(now, waited=False)

    def _judge(self, now: float, *, waited: bool) -> list[Effect]:
        voters = self._log.voters
        needed = len(voters) // 2 + 1
        told = [self._heard[voter] for voter in voters if voter in self._heard]
        if sum(hears is not Hears.QUORUM for hears in told) >= needed:
            self.majority = True
            return self._call(now)
        contented = sum(hears is Hears.QUORUM for hears in told)
        if contented > len(voters) - needed:
            self.outcome = Outcome.GIVEN_UP
            return []
        linked = self._linked()
        if not waited and any(peer in linked and peer not in self._heard for peer in self._asked):
            return []
        if len(told) >= needed or any(self._heard.values()):
            self.outcome = Outcome.GIVEN_UP
            return []
        reachable = sum(voter == self._local.key or voter in linked for voter in voters)
        if reachable >= needed and now - self._grounds.since < PATIENCE_S:
            self.outcome = Outcome.SPLIT
            return []
        return self._call(now)

    # --- bully ---------------------------------------------------------------------------------

    def _call(self, now: float) -> list[Effect]:
        higher = () if self._insists else self._higher()
        if not higher:
            return self._stand(now)
        self.phase = Phase.CALLING
        self._silent = set(higher)
        self.until = now + self._answer_s()
        return [SendAll(higher, ElectionCall(self._round, self._position, self.majority))]

    def answered_call(
        self, sender: bytes, round_: int, takes_over: bool, now: float
    ) -> list[Effect]:
        """Take note of a higher rank's answer."""
        if round_ != self._round or self.outcome is not None:
            return []
        if self.phase is Phase.CALLING:
            if takes_over:
                self.phase = Phase.YIELDING
                self._yielded_to = sender
                self.until = now + YIELD_S
            else:
                return self._lost_call(sender, now)
        return []

    def lost(self, peer: bytes, now: float) -> list[Effect]:
        """Take note that a peer is not linked any more, or dead."""
        if self.outcome is not None:
            return []
        match self.phase:
            case Phase.ASKING:
                return self._judge(now, waited=False)
            case Phase.CALLING:
                return self._lost_call(peer, now)
            case Phase.YIELDING if peer == self._yielded_to:
                return self._resume(now)
            case Phase.PROMISING if peer not in self.promises:
                self._refuse(peer, Verdict.PROMISED)
                self._count()
                return []
            case _:
                return []

    def _lost_call(self, peer: bytes, now: float) -> list[Effect]:
        self._silent.discard(peer)
        return [] if self._silent else self._stand(now)

    def _resume(self, now: float) -> list[Effect]:
        self._insists = True
        return self._ask(now)

    def _stand(self, now: float) -> list[Effect]:
        if self.majority:
            return self._ask_promises(now)
        self.phase = Phase.LONELY
        self.until = now + LONELY_S
        return []

    # --- promises ------------------------------------------------------------------------------

    def _ask_promises(self, now: float) -> list[Effect]:
        local = self._local
        self.phase = Phase.PROMISING
        self.counter = max(self._grounds.known, self._voter.counter, self.named) + 1
        self.asked_at = now
        patience = PROMISE_S * 2 ** min(self._grounds.attempts, 3)
        self.until = now + max(patience, 2 * self._answer_s())
        promise = PromiseFact(self.counter, local.key, local.boot)
        kept = self._voter.give(promise, self._position)
        linked = self._linked()
        # The voters of the final list, too: who lacks what is not final checks against those.
        voters = sorted({*self._log.voters, *local.members.voters})
        asked = tuple(voter for voter in voters if voter in linked)
        self._possible = {*asked, local.key}
        return [kept, *([SendAll(asked, self.request(proof=None))] if asked else [])]

    def request(self, proof: Certificate | None) -> PromiseAsk:
        """Return what voters are asked."""
        boot = self._local.boot
        return PromiseAsk(self.counter, boot, self._position, self._grounds.transfer, proof)

    def answered(self, sender: bytes, answer: PromiseAnswer) -> list[Effect]:
        """Take note of a voter's answer, this node's own among them."""
        if self.phase is not Phase.PROMISING or answer.counter != self.counter:
            return []
        if self.outcome is not None:
            return []
        verdict = Verdict(answer.verdict)
        if verdict is Verdict.JUMP and self._grounds.proof and sender not in self._shown:
            self._shown.add(sender)
            return [Send(sender, self.request(self._grounds.proof))]
        if verdict is Verdict.GRANTED and is_promise(self._local, sender, answer):
            assert answer.signature is not None
            self.promises[sender] = answer.signature
            self._refused.pop(sender, None)
            self._possible.add(sender)
        else:
            self._refuse(sender, verdict)
            self._name(sender, answer.promised)
        self._count()
        return []

    def _name(self, voter: bytes, counter: int) -> None:
        """Follow a counter that a voter names, though only one step of the way."""
        if voter in self._log.voters:
            self.named = max(self.named, min(counter, self._follows_to))

    def _refuse(self, voter: bytes, verdict: Verdict) -> None:
        self._refused[voter] = verdict
        self._possible.discard(voter)

    def _count(self) -> None:
        voters, revoked = self._log.voters, self._local.members.revoked
        needed = len(voters) // 2 + 1
        if self._log.head != self._position.head:
            self.outcome = Outcome.SPLIT  # entries came in: what was asked is out of date
        elif sum(voter in self.promises and voter not in revoked for voter in voters) >= needed:
            self.outcome = Outcome.WON
        elif sum(voter in self._possible for voter in voters) < needed:
            hopeless = (Verdict.HEARS, Verdict.OLDER, Verdict.UNFIT)
            given_up = any(verdict in hopeless for verdict in self._refused.values())
            self.outcome = Outcome.GIVEN_UP if given_up else Outcome.SPLIT

    # --- whom it deals with --------------------------------------------------------------------

    def _linked(self) -> tuple[bytes, ...]:
        members = self._local.members
        return tuple(peer for peer in sorted(self._local.links) if members.is_member(peer))

    def _higher(self) -> tuple[bytes, ...]:
        missed = self._grounds.missed
        return tuple(peer for peer in higher_ranks(self._local) if peer != missed)

    def _answer_s(self) -> float:
        return max(ANSWER_S, 4 * self._round_trip_s())


def is_promise(local: Local, voter: bytes, answer: PromiseAnswer) -> bool:
    """Tell whether ``answer`` holds ``voter``'s signed promise to this very process."""
    if answer.signature is None:
        return False
    statement = promise_statement(local, answer.counter, local.key, local.boot)
    return local.signatures.verify(voter, statement, answer.signature)
