"""Another branch of a chain counts: it is fetched whole, then takes the place of the one held."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from buildnet.ledger.chain import Tip, objection
from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Effect
from buildnet.ledger.frontier import Head
from buildnet.ledger.holding import Holding
from buildnet.ledger.messages import EntriesAsk
from buildnet.mesh.events import Send
from buildnet.mesh.local import Local

RETRY_S = 2.0
MAX_BYTES = 32 << 20
"""Of one branch; who needs more has waited for very many seals."""


@dataclass(slots=True)
class _Branch:
    target: Head
    peer: bytes
    begin: Tip
    entries: list[Entry] = field(default_factory=list)
    size: int = 0
    ask_at: float = 0.0

    @property
    def tip(self) -> Tip:
        return Tip.of(self.entries[-1]) if self.entries else self.begin


class Replacing:
    """The branches that one node fetches."""

    def __init__(self, local: Local, cluster: bytes, holding: Holding) -> None:
        self._local = local
        self._cluster = cluster
        self._holding = holding
        self._branches: dict[Chain, _Branch] = {}

    def __contains__(self, chain: Chain) -> bool:
        return chain in self._branches

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return min((branch.ask_at for branch in self._branches.values()), default=math.inf)

    def begin(self, chain: Chain, target: Head, peer: bytes, now: float) -> list[Effect]:
        """Fetch the branch that ends in ``target``, of a peer that has it."""
        branch = self._branches.get(chain)
        if branch is not None and branch.target == target:
            return []
        sealed = self._holding.reach.head(chain) or Head(0, bytes(32))
        begin = Tip(sealed.sequence, sealed.hash, 0)
        self._branches[chain] = _Branch(target, peer, begin)
        return self._ask(chain, now)

    def take(self, entries: tuple[Entry, ...], now: float) -> tuple[list[Chain], list[Effect]]:
        """Take what belongs to a branch; return the chains whose branch is complete."""
        if not self._branches:
            return [], []
        complete: list[Chain] = []
        touched: dict[Chain, None] = {}
        for entry in entries:
            branch = self._branches.get(entry.chain)
            if branch is None or branch.tip.sequence >= branch.target.sequence:
                continue
            if objection(self._cluster, entry.chain, branch.tip, entry) is not None:
                continue
            branch.entries.append(entry)
            branch.size += len(entry.signed)
            touched[entry.chain] = None
        effects: list[Effect] = []
        for chain in touched:
            branch = self._branches[chain]
            if branch.tip.head == branch.target:
                complete.append(chain)
            elif branch.tip.sequence >= branch.target.sequence or branch.size > MAX_BYTES:
                branch.entries, branch.size = [], 0  # the wrong branch: another peer has the right
            else:
                effects += self._ask(chain, now)
        return complete, effects

    def finish(self, chain: Chain) -> tuple[list[Entry], tuple[tuple[Chain, int], ...]]:
        """Hold the branch that is complete; return the entries that are new, and the places whose
        present entries are set aside."""
        branch = self._branches.pop(chain)
        held = self._holding.chains[chain]
        new = [one for one in branch.entries if held.hash(one.body.sequence) != one.hash]
        if not new:
            return [], ()
        first = new[0].body.sequence
        replaced = tuple((chain, at) for at in range(first, held.tip.sequence + 1))
        self._holding.cut(chain, first - 1)
        for entry in new:
            self._holding.append(entry)
        return new, replaced

    def settle(self) -> None:
        """Forget branches of chains that were sealed on since: they are here by now, or decided
        without, or begin somewhere else. Who still wants one begins it anew."""
        for chain, branch in list(self._branches.items()):
            if self._holding.reach.sequence(chain) > branch.begin.sequence:
                del self._branches[chain]

    def tick(self, now: float) -> list[Effect]:
        """Ask again, maybe somebody else."""
        effects: list[Effect] = []
        for chain, branch in list(self._branches.items()):
            if branch.ask_at <= now:
                linked = sorted(self._local.links)
                if linked:
                    branch.peer = self._local.random.choice(linked)
                effects += self._ask(chain, now)
        return effects

    def _ask(self, chain: Chain, now: float) -> list[Effect]:
        branch = self._branches[chain]
        branch.ask_at = now + RETRY_S
        ask = EntriesAsk(
            chain.origin, chain.incarnation, branch.tip.sequence + 1, branch.target.sequence
        )
        return [Send(branch.peer, ask)]
