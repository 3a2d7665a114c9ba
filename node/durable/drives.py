"""The builds that this node drives, each with another node that has its request, if one does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from buildnet.ledger.history import DURABLE, NOT_YET, TAKEN_OVER, Durability, History
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.node.build_record import BuildTakenOver
from buildnet.node.durable.circle import Circle
from buildnet.node.durable.guard import Blobs, Guard, objection, take_in
from buildnet.node.perform import Performer
from buildnet.node.recording import Record
from buildnet.node.running import RunningBuild
from buildnet.node.workers import either
from buildnet.node.workshop import Job
from buildnet.pool.demand import Orders
from buildnet.pool.durable import (
    AskKeep,
    Driving,
    DrivingEffect,
    Durable,
    NotDurable,
    Phase,
    Release,
)
from buildnet.pool.messages.durable import (
    MAX_BUILDS,
    MAX_FINISHED,
    BuildAsk,
    BuildTold,
    Driven,
    DriveTold,
    Finished,
    FinishedTold,
    KeepAnswer,
    KeepAsk,
    KeepOver,
)
from buildnet.pool.messages.lending import WireOrders
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.pages import pages
from buildnet.pool.warrant import Warrant

UNKNOWN = "unknown"
"""The phase of a build that a node knows nothing of."""
FETCHING = "fetching"
"""The phase of one whose request it was asked to keep and takes in now."""
ALONE = "its node left the cluster before another one had its request"
SILENT_S = 300.0
"""So long who said nothing when he was asked is asked after all others."""
AUTOMATIC_AFTER_S = 10.0
"""A build that takes longer is made durable though nobody asked for it."""
_log = logging.getLogger("buildnet.pool")


class Drives:
    """See the module's text. Those that this node took over are among them."""

    def __init__(self, circle: Circle, history: History, record: Callable[[Record], None]) -> None:
        self._circle = circle
        self._history = history
        self._record = record
        self._guards: dict[str, Guard] = {}
        self._silent_at: dict[bytes, float] = {}
        """When nodes did not say anything that were asked to stand in."""

    def __contains__(self, build: object) -> bool:
        return build in self._guards

    def highest(self, build: str) -> tuple[int, Warrant]:
        """Return the highest attempt that a build was given here, and the warrant of it."""
        guard = self._guards[build]
        return guard.driving.highest, guard.highest

    # --- for the builder -----------------------------------------------------------------------

    def expected(self, build: RunningBuild) -> Durability | None:
        """See :class:`~buildnet.node.outliving.Outliving`."""
        is_shared = not build.request.local_only and bool(self._circle.candidates(build.id))
        return Durability(NOT_YET) if is_shared else None

    async def begin(self, build: RunningBuild, job: Job, performer: Performer) -> None:
        """See :class:`~buildnet.node.outliving.Outliving`."""
        request = build.request
        if request.dry_run or not (request.durable or build.durable):
            return
        why = self._objection(build, job)
        if why is not None:
            if request.durable:
                build.progress.tell({"type": "not_durable", "why": why})
            return
        guard = self._guards[build.id] = Guard(build, Driving(build.id))
        if not request.durable:
            loop = asyncio.get_running_loop()
            guard.later = loop.call_later(
                AUTOMATIC_AFTER_S, self._circle.spawn, self._prepare, guard, job, performer
            )
            return
        await self._prepare(guard, job, performer)
        await either(guard.settled.wait(), build.cancelled.wait())

    def over(self, build: RunningBuild) -> None:
        """See :class:`~buildnet.node.outliving.Outliving`."""
        guard = self._guards.pop(build.id, None)
        if guard is None:
            return
        guard.close()
        if build.handed_over:
            self._circle.say_all(BuildAsk((build.id,), lost=True))
        else:
            self._drive(guard, guard.driving.over(ended=True))

    def hand_over(self, build: RunningBuild) -> bool:
        """See :class:`~buildnet.node.outliving.Outliving`."""
        if build.durable is not None and build.durable.state == TAKEN_OVER:
            return True
        guard = self._guards.get(build.id)
        return guard is not None and guard.driving.is_durable

    def _objection(self, build: RunningBuild, job: Job) -> str | None:
        """Say why a build's request can't be on another node; None: it can."""
        if build.request.local_only:
            return "it uses nothing of other nodes"
        cluster = self._circle.cluster
        if cluster is not None and not self._circle.may_ask(cluster.local.key):
            return "the owner of this node may only look, so no other one stands in"
        if not self._circle.candidates(build.id):
            return "there is no other worker that could stand in"
        if build.request.force:
            return "with --force even what is finished would run again"
        return objection(job.tasks.values(), job.isolation.level)

    async def _prepare(self, guard: Guard, job: Job, performer: Performer) -> None:
        """Take in a build's request, and look for who stands in."""

        def work() -> None:
            guard.blobs = take_in(guard.build, job, performer)

        try:
            await performer.quietly(work)
            why = None if guard.blobs is not None else "its request is too large"
        except BuildNetError as error:
            why = error.message
        except Exception:
            _log.exception("the request of build %s could not be taken in", guard.build.id)
            why = "its request could not be taken in: see the node's log"
        if why is not None:
            self._drive(guard, [NotDurable(why)])
        elif guard.build.id in self._guards:
            self._look(guard)

    # --- builds of others ----------------------------------------------------------------------

    def add(self, build: RunningBuild, attempt: int, blobs: Blobs) -> None:
        """Drive a build that another node lost, and see that a third one could."""
        self._guards[build.id] = Guard(build, Driving(build.id, attempt), blobs=blobs)

    def drop(self, build: str, *, ended: bool) -> RunningBuild | None:
        """Drive a build no more: it has ``ended``, or another node does; who stands in is told.
        Return it, if it was driven here."""
        guard = self._guards.pop(build, None)
        if guard is None:
            return None
        guard.close()
        self._drive(guard, guard.driving.over(ended=ended))
        return guard.build

    # --- who stands in -------------------------------------------------------------------------

    def look(self) -> None:
        """See that each build has somebody who stands in, and that he knows what is finished."""
        for guard in list(self._guards.values()):
            self._look(guard)
            self._tell_finished(guard)
            self._tell_orders(guard)

    def alone(self) -> None:
        """Take note that this node is in no cluster any more: nobody will answer."""
        for guard in self._guards.values():
            if not guard.settled.is_set():
                _say_why(guard, ALONE, was_durable=False)

    def answered(self, sender: bytes, answer: KeepAnswer) -> None:
        """Take in whether a node stands in."""
        self._silent_at.pop(sender, None)
        guard = self._guards.get(answer.build)
        if guard is not None:
            effects = guard.driving.answered(sender, answer.attempt, answer.kept, answer.why)
            self._drive(guard, effects)
            self._look(guard)

    def told(self, sender: bytes, told: BuildTold) -> None:
        """Take in what a stand-in says of a build that this node drives."""
        guard = self._guards.get(told.build)
        if guard is None:
            return
        build, driving = guard.build, guard.driving
        if told.phase == FETCHING:
            driving.fetching(sender, time.monotonic())
        elif told.phase == UNKNOWN:
            self._drive(guard, driving.forgotten(sender))
        elif not self._circle.is_proven(told.warrant, build.id, told.attempt, sender):
            return
        elif told.phase == Phase.ENDED:
            build.ended_elsewhere = True
        elif told.phase == Phase.DRIVING and told.attempt >= driving.attempt:
            driving.taken_over(told.attempt)
            build.term = driving.attempt
            self._record(BuildTakenOver(build.id, build.term, build.warrant))
            self._circle.say(sender, DriveTold((_driven(guard),)))

    def tell(self, only: bytes | None = None) -> None:
        """Say which builds this node drives, to those that may stand in for them."""
        builds: dict[bytes, list[Driven]] = {}
        for guard in self._guards.values():
            for node in guard.driving.asked:
                if only is None or node == only:
                    builds.setdefault(node, []).append(_driven(guard))
        for node, driven_there in builds.items():
            self._circle.say(node, DriveTold(tuple(driven_there[:MAX_BUILDS])))

    def said_of(self, build: str) -> tuple[Orders, float]:
        """Return what people want of a build, and for how many seconds its time limit counts."""
        driven = self._guards[build].build
        return driven.orders, _ran_s(driven)

    def _look(self, guard: Guard) -> None:
        if guard.blobs is not None and not guard.build.ended_elsewhere:
            circle, now = self._circle, time.monotonic()
            may_grant = not guard.build.warrant.is_full
            candidates = circle.candidates(guard.build.id) if may_grant else []
            # Who said nothing lately is asked last: for each build anew that would be waited for.
            candidates.sort(key=lambda node: now - self._silent_at.get(node, -SILENT_S) < SILENT_S)
            effects = guard.driving.look(candidates, circle.gone, now)
            self._silent_at.update(dict.fromkeys(guard.driving.silent, now))
            guard.driving.silent.clear()
            self._drive(guard, effects)

    def _drive(self, guard: Guard, effects: Sequence[DrivingEffect]) -> None:
        build, circle = guard.build, self._circle
        for effect in effects:
            match effect:
                case AskKeep(to, attempt) if guard.blobs is not None:
                    plan = WireDigest.of(guard.blobs.plan)
                    sources = WireDigest.of(guard.blobs.sources)
                    guard.highest = circle.grant(build.warrant, to, attempt)
                    circle.say(to, KeepAsk(build.id, attempt, plan, sources, guard.highest))
                case Release(to, attempt, ended):
                    circle.say(to, KeepOver(build.id, attempt, ended))
                case Durable(node):
                    guard.begin_to_tell()
                    circle.spawn(self._now_durable, guard, node)
                case NotDurable(why) if circle.cluster is None:
                    _say_why(guard, why, was_durable=False)
                case NotDurable(why):
                    circle.spawn(self._not_durable, guard, why)

    async def _now_durable(self, guard: Guard, node: bytes) -> None:
        name = self._circle.name_of(node)
        where = Durability(DURABLE, node_id_of(node), name, guard.driving.given(node))
        await self._mark(guard.build, where)
        event = {"type": "durable", "node": where.node, "node_name": name}
        guard.build.progress.tell(event)
        guard.settled.set()

    async def _not_durable(self, guard: Guard, why: str) -> None:
        build = guard.build
        was = build.durable is not None and build.durable.state == DURABLE
        await self._mark(build, Durability(NOT_YET))
        _say_why(guard, why, was_durable=was)

    async def _mark(self, build: RunningBuild, where: Durability) -> None:
        """Record where a build's request is; of one of another node it says whose it was."""
        if build.durable == where or (build.durable and build.durable.state == TAKEN_OVER):
            return
        with suppress(BuildNetError):  # then this node's next start does not know
            await self._history.mark(build.id, where)
        build.durable = where

    def _tell_orders(self, guard: Guard) -> None:
        """Tell who stands in what people say of a build as soon as they do."""
        stand_in, orders = guard.driving.stand_in, guard.build.orders
        if stand_in is not None and guard.driving.is_durable and guard.told != orders:
            guard.told = orders
            self._circle.say(stand_in, DriveTold((_driven(guard),)))

    def _tell_finished(self, guard: Guard) -> None:
        stand_in = guard.driving.stand_in
        if stand_in is None or not guard.driving.is_durable:
            return
        finished = (
            Finished(task.package, task.task, WireDigest.of(action))
            for task, action in guard.finished(MAX_FINISHED)
        )
        for page in pages(finished, MAX_FINISHED):
            self._circle.say(stand_in, FinishedTold(guard.build.id, page))


def _say_why(guard: Guard, why: str, *, was_durable: bool) -> None:
    """Tell who asked why a build's request is on this node alone; he waits no more."""
    build = guard.build
    if was_durable or (build.request.durable and why != guard.why):
        build.progress.tell({"type": "not_durable", "why": why})
    guard.why = why
    guard.settled.set()


def _driven(guard: Guard) -> Driven:
    build = guard.build
    orders, ran_ms = WireOrders.of(build.orders), int(_ran_s(build) * 1000)
    return Driven(build.id, guard.driving.attempt, orders, ran_ms)


def _ran_s(build: RunningBuild) -> float:
    """Return for how long a build's time limit has counted."""
    since = build.limited_since
    return 0.0 if since is None else max(0.0, time.monotonic() - since)
