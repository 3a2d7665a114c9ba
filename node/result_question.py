"""A question to other members: who has results of some actions."""

from __future__ import annotations

from dataclasses import dataclass, field

from buildnet.mesh.digest import Digest
from buildnet.node.offered_results import Offer
from buildnet.node.peer_questions import Question
from buildnet.pool.messages.results import SharedResult


@dataclass(frozen=True, slots=True)
class Said:
    """What a member says of a result. ``has``: with all that it needs; None: it said nothing.
    ``made_at``: unix seconds, when the command ran whose result it has."""

    has: bool | None
    made_at: float | None = None


@dataclass(slots=True, kw_only=True)
class ResultQuestion(Question):
    """One question that is out; ``open``: what is not found yet; ``elsewhere``: who runs it, or
    goes first. ``of_all``: it is not enough that somebody has it."""

    open: set[Digest]
    of_all: bool = False
    found: dict[Digest, Offer] = field(default_factory=dict)
    elsewhere: dict[Digest, bytes] = field(default_factory=dict)
    _holders: dict[bytes, SharedResult] = field(default_factory=dict)
    _answered: set[bytes] = field(default_factory=set)

    @property
    def is_answered(self) -> bool:
        """Whether all is found, or nobody is left who could have it."""
        return not self.peers or (not self.open and not self.of_all)

    def hear(self, result: SharedResult, sender: bytes) -> None:
        """Take note of a result that counts."""
        action = result.action.digest
        if action in self.open:
            self.open.remove(action)
            self.found[action] = Offer(result, sender)
        if action in self.found:  # nobody asked for anything else
            self._holders[sender] = result

    def heard_all(self, sender: bytes) -> None:
        """Take note that a member has nothing more to say."""
        self.peers.discard(sender)
        self._answered.add(sender)

    def said(self, peer: bytes) -> Said:
        """Return what a member said of the one action that was asked for."""
        has = self._holders.get(peer)
        if has is not None:
            return Said(True, has.created_ms / 1000)
        return Said(False if peer in self._answered else None)
