"""The mesh of one node as the rest of the program sees it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from buildnet.mesh.bulk.links import BulkHandler, BulkLinks
from buildnet.mesh.errors import BuildNetError, StoppingError
from buildnet.mesh.events import Note, OfficeChanged
from buildnet.mesh.gossip.records import AddressFact
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.connection import Connection
from buildnet.mesh.link.dialing import dial, node_url, websocket_urls
from buildnet.mesh.link.discovery import Discovery
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.link.links import Standing, close_quietly
from buildnet.mesh.members.invitation import Token
from buildnet.mesh.members.member_list import Member, Rights, Role
from buildnet.mesh.service.administration import Administration, InvitationView
from buildnet.mesh.service.cluster import Cluster, Watch
from buildnet.mesh.service.guest import GuestOf
from buildnet.mesh.service.health import Counters
from buildnet.mesh.service.joining import Admission, Applicant
from buildnet.mesh.service.leaving import Leaving, MembershipError
from buildnet.mesh.service.opening import (
    MeshSettings,
    SeedFact,
    open_cluster,
    prepare_joining,
)
from buildnet.mesh.service.persisting import NOT_WRITTEN
from buildnet.mesh.service.rotation import KeyRotation
from buildnet.mesh.service.state import StateDirectory
from buildnet.mesh.service.view import MeshView
from buildnet.mesh.service.viewing import view_of

__all__ = [
    "HeldRecord",
    "InvitationView",
    "Joined",
    "MembershipError",
    "MeshService",
    "MeshSettings",
    "Rights",
    "Role",
]

_TRY_AGAIN_LATER = 1013
_CHANGE_S = 30.0
REOPEN_S, REOPEN_LONGEST_S = 1.0, 60.0
"""How soon, and at the latest, a cluster that can't be opened is tried again."""
_log = logging.getLogger("buildnet.mesh")


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of a join. ``already``: this node was a member before; nothing changed."""

    cluster_id: bytes
    cluster_name: str
    members: int
    already: bool


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A record as held here: its owner's version and words; ``received`` unix seconds, of this
    node's clock; 0.0: it was read from disk."""

    owner: bytes
    boot: int
    version: int
    body: bytes
    received: float


_Plan = Callable[[], Awaitable[None]]


class MeshService(KeyRotation, Leaving, Administration):
    """One node's mesh. Make it with :meth:`open`; it works within :meth:`running`."""

    def __init__(self, key: NodeKey, settings: MeshSettings) -> None:
        self._key = key
        self._settings = settings
        self.told_names = dict
        self.on_new_key: Callable[[NodeKey], None] = lambda key: None
        self._state = StateDirectory(settings.directory)
        self._counters = Counters()
        self._version = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self._cluster: Cluster | None = None
        self._accepting = False
        self._turn = asyncio.Lock()
        self._asking: asyncio.Timeout | None = None
        self._stopping = asyncio.Event()
        self._not_opened: BuildNetError | None = None
        self._plan: asyncio.Future[_Plan | None] | None = None
        self._ready = asyncio.Event()
        self._discovery = Discovery(lambda note: self.cluster.note(note))
        self._bulk = BulkLinks(proxies=settings.proxies)
        self.guest_of: GuestOf | None = None

    @classmethod
    async def open(cls, key: NodeKey, settings: MeshSettings) -> MeshService:
        """Read the node's state; a node without one founds a cluster of its own.

        Raises:
            MeshStateError, IdentityError: the state can't be read or written.
        """
        service = cls(key, settings)
        service._state.settle()
        service._cluster = await service._open()
        return service

    async def _open(self) -> Cluster:
        watch = Watch(self._counters, self._bump)
        last_boot = 0 if self._cluster is None else self._cluster.local.boot
        return await open_cluster(self._key, self._settings, self._state, watch, last_boot)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take part until the context ends; every task of the mesh lives within."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run())
            await self._ready.wait()
            self._discovery.renew(self._settings.lan_addresses)
            beside = [
                group.create_task(self._discovery.run()),
                group.create_task(self._settle_leaves()),
            ]
            if self._settings.key_path is not None:
                beside.append(group.create_task(self._settle_rotations(self._settings.key_path)))
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
                self._stop()

    async def close(self) -> None:
        """Let go of the state, whether :meth:`running` was entered or not; call it at the end. (The
        thread of a database that stays open keeps the process from ending.)"""
        await self.cluster.close()

    def _stop(self) -> None:
        """End whatever goes on; a change of clusters that has begun is completed first."""
        self._stopping.set()
        if self._asking is not None:
            self._asking.reschedule(asyncio.get_running_loop().time())
        if self._plan is not None and not self._plan.done():
            self._plan.set_result(None)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            cluster = self.cluster
            self._plan = asyncio.get_running_loop().create_future()
            async with cluster.running(), self._guest(cluster):
                cluster.links.on_newer_gone = self._start_anew
                self._bulk.attach(cluster)
                self._accepting = True
                cluster.set_addresses(self._settings.addresses)  # they may have changed meanwhile
                self._ready.set()
                self._bump()
                try:
                    plan = await self._plan
                finally:
                    self._accepting = False
                    self._ready.clear()
            if plan is None:
                return
            await plan()
            await self._reopen()

    async def _reopen(self) -> None:
        """Open the cluster that the files on disk say now. Where that fails, as on a full volume,
        the node goes on without a cluster until it succeeds."""
        wait_s = REOPEN_S
        while not self._stopping.is_set():
            try:
                self._cluster = await self._open()
                self._not_opened = None
                return
            except (BuildNetError, OSError) as error:
                why = error if isinstance(error, BuildNetError) else BuildNetError(str(error))
            _log.error("%s (%s); tried again in %g s", why.message, why.cause, wait_s)
            self._not_opened = why
            self.cluster.note(Note(NOT_WRITTEN, None, why.cause or why.message))
            self._ready.set()  # who waits for the change waits no longer
            self._bump()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stopping.wait()
            wait_s = min(2 * wait_s, REOPEN_LONGEST_S)

    def _start_anew(self) -> None:
        """Begin anew in the same cluster, as a newer process than any that is gone."""
        if self._plan is None or self._plan.done() or self._turn.locked():
            return
        _log.warning("no other process runs with this node's key any more: beginning anew")

        async def nothing() -> None:
            pass

        self._plan.set_result(nothing)

    @asynccontextmanager
    async def _guest(self, cluster: Cluster) -> AsyncIterator[None]:
        """Let the room above, if there is one, take part in this cluster."""
        if self.guest_of is None:
            yield
            return
        async with self.guest_of(cluster) as guest:
            cluster.guest = guest
            if cluster.local.office is not None:  # decided while the room above still opened
                guest.take(OfficeChanged(cluster.local.office))
            try:
                yield
            finally:
                cluster.guest = None

    async def _change_clusters(self, plan: _Plan) -> None:
        """End the present cluster, do what ``plan`` says with the files, begin the next one."""
        failed: list[BuildNetError] = []

        async def guarded() -> None:
            try:
                await plan()
            except BuildNetError as error:
                failed.append(error)
            except OSError as error:
                failed.append(BuildNetError("the mesh's files can't be moved", cause=str(error)))

        if self._plan is None or self._plan.done():
            raise StoppingError(
                "this node is stopping, or can't open its cluster", hint="buildnet node status"
            )
        self._ready.clear()
        self._plan.set_result(guarded)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CHANGE_S):
                await self._ready.wait()
        if failed:
            raise failed[0]

    @property
    def cluster(self) -> Cluster:
        """The cluster that this node takes part in now."""
        if self._cluster is None:
            raise RuntimeError("the mesh was not opened")
        return self._cluster

    @property
    def key(self) -> bytes:
        """This node's public key."""
        return self._key.public_key

    @property
    def identity(self) -> tuple[bytes, bytes, int]:
        """The cluster's id, this node's key, and which of its starts this is."""
        local = self.cluster.local
        return local.members.cluster_id, local.key, local.boot

    @property
    def lag_p99_s(self) -> float | None:
        """How late the event loop was lately, but for the worst hundredth."""
        return self.cluster.driver.lag.p99_s()

    @property
    def member(self) -> Member | None:
        """This node in the member list: cheaper than the whole :meth:`view`; None: it is not there,
        or was revoked."""
        local = self.cluster.local
        return local.members.members[local.key] if local.members.is_member(local.key) else None

    # --- connections (the node's routes) -------------------------------------------------------

    async def accept(self, connection: Connection) -> None:
        """Serve one connection of the route /mesh until it ends, and close it."""
        if not self._accepting:
            await connection.close(_TRY_AGAIN_LATER, "not ready")
            return
        try:
            await self.cluster.links.accept(connection)
        except Exception:
            _log.exception("a bug while serving %s", connection.remote)
            self.cluster.note_bug(connection.remote)
            await close_quietly(connection, "internal error")

    async def accept_bulk(self, connection: Connection) -> None:
        """The same for /bulk."""
        if not self._accepting:
            await connection.close(_TRY_AGAIN_LATER, "not ready")
            return
        try:
            await self._bulk.accept(connection)
        except Exception:
            _log.exception("a bug while serving %s", connection.remote)
            self.cluster.note_bug(connection.remote)
        finally:
            await close_quietly(connection, "over")

    def serve_bulk(self, handler: BulkHandler) -> None:
        """Let ``handler`` serve the bulk connections that members open to this node."""
        self._bulk.handler = handler

    @asynccontextmanager
    async def bulk(self, peer: bytes) -> AsyncIterator[tuple[Connection, FrameCipher]]:
        """Open a bulk connection to a member, through a relay where it must be.

        Raises:
            BulkUnreachableError: none could be had.
        """
        async with self._bulk.open(peer) as opened:
            yield opened

    # --- looking -------------------------------------------------------------------------------

    def view(self) -> MeshView:
        """Return everything that this node knows of its cluster now."""
        view = view_of(self.cluster, self._counters.view())
        why = self._not_opened
        return view if why is None else replace(view, not_opened=why.cause or why.message)

    @property
    def version(self) -> int:
        """Grows with every change that :meth:`view` or :meth:`records` may show."""
        return self._version

    async def changed(self, seen: int) -> int:
        """Return the version once it is another one than ``seen``."""
        while self._version == seen:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
        return self._version

    def _bump(self) -> None:
        self._version += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def records(self, topic: str) -> Mapping[bytes, HeldRecord]:
        """Return the newest known record of each member that has one, by owner."""
        offset = time.time() - time.monotonic()
        return {
            owner: HeldRecord(
                owner,
                held.record.boot,
                held.record.version,
                held.record.body,
                held.received_at + offset if held.received_at else 0.0,
            )
            for (owner, named), held in self.cluster.machine.gossip.records.items()
            if named == topic
        }

    def round_trip_s(self, one: bytes, other: bytes) -> float | None:
        """Return the round trip between two members, measured here or estimated from their
        coordinates, in seconds; None: nothing is known."""
        known = self.cluster.machine.latency.estimate(one, other)
        return None if known is None else known[0]

    def candidates(self) -> tuple[str, ...]:
        """Return addresses of nodes on the LAN (mDNS) that are no members."""
        gossip = self.cluster.machine.gossip
        known = {url for key in self.cluster.local.members.members for url in gossip.addresses(key)}
        return tuple(url for url in self._discovery.candidates() if url not in known)

    # --- telling -------------------------------------------------------------------------------

    @property
    def accepts(self) -> bool:
        """Whether this node takes part in its cluster now; not between two clusters."""
        return self._accepting

    def advertise(self, topic: str, body: bytes) -> None:
        """Publish this node's record of ``topic``; at most 48 KiB. The same again does nothing,
        nor does anything while the node takes part in no cluster: see :attr:`accepts`."""
        if self._accepting:
            self.cluster.advertise(topic, body)

    def set_addresses(self, addresses: tuple[str, ...], on_lan: tuple[str, ...]) -> None:
        """Follow this host into another network: see :class:`MeshSettings` for both."""
        self._settings = replace(self._settings, addresses=addresses, lan_addresses=on_lan)
        self._discovery.renew(on_lan)
        if self._accepting:
            self.cluster.set_addresses(addresses)

    # --- admission -----------------------------------------------------------------------------

    async def join(
        self,
        address: str,
        *,
        token: str | None = None,
        on_pending: Callable[[str], None] | None = None,
    ) -> Joined:
        """Become a member of the cluster of the node at ``address``.

        Without ``token`` an admin there decides; ``on_pending`` is told what people compare.

        Raises:
            UsageError, UnreachableError, TokenError, JoinError, MembershipError: it did not come
                about; this node stays what it was.
        """
        invited = None if token is None else Token.parse(token)
        websocket_urls(address)  # a mistake in it is told before anything else
        async with self._alone():
            return await self._join(address, invited, on_pending)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Change clusters or keys; one at a time, and nobody waits for people's decisions."""
        if self._turn.locked():
            raise MembershipError(
                "this node is joining or leaving a cluster right now",
                hint="wait until that has ended: buildnet node status",
            )
        async with self._turn:
            yield

    async def _join(
        self, address: str, token: Token | None, on_pending: Callable[[str], None] | None
    ) -> Joined:
        cluster = self.cluster
        members = cluster.local.members
        others = len(members.members) - 1
        if others and members.is_member(self.key):
            standing = await cluster.standing_at(address)
            if standing is Standing.MEMBER and (
                token is None or token.belongs_to(members.cluster_id)
            ):
                # Who answers there may have moved, and this one not know it.
                cluster.seek(node_url(address), SeedFact(node_url(address)))
                return self._already()
            if standing is not Standing.DROPPED:
                raise MembershipError(
                    f"this node is a member of {members.cluster_name!r} with {others} others",
                    hint="leave it first: buildnet node leave",
                )
        connection = await dial(address, proxies=self._settings.proxies)
        applicant = Applicant(
            self._key,
            cluster.local.boot,
            self._settings.name,
            self._settings.role,
            cluster.local.clock.now,
            token,
            on_pending,
        )
        try:
            async with asyncio.timeout(None) as self._asking:  # until this node stops
                admission = await applicant.join(connection)
        except TimeoutError as error:
            raise StoppingError("this node is stopping", hint="try again once it runs") from error
        finally:
            self._asking = None
            await close_quietly(connection, "done")
        await self._adopt(admission, address)
        return Joined(
            admission.members.cluster_id,
            admission.members.cluster_name,
            len(admission.members.members),
            already=False,
        )

    def _already(self) -> Joined:
        members = self.cluster.local.members
        return Joined(members.cluster_id, members.cluster_name, len(members.members), already=True)

    async def _adopt(self, admission: Admission, address: str) -> None:
        old = self.cluster.local.members.cluster_id
        same = admission.members.cluster_id == old
        kept = await self.cluster.facts_beside_log() if same else ()
        found = tuple(AddressFact(record) for record in admission.addresses)
        await prepare_joining(admission.chain, address, self._key, self._state, (*kept, *found))

        async def plan() -> None:
            self._state.replace(old)
            self._state.set_aside_cluster_key(old)

        await self._change_clusters(plan)
        _log.info("joined %s", admission.members.cluster_name)
