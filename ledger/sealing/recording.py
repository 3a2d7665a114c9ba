"""The member list on the ledger: the coordinator records each final version as an entry."""

from __future__ import annotations

import math

from buildnet.ledger.events import Effect, RecordMember
from buildnet.ledger.holding import Holding
from buildnet.ledger.membership import Membership
from buildnet.mesh.local import Local

AGAIN_S = 5.0
"""An entry that was asked for is on the ledger by then, or is asked for again."""
MAX_AT_ONCE = 64


class Recording:
    """What one coordinator has recorded. That two record the same version does no harm."""

    def __init__(self, local: Local, holding: Holding, membership: Membership) -> None:
        self._local = local
        self._holding = holding
        self._membership = membership
        self._done = 0
        """Versions up to this one are recorded."""
        self._again_at = 0.0

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        if not self._coordinates() or self._done >= self._membership.version:
            return math.inf
        return self._again_at

    def restart(self) -> None:
        """The member list or the ledger went back: look at all versions again."""
        self._done = 0
        self._again_at = 0.0

    def hurry(self) -> None:
        """There may be something to record."""
        self._again_at = 0.0

    def tick(self, now: float) -> list[Effect]:
        """Ask for the entries that are missing."""
        if not self._coordinates() or now < self._again_at:
            return []
        recorded = self._holding.recorded
        while (version := self._membership.at(self._done + 1)) and version.hash in recorded:
            self._done += 1
        if self._done >= self._membership.version:
            return []
        self._again_at = now + AGAIN_S
        entries = self._membership.entries_after(self._done)
        missing = [entry for entry in entries if entry.hash not in recorded][:MAX_AT_ONCE]
        voters = self._membership.voters
        return [RecordMember(entry, voters.epoch_at(entry.version)) for entry in missing]

    def _coordinates(self) -> bool:
        office = self._local.office
        return office is not None and office.quorum and office.coordinator == self._local.key
