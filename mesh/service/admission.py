"""Admission from the side of the members: letting in who brings an invitation, and keeping those
who only ask until an admin has decided, on whichever node.

Who waits is this node's record of the topic "requests", so every member can show it; an admin's
rejection travels the same way, and its approval as a change of the member list.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from blake3 import blake3

from buildnet.mesh.clock import milliseconds_of
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import Note, Status
from buildnet.mesh.gossip.records import Record
from buildnet.mesh.identity import NodeKey, node_id_of
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.frames import FrameError
from buildnet.mesh.link.handshake import Claim, Responder
from buildnet.mesh.link.handshaking import host_of
from buildnet.mesh.link.sealed import ConversationError, SealedConnection
from buildnet.mesh.local import Local
from buildnet.mesh.members.chain import Chain
from buildnet.mesh.members.changes import Change, Join
from buildnet.mesh.messages.admission import (
    MAX_REJECTED,
    MAX_REQUESTS,
    REQUEST_ID_BYTES,
    JoinDone,
    JoinOffer,
    JoinProposal,
    JoinRequest,
    JoinWelcome,
    Neighbours,
    RequestsBody,
    Ticket,
    ticket_statement,
)
from buildnet.mesh.service.joining import (
    ANSWER_S,
    ITSELF,
    PENDING_S,
    REJECTED,
    REQUEST_EXPIRED,
    REVOKED,
    SIGN_OF_LIFE_S,
    STOPPING,
    TOKEN_EXPIRED,
    TOKEN_UNKNOWN,
    TOKEN_USED,
    TOO_MANY_REQUESTS,
    WRONG_CLUSTER,
)
from buildnet.mesh.service.view import RequestView
from buildnet.mesh.wire import WireError

TOPIC = "requests"
GONE = "gone"
MAX_REQUESTS_PER_HOST = 4
MAX_CONVERSATIONS = 32
MAX_UNKNOWN = 8
"""Tickets of which nobody knows here yet that are waited for at once, one of each host."""
_KNOWN_WITHIN_S = 3.0
_STOP_S = 1.0
_log = logging.getLogger("buildnet.mesh")


class Registry(Protocol):
    """What the desk needs of the node around it."""

    def note(self, note: Note) -> None:
        """Count something."""

    def chain(self) -> Chain:
        """Return the member list's chain."""

    async def propose(self, change: Change) -> None:
        """Make a change of the member list; raises what keeps it from coming about."""

    def advertise(self, topic: str, body: bytes) -> None:
        """Publish this node's record of a topic."""

    def bodies(self, topic: str) -> Mapping[bytes, tuple[bytes, float]]:
        """Return everybody's record of a topic and its age here in seconds, by owner."""

    def addresses(self) -> tuple[Record, ...]:
        """Return members' "address" records, at most ``MAX_NEIGHBOURS``."""


@dataclass(slots=True, eq=False)
class _Waiting:
    request: JoinRequest
    host: str
    since: float
    """Of the desk's clock."""
    decided: asyncio.Future[str] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    """Empty: admitted; else why not."""

    def decide(self, outcome: str) -> None:
        if not self.decided.done():
            self.decided.set_result(outcome)

    def told(self, now: float) -> JoinRequest:
        waited_ms = int((now - self.since) * 1000)
        left_ms = max(0, int(PENDING_S * 1000) - waited_ms)
        return replace(self.request, waited_ms=waited_ms, left_ms=left_ms)


class AdmissionDesk:
    """Serves those who want to join, and lists those who wait anywhere in the cluster.

    ``clock``: monotonic seconds; ``wall``: unix seconds, for people only.
    """

    def __init__(
        self,
        key: NodeKey,
        local: Local,
        registry: Registry,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._key = key
        self._local = local
        self._registry = registry
        self._clock = clock
        self._wall = wall
        self._waiting: dict[bytes, _Waiting] = {}
        self._rejected: list[bytes] = []
        self._conversations = 0
        self._unknown: set[str] = set()
        self._changed = asyncio.Event()
        self._stopping = False
        self._serving = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        """Tell everybody that nobody waits here; who did before a crash does no more."""
        self._publish()

    async def stop(self) -> None:
        """Send away who waits here, and take nobody from now on."""
        for waiting in self._waiting.values():
            waiting.decide(STOPPING)
        self._waiting.clear()
        self._publish()
        self._stopping = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await self._idle.wait()

    # --- what everybody sees -------------------------------------------------------------------

    def requests(self) -> tuple[RequestView, ...]:
        """Return who waits to be let in, anywhere in the cluster, the oldest first."""
        now = self._wall()
        rejected = self._all_rejected()
        found = []
        for owner, body, age_s in self._desks():
            if owner != self._local.key and not self._is_there(owner):
                continue  # nobody waits there any more
            for request in body.waiting:
                if (
                    request.left_ms > age_s * 1000
                    and request.id not in rejected
                    and not self._local.members.is_member(request.key)
                ):
                    found.append(_view(request, owner, now - age_s))
        return tuple(sorted(found, key=lambda request: (request.since, request.id)))

    def reject(self, request_id: str) -> None:
        """Tell everybody that this node's admin rejects a request."""
        self._rejected = [*self._rejected, bytes.fromhex(request_id)][-MAX_REJECTED:]
        self._publish()
        self.look()

    def look(self) -> None:
        """See whether those who wait here were let in or rejected; to be called when the member
        list or a record of the topic changed."""
        self._changed.set()
        self._changed = asyncio.Event()
        if not self._waiting:
            return
        rejected = self._all_rejected()
        for waiting in self._waiting.values():
            if self._local.members.is_member(waiting.request.key):
                waiting.decide("")
            elif waiting.request.id in rejected:
                waiting.decide(REJECTED)

    def _is_there(self, owner: bytes) -> bool:
        return self._local.status.get(owner, Status.DEAD) is not Status.DEAD

    def _desks(self) -> Iterable[tuple[bytes, RequestsBody, float]]:
        for owner, (body, age_s) in sorted(self._registry.bodies(TOPIC).items()):
            with suppress(WireError):
                yield owner, RequestsBody.decode(body), age_s

    def _all_rejected(self) -> frozenset[bytes]:
        """Return what admins rejected; the word of others does not count."""
        return frozenset(
            request
            for owner, body, _ in self._desks()
            if self._local.members.is_admin(owner)
            for request in body.rejected
        )

    def _publish(self) -> None:
        if self._stopping:
            return
        now = self._clock()
        waiting = tuple(one.told(now) for one in self._waiting.values())
        body = RequestsBody(waiting, tuple(self._rejected))
        self._registry.advertise(TOPIC, body.encode())

    # --- serving -------------------------------------------------------------------------------

    async def serve(self, connection: Connection, responder: Responder, claim: Claim) -> None:
        """Go on after the claim of who wants to join, until it is let in or sent away."""
        self._serving += 1
        self._idle.clear()
        try:
            why = await self._serve(connection, responder, claim)
            if why is not None:
                self._registry.note(Note(f"join refused: {why}", claim.key, connection.remote))
                async with asyncio.timeout(ANSWER_S):
                    await connection.send(responder.refuse(why))
        except (ConnectionClosed, TimeoutError, FrameError, ConversationError) as error:
            self._registry.note(Note("join broken off", claim.key, str(error)))
        finally:
            self._serving -= 1
            if not self._serving:
                self._idle.set()
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(1.0):
                    await connection.close()

    async def _serve(
        self, connection: Connection, responder: Responder, claim: Claim
    ) -> str | None:
        """Return why it is refused before this node has shown who it is; None: served."""
        try:
            offer = JoinOffer.decode(claim.extra)
        except WireError:
            return "malformed request"
        members = self._local.members
        if self._stopping:
            return STOPPING
        if claim.key == self._local.key:
            return ITSELF
        if claim.key in members.revoked:
            return REVOKED
        if self._conversations >= MAX_CONVERSATIONS:
            return TOO_MANY_REQUESTS
        if not members.is_member(claim.key) and offer.ticket is None:
            # People take their time; how many may wait for them is bounded by itself.
            why = await self._wait_for_people(connection, responder, claim, offer)
            if why:
                return why
        elif not members.is_member(claim.key) and offer.ticket is not None:
            host = host_of(connection.remote)
            objection = await self._objection(offer, offer.ticket, claim.key, host)
            if objection is not None:
                return objection
        self._conversations += 1
        try:
            async with asyncio.timeout(ANSWER_S):
                welcome = JoinWelcome(self._local.date()).encode()
                await connection.send(responder.accept(self._key, self._local.boot, welcome))
            sealed = SealedConnection(connection, responder.session.cipher(), claim.key)
            await self._converse(sealed, offer)
        finally:
            self._conversations -= 1
        return None

    async def _converse(self, sealed: SealedConnection, offer: JoinOffer) -> None:
        chain = self._registry.chain()
        for part in chain.parts():
            await sealed.say(part, ANSWER_S)
        if self._local.members.is_member(sealed.peer):
            await sealed.say(Neighbours(self._registry.addresses()), ANSWER_S)
            return
        proposal = await sealed.hear(ANSWER_S)
        if not isinstance(proposal, JoinProposal) or not _is_own(proposal.change, sealed.peer):
            raise ConversationError("no proposal of its own")
        try:
            await self._registry.propose(proposal.change)
        except BuildNetError as error:
            self._registry.note(Note(f"join failed: {error.code}", sealed.peer, error.message))
            hint = (error.hint or "")[:1024]
            await sealed.say(JoinDone(error.code[:64], error.message[:1024], hint), ANSWER_S)
            return
        if not await self._until(lambda: self._local.members.is_member(sealed.peer), ANSWER_S):
            raise ConversationError("the admission did not arrive here")
        await sealed.say(JoinDone("", "", ""), ANSWER_S)
        for part in self._registry.chain().parts(after=len(chain.entries)):
            await sealed.say(part, ANSWER_S)
        await sealed.say(Neighbours(self._registry.addresses()), ANSWER_S)
        _log.info("%s (%s) joined", offer.name, node_id_of(sealed.peer))

    async def _objection(
        self, offer: JoinOffer, ticket: Ticket, joiner: bytes, host: str
    ) -> str | None:
        """Say why a ticket opens nothing; what the invitation says is told only to its holder."""
        local = self._local
        if not local.members.cluster_id.startswith(ticket.fingerprint):
            return WRONG_CLUSTER
        said = ticket_statement(ticket.fingerprint, joiner, offer.name, offer.role)
        if not local.signatures.verify(ticket.invitation, said, ticket.proof):
            return TOKEN_UNKNOWN
        if not await self._becomes_known(ticket.invitation, host):
            return TOKEN_UNKNOWN
        invitation = local.members.invitations[ticket.invitation]
        if milliseconds_of(invitation.expires) <= milliseconds_of(local.clock.now()):
            return TOKEN_EXPIRED
        if invitation.uses_left < 1:
            return TOKEN_USED
        return None

    async def _becomes_known(self, invitation: bytes, host: str) -> bool:
        """Tell whether an invitation is known; it may have been made on another node a moment ago.
        Anybody can make one up, so few are waited for."""
        if invitation in self._local.members.invitations:
            return True
        if host in self._unknown or len(self._unknown) >= MAX_UNKNOWN:
            return False
        self._unknown.add(host)
        try:
            return await self._until(
                lambda: invitation in self._local.members.invitations, _KNOWN_WITHIN_S
            )
        finally:
            self._unknown.discard(host)

    async def _wait_for_people(
        self, connection: Connection, responder: Responder, claim: Claim, offer: JoinOffer
    ) -> str:
        host = host_of(connection.remote)
        again = [one for one in self._waiting.values() if one.request.key == claim.key]
        for older in again:
            older.decide(REQUEST_EXPIRED)
            self._waiting.pop(older.request.id, None)
        same = sum(1 for one in self._waiting.values() if one.host == host)
        if len(self._waiting) >= MAX_REQUESTS or same >= MAX_REQUESTS_PER_HOST:
            return TOO_MANY_REQUESTS
        code = responder.short_authentication_string
        request = JoinRequest(
            blake3(claim.key + code.encode()).digest(length=REQUEST_ID_BYTES),
            claim.key,
            offer.name,
            offer.role,
            connection.remote[:128],
            code,
            0,
            0,
        )
        waiting = _Waiting(request, host, self._clock())
        self._waiting[request.id] = waiting
        self._publish()
        _log.info("%s (%s) asks to join: %s", offer.name, node_id_of(claim.key), code)
        try:
            return await self._decision(connection, responder, waiting)
        finally:
            if self._waiting.get(request.id) is waiting:
                del self._waiting[request.id]
                self._publish()

    async def _decision(
        self, connection: Connection, responder: Responder, waiting: _Waiting
    ) -> str:
        """Show the other side every 20 s that this node is still there, until it is decided."""
        ends = waiting.since + PENDING_S
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(_until_closed(connection, waiting))
            try:
                while self._clock() < ends:
                    await connection.send(responder.wait())
                    done, _ = await asyncio.wait({waiting.decided}, timeout=SIGN_OF_LIFE_S)
                    if done:
                        return waiting.decided.result()
                return REQUEST_EXPIRED
            except ConnectionClosed:  # caught here, since a task group would wrap it
                return GONE
            finally:
                listening.cancel()

    async def _until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not holds():
                    await self._changed.wait()
        return holds()


async def _until_closed(connection: Connection, waiting: _Waiting) -> None:
    """End the waiting when the other side goes away; it has nothing to say meanwhile."""
    with suppress(ConnectionClosed):
        await connection.receive()
    waiting.decide(GONE)


def _is_own(change: Change, joiner: bytes) -> bool:
    return change.author == joiner and isinstance(change.what, Join)


def _view(request: JoinRequest, owner: bytes, told: float) -> RequestView:
    return RequestView(
        id=request.id.hex(),
        key=request.key,
        node_id=node_id_of(request.key),
        name=request.name,
        role=request.role,
        remote=request.remote,
        code=request.code,
        responder=owner,
        since=told - request.waited_ms / 1000,
        expires=told + request.left_ms / 1000,
    )
