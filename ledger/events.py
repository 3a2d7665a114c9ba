"""The border between the ledger's cores and its shell; see :mod:`buildnet.mesh.events`.

Of the mesh's events the cores take ``LinkUp``, ``LinkDown``, ``OfficeChanged``, ``MembersChanged``
and ``Received`` (with the messages of this room, :class:`~.messages.Entries` excepted); of its
effects they give ``Send``, ``SendAll`` and ``Note``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.restored import Accepted, Promise, Quarantine, Restored
from buildnet.ledger.seal import Seal
from buildnet.ledger.voters import VoterHistory
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
from buildnet.mesh.members.entry import Entry as MemberEntry

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


@dataclass(frozen=True, slots=True)
class DamagedSeals:
    """The store found final seals that are not what they were: fetch them again."""

    heights: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """The store's answer to :class:`Compare`: what it holds there is another entry."""

    held: Entry
    other: Entry


@dataclass(frozen=True, slots=True)
class MaybeSetBack:
    """A peer says that it holds later entries of this node than its disk, and did not show them
    yet: :class:`SetBack` follows if it does."""


@dataclass(frozen=True, slots=True)
class SetBack:
    """A peer showed later entries of this node than its disk holds: the disk went back to an older
    state, and what this node said as a voter since may be lost."""


@dataclass(frozen=True, slots=True)
class Rewound:
    """The store's answer to :class:`Rewind`: what a node would have found then if it started."""

    state: Restored


# --- effects -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stub:
    """What is left of an entry that was pruned; a final seal's root is over its hash."""

    chain: Chain
    sequence: int
    hash: bytes
    hlc: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Write all of this in one transaction; :class:`Kept` with ``token`` once it is fsynced.

    Earlier ones are on disk before later ones. ``seals`` come with ``sealed``: the entries under
    each in canonical order, as (chain, sequence); ``replaced`` are places whose present entries,
    not sealed ones, are set aside before ``entries`` are written: another branch of the chain
    counts.
    """

    token: int
    entries: tuple[Entry, ...] = ()
    seals: tuple[Seal, ...] = ()
    sealed: tuple[tuple[tuple[Chain, int], ...], ...] = ()
    promise: Promise | None = None
    accepted: Accepted | None = None
    quarantines: tuple[Quarantine, ...] = ()
    replaced: tuple[tuple[Chain, int], ...] = field(default=())
    stubs: tuple[Stub, ...] = ()
    """Of entries that peers have pruned."""
    abstains: bool | None = None
    """Whether this voter abstains from now on; None: as before."""


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


@dataclass(frozen=True, slots=True)
class Compare:
    """Load what the store holds at ``other``'s place; if it is another entry:
    :class:`Contradiction`."""

    other: Entry


@dataclass(frozen=True, slots=True)
class Repair:
    """Entries of damaged places came, their signatures are right, or final seals of damaged
    heights, of the right voters: put each back whose hash is the one that belongs there; the others
    are none of this node's concern."""

    entries: tuple[Entry, ...] = ()
    seals: tuple[Seal, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewind:
    """A recovery began a new epoch: set the final seals from ``height`` on aside, and those below
    whose voters are none of ``voters``, then answer with :class:`Rewound`."""

    height: int
    voters: VoterHistory


@dataclass(frozen=True, slots=True)
class RecordMember:
    """Append this final entry of the member list to this node's chain, as ``member.*``, unless it
    did already: the request is the entry's hash. ``epoch``: number of recoveries up to it."""

    entry: MemberEntry
    epoch: int = 0


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
    | DamagedSeals
    | Contradiction
    | MaybeSetBack
    | SetBack
    | Rewound
)
Effect = (
    Send
    | SendAll
    | Note
    | Keep
    | ServeEntries
    | ServeSeals
    | SealedTo
    | Compare
    | Repair
    | Rewind
    | RecordMember
)
