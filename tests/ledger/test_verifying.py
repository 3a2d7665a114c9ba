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
        verifying = Verifying(verify, found.append, found.append)
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
        verifying = Verifying(verify, lambda event: together.append(goes_on.wait(10)), print)
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
