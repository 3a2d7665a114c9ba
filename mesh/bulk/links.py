"""Bulk connections between members: opened directly, or spliced together by a third member.

Whoever can't dial the other one visits a relay with a ticket; the relay calls the other, which
visits it with the same ticket. Inside the two spliced connections the ends run their own handshake,
so the relay hands on what it can't read.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from buildnet.mesh.bulk.live import LiveConnections
from buildnet.mesh.bulk.protocol import MAX_FRAME_BYTES
from buildnet.mesh.errors import BuildNetError, UsageError
from buildnet.mesh.events import Note
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.dialing import UnreachableError, dial
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.link.handshake import Claim, HandshakeError, Initiator, Purpose, Responder
from buildnet.mesh.link.handshaking import HandshakeSlots, hear, initiate
from buildnet.mesh.link.links import NO_MEMBER, OLDER_BOOT, close_quietly
from buildnet.mesh.messages.bulk import BulkVisit
from buildnet.mesh.messages.relay import BulkOffer
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.wire import WireError

MAX_SPLICES = 8
MAX_SPLICES_PER_PEER = 2
MAX_SERVED = 64
MAX_SERVED_PER_PEER = 16
MAX_CALLS = 8
SPLICE_BYTES_PER_S = 32.0 * 1024 * 1024
TICKET_S = 10.0
SPLICE_IDLE_S = 60.0
MAX_RELAYS_TRIED = 3

BulkHandler = Callable[[Connection, FrameCipher, bytes], Awaitable[None]]
"""Serves a bulk connection: its cipher, and the key of the member at the other end."""


class BulkUnreachableError(BuildNetError):
    """No bulk connection to a member could be had, neither directly nor through others."""

    code = "BULK_UNREACHABLE"
    exit_code = 3
    http_status = 502


@dataclass(slots=True, eq=False)
class _Visit:
    """Somebody waits with a ticket for the other end to come."""

    visitor: bytes
    target: bytes
    arrived: asyncio.Future[Connection] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    over: asyncio.Event = field(default_factory=asyncio.Event)


class BulkLinks:
    """Opens and accepts bulk connections for whichever cluster the node is in."""

    def __init__(self, *, proxies: bool) -> None:
        self.handler: BulkHandler | None = None
        self._proxies = proxies
        self._member_of: Cluster | None = None
        self._visits: dict[bytes, _Visit] = {}
        self._served: Counter[bytes] = Counter()
        self._calls = 0
        self._live = LiveConnections()
        self._slots = HandshakeSlots(lambda _: None)

    def attach(self, cluster: Cluster) -> None:
        """Serve ``cluster`` from now on."""
        self._member_of = cluster
        cluster.on_bulk_offer = self._offered
        cluster.on_members_changed = self._members_changed

    @property
    def _cluster(self) -> Cluster:
        if self._member_of is None:
            raise RuntimeError("the mesh does not run")
        return self._member_of

    def _members_changed(self) -> None:
        """End at once what goes on with whoever is no member any more."""
        for key in self._live.end_strangers(self._is_member):
            self._cluster.note(Note("bulk connection of a former member cut", key))

    def _is_member(self, key: bytes) -> bool:
        return self._cluster.local.members.is_member(key)

    # --- opening -------------------------------------------------------------------------------

    @asynccontextmanager
    async def open(self, peer: bytes) -> AsyncIterator[tuple[Connection, FrameCipher]]:
        """Open a connection to ``peer`` and close it at the end.

        Raises:
            BulkUnreachableError: it can't be reached.
            ConnectionClosed: it is no member any more; what went on was cancelled.
        """
        if not self._is_member(peer):
            raise BulkUnreachableError(
                f"{peer.hex()[:16]} is no member", hint="buildnet node list shows who is"
            )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._live.with_members(self._is_member, peer))
            connection, cipher = await self._opened(peer, stack)
            try:
                yield connection, cipher
            finally:
                await close_quietly(connection, "done")

    async def _opened(self, peer: bytes, stack: AsyncExitStack) -> tuple[Connection, FrameCipher]:
        failures: list[str] = []
        for address in self._addresses(peer):
            try:
                return await self._direct(peer, address)
            except _FAILURES as error:
                failures.append(_why(error))
        if self._cluster.is_direct(peer):  # it can dial this node, since it did
            try:
                return await self._called(peer, stack)
            except _FAILURES as error:
                failures.append(_why(error))
        for relay in self._relays(peer):
            for address in self._addresses(relay):
                try:
                    async with AsyncExitStack() as attempt:
                        await attempt.enter_async_context(
                            self._live.with_members(self._is_member, relay)
                        )
                        opened = await self._through(peer, relay, address)
                        await stack.enter_async_context(attempt.pop_all())
                        return opened
                except _FAILURES as error:
                    failures.append(_why(error))
        raise BulkUnreachableError(
            f"no bulk connection to {peer.hex()[:16]} could be opened",
            cause="; ".join(failures) or "none of its addresses is known",
            hint="buildnet pool health shows which links stand",
        )

    async def _direct(self, peer: bytes, address: str) -> tuple[Connection, FrameCipher]:
        connection = await self._dial(address)
        return connection, await self._greet(connection, peer, b"")

    async def _called(self, peer: bytes, stack: AsyncExitStack) -> tuple[Connection, FrameCipher]:
        """Call ``peer`` to visit this node as it would a relay; it stays until ``stack`` ends."""
        ticket = os.urandom(16)
        waiting = stack.enter_context(self._awaited(ticket, self._cluster.local.key, peer))
        self._cluster.say(peer, BulkOffer(ticket, self._cluster.local.key))
        async with asyncio.timeout(TICKET_S):
            connection = await waiting.arrived
        return connection, await self._greet(connection, peer, b"")

    async def _through(
        self, peer: bytes, relay: bytes, address: str
    ) -> tuple[Connection, FrameCipher]:
        connection = await self._dial(address)
        await self._greet(connection, relay, BulkVisit(os.urandom(16), peer).encode())
        return connection, await self._greet(connection, peer, b"")

    async def _dial(self, address: str) -> Connection:
        return await dial(address, route="bulk", proxies=self._proxies, max_bytes=MAX_FRAME_BYTES)

    async def _greet(self, connection: Connection, peer: bytes, extra: bytes) -> FrameCipher:
        """Run a handshake as the one who dialled; closes the connection where it fails."""
        local = self._cluster.local
        initiator = Initiator(
            self._cluster.key,
            local.boot,
            Purpose.BULK,
            cluster_id=local.members.cluster_id,
            extra=extra,
            expected=peer,
        )
        try:
            await initiate(connection, initiator)
        except BaseException:
            await close_quietly(connection, "handshake failed")
            raise
        return initiator.session.cipher(MAX_FRAME_BYTES)

    def _addresses(self, peer: bytes) -> tuple[str, ...]:
        """Return where to dial a member: where a link stands first."""
        cluster = self._cluster
        link = cluster.links.peers.get(peer)
        known = cluster.machine.gossip.addresses(peer)
        if link is None or link.address is None:
            return known
        return (link.address, *(url for url in known if url != link.address))

    def _relays(self, peer: bytes) -> list[bytes]:
        """Return who may be linked to ``peer``: who relays its link, then voters, then others."""
        cluster = self._cluster
        link = cluster.links.peers.get(peer)
        by = None if link is None else link.relayed_by
        voters = cluster.local.members.voters
        direct = [key for key in cluster.links.peers if key != peer and cluster.is_direct(key)]
        return sorted(direct, key=lambda key: (key != by, key not in voters, key))[
            :MAX_RELAYS_TRIED
        ]

    # --- accepting -----------------------------------------------------------------------------

    async def accept(self, connection: Connection) -> None:
        """Serve a connection that somebody opened, until it ends; the caller closes it."""
        cluster = self._cluster
        responder = Responder(cluster.local.members.cluster_id)
        try:
            async with self._slots.taken(connection.remote):
                claim = await hear(connection, responder)
                if (why := self._objection(claim)) is not None:
                    cluster.note(Note(f"bulk refused: {why}", claim.key, connection.remote))
                    await connection.send(responder.refuse(why))
                    return
                visit = BulkVisit.decode(claim.extra) if claim.extra else None
                await connection.send(responder.accept(cluster.key, cluster.local.boot))
        except (HandshakeError, WireError, ConnectionClosed, TimeoutError) as error:
            cluster.note(_unfinished(error, connection.remote))
            return
        cipher = responder.session.cipher(MAX_FRAME_BYTES)
        del responder  # nothing that opens what was sealed before outlives the handshake
        with suppress(ConnectionClosed):  # no member any more: noted where it was cut
            async with self._live.with_members(self._is_member, claim.key):
                if visit is not None:
                    await self._visited(connection, claim.key, visit)
                else:
                    await self._handle(connection, cipher, claim.key)

    async def _handle(self, connection: Connection, cipher: FrameCipher, peer: bytes) -> None:
        if self.handler is None:
            return
        if self._served.total() >= MAX_SERVED or self._served[peer] >= MAX_SERVED_PER_PEER:
            self._cluster.note(Note("too many bulk connections", peer))
            return
        self._served[peer] += 1
        try:
            await self.handler(connection, cipher, peer)
        except ConnectionClosed as error:
            reason = error.reason if error.misbehaved else "bulk connection failed"
            self._cluster.note(Note(reason, peer, f"bulk: {_why(error)}"))
        except BuildNetError as error:
            self._cluster.note(Note("bulk connection failed", peer, _why(error)))
        finally:
            self._served[peer] -= 1
            self._served += Counter()  # drops those with none

    def _objection(self, claim: Claim) -> str | None:
        if claim.purpose is not Purpose.BULK:
            return "wrong route"
        if claim.key == self._cluster.local.key:
            return "this node itself"
        if not self._cluster.local.members.is_member(claim.key):
            return NO_MEMBER
        if self._cluster.links.is_older(claim.key, claim.boot):
            return OLDER_BOOT
        return None if self.handler is not None or claim.extra else "no blobs here"

    # --- splicing ------------------------------------------------------------------------------

    async def _visited(self, connection: Connection, visitor: bytes, visit: BulkVisit) -> None:
        if visit.target is None:
            await self._came(connection, visitor, visit.ticket)
            return
        cluster = self._cluster
        relayed = [one.visitor for one in self._visits.values() if one.visitor != cluster.local.key]
        if len(relayed) >= MAX_SPLICES or relayed.count(visitor) >= MAX_SPLICES_PER_PEER:
            cluster.note(Note("relay quota", visitor, "bulk"))
            return
        if not cluster.is_direct(visit.target) or visit.ticket in self._visits:
            return
        async with self._live.with_members(self._is_member, visit.target):
            await self._meet(connection, visitor, visit.ticket, visit.target)

    async def _meet(
        self, connection: Connection, visitor: bytes, ticket: bytes, target: bytes
    ) -> None:
        """Call ``target``, and hand on between the two until one of them ends."""
        cluster = self._cluster
        with self._awaited(ticket, visitor, target) as waiting:
            cluster.say(target, BulkOffer(ticket, visitor))
            try:
                async with asyncio.timeout(TICKET_S):
                    other = await waiting.arrived
            except TimeoutError:
                cluster.note(Note("bulk visitor not met", target))
                return
            await _splice(connection, other)

    @contextmanager
    def _awaited(self, ticket: bytes, visitor: bytes, target: bytes) -> Iterator[_Visit]:
        """Let ``target`` come with a ticket; it is let go when the context ends."""
        waiting = _Visit(visitor, target)
        self._visits[ticket] = waiting
        try:
            yield waiting
        finally:
            waiting.over.set()
            del self._visits[ticket]

    async def _came(self, connection: Connection, visitor: bytes, ticket: bytes) -> None:
        waiting = self._visits.get(ticket)
        if waiting is None or waiting.target != visitor or waiting.arrived.done():
            return
        waiting.arrived.set_result(connection)
        await waiting.over.wait()

    def _offered(self, relay: bytes, offer: BulkOffer) -> None:
        if self.handler is not None:
            self._cluster.spawn(lambda: self._come(relay, offer))

    async def _come(self, relay: bytes, offer: BulkOffer) -> None:
        """Visit the member that called, and serve who waits there: somebody else, or itself."""
        if self._calls >= MAX_CALLS:
            self._cluster.note(Note("too many bulk calls", relay))
            return
        self._calls += 1
        try:
            await self._visit(relay, BulkVisit(offer.ticket, None).encode())
        finally:
            self._calls -= 1

    async def _visit(self, relay: bytes, extra: bytes) -> None:
        for address in self._addresses(relay):
            try:
                connection = await self._dial(address)
                await self._greet(connection, relay, extra)
            except _FAILURES as error:
                self._cluster.note(Note("bulk visit failed", relay, _why(error)))
                continue
            try:
                with suppress(ConnectionClosed):
                    async with self._live.with_members(self._is_member, relay):
                        await self.accept(connection)
            finally:
                await close_quietly(connection, "over")
            return


async def _splice(one: Connection, other: Connection) -> None:
    """Hand on whatever either says until one of them ends."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        pumps = [
            group.create_task(_pump(one, other, over)),
            group.create_task(_pump(other, one, over)),
        ]
        await over.wait()
        for pump in pumps:
            pump.cancel()
    await close_quietly(other, "over")


async def _pump(source: Connection, sink: Connection, over: asyncio.Event) -> None:
    ready_at = time.monotonic()
    try:
        while True:
            async with asyncio.timeout(SPLICE_IDLE_S):
                data = await source.receive()
                await sink.send(data)
            ready_at = max(ready_at, time.monotonic()) + len(data) / SPLICE_BYTES_PER_S
            if (ahead := ready_at - time.monotonic()) > 0.05:
                await asyncio.sleep(ahead)
    except (ConnectionClosed, TimeoutError):
        over.set()


_FAILURES = (UnreachableError, UsageError, HandshakeError, ConnectionClosed, TimeoutError)


def _unfinished(error: Exception, remote: str) -> Note:
    if isinstance(error, HandshakeError) or (
        isinstance(error, ConnectionClosed) and error.misbehaved
    ):
        return Note(f"bulk handshake: {error.reason}", None, f"{remote} {_why(error)}")
    return Note("unfinished bulk handshake", None, f"{remote} {error}")


def _why(error: BaseException) -> str:
    if isinstance(error, BuildNetError):
        return error.cause or error.message
    return "no answer in time" if isinstance(error, TimeoutError) else str(error)
