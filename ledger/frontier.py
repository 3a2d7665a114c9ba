"""How far each chain reaches: what a seal covers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from blake3 import blake3

from buildnet.ledger.entry import Chain, Incarnation
from buildnet.mesh.wire import Hash, Key, Limit, Wire


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a chain."""

    sequence: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Advance(Wire):
    """One chain reaches this far."""

    origin: Key
    incarnation: Incarnation
    sequence: Annotated[int, Limit(1, 2**63 - 1)]
    hash: Hash

    @property
    def chain(self) -> Chain:
        """Which chain."""
        return Chain(self.origin, self.incarnation)

    @property
    def head(self) -> Head:
        """How far."""
        return Head(self.sequence, self.hash)


class Frontier(Mapping[Chain, Head]):
    """The heads of all chains that have one. A value: :meth:`advanced` returns the next one."""

    def __init__(self, heads: Mapping[Chain, Head] | None = None) -> None:
        self._heads = dict(heads or {})

    def __getitem__(self, chain: Chain) -> Head:
        return self._heads[chain]

    def __iter__(self) -> Iterator[Chain]:
        return iter(self._heads)

    def __len__(self) -> int:
        return len(self._heads)

    def sequence(self, chain: Chain) -> int:
        """Return how far a chain reaches; 0: it is not there."""
        head = self._heads.get(chain)
        return 0 if head is None else head.sequence

    def advanced(self, advances: Iterable[Advance]) -> Frontier:
        """Return the frontier after ``advances``.

        Raises:
            ValueError: one of them does not go further than before.
        """
        heads = dict(self._heads)
        for advance in advances:
            old = heads.get(advance.chain)
            if old is not None and advance.sequence <= old.sequence:
                raise ValueError("a chain does not advance")
            heads[advance.chain] = advance.head
        return Frontier(heads)

    def digest(self) -> bytes:
        """Return BLAKE3 of the frontier's only form: all chains, sorted, 80 bytes each."""
        return digest_of_rows(sorted(row_of(chain, head) for chain, head in self._heads.items()))


def row_of(chain: Chain, head: Head) -> bytes:
    """Return the 80 bytes that stand for a chain in a frontier; rows sort as their chains do."""
    return chain.origin + chain.incarnation + head.sequence.to_bytes(8, "big") + head.hash


def digest_of_rows(rows: list[bytes]) -> bytes:
    """Return the digest of a frontier by its sorted rows."""
    return blake3(b"buildnet ledger frontier 1\0" + b"".join(rows)).digest()
