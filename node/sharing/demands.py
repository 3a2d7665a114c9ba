"""What this node's builds want, as the coordinator is told it, and what it orders of them.

A build tells what it would use as soon as that changes, and how far it is every few seconds. What
people said of a build is kept here, by its driver, so a new coordinator learns of it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from buildnet.mesh.events import LinkUp, OfficeChanged, Received
from buildnet.mesh.local import Local
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.guest import GuestEvent
from buildnet.pool.demand import HowFar, Orders, Want
from buildnet.pool.messages.lending import (
    DemandOver,
    DemandTold,
    WireHowFar,
    WireOrders,
    WireWant,
)
from buildnet.pool.messages.queueing import BuildOrdered

_FURTHER_S = 1.0
"""How far builds are is told so often."""
TOLD_EVERY_S = 5.0
"""All of a build is told so often even if nothing changed: what was told before may be lost."""
_NEW_OFFICE_S = 3.0
"""So long after it changed: who begins to coordinate may take note of that later than others."""


class QueuedBuild(Protocol):
    """A build of this node, as the queue needs it."""

    id: str
    orders: Orders
    at_end: list[Callable[[], None]]
    """To be called once it is over."""

    @property
    def actor(self) -> str:
        """Who asked for it."""

    def how_far(self) -> HowFar:
        """Return how far it is."""

    def obey(self, orders: Orders) -> None:
        """Do from now on what people say."""

    def hold(self, held: bool) -> None:
        """Start no command while the whole queue is paused."""

    def is_asked_by(self, actor: str) -> bool:
        """Tell whether somebody is one of those who asked for it."""

    def drop(self, actor: str | None, *, by: str) -> bool:
        """Take note that an actor wants it no more, None: that nobody may, ``by`` whose wish; tell
        whether it ends."""


@dataclass(slots=True)
class _Known:
    build: QueuedBuild
    how_far: HowFar
    wants: tuple[Want, ...] = ()
    told: DemandTold | None = None


class Demands:
    """One node's builds in the queue, in whatever cluster the node is: :meth:`join`. ``on_order``:
    called as somebody said what one is to do."""

    def __init__(self, on_order: Callable[[], None] = lambda: None) -> None:
        self._on_order = on_order
        self._local: Local | None = None
        self._say: Callable[[bytes, Message], None] = lambda to, message: None
        self._builds: dict[str, _Known] = {}
        self._held = False
        self._further_at = 0.0
        self._again_at = 0.0
        self._is_new_office = False
        self._new_until = 0.0

    def join(self, local: Local, say: Callable[[bytes, Message], None]) -> None:
        """Tell the coordinator of that cluster from now on."""
        self._local, self._say = local, say

    def leave(self) -> None:
        """Tell nobody any more."""
        self._local = None

    # --- builds --------------------------------------------------------------------------------

    def enter(self, build: QueuedBuild) -> None:
        """Take a build into the queue; it leaves by itself once it is over."""
        if build.id in self._builds:
            return
        known = self._builds[build.id] = _Known(build, build.how_far())
        build.at_end.append(lambda: self.over(build.id))
        build.hold(self._held)
        self._tell(known)

    def over(self, build: str) -> None:
        """Take a build out."""
        known = self._builds.pop(build, None)
        office = None if self._local is None else self._local.office
        if known is not None and known.told is not None and office is not None:
            self._say(office.coordinator, DemandOver(build))

    def want(self, build: str, wants: tuple[Want, ...]) -> None:
        """Take note of what a build would use of other hosts now."""
        known = self._builds.get(build)
        if known is not None and known.wants != wants:
            known.wants = wants
            self._tell(known)

    def is_held(self, build: str) -> bool:
        """Tell whether a build starts no commands now."""
        known = self._builds.get(build)
        return known is not None and (self._held or known.build.orders.paused)

    def find(self, prefix: str) -> list[QueuedBuild]:
        """Return this node's builds whose id begins so."""
        return [each.build for key, each in self._builds.items() if key.startswith(prefix)]

    @property
    def builds(self) -> list[QueuedBuild]:
        """This node's builds that are not over."""
        return [each.build for each in self._builds.values()]

    # --- what people say -----------------------------------------------------------------------

    def order(self, build: QueuedBuild, orders: Orders) -> None:
        """Let a build do what this node's own people, or the coordinator, say of it."""
        build.obey(orders)
        known = self._builds.get(build.id)
        if known is not None:
            known.how_far = build.how_far()  # what still runs is waited for
            self._tell(known)
        self._on_order()

    def hold(self, held: bool) -> None:
        """Let no build of this node start commands, or let them go on."""
        self._held = held
        for known in self._builds.values():
            known.build.hold(held)

    # --- the coordinator -----------------------------------------------------------------------

    def take(self, event: GuestEvent) -> None:
        """Take note of another coordinator, and of what one orders."""
        match event:
            case OfficeChanged():
                self._is_new_office = True
                self._tell_again()
            case LinkUp(peer) if self._obeys(peer):
                self._tell_again()
            case Received(sender, BuildOrdered() as told) if self._obeys(sender):
                ordered = self._builds.get(told.build)
                if ordered is not None:
                    self.order(ordered.build, told.orders.orders)
                    if told.cancel:
                        ordered.build.drop(told.actor or None, by=told.by)

    def tick(self, now: float) -> None:
        """Tell how far the builds are, now and then."""
        if now - self._further_at < _FURTHER_S:
            return
        self._further_at = now
        if self._is_new_office:
            self._is_new_office, self._new_until = False, now + _NEW_OFFICE_S
        again = now >= self._again_at or now < self._new_until
        if again:
            self._again_at = now + TOLD_EVERY_S
        for known in self._builds.values():
            known.how_far = known.build.how_far()
            known.told = None if again else known.told
            self._tell(known)

    def _tell_again(self) -> None:
        for known in self._builds.values():
            known.told = None
            self._tell(known)

    def _obeys(self, sender: bytes) -> bool:
        office = None if self._local is None else self._local.office
        return office is not None and office.coordinator == sender

    def _tell(self, known: _Known) -> None:
        office = None if self._local is None else self._local.office
        if office is None:
            return
        build = known.build
        told = DemandTold(
            build=build.id,
            actor=build.actor[:128],
            wants=tuple(WireWant.of(each) for each in known.wants),
            orders=WireOrders.of(build.orders),
            how_far=WireHowFar.of(known.how_far),
        )
        if told != known.told:
            known.told = told
            self._say(office.coordinator, told)
