"""The queue as a person at this node sees and changes it.

What is driven here is changed here, whoever coordinates; all else is asked of the coordinator.
Where none is known, the builds of this node alone are shown.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.mesh.identity import node_id_of
from buildnet.node import queue_record
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.recording import Record
from buildnet.node.sharing.demands import QueuedBuild
from buildnet.node.sharing.queue_asking import (
    QueueAsking,
    QueueUnknownError,
    refusal,
)
from buildnet.node.sharing.queue_desk import RefusedError, Wisher, ordered, wire_queued
from buildnet.node.sharing.service import Sharing
from buildnet.pool.demand import Demand, Priority
from buildnet.pool.messages.queueing import QueueAnswer, QueueChange, WireQueued
from buildnet.pool.queue_view import QueueState, queue_view

if TYPE_CHECKING:
    from buildnet.node.service import NodeService


class AnsweredElsewhereError(QueueUnknownError):
    """The coordinator has to be asked; this node is not."""


@dataclass(frozen=True, slots=True)
class QueueAccess:
    """See the module's text. ``me``: this node's key; ``names``: of members, by key; ``record``
    takes what the ledger is to tell."""

    sharing: Sharing
    me: Callable[[], bytes]
    names: Callable[[], Mapping[bytes, str]]
    record: Callable[[Record], None]
    reasons: Callable[[int | None, Collection[str]], Awaitable[queue_record.Reasons]]

    async def view(self) -> dict[str, Any]:
        """Return the queue as JSON; ``complete``: the coordinator told it."""
        names = self.names()
        try:
            builds, paused_by = await self._asking().look()
            complete = True
        except QueueUnknownError:
            builds, complete = self._own(), False
            paused_by = None
        why = await self._why(builds, is_paused=paused_by is not None)
        return {
            "complete": complete,
            "paused": paused_by is not None,
            "paused_by": paused_by,
            "reason": why.whole,
            "builds": [
                self._view(each, names) | {"reason": why.builds.get(each.build)} for each in builds
            ],
        }

    async def _why(self, builds: Sequence[WireQueued], *, is_paused: bool) -> queue_record.Reasons:
        """Return the reasons that were given for what is paused, as the ledger knows them here."""
        held = None if self.sharing.desk is None else self.sharing.desk.held
        since_ms = held.since_ms if is_paused and held is not None and held.paused else None
        paused = {each.build for each in builds if each.orders.orders.paused}
        if since_ms is None and not paused:
            return queue_record.Reasons()
        try:
            return await self.reasons(since_ms, paused)
        except BuildNetError:  # the queue is shown all the same
            return queue_record.Reasons()

    async def change(
        self,
        what: str,
        build: str,
        value: int = 0,
        *,
        actor: str,
        reason: str = "",
        wisher: Wisher | None = None,
    ) -> dict[str, Any]:
        """Do something with a build, by its id or a beginning of it, or (empty) with all of them;
        see :class:`~buildnet.pool.messages.queueing.QueueChange`. ``wisher``: who wants it by
        rights of their own; None: the owner of this node, whose rights in the cluster count.

        Raises:
            AnsweredElsewhereError: the coordinator has to be asked, by who wants it.
            NotFoundError: there is no such build.
            QueueUnknownError: it is not of this node, and no coordinator answers.
            NotAllowedError: it is not allowed, or does not make sense.
        """
        here = [] if not build or what == "move" else self.sharing.demands.find(build)
        if len(here) == 1:
            (own,) = here
            drops = None if wisher is None else wisher.drops
            if wisher is not None:
                asked = what == "cancel" and drops is not None and own.is_asked_by(drops)
                _require(wisher, self._demand(own, str(drops) if asked else own.actor))
            orders = ordered(own.orders, what, value)
            if what == "resume" and orders == own.orders:
                return _done(own.id, changed=False)
            self.sharing.demands.order(own, orders)
            self._record_of(own.id, what, value, actor, reason)
            if what == "cancel":
                return _done(own.id) | {"goes_on": not own.drop(drops, by=actor)}
            return _done(own.id)
        if len(here) > 1:
            raise NotFoundError(
                f"{len(here)} builds begin with {build!r}",
                hint="give more of its id: buildnet queue list",
            )
        went_on = what == "resume" and await self._goes_on(build)
        if wisher is None:
            answer = await self._asking().change(what, build, value, actor)
        else:
            answer = self._decided(what, build, value, actor, wisher)
        self.sharing.on_queue()
        if not build:
            if not answer.since_ms:
                return _done(None, changed=False)
            self.record(queue_record.held(actor, what == "pause", answer.since_ms, reason))
        elif went_on:
            return _done(answer.build, changed=False)
        elif what == "move":
            self.record(queue_record.moved(actor, answer.build, answer.before))
        else:
            self._record_of(answer.build, what, value, actor, reason)
        return _done(answer.build or None)

    async def driver_of(self, build: str) -> bytes | None:
        """Return the node that drives the only build whose id begins so, as the coordinator tells
        it to this node; None: it does not."""
        try:
            builds, _ = await self._asking().look()
        except (QueueUnknownError, NotAllowedError):
            return None
        found = [each.driver for each in builds if each.build.startswith(build)]
        return found[0] if len(found) == 1 else None

    async def _goes_on(self, build: str) -> bool:
        """Tell whether the coordinator knows one build whose id begins so, and it is not paused."""
        try:
            builds, _ = await self._asking().look()
        except (QueueUnknownError, NotAllowedError):
            return False
        found = [each for each in builds if build and each.build.startswith(build)]
        return len(found) == 1 and not found[0].orders.orders.paused

    def _decided(
        self, what: str, build: str, value: int, actor: str, wisher: Wisher
    ) -> QueueAnswer:
        """Have the coordinator decide, if that is this node."""
        desk, request = self.sharing.desk, bytes(16)
        if desk is None or not desk.coordinates:
            raise AnsweredElsewhereError("only the coordinator can do that")
        change = QueueChange(request, what, build[:128], value, actor[:128])
        held = desk.held
        try:
            found, before = desk.change(change, wisher)
        except RefusedError as refused:
            told = QueueAnswer(request, "", "", refused.code, refused.message, refused.hint)
            raise refusal(told) from refused
        since_ms = 0 if desk.held is held else desk.held.since_ms
        return QueueAnswer(request, found, before, "", "", "", since_ms)

    def _record_of(self, build: str, what: str, value: int, actor: str, reason: str) -> None:
        priority = Priority(value) if what == "priority" else Priority.NORMAL
        record = queue_record.of_build(actor, build, what, priority, reason)
        if record is not None:
            self.record(record)

    def _asking(self) -> QueueAsking:
        if self.sharing.asking is None:
            raise QueueUnknownError("this node is not in its cluster yet", hint="ask again soon")
        return self.sharing.asking

    def _own(self) -> list[WireQueued]:
        ranked = [(self._demand(each, each.actor), 0) for each in self.sharing.demands.builds]
        return [wire_queued(each) for each in queue_view(ranked, 0, paused=False)]

    def _demand(self, build: QueuedBuild, actor: str) -> Demand:
        return Demand(build.id, self.me(), actor, (), build.orders, build.how_far())

    def _view(self, entry: WireQueued, names: Mapping[bytes, str]) -> dict[str, Any]:
        orders, far = entry.orders.orders, entry.how_far
        running = entry.state == QueueState.RUNNING
        waited_s = max(0.0, time.time() - far.asked_ms / 1000)
        node_id = node_id_of(entry.driver)
        return {
            "build_id": entry.build,
            "workspace": far.workspace,
            "actor": entry.actor,
            "node": names.get(entry.driver, node_id),
            "node_id": node_id,
            "this_node": entry.driver == self.me(),
            "priority": Priority(orders.priority).name.lower(),
            "place": entry.place,
            "state": entry.state,
            "words": entry.words,
            "paused": orders.paused,
            "moved": orders.place > 0,
            "running": far.running,
            "hosts": far.hosts,
            "leases": entry.leases,
            "asked_at": far.asked_ms / 1000,
            "waited_s": None if running else round(waited_s, 1),
            "starts_in_s": _seconds(entry.starts_in_ms),
            "ends_in_s": _seconds(entry.ends_in_ms),
        }


def _require(wisher: Wisher, demand: Demand) -> None:
    """See that somebody may touch a build of this node.

    Raises:
        NotAllowedError: they may not.
    """
    if not wisher.may_touch(demand):
        why, hint = wisher.why_not(demand)
        raise NotAllowedError(why, hint=hint)


def queue_of(service: NodeService) -> QueueAccess:
    """Return the queue as it is seen at a node."""
    sharing = service.builder.workshop.sharing
    assert sharing is not None  # the daemon sets it before the API answers
    return QueueAccess(
        sharing,
        lambda: service.mesh.key,
        lambda: {member.key: member.name for member in service.mesh.view().members},
        service.recording.put,
        partial(queue_record.reasons, service.ledger),
    )


def _done(build: str | None, *, changed: bool = True) -> dict[str, Any]:
    """Return what a change tells; ``changed``: false where all was so before."""
    return {"success": True, "build_id": build, "changed": changed}


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else round(milliseconds / 1000, 1)
