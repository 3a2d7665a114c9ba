"""The border between deciding and doing: what a core is told, and what it wants done.

A core is a state machine: ``handle(event, now) -> effects``, ``tick(now) -> effects`` once
``deadline`` has come. Times are seconds of a monotonic clock that is passed in. The daemon's shell
and the simulator drive the same cores.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.wire import Counter, Key, Wire


class Status(IntEnum):
    """What membership believes of a node; a greater one wins within one incarnation."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


@dataclass(frozen=True, slots=True)
class Office:
    """Who coordinates, as this node knows it.

    ``counter`` is the term's number. ``granted``: a majority of the voters promised this term to
    this coordinator. ``quorum``: granted, and the coordinator heard from a majority lately. A term
    that was not granted, or lacks its majority now, is provisional.
    """

    coordinator: bytes
    counter: int
    granted: bool
    quorum: bool
    reached: tuple[bytes, ...] = ()
    """Members that the coordinator reaches, itself included."""
    since: float = 0.0
    """When this node took note of it (its monotonic clock)."""


# --- events ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link to a member stands. A second one for the same peer replaces the first."""

    peer: bytes
    outgoing: bool
    address: str | None = None
    """What was dialled; None where the peer dialled, or through a relay."""
    relayed_by: bytes | None = None


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The link to a member ended."""

    peer: bytes
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A :class:`Dial` or :class:`Relay` came to nothing.

    ``refused``: somebody answered that nobody listens there, which for a member that was linked a
    moment ago means that its process is gone. ``linked_with``: the member that answered there, to
    which a link stands already.
    """

    peer: bytes | None
    address: str | None
    reason: str
    refused: bool = False
    linked_with: bytes | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A member's message arrived; its envelope was verified, ``sender`` signed it."""

    sender: bytes
    message: Message
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Persisted:
    """What a :class:`Persist` asked for is on disk."""

    token: int


@dataclass(frozen=True, slots=True)
class Stalled:
    """The event loop was blocked for ``seconds`` and goes on now: other clocks went on."""

    seconds: float


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """Membership believes something else of a node."""

    peer: bytes
    status: Status


@dataclass(frozen=True, slots=True)
class OfficeChanged:
    """Another coordinator or term, or quorum won or lost; None: nobody is known to coordinate."""

    office: Office | None


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """The shared member list is another one (``Local.members``)."""


@dataclass(frozen=True, slots=True)
class RecordChanged:
    """A newer record of an owner is known."""

    owner: bytes
    topic: str


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A round trip to a linked peer was measured."""

    peer: bytes
    seconds: float


# --- effects -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Say ``message`` to ``to`` over the link that stands; without one it is dropped."""

    to: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class SendAll:
    """Say the same ``message`` to each of ``to``: it is signed once, addressed to all."""

    to: tuple[bytes, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a link to ``address`` (URL); ``peer`` is who must answer, None: whoever is a member."""

    address: str
    peer: bytes | None


@dataclass(frozen=True, slots=True)
class Relay:
    """Open a link to ``peer`` through ``through``, to which a link stands."""

    peer: bytes
    through: bytes


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the link to a peer."""

    peer: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Fact(Wire):
    """Base of what is kept on disk. The shell keeps the newest of each :meth:`name`."""

    def name(self) -> str:
        """Return the fact's key; a newer fact of the same name replaces the older one."""
        return type(self).__name__


@dataclass(frozen=True, slots=True)
class Persist:
    """Keep ``facts``, all or none; :class:`Persisted` with ``token`` once they are fsynced. Nobody
    waits for that of token 0.

    Earlier ones are on disk before later ones. ``forget`` names facts to delete in the same step.
    """

    token: int
    facts: tuple[Fact, ...]
    forget: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Raise:
    """Tell the other cores of this node, and whoever watches it, about ``event``."""

    event: StatusChanged | OfficeChanged | MembersChanged | RecordChanged | RoundTrip


@dataclass(frozen=True, slots=True)
class Note:
    """Something to count and to show in ``pool health``: ``reason`` is a stable, short word pair
    such as ``"term too old"``; ``peer`` who caused it."""

    reason: str
    peer: bytes | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ChangeDone:
    """A proposed change of the member list is final in ``version``, or came to nothing.

    ``error``: why it did not happen; None: it did.
    """

    change_id: bytes
    version: int
    error: BuildNetError | None = None


Event = (
    LinkUp
    | LinkDown
    | DialFailed
    | Received
    | Persisted
    | Stalled
    | StatusChanged
    | OfficeChanged
    | MembersChanged
    | RecordChanged
    | RoundTrip
)
Effect = Send | SendAll | Dial | Relay | Disconnect | Persist | Raise | Note | ChangeDone


class Core(Protocol):
    """A state machine of the mesh."""

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due (monotonic seconds); ``math.inf`` if never."""

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event; events of no concern change nothing."""

    def tick(self, now: float) -> list[Effect]:
        """Do what is due at ``now``; called early, it does nothing."""


@dataclass(frozen=True, slots=True)
class BootFact(Fact):
    """The highest boot number seen of a node; lower ones are replays or copies of its key."""

    node: Key
    boot: Counter

    def name(self) -> str:
        """One for each node."""
        return f"boot/{self.node.hex()}"


@dataclass(slots=True)
class LinkState:
    """The link to a peer that stands."""

    outgoing: bool
    since: float
    address: str | None = None
    relayed_by: bytes | None = None
    round_trip_s: float | None = None
    """Smoothed, of what was measured on this link."""


@dataclass(slots=True)
class Tokens:
    """Numbers for :class:`Persist`, unique within one node's process."""

    _last: int = field(default=0)

    def next(self) -> int:
        """Return a new one."""
        self._last += 1
        return self._last
