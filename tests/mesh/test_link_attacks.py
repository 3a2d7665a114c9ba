"""Attacks on links over pairs in memory: strangers at the door, and members that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from tests.mesh.bounded import run
from tests.mesh.link_sites import ALICE, BOB, CAROL, HELLO, STRANGER, Site, dialled, linked, refusal

from buildnet.mesh.events import LinkDown
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link import envelope
from buildnet.mesh.link.connection import ConnectionClosed
from buildnet.mesh.link.handshake import HandshakeError, Initiator, Purpose
from buildnet.mesh.link.handshaking import MAX_UNFINISHED, initiate
from buildnet.mesh.link.links import SHUNNED, LinkOffer
from buildnet.mesh.link.peer import FLOOD, MESSAGES_BURST
from buildnet.mesh.messages.kinds import kind_of
from buildnet.mesh.service.testing import MemoryConnection, pair


def test_thousands_of_unfinished_handshakes_keep_nobody_out() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB)
        ends: list[MemoryConnection] = []
        async with asyncio.TaskGroup() as group:
            for number in range(3000):
                here, there = pair(f"10.{number % 200}.{number // 200}.1:1")
                ends.append(here)
                if number % 2:
                    await here.send(
                        Initiator(STRANGER, 1, Purpose.MEMBER, cluster_id=bytes(32)).start()
                    )
                group.create_task(bob.links.accept(there))
                if number % 100 == 0:
                    await asyncio.sleep(0)
            await bob.until(lambda: len(bob.notes) >= 2 * (3000 - MAX_UNFINISHED))
            async with dialled(alice, bob):
                await linked(alice, bob)
            for end in ends:
                await end.close()
        assert set(bob.reasons()) == {"unfinished handshake", "unfinished handshake displaced"}
        assert sum(1 for end in ends if end.closed) == 3000

    run(work())


@pytest.mark.parametrize(
    "garbage", [b"", b"GET / HTTP/1.1", bytes(64 * 1024), b"\x85" + b"\x81" * 500]
)
def test_garbage_instead_of_a_handshake(garbage: bytes) -> None:
    async def work() -> None:
        bob = Site(BOB)
        here, there = pair()
        await here.send(garbage)
        await bob.links.accept(there)
        assert bob.reasons()[0].startswith("handshake: ")
        assert there.closed

    run(work())


def test_who_knows_another_cluster_only() -> None:
    async def work() -> None:
        bob = Site(BOB)
        here, there = pair()
        initiator = Initiator(
            ALICE,
            1,
            Purpose.MEMBER,
            cluster_id=b"other cluster".ljust(32),
            extra=LinkOffer(None).encode(),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(bob.links.accept(there))
            with pytest.raises((ConnectionClosed, HandshakeError)):
                await initiate(here, initiator)
        assert bob.reasons() == ["handshake: wrong cluster or signature"]

    run(work())


@asynccontextmanager
async def by_hand(site: Site, key: NodeKey, boot: int = 10) -> AsyncIterator[Attacker]:
    """Link to ``site`` as the member ``key`` whose process does what the test says."""
    here, there = pair()
    cluster_id = site.local.members.cluster_id
    initiator = Initiator(
        key,
        boot,
        Purpose.MEMBER,
        cluster_id=cluster_id,
        extra=LinkOffer(site.id).encode(),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(site.links.accept(there))
        await initiate(here, initiator)
        yield Attacker(here, initiator, cluster_id)
        task.cancel()


@dataclass
class Attacker:
    connection: MemoryConnection
    initiator: Initiator
    cluster_id: bytes

    def __post_init__(self) -> None:
        self.cipher = self.initiator.session.cipher()

    async def send(self, plain: bytes) -> None:
        await self.connection.send(self.cipher.seal(plain))

    def envelope(
        self, signer: NodeKey, recipient: bytes | None, sequence: int = 1, hlc: int = 1
    ) -> bytes:
        return envelope.seal(
            signer,
            recipient,
            kind_of(HELLO).number,
            HELLO.encode(),
            boot=10,
            sequence=sequence,
            hlc=hlc,
            term=0,
            cluster_id=self.cluster_id,
        )


def test_a_message_for_one_member_is_worthless_at_another() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        async with by_hand(carol, BOB) as bob:
            # Alice said it to Bob; Bob hands it on to Carol.
            await bob.send(bob.envelope(ALICE, BOB.public_key))
            await carol.until(lambda: len(carol.events) == 2)
        assert carol.taken == []
        assert carol.events[1] == LinkDown(BOB.public_key, "forged sender")
        assert carol.notes[-1].reason == "forged sender"

    run(work())


def test_ones_own_message_for_another_member_is_refused() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        async with by_hand(carol, BOB) as bob:
            await bob.send(bob.envelope(BOB, ALICE.public_key))
            await carol.until(lambda: len(carol.events) == 2)
        assert carol.taken == []
        assert carol.notes[-1].reason == "for another node"

    run(work())


def test_a_member_that_misbehaves_is_shunned_for_a_while() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        async with by_hand(carol, BOB) as bob:
            await bob.send(b"no envelope at all")
            await carol.until(lambda: len(carol.events) == 2)
        assert await refusal(carol, Site(BOB)) == SHUNNED
        carol.now += 31
        carol.links.check(carol.now)
        async with by_hand(carol, BOB):
            await carol.until(lambda: BOB.public_key in carol.links.peers)

    run(work())


def test_a_replayed_message_is_dropped_and_counted() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        async with by_hand(carol, BOB) as bob:
            said = bob.envelope(BOB, CAROL.public_key)
            for _ in range(3):
                await bob.send(said)
            await carol.until(lambda: len(carol.notes) == 2)
            assert len(carol.taken) == 1
            assert carol.reasons() == ["replayed message", "replayed message"]
            assert BOB.public_key in carol.links.peers

    run(work())


def test_a_flood_ends_the_link_and_others_go_on() -> None:
    async def work() -> None:
        alice, carol = Site(ALICE), Site(CAROL)
        async with dialled(alice, carol):
            await linked(alice, carol)
            async with by_hand(carol, BOB) as bob:
                with pytest.raises(ConnectionClosed):
                    await flood(bob)
            assert LinkDown(BOB.public_key, FLOOD) in carol.events
            assert len(carol.taken) <= MESSAGES_BURST
            alice.links.say(carol.id, HELLO)
            await carol.until(lambda: carol.taken[-1].sender == alice.id)

    run(work())


async def flood(attacker: Attacker) -> None:
    for sequence in range(1, 2 * int(MESSAGES_BURST)):
        await attacker.send(attacker.envelope(BOB, None, sequence))


def test_a_clock_an_hour_ahead_is_noted_and_not_followed() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        before = carol.local.clock.now()
        ahead = before + (3600 * 1000 << 16)
        async with by_hand(carol, BOB) as bob:
            await bob.send(bob.envelope(BOB, None, hlc=ahead))
            await carol.until(lambda: carol.taken)
        assert carol.reasons() == ["clock far ahead"]
        assert carol.local.clock.now() < before + (1000 << 16)

    run(work())


def test_where_most_clocks_are_ahead_it_is_this_host_s_that_is_behind() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        ahead = carol.local.clock.now() + (3600 * 1000 << 16)
        async with by_hand(carol, ALICE) as alice, by_hand(carol, BOB) as bob:
            await alice.send(alice.envelope(ALICE, None, hlc=ahead))
            await carol.until(lambda: len(carol.taken) == 1)
            assert carol.links.clocks.off_ms is None
            await bob.send(bob.envelope(BOB, None, hlc=ahead))
            await carol.until(lambda: len(carol.taken) == 2)
            assert carol.reasons() == ["clock far ahead", "this host's clock is behind"]
            assert abs((carol.links.clocks.off_ms or 0) - 3_600_000) < 1000
        await carol.until(lambda: not carol.links.peers)
        assert carol.links.clocks.off_ms is None

    run(work())


def test_a_tampering_middle_ends_the_link_but_shuns_nobody() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        async with by_hand(carol, BOB) as bob:
            frame = bytearray(bob.cipher.seal(bob.envelope(BOB, None)))
            frame[30] ^= 1
            await bob.connection.send(bytes(frame))
            await carol.until(lambda: len(carol.events) == 2)
        assert carol.reasons() == ["altered frame"]
        async with by_hand(carol, BOB):
            await carol.until(lambda: BOB.public_key in carol.links.peers)

    run(work())
