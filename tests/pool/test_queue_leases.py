"""What the queue asks owners for: leases that are late, unheard or doubly told, and successors."""

from __future__ import annotations

from tests.pool.queued_pool import UNIT, Pool, asked

from buildnet.pool.demand import Demand, Orders, Want
from buildnet.pool.leases import RESERVED_S, Amount
from buildnet.pool.queue import AskLease, CancelLease, ConfirmLease, Queue


def test_what_is_asked_for_a_build_is_cancelled_when_it_is_paused() -> None:
    pool = Pool(1)
    (host,) = pool.hosts
    (ask,) = asked(pool, host)
    pool.queue.demanded(
        Demand("a", b"d" * 32, "a", (Want(UNIT, 1, (host,)),), Orders(paused=True)), 0.0
    )
    assert pool.queue.decide(0.0) == [CancelLease(host, ask.lease)]


def test_a_successor_goes_on_with_what_owners_tell() -> None:
    pool = Pool(3)
    pool.wants("a", 3)
    pool.queue = Queue(lambda: b"n" * 16)
    for host in pool.hosts.values():
        pool.told(host)
    pool.wants("a", 3)
    assert pool.has() == {"a": 3}


def test_what_comes_too_late_is_cancelled() -> None:
    pool = Pool(1)
    (key,) = pool.hosts
    pool.queue.reserved(b"x" * 16, key, Amount(), 0.0)
    assert pool.queue.decide(0.0) == [CancelLease(key, b"x" * 16)]
    pool.queue.refused(b"x" * 16, key, Amount(), 0.0)
    assert pool.queue.decide(0.0) == []


def test_nobody_tells_of_what_another_owner_granted() -> None:
    pool = Pool(1, 1)
    one, other = pool.hosts
    (ask,) = asked(pool, one)
    pool.queue.owner_told(other, Amount(1, 100), {ask.lease: ("a", UNIT)}, pool.now)
    (waiting,) = pool.queue.view(pool.now)
    assert waiting.leases == 0


def test_a_reservation_is_not_forgotten_between_answer_and_confirmation() -> None:
    pool = Pool(1)
    (owner,) = pool.hosts
    (ask,) = asked(pool, owner)
    # Its answer may be lost, but not what it tells of its room.
    pool.queue.owner_told(owner, Amount(0, 90), {}, 0.0, {ask.lease})
    assert pool.queue.decide(0.0) == [ConfirmLease(owner, ask.lease)]
    pool.queue.owner_told(owner, Amount(0, 90), {}, 0.0, {ask.lease})
    assert pool.queue.decide(0.0) == []
    assert pool.queue.view(0.0)[0].leases == 1
    pool.queue.owner_told(owner, Amount(1, 100), {}, 0.0)  # it lapsed
    assert pool.queue.view(0.0)[0].leases == 0


def test_room_that_was_told_before_a_question_arrived_is_not_asked_for_twice() -> None:
    pool = Pool(1)
    (host,) = pool.hosts.values()
    asked(pool, host.key, wanted=2)
    pool.told(host)
    assert pool.queue.decide(pool.now) == []


def test_what_nobody_answered_may_be_asked_for_again() -> None:
    pool = Pool(1)
    (host,) = pool.hosts.values()
    (ask,) = asked(pool, host.key)
    pool.now += RESERVED_S
    pool.queue.tick(pool.now)
    cancel, again = pool.queue.decide(pool.now)
    assert cancel == CancelLease(host.key, ask.lease)
    assert isinstance(again, AskLease)
    pool.queue.ended("a")
    pool.wants("b")
    assert pool.has() == {"b": 1}
