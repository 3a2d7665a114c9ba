"""The node's part in sharing hosts, as long as it is in a cluster: lends, borrows, coordinates."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import OfficeChanged, Received
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.config import SchedulingSettings
from buildnet.node.pool_results import PoolResults
from buildnet.node.recording import Record
from buildnet.node.sharing.allocator import TICK_S, Allocator
from buildnet.node.sharing.borrower import KEEP_S, Borrower
from buildnet.node.sharing.demands import Demands
from buildnet.node.sharing.errands import ALIVE_S
from buildnet.node.sharing.guest_work import GuestWork
from buildnet.node.sharing.hinting import Hints
from buildnet.node.sharing.known_hosts import KnownHosts
from buildnet.node.sharing.lender import Lender
from buildnet.node.sharing.loans import Loans
from buildnet.node.sharing.other_hosts import MAX_ELSEWHERE, OtherHosts
from buildnet.node.sharing.queue_asking import QueueAsking
from buildnet.node.sharing.queue_desk import QueueDesk
from buildnet.node.unstopped import Unstopped
from buildnet.node.workers import Workers
from buildnet.pool.advertisement import Lent
from buildnet.pool.leases import Lease
from buildnet.pool.messages.queueing import QueueHeld
from buildnet.pool.placement import AS_USUAL, Preferences

_TOLD_EVERY_S = 0.02
"""What changes faster is told once."""
_RECALLED_EVERY_S = 5.0
"""What the ledger tells of the queue may come to this node so much later than its start."""
NOT_HELD = QueueHeld(False, 0, "")
"""Nobody ever paused the queue."""
_log = logging.getLogger("buildnet.pool")


class Sharing:
    """See the module's text. :meth:`guest` is for the mesh; ``settings``, ``role`` and
    ``is_drained`` tell what its owner wants of this node now; ``record`` takes what the ledger is
    to tell; ``recalled`` gives what it tells of the whole queue, by the nodes that wrote it."""

    def __init__(
        self,
        workers: Workers,
        work: GuestWork,
        settings: Callable[[], SchedulingSettings],
        role: Callable[[], str],
        is_drained: Callable[[], bool],
        record: Callable[[Record], None],
        recalled: Callable[[], Awaitable[Sequence[tuple[bytes, QueueHeld]]]],
    ) -> None:
        self._recalled = recalled
        self._workers = workers
        self._work = work
        self._settings = settings
        self._role = role
        self._is_drained = is_drained
        self._record = record
        self._loans = Loans()
        self.known = KnownHosts()
        """The members as hosts; whoever knows what they told sets where to look."""
        self._cluster: Cluster | None = None
        self._lender: Lender | None = None
        self._allocator: Allocator | None = None
        self._borrower: Borrower | None = None
        self.desk: QueueDesk | None = None
        self._desk_of = b""
        self.on_queue: Callable[[], None] = lambda: None
        """Called as the queue became another one by what somebody said."""
        self.demands = Demands(lambda: self.on_queue())
        self.hints = Hints(self._say)
        self.asking: QueueAsking | None = None
        """Of the coordinator about the queue; None: this node is in no cluster now."""
        self._telling: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        clock, local = time.monotonic, cluster.local
        self._cluster = cluster
        self._work.say, self._work.spawn = self._say, cluster.spawn
        self._lender = Lender(
            local, self._say, self._workers, self._work, lambda: self.refusal, clock
        )
        self._lender.on_lent = lambda lease: self._loans.lent(lease, clock(), time.time())
        self._lender.on_ended = lambda lease, why: self._loans.ended(lease, why, clock())
        self._allocator = Allocator(local, self._say, clock)
        self._borrower = Borrower(local, self._say, self.demands)
        held = NOT_HELD
        if self.desk is not None and self._desk_of == local.members.cluster_id:
            held = self.desk.held  # else that was said of another cluster's queue
        self._desk_of = local.members.cluster_id
        self.demands.hold(held.paused)
        self.desk = QueueDesk(
            local, self._say, self._allocator, self.demands, held, lambda: self.on_queue()
        )
        self.asking = QueueAsking(local, self._say)
        self.demands.join(local, self._say)
        self._workers.on_change = self._room_changed
        for part in (self._allocator, self.desk):
            part.take(OfficeChanged(local.office))  # it may have been taken before this began
        ticking = asyncio.create_task(self._tick())
        recalling = asyncio.create_task(self._recall(self.desk))
        try:
            yield self
        finally:
            ticking.cancel()
            recalling.cancel()
            self._workers.on_change = lambda: None
            self._allocator.close()
            self._lender.close()
            self._borrower.close()
            self.demands.leave()
            self.asking = None
            self.end_loans("its node leaves")
            self._cluster = self._lender = self._allocator = self._borrower = None

    def take(self, event: GuestEvent) -> None:
        """Hand an event to whom it concerns."""
        parts = self._allocator, self.desk, self._lender, self._borrower, self.asking
        for part in (*parts, self.demands):
            if part is not None and self._cluster is not None:
                part.take(event)

    def hosts_for(
        self,
        build: str,
        results: PoolResults,
        workspace: str,
        preferences: Preferences = AS_USUAL,
        most: int | None = None,
    ) -> OtherHosts | None:
        """Begin to borrow for a build; None: this node is in no cluster now, or the build is to run
        no command elsewhere. ``workspace``: the name of what is built; ``most``: so many at once
        there; None: no bound of its own."""
        if self._borrower is None or most == 0:
            return None
        hosts = OtherHosts(
            results,
            results.fetch_all,
            self.known,
            preferences,
            workspace,
            MAX_ELSEWHERE if most is None else min(most, MAX_ELSEWHERE),
        )
        hosts.borrowing = self._borrower.begin(build, hosts.changed)
        hosts.borrowing.on_lost, hosts.borrowing.on_tick = hosts.lost, hosts.tick
        return hosts

    def tell_inputs(self, tell: Callable[[Collection[Digest]], None]) -> None:
        """Let somebody know, on any thread, what each command of others reads that runs here."""
        self._work.on_inputs = tell

    @property
    def lenders(self) -> tuple[bytes, ...]:
        """The members that may run commands of this node's builds now."""
        return () if self._borrower is None else self._borrower.lenders

    @property
    def leases(self) -> tuple[Lease, ...]:
        """What this node lends now."""
        lent = () if self._lender is None else self._lender.leases
        return tuple(each for each in lent if each.granted)

    @property
    def guests_running(self) -> int:
        """How many commands of others run here."""
        return sum(self._work.is_busy(each.id) for each in self.leases)

    def _say(self, to: bytes, message: Message) -> None:
        cluster = self._cluster
        if cluster is None:
            return
        if to != cluster.local.key:
            cluster.say(to, message)
            return
        # As any other: later, so that nobody is told while he decides.
        asyncio.get_running_loop().call_soon(self._told_itself, cluster, message)

    def _told_itself(self, cluster: Cluster, message: Message) -> None:
        if self._cluster is cluster:
            self.take(Received(cluster.local.key, message))

    @property
    def refusal(self) -> str | None:
        """Why this node lends nothing now, in words; None: it lends."""
        if self.closed is not None:
            return self.closed
        if self._is_drained():
            return "it is drained"
        for hours in self._settings().time_restrictions.local_only_hours:
            if within(hours, datetime.now()):
                return f"its owner keeps it for local builds from {hours.replace('-', ' to ')}"
        return None

    @property
    def closed(self) -> str | None:
        """Why this node never does anything for others, in words; None: it does at times."""
        if self._role() != "worker":
            return "it is an observer"
        if not self._settings().accept_remote_builds:
            return "its owner accepts no builds of others"
        return None

    @property
    def lent(self) -> tuple[Lent, ...]:
        """To which builds this node lends, as it is advertised."""
        return self._loans.told()

    def end_loans(self, why: str) -> None:
        """Let the ledger be told that nothing is lent any more."""
        for part in self._loans.close(why, time.monotonic()):
            self._record(part)

    def _write_loans(self, now: float) -> None:
        if (loans := self._loans.to_write(now)) is not None:
            self._record(loans)

    def look_again(self) -> None:
        """Take note that the owner of this node wants something else."""
        if self._lender is not None:
            self._lender.room_changed()

    def _room_changed(self) -> None:
        if self._borrower is not None:
            self._borrower.home_changed()
        cluster = self._cluster
        if cluster is None or len(cluster.local.members.members) < 2:
            return  # nobody is lent to; who comes is told by the next tick
        if self._telling is None:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_later(_TOLD_EVERY_S, self._look_at_room)

    def _look_at_room(self) -> None:
        self._telling = None
        if self._lender is not None:
            self._lender.room_changed()

    async def _recall(self, desk: QueueDesk) -> None:
        """Look what the ledger tells of the whole queue, at the start and while this node
        coordinates: of what was said before all nodes were stopped nobody else may know."""
        is_known = False
        while True:
            if desk.coordinates or not is_known:
                try:
                    desk.recall(await self._recalled())
                    is_known = True
                except BuildNetError as error:
                    _log.info("the ledger does not tell of the queue: %s", error.message)
            await asyncio.sleep(_RECALLED_EVERY_S)

    async def _tick(self) -> None:
        kept_at = told_at = 0.0
        do = Unstopped(_log).do
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            if self._allocator is None or self._lender is None or self._borrower is None:
                return
            do(self._lender.tick, now)
            do(self._write_loans, now)
            do(self._allocator.tick, now)
            do(self.demands.tick, now)
            do(self._borrower.tick, now)
            if not self._lender.leases:
                do(self._work.put_away)
            if now - told_at >= ALIVE_S:
                told_at = now
                do(self._work.tell_alive)
            if now - kept_at >= KEEP_S:
                kept_at = now
                do(self._borrower.keep)


def within(hours: str, now: datetime) -> bool:
    """Tell whether it is within ``HH:MM-HH:MM``, which may pass midnight; the end is not."""
    begin, _, end = hours.partition("-")
    time_now = now.strftime("%H:%M")
    if begin <= end:
        return begin <= time_now < end
    return time_now >= begin or time_now < end
