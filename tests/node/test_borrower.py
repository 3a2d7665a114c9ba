"""Borrowing other hosts: what is told, what comes back, and what becomes of work that is lost."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.events import LinkDown, LinkUp, Received
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.messages.kinds import Message
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.sharing.borrower import (
    IDLE_S,
    MAX_BORROWED,
    Borrowed,
    Borrower,
    Borrowing,
)
from buildnet.node.sharing.errands import LostHostError
from buildnet.pool.demand import Want
from buildnet.pool.leases import Amount
from buildnet.pool.messages.lending import (
    LeaseGiven,
    LeaseGone,
    LeaseReturn,
    LeaseWanted,
    WireAmount,
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
        self.member = SimpleNamespace(role="worker", rights=Rights.BUILDER)
        local: Any = SimpleNamespace(
            key=ME,
            links={OWNER: None},
            alive=lambda peer: True,
            members=SimpleNamespace(
                members={OWNER: self.member}, is_member=lambda key: key == OWNER
            ),
            office=SimpleNamespace(coordinator=CHIEF),
        )
        self.local = local
        self.wants: list[tuple[Want, ...]] = []
        self.held = False
        demands: Any = SimpleNamespace(
            want=lambda build, wants: self.wants.append(wants), is_held=lambda build: self.held
        )
        self.borrower = Borrower(
            local, lambda to, message: self.said.append((to, message)), demands
        )

    def changed(self) -> None:
        self.changes += 1

    def begin(self) -> Borrowing:
        return self.borrower.begin("b", self.changed)

    def hear(self, message: Message, sender: bytes = OWNER) -> None:
        self.borrower.take(Received(sender, message))

    def kinds(self) -> list[type[Message]]:
        return [type(message) for _, message in self.said]


def slots(borrowing: Borrowing) -> int:
    return sum(not each.wanted_back for each in borrowing.leases.values())


def idle(borrowing: Borrowing) -> Borrowed | None:
    return next((each for each in borrowing.leases.values() if not each.busy), None)


def ask_of(work: bytes) -> WorkAsk:
    asked: Any = SimpleNamespace(work=work, timeout_ms=0, output_bytes=100)
    return asked  # type: ignore[no-any-return]


def test_what_is_wanted_is_told() -> None:
    pool = Pool()
    borrowing = pool.begin()
    assert borrowing.members == (OWNER,)
    borrowing.want(WANTS, WANTS)
    assert pool.wants == [WANTS]
    pool.local.links.clear()
    pool.begin().want((), ())
    assert pool.begin().members == ()
    assert pool.wants[1:] == [()]


@pytest.mark.parametrize("change", [{"rights": Rights.OBSERVER}, {"role": "observer"}])
def test_who_may_not_run_commands_gets_none_by_calling_that_a_lease(
    change: dict[str, object],
) -> None:
    pool = Pool()
    borrowing = pool.begin()
    vars(pool.member).update(change)
    pool.hear(LeaseGiven(LEASE, "b", ONE))
    assert (borrowing.leases, pool.kinds()) == ({}, [LeaseReturn])
    assert borrowing.members == ()


def test_a_build_takes_so_many_leases_and_no_more() -> None:
    pool = Pool()
    borrowing = pool.begin()
    for number in range(MAX_BORROWED + 1):
        pool.hear(LeaseGiven(number.to_bytes(16, "big"), "b", ONE))
    assert (len(borrowing.leases), pool.kinds()) == (MAX_BORROWED, [LeaseReturn])


def test_a_lease_that_was_given_back_is_not_taken_again() -> None:
    pool = Pool()
    borrowing = pool.begin()
    pool.hear(LeaseGiven(LEASE, "b", ONE))
    pool.borrower.give_back(borrowing, borrowing.leases[LEASE])
    pool.hear(LeaseGiven(LEASE, "b", ONE))  # said again before its return was heard
    assert borrowing.leases == {}
    assert pool.kinds() == [LeaseReturn, LeaseReturn]


def test_what_a_paused_build_has_goes_back_though_commands_wait() -> None:
    pool = Pool()
    borrowing = pool.begin()
    pool.hear(LeaseGiven(LEASE, "b", ONE))
    borrowing.want(WANTS, WANTS)
    after = next(iter(borrowing.leases.values())).idle_since + 2 * IDLE_S
    pool.borrower.give_back_idle(after)
    assert slots(borrowing) == 1
    pool.held = True
    pool.borrower.give_back_idle(after)
    assert slots(borrowing) == 0


def test_a_lease_is_used_and_given_back_when_it_is_idle() -> None:
    pool = Pool()
    borrowing = pool.begin()
    pool.hear(LeaseGiven(LEASE, "b", ONE))
    assert (slots(borrowing), pool.changes) == (1, 1)
    lease = idle(borrowing)
    assert lease is not None
    lease.busy = True
    assert idle(borrowing) is None
    pool.borrower.give_back_idle(lease.idle_since + 2 * IDLE_S)
    assert slots(borrowing) == 1
    pool.borrower.end_of(borrowing, lease)
    pool.borrower.give_back_idle(lease.idle_since + 2 * IDLE_S)
    assert slots(borrowing) == 0
    assert pool.said == [(OWNER, LeaseReturn(LEASE))]


def test_a_lease_that_others_need_goes_back_after_its_command() -> None:
    pool = Pool()
    borrowing = pool.begin()
    pool.hear(LeaseGiven(LEASE, "b", ONE))
    lease = idle(borrowing)
    assert lease is not None
    lease.busy = True
    pool.hear(LeaseWanted(LEASE), b"x" * 32)  # only the coordinator and its owner may
    assert slots(borrowing) == 1
    pool.hear(LeaseWanted(LEASE), CHIEF)
    assert slots(borrowing) == 0
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
        assert slots(borrowing) == 0

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


def test_what_nothing_that_waits_could_use_goes_back() -> None:
    pool = Pool()
    borrowing = pool.begin()
    large = b"m" * 16
    pool.hear(LeaseGiven(LEASE, "b", ONE))
    pool.hear(LeaseGiven(large, "b", WireAmount(4, 7, 0)))
    small, big = borrowing.leases.values()
    after = small.idle_since + 2 * IDLE_S
    borrowing.want((Want(Amount(4, 7), 1, (OWNER,)),), ())
    assert borrowing.is_wanted(big, exactly=True)
    pool.borrower.give_back_idle(after)
    assert list(borrowing.leases) == [large]
    borrowing.want((Want(Amount(1), 1, (OWNER,)),), ())
    assert not borrowing.is_wanted(big, exactly=True)
    pool.borrower.give_back_idle(after)
    assert list(borrowing.leases) == [large]
    borrowing.want((Want(Amount(1), 1, (CHIEF,)),), ())  # who lends nothing
    pool.borrower.give_back_idle(after)
    assert borrowing.leases == {}


def test_a_build_looks_again_when_members_come_and_go() -> None:
    pool = Pool()
    pool.begin()
    pool.borrower.take(LinkUp(OWNER, True))
    pool.borrower.take(LinkDown(OWNER))
    assert pool.changes == 2
