"""What this node has lent, by build: for whoever looks, and for the ledger.

A loan begins with a build's first lease and ends once it has had none for some seconds, or has none
and another build gets something: leases come and go with its commands, and the ledger gets one pair
of entries a loan, written together with those of other loans. What a loan had when its first entry
was written moves from the node's free cores and memory to the allocated ones, as far as so much of
them is free (slots may be more than cores), and back with the second.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildnet.ledger.draft import EntryDraft, node_actor
from buildnet.ledger.entry import Posting, Side
from buildnet.ledger.postings import ALLOCATED as ALLOCATED_LEG
from buildnet.ledger.postings import FREE, allocated, leg_of, released
from buildnet.ledger.query import Query
from buildnet.mesh.identity import node_id_of
from buildnet.node.own_accounts import ALLOCATED, RELEASED, Balances, own_balances
from buildnet.node.recording import OpenLedger
from buildnet.pool.advertisement import LENT_TOLD, Lent
from buildnet.pool.leases import Amount, Lease

ENDED_S = 5.0
"""A loan is over when its build has had no lease for so long."""
WRITE_S = 2.0
"""Loans that begin and end are written this often, all together."""
MAX_DRAFTS = 64
"""Entries at once; loans beyond that are written the next time."""

Moved = tuple[tuple[str, str, int], ...]
"""Places (``node:ID/cores``), units, and how much of it a loan has."""


@dataclass(slots=True)
class Posted:
    """What a loan's first entry moves, and its second moves back; None: not worked out yet."""

    moved: Moved | None = None


@dataclass(slots=True)
class Loan:
    """What one build has had of this node. ``since_ms``: unix time; ``most``: at any one time;
    ``used_s``: seconds of one slot, until ``counted_at``; ``ended_at``: since when it has nothing,
    None: it has something; ``why``: why the last lease ended."""

    id: bytes
    build: str
    holder: bytes
    actor: str
    term: int
    since_ms: int
    counted_at: float
    leases: dict[bytes, Amount] = field(default_factory=dict)
    most: Amount = field(default_factory=Amount)
    used_s: float = 0.0
    ended_at: float | None = None
    why: str = ""
    is_written: bool = False
    posted: Posted = field(default_factory=Posted)

    @property
    def amount(self) -> Amount:
        """What it has now."""
        return Amount.sum(self.leases.values())

    def count(self, now: float) -> None:
        """Add up what was had since it was counted last."""
        self.used_s += (now - self.counted_at) * self.amount.slots
        self.counted_at = now

    def as_allocation(self) -> dict[str, Any]:
        """Return it as the ledger's entries name it."""
        return {
            "id": self.id.hex(),
            "build": self.build,
            "holder": node_id_of(self.holder),
            "actor": self.actor,
            "type": "commands",
            "amount": {"slots": self.most.slots, "memory_bytes": self.most.memory_bytes},
        }


class Loans:
    """One node's loans. Times are monotonic seconds, but for ``unix_s``."""

    def __init__(self) -> None:
        self._loans: dict[tuple[str, bytes], Loan] = {}
        self._over: list[Loan] = []
        self._written_at = 0.0

    def lent(self, lease: Lease, now: float, unix_s: float) -> None:
        """Take note of a lease that was granted."""
        key = (lease.build, lease.holder)
        loan = self._loans.get(key)
        if loan is None:
            since_ms = round(unix_s * 1000)
            loan = Loan(lease.id, lease.build, lease.holder, lease.actor, lease.term, since_ms, now)
            self._loans[key] = loan
        loan.count(now)
        loan.leases[lease.id] = lease.amount
        loan.ended_at = None
        had = loan.amount
        loan.most = Amount(
            max(loan.most.slots, had.slots), max(loan.most.memory_bytes, had.memory_bytes)
        )

    def ended(self, lease: Lease, why: str, now: float) -> None:
        """Take note of a lease that is over."""
        loan = self._loans.get((lease.build, lease.holder))
        if loan is None or lease.id not in loan.leases:
            return
        loan.count(now)
        del loan.leases[lease.id]
        if not loan.leases:
            loan.ended_at, loan.why = now, why

    def told(self) -> tuple[Lent, ...]:
        """Return who has something now, as it is advertised."""
        return tuple(
            Lent(
                build=loan.build,
                node_id=node_id_of(loan.holder),
                actor=loan.actor,
                slots=loan.amount.slots,
                memory_bytes=loan.amount.memory_bytes,
                since_ms=loan.since_ms,
            )
            for loan in self._loans.values()
            if loan.leases
        )[:LENT_TOLD]

    def close(self, why: str, now: float) -> list[LoansWritten]:
        """End all loans: the node leaves the cluster, or stops. Return all that is to be
        written."""
        for loan in self._loans.values():
            if loan.leases:
                loan.count(now)
                loan.leases.clear()
                loan.why = why
            loan.ended_at = now - ENDED_S
        self._put_over(now)
        parts: list[LoansWritten] = []
        while (part := self._part(now)) is not None:
            parts.append(part)
        return parts

    def to_write(self, now: float) -> LoansWritten | None:
        """Return what the ledger is to be told; None: nothing yet."""
        if now - self._written_at < WRITE_S:
            return None
        self._put_over(now)
        return self._part(now)

    def _put_over(self, now: float) -> None:
        # What others get from now on is free by the accounts, too.
        others_begin = any(not loan.is_written for loan in self._loans.values())
        for key, loan in tuple(self._loans.items()):
            if loan.ended_at is None:
                continue
            if now - loan.ended_at >= ENDED_S or (others_begin and loan.is_written):
                self._over.append(self._loans.pop(key))

    def _part(self, now: float) -> LoansWritten | None:
        """Return as much as is written at once; None: nothing is left."""
        begun = [loan for loan in (*self._over, *self._loans.values()) if not loan.is_written]
        begun = begun[:MAX_DRAFTS]
        for loan in begun:
            loan.is_written = True
        over = [loan for loan in self._over if loan.is_written][: MAX_DRAFTS - len(begun)]
        self._over = [loan for loan in self._over if loan not in over]
        if not begun and not over:
            return None
        self._written_at = now
        return LoansWritten(
            tuple((loan.term, loan.as_allocation(), loan.posted) for loan in begun),
            tuple(
                (
                    {**loan.as_allocation(), "used_ms": round(loan.used_s * 1000)},
                    loan.why,
                    loan.posted,
                )
                for loan in over
            ),
        )


@dataclass(frozen=True, slots=True)
class LoansWritten:
    """Loans that began, each with the term, and those that are over, each with the reason; and what
    their entries move."""

    begun: tuple[tuple[int, dict[str, Any], Posted], ...]
    over: tuple[tuple[dict[str, Any], str, Posted], ...]
    request: bytes = field(default_factory=lambda: os.urandom(16))

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write: an entry a loan that began, and one for each that is over."""
        said: list[EntryDraft] = []
        balances = await own_balances(ledger) if self.begun else {}
        now_begun = {allocation["id"] for _, allocation, _ in self.begun}

        def release(earlier: bool) -> None:
            for allocation, reason, posted in self.over:
                if earlier is (allocation["id"] not in now_begun):
                    for place, unit, amount in posted.moved or ():
                        balances[place, FREE, unit] = balances.get((place, FREE, unit), 0) + amount
                    data = {"allocations": [allocation], "reason": reason}
                    said.append(self._draft(ledger, RELEASED, allocation, data, len(said), posted))

        release(earlier=True)
        for term, allocation, posted in self.begun:
            if posted.moved is None:  # what was worked out once stands, if this is asked for again
                posted.moved = _movable(balances, ledger, allocation["amount"])
            for place, unit, amount in posted.moved:
                balances[place, FREE, unit] = balances.get((place, FREE, unit), 0) - amount
            data = {"allocations": [allocation], "term": term}
            said.append(self._draft(ledger, ALLOCATED, allocation, data, len(said), posted))
        release(earlier=False)
        return said

    def _draft(
        self,
        ledger: OpenLedger,
        kind: str,
        allocation: dict[str, Any],
        data: dict[str, Any],
        number: int,
        posted: Posted,
    ) -> EntryDraft:
        post = allocated if kind == ALLOCATED else released
        return EntryDraft(
            kind,
            node_actor(ledger.key),
            entity=f"build:{allocation['build']}",
            request=self.request + number.to_bytes(2, "big"),
            data=data,
            postings=tuple(one for each in posted.moved or () for one in post(*each)),
        )


def _movable(balances: Balances, ledger: OpenLedger, amount: dict[str, int]) -> Moved:
    """Return what of an amount is free by the accounts."""
    node = f"node:{node_id_of(ledger.key)}"
    wanted = (
        (f"{node}/cores", "cores", amount["slots"]),
        (f"{node}/memory", "bytes", amount["memory_bytes"]),
    )
    found = [
        (place, unit, min(count, balances.get((place, FREE, unit), 0)))
        for place, unit, count in wanted
    ]
    return tuple(each for each in found if each[2] > 0)


def _moved_by(postings: Iterable[Posting]) -> Moved:
    """Return what an entry moved to what is allocated."""
    found: list[tuple[str, str, int]] = []
    for posting in postings:
        leg = leg_of(posting.account)
        if leg is not None and leg[1] == ALLOCATED_LEG and posting.side == Side.CREDIT:
            found.append((leg[0], posting.unit, posting.amount))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class LoansBrokenOff:
    """The node was ended in the middle of loans: before its next start is told, the ledger is told
    that they are over."""

    request: bytes = field(default_factory=lambda: os.urandom(16))

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write: what was allocated since the last start and is not released."""
        query = Query(types=(ALLOCATED, RELEASED, "node.started"), origin=ledger.key.hex())
        over: list[tuple[dict[str, Any], str, Posted]] = []
        given_back: set[str] = set()
        async for stored in ledger.store.find(query, backwards=True):
            entry = stored.entry
            if entry.body.type == "node.started":
                break
            for allocation in entry.data.get("allocations", ()):
                if entry.body.type == RELEASED:
                    given_back.add(str(allocation.get("id")))
                elif str(allocation.get("id")) not in given_back:
                    posted = Posted(_moved_by(entry.body.postings))
                    over.append((allocation, "its node was interrupted", posted))
        return await LoansWritten((), tuple(over), self.request).drafts(ledger)
