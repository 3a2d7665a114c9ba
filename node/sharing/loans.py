"""What this node has lent, by build: for whoever looks, and for the ledger.

A loan begins with a build's first lease and ends once it has had none for some seconds: leases come
and go with its commands, and the ledger gets one pair of entries a loan, written together with
those of other loans.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from buildnet.ledger.draft import EntryDraft, node_actor
from buildnet.ledger.query import Query
from buildnet.mesh.identity import node_id_of
from buildnet.node.recording import OpenLedger
from buildnet.pool.advertisement import LENT_TOLD, Lent
from buildnet.pool.leases import Amount, Lease

ENDED_S = 5.0
"""A loan is over when its build has had no lease for so long."""
WRITE_S = 2.0
"""Loans that begin and end are written this often, all together."""
MAX_DRAFTS = 64
"""Entries at once; loans beyond that are written the next time."""
ALLOCATED, RELEASED = "resources.allocated", "resources.released"


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
        self._put_over(now)
        return None if now - self._written_at < WRITE_S else self._part(now)

    def _put_over(self, now: float) -> None:
        for key, loan in tuple(self._loans.items()):
            if loan.ended_at is not None and now - loan.ended_at >= ENDED_S:
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
            tuple((loan.term, loan.as_allocation()) for loan in begun),
            tuple(
                ({**loan.as_allocation(), "used_ms": round(loan.used_s * 1000)}, loan.why)
                for loan in over
            ),
        )


@dataclass(frozen=True, slots=True)
class LoansWritten:
    """Loans that began, each with the term, and those that are over, each with the reason."""

    begun: tuple[tuple[int, dict[str, Any]], ...]
    over: tuple[tuple[dict[str, Any], str], ...]
    request: bytes = field(default_factory=lambda: os.urandom(16))

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write: an entry a loan that began, and one for each that is over."""
        who = node_actor(ledger.key)
        said: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
            (ALLOCATED, allocation, {"allocations": [allocation], "term": term})
            for term, allocation in self.begun
        ]
        said += [
            (RELEASED, allocation, {"allocations": [allocation], "reason": reason})
            for allocation, reason in self.over
        ]
        return [
            EntryDraft(
                kind,
                who,
                entity=f"build:{allocation['build']}",
                request=self.request + number.to_bytes(2, "big"),
                data=data,
            )
            for number, (kind, allocation, data) in enumerate(said)
        ]


@dataclass(frozen=True, slots=True)
class LoansBrokenOff:
    """The node was ended in the middle of loans: before its next start is told, the ledger is told
    that they are over."""

    request: bytes = field(default_factory=lambda: os.urandom(16))

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write: what was allocated since the last start and is not released."""
        query = Query(types=(ALLOCATED, RELEASED, "node.started"), origin=ledger.key.hex())
        over: list[tuple[dict[str, Any], str]] = []
        released: set[str] = set()
        async for stored in ledger.store.find(query, backwards=True):
            entry = stored.entry
            if entry.body.type == "node.started":
                break
            for allocation in entry.data.get("allocations", ()):
                if entry.body.type == RELEASED:
                    released.add(str(allocation.get("id")))
                elif str(allocation.get("id")) not in released:
                    over.append((allocation, "its node was interrupted"))
        return await LoansWritten((), tuple(over), self.request).drafts(ledger)
