"""Sites that link with each other over pairs in memory, and what they are to one another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.events import BootFact, DialFailed, Event, Note
from buildnet.mesh.identity import KeySignatures, NodeKey
from buildnet.mesh.link.connection import Connection
from buildnet.mesh.link.envelope import Envelope
from buildnet.mesh.link.handshake import Claim, Responder
from buildnet.mesh.link.links import Links, Standing
from buildnet.mesh.link.peer import Peer
from buildnet.mesh.local import Local
from buildnet.mesh.members.member_list import Member, MemberList, Revocation, Rights, Role
from buildnet.mesh.messages.relay import RelayClose
from buildnet.mesh.service.testing import MemoryConnection, pair
from buildnet.mesh.testing import ManualClock, key_number

KEYS = sorted((key_number(number) for number in range(1, 5)), key=lambda key: key.public_key)
ALICE, BOB, CAROL, STRANGER = KEYS
MEMBERS = KEYS[:3]
HELLO = RelayClose(1, "hello")  # any message does


def members() -> MemberList:
    founded = MemberList.found(
        key_number(99), ALICE, name="c", founder_name="a", created=1 << 16, nonce=bytes(16)
    )
    known = {
        key.public_key: Member(key.public_key, "n", Role.WORKER, Rights.BUILDER, number)
        for number, key in enumerate(MEMBERS)
    }
    return replace(founded, members=known)


@dataclass
class Site:
    """One node's links; the test is all that surrounds them."""

    key: NodeKey
    boot: int = 10
    now: float = 100.0
    events: list[Event] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    kept: list[BootFact] = field(default_factory=list)
    taken: list[Envelope] = field(default_factory=list)
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    wall: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.local = Local(
            self.key.public_key,
            self.boot,
            KeySignatures(self.key),
            random.Random(1),
            HybridClock(self.wall),
            members(),
        )
        self.links = Links(self.key, self.local, self, boots={}, clock=lambda: self.now)

    def feed(self, event: Event) -> None:
        self.events.append(event)
        self.happened.set()

    def note(self, note: Note) -> None:
        self.notes.append(note)
        self.happened.set()

    def keep(self, fact: BootFact) -> None:
        self.kept.append(fact)

    def take(self, peer: Peer, envelope: Envelope) -> None:
        self.taken.append(envelope)
        self.happened.set()

    async def serve(self, connection: Connection, responder: Responder, claim: Claim) -> None:
        await connection.close(1008, "no")

    @property
    def id(self) -> bytes:
        return self.key.public_key

    def reasons(self) -> list[str]:
        return [note.reason for note in self.notes]

    async def until(self, holds: object) -> None:
        async with asyncio.timeout(10):
            while not holds():  # type: ignore[operator]
                self.happened.clear()
                await self.happened.wait()


@asynccontextmanager
async def dialled(
    caller: Site, callee: Site, expected: bytes | None = None, remote: str = "192.0.2.1:1"
) -> AsyncIterator[tuple[MemoryConnection, MemoryConnection]]:
    """Let ``caller`` dial ``callee``; both ends run until the end of the context."""
    here, there = pair(remote)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(callee.links.accept(there)),
            group.create_task(caller.links.initiate(here, expected or callee.id, "http://callee")),
        ]
        yield here, there
        for task in tasks:
            task.cancel()


def is_linked(one: Site, other: Site) -> bool:
    return other.id in one.links.peers and one.id in other.links.peers


async def linked(one: Site, other: Site) -> None:
    await one.until(lambda: other.id in one.links.peers)
    await other.until(lambda: one.id in other.links.peers)


async def refusal(callee: Site, caller: Site, expected: bytes | None = None) -> str:
    """Return why a link is refused."""
    async with dialled(caller, callee, expected):
        await caller.until(lambda: caller.events)
    (failed,) = caller.events
    assert isinstance(failed, DialFailed)
    assert not failed.refused
    return failed.reason


def revoke(at: Site, whom: Site) -> None:
    revocation = Revocation(whom.id, CAROL.public_key, "lost", None)
    at.local.members = at.local.members.with_revocations([revocation])


async def standing(caller: Site, callee: Site) -> Standing:
    here, there = pair()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(callee.links.accept(there))
        found = await caller.links.standing(here)
        task.cancel()
    return found
