"""Which chain this node appends to: the one it had, or another, where it can't be sure of that."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.frontier import Head
from buildnet.ledger.messages import Heads
from buildnet.ledger.opening import Opening, Why
from buildnet.ledger.restored import Restored
from buildnet.ledger.store.fence import Start
from buildnet.mesh.clock import MAX_AHEAD_MS
from buildnet.mesh.local import Local

CONFIRM_S = 3.0
"""How long a node waits for a peer that knows its newest entry."""
OTHERS_S = 0.5
"""How long it waits for the other linked peers once one does: one of them may know more."""

_A_MILLISECOND = 1 << 16  # of the hybrid clock


class OwnChain:
    """Chooses a chain at a start. What peers hold is told to :meth:`heard` meanwhile.

    The chain goes on if a peer confirms that its newest entry is the newest one made, and none
    holds another or a later one. A node that was set back as a whole would otherwise use sequences
    a second time. A chain whose newest entry on the disk is damaged does not go on, either: there
    may have been later ones. One whose newest entry is far ahead of the clock never goes on: what
    comes after it is ahead, too, and sealed only once it is that late.
    """

    def __init__(self, local: Local, restored: Restored, start: Start) -> None:
        self._local = local
        self._heads = restored.heads
        self._start = start
        self._head = newest_of(local.key, restored.heads, latest=self._latest())
        self._is_unsure = _is_unsure(local.key, restored)
        self._newest: Entry | None = None
        """As far as this process wrote it."""
        self._heard: dict[bytes, bool] = {}
        """Who holds this chain: whether just as far as this node."""
        self._news = asyncio.Event()
        self._may_lack = self._head is not None
        """Whether entries of the chain that come from others show that the disk lost them."""

    def heard(self, sender: bytes, said: Heads) -> bool:
        """Take note of what a peer holds; tell whether it says that it holds what this node's disk
        lost. Anybody can say so: see :meth:`is_shown_loss`."""
        if self._head is None:
            return False
        chain, head = self._head
        for one in said.heads:
            if one.chain == chain and (one.head == head or one.sequence >= head.sequence):
                self._heard[sender] = one.head == head
                self._news.set()
        return self._heard.get(sender) is False

    def is_shown_loss(self, entries: Iterable[Entry]) -> bool:
        """Tell, once, whether ``entries``, whose signatures are right, are later ones of this node
        than its disk held at the start."""
        if self._head is None or not self._may_lack:
            return False
        chain, head = self._head
        if not any(one.chain == chain and one.body.sequence > head.sequence for one in entries):
            return False
        self._may_lack = False
        return True

    @property
    def lost_its_word(self) -> bool:
        """Whether this voter's file is gone: nobody votes before a ledger was opened."""
        members = self._local.members
        others = any(members.is_member(key) for key in members.members if key != self._local.key)
        fresh = self._start is Start.FRESH and not self._heads
        return fresh and others and self._local.key in members.voters

    async def choose(self) -> tuple[Chain, Opening | None]:
        """Return the chain to append to, and how it begins if it is another one."""
        if self._head is None and (ahead := newest_of(self._local.key, self._heads)) is not None:
            return self._fresh(), Opening(Why.CLOCK_AHEAD, ahead)
        if self._head is None:
            # The file is new, and was not always; or nothing of the chain can be read.
            lost = self._start is Start.RESTORED or self._is_unsure
            return self._fresh(), Opening(Why.RESTORE) if lost else self._first()
        if self._start is not Start.CONTINUED:
            return self._fresh(), Opening(Why.RESTORE, self._head)
        if not self._is_unsure and await self._is_confirmed():
            self._may_lack = False  # from now on this process makes them
            return self._head[0], None
        return self._fresh(), Opening(Why.UNCONFIRMED_HEAD, self._head)

    def wrote(self, entry: Entry) -> None:
        """Take note of this node's newest entry on its disk."""
        if self._newest is None or entry.body.sequence == 1 or entry.chain == self._newest.chain:
            self._newest = entry

    def successor(self) -> tuple[Chain, Opening] | None:
        """Return the chain to go on with if the clock, which ran ahead, was set right, once; None:
        the same as before."""
        newest = self._newest
        if newest is None or newest.body.hlc <= self._latest():
            return None
        self._newest = None
        head = Head(newest.body.sequence, newest.hash)
        return self._fresh(), Opening(Why.CLOCK_AHEAD, (newest.chain, head))

    def _latest(self) -> int:
        return self._local.clock.now() + MAX_AHEAD_MS * _A_MILLISECOND

    async def _is_confirmed(self) -> bool:
        members = self._local.members
        if not any(members.is_member(key) for key in members.members if key != self._local.key):
            return True  # there is nobody to ask
        if not await self._hear(CONFIRM_S, lambda: bool(self._heard)):
            return False
        await self._hear(OTHERS_S, lambda: self._heard.keys() >= self._local.links.keys())
        return all(self._heard.values())

    async def _hear(self, patience_s: float, enough: Callable[[], bool]) -> bool:
        """Listen until it is enough; False: it was not in time."""
        try:
            async with asyncio.timeout(patience_s):
                while not enough():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _fresh(self) -> Chain:
        return Chain(self._local.key, os.urandom(8))

    def _first(self) -> Opening:
        """Return how a key's first chain begins: after the key's that it was rotated from."""
        members = self._local.members
        for key, was in members.former.items():
            if was.successor == self._local.key and (old := newest_of(key, self._heads)):
                return Opening(Why.KEY_ROTATION, old)
        return Opening(Why.FIRST)


def newest_of(
    origin: bytes, heads: Mapping[Chain, tuple[Head, int]], *, latest: int | None = None
) -> tuple[Chain, Head] | None:
    """Return the newest entry of an origin's chains, by its clock; none that is after ``latest``
    (a hybrid clock)."""
    found = [
        (clock, chain, head)
        for chain, (head, clock) in heads.items()
        if chain.origin == origin and (latest is None or clock <= latest)
    ]
    if not found:
        return None
    _, chain, head = max(found, key=lambda one: (one[0], one[1].incarnation))
    return chain, head


def _is_unsure(origin: bytes, restored: Restored) -> bool:
    """Tell whether the newest chain of an origin, or one of which nothing is left, is damaged at
    its end."""
    newest = newest_of(origin, restored.heads)
    unsure = {chain for chain in restored.unsure if chain.origin == origin}
    return any(
        chain not in restored.heads or (newest is not None and chain == newest[0])
        for chain in unsure
    )


def keys_before(local: Local, origin: bytes) -> tuple[bytes, ...]:
    """Return the keys that were rotated to ``origin``; asked in the store's threads, so the list of
    members is looked at once."""
    members = local.members
    return tuple(key for key in members.former if members.current(key) == origin)
