"""Ledger cores of a few members, linked by hand; their stores answer when they are told to."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable

from buildnet.ledger.chain import BEGINNING, Tip
from buildnet.ledger.core import LedgerCore
from buildnet.ledger.entry import NO_ENTRY, Actor, ActorKind, Body, Chain, Entry, as_data
from buildnet.ledger.events import (
    Compare,
    Contradiction,
    Effect,
    EntriesAppended,
    EntriesArrived,
    Event,
    Keep,
    Kept,
    Repair,
    Rewind,
    Rewound,
    SealedTo,
    ServeEntries,
    ServeSeals,
)
from buildnet.ledger.messages import Entries, Seals
from buildnet.ledger.opening import OPENED, Opening, Why
from buildnet.ledger.seal import SealRecord
from buildnet.ledger.simulation.store import Store
from buildnet.ledger.sync.telling import batches
from buildnet.mesh.clock import HybridClock
from buildnet.mesh.events import (
    LinkDown,
    LinkState,
    LinkUp,
    Note,
    Office,
    OfficeChanged,
    Received,
    Send,
    SendAll,
)
from buildnet.mesh.local import Local
from buildnet.mesh.members.facts import GenesisFact
from buildnet.mesh.members.log import MemberLog
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.simulation.formation import formed_disks
from buildnet.mesh.simulation.timeline import Timeline
from buildnet.mesh.testing import CheapSignatures, ManualClock, key_number


class Node:
    """One member: its core, its store and what it noted."""

    def __init__(self, index: int, members: int, clock: ManualClock) -> None:
        self.key = key_number(index).public_key
        self.signatures = CheapSignatures(self.key)
        self.clock = clock
        self.facts = [kind.decode(body) for kind, body in formed_disks(members)[index].values()]
        self.store = Store(Timeline(), random.Random(index))
        self.notes: list[str] = []
        self.sealed: list[int] = []
        self.writes: deque[Callable[[], Event | None]] = deque()
        self.chain = Chain(self.key, bytes([index]) * 8)
        self.tip = BEGINNING
        self.start()

    def start(self) -> None:
        """Begin a process with what is on the disk."""
        genesis = next(fact for fact in self.facts if isinstance(fact, GenesisFact)).genesis
        self.local = Local(
            self.key,
            1,
            self.signatures,
            random.Random(self.key),
            HybridClock(self.clock),
            MemberList.of(genesis, self.signatures),
        )
        self.log = MemberLog(self.local, facts=self.facts)
        self.local.members = self.log.committed
        self.writes.clear()
        self.core = LedgerCore(self.local, self.log, self.store.restored())

    def make(
        self, data: object = 0, *, tip: Tip | None = None, chain: Chain | None = None
    ) -> Entry:
        """Return what would be its next entry, or one after another tip."""
        at = self.tip if tip is None else tip
        first = at.sequence == 0
        body = Body(
            cluster=self.local.members.cluster_id,
            origin=self.key,
            incarnation=(chain or self.chain).incarnation,
            previous=NO_ENTRY if first else at.hash,
            sequence=at.sequence + 1,
            hlc=max(at.hlc + 1, self.local.clock.now()),
            type=OPENED if first else "test.event",
            actor=Actor("somebody", "", ActorKind.USER.value),
            reason="",
            correlation="",
            entity="",
            request=b"",
            data=as_data(Opening(Why.FIRST).as_data() if first else {"data": data}),
            postings=(),
        )
        return Entry.sign(body, self.signatures.sign)


class Network:
    """Some members, all linked; nothing is delivered or written until told."""

    def __init__(self, members: int = 3) -> None:
        self.clock = ManualClock()
        self.now = 100.0
        self.nodes = [Node(index, members, self.clock) for index in range(members)]
        self.flying: deque[tuple[bytes, bytes, Message]] = deque()
        self.lost: set[type[Message]] = set()
        """Kinds of messages that do not arrive."""
        for node in self.nodes:
            for other in self.nodes:
                if other is not node:
                    node.local.heard[other.key] = self.clock.milliseconds << 16
                    node.local.links[other.key] = LinkState(True, 0.0)

    def node(self, key: bytes) -> Node:
        return next(node for node in self.nodes if node.key == key)

    def voters(self) -> list[Node]:
        """Return the voters, by key."""
        return [self.node(key) for key in self.nodes[0].log.committed.voters]

    def greet(self) -> None:
        """Let all links come up."""
        for node in self.nodes:
            for peer in sorted(node.local.links):
                self.tell(node, LinkUp(peer, True))

    def cut(self, one: Node, other: Node) -> None:
        """End the link of two nodes."""
        for node, peer in ((one, other), (other, one)):
            if node.local.links.pop(peer.key, None) is not None:
                self.tell(node, LinkDown(peer.key))

    def link(self, one: Node, other: Node) -> None:
        """Link two nodes again."""
        for node, peer in ((one, other), (other, one)):
            node.local.links[peer.key] = LinkState(True, self.now)
        for node, peer in ((one, other), (other, one)):
            self.tell(node, LinkUp(peer.key, True))

    def office(self, coordinator: Node, term: int, *, at: Iterable[Node] | None = None) -> None:
        """Let nodes obey a coordinator; the others first, it last."""
        office = Office(coordinator.key, term, granted=True, quorum=True)
        known = list(self.nodes if at is None else at)
        for node in sorted(known, key=lambda one: one is coordinator):
            node.local.office = office
            self.tell(node, OfficeChanged(office))

    def append(self, node: Node, count: int = 1, data: object = 0) -> list[Entry]:
        """Let a node append entries; they are on its disk."""
        entries: list[Entry] = []
        for _ in range(count):
            entry = node.make(data)
            node.tip = Tip.of(entry)
            entries.append(entry)
        node.store.append(tuple(entries))
        self.tell(node, EntriesAppended(tuple(entries)))
        return entries

    def tell(self, node: Node, event: Event) -> list[Effect]:
        """Hand an event to a core and perform what it wants."""
        effects = node.core.handle(event, self.now)
        self.perform(node, effects)
        return effects

    def perform(self, node: Node, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(to, said):
                    self.flying.append((node.key, to, said))
                case SendAll(to, said):
                    self.flying.extend((node.key, one, said) for one in to)
                case Note(reason):
                    node.notes.append(reason)
                case SealedTo(seal):
                    node.sealed.append(seal.height)
                case Keep() | ServeEntries() | ServeSeals() | Compare() | Rewind() | Repair():
                    node.writes.append(self._write(node, effect))
                case _:
                    pass

    def _write(
        self,
        node: Node,
        effect: Keep | ServeEntries | ServeSeals | Compare | Rewind | Repair,
    ) -> Callable[[], Event | None]:
        def do() -> Event | None:
            store = node.store
            if isinstance(effect, Keep):
                store.keep(effect)
                return Kept(effect.token)
            if isinstance(effect, Rewind):
                store.rewind(effect.height, effect.voters)
                return Rewound(store.restored())
            if isinstance(effect, Repair):
                store.repair(effect.entries, effect.seals)
                return None
            if isinstance(effect, Compare):
                held = store.entry(effect.other.chain, effect.other.body.sequence)
                assert held is not None
                return Contradiction(held, effect.other)
            if isinstance(effect, ServeEntries):
                run = batches(store.run(effect.chain, effect.first, effect.last))
                if run:
                    self.flying.append((node.key, effect.to, run[0]))
                return None
            records: list[SealRecord] = []
            height = effect.height
            while (seal := store.seal(height)) is not None and len(records) < 64:
                records.append(seal.record)
                height += 1
            if records:
                self.flying.append((node.key, effect.to, Seals(tuple(records))))
            return None

        return do

    def write(self, node: Node) -> None:
        """Let a node's disk do all that waits."""
        while node.writes:
            event = node.writes.popleft()()
            if event is not None:
                self.tell(node, event)

    def deliver(self) -> None:
        """Deliver what is under way now."""
        for _ in range(len(self.flying)):
            sender, to, said = self.flying.popleft()
            node = self.node(to)
            if type(said) in self.lost or sender not in node.local.links:
                continue
            said = type(said).decode(said.encode())
            node.local.heard[sender] = self.clock.milliseconds << 16
            if isinstance(said, Entries):
                entries = tuple(Entry.decode(one) for one in said.entries)
                self.tell(node, EntriesArrived(sender, entries))
            else:
                self.tell(node, Received(sender, said))

    def settle(self, seconds: float = 0.0) -> None:
        """Deliver and write until all is quiet, then let time go on, and so forth."""
        over = self.now + seconds
        while True:
            while self.flying or any(node.writes for node in self.nodes):
                self.deliver()
                for node in self.nodes:
                    self.write(node)
            due = min(node.core.deadline for node in self.nodes)
            if due > over:
                break
            self.clock.advance(max(0.0, due - self.now))
            self.now = max(self.now, due)
            for node in self.nodes:
                if node.core.deadline <= self.now:
                    self.perform(node, node.core.tick(self.now))
        self.clock.advance(over - self.now)
        self.now = over

    def settle_tick(self, node: Node) -> None:
        """Let time go on until a core's next deadline."""
        due = max(self.now, node.core.deadline)
        self.clock.advance(due - self.now)
        self.now = due
        self.perform(node, node.core.tick(self.now))

    def sent(self, kind: type[Message]) -> list[tuple[bytes, bytes, Message]]:
        """Return what of a kind is under way."""
        return [one for one in self.flying if isinstance(one[2], kind)]
