"""What a node shows of its mesh: one frozen picture, with the age of what it tells."""

from __future__ import annotations

from dataclasses import dataclass

from buildnet.mesh.events import Status


@dataclass(frozen=True, slots=True)
class LinkView:
    """The link to a member: how it came to be and what went over it since.

    ``kind`` is ``"direct"`` or ``"relayed"``; ``since`` unix seconds.
    """

    kind: str
    outgoing: bool
    address: str | None
    relayed_by: str | None
    since: float
    bytes_sent: int
    bytes_received: int
    messages_sent: int
    messages_received: int
    queued: int


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as this node sees it; times are unix seconds, None: never.

    ``round_trip_s`` was measured where ``round_trip_measured``, else it is estimated from Vivaldi
    coordinates; None: unknown. ``last_heard`` is when a message of it last arrived here directly.
    """

    key: bytes
    node_id: str
    name: str
    role: str
    rights: str
    priority: int
    voter: bool
    status: Status
    status_since: float | None
    last_heard: float | None
    addresses: tuple[str, ...]
    round_trip_s: float | None
    round_trip_measured: bool
    link: LinkView | None

    @property
    def linked(self) -> bool:
        """Tell whether a link to it stands."""
        return self.link is not None


@dataclass(frozen=True, slots=True)
class FormerView:
    """Somebody who was a member. ``ending`` is "left", "removed", "revoked" or "rotated"; then
    ``successor`` is the node id that took over."""

    key: bytes
    node_id: str
    name: str
    role: str
    rights: str
    ending: str
    successor: str | None


@dataclass(frozen=True, slots=True)
class OfficeView:
    """Who coordinates. ``term`` is the counter; ``quorum``: granted by a majority that is there.

    ``since`` is when this node took note of it; without quorum, since when there is none, whoever
    coordinated. ``summary`` says it for people: ``"quorum, 3 of 3 voters reachable"`` or
    ``"provisional, 2 of 5 voters reachable since 12:03:04 UTC"``.
    """

    coordinator: bytes
    term: int
    quorum: bool
    since: float
    summary: str


@dataclass(frozen=True, slots=True)
class CounterView:
    """How often something worth knowing happened; ``last_at`` unix seconds."""

    reason: str
    count: int
    last_peer: str | None
    last_detail: str
    last_at: float


@dataclass(frozen=True, slots=True)
class RequestView:
    """Somebody asks to be admitted. ``code`` is the short authentication string that the asking
    side shows too; ``responder`` is the node that was asked. Times are unix seconds."""

    id: str
    key: bytes
    node_id: str
    name: str
    role: str
    remote: str
    code: str
    responder: bytes
    since: float
    expires: float


@dataclass(frozen=True, slots=True)
class MeshView:
    """Everything at once. ``members`` is sorted by name, then node id, and contains this node.

    ``former``, sorted alike, are those who are members no more. ``lag_p99_s`` is the event loop's
    lag over the last minute; None in the first second. ``revoked``: this node's own key is.
    ``turned_away``: how this node's membership ended, by a member's proven word, where no link was
    made since ("": it did not say); None: nobody says so. ``clock_off_s``: how far most other
    clocks are ahead of this host's (negative: behind), if they agree on it. ``not_opened``: why the
    cluster that this node changed to can't be opened yet (the view is the former one's); None: it
    is open.
    """

    cluster_id: bytes
    cluster_name: str
    member_version: int
    epoch: int
    me: bytes
    node_id: str
    boot: int
    at: float
    office: OfficeView | None
    voters: int
    voters_reachable: int
    members: tuple[MemberView, ...]
    former: tuple[FormerView, ...]
    counters: tuple[CounterView, ...]
    requests: tuple[RequestView, ...]
    lag_p99_s: float | None
    bytes_sent: int
    bytes_received: int
    revoked: bool = False
    turned_away: str | None = None
    clock_off_s: float | None = None
    not_opened: str | None = None

    def member(self, key: bytes) -> MemberView | None:
        """Return the member with this key."""
        return next((member for member in self.members if member.key == key), None)
