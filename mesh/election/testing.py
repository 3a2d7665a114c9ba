"""A small network of election cores in virtual time, for tests of the election alone.

Nodes are named a, b, c … in falling rank: ``a`` is the founder, ``b`` was admitted next. The
simulator of :mod:`buildnet.mesh.simulation` drives whole machines and every kind of fault.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.election.core import Election
from buildnet.mesh.election.promise import Position, promise_statement
from buildnet.mesh.events import (
    DialFailed,
    Effect,
    Event,
    Fact,
    LinkDown,
    LinkState,
    LinkUp,
    MembersChanged,
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
    StatusChanged,
)
from buildnet.mesh.local import Local
from buildnet.mesh.members.member import Member
from buildnet.mesh.members.member_list import MemberList, Rights, Role
from buildnet.mesh.messages import Message
from buildnet.mesh.messages.election import (
    Coordinator,
    ElectionAnswer,
    Hears,
    Heartbeat,
    HeartbeatAck,
    MissAnswer,
    PromiseAnswer,
    PromiseAsk,
    Verdict,
)
from buildnet.mesh.messages.kinds import kind_of
from buildnet.mesh.testing import CheapSignatures, ManualClock, key_number

NAMES = "abcdefghijklmno"
KEYS: dict[str, bytes] = {
    name: key_number(place).public_key for place, name in enumerate((*NAMES, "x"))
}
"""Public keys by name; ``x`` is never a member."""
NAME_OF: dict[bytes, str] = {key: name for name, key in KEYS.items()}


def list_of(names: str, voters: str, *, observers: str = "", version: int = 10) -> MemberList:
    """A member list of ``names``, the first of the highest rank."""
    founded = MemberList.found(
        key_number(99), key_number(0), name="test", founder_name="a", created=1, nonce=bytes(16)
    )
    members = {
        KEYS[name]: Member(
            KEYS[name],
            name,
            Role.OBSERVER if name in observers else Role.WORKER,
            Rights.ADMIN if name == "a" else Rights.BUILDER,
            seniority=place,
        )
        for place, name in enumerate(names)
    }
    chosen = tuple(sorted(KEYS[name] for name in voters))
    head = version.to_bytes(32, "big")
    return replace(founded, members=members, voters=chosen, version=version, head=head)


@dataclass
class Log:
    """A member log that only says how far it reaches."""

    accepted: tuple[int, int]
    head: bytes
    voters: tuple[bytes, ...]

    @classmethod
    def of(cls, members: MemberList) -> Log:
        return cls((0, members.version), members.head, members.voters)


@dataclass
class Node:
    """One process: its core, what is on its disk, and what waits while it is frozen."""

    name: str
    local: Local
    log: Log
    core: Election
    disk: dict[str, Fact]
    process: int
    frozen: bool = False
    inbox: list[Event] = field(default_factory=list)
    said: list[Message] = field(default_factory=list)
    offices: list[Office | None] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Network:
    """Cores, links and disks in virtual time.

    ``delay_s`` is one way, ``jitter_s`` is added at random; a disk takes ``disk_s``.
    """

    def __init__(
        self,
        names: str = "abc",
        *,
        voters: str | None = None,
        observers: str = "",
        seed: int = 1,
        delay_s: float = 0.001,
        jitter_s: float = 0.0,
        disk_s: float = 0.002,
        start: bool = True,
    ) -> None:
        self.random = random.Random(seed)
        self.members = list_of(names, names if voters is None else voters, observers=observers)
        self.delay_s = delay_s
        self.jitter_s = jitter_s
        self.disk_s = disk_s
        self.now = 0.0
        self.nodes: dict[str, Node] = {}
        self.disks: dict[str, dict[str, Fact]] = {name: {} for name in names}
        self.down: set[tuple[str, str]] = set()
        self.drop = 0.0
        self.granted: dict[int, str] = {}
        self.lines: list[str] = []
        """What was said but heartbeats, and which offices were taken note of."""
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._processes = 0
        self._arrival: dict[tuple[str, str], float] = {}
        if start:
            for name in names:
                self.start(name)

    # --- what tests do ---------------------------------------------------------------------

    def start(self, name: str) -> None:
        self._processes += 1
        key = KEYS[name]
        local = Local(
            key,
            self._processes,
            CheapSignatures(key),
            random.Random(self.random.getrandbits(64)),
            HybridClock(ManualClock()),
            self.members,
        )
        log = Log.of(self.members)
        disk = self.disks[name]
        core = Election(local, log=log, facts=tuple(disk.values()), now=self.now)
        self.nodes[name] = Node(name, local, log, core, disk, self._processes)
        for other in sorted(self.nodes):
            if other != name and not self._is_cut(name, other):
                self.link(name, other)

    def link(self, one: str, other: str) -> None:
        for here, there in ((one, other), (other, one)):
            self._later(self.delay_s, partial(self._link, here, there))

    def kill(self, name: str) -> None:
        """End a process: links close, redials are refused, unsynced writes are lost."""
        self.nodes.pop(name)
        for other in sorted(self.nodes):
            self._later(self.delay_s, partial(self._unlink, other, name))
            self._later(3 * self.delay_s, partial(self._refuse, other, name))

    def freeze(self, *names: str) -> None:
        for name in names:
            self.nodes[name].frozen = True

    def thaw(self, name: str) -> None:
        node = self.nodes[name]
        node.frozen = False
        waiting, node.inbox = node.inbox, []
        for event in waiting:
            self._event(node, event)

    def cut(self, ones: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> None:
        """Nothing gets from ``ones`` to ``others`` any more; links stay, as they do on a LAN."""
        for one in ones:
            for other in others:
                self.down.add((one, other))
                if not one_way:
                    self.down.add((other, one))

    def heal(self) -> None:
        self.down.clear()

    def unlink(self, one: str, other: str) -> None:
        """The two can't reach each other and know it."""
        self.cut(one, other)
        for here, there in ((one, other), (other, one)):
            self._later(0.0, partial(self._unlink, here, there))

    def fail_dial(self, name: str, peer: str) -> None:
        """Let ``name`` hear that nobody listens at ``peer``'s address."""
        self._event(self.nodes[name], DialFailed(KEYS[peer], "ws://", "refused", refused=True))

    def mark(self, at: Iterable[str], peer: str, status: Status) -> None:
        for name in at:
            self.nodes[name].local.status[KEYS[peer]] = status
            self._event(self.nodes[name], StatusChanged(KEYS[peer], status))

    def give(self, members: MemberList, names: Iterable[str]) -> None:
        """Let nodes know another member list."""
        for name in names:
            node = self.nodes[name]
            node.local.members = members
            node.log.voters, node.log.head = members.voters, members.head
            node.log.accepted = (node.log.accepted[0], members.version)
            self._event(node, MembersChanged())

    def wish(self, name: str, wish: Callable[[Election], list[Effect]]) -> None:
        node = self.nodes[name]
        self._perform(node, wish(node.core))

    def run(self, seconds: float) -> None:
        self.run_until(lambda: False, seconds)

    def run_until(self, holds: Callable[[], bool], limit_s: float = 20.0) -> float:
        """Go on until ``holds``; return the seconds that took."""
        began, end = self.now, self.now + limit_s
        while not holds():
            due = self._next_tick()
            queued = self._queue[0][0] if self._queue else float("inf")
            if min(due[0], queued) > end:
                self.now = end
                break
            if queued <= due[0]:
                self.now, _, action = heapq.heappop(self._queue)
                action()
            else:
                self.now = max(self.now, due[0])
                node = self.nodes[due[1]]
                self._perform(node, node.core.tick(self.now))
        return self.now - began

    def tell(self, sender: str, to: str, message: Message) -> None:
        """Let ``to`` receive what ``sender``'s core would not say by itself."""
        arrive = partial(self._event, self.nodes[to], Received(KEYS[sender], message))
        self._later(self.delay_s, arrive)

    def position(self, name: str) -> Position:
        """How far a node's member log reaches."""
        return Position.of(self.nodes[name].log)

    def sign_promise(self, voter: str, counter: int, candidate: str, *, boot: int) -> bytes:
        """Sign as ``voter``."""
        local = self.nodes[voter].local
        statement = promise_statement(local, counter, KEYS[candidate], boot)
        return local.signatures.sign(statement)

    # --- what tests look at ------------------------------------------------------------------

    def views(self) -> dict[str, str]:
        """What each running node believes: ``a 3 quorum``, ``b 3 provisional``, ``nobody``."""
        return {node.name: told(node.core.office) for node in self.awake()}

    def agree(self) -> bool:
        views = set(self.views().values())
        return len(views) == 1 and views.pop().endswith("quorum")

    def agree_without(self, *names: str) -> Callable[[], bool]:
        """Whether all follow one that is none of ``names``."""
        return lambda: self.agree() and NAME_OF[self._coordinator()] not in names

    def _coordinator(self) -> bytes:
        office = self.awake()[0].core.office
        assert office is not None
        return office.coordinator

    def awake(self) -> list[Node]:
        return [self.nodes[name] for name in sorted(self.nodes) if not self.nodes[name].frozen]

    def settle(self) -> str:
        """Run until all awake agree on a coordinator with quorum; return its name."""
        self.run_until(self.agree, 30.0)
        assert self.agree(), self.views()
        return NAME_OF[self._coordinator()]

    # --- how it works ------------------------------------------------------------------------

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._queue, (self.now + seconds, self._number, action))

    def _next_tick(self) -> tuple[float, str]:
        due = [(node.core.deadline, node.name) for node in self.awake()]
        return min(due, default=(float("inf"), ""))

    def _is_cut(self, one: str, other: str) -> bool:
        return (one, other) in self.down or (other, one) in self.down

    def _link(self, here: str, there: str) -> None:
        node = self.nodes.get(here)
        if node is None or there not in self.nodes or self._is_cut(here, there):
            return
        node.local.links[KEYS[there]] = LinkState(True, self.now, round_trip_s=2 * self.delay_s)
        node.local.status[KEYS[there]] = Status.ALIVE
        self._event(node, StatusChanged(KEYS[there], Status.ALIVE))
        self._event(node, LinkUp(KEYS[there], True))

    def _unlink(self, here: str, there: str) -> None:
        node = self.nodes.get(here)
        if node is not None and node.local.links.pop(KEYS[there], None) is not None:
            self._event(node, LinkDown(KEYS[there]))

    def _refuse(self, here: str, there: str) -> None:
        node = self.nodes.get(here)
        if node is not None and there not in self.nodes:
            self._event(node, DialFailed(KEYS[there], "ws://", "refused", refused=True))

    def _event(self, node: Node, event: Event) -> None:
        if node.frozen:
            node.inbox.append(event)
            return
        if node.core.deadline <= self.now:
            self._perform(node, node.core.tick(self.now))
        self._perform(node, node.core.handle(event, self.now))

    def _perform(self, node: Node, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(to, message):
                    self._record(node, (to,), message)
                    self._carry(node, to, message)
                case SendAll(all_of, message):
                    self._record(node, all_of, message)
                    for peer in all_of:
                        self._carry(node, peer, message)
                case Persist():
                    self._later(self.disk_s, partial(self._synced, node, effect))
                case Raise(OfficeChanged(office) as event):
                    self._look(node, office)
                    node.local.office = office
                    self._perform(node, node.core.handle(event, self.now))
                case Note(reason):
                    node.notes.append(reason)

    def _record(self, node: Node, to: Sequence[bytes], message: Message) -> None:
        node.said.append(message)
        if not isinstance(message, Heartbeat | HeartbeatAck):
            peers = "".join(sorted(NAME_OF[peer] for peer in to))
            self.lines.append(f"{node.name} > {peers} {_line_of(message)}")

    def _carry(self, node: Node, to: bytes, message: Message) -> None:
        name, peer = node.name, NAME_OF[to]
        if to not in node.local.links or (name, peer) in self.down:
            return
        if self.random.random() < self.drop:
            return
        kind = kind_of(message)
        said = kind.record.decode(message.encode())
        assert said == message
        arrival = self.now + self.delay_s + self.random.random() * self.jitter_s
        arrival = max(arrival, self._arrival.get((name, peer), 0.0))  # links keep the order
        self._arrival[name, peer] = arrival
        process = self.nodes[peer].process if peer in self.nodes else -1

        def arrive() -> None:
            there = self.nodes.get(peer)
            if there is not None and there.process == process:
                self._event(there, Received(node.local.key, said))

        self._later(arrival - self.now, arrive)

    def _synced(self, node: Node, persist: Persist) -> None:
        if self.nodes.get(node.name) is not node:
            return  # the process died before its write was on disk
        for fact in persist.facts:
            node.disk[fact.name()] = fact
        self._event(node, Persisted(persist.token))

    def _look(self, node: Node, office: Office | None) -> None:
        node.offices.append(office)
        self.lines.append(f"{node.name}: {told(office)}")
        if office is not None and office.granted:
            name = NAME_OF[office.coordinator]
            known = self.granted.setdefault(office.counter, name)
            assert known == name, f"two coordinators of term {office.counter}: {known}, {name}"
        granted = [seen.counter for seen in node.offices if seen is not None and seen.granted]
        if office is not None and granted:
            assert office.counter >= max(granted), "a lower term is obeyed"


def settled(
    names: str = "abc",
    *,
    voters: str | None = None,
    observers: str = "",
    seed: int = 1,
    disk_s: float = 0.002,
) -> Network:
    """Return a :class:`Network` in which ``a`` coordinates in term 1."""
    network = Network(names, voters=voters, observers=observers, seed=seed, disk_s=disk_s)
    assert network.settle() == "a"
    network.run(0.5)
    network.lines.clear()
    return network


def told(office: Office | None) -> str:
    if office is None:
        return "nobody"
    state = "quorum" if office.quorum else "provisional"
    return f"{NAME_OF[office.coordinator]} {office.counter} {state}"


def _line_of(message: Message) -> str:
    words: list[object] = [type(message).__name__]
    match message:
        case MissAnswer(hears=hears):
            words.append(Hears(hears).name)
        case ElectionAnswer(takes_over=takes_over):
            words.append("takes over" if takes_over else "does not")
        case PromiseAsk(counter=counter) | Coordinator(counter=counter):
            words.append(counter)
        case PromiseAnswer(counter=counter, verdict=verdict):
            words += [counter, Verdict(verdict).name]
    return " ".join(map(str, words))


def disturb(network: Network, steps: int) -> None:
    """Do harm at random: crash, freeze, cut, drop, delay; some of it is undone meanwhile."""
    chance = network.random
    names = sorted(network.disks)
    for _ in range(steps):
        name = chance.choice(names)
        others = [other for other in names if other != name]
        node = network.nodes.get(name)
        match chance.randrange(8):
            case 0:
                if node is not None:
                    network.kill(name)
            case 1 | 2:
                if node is None:
                    network.start(name)
                elif node.frozen:
                    network.thaw(name)
            case 3:
                if node is not None:
                    network.freeze(name)
            case 4:
                side = chance.sample(names, chance.randrange(1, len(names)))
                rest = [other for other in names if other not in side]
                network.cut(side, rest, one_way=chance.random() < 0.5)
            case 5:
                network.heal()
            case 6:
                network.unlink(name, chance.choice(others))
            case 7:
                network.drop = chance.choice([0.0, 0.05, 0.3])
                network.jitter_s = chance.choice([0.0, 0.01, 0.2])
        network.run(chance.choice([0.01, 0.1, 0.5, 1.0, 3.0]))


def calm(network: Network) -> None:
    """Undo all harm: every process runs, every link stands."""
    network.heal()
    network.drop = network.jitter_s = 0.0
    names = sorted(network.disks)
    for name in names:
        if name not in network.nodes:
            network.start(name)
        elif network.nodes[name].frozen:
            network.thaw(name)
    for one in names:
        for other in names:
            if one < other and KEYS[other] not in network.nodes[one].local.links:
                network.link(one, other)
