"""Attacks on real nodes by members whose keys are in bad hands: no honest peer is harmed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Callable

import pytest
from tests.integration.attacked import PATIENCE_S, Door, counted, read_for_ever, run, until_counted
from websockets.exceptions import ConnectionClosed as WebSocketClosed
from websockets.frames import Frame, Opcode

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.messages.election import Heartbeat
from buildnet.mesh.messages.gossip import MAX_RECORDS, MAX_TOPICS, Ask, Records, Summary, Wanted
from testbed.nodes import refused
from testbed.rogue import RogueLink, key_of

pytestmark = pytest.mark.usefixtures("unharmed")


def refused_envelope(door: Door, make: Callable[[RogueLink], bytes], *reasons: str) -> None:
    """Send what ``make`` makes over a link of its own; it must be counted."""
    before = refused(door.target)

    async def attack() -> None:
        async with await door.link() as link:
            await link.send(make(link))
            with contextlib.suppress(BuildNetError, TimeoutError):
                await read_for_ever(link, 0.5)

    run(attack())
    until_counted(door, before, *reasons)


def test_a_forged_sender(door: Door) -> None:
    other = NodeKey.generate()
    refused_envelope(
        door, lambda link: link.envelope(Summary(bytes(8)), signer=other), "forged sender"
    )
    shown = door.target("pool", "health")
    assert shown.code == 0, shown.err
    assert "forged sender" in shown.out


def test_a_message_for_another_node(door: Door) -> None:
    other = key_of(door.honest[0]).public_key
    refused_envelope(
        door, lambda link: link.envelope(Summary(bytes(8)), recipient=other), "for another node"
    )


def test_a_replayed_message(door: Door) -> None:
    before = refused(door.target)

    async def attack() -> None:
        async with await door.link() as link:
            envelope = link.envelope(Summary(bytes(8)))
            await link.send(envelope)
            await link.send(envelope)
            until_counted(door, before, "replayed message")

    run(attack())


def test_a_payload_that_is_none(door: Door) -> None:
    for payload in (b"", b"\x81" * 40 + b"\x00", b"\xa2\x01\x01\x01\x02", os.urandom(300)):
        refused_envelope(
            door,
            lambda link, payload=payload: link.pack(30, payload, recipient=link.peer, sequence=1),  # type: ignore[misc]
            "message malformed",
        )


def test_a_frame_that_holds_no_envelope(door: Door) -> None:
    for plain in (b"", os.urandom(500), b"\x84\x40\x80\x40\x40"):
        refused_envelope(door, lambda link, plain=plain: plain, "message malformed")  # type: ignore[misc]


def test_an_unknown_kind_is_ignored_and_counted(door: Door) -> None:
    refused_envelope(
        door,
        lambda link: link.pack(9999, b"\x80", recipient=link.peer, sequence=1),
        "message of an unknown kind",
    )


def test_an_oversized_frame(door: Door) -> None:
    before = refused(door.target)

    async def attack() -> None:
        async with await door.link() as link:
            with contextlib.suppress(WebSocketClosed):
                await link.websocket.send(os.urandom(70_000))
            closed = await link.until_closed()
            assert closed.close_code == 1009

    run(attack())
    until_counted(door, before, "oversized message")


def fragment(opcode: Opcode, data: bytes = b"") -> bytes:
    return Frame(opcode, data, fin=False).serialize(mask=True)


ABUSE = {
    "text message": Frame(Opcode.TEXT, b"hello").serialize(mask=True),
    "message in too many fragments": fragment(Opcode.BINARY) + fragment(Opcode.CONT) * 1000,
    "malformed WebSocket frame": fragment(Opcode.CONT),
    "oversized message": fragment(Opcode.BINARY, bytes(250_000))
    + fragment(Opcode.CONT, bytes(99_999)),
}


@pytest.mark.parametrize("reason", ABUSE)
def test_a_member_that_abuses_the_websocket(door: Door, reason: str) -> None:
    before = refused(door.target)

    async def attack() -> None:
        async with await door.link() as link:
            link.websocket.transport.write(ABUSE[reason])
            with contextlib.suppress(BuildNetError, TimeoutError):
                await read_for_ever(link)

    run(attack())
    until_counted(door, before, reason)


def test_an_old_term_is_not_obeyed(door: Door) -> None:
    office = door.target.office()
    assert office is not None
    heartbeat = Heartbeat(office.term - 1 if office.term else 0, True, True, 1, 1, bytes(8), 4)
    refused_envelope(
        door, lambda link: link.envelope(heartbeat, term=office.term - 1), "term too old"
    )


def test_a_term_that_was_never_granted_is_not_obeyed(door: Door) -> None:
    """Far ahead, and just ahead, each as if a majority had promised it."""
    office = door.target.office()
    assert office is not None

    async def attack() -> None:
        for term in (office.term + 1, office.term + 10**6, 2**63 - 1):
            async with await door.link() as link:
                for beat in range(1, 20):
                    heartbeat = Heartbeat(term, True, True, beat, 1, bytes(8), 4)
                    await link.send(link.envelope(heartbeat, term=term))
                with contextlib.suppress(BuildNetError, TimeoutError):
                    await read_for_ever(link, 1.5)  # longer than a follower's patience
                assert door.target.office() == office

    run(attack())


def test_a_flood_ends_the_link(door: Door) -> None:
    before = refused(door.target)

    async def attack() -> None:
        async with await door.link() as link:
            with contextlib.suppress(WebSocketClosed):
                for _ in range(20_000):
                    await link.send(link.envelope(Summary(bytes(8))))
            assert (await link.until_closed()).close_code == 1008

    run(attack())
    until_counted(door, before, "flood")


def test_a_flood_of_genuine_records_costs_a_coordinator_nothing(door: Door) -> None:
    """Each one newer than the one before and signed as it should be, as many as a link takes."""
    office = door.target.office()
    assert office is not None
    coordinator = next(node for node in door.honest if node.identity == office.coordinator)
    before = refused(coordinator)

    async def attack() -> None:
        async with await door.link(coordinator.address) as link:
            versions = itertools.count(1)
            for _ in range(300):
                records = tuple(
                    link.record("load", b"", next(versions)) for _ in range(MAX_RECORDS)
                )
                await link.send(link.envelope(Records(records)))
            async with asyncio.timeout(PATIENCE_S):
                while counted(coordinator, before).get("too many records", 0) < 15_000:
                    await asyncio.sleep(0.05)

    run(attack())
    assert all(node.office() == office for node in door.honest)


def test_a_slow_reader_is_let_go(door: Door) -> None:
    """It publishes all that it may, then asks for that again and again and reads nothing of it."""
    before = refused(door.target)

    async def attack() -> None:
        async with await door.link() as link:
            topics = [f"topic{number}" for number in range(MAX_TOPICS)]
            for topic in topics:
                await link.send(link.envelope(Records((link.record(topic, bytes(48 * 1024)),))))
            ask = Ask(tuple(Wanted(link.key.public_key, topic) for topic in topics))
            link.websocket.transport.pause_reading()
            with contextlib.suppress(WebSocketClosed, TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    while not counted(door.target, before).get("slow reader"):
                        await link.send(link.envelope(ask))
                        await asyncio.sleep(0.05)
            link.websocket.transport.abort()

    run(attack())
    until_counted(door, before, "slow reader")


def test_a_clock_that_is_an_hour_off_moves_no_other(door: Door) -> None:
    before = refused(door.target)

    async def attack() -> None:
        async with await door.link() as link:
            hlc = int((time.time() + 3600) * 1000) << 16
            for _ in range(5):
                await link.send(link.envelope(Summary(bytes(8)), hlc=hlc))
            answer = await link.receive()
            assert abs((answer.hlc >> 16) / 1000 - time.time()) < 60

    run(attack())
    until_counted(door, before, "clock far ahead")
