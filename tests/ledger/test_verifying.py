"""Entries of peers are checked in their order, many of them in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from tests.ledger.entries import ANN, BOB, run

from buildnet.ledger.events import EntriesArrived
from buildnet.ledger.messages import Entries, SealsAsk
from buildnet.ledger.service import verifying as module
from buildnet.ledger.service.useless import BURST, PER_S, Useless
from buildnet.ledger.service.verifying import Verifying
from buildnet.mesh.events import Note, Received

ROW = run(60)
ASK = SealsAsk(1)


def good(key: bytes, message: bytes, signature: bytes) -> bool:
    return True


def entries(first: int, last: int, sender: bytes = ANN.public_key) -> Received:
    """A peer's message with the entries ``first`` to ``last``."""
    return Received(sender, Entries(tuple(one.signed for one in ROW[first - 1 : last])), 100)


def said(found: object) -> object:
    """What a test compares: the sequences of entries, the words of a note, a message."""
    match found:
        case EntriesArrived(_, some):
            return tuple(one.body.sequence for one in some)
        case Received(_, message):
            return message
        case Note():
            return found.reason
        case _:
            return found


def checked(
    *events: Received, verify: Callable[[bytes, bytes, bytes], bool] = good, wanted: int
) -> list[object]:
    """Put all at once; return what was handed on, once it is so much."""

    async def go() -> list[object]:
        found: list[object] = []
        verifying = Verifying(verify, found.append, found.append, Useless(lambda entry: True))
        for event in events:
            verifying.put(event)
        running = asyncio.create_task(verifying.run())
        async with asyncio.timeout(20):
            while len(found) < wanted:
                await asyncio.sleep(0)
        running.cancel()
        return [said(one) for one in found]

    return asyncio.run(go())


@pytest.mark.parametrize("inline", [0, 10, 1000])
def test_what_a_peer_says_stays_in_its_order(monkeypatch: pytest.MonkeyPatch, inline: int) -> None:
    monkeypatch.setattr(module, "INLINE", inline)
    monkeypatch.setattr(module, "MAX_TOGETHER", 15)
    ask = Received(ANN.public_key, ASK, 10)
    found = checked(
        *(entries(1, 20), ask, entries(21, 22), entries(23, 60), ask),
        wanted=5,
    )
    assert found == [tuple(range(1, 21)), ASK, (21, 22), tuple(range(23, 61)), ASK]


def test_others_need_not_wait_for_a_peer_whose_entries_are_checked() -> None:
    ask = Received(BOB.public_key, ASK, 10)
    assert checked(entries(1, 50), ask, wanted=2) == [ASK, tuple(range(1, 51))]


def test_a_thread_checks_more_while_what_it_checked_is_handed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "INLINE", 0)
    monkeypatch.setattr(module, "MAX_TOGETHER", 10)
    last, goes_on = ROW[19].hash, threading.Event()
    together: list[bool] = []

    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        if message.endswith(last):
            goes_on.set()
        return True

    async def go() -> None:
        useless = Useless(lambda entry: True)
        verifying = Verifying(
            verify, lambda event: together.append(goes_on.wait(10)), print, useless
        )
        verifying.put(entries(1, 10))
        verifying.put(entries(11, 20))
        running = asyncio.create_task(verifying.run())
        async with asyncio.timeout(30):
            while len(together) < 2:
                await asyncio.sleep(0)
        running.cancel()

    asyncio.run(go())
    assert together == [True, True]


def test_a_message_with_one_forged_entry_is_refused_as_a_whole() -> None:
    forged = ROW[1].hash

    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        return not message.endswith(forged)

    found = checked(entries(1, 3), entries(4, 5), verify=verify, wanted=2)
    assert found == ["ledger: entry forged", (4, 5)]


def test_who_sends_too_much_of_no_use_is_not_listened_to_for_a_while() -> None:
    now, looked_at = 100.0, list[bytes]()
    known = {one.id for one in ROW}
    useless = Useless(lambda entry: entry.id not in known, lambda: now)
    found: list[object] = []

    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        looked_at.append(message)
        return True

    async def go() -> None:
        nonlocal now
        verifying = Verifying(verify, found.append, found.append, useless)
        running = asyncio.create_task(verifying.run())

        async def sent(*events: Received) -> list[object]:
            found.clear()
            for event in events:
                verifying.put(event)
            async with asyncio.timeout(20):
                while len(found) < len(events):
                    await asyncio.sleep(0)
            return [said(one) for one in found]

        useless.charge(ANN.public_key, int(BURST) - 60)
        assert await sent(entries(1, 60)) == [tuple(range(1, 61))]  # the last ones that may be
        looked_at.clear()
        dropped = "ledger: entries of no use, too many"
        assert await sent(entries(1, 60), Received(ANN.public_key, ASK, 10)) == [dropped, ASK]
        assert looked_at == []
        assert await sent(entries(1, 5, BOB.public_key)) == [(1, 2, 3, 4, 5)]
        now += 60 / PER_S
        assert await sent(entries(1, 60)) == [tuple(range(1, 61))]
        running.cancel()

    asyncio.run(go())


def test_forged_entries_are_of_no_use_and_repeated_ones_as_many_as_were_new() -> None:
    news = True
    useless = Useless(lambda entry: news, lambda: 1.0)
    useless.charge(ANN.public_key, int(BURST) - 10)
    useless.weigh(BOB.public_key, ROW)  # 60 that are new, from somebody else
    news = False
    useless.weigh(ANN.public_key, ROW)
    assert useless.may_send(ANN.public_key)
    useless.weigh(ANN.public_key, ROW[:10])
    assert not useless.may_send(ANN.public_key)

    useless = Useless(lambda entry: True, lambda: 1.0)
    useless.charge(ANN.public_key, int(BURST) - 3)

    async def go() -> None:
        found: list[object] = []
        verifying = Verifying(lambda *_: False, found.append, found.append, useless)
        running = asyncio.create_task(verifying.run())
        verifying.put(entries(1, 3))
        async with asyncio.timeout(20):
            while not found:
                await asyncio.sleep(0)
        running.cancel()

    asyncio.run(go())
    assert not useless.may_send(ANN.public_key)


def test_who_sent_much_more_is_not_listened_to_until_it_is_made_up_for() -> None:
    """One message costs as much as it holds, however little was left."""
    now, news = 1.0, False
    useless = Useless(lambda entry: news, lambda: now)
    useless.charge(ANN.public_key, int(BURST) - 1)
    useless.weigh(ANN.public_key, ROW)
    now += 30 / PER_S
    assert not useless.may_send(ANN.public_key)
    now += 30 / PER_S
    assert useless.may_send(ANN.public_key)


def test_an_entry_that_a_message_holds_many_times_is_of_use_once() -> None:
    useless = Useless(lambda entry: True, lambda: 1.0)
    useless.charge(ANN.public_key, int(BURST) - 10)
    useless.weigh(ANN.public_key, ROW[:1] * 30)
    assert useless.taken == 1
    assert not useless.may_send(ANN.public_key)
