"""Attacks on real nodes over real sockets: none may harm honest peers, and each one is counted.

A cluster of three honest nodes, and members whose keys are in bad hands. What cores and messages
make of hostile input is tested beside them; here is what only whole nodes show: the door, the
links, memory, and that the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed as WebSocketClosed
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.connection import ConnectionClosed
from buildnet.mesh.link.handshake import HandshakeError
from buildnet.mesh.members.invitation import Token, TokenError
from buildnet.mesh.messages.election import Heartbeat
from buildnet.mesh.messages.gossip import (
    MAX_RECORDS,
    MAX_TOPICS,
    Ask,
    Records,
    Summary,
    Wanted,
)
from testbed.fault_proxy import Direction, FaultProxy, Faults
from testbed.message_relay import MessageRelay, altered, dropped, repeated, swapped
from testbed.nodes import Cluster, Node, NodeError, alive, health, invite, join, refused
from testbed.offices import Office
from testbed.rogue import RogueLink, admit, apply, cluster_of, key_of, knock

GROWTH_MAX_BYTES = 64 * 1024 * 1024
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Door:
    """A cluster and the node that is attacked."""

    honest: tuple[Node, ...]
    target: Node
    cluster_id: bytes

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, _, port = self.target.address.removeprefix("http://").partition(":")
        return host, int(port)

    async def link(self, address: str | None = None, **options: Any) -> RogueLink:
        """Open a link as a new member; those that misbehaved are shunned for a while."""
        return await self.link_as(await self.rogue(), address, **options)

    async def rogue(self) -> NodeKey:
        """Return the key of a new member."""
        key = await admit(self.honest[0], "rogue")
        until(lambda: lists(self.target, key.public_key))
        return key

    async def link_as(self, key: NodeKey, address: str | None = None, **options: Any) -> RogueLink:
        """Open a link with a member's key."""
        return await RogueLink.open(address or self.target.address, key, self.cluster_id, **options)


def lists(node: Node, key: bytes) -> bool:
    members = node.get("/api/node/members")["members"]
    return any(member["key"] == key.hex() for member in members)


def addresses(node: Node, of: Node) -> list[str]:
    """Return the addresses that ``of`` advertises, as ``node`` knows them."""
    members = node.get("/api/node/members")["members"]
    return next((m["addresses"] for m in members if m["key"].startswith(of.identity)), [])


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with Cluster(tmp_path_factory.mktemp("attacks"), 3) as cluster:
        honest = tuple(cluster.members)
        yield Door(honest, honest[1], cluster_of(honest[0]))


@pytest.fixture(autouse=True)
def unharmed(door: Door) -> Iterator[None]:
    """After each attack: the same coordinator in the same term, all honest nodes alive to each
    other, no node grown, and their logs without a bug."""
    before = {node.name: (node.office(), node.process.memory_info().rss) for node in door.honest}
    yield
    for node in door.honest:
        office, memory = before[node.name]
        assert node.office() == office
        until(lambda node=node: alive(node) >= 3)  # type: ignore[misc]
        assert node.process.memory_info().rss - memory < GROWTH_MAX_BYTES
        log = (node.home.directory / "node.log").read_text()
        assert '"level": "error"' not in log, log


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true of nodes, looking now and then."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def counted(node: Node, before: dict[str, int]) -> dict[str, int]:
    """Return what was counted since ``before``."""
    now = refused(node)
    return {name: now[name] - before.get(name, 0) for name in now if now[name] != before.get(name)}


def until_counted(door: Door, before: dict[str, int], *reasons: str, times: int = 1) -> None:
    """Wait until one of ``reasons`` was counted."""

    def is_counted() -> bool:
        seen = counted(door.target, before)
        return sum(seen.get(reason, 0) for reason in reasons) >= times

    try:
        until(is_counted)
    except AssertionError:
        raise AssertionError(f"counted: {counted(door.target, before)}") from None


async def read_for_ever(link: RogueLink, patience_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(patience_s):
        while True:
            await link.receive()


def of_quorum(office: Office | None) -> bool:
    return office is not None and office.quorum


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


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


# --- a member that misbehaves ------------------------------------------------------------------


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
            await asyncio.sleep(0.2)

    run(attack())
    until_counted(door, before, "replayed message")


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
