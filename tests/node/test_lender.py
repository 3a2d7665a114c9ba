"""An owner: its own commands come first, and the coordinator learns what it may have missed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.events import LinkUp, OfficeChanged, Received
from buildnet.mesh.members.member_list import Rights
from buildnet.mesh.messages.kinds import Message
from buildnet.node.capacity import Capacity
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.sharing.lender import Lender, WorkersRoom
from buildnet.node.workers import Turn, Workers
from buildnet.pool.leases import CALLED_S, KEPT_S, Amount
from buildnet.pool.messages.lending import (
    MAX_LEASES,
    LeaseAnswer,
    LeaseAsk,
    LeaseCancel,
    LeaseConfirm,
    LeaseGiven,
    LeaseGone,
    LeaseKeep,
    LeaseReturn,
    LeaseWanted,
    RoomTold,
    WireAmount,
)
from buildnet.pool.messages.work import MAX_MESSAGE_BYTES, WorkAsk, WorkDone
from buildnet.pool.requirements import Grant
from testbed.lease_hosts import work_ask

COORDINATOR, DRIVER, WATCHER = b"c" * 32, b"d" * 32, b"w" * 32
TERM = 3


class Work:
    """What runs on leases, as the test says."""

    def __init__(self) -> None:
        self.busy: set[bytes] = set()
        self.ended: list[bytes] = []
        self.begun: list[bytes] = []

    def does(self, holder: bytes, work: bytes) -> bool:
        return work in self.begun

    def start(self, holder: bytes, ask: WorkAsk, room: Digest, amount: Amount, build: str) -> None:
        self.begun.append(ask.work)

    def is_busy(self, lease: bytes) -> bool:
        return lease in self.busy

    def end_lease(self, lease: bytes) -> None:
        self.ended.append(lease)

    def end_all(self) -> None:
        self.ended.append(b"all")


class Owner:
    """A lender of two slots, what it says, and its clock."""

    def __init__(self) -> None:
        rights = {COORDINATOR: Rights.BUILDER, DRIVER: Rights.BUILDER, WATCHER: Rights.OBSERVER}
        members = SimpleNamespace(
            members={key: SimpleNamespace(rights=each) for key, each in rights.items()},
            is_member=rights.__contains__,
        )
        self.office = SimpleNamespace(coordinator=COORDINATOR, counter=TERM)
        self.local = SimpleNamespace(key=b"o" * 32, members=members, office=self.office)
        self.said: list[tuple[bytes, Message]] = []
        self.workers = Workers(Capacity(2, None, 100))
        self.work = Work()
        self.refusal: str | None = None
        self.now = 100.0
        work: Any = self.work
        local: Any = self.local
        self.lender = Lender(
            local,
            lambda to, message: self.said.append((to, message)),
            self.workers,
            work,
            lambda: self.refusal,
            lambda: self.now,
        )

    def hears(self, message: Message, sender: bytes = COORDINATOR) -> list[tuple[bytes, Message]]:
        """Take a message in; return what is said then."""
        self.said.clear()
        self.lender.take(Received(sender, message))
        return list(self.said)

    def lends(self, number: int, holder: bytes = DRIVER) -> bytes:
        lease = bytes([number]) * 16
        amount = WireAmount(1, 10, 0)
        (_, answer), *_ = self.hears(LeaseAsk(lease, TERM, "b", holder, amount, "ann"))
        assert isinstance(answer, LeaseAnswer)
        if answer.reserved:
            self.hears(LeaseConfirm(lease))
        return lease

    def wait(self, seconds: float) -> list[tuple[bytes, Message]]:
        self.said.clear()
        self.now += seconds
        self.lender.tick(self.now)
        return list(self.said)

    def rooms(self) -> list[RoomTold]:
        return [said for _, said in self.said if isinstance(said, RoomTold)]


@pytest.fixture
def owner() -> Iterator[Owner]:
    owner = Owner()
    yield owner
    owner.workers.close()


def test_what_is_confirmed_is_lent_and_told(owner: Owner) -> None:
    lease = bytes([1]) * 16
    said = owner.hears(LeaseAsk(lease, TERM, "b", DRIVER, WireAmount(1, 10, 0), "ann"))
    assert said[0] == (COORDINATOR, LeaseAnswer(lease, True, WireAmount(1, 90, 1 << 60), ""))
    (told,) = owner.rooms()
    assert [(each.lease, each.granted) for each in told.leases] == [(lease, False)]
    said = owner.hears(LeaseConfirm(lease))
    assert said[0] == (DRIVER, LeaseGiven(lease, "b", WireAmount(1, 10, 0)))
    (told,) = owner.rooms()
    assert [(each.lease, each.granted) for each in told.leases] == [(lease, True)]


def test_why_nothing_is_lent(owner: Owner) -> None:
    def why(sender: bytes = COORDINATOR, term: int = TERM, holder: bytes = DRIVER) -> str:
        ask = LeaseAsk(bytes(16), term, "b", holder, WireAmount(1, 0, 0), "")
        answer = owner.hears(ask, sender)[0][1]
        assert isinstance(answer, LeaseAnswer)
        assert not answer.reserved
        return answer.why

    assert "another coordinator" in why(sender=DRIVER)
    assert "another coordinator" in why(term=TERM - 1)
    assert "may not build" in why(holder=WATCHER)
    owner.refusal = "it is drained"
    assert why() == "it is drained"


@pytest.mark.parametrize(("build", "at_least"), [("b" * 12, MAX_LEASES), ("\U0001f600" * 128, 100)])
def test_no_more_is_lent_than_can_be_told_in_a_message(
    owner: Owner, monkeypatch: pytest.MonkeyPatch, build: str, at_least: int
) -> None:
    reserved, why = 0, ""
    with monkeypatch.context() as patch:
        patch.setattr(WorkersRoom, "free", Amount(4096, 1 << 60, 1 << 60))
        patch.setattr(WorkersRoom, "take", lambda *_: True)
        patch.setattr(Lender, "tell_room", lambda _: None)  # which takes long after each
        for number in range(MAX_LEASES + 1):
            lease, amount = number.to_bytes(16, "big"), WireAmount(1, 1 << 40, 1 << 40)
            (_, answer), *_ = owner.hears(LeaseAsk(lease, TERM, build, DRIVER, amount, "ann"))
            assert isinstance(answer, LeaseAnswer)
            reserved, why = reserved + answer.reserved, answer.why
    assert "more leases" in why
    assert at_least <= reserved <= MAX_LEASES
    owner.said.clear()
    owner.lender.tell_room()
    (told,) = owner.rooms()
    assert len(told.leases) == reserved
    assert len(told.encode()) <= MAX_MESSAGE_BYTES


def test_room_is_told_again_to_who_may_believe_something_else(owner: Owner) -> None:
    owner.lender.tell_room()
    owner.said.clear()
    owner.lender.tell_room()
    assert owner.said == []
    owner.hears(LeaseCancel(bytes(16)))  # a question that never came
    assert len(owner.rooms()) == 1
    owner.said.clear()
    owner.lender.take(LinkUp(DRIVER, True))
    assert owner.said == []
    owner.lender.take(LinkUp(COORDINATOR, True))
    assert len(owner.rooms()) == 1
    owner.said.clear()
    owner.local.office = SimpleNamespace(coordinator=DRIVER, counter=TERM + 1)
    owner.lender.take(OfficeChanged(owner.local.office))
    assert owner.said[0][0] == DRIVER
    owner.wait(0.5)
    assert len(owner.rooms()) == 1  # it may not have taken office yet when it was told
    owner.wait(3.0)
    owner.wait(0.5)
    assert owner.rooms() == []
    owner.wait(5.0)
    assert len(owner.rooms()) == 1


def test_who_may_not_have_heard_of_a_lease_is_told_again(owner: Owner) -> None:
    lease = owner.lends(1)
    assert not any(isinstance(said, LeaseGiven) for _, said in owner.wait(3.0))
    assert (DRIVER, LeaseGiven(lease, "b", WireAmount(1, 10, 0))) in owner.wait(1.5)
    owner.hears(LeaseKeep((lease,)), DRIVER)
    assert not any(isinstance(said, LeaseGiven) for _, said in owner.wait(1.5))
    assert (DRIVER, LeaseGone(lease, "it was not renewed in time")) in owner.wait(KEPT_S)
    assert owner.work.ended == [lease]


def test_a_command_gets_no_more_than_its_lease_has(owner: Owner) -> None:
    lease = owner.lends(1)
    asked = work_ask(b"w" * 16, lease)
    for ask in (replace(asked, memory_bytes=11), replace(asked, disk_bytes=1)):
        ((_, done),) = owner.hears(ask, DRIVER)
        assert isinstance(done, WorkDone)
        assert done.refused == "it asks for more than its lease has"
    assert owner.hears(replace(asked, memory_bytes=10), DRIVER) == []
    assert owner.work.begun == [b"w" * 16]


def test_a_command_on_a_lease_that_is_over_says_nothing_against_the_host(owner: Owner) -> None:
    lease = owner.lends(1)
    owner.hears(LeaseReturn(lease), DRIVER)
    asked = work_ask(b"w" * 16, lease)
    assert owner.hears(asked, DRIVER) == [(DRIVER, LeaseGone(lease, "there is no such lease"))]
    assert owner.work.begun == []


def test_who_may_not_build_any_more_has_nothing_of_its_leases(owner: Owner) -> None:
    lease = owner.lends(1)
    owner.local.members.members[DRIVER].rights = Rights.OBSERVER
    ((_, done),) = owner.hears(work_ask(b"w" * 16, lease), DRIVER)
    assert isinstance(done, WorkDone)
    assert "may not build" in (done.refused or "")
    owner.now += KEPT_S - 1
    ((_, gone),) = owner.hears(LeaseKeep((lease,)), DRIVER)
    assert isinstance(gone, LeaseGone)
    owner.wait(1.0)
    assert (owner.work.begun, owner.work.ended) == ([], [lease])


def test_own_commands_come_before_those_of_others(owner: Owner) -> None:
    go, started = threading.Event(), threading.Semaphore(0)

    def own(turn: Turn) -> None:
        started.release()
        assert go.wait(30)

    async def run() -> None:
        used, free = owner.lends(1), owner.lends(2)
        owner.work.busy.add(used)
        mine = [
            asyncio.ensure_future(owner.workers.run(Digest.of(name), CancelToken(), own))
            for name in (b"a", b"b")
        ]
        await asyncio.sleep(0)
        owner.said.clear()
        owner.lender.room_changed()
        wanted = {said.lease for _, said in owner.said if isinstance(said, LeaseWanted)}
        assert wanted == {used, free}
        owner.hears(LeaseReturn(free), DRIVER)  # it was idle
        await asyncio.to_thread(started.acquire, timeout=30)
        owner.wait(CALLED_S)
        assert owner.work.ended == [free]  # the other runs to its end
        owner.lends(3)
        assert [each.id for each in owner.lender.leases] == [used]
        owner.work.busy.clear()
        assert (DRIVER, LeaseGone(used, "its owner needs it")) in owner.wait(CALLED_S)
        await asyncio.to_thread(started.acquire, timeout=30)
        go.set()
        await asyncio.gather(*mine)

    asyncio.run(run())


def test_who_lends_nothing_any_more_gets_everything_back(owner: Owner) -> None:
    used, free = owner.lends(1), owner.lends(2)
    owner.work.busy.add(used)
    owner.refusal = "it is drained"
    owner.said.clear()
    owner.lender.room_changed()
    assert {said.lease for _, said in owner.said if isinstance(said, LeaseWanted)} == {used, free}
    assert owner.rooms()[-1].free == WireAmount(0, 0, 0)
    assert (DRIVER, LeaseGone(free, "it is drained")) in owner.wait(CALLED_S)
    assert [each.id for each in owner.lender.leases] == [used]
    owner.hears(LeaseReturn(used), DRIVER)
    assert owner.lender.leases == ()
    assert owner.workers.free == (2, 100)


@pytest.mark.parametrize(
    ("message", "sender"),
    [
        (LeaseKeep((bytes([1]) * 16,)), DRIVER),
        (LeaseConfirm(bytes([1]) * 16), COORDINATOR),
        (LeaseAsk(bytes([2]) * 16, TERM, "b", DRIVER, WireAmount(1, 10, 0), "ann"), COORDINATOR),
    ],
)
def test_what_lapsed_while_the_owner_stood_still_ends_whatever_is_heard_first(
    owner: Owner, message: Message, sender: bytes
) -> None:
    ended: list[str] = []
    owner.lender.on_ended = lambda lease, why: ended.append(why)
    lease = owner.lends(1)
    owner.now += KEPT_S
    said = owner.hears(message, sender)
    assert owner.work.ended == [lease]
    assert ended == ["it was not renewed in time"]
    assert (DRIVER, LeaseGone(lease, "it was not renewed in time")) in said


def test_lease_periods_are_told(owner: Owner) -> None:
    told: list[tuple[str, Amount]] = []
    owner.lender.on_lent = lambda lease: told.append(("lent", lease.amount))
    owner.lender.on_ended = lambda lease, why: told.append((why, lease.amount))
    lease = owner.lends(1)
    owner.hears(LeaseConfirm(lease))  # twice
    assert [each.actor for each in owner.lender.leases] == ["ann"]
    owner.hears(LeaseReturn(lease), DRIVER)
    owner.lends(2)
    owner.lender.close()
    amount = Amount(1, 10)
    assert told == [
        ("lent", amount),
        ("it was given back", amount),
        ("lent", amount),
        ("its owner leaves", amount),
    ]


@pytest.mark.parametrize(
    "amount", [Amount(3, 10, 10), Amount(1, 101, 10), Amount(1, 10, 51), Amount(2, 100, 40)]
)
def test_nothing_is_lent_twice_of_slots_memory_and_disk(amount: Amount) -> None:
    workers = Workers(Capacity(2, None, 100, lambda: 50))
    room = WorkersRoom(workers)
    granted = [room.take(bytes([number]) * 16, amount) for number in range(3)]
    assert granted == ([True, False, False] if amount == Amount(2, 100, 40) else [False] * 3)
    left = Amount(2, 100, 50) - (amount if granted[0] else Amount())
    assert room.free == left
    workers.close()


def test_nothing_is_lent_that_one_command_may_not_have() -> None:
    workers = Workers(Capacity(4, None, 100, lambda: 50), Grant(2, 60, 40))
    room = WorkersRoom(workers)
    for amount in (Amount(3), Amount(1, 61), Amount(1, 0, 41)):
        assert not room.take(b"l" * 16, amount)
    assert room.take(b"l" * 16, Amount(2, 60, 40))
    workers.close()
