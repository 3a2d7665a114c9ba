"""Relay sessions: two ends and one in between that can drop, but not read or change."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from tests.mesh.bounded import run

from buildnet.mesh.events import Note
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.handshake import HandshakeError, Initiator, Purpose, Responder
from buildnet.mesh.link.handshaking import hear, initiate
from buildnet.mesh.link.peer import MESSAGES_BURST, MESSAGES_PER_S
from buildnet.mesh.link.relay import (
    IDLE_S,
    MAX_SESSIONS_PER_PEER,
    NOT_LINKED,
    QUOTA,
    SESSION_BYTES_BURST,
    SESSION_MESSAGES_BURST,
    Relays,
)
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.relay import RelayClose, RelayData, RelayOpen
from buildnet.mesh.testing import key_number

ALICE, BOB, RELAY = (key_number(number) for number in (1, 2, 3))
NAMES = {ALICE.public_key: "alice", BOB.public_key: "bob", RELAY.public_key: "relay"}


@dataclass
class Site:
    """One node's relays on wires that the test owns."""

    key: bytes
    wires: Wires
    relays: Relays = field(init=False)
    offers: list[Connection] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def __post_init__(self) -> None:
        numbers = random.Random(self.key)
        self.relays = Relays(self, numbers, lambda: self.wires.now)

    def say(self, to: bytes, message: Message) -> None:
        self.wires.carry(self.key, to, message)

    def is_direct(self, peer: bytes) -> bool:
        return RELAY.public_key in (self.key, peer) and peer not in self.wires.cut

    async def drained(self, peer: bytes) -> None:
        await asyncio.sleep(0)

    def is_clogged(self, peer: bytes) -> bool:
        return peer in self.wires.clogged

    def note(self, note: Note) -> None:
        self.notes.append(note)

    def offered(self, connection: Connection, relay: bytes) -> None:
        assert relay == RELAY.public_key
        self.offers.append(connection)


class Wires:
    def __init__(self) -> None:
        self.now = 0.0
        self.cut: set[bytes] = set()
        self.clogged: set[bytes] = set()
        self.carried: Counter[tuple[bytes, bytes]] = Counter()
        self.seen: list[tuple[str, Message]] = []
        self.meddle: Callable[[Message], list[Message]] = lambda message: [message]
        self.sites = {key: Site(key, self) for key in NAMES}

    def __getitem__(self, key: bytes) -> Site:
        return self.sites[key]

    def carry(self, sender: bytes, to: bytes, message: Message) -> None:
        self.seen.append((NAMES[sender], message))
        self.carried[sender, to] += 1
        said = self.meddle(message) if sender == RELAY.public_key else [message]
        for one in said:
            assert self.sites[to].relays.handle(sender, one)


@pytest.fixture
def wires() -> Wires:
    return Wires()


async def opened(wires: Wires) -> tuple[Connection, Connection]:
    mine = wires[ALICE.public_key].relays.open(BOB.public_key, RELAY.public_key)
    (theirs,) = wires[BOB.public_key].offers
    return mine, theirs


def test_what_one_end_sends_the_other_receives_in_order(wires: Wires) -> None:
    async def work() -> None:
        mine, theirs = await opened(wires)
        for number in range(5):
            await mine.send(b"%d" % number)
            await theirs.send(b"back %d" % number)
        assert [await theirs.receive() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
        assert await mine.receive() == b"back 0"
        assert wires[RELAY.public_key].relays.sessions == 1
        await mine.close(1000, "enough")
        with pytest.raises(ConnectionClosed, match="enough"):
            await theirs.receive()
        assert wires[RELAY.public_key].relays.sessions == 0
        with pytest.raises(ConnectionClosed):
            await theirs.send(b"late")

    run(work())


async def handshake(wires: Wires) -> tuple[bytes, bytes]:
    """Run an end-to-end handshake; return a sealed frame and what the other end opened."""
    cluster = b"c" * 32
    mine, theirs = await opened(wires)
    initiator = Initiator(ALICE, 1, Purpose.MEMBER, cluster_id=cluster, expected=BOB.public_key)
    responder = Responder(cluster)

    async def respond() -> None:
        await hear(theirs, responder)
        await theirs.send(responder.accept(BOB, 1))

    async with asyncio.TaskGroup() as group:
        group.create_task(respond())
        await initiate(mine, initiator)
    sealed = initiator.session.cipher().seal(b"the secret")
    await mine.send(sealed)
    return sealed, responder.session.cipher().open(await theirs.receive())


def test_a_relay_can_not_read_what_it_relays(wires: Wires) -> None:
    async def work() -> None:
        _, opened_there = await handshake(wires)
        assert opened_there == b"the secret"
        said = [message for _, message in wires.seen if isinstance(message, RelayData)]
        assert said
        for message in said:
            assert b"the secret" not in message.data
            assert BOB.public_key not in message.data
            assert ALICE.public_key not in message.data

    run(work())


@pytest.mark.parametrize("number", range(4))
def test_a_relay_that_tampers_ends_the_handshake(wires: Wires, number: int) -> None:
    seen = 0

    def meddle(message: Message) -> list[Message]:
        nonlocal seen
        if isinstance(message, RelayData):
            seen += 1
            if seen == number + 1:
                data = bytearray(message.data)
                data[len(data) // 2] ^= 1
                return [RelayData(message.session, bytes(data))]
        return [message]

    wires.meddle = meddle

    async def work() -> None:
        with pytest.raises(BaseExceptionGroup) as caught:
            await handshake(wires)
        assert caught.group_contains(HandshakeError)

    run(work())


def test_a_relay_without_a_link_to_the_target_refuses(wires: Wires) -> None:
    wires.cut.add(BOB.public_key)

    async def work() -> None:
        mine = wires[ALICE.public_key].relays.open(BOB.public_key, RELAY.public_key)
        with pytest.raises(ConnectionClosed, match=NOT_LINKED):
            await mine.receive()
        with pytest.raises(ConnectionClosed):
            await mine.send(b"hello")

    run(work())


def test_one_peer_gets_few_sessions(wires: Wires) -> None:
    async def work() -> None:
        alice = wires[ALICE.public_key].relays
        for _ in range(MAX_SESSIONS_PER_PEER):
            alice.open(BOB.public_key, RELAY.public_key)
        refused = alice.open(BOB.public_key, RELAY.public_key)
        with pytest.raises(ConnectionClosed, match=QUOTA):
            await refused.receive()
        assert wires[RELAY.public_key].notes == [Note(QUOTA, ALICE.public_key, "sessions")]
        bob = wires[BOB.public_key].relays.open(ALICE.public_key, RELAY.public_key)
        await bob.send(b"others still get one")

    run(work())


def put_in(wires: Wires, sender: NodeKey, piece: bytes, session: int = -1) -> None:
    """Say a piece as one who keeps to no quota; in its newest session unless another is named."""
    if session < 0:
        session = [said.session for _, said in wires.seen if isinstance(said, RelayOpen)][-1]
    wires.carry(sender.public_key, RELAY.public_key, RelayData(session, piece))


@pytest.mark.parametrize(
    ("piece", "passes"),
    [
        (bytes(60_000), int(SESSION_BYTES_BURST / 60_000)),
        (b"", int(SESSION_MESSAGES_BURST)),
    ],
)
def test_a_session_that_takes_too_much_ends(wires: Wires, piece: bytes, passes: int) -> None:
    async def work() -> None:
        mine, theirs = await opened(wires)
        for _ in range(passes):
            put_in(wires, ALICE, piece)
            assert await theirs.receive() == piece
        put_in(wires, ALICE, piece)
        for end in (mine, theirs):
            with pytest.raises(ConnectionClosed, match=QUOTA):
                await end.receive()
        assert wires[RELAY.public_key].relays.sessions == 0
        assert [note.peer for note in wires[RELAY.public_key].notes] == [ALICE.public_key]

    run(work())


def test_all_sessions_together_stay_below_what_the_onward_link_takes(wires: Wires) -> None:
    """Sessions that are opened again and again, each filled to its limit, for half a minute."""

    async def work() -> None:
        numbers = itertools.count(1)
        for _ in range(300):
            wires.now += 0.1
            for session in itertools.islice(numbers, 4):
                said = RelayOpen(session, BOB.public_key)
                wires.carry(ALICE.public_key, RELAY.public_key, said)
                for _ in range(300):
                    put_in(wires, ALICE, b"x", session)
                wires.carry(ALICE.public_key, RELAY.public_key, RelayClose(session, ""))
        to_bob = wires.carried[RELAY.public_key, BOB.public_key]
        assert to_bob > 30 * MESSAGES_PER_S / 4  # it was a flood
        assert to_bob <= MESSAGES_BURST / 2 + 30 * MESSAGES_PER_S / 2
        quotas = [note for note in wires[RELAY.public_key].notes if note.reason == QUOTA]
        assert {note.peer for note in quotas} == {ALICE.public_key}

    run(work())


@pytest.mark.parametrize("is_clogged", [False, True])
def test_where_it_gets_too_much_the_loudest_session_ends(wires: Wires, is_clogged: bool) -> None:
    async def work() -> None:
        quiet = wires[ALICE.public_key].relays.open(BOB.public_key, RELAY.public_key)
        (there,) = wires[BOB.public_key].offers
        for session in range(1, 4):
            said = RelayOpen(session, BOB.public_key)
            wires.carry(ALICE.public_key, RELAY.public_key, said)
            for _ in range(1 if is_clogged else 990):
                put_in(wires, ALICE, b"x", session)
                with contextlib.suppress(ConnectionClosed):
                    await wires[BOB.public_key].offers[session].receive()
        if is_clogged:
            put_in(wires, ALICE, b"x", 2)
            wires.clogged.add(BOB.public_key)
        wires.now += 0.0 if is_clogged else 0.1
        await quiet.send(b"still here")
        assert await there.receive() == b"still here"
        assert QUOTA in [note.reason for note in wires[RELAY.public_key].notes]

    run(work())


def test_an_honest_end_keeps_to_what_its_session_may_carry(wires: Wires) -> None:
    async def work() -> None:
        mine, theirs = await opened(wires)

        async def send_all() -> None:
            for _ in range(2 * int(SESSION_MESSAGES_BURST)):
                await mine.send(b"x")

        async def pass_time() -> None:
            while True:
                wires.now += 0.001
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            sending, clock = group.create_task(send_all()), group.create_task(pass_time())
            for _ in range(2 * int(SESSION_MESSAGES_BURST)):
                await theirs.receive()
            await sending
            clock.cancel()
        assert wires[RELAY.public_key].relays.sessions == 1

    run(work())


def test_idle_sessions_end(wires: Wires) -> None:
    async def work() -> None:
        mine, theirs = await opened(wires)
        wires.now = IDLE_S
        await mine.send(b"still here")
        wires.now = IDLE_S + 1
        relay = wires[RELAY.public_key].relays
        relay.check(wires.now)
        assert relay.sessions == 1
        wires.now = 2 * IDLE_S + 1
        relay.check(wires.now)
        assert relay.sessions == 0
        assert await theirs.receive() == b"still here"
        for end in (mine, theirs):
            with pytest.raises(ConnectionClosed):
                await end.receive()

    run(work())


@pytest.mark.parametrize("who", [ALICE, BOB])
def test_a_lost_link_ends_its_sessions(wires: Wires, who: object) -> None:
    async def work() -> None:
        mine, theirs = await opened(wires)
        gone = ALICE.public_key if who is ALICE else BOB.public_key
        wires[RELAY.public_key].relays.link_down(gone)
        wires[gone].relays.link_down(RELAY.public_key)
        for end in (mine, theirs):
            with pytest.raises(ConnectionClosed):
                await end.receive()
        assert wires[RELAY.public_key].relays.sessions == 0

    run(work())


def test_an_end_that_does_not_read_is_given_up(wires: Wires) -> None:
    async def work() -> None:
        mine, _ = await opened(wires)

        async def flood() -> None:
            for _ in range(1000):
                await mine.send(b"x")

        with pytest.raises(ConnectionClosed):
            await flood()

    run(work())


def test_strangers_can_not_speak_in_a_session_of_others(wires: Wires) -> None:
    async def work() -> None:
        mine, theirs = await opened(wires)
        session = next(m.session for _, m in wires.seen if isinstance(m, RelayOpen))
        # Bob guesses the number of Alice's leg.
        wires.carry(BOB.public_key, RELAY.public_key, RelayData(session, b"forged"))
        wires.carry(BOB.public_key, RELAY.public_key, RelayClose(session, "forged"))
        await mine.send(b"genuine")
        assert await theirs.receive() == b"genuine"
        assert wires[RELAY.public_key].relays.sessions == 1

    run(work())
