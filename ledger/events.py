"""The border between the ledger's cores and its shell; see :mod:`buildnet.mesh.events`.

Of the mesh's events the cores take ``LinkUp``, ``LinkDown``, ``OfficeChanged``, ``MembersChanged``
and ``Received`` (with the messages of this room, :class:`~.messages.Entries` excepted); of its
effects they give ``Send``, ``SendAll`` and ``Note``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.seal import Seal
from buildnet.mesh.events import (
    LinkDown,
    LinkUp,
    MembersChanged,
    Note,
    OfficeChanged,
    Received,
    Send,
    SendAll,
)

# --- events ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EntriesArrived:
    """Entries from a peer, decoded; their signatures are right, nothing else is checked."""

    sender: bytes
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class EntriesAppended:
    """This node's own new entries, in order; they are on disk."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a :class:`Keep` asked for is on disk."""

    token: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """The store found entries of a chain that are not what they were: fetch them again."""

    chain: Chain
    first: int
    last: int


# --- effects -----------------------------------------------------------------------------------


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
class Keep:
    """Write all of this in one transaction; :class:`Kept` with ``token`` once it is fsynced.

    Earlier ones are on disk before later ones. ``seals`` come with ``sealed``: the entries under
    each in canonical order, as (chain, sequence); ``replaced`` are entries that a sealed one of the
    same place takes the place of.
    """

    token: int
    entries: tuple[Entry, ...] = ()
    seals: tuple[Seal, ...] = ()
    sealed: tuple[tuple[tuple[Chain, int], ...], ...] = ()
    promise: Promise | None = None
    accepted: Accepted | None = None
    quarantines: tuple[Quarantine, ...] = ()
    replaced: tuple[tuple[Chain, int], ...] = field(default=())
    superseded_from: int | None = None
    """A recovery began a new epoch: final seals from this height on are set aside first."""


@dataclass(frozen=True, slots=True)
class ServeEntries:
    """Send a peer these entries from the store, as many as go into one message."""

    to: bytes
    chain: Chain
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ServeSeals:
    """Send a peer final seals from the store, as many as go into one message."""

    to: bytes
    height: int


@dataclass(frozen=True, slots=True)
class SealedTo:
    """A seal is final and on this node's disk: everything under it is sealed."""

    seal: Seal


Event = (
    LinkUp
    | LinkDown
    | OfficeChanged
    | MembersChanged
    | Received
    | EntriesArrived
    | EntriesAppended
    | Kept
    | Damaged
)
Effect = Send | SendAll | Note | Keep | ServeEntries | ServeSeals | SealedTo
