"""Attacks on real nodes over real sockets by who is no member, or no more: none may harm honest
peers, and each one is counted.

What cores and messages make of hostile input is tested beside them; here is what only whole nodes
show: the door, the links, memory, and that the others go on. Members with bad intentions have
``test_mesh_rogue_members.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.attacked import PATIENCE_S, Door, read_for_ever, run, until_counted
from websockets.exceptions import ConnectionClosed as WebSocketClosed
from websockets.exceptions import InvalidHandshake

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.connection import ConnectionClosed
from buildnet.mesh.link.handshake import HandshakeError
from buildnet.mesh.members.invitation import Token, TokenError
from buildnet.mesh.messages.gossip import Summary
from testbed.fault_proxy import Direction, FaultProxy, Faults
from testbed.message_relay import MessageRelay, altered, dropped, repeated, swapped
from testbed.nodes import Node, NodeError, alive, health, invite, join, refused
from testbed.offices import Office
from testbed.rogue import RogueLink, apply, key_of, knock
from testbed.waiting import until

pytestmark = pytest.mark.usefixtures("unharmed")


def addresses(node: Node, of: Node) -> list[str]:
    """Return the addresses that ``of`` advertises, as ``node`` knows them."""
    members = node.get("/api/node/members")["members"]
    return next((m["addresses"] for m in members if m["key"].startswith(of.identity)), [])


def of_quorum(office: Office | None) -> bool:
    return office is not None and office.quorum


# --- relays ------------------------------------------------------------------------------------

MESSAGE_BYTES = {  # a little more than each message of the handshake has
    (Direction.TO_TARGET, 0): 100,
    (Direction.TO_CLIENT, 0): 100,
    (Direction.TO_TARGET, 1): 260,
    (Direction.TO_CLIENT, 1): 260,
}


def test_a_relay_that_alters_any_message_of_the_handshake_gets_no_link(door: Door) -> None:
    before = refused(door.target)

    async def attack() -> None:
        key = await door.rogue()
        async with MessageRelay(*door.host_and_port) as relay:
            for (direction, number), size in MESSAGE_BYTES.items():
                for position in range(0, size, 7):
                    relay.meddle = altered(direction, number, position, bit=position % 8)
                    with pytest.raises((HandshakeError, ConnectionClosed)):
                        await door.link_as(key, f"http://{relay.address}")
            relay.meddle = None
            await (await door.link_as(key, f"http://{relay.address}")).close()

    run(attack())
    until_counted(door, before, "handshake: message altered", "handshake: message malformed")


@pytest.mark.parametrize("meddle", [altered, dropped, repeated, swapped])
@pytest.mark.parametrize("direction", list(Direction))
def test_a_relay_that_alters_drops_repeats_or_reorders_frames_loses_the_link(
    door: Door, direction: Direction, meddle: Callable[..., Any]
) -> None:
    before = refused(door.target)
    arguments = (direction, 3, 5) if meddle is altered else (direction, 3)

    async def attack() -> None:
        async with MessageRelay(*door.host_and_port) as relay:
            relay.meddle = meddle(*arguments)
            async with await door.link(f"http://{relay.address}") as link:
                for _ in range(10):
                    await link.send(link.envelope(Summary(bytes(8))))
                if direction is Direction.TO_TARGET:
                    await link.until_closed()
                else:  # the node's answers no longer open
                    with pytest.raises((BuildNetError, TimeoutError)):
                        await read_for_ever(link)

    run(attack())
    if direction is Direction.TO_TARGET:
        until_counted(door, before, "altered frame")


def test_flipped_bits_on_the_wire_end_links_and_no_more(door: Door) -> None:
    before = refused(door.target)

    async def attack() -> None:
        async with FaultProxy(*door.host_and_port, seed=1) as proxy:
            key = await door.rogue()
            await proxy.set(Faults(flips_per_mib=2000))
            links = 0
            for _ in range(40):
                with contextlib.suppress(BuildNetError, OSError, InvalidHandshake, EOFError):
                    async with asyncio.timeout(5):
                        link = await door.link_as(key, f"http://{proxy.address}")
                        links += 1
                        with contextlib.suppress(WebSocketClosed):
                            for _ in range(50):
                                await link.send(link.envelope(Summary(bytes(8))))
                        await link.close()
            assert 0 < links < 40

    run(attack())
    until_counted(
        door,
        before,
        "altered frame",
        "handshake: message altered",
        "handshake: message malformed",
        "malformed WebSocket frame",
        times=5,
    )


# --- at the door -------------------------------------------------------------------------------


def test_a_stranger_learns_nothing_but_the_protocol_and_is_counted(door: Door) -> None:
    before = refused(door.target)

    async def attack() -> None:
        with pytest.raises(HandshakeError) as refusal:
            await RogueLink.open(door.target.address, NodeKey.generate(), door.cluster_id)
        said = f"{refusal.value} {refusal.value.cause}"
        for node in door.honest:
            assert node.identity not in said
            assert node.name not in said

    run(attack())
    until_counted(door, before, "refused: no member")


def test_a_member_of_another_cluster_is_refused(door: Door) -> None:
    before = refused(door.target)

    async def attack() -> None:
        key = await door.rogue()
        with pytest.raises((HandshakeError, ConnectionClosed)):
            await RogueLink.open(door.target.address, key, bytes(32))

    run(attack())
    until_counted(door, before, "handshake: wrong cluster or signature")


def test_thousands_of_handshakes_that_nobody_finishes(door: Door) -> None:
    """Connections that say nothing, WebSockets that say nothing, and ones that stop half-way."""
    before = refused(door.target)

    async def attack() -> None:
        key = await door.rogue()
        silent: list[socket.socket] = []
        sockets: list[Any] = []
        try:
            for _ in range(500):
                silent.append(socket.create_connection(door.host_and_port))
            for _ in range(40):  # some are turned away at once
                sockets += await asyncio.gather(
                    *(knock(door.target.address) for _ in range(50)), return_exceptions=True
                )
            async with asyncio.timeout(PATIENCE_S):  # in the middle of it a member gets in
                await come_in(door, key)
        finally:
            for each in silent:
                each.close()
            opened = [each for each in sockets if not isinstance(each, BaseException)]
            await asyncio.gather(*(each.close() for each in opened), return_exceptions=True)
        assert len(opened) > 1000

    run(attack())
    until_counted(door, before, "unfinished handshake displaced", times=900)


async def come_in(door: Door, key: NodeKey) -> None:
    """Try for a link as a node does."""
    while True:
        try:
            link = await door.link_as(key)
        except (OSError, BuildNetError, InvalidHandshake, EOFError, TimeoutError):
            await asyncio.sleep(0.3)
        else:
            await link.close()
            return


def test_idle_connections_do_not_use_up_the_nodes_descriptors(door: Door) -> None:
    """They cost the attacker as much as the node; it must still let others in."""
    import resource

    pid = door.target.process.pid
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (256, usual[1]))
    silent: list[socket.socket] = []
    try:
        for _ in range(400):
            silent.append(socket.create_connection(door.host_and_port))

        async def attack() -> None:
            async with asyncio.timeout(PATIENCE_S):
                await come_in(door, await door.rogue())

        run(attack())
    finally:
        for each in silent:
            each.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)


JUNK: dict[
    str, tuple[bytes | str, str, str]
] = {  # and as what it is counted, for a link and for bulk
    "nothing": (b"", "message malformed", "message malformed"),
    "zero": (b"\0", "message malformed", "message malformed"),
    "random": (os.urandom(100), "message malformed", "message malformed"),
    "nested": (b"\x9f" * 1000, "message malformed", "message malformed"),
    "large": (b"\x81" * 20_000, "message too large", "message too large"),
    "http": (b"GET / HTTP/1.1\r\n\r\n", "message malformed", "message malformed"),
    "text": ("text", "text message", "text message"),
    "oversized": (os.urandom(200_000), "oversized message", "message too large"),
    "endless": (os.urandom(1_000_000), "oversized message", "oversized message"),
}


@pytest.mark.parametrize("junk", JUNK)
def test_junk_instead_of_a_handshake(door: Door, junk: str) -> None:
    before = refused(door.target)
    said, as_link, as_bulk = JUNK[junk]

    async def attack() -> None:
        for route in ("/mesh", "/bulk"):
            websocket = await knock(door.target.address, route)
            with contextlib.suppress(WebSocketClosed):
                await websocket.send(said)
            async with asyncio.timeout(PATIENCE_S):
                await websocket.wait_closed()

    run(attack())
    until_counted(door, before, f"handshake: {as_link}")
    until_counted(door, before, f"bulk handshake: {as_bulk}")


def test_junk_instead_of_http(door: Door) -> None:
    before = refused(door.target)
    for junk in (os.urandom(5000), b"GET /mesh HTTP/1.1\r\n" + b"a: b\r\n" * 50_000, b"\xff" * 9):
        with (
            contextlib.suppress(OSError),
            socket.create_connection(door.host_and_port, timeout=PATIENCE_S) as connection,
        ):
            connection.sendall(junk)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    until_counted(door, before, "request malformed", times=2)
    until_counted(door, before, "request head too large")


# --- admission ---------------------------------------------------------------------------------


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "newcomer", "newcomer", listen="127.0.0.1:0", bare=True)
    node.start()
    yield node
    node.kill()


def test_wrong_used_and_expired_tokens_are_refused_and_counted(door: Door, newcomer: Node) -> None:
    before = refused(door.target)
    admin = door.honest[0]
    good = invite(admin)
    short = Token.parse(admin.post("/api/node/invite", {"valid_s": 1.5})["token"])
    until(lambda: time.time() >= short.expires)
    join(newcomer, door.target, good)
    until(lambda: of_quorum(newcomer.office()))
    newcomer.post("/api/pool/leave", {})
    with pytest.raises(NodeError):
        join(newcomer, door.target, good)
    until_counted(door, before, "join refused: token used")
    used = Token.parse(good)
    altered = replace(used, secret=bytes(len(used.secret)))
    for token, why in ((altered, "unknown"), (short, "expired"), (used, "used")):
        before = refused(door.target)
        with pytest.raises(TokenError):
            run(applies(door, token))
        until_counted(door, before, f"join refused: token {why}")


async def applies(door: Door, token: Token) -> None:
    await apply(door.target.address, token)


def test_a_revoked_key_loses_its_link_and_stays_outside(
    door: Door, newcomer: Node, tmp_path: Path
) -> None:
    join(newcomer, door.target, invite(door.honest[0]))
    newcomer_key = key_of(newcomer)
    newcomer.kill()

    async def attack() -> None:
        link = await RogueLink.open(door.target.address, newcomer_key, door.cluster_id)
        closing = asyncio.create_task(link.until_closed())
        door.honest[0].post("/api/node/revoke", {"node": newcomer.identity})
        async with asyncio.timeout(PATIENCE_S):
            await closing
        before = refused(door.target)
        with pytest.raises((HandshakeError, ConnectionClosed)):
            await RogueLink.open(door.target.address, newcomer_key, door.cluster_id)
        until_counted(door, before, "refused: no member")

    before = refused(door.target)
    run(attack())
    until_counted(door, before, "link of a former member cut")


def test_two_nodes_with_one_copied_key(door: Door, newcomer: Node, tmp_path: Path) -> None:
    """The one that started last stays; the other one says why it does not get in."""
    join(newcomer, door.target, invite(door.honest[0]))
    copy = Node(tmp_path / "copy", "newcomer", listen="127.0.0.1:0", bare=True)
    shutil.copytree(
        newcomer.home.directory,
        copy.home.directory,
        ignore=shutil.ignore_patterns("node.lock", "runtime.json", "node.sock", "node.log"),
    )
    copy.start()
    try:
        until(lambda: "this node's key is in use elsewhere" in refused(newcomer))
        until(lambda: alive(copy) >= 3)
        problem = health(newcomer)["problems"][0]
        assert f"another process uses this node's key ({newcomer.identity})" in problem
        assert newcomer.get("/api/node")["problem"] in problem
    finally:
        copy.kill()
        door.honest[0].post("/api/node/revoke", {"node": copy.identity})


def test_an_address_that_nobody_answers_at(door: Door, tmp_path: Path) -> None:
    """A node that advertises a wrong address is reached over the links it opened; where it does
    not answer is counted."""
    before = refused(door.target)
    liar = Node(tmp_path / "liar", "liar", listen="127.0.0.1:0", bare=True)
    liar.home.directory.mkdir()
    liar.home.config.write_text('{"network": {"advertise_address": "127.0.0.1:1"}}')
    liar.start()
    try:
        join(liar, door.target, invite(door.honest[0]))
        until(lambda: all(alive(node) == 4 for node in (*door.honest, liar)))
        # Its links, and others' word, may come before the record that holds its address.
        until(lambda: "127.0.0.1:1" in str(addresses(door.target, liar)))
        told = liar.get("/api/pool/health")["problems"]
        assert any("nobody answers at http://127.0.0.1:1" in problem for problem in told)
        liar.kill()  # only its address is left to reach it
        until_counted(door, before, "no answer at an address")
    finally:
        door.honest[0].post("/api/node/revoke", {"node": liar.identity})
        liar.kill()
