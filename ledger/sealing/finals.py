"""Final seals, as every node takes them: checked, kept in order, fetched where missing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from buildnet.ledger.entry import Chain
from buildnet.ledger.events import Effect, Rewind, SealedTo
from buildnet.ledger.frontier import Head
from buildnet.ledger.holding import Holding
from buildnet.ledger.keeping import Keeping
from buildnet.ledger.membership import Membership
from buildnet.ledger.messages import Heads, SealsAsk
from buildnet.ledger.restored import Accepted
from buildnet.ledger.seal import Seal, SealRecord, SealValue
from buildnet.ledger.sealing.place import Place
from buildnet.ledger.sealing.values import Values
from buildnet.mesh.events import Note, Send
from buildnet.mesh.local import Local
from buildnet.mesh.wire import WireError

MAX_PENDING = 256
"""Final seals that wait for those below, or for their entries."""
ASK_S = 1.0
"""An answer takes no longer, or another peer is asked."""

Places = tuple[tuple[Chain, int], ...]


class Finals:
    """The row of final seals of one node."""

    def __init__(
        self,
        local: Local,
        holding: Holding,
        membership: Membership,
        place: Place,
        values: Values,
        keeping: Keeping,
    ) -> None:
        self._local = local
        self._holding = holding
        self._membership = membership
        self._place = place
        self._values = values
        self._keeping = keeping
        self._pending: dict[int, tuple[Seal, bytes]] = {}
        self._claims: dict[bytes, int] = {}
        self._asked: tuple[bytes, float] | None = None
        self._step_back = 1
        self._rewinding = False
        self.accepted: Callable[[], Accepted | None] = lambda: None
        """What this node accepted last as a voter."""
        self.missing: tuple[tuple[Chain, Head], ...] = ()
        """Entries that the next final seal needs, and"""
        self.source = b""
        """who sent it."""

    @property
    def rewinding(self) -> bool:
        """Tell whether the store sets seals aside, or has to; until it did, nothing is sealed."""
        return self._rewinding or self._is_disowned()

    # --- what peers have -----------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        if self.rewinding:
            return math.inf if self._rewinding else -math.inf
        return math.inf if self._asked is None else self._asked[1]

    def tick(self, now: float) -> list[Effect]:
        """Ask somebody else for what did not come."""
        if self.rewinding:
            return self.set_aside()  # the process ended before it was
        if self._asked is None or now < self._asked[1]:
            return []
        self._claims.pop(self._asked[0], None)
        self._asked = None
        return self.fetch(now)

    def claims(self, peer: bytes, height: int) -> None:
        """Take note that a peer has final seals up to a height."""
        if height > self._place.height and peer in self._local.links:
            self._claims[peer] = max(height, self._claims.get(peer, 0))

    def forget(self, peer: bytes) -> None:
        """The link to a peer ended."""
        self._claims.pop(peer, None)
        if self._asked is not None and self._asked[0] == peer:
            self._asked = None

    def compare(self, sender: bytes, said: Heads) -> list[Effect]:
        """Take note of a peer's last seal. After a recovery it may be of another row."""
        self.claims(sender, said.sealed)
        place = self._place
        if place.last is None or place.epoch >= self._membership.epoch:
            return []
        if said.sealed and said.sealed <= place.height and said.seal_hash != place.last.hash:
            return [Send(sender, SealsAsk(said.sealed))]
        return []

    def fetch(self, now: float) -> list[Effect]:
        """Ask for the seals after those that are here, one peer at a time."""
        height = self._place.height
        self._claims = {peer: top for peer, top in self._claims.items() if top > height}
        following = height + 1
        while following in self._pending:
            following += 1
        able = sorted(peer for peer, top in self._claims.items() if top >= following)
        if self._asked is not None or not able or following - height > MAX_PENDING // 2:
            return []
        peer = self._local.random.choice(able)
        self._asked = (peer, now + ASK_S)
        return [Send(peer, SealsAsk(following))]

    # --- seals ---------------------------------------------------------------------------------

    def take(self, sender: bytes, records: Iterable[SealRecord], now: float) -> list[Effect]:
        """Take final seals of a peer, or this node's own."""
        if self._asked is not None and self._asked[0] == sender:
            self._asked = None
        effects: list[Effect] = []
        for record in records:
            if self.rewinding:
                break
            try:
                seal = Seal.read(record)
            except WireError:
                effects.append(Note("ledger: no seal", sender))
                break
            wrong = self._take(sender, seal, effects)
            if wrong is not None:
                effects.append(Note(f"ledger: {wrong}", sender))
                self._pause(sender, now)
                break
        return [*effects, *self.advance(now)]

    def advance(self, now: float) -> list[Effect]:
        """Go on to the next final seals that are here with all their entries."""
        effects: list[Effect] = []
        done: list[Seal] = []
        orders: list[Places] = []
        self.missing = ()
        while not self.rewinding and (found := self._pending.get(self._place.height + 1)):
            seal, sender = found
            verdict = self._values.check(seal.value, seal.hash)
            stubs = {} if verdict.is_right else self._holding.stubs_under(seal.value.advances)
            if stubs and (verdict.problem is not None or self._contradicts(stubs, verdict.missing)):
                effects += [
                    Note("ledger: pruned entries that no seal is over", sender),
                    self._forget(stubs),
                ]
                self.missing = tuple((one.chain, one.head) for one in seal.value.advances)
                self.source = sender
                break
            if verdict.problem is not None:
                del self._pending[seal.height]
                effects.append(Note(f"ledger: seal with {verdict.problem}", sender))
                effects += self._other_row(seal, sender, verdict.problem)
                self._pause(sender, now)
                break
            if verdict.waits is not None and seal.value.epoch < self._membership.epoch:
                self._drop_before(self._membership.epoch)  # it names members that never were
                self._pause(sender, now)
                break
            if not verdict.is_right:
                self.missing, self.source = verdict.missing, sender
                break
            del self._pending[seal.height]
            orders.append(tuple([row[1:3] for row in verdict.order]))
            self._holding.seal(seal.value.advances, list(verdict.order))
            self._place.advance(seal)
            self._step_back = 1
            done.append(seal)
        if done:
            for height in [one for one in self._pending if one <= self._place.height]:
                del self._pending[height]
            keep = self._keeping.keep(
                lambda now: [SealedTo(seal) for seal in done],
                seals=tuple(done),
                sealed=tuple(orders),
            )
            effects.append(keep)
        return [*effects, *self.fetch(now)]

    def begin_epoch(self) -> list[Effect]:
        """A recovery began: what waits may be superseded, and is asked for anew."""
        if not self._rewinding:
            self._drop_before(self._membership.epoch)
            self._asked = None
        return self.set_aside()

    def set_aside(self) -> list[Effect]:
        """Set aside what voters sealed of whom the recovery knows nothing: nobody else, who did not
        hear of that version of the member list, could check these seals, or go on after them."""
        place = self._place
        if self._rewinding or not self._is_disowned():
            return []
        self._rewinding = True
        self._pending.clear()
        what = f"up to {place.height}, of members that the recovery went on without"
        return [
            Note("ledger: seals superseded", self._local.key, what),
            Rewind(place.height, self._membership.voters),
        ]

    def hurry(self) -> None:
        """The member list went on: what could not be believed before is asked for at once."""
        self._asked = None

    def sealed_reach(self, chain: Chain) -> int:
        """Return the last sequence of a chain that final seals name which wait here."""
        return max(
            (
                one.sequence
                for seal, _ in self._pending.values()
                for one in seal.value.advances
                if one.chain == chain
            ),
            default=0,
        )

    def _contradicts(
        self, stubs: dict[Chain, int], missing: tuple[tuple[Chain, Head], ...]
    ) -> bool:
        """Tell whether a chain with stubs ends in another entry than the one that was sealed."""
        return any(
            chain in stubs and self._holding.has(chain, head) is False for chain, head in missing
        )

    def _forget(self, stubs: dict[Chain, int]) -> Effect:
        """Forget what came of chains from their first stub on: it is not what was sealed."""
        places: list[tuple[Chain, int]] = []
        for chain, first in stubs.items():
            places += ((chain, at) for at in range(first, self._holding.sequence(chain) + 1))
            self._holding.cut(chain, first - 1)
        return self._keeping.keep(replaced=tuple(places))

    def rewound(self) -> None:
        """The store set seals aside; the place is the one before."""
        self._rewinding = False

    def _take(self, sender: bytes, seal: Seal, effects: list[Effect]) -> str | None:
        """Put a seal with those that wait; tell what is wrong with it."""
        place = self._place
        newer_epoch = place.last is not None and seal.value.epoch > place.epoch
        if seal.height <= place.height and not newer_epoch:
            return None
        known = self._pending.get(seal.height)
        if seal.height > place.height + MAX_PENDING or (
            known is not None and known[0].hash == seal.hash
        ):
            return None
        if known is not None and known[0].value.epoch > seal.value.epoch:
            return None
        value = seal.value
        if value.members > self._membership.version:
            self.claims(sender, seal.height)
            return "seal of members not known yet"  # anybody could make that up
        if not self._membership.voters.names(value.members, value.epoch, value.voters):
            return "seal of others than the voters"
        if not seal.is_final(self._local.signatures.verify):
            return "seal without a majority"
        if self._is_passed_over(seal):
            return "seal of an epoch that is over"
        if seal.height <= place.height:
            self._rewinding = True
            self._pending = {seal.height: (seal, sender)}
            effects += [
                Note("ledger: seals superseded", sender, f"from {seal.height}"),
                Rewind(seal.height, self._membership.voters),
            ]
            return None
        self._pending[seal.height] = (seal, sender)
        return None

    def _is_passed_over(self, seal: Seal) -> bool:
        """Tell whether this voter accepted a value of a newer epoch in the place of an older one's
        seal, or of those below: it may be final, so nothing else may be sealed after older ones
        with its vote, until a seal of the newer epoch shows what was."""
        accepted = self.accepted()
        if accepted is None or seal.height < accepted.height:
            return False
        epoch = SealValue.decode(accepted.value).epoch
        shown = any(one.value.epoch >= epoch for one, _ in self._pending.values())
        return seal.value.epoch < epoch and not shown

    def _is_disowned(self) -> bool:
        """Tell whether the last seal names a version of the member list that a recovery dropped."""
        last, membership = self._place.last, self._membership
        if last is None or last.value.epoch >= membership.epoch:
            return False
        value = last.value
        return not membership.voters.names(value.members, value.epoch, value.voters)

    def _drop_before(self, epoch: int) -> None:
        self._pending = {
            height: found
            for height, found in self._pending.items()
            if found[0].value.epoch >= epoch
        }

    def _pause(self, sender: bytes, now: float) -> None:
        """What a peer sent is of no use: ask nobody at once, and then another one."""
        if self._asked is None:
            self._asked = (sender, now + ASK_S)

    def _other_row(self, seal: Seal, sender: bytes, problem: str) -> list[Effect]:
        """A recovery's seal does not continue this node's row: find where it left that."""
        if problem != "another history" or seal.value.epoch <= self._place.epoch:
            return []
        height = max(1, self._place.height + 1 - self._step_back)
        self._step_back *= 2
        return [Send(sender, SealsAsk(height))]
