"""What all cores of one node share: who it is, who belongs to the cluster, which links stand."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from buildnet.mesh.events import LinkState, Office, Status, Tokens

if TYPE_CHECKING:
    from buildnet.mesh.clock import HybridClock
    from buildnet.mesh.members.member_list import MemberList


class Signatures(Protocol):
    """Signing as one node, and checking anybody's signatures."""

    def sign(self, message: bytes) -> bytes:
        """Return this node's 64-byte signature of ``message``."""

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is ``key``'s of ``message``."""


@dataclass(slots=True)
class Local:
    """One node's shared state. Only the composing :class:`~buildnet.mesh.machine.Machine` writes
    ``links``, ``status`` and ``office``; only the member log writes ``members``; only who brings
    messages writes ``heard``."""

    key: bytes
    boot: int
    signatures: Signatures
    random: random.Random
    clock: HybridClock
    members: MemberList
    links: dict[bytes, LinkState] = field(default_factory=dict)
    status: dict[bytes, Status] = field(default_factory=dict)
    """Of other members; one that is missing here was never seen: DEAD."""
    heard: dict[bytes, int] = field(default_factory=dict)
    """The hybrid clock that each member's newest message told, right or wrong."""
    office: Office | None = None
    tokens: Tokens = field(default_factory=Tokens)
    may_change_voters: Callable[[], bool] = lambda: True
    """Whether the room above, where voters decide, too, has settled on the present ones: their
    next change waits for that."""

    def date(self) -> int:
        """Return a timestamp for a change that this node asks for: later than the member list,
        whose clock may be ahead of this host's."""
        return max(self.clock.now(), self.members.hlc + 1)

    def alive(self, peer: bytes) -> bool:
        """Tell whether a node is believed to be there; this one always is."""
        return peer == self.key or self.status.get(peer) is Status.ALIVE
