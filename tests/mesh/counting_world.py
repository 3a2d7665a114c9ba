"""A simulated world whose nodes, instead of cores, count to each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.events import (
    Dial,
    Effect,
    Event,
    Fact,
    LinkDown,
    LinkUp,
    Persist,
    Persisted,
    Received,
    Send,
)
from buildnet.mesh.local import Local
from buildnet.mesh.members.genesis import Rights, Role
from buildnet.mesh.members.member import Member
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.simulation.history import History
from buildnet.mesh.simulation.host import Host, Start
from buildnet.mesh.simulation.world import World
from buildnet.mesh.testing import CheapSignatures, key_number

PERIOD_S = 0.1
Happened = TypeVar("Happened")


@message(250, priority=Priority.OTHER, sender="a test", receiver="a test", effect="none")
@dataclass(frozen=True, slots=True)
class Count(Message):
    number: int
    pad: bytes = b""


@dataclass(frozen=True, slots=True)
class CountFact(Fact):
    number: int


def members_of(count: int) -> MemberList:
    keys = [key_number(number) for number in range(count)]
    members = MemberList.found(
        key_number(1000),
        keys[0],
        name="test",
        founder_name="n0",
        created=1,
        nonce=bytes(16),
    )
    return replace(
        members,
        members={
            key.public_key: Member(key.public_key, f"n{i}", Role.WORKER, Rights.ADMIN, i)
            for i, key in enumerate(keys)
        },
    )


class Counter:
    """Says 1, 2, 3 … to everybody; keeps on disk how far it came; dials the seeds."""

    def __init__(self, start: Start, members: MemberList) -> None:
        self.local = Local(
            start.key.public_key,
            start.boot,
            CheapSignatures(start.key.public_key),
            start.random,
            HybridClock(start.wall),
            members,
        )
        self.deadline = start.now
        self.seeds = start.seeds
        self.number = 0
        self.kept = max(
            (fact.number for fact in start.facts if isinstance(fact, CountFact)), default=0
        )
        self.heard: dict[bytes, list[int]] = {}
        self.events: list[tuple[float, Event]] = []
        self.linked: set[bytes] = set()
        self.dialled = False

    def begin(self, now: float) -> list[Effect]:
        return []

    def handle(self, event: Event, now: float) -> list[Effect]:
        self.events.append((now, event))
        match event:
            case Received(sender, Count(number)):
                self.heard.setdefault(sender, []).append(number)
            case LinkUp(peer):
                self.linked.add(peer)
            case LinkDown(peer):
                self.linked.discard(peer)
            case Persisted(token):
                self.kept = max(self.kept, token)
            case _:
                pass
        return []

    def tick(self, now: float) -> list[Effect]:
        self.deadline = now + PERIOD_S
        self.number += 1
        effects: list[Effect] = []
        if not self.dialled:
            self.dialled = True
            effects += [Dial(seed, None) for seed in self.seeds]
        effects += [Send(peer, Count(self.number)) for peer in sorted(self.linked)]
        effects.append(Persist(self.number, (CountFact(self.number),)))
        return effects

    def happened(self, kind: type[Happened]) -> list[Happened]:
        return [event for _, event in self.events if isinstance(event, kind)]


def a_world(
    count: int, *, seed: int = 1, history: History | None = None, loss: float = 0.0
) -> World:
    members = members_of(count)
    world = World(
        seed, lambda start: Counter(start, members), round_trip_s=0.01, loss=loss, history=history
    )
    for _ in range(count):
        host = world.add_host()
        host.seeds = tuple(other.address for other in world.hosts[:-1])
    world.size = count
    for host in world.hosts:
        host.start()
    return world


def counter(host: Host) -> Counter:
    assert isinstance(host.program, Counter)
    return host.program


def heard(by: Host, of: Host) -> list[int]:
    return counter(by).heard.get(of.key, [])
