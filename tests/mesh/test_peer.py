"""A running link: order, slow readers, floods, altered frames, bugs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from buildnet.mesh.allowance import Allowance
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.link.peer import (
    ALTERED_FRAME,
    BUG,
    FLOOD,
    MESSAGES_BURST,
    SLOW_READER,
    STUCK_CHECKS,
    BadPeerError,
    Peer,
)
from buildnet.mesh.link.send_queue import MAX_MESSAGES, Outgoing
from buildnet.mesh.messages.kinds import Priority
from buildnet.mesh.service.testing import MemoryConnection, pair

KEYS = (b"1" * 32, b"2" * 32)


def peer_on(
    connection: MemoryConnection,
    take: Callable[[Peer, bytes], None] = lambda peer, plain: None,
    *,
    clock: Callable[[], float] = lambda: 0.0,
) -> Peer:
    return Peer(
        b"p" * 32,
        connection,
        FrameCipher(*KEYS),
        boot=1,
        outgoing=True,
        address=None,
        relayed_by=None,
        seal=lambda recipient, item: item.payload,
        take=take,
        clock=clock,
    )


def other_side() -> FrameCipher:
    return FrameCipher(KEYS[1], KEYS[0])


def item(payload: bytes, priority: Priority = Priority.OTHER) -> Outgoing:
    return Outgoing(1, priority, payload)


def run_until_over(peer: Peer) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await peer.run()

    asyncio.run(bounded())


def test_says_what_is_urgent_first_and_takes_what_arrives() -> None:
    taken: list[bytes] = []

    async def run() -> None:
        here, there = pair()

        def take(peer: Peer, plain: bytes) -> None:
            taken.append(plain)
            if plain == b"2":
                peer.end("enough")

        peer = peer_on(here, take)
        peer.say(item(b"later"))
        peer.say(item(b"sooner", Priority.ELECTION))
        cipher = other_side()
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(peer.run())
            said = [cipher.open(await there.receive()) for _ in range(2)]
            for number in (1, 2):
                await there.send(cipher.seal(b"%d" % number))
        assert said == [b"sooner", b"later"]
        assert peer.reason == "enough"
        assert not peer.misbehaved
        traffic = peer.traffic
        assert (traffic.messages_sent, traffic.messages_received) == (2, 2)
        assert traffic.bytes_received == 2 * 17

    asyncio.run(run())
    assert taken == [b"1", b"2"]


def ended_by(frames: list[bytes], take: Callable[[Peer, bytes], None] | None = None) -> Peer:
    """Run a link on which these frames arrive, until it ends."""
    box: list[Peer] = []

    async def run() -> None:
        here, there = pair(room=2 * int(MESSAGES_BURST))
        peer = peer_on(here, take or (lambda peer, plain: None))
        box.append(peer)
        for frame in frames:
            await there.send(frame)
        async with asyncio.timeout(20):
            await peer.run()

    asyncio.run(run())
    return box[0]


def test_an_altered_frame_ends_the_link() -> None:
    frame = bytearray(other_side().seal(b"hello"))
    frame[0] ^= 1
    peer = ended_by([bytes(frame)])
    assert peer.reason == ALTERED_FRAME
    assert peer.misbehaved


def test_a_replayed_frame_ends_the_link() -> None:
    frame = other_side().seal(b"hello")
    assert ended_by([frame, frame]).reason == ALTERED_FRAME


def test_a_flood_ends_the_link() -> None:
    cipher = other_side()
    peer = ended_by([cipher.seal(b"x") for _ in range(int(MESSAGES_BURST) + 1)])
    assert peer.reason == FLOOD
    assert peer.misbehaved


def test_a_bug_ends_the_link_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def take(peer: Peer, plain: bytes) -> None:
        raise RuntimeError("a bug")

    peer = ended_by([other_side().seal(b"x")], take)
    assert peer.reason == BUG
    assert "Traceback" in caplog.text


def test_what_the_cores_refuse_ends_the_link() -> None:
    def take(peer: Peer, plain: bytes) -> None:
        raise BadPeerError("forged sender", "as somebody")

    peer = ended_by([other_side().seal(b"x")], take)
    assert (peer.reason, peer.detail) == ("forged sender", "as somebody")


def test_a_peer_that_reads_nothing_is_given_up() -> None:
    async def run() -> None:
        here, _there = pair(room=1)
        peer = peer_on(here)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(peer.run())
            for _ in range(3):
                peer.say(item(b"x"))
            for _ in range(5):
                await asyncio.sleep(0)
            for _ in range(STUCK_CHECKS):
                peer.check()
            assert peer.reason is None
            peer.check()
        assert peer.reason == SLOW_READER

    asyncio.run(run())


def test_a_queue_that_overflows_ends_the_link_and_nothing_grows() -> None:
    async def run() -> None:
        here, _there = pair(room=1)
        peer = peer_on(here)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(peer.run())
            for _ in range(10 * MAX_MESSAGES[Priority.ELECTION]):
                peer.say(item(b"x", Priority.ELECTION))
        assert peer.reason == SLOW_READER
        assert peer.queued <= MAX_MESSAGES[Priority.ELECTION]

    asyncio.run(run())


def test_the_other_side_hears_why() -> None:
    async def run() -> None:
        here, there = pair()
        peer = peer_on(here)
        peer.end("no member")
        await peer.run()
        await peer.close()
        assert there.closed is not None
        assert there.closed.reason == "no member"

    asyncio.run(run())


def test_who_waits_for_an_empty_queue_goes_on_when_it_is_and_when_the_link_ends() -> None:
    async def run() -> None:
        here, there = pair(room=1)
        peer = peer_on(here)
        await peer.drained()
        for number in range(3):
            peer.say(item(b"%d" % number))
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(peer.run())
            waiting = group.create_task(peer.drained())
            for _ in range(5):
                await asyncio.sleep(0)
            assert not waiting.done()
            for _ in range(3):
                await there.receive()
            await waiting
            peer.say(item(b"more"))
            peer.say(item(b"and more"))
            waiting = group.create_task(peer.drained())
            peer.end("over")
            await waiting

    asyncio.run(run())


def test_an_allowance_fills_up_again() -> None:
    allowance = Allowance(rate=2.0, burst=4.0, now=0.0)
    assert [allowance.take(1, 0.0) for _ in range(5)] == [True] * 4 + [False]
    assert [allowance.take(1, 1.0) for _ in range(3)] == [True, True, False]
    assert not allowance.take(5, 1000.0)
    assert allowance.take(4, 1000.0)
