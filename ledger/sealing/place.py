"""Where the row of seals stands on one node."""

from __future__ import annotations

from buildnet.ledger.frontier import Head
from buildnet.ledger.merkle import CompactRange
from buildnet.ledger.restored import Restored
from buildnet.ledger.seal import Seal


class Place:
    """The last final seal and what the next one must continue."""

    def __init__(self, cluster: bytes, restored: Restored) -> None:
        self._cluster = cluster
        self.restore(restored)

    def restore(self, restored: Restored) -> None:
        """Begin anew with what the disk holds."""
        self.last = restored.last
        self.history: CompactRange = restored.history

    @property
    def height(self) -> int:
        """Of the last final seal; 0: there is none."""
        return 0 if self.last is None else self.last.height

    @property
    def previous(self) -> bytes:
        """What the next value names as the one before."""
        return self._cluster if self.last is None else self.last.hash

    @property
    def members(self) -> int | None:
        """The version of the member list that the last seal names."""
        return None if self.last is None else self.last.value.members

    @property
    def epoch(self) -> int:
        """Of the last seal."""
        return 0 if self.last is None else self.last.value.epoch

    @property
    def hlc(self) -> int:
        """Of the last seal."""
        return 0 if self.last is None else self.last.value.hlc

    @property
    def head(self) -> Head | None:
        """Height and hash of the last seal."""
        return None if self.last is None else Head(self.last.height, self.last.hash)

    def advance(self, seal: Seal) -> None:
        """Go on to the next final seal."""
        self.last = seal
        self.history = self.history.appended(seal.hash)
