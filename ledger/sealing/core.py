"""Sealing on one node: joins the voter, the coordinator and the row of final seals."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from buildnet.ledger.entry import Chain
from buildnet.ledger.events import Effect, ServeSeals
from buildnet.ledger.frontier import Head
from buildnet.ledger.holding import Holding
from buildnet.ledger.keeping import Keeping
from buildnet.ledger.membership import Membership
from buildnet.ledger.messages import (
    Heads,
    SealCosign,
    SealPrepare,
    SealPromise,
    SealPropose,
    SealRefuse,
    Seals,
    SealsAsk,
)
from buildnet.ledger.restored import Restored
from buildnet.ledger.sealing.abstaining import Abstention
from buildnet.ledger.sealing.finals import Finals
from buildnet.ledger.sealing.mending import Mending
from buildnet.ledger.sealing.place import Place
from buildnet.ledger.sealing.proposing import Proposing, Step
from buildnet.ledger.sealing.recording import Recording
from buildnet.ledger.sealing.values import Values
from buildnet.ledger.sealing.voting import Answer, Ballot, Voting
from buildnet.ledger.sync.core import Sync
from buildnet.mesh.events import Note, Send, SendAll
from buildnet.mesh.local import Local
from buildnet.mesh.messages.kinds import Message

_BOTH = 2


DOUBT_S = 5.0
"""So long a voter waits, once, to be shown that its disk went back; whoever has that shows it."""
WANT_S = 2.0
"""So often it is looked for entries that the next final seal lacks."""


class Sealing:
    """One node's part in sealing."""

    def __init__(
        self,
        local: Local,
        cluster: bytes,
        *,
        holding: Holding,
        membership: Membership,
        keeping: Keeping,
        place: Place,
        sync: Sync,
        restored: Restored,
    ) -> None:
        self._local = local
        self._membership = membership
        self._place = place
        self._sync = sync
        self._epoch = membership.epoch
        self._keeping = keeping
        self.abstention = Abstention(local, membership, place, active=restored.abstains)
        self._values = Values(local, cluster, holding, membership, place)
        self._voting = Voting(local, cluster, membership, place, self._values, keeping, restored)
        self._proposing = Proposing(local, cluster, place, self._values)
        self._finals = Finals(local, holding, membership, place, self._values, keeping)
        self._finals.accepted = lambda: self._voting.accepted
        sync.sealed_reach = self._finals.sealed_reach
        self._want_at = math.inf
        self._doubted_at: float | None = None
        self._mending = Mending(local, membership, place)
        self._recording = Recording(local, holding, membership)

    @property
    def may_change_voters(self) -> bool:
        """Tell whether the last seal names the member list's newest voters. Of two both must
        cosign, so neither goes while a value is proposed; nor gets another key, if it is alone."""
        newest = self._membership.voters.newest
        if self._membership.is_changing_voters:
            return False
        if len(newest.voters) <= _BOTH and self._proposing.is_busy:
            return False
        return (self._place.members or 0) == newest.version

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        if self._finals.rewinding:
            return self._finals.deadline
        return min(
            self._proposing.deadline,
            self._finals.deadline,
            self._recording.deadline,
            self._mending.deadline,
            self._want_at if self._finals.missing else math.inf,
        )

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        if self._finals.rewinding:
            return self._finals.tick(now)
        effects = [
            *self._finals.tick(now),
            *self._recording.tick(now),
            *self._mending.tick(now),
        ]
        if self._finals.missing and now >= self._want_at:
            # Who sent the seal may be gone, and what others claimed may be forgotten.
            self._want_at = now + WANT_S
            for peer in sorted(self._local.links):
                for chain, head in self._finals.missing:
                    effects += self._sync.want(chain, head, peer, now)
        return effects + self._do(self._proposing.tick(now), now)

    # --- what happens --------------------------------------------------------------------------

    def receive(self, sender: bytes, said: Message, now: float) -> list[Effect]:
        """Take a member's message."""
        if self._finals.rewinding:
            return []
        match said:
            case Heads():
                self.abstention.heard(sender, said.sealed)
                effects = [*self._rejoin(), *self._finals.compare(sender, said)]
                return effects + self._finals.fetch(now)
            case Seals(records):
                height = self._place.height
                effects = self._mending.take(records, now)
                effects += self._finals.take(sender, records, now)
                return effects + self._went_on(height, now)
            case SealsAsk(height):
                return [ServeSeals(sender, height)] if height <= self._place.height else []
            case _:
                return self._vote(sender, said, now)

    def link_up(self, peer: bytes, now: float) -> list[Effect]:
        """Repeat to a voter what it did not hear."""
        return self._do(self._proposing.link_up(peer), now)

    def link_down(self, peer: bytes, now: float) -> list[Effect]:
        """Ask others for seals that this peer was asked for."""
        self._finals.forget(peer)
        return self._finals.fetch(now)

    def office_changed(self, now: float) -> list[Effect]:
        """Begin a term, or stop at once."""
        self._recording.hurry()
        effects = [*self._rejoin(), *self._take_office(now)]
        return [*effects, *self._recording.tick(now), *self.look(now)]

    def members_changed(self, now: float) -> list[Effect]:
        """Take note of another member list; :class:`Membership` was refreshed."""
        effects: list[Effect] = []
        self._recording.hurry()
        self._finals.hurry()
        if self._membership.epoch > self._epoch:
            self._epoch = self._membership.epoch
            self._recording.restart()
            effects += self._finals.begin_epoch()
            effects += [*self._voting.begin_epoch(), *self._rejoin(begins=True)]
            effects += self._take_office(now)
        return [*effects, *self._rejoin(), *self._recording.tick(now), *self.news(now)]

    def damaged(self, heights: tuple[int, ...], now: float) -> list[Effect]:
        """Fetch final seals again."""
        return self._mending.damaged(heights, now)

    def doubt(self, now: float) -> list[Effect]:
        """A peer says that this node's disk went back: wait a moment for it to show that."""
        if self._doubted_at is None:
            self._doubted_at = now
        return []

    def abstain(self) -> list[Effect]:
        """Take no part as a voter until what this node said before can't matter."""
        if self.abstention.active:
            return []
        self.abstention.active = True
        return [self._keeping.keep(abstains=True), *self._rejoin()]

    def news(self, now: float) -> list[Effect]:
        """Entries came, or members: look again at everything that waits."""
        self._proposing.news(now)
        return self.look(now)

    def look(self, now: float) -> list[Effect]:
        """Look again at what waits: the next final seal, a value to vote for, one to propose."""
        if self._finals.rewinding:
            return []
        height = self._place.height
        effects = [*self._finals.advance(now), *self._went_on(height, now)]
        effects += self._cast(self._voting.waits_for or b"", self._voting.look(), now)
        return effects + self._do(self._proposing.step(now), now)

    def rewound(self, restored: Restored, now: float) -> list[Effect]:
        """The store set seals aside; the place and what is held were restored."""
        self._finals.rewound()
        self._proposing.rewound()
        self._voting.rewound()
        self._recording.restart()
        return [*self._finals.set_aside(), *self._take_office(now), *self.look(now)]

    def flush(self, now: float) -> list[Effect]:
        """Say what could be said once it was on disk."""
        ready, self._voting.ready = self._voting.ready, []
        return self._deliver(ready, now)

    # --- how -----------------------------------------------------------------------------------

    def _take_office(self, now: float) -> list[Effect]:
        """Begin a term, if this node won one and knows where the row of seals stands."""
        if self._finals.rewinding:
            return []
        step = self._proposing.take_office(self._voting.promised, self._epoch, now)
        return [*self._do(step, now), *self._do(self._proposing.step(now), now)]

    def _rejoin(self, *, begins: bool = False) -> list[Effect]:
        """Vote again once it is safe; ``begins``: an epoch does, which old promises don't bind."""
        if not self.abstention.active or not (begins or self.abstention.is_over):
            return []
        self.abstention.active = False
        office = self._local.office
        promise = None
        if office is not None and not begins:
            is_mine = office.coordinator == self._local.key  # a term of its own it may begin
            promise = self._voting.rejoin(office.counter - is_mine)
        note = Note("ledger: votes again", self._local.key)
        return [self._keeping.keep(abstains=False, promise=promise), note]

    def _vote(self, sender: bytes, said: Message, now: float) -> list[Effect]:
        doubted = self._doubted_at is not None and now < self._doubted_at + DOUBT_S
        abstains = self.abstention.active or doubted
        if abstains and isinstance(said, SealPrepare | SealPropose):
            self._finals.claims(sender, said.height - 1 if isinstance(said, SealPrepare) else 0)
            return self._finals.fetch(now)
        match said:
            case SealPrepare():
                return self._cast(sender, self._voting.prepare(sender, said), now)
            case SealPropose():
                return self._cast(sender, self._voting.propose(sender, said), now)
            case SealPromise(sealed=sealed):
                self._finals.claims(sender, sealed)
                return self._do(self._proposing.promised(sender, said, now), now)
            case SealCosign():
                return self._do(self._proposing.cosigned(sender, said, now), now)
            case SealRefuse(sealed=sealed, reason=reason):
                self._finals.claims(sender, sealed)
                effects: list[Effect] = [Note(f"ledger: voter says {reason}", sender)]
                return effects + self._finals.fetch(now)
            case _:
                return []

    def _cast(self, sender: bytes, ballot: Ballot, now: float) -> list[Effect]:
        effects = list(ballot.effects)
        for chain, head in ballot.missing:
            effects += self._sync.want(chain, head, sender, now)
        if ballot.sealed:
            self._finals.claims(sender, ballot.sealed)
            effects += self._finals.fetch(now)
        return effects + self._deliver(ballot.answers, now)

    def _do(self, step: Step, now: float) -> list[Effect]:
        effects = list(step.effects)
        for chain, head in step.missing:
            effects += self._sync.want(chain, head, step.source, now)
        effects += self._finals.fetch(now)
        effects += self._deliver(step.answers, now)
        if step.final is not None:
            height = self._place.height
            members = self._local.members
            linked = tuple(key for key in sorted(self._local.links) if members.is_member(key))
            if linked:
                effects.append(SendAll(linked, Seals((step.final,))))
            effects += self._finals.take(self._local.key, (step.final,), now)
            effects += self._went_on(height, now)
        return effects

    def _went_on(self, height: int, now: float) -> list[Effect]:
        """See to what the next final seal lacks, and to what follows from new ones."""
        effects: list[Effect] = []
        for chain, head in self._finals.missing:
            effects += self._want(chain, head, now)
        if self._finals.missing:
            self._want_at = now + WANT_S
        if self._place.height == height:
            return effects
        effects += self._rejoin()
        self._sync.settle()
        self._sync.telling.new_seal()
        effects += self._cast(self._voting.waits_for or b"", self._voting.look(), now)
        return effects + self._do(self._proposing.step(now), now)

    def _want(self, chain: Chain, head: Head, now: float) -> list[Effect]:
        return self._sync.want(chain, head, self._finals.source, now)

    def _deliver(self, answers: Iterable[Answer], now: float) -> list[Effect]:
        """Send answers; what this node says to itself it hears at once."""
        effects: list[Effect] = []
        waiting = deque(answers)
        while waiting:
            answer = waiting.popleft()
            if answer.to == self._local.key:
                effects += self._vote(answer.to, answer.message, now)
            else:
                effects.append(Send(answer.to, answer.message))
        return effects
