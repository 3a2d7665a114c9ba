"""A few member logs, a network that loses and shuffles, and an election by script.

Everything is a function of the seed. Unsynced writes are lost at a crash.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.events import (
    ChangeDone,
    Disconnect,
    Effect,
    Event,
    Fact,
    LinkDown,
    LinkState,
    LinkUp,
    Note,
    Office,
    OfficeChanged,
    Persist,
    Persisted,
    Raise,
    Received,
    Send,
    SendAll,
    Status,
)
from buildnet.mesh.local import Local
from buildnet.mesh.members.changes import Admit, Change, ChangeBody, sign_change
from buildnet.mesh.members.facts import facts_of
from buildnet.mesh.members.log import MemberLog
from buildnet.mesh.members.member_list import MemberList, Rights, Role
from buildnet.mesh.messages.kinds import Message, decode_message, kind_of
from buildnet.mesh.testing import CheapSignatures, ManualClock, key_number


@dataclass(frozen=True, slots=True)
class CheapSigner:
    """A key pair whose signatures cost nothing."""

    public_key: bytes

    def sign(self, message: bytes) -> bytes:
        return CheapSignatures(self.public_key).sign(message)


CLUSTER = CheapSigner(key_number(1000).public_key)


@dataclass(slots=True)
class Host:
    """One node: its core, its disk, and what is not on it yet."""

    key: bytes
    disk: dict[str, Fact]
    local: Local
    log: MemberLog
    unsynced: list[Persist] = field(default_factory=list)
    up: bool = True
    promised: int = 0


class Network:
    """Hosts that run in one process. ``careful``: the election compares chains as Raft does."""

    def __init__(self, seed: int, *, hosts: int, careful: bool = True) -> None:
        self.random = random.Random(seed)
        self.careful = careful
        self.wall = ManualClock()
        self.ahead_ms: dict[bytes, int] = {}
        """How far hosts' wall clocks are ahead."""
        self.now = 0.0
        self.counter = 0
        self.hosts: dict[bytes, Host] = {}
        self.flying: list[tuple[bytes, bytes, Message]] = []
        self.cut: set[frozenset[bytes]] = set()
        self.done: dict[bytes, list[ChangeDone]] = {}
        self.notes: list[Note] = []
        self.final: dict[int, bytes] = {}
        self.lossy = False
        self.watched = True
        keys = [key_number(number).public_key for number in range(hosts)]
        self.founder = keys[0]
        members = MemberList.found(
            CLUSTER,
            CheapSigner(self.founder),
            name="test",
            founder_name="node-0",
            created=HybridClock(self.wall).now(),
            nonce=bytes(16),
        )
        self._boot(self.founder, {}, members)
        self.elect(self.founder)
        self.settle()
        for number, key in enumerate(keys[1:], 1):
            self.propose(
                self.founder,
                Admit(key, f"node-{number}", Role.WORKER.value, Rights.BUILDER.value),
            )
        self.settle()
        log = self.hosts[self.founder].log
        for key in keys[1:]:
            facts = facts_of(log.genesis, log.entries, log.proof)
            self._boot(key, {fact.name(): fact for fact in facts}, members)
        for key in keys:
            for other in keys:
                if key < other:
                    self.link(key, other)

    # --- hosts -------------------------------------------------------------------------------

    def _boot(self, key: bytes, disk: dict[str, Fact], members: MemberList) -> None:
        seed = self.random.getrandbits(32)
        local = Local(
            key,
            1,
            CheapSignatures(key),
            random.Random(seed),
            HybridClock(lambda: self.wall() + self.ahead_ms.get(key, 0)),
            members,
        )
        promised = self.hosts[key].promised if key in self.hosts else 0
        log = MemberLog(local, facts=tuple(disk.values()))
        self.hosts[key] = Host(key, disk, local, log, promised=promised)
        self.perform(key, log.tick(self.now))

    def crash(self, key: bytes) -> None:
        """Lose what is not on disk, or only the later part of it."""
        host = self.hosts[key]
        for _ in range(self.random.randint(0, len(host.unsynced))):
            self._sync(host, quietly=True)
        host.unsynced.clear()
        host.up = False
        for other in list(self.hosts):
            if other != key:
                self.unlink(key, other)

    def restart(self, key: bytes) -> None:
        host = self.hosts[key]
        self._boot(key, host.disk, host.local.members)
        for other in self.hosts:
            if other != key and frozenset((key, other)) not in self.cut:
                self.link(key, other)

    def link(self, one: bytes, other: bytes) -> None:
        for key, peer in ((one, other), (other, one)):
            if not (self.hosts[key].up and self.hosts[key].local.members.is_member(peer)):
                return
        for key, peer in ((one, other), (other, one)):
            local = self.hosts[key].local
            local.links[peer] = LinkState(outgoing=key == one, since=self.now)
            local.status[peer] = Status.ALIVE
            self.tell(key, LinkUp(peer, key == one))

    def unlink(self, one: bytes, other: bytes) -> None:
        self.flying = [item for item in self.flying if {item[0], item[1]} != {one, other}]
        for key, peer in ((one, other), (other, one)):
            host = self.hosts[key]
            if host.local.links.pop(peer, None) is not None:
                host.local.status[peer] = Status.DEAD
                if host.up:
                    self.tell(key, LinkDown(peer))

    # --- events and effects --------------------------------------------------------------------

    def tell(self, key: bytes, event: Event) -> None:
        host = self.hosts[key]
        if host.up:
            self.perform(key, host.log.handle(event, self.now))

    def perform(self, key: bytes, effects: Iterable[Effect]) -> None:
        host = self.hosts[key]
        for effect in effects:
            match effect:
                case Send(to, said):
                    self._say(key, to, said)
                case SendAll(to, said):
                    for peer in to:
                        self._say(key, peer, said)
                case Persist():
                    host.unsynced.append(effect)
                case ChangeDone(change_id):
                    self.done.setdefault(change_id, []).append(effect)
                case Disconnect(peer):
                    if peer in self.hosts:
                        self.unlink(key, peer)
                case Note():
                    self.notes.append(effect)
                case Raise():
                    pass
                case _:
                    raise AssertionError(f"no effect of the member log: {effect}")
        self.check(host)

    def _say(self, key: bytes, to: bytes, said: Message) -> None:
        if to not in self.hosts[key].local.links:
            return
        read = decode_message(kind_of(said).number, said.encode())
        assert read == said
        copies = 1
        if self.lossy:
            copies = self.random.choice((0, 1, 1, 1, 1, 1, 1, 1, 2))
        self.flying += [(key, to, said)] * copies

    def _sync(self, host: Host, *, quietly: bool = False) -> None:
        step = host.unsynced.pop(0)
        for name in step.forget:
            host.disk.pop(name, None)
        for fact in step.facts:
            host.disk[fact.name()] = type(fact).decode(fact.encode())
        if not quietly:
            self.tell(host.key, Persisted(step.token))

    def sync(self, key: bytes) -> None:
        host = self.hosts[key]
        if host.up and host.unsynced:
            self._sync(host)

    def heal(self) -> None:
        """Everybody up, linked to whoever believes it a member, and nothing lost any more."""
        self.lossy = False
        self.cut.clear()
        keys = sorted(self.hosts)
        for key in keys:
            if not self.hosts[key].up:
                self.restart(key)
        for key in keys:
            for other in keys:
                if other != key and other not in self.hosts[key].local.links:
                    self.link(key, other)

    def split(self, *groups: Iterable[bytes]) -> None:
        """Cut the links between the groups."""
        sides = [set(group) for group in groups]
        for side in sides:
            for other in sides:
                if other is not side:
                    for one in side:
                        for peer in other:
                            self.unlink(one, peer)

    def deliver(self) -> None:
        """Deliver one message; any of them where the network is lossy, else the first."""
        if not self.flying:
            return
        which = self.random.randrange(len(self.flying)) if self.lossy else 0
        sender, to, said = self.flying.pop(which)
        if self.hosts[to].up and sender in self.hosts[to].local.links:
            self.hosts[to].local.heard[sender] = self.hosts[sender].local.clock.now()
            self.tell(to, Received(sender, said))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.wall.advance(seconds)
        for key in sorted(self.hosts):
            host = self.hosts[key]
            if host.up and host.log.deadline <= self.now:
                self.perform(key, host.log.tick(self.now))

    def settle(self, seconds: float = 0.0) -> None:
        """Deliver and sync everything, for so long."""
        until = self.now + seconds
        while True:
            steps = 0
            while self.flying or any(host.up and host.unsynced for host in self.hosts.values()):
                steps += 1
                assert steps < 20_000, "it never gets quiet"
                if self.flying:
                    self.deliver()
                for key in sorted(self.hosts):
                    self.sync(key)
            if self.now >= until:
                return
            self.pass_time(0.25)

    # --- election and changes --------------------------------------------------------------------

    def elect(self, key: bytes) -> bool:
        """Let a majority grant the next term to a host; tell those that it reaches."""
        host = self.hosts[key]
        if not host.up or not host.local.members.stands(key):
            return False
        self.counter += 1
        reached = [key, *sorted(host.local.links)]
        granted = []
        for voter in host.log.voters:
            other = self.hosts.get(voter)
            if other is None or voter not in reached or not other.up:
                continue
            older = host.log.head != other.log.head and host.log.accepted < other.log.accepted
            if other.promised < self.counter and not (self.careful and older):
                other.promised = self.counter
                granted.append(voter)
        if len(granted) <= len(host.log.voters) // 2:
            return False
        office = Office(key, self.counter, granted=True, quorum=True)
        for peer in reached:
            if peer in self.hosts:
                self.hosts[peer].local.office = office
                self.tell(peer, OfficeChanged(office))
        return True

    def change(self, author: bytes, what: ChangeBody) -> Change:
        cluster_id = self.hosts[self.founder].log.genesis.cluster_id
        return sign_change(
            what,
            cluster_id=cluster_id,
            author=author,
            hlc=self.hosts.get(author, self.hosts[self.founder]).local.date(),
            sign=CheapSignatures(author).sign,
        )

    def propose(self, key: bytes, what: ChangeBody, *, author: bytes | None = None) -> Change:
        change = self.change(author or self.founder, what)
        self.perform(key, self.hosts[key].log.propose(change, self.now))
        return change

    # --- invariants --------------------------------------------------------------------------

    def check(self, host: Host) -> None:
        """What is final once is so for ever, everywhere; but for a recovery that takes back."""
        if not self.watched:
            return
        known = self.final
        for entry in host.log.entries[-8:]:
            seen = known.setdefault(entry.version, entry.hash)
            assert seen == entry.hash, f"two final entries of version {entry.version}"
        assert host.log.committed.version == len(host.log.entries)
