"""The builds of others that this node stands in for: it keeps their requests, and goes on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.node.durable.circle import Circle
from buildnet.node.durable.drives import FETCHING, UNKNOWN, Drives
from buildnet.node.durable.keeping import MAX_KEPT, Keeping, Kept, NotKeptError
from buildnet.node.durable.shelf import Said
from buildnet.node.durable.stored_plan import PlanError
from buildnet.node.durable.successor import Inheritance, Successor
from buildnet.node.told_to_others import told_to_others
from buildnet.pool.demand import Orders
from buildnet.pool.durable import (
    Forget,
    Inquire,
    Phase,
    Request,
    StandIn,
    StandInEffect,
    Stop,
    TakeOver,
    Tell,
    TellAll,
)
from buildnet.pool.messages.durable import (
    BuildAsk,
    BuildTold,
    DriveTold,
    FinishedTold,
    KeepAnswer,
    KeepAsk,
    KeepOver,
)
from buildnet.pool.messages.results import WireDigest

AFTER_START_S = 5.0
"""So long a node that starts waits for the others before it holds them for gone."""
_log = logging.getLogger("buildnet.pool")


class StandsIn:
    """See the module's text. ``refusal`` says why this node does nothing for others; None: it does;
    ``keep_ended_s``: how long what it made waits for who asked."""

    def __init__(
        self,
        circle: Circle,
        keeping: Keeping,
        successor: Successor,
        drives: Drives,
        refusal: Callable[[], str | None],
        keep_ended_s: float,
    ) -> None:
        self._circle = circle
        self._keeping = keeping
        self._successor = successor
        self._drives = drives
        self._refusal = refusal
        self._keep_ended_s = keep_ended_s
        self._core = StandIn()
        self._taking_in: dict[tuple[bytes, str], KeepAsk] = {}
        """What is being fetched, and for whom; who says meanwhile that it is over takes it out."""
        self._fetching = False

    def __contains__(self, build: object) -> bool:
        return build in self._core.requests

    def keeps(self, build: str) -> bool:
        """Tell whether this node could go on with a build whose id is this or begins with it."""
        return build != "" and any(
            each.startswith(build) and request.phase is not Phase.ENDED
            for each, request in self._core.requests.items()
        )

    async def restore(self) -> None:
        """Take up again what was kept when the node stopped; a build that it drove then it takes
        over once more, unless somebody else does meanwhile."""
        await self._successor.tidy()
        for kept in await asyncio.to_thread(self._keeping.restore):
            request = Request(kept.driver, kept.attempt, kept.phase)
            if kept.phase is not Phase.ENDED:
                away = time.monotonic() + AFTER_START_S
                request = Request(kept.driver, kept.attempt, missing_since=away)
            self._core.requests[kept.build] = request
        await self._successor.close_all_but(self._core.requests)

    # --- what happens --------------------------------------------------------------------------

    def met(self, node: bytes) -> None:
        """Take note that a node is linked anew."""
        self.back(node)
        self._perform(self._core.met(node))

    def back(self, node: bytes) -> None:
        """Take note that a node is there."""
        self._core.back(node, time.monotonic())

    def gone(self, node: bytes) -> None:
        """Take note that a node is believed dead."""
        self._core.gone(node, time.monotonic())

    def stalled(self) -> None:
        """Take note that this node stood still."""
        self._core.stalled(time.monotonic())

    def tick(self) -> None:
        """Look whether it is time to go on with something, and fetch what is finished."""
        self._perform(self._core.tick(time.monotonic()))
        for build, kept in self._keeping.requests.items():
            if build in self._drives:  # people may want something else of it since
                self._note(build, kept, *self._drives.said_of(build))
        if self._keeping.wants and not self._fetching:
            self._circle.spawn(self._fetch_wanted)

    def put_away(self) -> None:
        """Forget what was kept for long enough after its end."""
        before = time.time() - self._keep_ended_s
        for build, request in list(self._keeping.requests.items()):
            if request.report is not None and request.since < before:
                self._core.requests.pop(build, None)
                self._circle.spawn(self._forget, build)

    def driven(self, sender: bytes, told: DriveTold) -> None:
        """Take in which builds a node drives."""
        for each in told.builds:
            known, kept = (
                self._core.requests.get(each.build),
                self._keeping.requests.get(each.build),
            )
            if known is not None and kept is not None and known.driver == sender:
                self._note(each.build, kept, each.orders.orders, each.ran_ms / 1000)
            is_driver = self._is_driver(sender, each.build)
            driven = self._core.driven(
                sender, each.build, each.attempt, time.monotonic(), is_driver=is_driver
            )
            self._perform(driven)

    def _note(self, build: str, kept: Kept, orders: Orders, ran_s: float) -> None:
        """Take note of what holds of a build whoever drives it."""
        said = kept.said.told(orders, ran_s, time.time())
        if said != kept.said:
            kept.said = said
            self._circle.spawn(self._write_down, build, said)

    async def _write_down(self, build: str, said: Said) -> None:
        try:
            await self._keeping.shelf.set_said(build, said)
        except BuildNetError as error:
            _log.warning("what is wanted of build %s is not kept: %s", build, error.message)

    def _is_driver(self, sender: bytes, build: str) -> bool:
        """Tell whether a node gave this one a request, or was asked for the build first."""
        known, kept = self._core.requests.get(build), self._keeping.requests.get(build)
        if known is None:
            return False
        nodes = [node_id_of(known.driver), *([] if kept is None else [kept.plan.driver])]
        return any(self._circle.is_now(sender, node) for node in nodes)

    def released(self, sender: bytes, over: KeepOver) -> None:
        """Take in that a build is over."""
        self._taking_in.pop((sender, over.build), None)
        is_driver = self._is_driver(sender, over.build)
        released = self._core.released(
            over.build, over.attempt, ended=over.ended, is_driver=is_driver
        )
        self._perform(released)

    def asked(self, sender: bytes, ask: BuildAsk) -> None:
        """Say what is known of some builds, and go on with those that the sender lost."""
        for build in ask.builds:
            asked = self._core.lost if ask.lost else self._core.asked
            self._perform(asked(sender, build))

    def told(self, sender: bytes, told: BuildTold) -> None:
        """Take in how far a build is at another node."""
        known = self._core.requests.get(told.build)
        if known is None or told.phase == UNKNOWN or told.attempt <= known.attempt:
            return
        if self._circle.is_proven(told.warrant, told.build, told.attempt, sender):
            self._perform(self._core.contested(told.build, told.attempt, told.phase))

    def finished(self, sender: bytes, told: FinishedTold) -> None:
        """Take in which tasks of a build have results that are to be here too."""
        known = self._core.requests.get(told.build)
        if known is not None and known.driver == sender:
            self._keeping.want(told.build, told.finished)

    async def keep(self, sender: bytes, ask: KeepAsk) -> None:
        """Take a request in and answer whether it is kept."""
        why = self._refusal()
        try:
            if why is not None:
                raise NotKeptError(why)
            if not self._circle.is_granted(ask.warrant, ask.build, ask.attempt, sender):
                raise NotKeptError("who asks may not say who drives the build")
            if await self._successor.has_ended(ask.build):
                raise NotKeptError("it has come to its end here")
            if self._successor.drives_itself(ask.build) and ask.build not in self:
                raise NotKeptError("this node drives it itself")
            # No number: nobody gives way to who only begins.
            self._circle.say(sender, BuildTold(ask.build, 0, FETCHING, None))
            await self._take_in(sender, ask)
        except BuildNetError as error:
            why = told_to_others(error, NotKeptError, PlanError)
        self._circle.say(
            sender, KeepAnswer(ask.build, ask.attempt, why is None, (why or "")[:1024])
        )

    async def _take_in(self, sender: bytes, ask: KeepAsk) -> None:
        """Fetch a request and keep it, unless it is over by then.

        Raises:
            BuildNetError: it is not kept.
        """
        if len(self._taking_in) >= MAX_KEPT:
            raise NotKeptError("it is asked to keep too many requests at once")
        self._taking_in[sender, ask.build] = ask
        try:
            parcel = await self._keeping.take_in(sender, ask)
            is_over = self._taking_in.get((sender, ask.build)) is not ask
        finally:
            if self._taking_in.get((sender, ask.build)) is ask:
                del self._taking_in[sender, ask.build]
        effects = None
        if not is_over:
            effects = self._core.keep(ask.build, sender, ask.attempt, time.monotonic())
        if effects is None:
            parcel.kept.hold.close()
            raise NotKeptError("a later request for this build, or its end, is here")
        self._perform(effects)
        request = self._core.requests[ask.build]
        try:
            await self._keeping.put(ask.build, sender, ask.attempt, parcel)
        except BuildNetError:
            parcel.kept.hold.close()
            await self._give_up(ask.build, request)
            raise
        if ask.build not in self:  # it was over before it was written
            await self._forget(ask.build)
            raise NotKeptError("it is over")

    async def _give_up(self, build_id: str, request: Request) -> None:
        """Stand in no more, for this node can't; who asks is told that it knows nothing."""
        if self._core.requests.get(build_id) is request:
            del self._core.requests[build_id]
            await self._forget(build_id)

    # --- what is to be done --------------------------------------------------------------------

    def _perform(self, effects: Sequence[StandInEffect]) -> None:
        for effect in effects:
            match effect:
                case Inquire(build, None):
                    self._circle.say_all(BuildAsk((build,), lost=False))
                case Inquire(build, bytes(node)):
                    self._circle.say(node, BuildAsk((build,), lost=False))
                case TakeOver(build, attempt):
                    self._circle.spawn(self._take_over, build, attempt)
                case Stop(build):
                    self._stop(build)
                case Forget(build):
                    self._circle.spawn(self._forget, build)
                case Tell(to, build):
                    self._circle.spawn(self._tell, (to,), build)
                case TellAll(build):
                    self._circle.spawn(self._tell, self._circle.linked, build)

    async def _take_over(self, build_id: str, attempt: int) -> None:
        request, known = self._keeping.requests.get(build_id), self._core.requests.get(build_id)
        if request is None or known is None:
            return
        try:
            await self._keeping.shelf.set_phase(build_id, Phase.DRIVING, time.time())
            unpacked = await self._keeping.unpack(build_id, request)
        except BuildNetError as error:
            _log.warning("build %s can't go on here: %s", build_id, error.message)
            await self._give_up(build_id, known)
            return
        is_same = known is self._core.requests.get(build_id)
        if unpacked is None or not is_same or build_id in self._drives:
            return  # its driver came back meanwhile
        trees, blobs = unpacked

        async def on_end(report: bytes) -> None:
            await self._keeping.ended(build_id, report)
            self._drives.drop(build_id, ended=True)
            self._perform(self._core.ended(build_id))

        _log.warning("build %s goes on here: its node is lost", build_id)
        driver = self._circle.name_of(known.driver)
        build = self._successor.take_over(
            Inheritance(request.plan, trees, attempt, request.warrant, driver, request.hold, on_end)
        )
        if request.said.orders is not None:
            build.obey(request.said.orders)
        if request.said.began is not None:
            ran_s = max(0.0, time.time() - request.said.began)
            build.limited_since = time.monotonic() - ran_s
        self._drives.add(build, attempt, blobs)

    def _stop(self, build_id: str) -> None:
        build = self._drives.drop(build_id, ended=False)
        if build is not None:
            _log.warning("build %s goes on elsewhere", build_id)
            self._successor.give_up(build)
            phase = self._keeping.shelf.set_phase
            self._circle.spawn(phase, build_id, Phase.KEPT, time.time())

    async def _forget(self, build_id: str) -> None:
        await self._keeping.forget(build_id)
        if build_id not in self._drives and self._successor.builder.find(build_id) is None:
            await self._successor.close(build_id)

    async def _tell(self, to: Sequence[bytes], build_id: str) -> None:
        known, kept = self._core.requests.get(build_id), self._keeping.requests.get(build_id)
        phase = UNKNOWN if known is None else known.phase.value
        attempt = 0 if known is None else known.attempt
        warrant = None if kept is None else kept.warrant
        if build_id in self._drives:
            phase = Phase.DRIVING.value
            attempt, warrant = self._drives.highest(build_id)
        blob = await self._keeping.report_of(build_id) if phase == Phase.ENDED else None
        report = None if blob is None else WireDigest.of(blob)
        for node in to:
            self._circle.say(node, BuildTold(build_id, attempt, phase, report, warrant))

    async def _fetch_wanted(self) -> None:
        if self._fetching:
            return
        self._fetching = True  # not before it runs: it may never, if the cluster ends
        try:
            await self._keeping.fetch_wanted()
        finally:
            self._fetching = False
