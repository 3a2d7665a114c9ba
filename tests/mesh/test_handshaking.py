"""How many handshakes may be unfinished, and who has to go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from buildnet.mesh.link.handshake import HandshakeError, Initiator, Purpose, Responder
from buildnet.mesh.link.handshaking import (
    MAX_UNFINISHED,
    MAX_UNFINISHED_PER_HOST,
    HandshakeSlots,
    hear,
    host_of,
    initiate,
)
from buildnet.mesh.service.testing import pair
from buildnet.mesh.testing import key_number


@pytest.mark.parametrize(
    ("remote", "host"),
    [("10.0.0.1:80", "10.0.0.1"), ("[::1]:80", "::1"), ("relay-ab:cd", "relay-ab"), ("x", "x")],
)
def test_hosts(remote: str, host: str) -> None:
    assert host_of(remote) == host


def displaced_by(remotes: list[str]) -> list[int]:
    """Begin handshakes in this order, none of which ever ends; return who had to go."""
    gone: list[int] = []

    async def begin(slots: HandshakeSlots, number: int, remote: str) -> None:
        try:
            async with slots.taken(remote):
                await asyncio.Event().wait()
        except TimeoutError:
            gone.append(number)

    async def run() -> None:
        slots = HandshakeSlots(lambda host: None)
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, remote in enumerate(remotes):
                tasks.append(group.create_task(begin(slots, number, remote)))
                for _ in range(3):
                    await asyncio.sleep(0)
            assert len(slots) == len(remotes) - len(gone)
            for task in tasks:
                task.cancel()
        assert len(slots) == 0

    asyncio.run(run())
    return gone


def hosts(count: int, name: Callable[[int], str]) -> list[str]:
    return [name(number) for number in range(count)]


def test_one_host_displaces_itself_only() -> None:
    honest = ["192.0.2.1:1"]
    flood = hosts(20, lambda n: f"192.0.2.66:{n}")
    assert displaced_by([*honest, *flood]) == list(range(1, 21 - MAX_UNFINISHED_PER_HOST))


def test_many_hosts_displace_the_oldest() -> None:
    assert displaced_by(hosts(MAX_UNFINISHED + 3, lambda n: f"10.0.{n}.1:1")) == [0, 1, 2]


def test_loopback_counts_in_all_only() -> None:
    assert displaced_by(hosts(MAX_UNFINISHED, lambda n: f"127.0.0.1:{n}")) == []


def test_both_sides_come_to_the_same_session() -> None:
    async def run() -> None:
        here, there = pair()
        alice, bob = key_number(1), key_number(2)
        cluster = b"c" * 32
        initiator = Initiator(alice, 7, Purpose.MEMBER, cluster_id=cluster)
        responder = Responder(cluster)

        async def respond() -> None:
            claim = await hear(there, responder)
            assert (claim.key, claim.boot) == (alice.public_key, 7)
            await there.send(responder.accept(bob, 9))

        async with asyncio.TaskGroup() as group:
            group.create_task(respond())
            accepted = await initiate(here, initiator)
        assert (accepted.key, accepted.boot) == (bob.public_key, 9)
        sealed = initiator.session.cipher().seal(b"hello")
        assert responder.session.cipher().open(sealed) == b"hello"

    asyncio.run(run())


def test_a_member_is_not_kept_waiting() -> None:
    async def run() -> None:
        here, there = pair()
        initiator = Initiator(key_number(1), 1, Purpose.MEMBER, cluster_id=b"c" * 32)
        responder = Responder(b"c" * 32)

        async def respond() -> None:
            await hear(there, responder)
            await there.send(responder.wait())

        async with asyncio.TaskGroup() as group:
            group.create_task(respond())
            with pytest.raises(HandshakeError, match="undecided"):
                await initiate(here, initiator)

    asyncio.run(run())
