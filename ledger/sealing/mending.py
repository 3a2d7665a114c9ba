"""Final seals that this node's disk lost: fetched from peers, checked, handed to the store."""

from __future__ import annotations

import math
from collections.abc import Iterable

from buildnet.ledger.events import Effect, Repair
from buildnet.ledger.membership import Membership
from buildnet.ledger.messages import SealsAsk
from buildnet.ledger.seal import Seal, SealRecord
from buildnet.ledger.sealing.place import Place
from buildnet.mesh.events import Send
from buildnet.mesh.local import Local
from buildnet.mesh.wire import WireError

AGAIN_S = 5.0
"""So often a peer is asked for the first of them, until it came."""
MAX_DAMAGED = 1024
"""Of so many is taken note; a check of the store tells of the others later."""


class Mending:
    """The damaged seals of one node. Which seal belongs there the store knows: by the hash in its
    row, or by the one above."""

    def __init__(self, local: Local, membership: Membership, place: Place) -> None:
        self._local = local
        self._membership = membership
        self._place = place
        self._heights: set[int] = set()
        self._ask_at = math.inf

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return self._ask_at

    def tick(self, now: float) -> list[Effect]:
        """Ask again, maybe somebody else."""
        return self._ask(now) if now >= self._ask_at else []

    def damaged(self, heights: Iterable[int], now: float) -> list[Effect]:
        """Fetch seals again."""
        within = (height for height in heights if 1 <= height <= self._place.height)
        self._heights = set(sorted({*self._heights, *within})[:MAX_DAMAGED])
        return self._ask(now)

    def take(self, records: Iterable[SealRecord], now: float) -> list[Effect]:
        """Take what a peer sent, if anything of it is missing here."""
        if not self._heights:
            return []
        found: list[Seal] = []
        for record in records:
            try:
                seal = Seal.read(record)
            except WireError:
                break
            if seal.height in self._heights and self._is_final(seal):
                found.append(seal)
        if not found:
            return []
        self._heights -= {seal.height for seal in found}
        return [Repair(seals=tuple(found)), *self._ask(now)]

    def _is_final(self, seal: Seal) -> bool:
        value = seal.value
        voters = self._membership.voters
        return voters.names(value.members, value.epoch, value.voters) and seal.is_final(
            self._local.signatures.verify
        )

    def _ask(self, now: float) -> list[Effect]:
        self._ask_at = now + AGAIN_S if self._heights else math.inf
        local = self._local
        linked = [peer for peer in sorted(local.links) if local.members.is_member(peer)]
        if not self._heights or not linked:
            return []
        return [Send(local.random.choice(linked), SealsAsk(min(self._heights)))]
