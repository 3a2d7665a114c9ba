"""Bulk connections and relayed links between real nodes on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.mesh.bounded import run
from tests.mesh.mesh_nodes import until

from buildnet.mesh.bulk.links import BulkUnreachableError
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.dialing import dial
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.link.handshake import HandshakeRefusedError, Initiator, Purpose
from buildnet.mesh.link.handshaking import initiate
from buildnet.mesh.link.links import OLDER_BOOT, close_quietly
from buildnet.mesh.link.peer import ALTERED_FRAME
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.relay import RelayData
from buildnet.mesh.service.service import MeshService
from buildnet.mesh.service.testing import Node, listening_node


async def echo(connection: Connection, cipher: FrameCipher, peer: bytes) -> None:
    """Answer each message with the asker's key and the message."""
    try:
        while True:
            plain = cipher.open(await connection.receive())
            await connection.send(cipher.seal(peer + plain))
    except ConnectionClosed:
        return


@asynccontextmanager
async def hidden_nodes(
    directory: Path, *, reachable: bool
) -> AsyncIterator[tuple[Node, Node, Node]]:
    """Three nodes; of the second and the third nobody knows an address if not ``reachable``."""
    async with AsyncExitStack() as stack:
        nodes = []
        for name in ("a", "b", "c"):
            can_be_dialled = reachable or name == "a"
            starting = listening_node(directory / name, name, reachable=can_be_dialled)
            nodes.append(await stack.enter_async_context(starting))
        a, b, c = nodes
        for node in nodes:
            node.service.serve_bulk(echo)
        await until(a.service, lambda: a.service.view().office)
        invited = await a.service.invite(uses=2)
        for node in (b, c):
            await node.service.join(a.address, token=invited.token)
        await until(b.service, lambda: is_linked(b, c))
        await until(c.service, lambda: is_linked(c, b))
        yield a, b, c


def is_linked(node: Node, other: Node) -> bool:
    member = node.service.view().member(other.service.key)
    return member is not None and member.linked


async def said_and_heard(service: MeshService, peer: bytes, words: bytes) -> bytes:
    async with service.bulk(peer) as (connection, cipher):
        await connection.send(cipher.seal(words))
        return cipher.open(await connection.receive())


def test_a_direct_bulk_connection(tmp_path: Path) -> None:
    async def work() -> None:
        async with hidden_nodes(tmp_path, reachable=True) as (_, b, c):
            words = bytes(256 * 1024 - 32)
            heard = await said_and_heard(b.service, c.service.key, words)
            assert heard == b.service.key + words

    run(work())


def test_two_that_nobody_can_dial_are_linked_through_a_third(tmp_path: Path) -> None:
    async def work() -> None:
        async with hidden_nodes(tmp_path, reachable=False) as (a, b, c):
            member = b.service.view().member(c.service.key)
            assert member is not None
            assert member.link is not None
            assert member.link.kind == "relayed"
            assert member.link.relayed_by == a.service.view().node_id
            # Bulk goes the same way, sealed between the two ends.
            heard = await said_and_heard(b.service, c.service.key, b"hello")
            assert heard == b.service.key + b"hello"

    run(work())


def test_a_member_that_is_gone(tmp_path: Path) -> None:
    async def work() -> None:
        async with hidden_nodes(tmp_path, reachable=True) as (_, b, _c):
            with pytest.raises(BulkUnreachableError) as caught:
                await said_and_heard(b.service, b"nobody".ljust(32), b"hello")
            assert caught.value.hint

    run(work())


def test_an_older_process_gets_no_bulk_connection(tmp_path: Path) -> None:
    """Its key may be a copy. A newer one does, and is not remembered for that: its link tells."""

    async def work() -> None:
        async with hidden_nodes(tmp_path, reachable=True) as (a, b, _c):
            local = b.service.cluster.local

            async def greet(boot: int) -> None:
                initiator = Initiator(
                    b.service.cluster.key,
                    boot,
                    Purpose.BULK,
                    cluster_id=local.members.cluster_id,
                    expected=a.service.key,
                )
                connection = await dial(a.address, route="bulk")
                try:
                    await initiate(connection, initiator)
                finally:
                    await close_quietly(connection, "done")

            with pytest.raises(HandshakeRefusedError) as refusal:
                await greet(local.boot - 1)
            assert refusal.value.refusal == OLDER_BOOT
            await greet(local.boot + 1)
            await greet(local.boot)

    run(work())


def some_altered(data: RelayData, seen: list[RelayData]) -> list[RelayData]:
    seen.append(data)  # not all: a link that is made anew meanwhile would never carry a frame
    is_altered = len(seen) % 3 == 1
    return [replace(data, data=data.data[:-1] + bytes([data.data[-1] ^ is_altered]))]


def some_dropped(data: RelayData, seen: list[RelayData]) -> list[RelayData]:
    seen.append(data)  # more than one: another link may be in the making beside the first
    return [] if len(seen) % 3 == 1 else [data]


def some_swapped(data: RelayData, seen: list[RelayData]) -> list[RelayData]:
    seen.append(data)
    return {1: [], 2: [data, seen[-2]] if len(seen) > 1 else []}.get(len(seen) % 3, [data])


MEDDLING: dict[str, Callable[[RelayData, list[RelayData]], list[RelayData]]] = {
    "alters": some_altered,
    "drops": some_dropped,
    "repeats": lambda data, _: [data, data],
    "reorders": some_swapped,
}


@pytest.mark.parametrize("how", MEDDLING)
def test_a_relaying_member_that_meddles_costs_the_link_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The ends notice, count it and blame nobody: with an honest relay they are linked again."""

    async def work() -> None:
        async with hidden_nodes(tmp_path, reachable=False) as (a, b, c):
            relay, seen = a.service.cluster, list[RelayData]()
            say, meddle = relay.say, MEDDLING[how]

            def say_meddled(to: bytes, message: Message) -> None:
                if isinstance(message, RelayData) and to == c.service.key:
                    for each in meddle(message, seen):
                        say(to, each)
                else:
                    say(to, message)

            before = c.service.cluster.links.peers[b.service.key]
            monkeypatch.setattr(relay, "say", say_meddled)
            await until(c.service, lambda: altered_frames(c) > 0)
            monkeypatch.undo()
            await until(c.service, lambda: is_linked(c, b) and is_linked(b, c))
            await until(b.service, lambda: is_linked(b, c))
            assert c.service.cluster.links.peers[b.service.key] is not before
            assert is_linked(a, b)
            assert is_linked(a, c)

    run(work())


def altered_frames(node: Node) -> int:
    counters = node.service.view().counters
    return sum(each.count for each in counters if each.reason == ALTERED_FRAME)
