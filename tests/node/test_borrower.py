"""Borrowing other hosts: what is told, what comes back, and what becomes of work that is lost."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.events import LinkDown, LinkUp, OfficeChanged, Received
from buildnet.mesh.messages.kinds import Message
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.sharing.borrower import (
    IDLE_S,
    Borrowed,
    Borrower,
    Borrowing,
)
from buildnet.node.sharing.errands import LostHostError
from buildnet.pool.demand import Priority, Want
from buildnet.pool.messages.lending import (
    DemandOver,
    DemandTold,
    LeaseGiven,
    LeaseGone,
    LeaseReturn,
    LeaseWanted,
    WireAmount,
    WireWant,
)
from buildnet.pool.messages.work import WorkAsk, WorkCancel, WorkDone

OWNER, CHIEF, ME = b"o" * 32, b"c" * 32, b"m" * 32
LEASE = b"l" * 16
ONE = WireAmount(1, 0, 0)
WANTS = (Want(ONE.amount, 3, (OWNER,)),)


class Pool:
    """What one borrower hears and says."""

    def __init__(self) -> None:
        self.said: list[tuple[bytes, Message]] = []
        self.changes = 0
        member = SimpleNamespace(role="worker")
        local: Any = SimpleNamespace(
            key=ME,
            links={OWNER: None},
            alive=lambda peer: True,
            members=SimpleNamespace(members={OWNER: member}, is_member=lambda key: key == OWNER),
            office=SimpleNamespace(coordinator=CHIEF),
        )
        self.local = local
        self.borrower = Borrower(local, lambda to, message: self.said.append((to, message)))

    def changed(self) -> None:
        self.changes += 1

    def begin(self) -> Borrowing:
        return self.borrower.begin("b", "me", Priority.NORMAL, self.changed)

    def hear(self, message: Message, sender: bytes = OWNER) -> None:
        self.borrower.take(Received(sender, message))

    def kinds(self) -> list[type[Message]]:
        return [type(message) for _, message in self.said]


def idle(borrowing: Borrowing) -> Borrowed | None:
    return next((each for each in borrowing.leases.values() if not each.busy), None)


def ask_of(work: bytes) -> WorkAsk:
    asked: Any = SimpleNamespace(work=work, timeout_ms=0, output_bytes=100)
    return asked  # type: ignore[no-any-return]


def test_what_is_wanted_is_told_once_and_again_to_a_new_coordinator() -> None:
    pool = Pool()
    borrowing = pool.begin()
    borrowing.want(3, WANTS)
    borrowing.want(3, WANTS)
    (told,) = pool.said
    assert told[0] == CHIEF
    assert isinstance(told[1], DemandTold)
    assert told[1].wants == (WireWant(ONE, 3, (OWNER,), 0),)
    assert DemandTold.decode(told[1].encode()) == told[1]
    pool.borrower.take(OfficeChanged(pool.local.office))
    assert pool.kinds() == [DemandTold, DemandTold]
    borrowing.close()
    assert pool.kinds()[-1] is DemandOver


def test_without_others_nobody_is_bothered() -> None:
    pool = Pool()
    pool.local.links.clear()
    borrowing = pool.begin()
    borrowing.want(3, ())
    assert borrowing.members == ()
    assert pool.said == []


def test_a_lease_is_used_and_given_back_when_it_is_idle() -> None:
    pool = Pool()
    borrowing = pool.begin()
    pool.hear(LeaseGiven(LEASE, "b", ONE))
    assert (borrowing.slots, pool.changes) == (1, 1)
    lease = idle(borrowing)
    assert lease is not None
    lease.busy = True
    assert idle(borrowing) is None
    pool.borrower.give_back_idle(lease.idle_since + 2 * IDLE_S)
    assert borrowing.slots == 1
    pool.borrower.end_of(borrowing, lease)
    pool.borrower.give_back_idle(lease.idle_since + 2 * IDLE_S)
    assert borrowing.slots == 0
    assert pool.said == [(OWNER, LeaseReturn(LEASE))]


def test_a_lease_that_others_need_goes_back_after_its_command() -> None:
    pool = Pool()
    borrowing = pool.begin()
    pool.hear(LeaseGiven(LEASE, "b", ONE))
    lease = idle(borrowing)
    assert lease is not None
    lease.busy = True
    pool.hear(LeaseWanted(LEASE), b"x" * 32)  # only the coordinator and its owner may
    assert borrowing.slots == 1
    pool.hear(LeaseWanted(LEASE), CHIEF)
    assert borrowing.slots == 0
    assert pool.said == []
    pool.borrower.end_of(borrowing, lease)
    assert pool.said == [(OWNER, LeaseReturn(LEASE))]


def test_a_lease_of_no_build_goes_back_at_once() -> None:
    pool = Pool()
    pool.hear(LeaseGiven(LEASE, "unknown", ONE))
    assert pool.said == [(OWNER, LeaseReturn(LEASE))]


@pytest.mark.parametrize("lost", [LinkDown(OWNER), Received(OWNER, LeaseGone(LEASE, "why"))])
def test_work_on_a_lost_host_ends_at_once(lost: LinkDown | Received) -> None:
    async def work() -> None:
        pool = Pool()
        borrowing = pool.begin()
        pool.hear(LeaseGiven(LEASE, "b", ONE))
        lease = idle(borrowing)
        assert lease is not None
        lease.busy = True
        running = asyncio.ensure_future(
            pool.borrower.run(lease, ask_of, lambda data: None, CancelToken())
        )
        while not pool.said:
            await asyncio.sleep(0)
        pool.borrower.take(lost)
        with pytest.raises(LostHostError):
            await running
        assert borrowing.slots == 0

    asyncio.run(work())


def test_work_that_begins_after_its_host_was_lost_is_lost() -> None:
    async def work() -> None:
        pool = Pool()
        borrowing = pool.begin()
        pool.hear(LeaseGiven(LEASE, "b", ONE))
        lease = idle(borrowing)
        assert lease is not None
        lease.busy = True
        pool.borrower.take(LinkDown(OWNER))
        with pytest.raises(LostHostError):
            await pool.borrower.run(lease, ask_of, lambda data: None, CancelToken())

    asyncio.run(work())


def test_work_is_asked_for_again_on_a_new_link() -> None:
    async def work() -> None:
        pool = Pool()
        borrowing = pool.begin()
        pool.hear(LeaseGiven(LEASE, "b", ONE))
        lease = idle(borrowing)
        assert lease is not None
        running = asyncio.ensure_future(
            pool.borrower.run(lease, ask_of, lambda data: None, CancelToken())
        )
        while not pool.said:
            await asyncio.sleep(0)
        pool.borrower.take(LinkUp(OWNER, True))
        pool.borrower.take(LinkUp(CHIEF, True))
        asked: Any = pool.said[0][1]
        assert pool.said == [(OWNER, asked), (OWNER, asked)]
        done = WorkDone(asked.work, "it was cancelled", None, None, None, (), (), ())
        pool.hear(done)
        pool.hear(done)
        assert await running == done

    asyncio.run(work())


def test_a_cancelled_command_is_cancelled_there() -> None:
    async def work() -> None:
        pool = Pool()
        borrowing = pool.begin()
        pool.hear(LeaseGiven(LEASE, "b", ONE))
        lease, token = idle(borrowing), CancelToken()
        assert lease is not None
        running = asyncio.ensure_future(pool.borrower.run(lease, ask_of, lambda data: None, token))
        while not pool.said:
            await asyncio.sleep(0)
        asked: Any = pool.said[0][1]
        token.set()
        while len(pool.said) < 2:
            await asyncio.sleep(0)
        assert pool.said[1] == (OWNER, WorkCancel(asked.work))
        done = WorkDone(asked.work, "it was cancelled", None, None, None, (), (), ())
        pool.hear(done, CHIEF)  # which runs nothing
        assert not running.done()
        pool.hear(done)
        assert await running == done

    asyncio.run(work())


def test_a_demand_of_no_priority_is_no_message() -> None:
    with pytest.raises(ValueError, match="no priority"):
        DemandTold("b", "me", 7, (), 0)


def test_a_demand_names_no_more_owners_than_are_read() -> None:
    wants = tuple(WireWant(ONE, count, (OWNER,) * 300, 0) for count in (1, 2))
    with pytest.raises(ValueError, match="too many owners"):
        DemandTold("b", "me", 10, wants, 0)
