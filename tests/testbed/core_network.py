"""A small network of cores in virtual time: links that stand or not, nothing lost on them.

It is for one or a few cores by themselves; the whole mesh with its faults has the simulator
(`buildnet.mesh.simulation`).
"""

from __future__ import annotations

import functools
import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.events import (
    Core,
    Dial,
    DialFailed,
    Disconnect,
    Effect,
    Event,
    LinkDown,
    LinkState,
    LinkUp,
    MembersChanged,
    Note,
    OfficeChanged,
    Persist,
    Raise,
    Received,
    Relay,
    Send,
    SendAll,
    Stalled,
    StatusChanged,
)
from buildnet.mesh.local import Local
from buildnet.mesh.members.genesis import Rights, Role
from buildnet.mesh.members.member_list import Member, MemberList
from buildnet.mesh.messages import Message, decode_message
from buildnet.mesh.messages.kinds import kind_of
from buildnet.mesh.testing import CheapSignatures, ManualClock, key_number

ENVELOPE_BYTES = 180
"""What a message costs beside its payload: envelope, frame, WebSocket."""


def keys_of(size: int) -> list[bytes]:
    """Return the public keys of nodes 0, 1, 2 …"""
    return [key_number(number).public_key for number in range(size)]


def member_list(keys: Sequence[bytes], *, voters: int | None = None) -> MemberList:
    """Return a list of these members; the first ``voters`` of them vote."""
    number = voters if voters is not None else min(7, (len(keys) + 1) // 2 * 2 - 1)
    founded = MemberList.found(
        key_number(9999), key_number(0), name="c", founder_name="n0", created=1, nonce=bytes(16)
    )
    members = {
        key: Member(key, f"n{place}", Role.WORKER, Rights.BUILDER, seniority=place)
        for place, key in enumerate(keys)
    }
    return replace(founded, members=members, voters=tuple(sorted(keys[:number])))


def local_of(key: bytes, members: MemberList, *, seed: int = 0, boot: int = 1_790_000_000) -> Local:
    """Return the shared state of a node without links."""
    return Local(
        key,
        boot,
        CheapSignatures(key),
        random.Random(f"{seed} {key.hex()}"),
        HybridClock(ManualClock()),
        members,
    )


@dataclass(slots=True)
class CoreNode:
    """One node: its cores, and what they wanted that is no message."""

    local: Local
    cores: tuple[Core, ...]
    up: bool = True
    frozen_since: float | None = None
    waiting: list[Event] = field(default_factory=list)
    raised: list[tuple[float, Event]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    persisted: list[Persist] = field(default_factory=list)
    tick_at: float = float("inf")

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Give an event, and what comes of it, to all cores."""
        effects: list[Effect] = []
        waiting = [event]
        while waiting:
            happened = waiting.pop(0)
            _take_note(self.local, happened, now)
            for core in self.cores:
                wanted = core.handle(happened, now)
                effects += wanted
                waiting += [effect.event for effect in wanted if isinstance(effect, Raise)]
        return effects

    def perform(self, effects: list[Effect], now: float) -> list[Effect]:
        """Spread what ``effects`` raise among the cores; return these and what came of it."""
        more = list(effects)
        for effect in effects:
            if isinstance(effect, Raise):
                more += self.handle(effect.event, now)
        return more


class CoreNetwork:
    """Nodes with the cores that ``build`` makes. Each message takes ``delay_s``."""

    def __init__(
        self,
        size: int,
        build: Callable[[Local], Sequence[Core]],
        *,
        seed: int = 1,
        delay_s: float = 0.002,
        voters: int | None = None,
    ) -> None:
        self.keys = keys_of(size)
        self.members = member_list(self.keys, voters=voters)
        self.build = build
        self.seed = seed
        self.delay_s = delay_s
        self.now = 100.0
        self.nodes: dict[bytes, CoreNode] = {}
        self.apart: set[frozenset[bytes]] = set()
        """Pairs that can open no link, and lose the one they have."""
        self.undialable: set[bytes] = set()
        self.sent: Counter[str] = Counter()
        self.bytes_out: Counter[bytes] = Counter()
        self.bytes_in: Counter[bytes] = Counter()
        self.messages_out: Counter[bytes] = Counter()
        self.dials: list[tuple[float, bytes, str]] = []
        self.relays: list[tuple[float, bytes, Relay]] = []
        self._number = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        for key in self.keys:
            self.start(key)

    # --- nodes and links -------------------------------------------------------------------------

    def start(self, key: bytes, *, boot: int = 1_790_000_000) -> CoreNode:
        """Start a node, or start it again."""
        local = local_of(key, self.members, seed=self.seed, boot=boot)
        self.nodes[key] = node = CoreNode(local, tuple(self.build(local)))
        self._look_at(key)
        return node

    def address(self, key: bytes) -> str:
        """Return where a node is dialled."""
        return f"http://n{self.keys.index(key)}:80"

    def link(self, one: bytes, other: bytes, relayed_by: bytes | None = None) -> None:
        """Let a link stand, dialled by ``one``."""
        address = None if relayed_by else self.address(other)
        self.tell(one, LinkUp(other, True, address, relayed_by))
        self.tell(other, LinkUp(one, False, None, relayed_by))

    def link_all(self, keys: Sequence[bytes] | None = None) -> None:
        """Link each with each."""
        for one, other in itertools.combinations(keys or self.keys, 2):
            self.link(one, other)

    def unlink(self, one: bytes, other: bytes, reason: str = "closed") -> None:
        """End the link between two nodes."""
        for node, peer in ((one, other), (other, one)):
            if peer in self.nodes[node].local.links:
                self.tell(node, LinkDown(peer, reason))

    def part(self, some: Iterable[bytes], others: Iterable[bytes]) -> None:
        """Cut all ways between two groups."""
        for one, other in itertools.product(tuple(some), tuple(others)):
            self.apart.add(frozenset((one, other)))
            self.unlink(one, other)

    def kill(self, key: bytes, *, refused: bool = True) -> None:
        """End a node's process; ``refused``: its peers' redials are refused at once."""
        node = self.nodes[key]
        peers = sorted(node.local.links)
        node.up = False
        for peer in peers:
            self.tell(peer, LinkDown(key, "closed"))
            if refused:
                self.tell(peer, DialFailed(key, self.address(key), "refused", refused=True))

    def freeze(self, key: bytes) -> None:
        """Stop a node; its links stand."""
        self.nodes[key].frozen_since = self.now

    def thaw(self, key: bytes) -> None:
        """Let it go on: it hears of its stall, then of all that waited."""
        node = self.nodes[key]
        assert node.frozen_since is not None
        stalled, node.frozen_since = self.now - node.frozen_since, None
        waiting, node.waiting = node.waiting, []
        for event in [Stalled(stalled), *waiting]:
            self.tell(key, event)
        self._look_at(key)

    def change_members(self, members: MemberList) -> None:
        """Give every node another list of members."""
        self.members = members
        for key, node in self.nodes.items():
            node.local.members = members
            self.tell(key, MembersChanged())

    # --- time ------------------------------------------------------------------------------------

    def tell(self, key: bytes, event: Event) -> None:
        """Let something happen to a node, now."""
        node = self.nodes[key]
        if not node.up:
            return
        if node.frozen_since is not None:
            node.waiting.append(event)
            return
        self._perform(key, node.handle(event, self.now))

    def do(self, key: bytes, effects: list[Effect]) -> None:
        """Perform what a method of a core answered."""
        node = self.nodes[key]
        self._perform(key, node.perform(effects, self.now))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._agenda and self._agenda[0][0] <= end:
            at, _, action = heapq.heappop(self._agenda)
            self.now = max(self.now, at)
            action()
        self.now = end

    def run_until(self, holds: Callable[[], bool], *, at_most: float, step: float = 0.01) -> float:
        """Let time pass until ``holds``; return how long it took."""
        begin = self.now
        while not holds():
            assert self.now < begin + at_most, f"not within {at_most} s (seed {self.seed})"
            self.run(step)
        return self.now - begin

    def _at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._number), action))

    def _look_at(self, key: bytes) -> None:
        """Plan the node's next tick."""
        node = self.nodes[key]
        due = max(self.now, min(core.deadline for core in node.cores))
        if due < node.tick_at:
            node.tick_at = due
            if due < float("inf"):
                self._at(due, lambda: self._tick(key, node))

    def _tick(self, key: bytes, node: CoreNode) -> None:
        if self.nodes[key] is not node or not node.up or node.tick_at > self.now:
            return
        node.tick_at = float("inf")
        if node.frozen_since is not None:
            return
        effects: list[Effect] = []
        for core in node.cores:
            if core.deadline <= self.now:
                effects += core.tick(self.now)
                assert core.deadline > self.now, f"{type(core).__name__} would tick for ever"
        self._perform(key, node.perform(effects, self.now))

    def _perform(self, key: bytes, effects: list[Effect]) -> None:
        node = self.nodes[key]
        for effect in effects:
            match effect:
                case Send(to, message):
                    self._send(key, to, message)
                case SendAll(to, message):
                    for peer in to:
                        self._send(key, peer, message)
                case Dial(address, peer):
                    self.dials.append((self.now, key, address))
                    self._dial(key, address, peer)
                case Relay(peer, through):
                    self.relays.append((self.now, key, effect))
                    self._relay(key, peer, through)
                case Disconnect(peer, reason):
                    self._at(self.now, functools.partial(self.unlink, key, peer, reason))
                case Raise(event):
                    node.raised.append((self.now, event))
                case Note():
                    node.notes.append(effect)
                case Persist():
                    node.persisted.append(effect)
        self._look_at(key)

    def _send(self, sender: bytes, to: bytes, message: Message) -> None:
        if to not in self.nodes[sender].local.links:
            return
        payload = message.encode()
        assert len(payload) <= 60 * 1024, f"{type(message).__name__} of {len(payload)} bytes"
        number, size = kind_of(message).number, len(payload) + ENVELOPE_BYTES
        self.sent[type(message).__name__] += 1
        self.messages_out[sender] += 1
        self.bytes_out[sender] += size
        self.bytes_in[to] += size

        def arrive() -> None:
            decoded = decode_message(number, payload)
            assert decoded == message
            if self.nodes[to].up and sender in self.nodes[to].local.links:
                self.tell(to, Received(sender, message, size))

        self._at(self.now + self.delay_s, arrive)

    def _dial(self, key: bytes, address: str, peer: bytes | None) -> None:
        def arrive() -> None:
            if not self.nodes[key].up:
                return
            index = int(address.removeprefix("http://n").removesuffix(":80"))
            found = self.keys[index] if index < len(self.keys) else None
            if found is None or found in self.undialable or self._is_apart(key, found):
                return self._at(self.now + 5, lambda: self._fail(key, address, peer, "no answer"))
            if not self.nodes[found].up or found == key or peer not in (None, found):
                return self._fail(key, address, peer, "refused", refused=found != key)
            link = self.nodes[key].local.links.get(found)
            if link is None or link.relayed_by is not None:
                self.link(key, found)
            return None

        self._at(self.now + 3 * self.delay_s, arrive)

    def _is_apart(self, one: bytes, other: bytes) -> bool:
        return frozenset((one, other)) in self.apart

    def _fail(
        self, key: bytes, address: str | None, peer: bytes | None, why: str, refused: bool = False
    ) -> None:
        self.tell(key, DialFailed(peer, address, why, refused))

    def _relay(self, key: bytes, peer: bytes, through: bytes) -> None:
        def arrive() -> None:
            is_there = self.nodes[key].up and self.nodes[peer].up
            if is_there and peer in self.nodes[through].local.links:
                self.link(key, peer, relayed_by=through)
            else:
                self._fail(key, None, peer, "relay has no link")

        self._at(self.now + 0.01, arrive)


def _take_note(local: Local, event: Event, now: float) -> None:
    match event:
        case LinkUp(peer, outgoing, address, relayed_by):
            local.links[peer] = LinkState(outgoing, now, address, relayed_by)
        case LinkDown(peer):
            local.links.pop(peer, None)
        case StatusChanged(peer, status):
            local.status[peer] = status
        case OfficeChanged(office):
            local.office = office
        case _:
            pass
