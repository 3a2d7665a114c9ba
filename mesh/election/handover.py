"""Handing the office over: on request, when the coordinator stops, and to a steady higher rank."""

from __future__ import annotations

from buildnet.mesh.election.promise import transfer_statement
from buildnet.mesh.election.ranking import outranks
from buildnet.mesh.local import Local
from buildnet.mesh.messages.election import Transfer

STEADY_S = 30.0
"""How long a higher rank must have been there before it gets the office."""
RESIGN_S = 0.6
"""How long a successor has before one that stops asks the next."""
_MAX_STEADY_S = 3600.0


class Handover:
    """The coordinator's choice of successors."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._steady_since: dict[bytes, float] = {}
        self._offered: dict[bytes, int] = {}
        self._tried: set[bytes] = set()
        self._resigns_next: float | None = None
        self._wished = False

    @property
    def resigning(self) -> bool:
        """Whether this node wants to be rid of the office."""
        return self._resigns_next is not None

    def sign(self, counter: int, successor: bytes) -> Transfer:
        """Return the proof for ``successor`` that the coordinator of ``counter`` hands over."""
        statement = transfer_statement(self._local, counter, successor)
        return Transfer(counter, successor, self._local.signatures.sign(statement))

    def observe(self, reached: tuple[bytes, ...], now: float) -> bytes | None:
        """Take note of who is reached; return a higher rank that was there long enough.

        Each offer doubles the time until the next one to the same node, so that one that wins and
        loses its majority again and again does not take the whole cluster along.
        """
        members = self._local.members
        entitled = {
            peer
            for peer in reached
            if self._local.alive(peer) and outranks(self._local, peer, self._local.key)
        }
        self._steady_since = {peer: self._steady_since.get(peer, now) for peer in sorted(entitled)}
        steady = [
            peer for peer, since in self._steady_since.items() if now - since >= self._needed(peer)
        ]
        if not steady:
            return None
        successor = max(steady, key=members.rank)
        self._offered[successor] = self._offered.get(successor, 0) + 1
        self._steady_since.pop(successor)
        return successor

    def resign(self, now: float, *, wished: bool = True) -> None:
        """Look for a successor from now on, one after the other.

        ``wished``: by the owner, and not because the node may not stand now.
        """
        self._wished |= wished
        self._tried.clear()
        self._resigns_next = now

    def remain(self) -> None:
        """Take the owner's wish to resign back."""
        self._wished = False

    def stay(self) -> None:
        """Resign no more, unless the owner wished it."""
        if not self._wished:
            self._resigns_next = None

    def next_successor(self, reached: tuple[bytes, ...], now: float) -> bytes | None:
        """Return whom to ask now, if one that resigns has to ask somebody."""
        if self._resigns_next is None or now < self._resigns_next:
            return None
        members = self._local.members
        left = [
            peer
            for peer in reached
            if peer != self._local.key
            and peer not in self._tried
            and members.stands(peer)
            and self._local.alive(peer)
        ]
        if not left:
            self._tried.clear()
            self._resigns_next = now + RESIGN_S
            return None
        successor = max(left, key=members.rank)
        self._tried.add(successor)
        self._resigns_next = now + RESIGN_S
        return successor

    def _needed(self, peer: bytes) -> float:
        doubled = STEADY_S * 2.0 ** min(self._offered.get(peer, 0), 10)
        return min(_MAX_STEADY_S, doubled)


def is_transfer(local: Local, transfer: Transfer, coordinator: bytes) -> bool:
    """Tell whether ``coordinator`` signed ``transfer``."""
    statement = transfer_statement(local, transfer.counter, transfer.successor)
    return local.signatures.verify(coordinator, statement, transfer.signature)
