"""What a node has lent, by build: told while it lasts, and written as one pair of entries each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.query import Query
from buildnet.mesh.identity import node_id_of
from buildnet.node.own_accounts import ALLOCATED, RELEASED
from buildnet.node.sharing.loans import (
    ENDED_S,
    MAX_DRAFTS,
    WRITE_S,
    Loans,
    LoansBrokenOff,
    LoansWritten,
)
from buildnet.pool.leases import Amount, Lease

HOLDER = b"h" * 32


def lease(number: int, build: str = "b") -> Lease:
    key = number.to_bytes(16, "big")
    return Lease(key, build, HOLDER, b"c" * 32, 7, Amount(1, 10), True, 0.0, 0.0, "ann")


def drafts(written: LoansWritten | LoansBrokenOff | None, ledger: Any = None) -> list[EntryDraft]:
    assert written is not None
    there: Any = Chain() if ledger is None else ledger
    return list(asyncio.run(written.drafts(there)))


def test_one_pair_a_build_however_often_its_leases_come_and_go() -> None:
    loans = Loans()
    loans.lent(lease(1), 100.0, 5000.0)
    (begun,) = drafts(loans.to_write(100.0))
    assert begun.type == ALLOCATED
    assert begun.entity == "build:b"
    assert begun.data["term"] == 7
    assert begun.data["allocations"][0]["actor"] == "ann"
    (told,) = loans.told()
    assert (told.build, told.node_id, told.slots) == ("b", node_id_of(HOLDER), 1)
    assert told.since_ms == 5_000_000
    loans.lent(lease(2), 101.0, 5001.0)
    assert loans.told()[0].slots == 2
    loans.ended(lease(1), "it was given back", 102.0)
    loans.ended(lease(2), "it was given back", 103.0)
    assert loans.told() == ()
    assert loans.to_write(103.0) is None
    loans.lent(lease(3), 104.0, 5004.0)
    assert loans.told()[0].since_ms == 5_000_000
    loans.ended(lease(3), "it was not renewed in time", 105.0)
    assert loans.to_write(105.0 + ENDED_S - 0.1) is None
    (over,) = drafts(loans.to_write(105.0 + ENDED_S))
    assert over.type == RELEASED
    assert over.data["reason"] == "it was not renewed in time"
    (allocation,) = over.data["allocations"]
    assert allocation["amount"] == {"slots": 2, "memory_bytes": 20}
    assert allocation["used_ms"] == 5000  # 2 s of the first, 2 s of the second, 1 s of the third
    assert allocation["id"] == begun.data["allocations"][0]["id"]
    assert loans.to_write(200.0) is None


def test_what_began_and_ended_between_two_writings_is_a_pair_all_the_same() -> None:
    loans = Loans()
    loans.lent(lease(1), 100.0, 0.0)
    loans.ended(lease(1), "it was given back", 100.1)
    (written,) = loans.close("its node stops", 100.2)
    assert [each.type for each in drafts(written)] == [
        ALLOCATED,
        RELEASED,
    ]


def test_who_has_nothing_left_makes_room_for_the_next() -> None:
    loans = Loans()
    loans.lent(lease(1, "first"), 100.0, 0.0)
    loans.to_write(100.0)
    loans.ended(lease(1, "first"), "it was given back", 102.0)
    loans.lent(lease(2, "second"), 102.0, 0.0)
    said = [(each.type, each.entity) for each in drafts(loans.to_write(102.0))]
    assert said == [(RELEASED, "build:first"), (ALLOCATED, "build:second")]


def test_what_is_lent_when_the_node_leaves_is_over() -> None:
    loans = Loans()
    loans.lent(lease(1), 100.0, 0.0)
    loans.to_write(100.0)
    (written,) = loans.close("its node stops", 100.5)
    (over,) = drafts(written)
    assert over.data["reason"] == "its node stops"
    assert loans.close("again", 101.0) == []


def test_many_loans_are_written_in_parts() -> None:
    loans = Loans()
    for number in range(MAX_DRAFTS + 5):
        loans.lent(lease(number, f"b{number}"), 100.0, 0.0)
    assert len(drafts(loans.to_write(100.0))) == MAX_DRAFTS
    assert loans.to_write(100.0 + WRITE_S / 2) is None
    assert len(drafts(loans.to_write(100.0 + WRITE_S))) == 5


def test_however_many_loans_a_node_had_all_are_over_when_it_stops() -> None:
    loans = Loans()
    for number in range(3 * MAX_DRAFTS):
        loans.lent(lease(number, f"b{number}"), 100.0, 0.0)
    parts = [drafts(each) for each in loans.close("its node stops", 100.5)]
    assert max(map(len, parts)) == MAX_DRAFTS
    for kind in (ALLOCATED, RELEASED):
        said = [each.entity for part in parts for each in part if each.type == kind]
        assert sorted(said) == sorted(f"build:b{number}" for number in range(3 * MAX_DRAFTS))


class Chain:
    """A ledger that tells entries, the newest first."""

    def __init__(self, *said: EntryDraft) -> None:
        self.key = b"o" * 32
        self.store = self
        self._said = said

    async def table(self, name: str, **page: object) -> list[Any]:
        return []  # nothing is offered

    async def find(self, query: Query, *, backwards: bool = False) -> AsyncIterator[Any]:
        if query.sealed is False:
            return
        assert backwards
        for draft in reversed(self._said):
            body = SimpleNamespace(type=draft.type, postings=draft.postings)
            yield SimpleNamespace(entry=SimpleNamespace(body=body, data=draft.data))


def test_what_a_killed_node_had_lent_is_over_at_its_next_start() -> None:
    loans = Loans()
    for number in range(3):
        loans.lent(lease(number, f"b{number}"), 100.0, 0.0)
    old, done, open_ = drafts(loans.to_write(100.0))
    loans.ended(lease(1, "b1"), "it was given back", 101.0)
    (over,) = drafts(loans.to_write(101.0 + ENDED_S))
    started = EntryDraft("node.started", old.actor)
    chain = Chain(old, started, done, open_, over)
    (found,) = drafts(LoansBrokenOff(), chain)
    assert found.type == RELEASED
    assert found.data["allocations"] == open_.data["allocations"]
    assert drafts(LoansBrokenOff(), Chain(old, started)) == []


def test_however_many_loans_a_killed_node_had_all_are_over() -> None:
    loans, begun = Loans(), list[EntryDraft]()
    for number in range(MAX_DRAFTS + 5):
        loans.lent(lease(number, f"b{number}"), 100.0, 0.0)
    for now in (100.0, 100.0 + WRITE_S):
        begun += drafts(loans.to_write(now))
    assert len(drafts(LoansBrokenOff(), Chain(*begun))) == MAX_DRAFTS + 5
