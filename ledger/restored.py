"""What the ledger's core writes beside entries and seals, and what it finds when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.frontier import Head
from buildnet.ledger.merkle import CompactRange
from buildnet.ledger.seal import Seal


@dataclass(frozen=True, slots=True)
class Promise:
    """A voter accepts nothing of a lower term."""

    term: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A voter accepted ``value`` (encoded) in ``term``; it replaces what was accepted before."""

    term: int
    height: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Two entries of one chain and sequence: from ``sequence`` on the chain counts no more."""

    chain: Chain
    sequence: int
    one: bytes
    other: bytes


@dataclass(frozen=True, slots=True)
class Restored:
    """What a node's disk holds, as far as the core keeps it in memory. ``Restored()``: nothing."""

    heads: Mapping[Chain, tuple[Head, int]] = field(default_factory=dict)
    """Of each chain the newest entry and its hybrid clock."""
    sealed: Mapping[Chain, Head] = field(default_factory=dict)
    """The frontier of the last final seal."""
    unsealed: Mapping[Chain, tuple[tuple[bytes, int], ...]] = field(default_factory=dict)
    """Of each chain (hash, hybrid clock) of all entries after the sealed ones, ascending."""
    unsure: frozenset[Chain] = frozenset()
    """Chains whose newest entry on the disk is damaged: there may have been later ones."""
    stubs: Mapping[Chain, frozenset[int]] = field(default_factory=dict)
    """Of each chain those of ``unsealed`` of which only hash and clock are here."""
    sealed_notices: tuple[Entry, ...] = ()
    """All sealed entries of types ``member.*`` and ``chain.retired``, in sealed order."""
    unsealed_notices: tuple[Entry, ...] = ()
    """Those that are not sealed, in any order."""
    last: Seal | None = None
    """The last final seal."""
    history: CompactRange = field(default_factory=CompactRange)
    """Over the value hashes of all final seals, the last one included."""
    promise: int = 0
    accepted: Accepted | None = None
    quarantines: tuple[Quarantine, ...] = ()
    abstains: bool = False
    """The disk may be older than what this voter said; see ``sealing/abstaining.py``."""
