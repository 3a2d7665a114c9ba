"""The links of a node to members: who may come in, which of two links stays, what goes over them.

A link is a connection, a handshake and a running :class:`~buildnet.mesh.link.peer.Peer`. Nothing
of a stranger reaches the cores.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from buildnet.mesh.clock import PeerClocks
from buildnet.mesh.events import BootFact, DialFailed, Event, LinkDown, LinkUp, Note, Status
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.connection import MISBEHAVIOUR, Connection, ConnectionClosed
from buildnet.mesh.link.copied_key import CopiedKey
from buildnet.mesh.link.envelope import Envelope, EnvelopeError, open_envelope, seal
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.link.handshake import (
    Claim,
    HandshakeError,
    HandshakeRefusedError,
    Initiator,
    Purpose,
    Responder,
)
from buildnet.mesh.link.handshaking import HandshakeSlots, hear, initiate, reason_of
from buildnet.mesh.link.peer import ALTERED_FRAME, BUG, SLOW_READER, BadPeerError, Peer, Traffic
from buildnet.mesh.link.replay import ReplayError, ReplayWindow, Sequences
from buildnet.mesh.link.send_queue import Outgoing
from buildnet.mesh.local import Local
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.wire import Key, Wire, WireError

SETTLED_S = 2.0
"""Two links that came up within this time are two nodes that dialled each other at once."""

SHUNNED_S = 30.0
LATE_S = 2.0
LINKED_ALREADY = "linked already"
OLDER_BOOT = "older process or copied key"
NEWER_GONE = "the newer one is gone"
NO_MEMBER = "no member"
SELF = "this node itself"
SHUNNED = "shunned"
STOPPING = "stopping"
REPLACED = "replaced by another link"
NOT_LINKED = "link not made"
KEY_IN_USE = "this node's key is in use elsewhere"
CLOCK_AHEAD = "clock far ahead"
OWN_CLOCK_BEHIND = "this host's clock is behind"

_FORGIVEN = (ALTERED_FRAME, BUG, SLOW_READER, NO_MEMBER, *MISBEHAVIOUR)
"""What ends a link, but need not be its peer's intention."""

_log = logging.getLogger("buildnet.mesh")


@dataclass(frozen=True, slots=True)
class LinkOffer(Wire):
    """What the dialling side brings along. ``expected``: whom it means to reach, to whom it has no
    link then; None: whoever answers."""

    expected: Key | None


class Standing(Enum):
    """What a node is in the eyes of another one, by this node's cluster."""

    MEMBER = "member"
    DROPPED = "dropped"
    """It was removed or revoked, and has not heard of it."""
    STRANGER = "stranger"
    """The other one belongs to another cluster, or can't prove that it does not."""


class Surroundings(Protocol):
    """What links need of the node around them."""

    def feed(self, event: Event) -> None:
        """Tell the cores."""

    def note(self, note: Note) -> None:
        """Count something."""

    def keep(self, fact: BootFact) -> None:
        """Persist it."""

    def take(self, peer: Peer, envelope: Envelope) -> None:
        """Take a verified envelope of a member, once."""

    async def serve(self, connection: Connection, responder: Responder, claim: Claim) -> None:
        """Go on with a connection that is to be no link: a request to join."""


class Links:
    """All links of one node in one cluster."""

    def __init__(
        self,
        key: NodeKey,
        local: Local,
        around: Surroundings,
        *,
        boots: dict[bytes, int],
        clock: Callable[[], float],
    ) -> None:
        self.peers: dict[bytes, Peer] = {}
        self.past = Traffic()
        """What went over links that ended."""
        self.turned_away: str | None = None
        """How this node's membership ended, by a member's word ("": not said), since any link."""
        self.clocks = PeerClocks()
        self.on_newer_gone: Callable[[], None] = lambda: None
        """Called if members refuse this process for one newer that is gone."""
        self._key = key
        self._local = local
        self._around = around
        self._clock = clock
        self._cluster_id = local.members.cluster_id
        self._replay = ReplayWindow(boots)
        self._sequences = Sequences()
        self._slots = HandshakeSlots(
            lambda host: around.note(Note("unfinished handshake displaced", None, host))
        )
        self._shunned: dict[bytes, float] = {}
        self._copied_key = CopiedKey(local.key)
        self._serving = 0
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    # --- saying --------------------------------------------------------------------------------

    def say(self, to: bytes, message: Message) -> None:
        """Say it to one peer; without a link it is dropped."""
        if peer := self.peers.get(to):
            peer.say(Outgoing.of(message))

    def say_all(self, to: Iterable[bytes], message: Message) -> None:
        """Say it to several; encoded and signed once."""
        item: Outgoing | None = None
        for key in to:
            if peer := self.peers.get(key):
                item = item or Outgoing.of(message, to_all=True)
                peer.say(item)

    def end(self, key: bytes, reason: str) -> None:
        """End the link to a peer, if there is one."""
        if peer := self.peers.get(key):
            peer.end(reason)

    def end_strangers(self) -> None:
        """End the links to whoever is no member any more: of a revoked key at once; who left or was
        removed is told so first, and the cores disconnect it next."""
        members = self._local.members
        for key, peer in self.peers.items():
            if not members.is_member(key):
                self._around.note(Note("link of a former member cut", key))
                self._replay.forget(key)
                if key in members.revoked:
                    peer.end(NO_MEMBER, at_once=True)

    def end_silent(self, key: bytes) -> None:
        """End the link to a peer that is believed dead, unless it was heard of just now."""
        peer = self.peers.get(key)
        if peer is not None and self._clock() - peer.last_heard > LATE_S:
            peer.end("silent")

    def check(self, now: float) -> None:
        """Look for peers that do not read; forget whom to shun no longer."""
        for peer in self.peers.values():
            peer.check()
        if self._shunned:
            self._shunned = {key: until for key, until in self._shunned.items() if until > now}

    async def stop(self, timeout_s: float) -> None:
        """End all links and take no more; returns when they are closed."""
        self._stopping = True
        for peer in self.peers.values():
            peer.end(STOPPING)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()

    # --- opening -------------------------------------------------------------------------------

    async def accept(self, connection: Connection, relayed_by: bytes | None = None) -> None:
        """Serve a connection that somebody opened, until it ends."""
        responder = Responder(self._cluster_id)
        try:
            async with self._slots.taken(connection.remote):
                claim = await hear(connection, responder)
                if claim.purpose is Purpose.MEMBER:
                    if (why := self._objection(claim, relayed_by)) is not None:
                        self._around.note(Note(f"refused: {why}", claim.key, connection.remote))
                        shown, detail = self._shown_to(claim.key), self._detail(why, claim.key)
                        refusal = responder.refuse(why, detail, key=shown)
                        raise HandshakeError(why, reply=refusal)
                    await connection.send(responder.accept(self._key, self._local.boot))
        except (HandshakeError, ConnectionClosed, TimeoutError) as error:
            await self._turn_away(connection, error)
            return
        if claim.purpose is Purpose.MEMBER:
            cipher = responder.session.cipher()
            del responder  # nothing that opens what was sealed before outlives the handshake
            await self._run(connection, cipher, claim.key, claim.boot, None, relayed_by, False)
        else:
            await self._around.serve(connection, responder, claim)

    async def initiate(
        self,
        connection: Connection,
        expected: bytes | None,
        address: str | None,
        relayed_by: bytes | None = None,
    ) -> None:
        """Make a link of a connection that this node opened, and run it until it ends."""
        initiator = Initiator(
            self._key,
            self._local.boot,
            Purpose.MEMBER,
            cluster_id=self._cluster_id,
            extra=LinkOffer(expected).encode(),
            expected=expected,
        )
        try:
            accepted = await initiate(connection, initiator)
            why = self._unwanted(accepted.key, accepted.boot)
            if why is not None:
                raise HandshakeError(why)
        except (HandshakeError, ConnectionClosed, TimeoutError) as error:
            await close_quietly(connection, "handshake failed")
            self._dial_failed(expected, address, error)
            return
        self._copied_key.accepted(accepted.key, self._clock())
        cipher = initiator.session.cipher()
        del initiator
        await self._run(connection, cipher, accepted.key, accepted.boot, address, relayed_by, True)

    async def standing(self, connection: Connection) -> Standing:
        """Tell what this node is to whoever is at the other end; makes no lasting link. Only the
        word of one that this node knows as a member counts."""
        initiator = Initiator(
            self._key,
            self._local.boot,
            Purpose.MEMBER,
            cluster_id=self._cluster_id,
            extra=LinkOffer(None).encode(),
        )
        found = Standing.MEMBER
        try:
            by: bytes | None = (await initiate(connection, initiator)).key
        except HandshakeRefusedError as error:
            by = error.refuser
            if error.refusal == NO_MEMBER:
                found = Standing.DROPPED
        except (HandshakeError, ConnectionClosed, TimeoutError):
            return Standing.STRANGER
        return found if self._is_known(by) else Standing.STRANGER

    def is_older(self, key: bytes, boot: int) -> bool:
        """Tell whether a later process of that member was seen: this one's key may be a copy."""
        return self._replay.is_older(key, boot)

    def may_dial(self, peer: bytes | None) -> bool:
        """Tell whether dialling ``peer`` makes sense; not for a while after it said that another
        process with this node's key is the newer one, nor anybody where most say so."""
        return not self._stopping and self._copied_key.may_dial(peer, self._clock())

    def _is_known(self, key: bytes | None) -> bool:
        return key is not None and self._local.members.is_member(key)

    def _shown_to(self, key: bytes) -> NodeKey | None:
        """Return the key by which a refusal is proven to whoever is or was a member; strangers are
        not told who refuses them."""
        members = self._local.members
        return self._key if key in members.members or key in members.former else None

    def _detail(self, why: str, key: bytes) -> str:
        """Return what a refusal adds: that the newer process is gone, how a membership ended."""
        if why == OLDER_BOOT:
            status = Status.ALIVE if key == self._local.key else self._local.status.get(key)
            is_there = key in self.peers or status in (Status.ALIVE, Status.SUSPECT)
            return "" if is_there else NEWER_GONE
        former = self._local.members.former.get(key)
        is_revoked = key in self._local.members.revoked
        return "revoked" if is_revoked else former.ending.value if former else ""

    def _objection(self, claim: Claim, relayed_by: bytes | None) -> str | None:
        """Say why this member's link is not taken; None: it is."""
        try:
            offer = LinkOffer.decode(claim.extra)
        except WireError:
            return "malformed offer"
        if (why := self._unwanted(claim.key, claim.boot)) is not None:
            return why
        meant = offer.expected == self._local.key
        if not self._stays(claim.key, claim.boot, relayed_by, outgoing=False, meant=meant):
            return LINKED_ALREADY
        return None

    def _unwanted(self, key: bytes, boot: int) -> str | None:
        if self._stopping:
            return STOPPING
        if key == self._local.key:
            return SELF if boot <= self._local.boot else OLDER_BOOT
        if not self._local.members.is_member(key):
            return NO_MEMBER
        if self._shunned.get(key, 0.0) > self._clock():
            return SHUNNED
        try:
            fact = self._replay.start(key, boot)
        except ReplayError:
            return OLDER_BOOT
        if fact is not None:
            self._around.keep(fact)
        return None

    def _stays(
        self, key: bytes, boot: int, relayed_by: bytes | None, *, outgoing: bool, meant: bool
    ) -> bool:
        """Tell whether a new link replaces the one that stands, if any. Both sides decide alike."""
        old = self.peers.get(key)
        if old is None or old.reason is not None or boot > old.boot:
            return True
        if (old.relayed_by is None) != (relayed_by is None):
            return relayed_by is None
        if not meant:
            return False
        if old.outgoing == outgoing or outgoing == (self._local.key < key):
            return True
        return self._clock() - old.since > SETTLED_S  # the other side lost the old one

    def _dial_failed(self, peer: bytes | None, address: str | None, error: Exception) -> None:
        reason, noted, linked_with = reason_of(error), NOT_LINKED, None
        if isinstance(error, HandshakeRefusedError):
            reason = error.refusal
            if reason == OLDER_BOOT and error.refuser is not None:
                self._told_of_newer_process(error.refuser, address, error.detail == NEWER_GONE)
            elif reason == LINKED_ALREADY:
                linked_with = error.refuser
            elif reason == NO_MEMBER and self._is_known(error.refuser):
                self.turned_away = error.detail
        elif isinstance(error, HandshakeError):
            noted = f"handshake: {error.reason}"
        if reason != LINKED_ALREADY:
            # What the other side said may be anything: it is a detail, not a reason to count by.
            self._around.note(Note(noted, peer, f"{address or 'relayed'}: {reason}"))
        self._around.feed(DialFailed(peer, address, reason, linked_with=linked_with))

    def _told_of_newer_process(self, refuser: bytes, address: str | None, gone: bool) -> None:
        members, now = self._local.members, self._clock()
        if not members.is_member(refuser):
            return
        others = sum(map(members.is_member, members.members)) - 1
        key = self._copied_key
        if not key.refused(refuser, now, linked=self.peers, others=others, gone=gone):
            return
        _log.warning(
            "another process %s with this node's key, or with a later clock; trying again",
            "ran" if gone else "runs",
        )
        self._around.note(Note(KEY_IN_USE, refuser, address or ""))
        if key.is_free(now):
            self.on_newer_gone()

    async def _turn_away(self, connection: Connection, error: Exception) -> None:
        if isinstance(error, HandshakeError):
            if error.reply is None:
                self._around.note(Note(f"handshake: {error.reason}", None, connection.remote))
            else:
                with suppress(ConnectionClosed, TimeoutError):
                    async with asyncio.timeout(1.0):
                        await connection.send(error.reply)
        elif isinstance(error, ConnectionClosed) and error.misbehaved:
            self._around.note(Note(f"handshake: {error.reason}", None, connection.remote))
        else:
            self._around.note(Note("unfinished handshake", None, connection.remote))
        await close_quietly(connection, "handshake failed")

    # --- running -------------------------------------------------------------------------------

    async def _run(
        self,
        connection: Connection,
        cipher: FrameCipher,
        key: bytes,
        boot: int,
        address: str | None,
        relayed_by: bytes | None,
        outgoing: bool,
    ) -> None:
        peer = Peer(
            key,
            connection,
            cipher,
            boot=boot,
            outgoing=outgoing,
            address=address,
            relayed_by=relayed_by,
            seal=self._seal,
            take=self._take,
            clock=self._clock,
        )
        # Others may have come in while the last message of the handshake was under way.
        if self._stopping or not self._stays(key, boot, relayed_by, outgoing=outgoing, meant=True):
            await close_quietly(connection, LINKED_ALREADY)
            if outgoing:
                self._around.feed(DialFailed(key, address, LINKED_ALREADY))
            return
        if (old := self.peers.get(key)) is not None:
            old.end(REPLACED)
        self.peers[key] = peer
        self.turned_away = None
        self._serving += 1
        self._idle.clear()
        self._around.feed(LinkUp(key, outgoing, address, relayed_by))
        try:
            await peer.run()
        finally:
            self._ended(peer)
            try:
                await peer.close()
            finally:
                self._serving -= 1
                if not self._serving:
                    self._idle.set()

    def _ended(self, peer: Peer) -> None:
        self.past.add(peer.traffic)
        if peer.reason is None:
            peer.end(STOPPING)
        reason = peer.reason or STOPPING
        if peer.misbehaved:
            self._around.note(Note(reason, peer.key, peer.detail))
            if reason not in _FORGIVEN:
                self._shunned[peer.key] = self._clock() + SHUNNED_S
        if self.peers.get(peer.key) is peer:
            del self.peers[peer.key]
            self.clocks.forget(peer.key)
            self._around.feed(LinkDown(peer.key, reason))

    def _seal(self, recipient: bytes, item: Outgoing) -> bytes:
        if not item.to_all:
            return self._envelope(recipient, item)
        if item.sealed is None:
            item.sealed = self._envelope(None, item)
        return item.sealed

    def _envelope(self, recipient: bytes | None, item: Outgoing) -> bytes:
        local = self._local
        return seal(
            self._key,
            recipient,
            item.kind,
            item.payload,
            boot=local.boot,
            sequence=self._sequences.next(recipient),
            hlc=local.clock.now(),
            term=0 if local.office is None else local.office.counter,
            cluster_id=self._cluster_id,
        )

    def _take(self, peer: Peer, plain: bytes) -> None:
        local = self._local
        if not local.members.is_member(peer.key):
            raise BadPeerError(NO_MEMBER)
        try:
            envelope = open_envelope(
                plain, cluster_id=self._cluster_id, me=local.key, sender=peer.key
            )
            fact = self._replay.take(envelope)
        except ReplayError as error:
            self._around.note(Note(error.reason, peer.key, error.cause or ""))
            return
        except EnvelopeError as error:
            raise BadPeerError(error.reason, error.cause or "") from error
        if fact is not None:
            self._around.keep(fact)
        local.heard[peer.key] = envelope.hlc
        self.clocks.take(peer.key, local.clock.ahead_ms(envelope.hlc))
        if not local.clock.observe(envelope.hlc):
            whose = CLOCK_AHEAD if (self.clocks.off_ms or 0) <= 0 else OWN_CLOCK_BEHIND
            self._around.note(Note(whose, peer.key))
        self._around.take(peer, envelope)


async def close_quietly(connection: Connection, reason: str) -> None:
    """Close a connection, whatever state it is in."""
    with suppress(ConnectionClosed, TimeoutError):
        async with asyncio.timeout(1.0):
            await connection.close(1008, reason)
