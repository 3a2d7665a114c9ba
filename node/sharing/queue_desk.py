"""This node as the coordinator, asked by people: shows the queue, and tells drivers what they want.

Who may change what: a member with the rights of a builder the builds that its own node drives, an
admin all of them and the queue as a whole; an observer nothing. That the whole queue is paused
every member keeps, so the next coordinator goes on with it; where all were stopped, the ledger
tells it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from buildnet.mesh.errors import NotFoundError
from buildnet.mesh.events import LinkUp, OfficeChanged, Received
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.local import Local
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.guest import GuestEvent
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.pool_results import may_ask
from buildnet.node.sharing.allocator import Allocator
from buildnet.node.sharing.demands import Demands
from buildnet.node.sharing.queue_asking import QueueUnknownError
from buildnet.pool.demand import Demand, Orders, Priority
from buildnet.pool.messages.lending import WireHowFar, WireOrders
from buildnet.pool.messages.queueing import (
    MAX_LISTED,
    BuildOrdered,
    QueueAnswer,
    QueueChange,
    QueueHeld,
    QueueLook,
    QueuePage,
    WireQueued,
)
from buildnet.pool.pages import pages
from buildnet.pool.queue import Queue
from buildnet.pool.queue_view import Queued, in_words

_MAX_PLACE = 1 << 20
_MAX_AHEAD_MS = 60 * 60 * 1000
"""So far the clocks of two nodes may differ for one to believe when the other held the queue."""


class RefusedError(Exception):
    """What somebody asked for is not done: ``code`` of the error, words, and a hint."""

    def __init__(self, message: str, hint: str = "", code: str = NotAllowedError.code) -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


@dataclass(frozen=True, slots=True)
class Wisher:
    """Who wants something of the queue. An admin may touch all builds; else who drives one
    (``driver``: a node, for its owner), or asked for it (``actor``: somebody with a key).
    ``workspaces``, ``nodes`` (ids of those who drive a build): the only ones that their key is for,
    None: all."""

    is_admin: bool
    driver: bytes | None = None
    actor: str | None = None
    workspaces: frozenset[str] | None = None
    nodes: frozenset[str] | None = None

    @property
    def is_for_all(self) -> bool:
        """Whether they may touch all builds."""
        return self.is_admin and self.workspaces is None and self.nodes is None

    @property
    def drops(self) -> str | None:
        """For whom alone a build is cancelled that others want, too; None: for all of them."""
        return None if self.is_admin or self.driver is not None else self.actor

    def may_touch(self, demand: Demand) -> bool:
        """Tell whether they may change what is to become of a build."""
        if not self._reaches(demand):
            return False
        if self.driver is not None:
            return self.is_admin or demand.driver == self.driver
        return self.is_admin or demand.actor == self.actor

    def _reaches(self, demand: Demand) -> bool:
        is_its = self.workspaces is None or demand.how_far.workspace in self.workspaces
        return is_its and (self.nodes is None or node_id_of(demand.driver) in self.nodes)

    def why_not(self, demand: Demand) -> tuple[str, str]:
        """Return why they may not, and what helps."""
        if not self._reaches(demand):
            return (
                f"{self.actor}'s key is for other workspaces or nodes than build {demand.build}",
                "ask an admin for a wider one",
            )
        if self.driver is None:
            return (
                f"build {demand.build} is {demand.actor}'s, and {self.actor} is no admin",
                f"ask {demand.actor}, or an admin of the cluster",
            )
        return (
            f"build {demand.build} is of another node; only an admin may change it",
            "ask on the node that it was started on",
        )


class QueueDesk:
    """See the module's text. ``held`` is what this node knows of the whole queue; ``on_change``:
    called as that, or what a build is to do, becomes another one."""

    def __init__(
        self,
        local: Local,
        say: Callable[[bytes, Message], None],
        allocator: Allocator,
        demands: Demands,
        held: QueueHeld,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._local = local
        self._say = say
        self._allocator = allocator
        self._demands = demands
        self.held = held
        self._on_change = on_change

    def take(self, event: GuestEvent) -> None:
        """Take note of what happens, and of what others ask."""
        match event:
            case OfficeChanged():
                self._told_of_office()
            case LinkUp(peer) if self.held.since_ms:
                if self.coordinates or self._coordinator == peer:
                    self._say(peer, self.held)
            case Received(sender, QueueHeld() as held):
                self._hold(sender, held)
            case Received(sender, QueueLook(request)) if self._allocator.queue is not None:
                if may_ask(self._local.members, sender):
                    self._show(sender, request, self._allocator.queue)
            case Received(sender, QueueChange() as change):
                self._say(sender, self._answer(sender, change))

    @property
    def _coordinator(self) -> bytes | None:
        office = self._local.office
        return None if office is None else office.coordinator

    @property
    def coordinates(self) -> bool:
        """Whether this node coordinates now."""
        return self._coordinator == self._local.key

    # --- the whole queue -----------------------------------------------------------------------

    def _told_of_office(self) -> None:
        if self._allocator.queue is not None:
            self._allocator.pause(self.held.paused)
        if not self.held.since_ms or self._coordinator is None:
            return
        if self.coordinates:
            self._tell_all()
        else:
            self._say(self._coordinator, self.held)

    def _tell_all(self) -> None:
        for peer in self._local.links:
            self._say(peer, self.held)

    def recall(self, facts: Sequence[tuple[bytes, QueueHeld]]) -> None:
        """Take note of what the ledger tells of the whole queue, each with the node that wrote it:
        what admins said last counts, as if one of them said it now."""
        is_admin = self._local.members.is_admin
        said = [held for origin, held in facts if is_admin(self._local.members.current(origin))]
        last = max(said, key=lambda held: held.since_ms, default=self.held)
        if self._is_newer(last):
            self._keep(last)

    def _is_newer(self, held: QueueHeld) -> bool:
        return self.held.since_ms < held.since_ms <= _latest_ms()

    def _keep(self, held: QueueHeld) -> None:
        self.held = held
        self._demands.hold(held.paused)
        if self.coordinates:
            self._allocator.pause(held.paused)
            self._tell_all()
        self._on_change()

    def _hold(self, sender: bytes, held: QueueHeld) -> None:
        """Take note of what the coordinator says; as the coordinator, of what an admin's node knows
        of before. What is said of a time far ahead, after which nothing could be said, is not
        believed."""
        if (sender == self._coordinator and held.since_ms <= _latest_ms()) or (
            self.coordinates and self._is_newer(held) and self._rights(sender) is Rights.ADMIN
        ):
            self._keep(held)

    def _hold_all(self, wisher: Wisher, paused: bool, actor: str) -> None:
        if not wisher.is_admin:
            raise RefusedError(
                "only an admin of the cluster may pause or resume the whole queue",
                "name one of your builds, or ask an admin: buildnet node list",
            )
        if not paused and not self.held.paused:
            return
        since_ms = max(int(time.time() * 1000), self.held.since_ms + 1)
        self._keep(QueueHeld(paused, since_ms, actor))

    # --- looking -------------------------------------------------------------------------------

    def _show(self, sender: bytes, request: bytes, queue: Queue) -> None:
        builds = [wire_queued(each) for each in queue.view(time.monotonic())]
        paused = self.held.actor if self.held.paused else None
        parts = list(pages(builds, MAX_LISTED)) or [()]
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            self._say(sender, QueuePage(request, part, paused, last))

    # --- changing ------------------------------------------------------------------------------

    def _answer(self, sender: bytes, change: QueueChange) -> QueueAnswer:
        held = self.held
        try:
            build, before = self._change(sender, change)
        except RefusedError as refused:
            return QueueAnswer(change.request, "", "", refused.code, refused.message, refused.hint)
        since_ms = 0 if self.held is held else self.held.since_ms
        return QueueAnswer(change.request, build, before, "", "", "", since_ms)

    def _change(self, sender: bytes, change: QueueChange) -> tuple[str, str]:
        if not may_ask(self._local.members, sender):
            raise RefusedError("an observer may change nothing in the queue")
        is_admin = self._rights(sender) is Rights.ADMIN
        return self.change(change, Wisher(is_admin, driver=sender))

    def change(self, change: QueueChange, wisher: Wisher) -> tuple[str, str]:
        """Do what somebody wants; return the build, and before which one it comes now if it was
        moved.

        Raises:
            RefusedError: they may not, there is no such build, or another node coordinates.
        """
        queue = self._allocator.queue
        if queue is None:
            raise RefusedError("another node coordinates now", "ask again", QueueUnknownError.code)
        if not change.build and change.what in ("pause", "resume"):
            self._hold_all(wisher, change.what == "pause", change.actor)
            return "", ""
        demand = self._found(queue, wisher, change.build)
        if change.what == "move":
            return demand.build, self._move(queue, wisher, demand, change.value)
        orders = ordered(demand.orders, change.what, change.value)
        cancel = change.what == "cancel"
        self._order(demand, orders, cancel=cancel, drops=wisher.drops, by=change.actor)
        return demand.build, ""

    def _found(self, queue: Queue, wisher: Wisher, prefix: str) -> Demand:
        found = queue.find(prefix) if prefix else []
        if len(found) != 1:
            many = len(found) > 1
            raise RefusedError(
                f"{len(found)} builds begin with {prefix!r}"
                if many
                else f"no build {prefix!r} is in the queue",
                "give more of its id: buildnet queue list" if many else "buildnet queue list",
                NotFoundError.code,
            )
        if not wisher.may_touch(found[0]):
            raise RefusedError(*wisher.why_not(found[0]))
        return found[0]

    def _move(self, queue: Queue, wisher: Wisher, demand: Demand, place: int) -> str:
        """Give a build a place; return the build that it comes before now."""
        now = time.monotonic()
        place = min(max(place, 1), _MAX_PLACE)
        among = None if wisher.is_for_all else wisher.may_touch
        for moved, orders in queue.placed(demand.build, place, now, among):
            if moved.orders != orders:
                self._order(moved, orders)
        order = [each.demand.build for each in queue.view(now)]
        after = order.index(demand.build) + 1
        return order[after] if after < len(order) else ""

    def _order(
        self,
        demand: Demand,
        orders: Orders,
        *,
        cancel: bool = False,
        drops: str | None = None,
        by: str = "",
    ) -> None:
        # Its driver tells the same soon; until then the queue goes by it already.
        self._allocator.demanded(replace(demand, orders=orders))
        whose = (drops or "")[:128]
        told = BuildOrdered(demand.build, WireOrders.of(orders), cancel, whose, by[:128])
        self._say(demand.driver, told)
        self._on_change()

    def _rights(self, member: bytes) -> Rights | None:
        members = self._local.members
        return members.members[member].rights if members.is_member(member) else None


def _latest_ms() -> int:
    return int(time.time() * 1000) + _MAX_AHEAD_MS


def ordered(orders: Orders, what: str, value: int) -> Orders:
    """Return what a build is to do after it was told so.

    Raises:
        RefusedError: that is no order.
    """
    match what:
        case "pause" | "resume":
            return replace(orders, paused=what == "pause")
        case "priority" if value in set(Priority):
            return replace(orders, priority=Priority(value))
        case "cancel":
            return orders
    raise RefusedError(f"the coordinator does not know how to {what!r:.40} a build")


def wire_queued(entry: Queued) -> WireQueued:
    """Return a build of the queue in the form that travels."""
    demand = entry.demand
    return WireQueued(
        build=demand.build,
        driver=demand.driver,
        actor=demand.actor,
        orders=WireOrders.of(demand.orders),
        how_far=WireHowFar.of(demand.how_far),
        place=entry.place,
        leases=entry.leases,
        state=entry.state.value,
        words=in_words(entry)[:128],
        starts_in_ms=entry.starts_in_ms,
        ends_in_ms=entry.ends_in_ms,
    )
