"""The frontier of the last seal, kept so that the digest of the next one costs little."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

from buildnet.ledger.entry import Chain
from buildnet.ledger.frontier import Advance, Frontier, Head, digest_of_rows, row_of


class Reach:
    """How far each chain is sealed; :attr:`digest` is that of :class:`Frontier`."""

    def __init__(self, heads: Mapping[Chain, Head]) -> None:
        self._heads = dict(heads)
        self._rows = sorted(row_of(chain, head) for chain, head in self._heads.items())

    def __len__(self) -> int:
        return len(self._heads)

    def head(self, chain: Chain) -> Head | None:
        """Return how far a chain is sealed; None: nothing of it is."""
        return self._heads.get(chain)

    def sequence(self, chain: Chain) -> int:
        """Return how far a chain is sealed; 0: nothing of it is."""
        head = self._heads.get(chain)
        return 0 if head is None else head.sequence

    def frontier(self) -> Frontier:
        """Return it as a value."""
        return Frontier(self._heads)

    def digest_after(self, advances: Iterable[Advance]) -> bytes:
        """Return the digest of the frontier after ``advances``."""
        rows = list(self._rows)
        self._put(rows, advances)
        return digest_of_rows(rows)

    def advance(self, advances: Iterable[Advance]) -> None:
        """Go on to the frontier after ``advances``."""
        advanced = tuple(advances)
        self._put(self._rows, advanced)
        self._heads.update((one.chain, one.head) for one in advanced)

    def _put(self, rows: list[bytes], advances: Iterable[Advance]) -> None:
        for one in advances:
            row = row_of(one.chain, one.head)
            old = self._heads.get(one.chain)
            if old is not None:
                rows[bisect_left(rows, row_of(one.chain, old))] = row
            else:
                rows.insert(bisect_left(rows, row), row)
