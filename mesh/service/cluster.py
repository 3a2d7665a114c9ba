"""One node's part in one cluster: its machine, what drives it, and what performs its effects.

A node that changes clusters ends one of these and begins another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from buildnet.mesh.errors import BuildNetError, UsageError
from buildnet.mesh.events import (
    BootFact,
    ChangeDone,
    Dial,
    DialFailed,
    Disconnect,
    Effect,
    Event,
    Fact,
    LinkDown,
    LinkUp,
    MembersChanged,
    Note,
    Office,
    OfficeChanged,
    Persist,
    Persisted,
    Raise,
    Received,
    RecordChanged,
    Relay,
    RoundTrip,
    Send,
    SendAll,
    Status,
    StatusChanged,
)
from buildnet.mesh.gossip.records import ADDRESS_TOPIC, AddressFact, Record
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.connection import Connection
from buildnet.mesh.link.dialing import UnreachableError, dial
from buildnet.mesh.link.envelope import Envelope
from buildnet.mesh.link.handshake import Claim, Purpose, Responder
from buildnet.mesh.link.links import Links, Standing, close_quietly
from buildnet.mesh.link.peer import Peer
from buildnet.mesh.link.relay import Relays
from buildnet.mesh.local import Local
from buildnet.mesh.machine import Machine
from buildnet.mesh.members.chain import Chain
from buildnet.mesh.members.changes import Change, ChangeBody, sign_change
from buildnet.mesh.members.facts import PREFIX as LOG_PREFIX
from buildnet.mesh.messages.admission import MAX_NEIGHBOURS
from buildnet.mesh.messages.kinds import Message, decode_message
from buildnet.mesh.messages.member_log import signatures_in
from buildnet.mesh.messages.relay import BulkOffer
from buildnet.mesh.service.admission import TOPIC as REQUESTS_TOPIC
from buildnet.mesh.service.admission import AdmissionDesk
from buildnet.mesh.service.driver import BUG, Driver
from buildnet.mesh.service.guest import FIRST_KIND, Guest
from buildnet.mesh.service.health import Counters
from buildnet.mesh.service.persisting import Writer
from buildnet.mesh.service.store import MeshStateError, MeshStore
from buildnet.mesh.wire import WireError

MAX_DIALS = 64
CHANGE_S = 15.0
STOP_S = 2.0
RESIGN_S = 0.7
_CHECK_S = 1.0
_log = logging.getLogger("buildnet.mesh")


class ChangeTimeoutError(BuildNetError):
    """A change of the member list was asked for; whether it comes about is not known yet."""

    code = "CHANGE_PENDING"
    exit_code = 3
    http_status = 504


def _stopped() -> ChangeTimeoutError:
    return ChangeTimeoutError(
        "this node stopped before the change of the member list was confirmed",
        hint="it may still come about: see buildnet node list once it runs again",
    )


@dataclass(frozen=True, slots=True)
class Watch:
    """Whom to tell: ``changed`` of anything that views may show, ``counters`` of odd events."""

    counters: Counters
    changed: Callable[[], None]


class Cluster:
    """This node as a member of one cluster. It works within :meth:`running`."""

    def __init__(
        self,
        key: NodeKey,
        local: Local,
        store: MeshStore,
        facts: tuple[Fact, ...],
        watch: Watch,
        *,
        seeds: tuple[str, ...],
        addresses: tuple[str, ...],
        proxies: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.key = key
        self.local = local
        self.machine = Machine(local, facts=facts, seeds=seeds, addresses=addresses, now=clock())
        boots = {fact.node: fact.boot for fact in facts if isinstance(fact, BootFact)}
        self.links = Links(key, local, self, boots=boots, clock=clock)
        self.relays = Relays(self, local.random, clock)
        self.desk = AdmissionDesk(key, local, self, clock)
        self.driver = Driver(
            self.machine, perform=self._perform, each_tick=self._each_tick, clock=clock
        )
        self.on_bulk_offer: Callable[[bytes, BulkOffer], None] = lambda relay, offer: None
        self.on_members_changed: Callable[[], None] = lambda: None
        self.guest: Guest | None = None
        self._store = store
        self._writer = Writer(store, on_written=self._written, note=self.note)
        self._watch = watch
        self._proxies = proxies
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._dials = 0
        self._checked_at = 0.0
        self._logged: tuple[bytes, int, bool] | None = None
        self.without_quorum_since: float | None = time.monotonic()
        """Since when nobody coordinates with a majority behind it; None: somebody does."""
        self._changes: dict[bytes, asyncio.Future[None]] = {}

    # --- life ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take part until the context ends; hands the office over first if this node has it."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                writing = group.create_task(self._writer.run())
                self.driver.start()
                self.driver.request(self.machine.begin)
                self.desk.start()
                try:
                    yield
                    await self.resign()
                finally:
                    await self.desk.stop()
                    self._group = None
                    await self.links.stop(STOP_S)
                    self.driver.stop()
                    for task in (writing, *self._tasks):
                        task.cancel()
                    for waiting in self._changes.values():
                        if not waiting.done():
                            waiting.set_exception(_stopped())
            with suppress(MeshStateError):  # a full volume was logged before
                await self._writer.flush()
        finally:
            await self._store.close()

    async def close(self) -> None:
        """Let go of the state, where :meth:`running` was not entered; it does so itself."""
        await self._store.close()

    async def resign(self) -> None:
        """Hand the office over, if this node has it, and wait a moment for somebody to take it."""
        office = self.local.office
        if office is None or office.coordinator != self.local.key or len(self.local.links) < 1:
            return
        self.driver.request(self.machine.resign)
        with suppress(TimeoutError):
            async with asyncio.timeout(RESIGN_S):
                while (now := self.local.office) and now.coordinator == self.local.key:
                    await asyncio.sleep(0.02)

    def remain(self) -> None:
        """Take :meth:`resign` back: this node goes on in the cluster, unless it stops."""
        if self._group is not None:
            self.driver.request(self.machine.remain)

    async def change(self, what: ChangeBody) -> None:
        """Make a change of the member list as this node; returns once it is final.

        Raises:
            BuildNetError: it is refused, or no quorum could be had.
            ChangeTimeoutError: nothing was heard of it in time, or this node stopped.
        """
        await self.propose(self.sign(what, self.key))

    def sign(self, what: ChangeBody, author: NodeKey) -> Change:
        """Return ``what`` as ``author`` asks for it, now."""
        local = self.local
        return sign_change(
            what,
            cluster_id=local.members.cluster_id,
            author=author.public_key,
            hlc=local.date(),
            sign=author.sign,
        )

    async def propose(self, change: Change) -> None:
        """The same with a change that is signed already."""
        if self._group is None:
            raise _stopped()
        waiting = self._changes.get(change.id)
        if waiting is None:
            waiting = asyncio.get_running_loop().create_future()
            self._changes[change.id] = waiting
        try:
            self.driver.request(lambda now: self.machine.propose(change, now))
            async with asyncio.timeout(CHANGE_S):
                await asyncio.shield(waiting)
        except TimeoutError as error:
            raise ChangeTimeoutError(
                f"the change of the member list was not confirmed within {CHANGE_S:g} s",
                hint="it may still come about: see buildnet node list and buildnet pool health",
            ) from error
        finally:
            self._changes.pop(change.id, None)

    def chain(self) -> Chain:
        """Return the member list's chain as it may be handed over."""
        log = self.machine.log
        return Chain(log.genesis, log.entries, log.proof)

    def note_bug(self, detail: str) -> None:
        """Count a mistake of this program that was logged."""
        self.note(Note(BUG, None, detail))

    async def standing_at(self, address: str) -> Standing:
        """Tell what this node is to the one at ``address``.

        Raises:
            UnreachableError: nobody answers there.
        """
        connection = await dial(address, proxies=self._proxies)
        try:
            return await self.links.standing(connection)
        finally:
            await close_quietly(connection, "only asked")

    async def facts_beside_log(self) -> tuple[Fact, ...]:
        """Return what is on disk but the member log's: what this node promised, and whom it saw."""
        facts = await self._store.load()
        return tuple(fact for fact in facts if not fact.name().startswith(LOG_PREFIX))

    async def write_identity(self, path: Path, key: bytes) -> None:
        """Note in this cluster's closed state that the node goes on under another key."""
        store = await MeshStore.open(path)
        try:
            # The others don't know yet where the new key is: it has to find them.
            found = (AddressFact(record) for record in self.addresses())
            await store.write([Persist(0, (BootFact(key, self.local.boot), *found))])
        finally:
            await store.close()

    # --- what links, relays and the desk need -------------------------------------------------

    def feed(self, event: Event) -> None:
        """Tell the machine."""
        self.driver.feed(event)
        if isinstance(event, LinkDown):
            self.relays.link_down(event.peer)
        if self.guest is not None and isinstance(event, LinkUp | LinkDown):
            self.guest.take(event)
        self._watch.changed()

    def note(self, note: Note) -> None:
        """Count it."""
        self._watch.counters.note(note, time.time())

    def keep(self, fact: BootFact) -> None:
        """Persist a boot number that was seen."""
        self._writer.put(Persist(0, (fact,)))

    def take(self, peer: Peer, envelope: Envelope) -> None:
        """Hand a message to whom it concerns."""
        try:
            message = decode_message(envelope.kind, envelope.payload)
        except WireError as error:
            self.note(Note("message malformed", peer.key, error.message))
            return
        if message is None:
            self.note(Note("message of an unknown kind", peer.key, str(envelope.kind)))
        elif envelope.kind >= FIRST_KIND:
            if self.guest is not None:
                self.guest.take(Received(peer.key, message, len(envelope.payload)))
        elif isinstance(message, BulkOffer):
            self.on_bulk_offer(peer.key, message)
        elif not peer.may_bring(signatures_in(message)):
            self.note(Note("too many signatures", peer.key, type(message).__name__))
        elif not self.relays.handle(peer.key, message):
            self.driver.feed(Received(peer.key, message, len(envelope.payload)))

    async def serve(self, connection: Connection, responder: Responder, claim: Claim) -> None:
        """Serve a connection on the route of links that is to be no link."""
        if claim.purpose is Purpose.JOIN:
            await self.desk.serve(connection, responder, claim)
        else:
            self.note(Note("wrong route", claim.key, connection.remote))
            await close_quietly(connection, "wrong route")

    def say(self, to: bytes, message: Message) -> None:
        """Say it on a link."""
        self.links.say(to, message)

    def is_direct(self, peer: bytes) -> bool:
        """Tell whether a direct link stands."""
        link = self.links.peers.get(peer)
        return link is not None and link.relayed_by is None

    async def drained(self, peer: bytes) -> None:
        """Wait until nothing waits to be said to a peer."""
        if link := self.links.peers.get(peer):
            await link.drained()

    def is_clogged(self, peer: bytes) -> bool:
        """Tell whether much waits to be said to a peer."""
        link = self.links.peers.get(peer)
        return link is not None and link.is_clogged

    def offered(self, connection: Connection, relay: bytes) -> None:
        """Serve a relayed connection."""
        self.spawn(lambda: self.links.accept(connection, relayed_by=relay))

    def set_addresses(self, addresses: tuple[str, ...]) -> None:
        """Tell everybody where this node can be reached now."""
        self.driver.request(lambda now: self.machine.set_addresses(addresses, now))

    def seek(self, address: str, kept: Fact) -> None:
        """Look for a member at an address from now on; ``kept`` says so at the next start."""
        self.driver.request(lambda now: self.machine.seek(address, kept, now))

    def advertise(self, topic: str, body: bytes) -> None:
        """Publish this node's record of a topic."""
        self.driver.request(lambda now: self.machine.advertise(topic, body, now))

    def bodies(self, topic: str) -> Mapping[bytes, tuple[bytes, float]]:
        """Return everybody's record of a topic and its age here in seconds."""
        now = self._clock()
        return {
            owner: (held.record.body, max(0.0, now - held.received_at))
            for (owner, named), held in self.machine.gossip.records.items()
            if named == topic
        }

    def addresses(self) -> tuple[Record, ...]:
        """Return members' "address" records for somebody new: of those first who coordinate or
        may soon."""
        members = self.local.members
        held = [
            one.record
            for (owner, topic), one in self.machine.gossip.records.items()
            if topic == ADDRESS_TOPIC and members.is_member(owner)
        ]
        held.sort(key=lambda record: members.rank(record.owner), reverse=True)
        return tuple(held[:MAX_NEIGHBOURS])

    # --- effects -------------------------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(to, message):
                self.links.say(to, message)
            case SendAll(to, message):
                self.links.say_all(to, message)
            case Persist():
                self._writer.put(effect)
            case Raise(event):
                self._raised(event)
            case Note():
                self.note(effect)
            case Dial():
                self._dial(effect)
            case Relay(peer, through):
                self._relay(peer, through)
            case Disconnect(peer, reason):
                self.links.end(peer, reason)
            case ChangeDone():
                self._change_done(effect)

    def _raised(
        self, event: StatusChanged | OfficeChanged | MembersChanged | RecordChanged | RoundTrip
    ) -> None:
        match event:
            case RoundTrip():
                return  # too many of them, and nobody waits for one
            case StatusChanged(peer, Status.DEAD):
                self.links.end_silent(peer)
            case MembersChanged():
                self.links.end_strangers()
                self.on_members_changed()
                self._later(self.desk.look)
            case RecordChanged(_, topic) if topic == REQUESTS_TOPIC:
                self._later(self.desk.look)
            case OfficeChanged(office):
                if office is not None and office.quorum:
                    self.without_quorum_since = None
                elif self.without_quorum_since is None:
                    self.without_quorum_since = time.monotonic()
                if office is not None:
                    self._log_office(office)
            case _:
                pass
        if self.guest is not None and not isinstance(event, RecordChanged):
            self.guest.take(event)
        self._watch.changed()

    def _log_office(self, office: Office) -> None:
        """Say who coordinates, where that is news; whom it reaches changes more often."""
        what = (office.coordinator, office.counter, office.quorum)
        if what != self._logged:
            self._logged = what
            _log.info(
                "coordinator %s, term %d%s",
                office.coordinator.hex()[:16],
                office.counter,
                "" if office.quorum else ", provisional",
            )

    def _later(self, call: Callable[[], None]) -> None:
        """Call something that may ask the machine, once it is done with what it does now."""
        asyncio.get_running_loop().call_soon(call)

    def _dial(self, effect: Dial) -> None:
        if self._dials >= MAX_DIALS or not self.links.may_dial(effect.peer):
            self._later(lambda: self.feed(DialFailed(effect.peer, effect.address, "not now")))
            return
        self.spawn(lambda: self._dialled(effect))

    async def _dialled(self, effect: Dial) -> None:
        self._dials += 1
        try:
            connection = await dial(effect.address, proxies=self._proxies)
        except (UnreachableError, UsageError) as error:
            refused = isinstance(error, UnreachableError) and error.refused
            reason = error.cause or error.message
            self.note(Note("no answer at an address", effect.peer, f"{effect.address}: {reason}"))
            self.feed(DialFailed(effect.peer, effect.address, reason, refused))
            return
        finally:
            self._dials -= 1
        await self.links.initiate(connection, effect.peer, effect.address)

    def _relay(self, peer: bytes, through: bytes) -> None:
        if not self.links.may_dial(peer):
            self._later(lambda: self.feed(DialFailed(peer, None, "not now")))
            return
        connection = self.relays.open(peer, through)
        self.spawn(lambda: self.links.initiate(connection, peer, None, relayed_by=through))

    def spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do some work as long as this node is in the cluster; it may just end."""
        if self._group is not None:
            task = self._group.create_task(self._guarded(work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            await work()
        except Exception as error:
            _log.exception("a bug while opening a link")
            self.note(Note(BUG, None, repr(error)))

    def _change_done(self, done: ChangeDone) -> None:
        waiting = self._changes.get(done.change_id)
        if waiting is None or waiting.done():
            return
        if done.error is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(done.error)

    def _written(self, token: int) -> None:
        self.driver.feed(Persisted(token))

    def _each_tick(self, now: float) -> None:
        if now - self._checked_at < _CHECK_S:
            return
        self._checked_at = now
        self.links.check(now)
        self.relays.check(now)
