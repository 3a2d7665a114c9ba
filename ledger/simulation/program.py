"""What runs on a simulated host: the mesh's machine, the ledger's core, and what a shell does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

from buildnet.ledger.accounts import Books
from buildnet.ledger.chain import BEGINNING, Tip
from buildnet.ledger.core import LedgerCore
from buildnet.ledger.entry import NO_ENTRY, Actor, ActorKind, Body, Chain, Entry, Posting, as_data
from buildnet.ledger.events import (
    Contradiction,
    Damaged,
    DamagedSeals,
    EntriesAppended,
    EntriesArrived,
    Kept,
    MaybeSetBack,
    RecordMember,
    Rewound,
    SetBack,
)
from buildnet.ledger.events import Effect as LedgerEffect
from buildnet.ledger.events import Event as LedgerEvent
from buildnet.ledger.frontier import Head
from buildnet.ledger.membership import MEMBER_TYPES, recording
from buildnet.ledger.messages import Entries, Heads, Seals
from buildnet.ledger.opening import OPENED, due_opening
from buildnet.ledger.postings import CAPACITY, FREE, allocated, offered, released
from buildnet.ledger.simulation.store import Store
from buildnet.mesh.events import (
    Effect,
    Event,
    LinkDown,
    LinkUp,
    MembersChanged,
    OfficeChanged,
    Raise,
    Received,
    Send,
    SendAll,
)
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.local import Local
from buildnet.mesh.machine import Machine
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.simulation.cluster import local_at
from buildnet.mesh.simulation.host import Start
from buildnet.mesh.wire import WireError

CONFIRM_S = 2.0
"""So long a process waits for all others to say how far its own chain reached."""
_AHEAD = 300 * 1000 << 16
_OF_THE_STORE = (Kept, EntriesAppended, Contradiction, Rewound, Damaged, DamagedSeals)
_OF_THE_MESH = (LinkUp, LinkDown, OfficeChanged, MembersChanged)


@dataclass(frozen=True, slots=True)
class Append:
    """Write this node's own new entries; ``EntriesAppended`` once they are fsynced."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class _Draft:
    type: str
    data: dict[str, Any]
    request: bytes = b""
    postings: tuple[Posting, ...] = ()


class LedgerMachine(Machine):
    """A node's machine and its ledger."""

    def __init__(self, start: Start, local: Local, store: Store) -> None:
        super().__init__(
            local,
            facts=start.facts,
            seeds=start.seeds,
            addresses=start.addresses,
            now=start.now,
        )
        self.ledger = LedgerCore(local, self.log, store.restored())
        local.may_change_voters = self.ledger.may_change_voters
        self._store = store
        self._chain, self._tip = _newest_own(local, store)
        self._found = (self._chain, self._tip.sequence)
        """The end of the own chain on disk; 0: it goes on from there, or there was none."""
        self._requests = _requests(local.key, store)
        self._books = _books(local.key, store)
        self._drafts: list[_Draft] = []
        self._told: dict[bytes, int] = {}
        """How far this node's newest chain reaches at others, by their own account."""
        self.is_mute = False
        """What it knows to be final it keeps to itself: a fault."""
        self.disguise: Callable[[Message], Message] | None = None
        """Others hear that instead of what its ledger says: a fault."""
        self._is_open = False
        self._open_by = start.now + CONFIRM_S

    # --- the machine ---------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        due = min(super().deadline, self.ledger.deadline)
        return due if self._is_open else min(due, self._open_by)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects = super().tick(now)
        if self.ledger.deadline <= now:
            effects += self._shell(self.ledger.tick(now), now)
        if not self._is_open and now >= self._open_by:
            effects += self._open(now, confirmed=False)
        return effects

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take an event of the mesh or of the store."""
        if isinstance(event, _OF_THE_STORE):
            return self._hear(cast(LedgerEvent, event), now)
        return super().handle(event, now)

    def _spread(self, events: list[Event], now: float, effects: list[Effect]) -> None:
        before = len(effects)
        super()._spread(events, now, effects)
        raised = [one.event for one in effects[before:] if isinstance(one, Raise)]
        for event in (*events, *raised):
            if isinstance(event, _OF_THE_MESH):
                effects += self._hear(event, now)
            elif isinstance(event, Received):
                effects += self._receive(event, now)

    def _receive(self, event: Received, now: float) -> list[Effect]:
        said = event.message
        if isinstance(said, Entries):
            return self._arrived(event.sender, self._read(said.entries), now)
        effects: list[Effect] = []
        if isinstance(said, Heads) and not self._is_open and event.sender not in self._told:
            chain = self._chain
            reach = [one.sequence for one in said.heads if one.chain == chain]
            self._told[event.sender] = max(reach, default=0)
            if self._told[event.sender] > self._tip.sequence:
                effects += self._hear(MaybeSetBack(), now)
            effects += self._confirm(now)
        return effects + self._hear(event, now)

    def _arrived(self, sender: bytes, entries: tuple[Entry, ...], now: float) -> list[Effect]:
        chain, last = self._found
        effects: list[Effect] = []
        if last and any(one.chain == chain and one.body.sequence > last for one in entries):
            self._found = (chain, 0)
            effects = self._hear(SetBack(), now)
        return effects + self._hear(EntriesArrived(sender, entries), now)

    def _read(self, entries: Iterable[bytes]) -> tuple[Entry, ...]:
        found: list[Entry] = []
        for signed in entries:
            try:
                entry = Entry.decode(signed)
            except WireError:
                continue
            if entry.is_signed(self.local.signatures.verify):
                found.append(entry)
        return tuple(found)

    def _hear(self, event: LedgerEvent, now: float) -> list[Effect]:
        return self._shell(self.ledger.handle(event, now), now)

    def _shell(self, wanted: list[LedgerEffect], now: float) -> list[Effect]:
        """Do what needs no world, hand on the rest."""
        effects: list[Effect] = []
        for effect in wanted:
            if self.is_mute and isinstance(effect, SendAll) and isinstance(effect.message, Seals):
                continue
            if self.disguise is not None and isinstance(effect, Send | SendAll):
                effect = replace(effect, message=self.disguise(effect.message))
            if isinstance(effect, RecordMember):
                entry = effect.entry
                effects += self.append(
                    MEMBER_TYPES + "changed",
                    recording(entry, effect.epoch),
                    request=entry.hash,
                )
            else:
                effects.append(cast(Effect, effect))
        return effects

    # --- appending -----------------------------------------------------------------------------

    def append(
        self, type: str, data: dict[str, Any], *, request: bytes = b"", count: int = 1
    ) -> list[Effect]:
        """Append entries to this node's chain, once it knows which; a request happens once."""
        if request and request in self._requests:
            return []
        self._requests.add(request)
        self._drafts += [_Draft(type, data, request)] * count
        return self._write()

    def account(self, cores: int) -> list[Effect]:
        """Allocate cores of this node, more than are free now and then, or release all; the first
        time, offer some."""
        place = f"node:{node_id_of(self.local.key)}/cores"
        free = self._books.balance(f"{place}/{FREE}", "cores")
        offer = -self._books.balance(f"{place}/{CAPACITY}", "cores")
        if not offer:
            pair = offered(place, "cores", 16)
        elif free == 0:
            pair = released(place, "cores", offer)
        else:
            pair = allocated(place, "cores", cores)
        self._drafts.append(_Draft("test.allocated", {}, postings=pair))
        return self._write()

    def next_entry(self, type: str, data: dict[str, Any]) -> Entry | None:
        """Return what would be the next entry; None: the chain is not open."""
        if not self._is_open:
            return None
        return self._make(_Draft(type, data))

    @property
    def chain(self) -> Chain:
        """This node's newest chain."""
        return self._chain

    def _write(self) -> list[Effect]:
        if not self._is_open or not self._drafts:
            return []
        effects: list[Effect] = []
        held = self.ledger.holding.held(self._chain)
        split = held is not None and held.quarantined is not None
        if split or self._tip.hlc > self.local.clock.now() + _AHEAD:
            effects += self._begin_chain(restored=False, confirmed=False)
        entries: list[Entry] = []
        for draft in self._drafts:
            entry = self._make(draft)
            entries.append(entry)
            self._books.apply(entry)
            self._tip = Tip.of(entry)
        self._drafts.clear()
        return [*effects, cast(Effect, Append(tuple(entries)))]

    def _make(self, draft: _Draft) -> Entry:
        local, tip = self.local, self._tip
        body = Body(
            cluster=local.members.cluster_id,
            origin=local.key,
            incarnation=self._chain.incarnation,
            previous=tip.hash if tip.sequence else NO_ENTRY,
            sequence=tip.sequence + 1,
            hlc=max(tip.hlc + 1, local.clock.now()),
            type=draft.type,
            actor=Actor("simulated", "", ActorKind.NODE.value),
            reason="",
            correlation="",
            entity="",
            request=draft.request,
            data=as_data(draft.data),
            postings=draft.postings,
        )
        return Entry.sign(body, local.signatures.sign)

    # --- which chain ---------------------------------------------------------------------------

    def begin(self, now: float) -> list[Effect]:
        """Say what there is to say at the start."""
        others = [key for key in self.local.members.members if key != self.local.key]
        effects = super().begin(now)
        if not self._tip.sequence or not others or self._store.is_restored:
            effects += self._open(now, confirmed=not others)
        return effects

    def _confirm(self, now: float) -> list[Effect]:
        """Go on with the chain on disk if nobody at all has more of it; another one is free."""
        if any(reach > self._tip.sequence for reach in self._told.values()):
            return self._open(now, confirmed=False)
        others = (key for key in self.local.members.members if key != self.local.key)
        if all(key in self._told for key in others):
            return self._open(now, confirmed=True)
        return []

    def _open(self, now: float, *, confirmed: bool) -> list[Effect]:
        self._is_open = True
        effects = self._begin_chain(restored=self._store.is_restored, confirmed=confirmed)
        return [*effects, *self._write()]

    def _begin_chain(self, *, restored: bool, confirmed: bool) -> list[Effect]:
        newest = None
        if self._tip.sequence:
            newest = (self._chain, Head(self._tip.sequence, self._tip.hash))
        opening = due_opening(self.local.key, newest, restored=restored, confirmed=confirmed)
        if opening is None:
            self._found = (self._chain, 0)
            return []
        self._chain = Chain(self.local.key, self.local.random.randbytes(8))
        self._tip = BEGINNING
        entry = self._make(_Draft(OPENED, opening.as_data()))
        self._tip = Tip.of(entry)
        return [cast(Effect, Append((entry,)))]


def start_ledger(
    store_of: Callable[[bytes], Store], *, real_signatures: bool = False
) -> Callable[[Start], LedgerMachine]:
    """Return what starts a node's machine with its ledger; ``store_of`` gives a key's store."""

    def start(start: Start) -> LedgerMachine:
        local = local_at(start, real_signatures)
        return LedgerMachine(start, local, store_of(start.key.public_key))

    return start


def _newest_own(local: Local, store: Store) -> tuple[Chain, Tip]:
    """Return the newest chain of this node, or of the keys that were rotated to its one."""
    keys = {local.key, *(key for key, was in local.members.former.items() if was.successor)}
    own = [key for key in keys if local.members.current(key) == local.key]
    found = [
        (chain.origin == local.key, Entry.decode(rows[1]).body.hlc, chain)
        for chain, rows in store.image.entries.items()
        if chain.origin in own and 1 in rows
    ]
    if not found:
        return Chain(local.key, bytes(8)), BEGINNING
    newest = max(found)[-1]
    rows = store.image.entries[newest]
    return newest, Tip.of(Entry.decode(rows[max(rows)]))


def _own_entries(key: bytes, store: Store) -> list[Entry]:
    entries = [
        Entry.decode(signed)
        for chain, rows in store.image.entries.items()
        if chain.origin == key
        for signed in rows.values()
    ]
    return sorted(entries, key=lambda entry: entry.order)


def _requests(key: bytes, store: Store) -> set[bytes]:
    return {entry.body.request for entry in _own_entries(key, store) if entry.body.request}


def _books(key: bytes, store: Store) -> Books:
    """Return what this node's own accounts hold, by what it posted itself."""
    books = Books()
    for entry in _own_entries(key, store):
        books.apply(entry)
    return books
