"""One build's looking for results that other members have, or make just now.

Of what nobody has the build says that it runs it itself. What another member runs at that moment is
waited for instead, as long as that member goes on with it, but not for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.node.execute.isolation import STRICT
from buildnet.node.offered_results import Offer, Wanted
from buildnet.node.pool_results import SURE_S, PoolResults
from buildnet.node.resolve import Prepared, Resolver, Tier, isolation_of
from buildnet.node.same_actions import Phase
from buildnet.node.store import Hold
from buildnet.node.timings import Timings
from buildnet.node.workers import either
from buildnet.pool.timeline import LOOKUP, RESTORE
from buildnet.pool.workspace import TaskId

Outcome = tuple[TaskId, Prepared | BuildNetError, float]
"""A task, what is known of it, and how long that took in milliseconds."""
PATIENCE_S = 60.0
"""So long another member's run of an action is waited for that never ran here."""
_MOST_PATIENCE_S = 600.0
_SLOWER = 3.0
"""So much longer than here it may take there."""


@dataclass(slots=True)
class PoolLookup:
    """See the module's text. ``durations_ms``: what tasks took before."""

    results: PoolResults
    resolver: Resolver
    hold: Hold
    durations_ms: Mapping[TaskId, float]
    timings: Timings = field(default_factory=Timings)
    _intended: set[Digest] = field(default_factory=set)
    _cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def look(self, outcomes: list[Outcome]) -> tuple[list[Outcome], list[Prepared]]:
        """Take in what other members have of what would have to be made; return apart what one of
        them makes just now."""
        lacking = {
            outcome.action.digest: outcome
            for _, outcome, _ in outcomes
            if isinstance(outcome, Prepared) and outcome.tier is None
            if outcome.action is not None and isolation_of(outcome.action) == STRICT
        }
        new = lacking.keys() - self._intended
        self._intended |= new
        self.results.same.intend(new)
        asked = time.monotonic()
        offers, elsewhere = await self.results.look(tuple(lacking), Phase.INTENDED)
        for prepared in lacking.values():
            self.timings.took(prepared.task.id, LOOKUP, asked)
        awaited = [lacking[action] for action in elsewhere]
        tasks = {prepared.task.id for prepared in awaited}
        there = [each for each in outcomes if each[0] not in tasks]
        if not offers:
            return there, awaited
        started = time.monotonic()
        settled = await self._take_in(offers, lacking)
        each_ms = (time.monotonic() - started) * 1000 / len(offers)
        return [
            (task, settled[task], spent_ms + each_ms)
            if task in settled
            else (task, outcome, spent_ms)
            for task, outcome, spent_ms in there
        ], awaited

    async def is_second(self, prepared: Prepared) -> bool:
        """Tell, just before a command starts, whether another member runs it already, or goes
        first; if not, this node runs it from now on."""
        action = prepared.action
        if action is None or action.digest not in self._intended:
            return False
        same, key = self.results.same, action.digest
        if same.is_shared(key):
            same.become(key, Phase.STARTING)
            offers, elsewhere = await self.results.look((key,), Phase.STARTING, SURE_S)
            if key in offers or key in elsewhere:
                same.become(key, Phase.INTENDED)
                return True
        same.become(key, Phase.RUNNING)
        return False

    async def of_other(self, prepared: Prepared) -> Prepared | BuildNetError | None:
        """Wait for the result that another member makes, and take it in; None: there is none, and
        the command has to run here. Ends at once when the build is cancelled."""
        assert prepared.action is not None
        key = prepared.action.digest
        known_ms = self.durations_ms.get(prepared.task.id)
        patience_s = PATIENCE_S
        if known_ms is not None:
            patience_s = min(_MOST_PATIENCE_S, max(5.0, known_ms / 1000 * _SLOWER))
        began = time.monotonic()
        waiting = asyncio.ensure_future(self.results.result_of_other(key, patience_s))
        ended = await either(_end_of(waiting), self._cancelled.wait())
        self.timings.took(prepared.task.id, LOOKUP, began)
        if not ended:
            waiting.cancel()
            return None
        offer = waiting.result()
        if offer is None:
            return None
        settled = await self._take_in({key: offer}, {key: prepared})
        return settled.get(prepared.task.id)

    def over(self, prepared: Prepared) -> None:
        """Take note that a command has ended, or has to be placed anew."""
        if prepared.action is not None and prepared.action.digest in self._intended:
            self._intended.remove(prepared.action.digest)
            self.results.same.over(prepared.action.digest)

    def cancel(self) -> None:
        """Wait for nobody any more."""
        self._cancelled.set()

    def close(self) -> None:
        """Run nothing any more; the build is over."""
        self.cancel()
        for action in self._intended:
            self.results.same.over(action)
        self._intended.clear()

    async def _take_in(
        self, offers: Mapping[Digest, Offer], lacking: Mapping[Digest, Prepared]
    ) -> dict[TaskId, Prepared | BuildNetError]:
        wanted = [
            Wanted(offer, lacking[action].task.path, lacking[action].task.outputs)
            for action, offer in offers.items()
        ]
        began = time.monotonic()
        taken = await self.results.take_in(wanted, self.hold)
        for action in taken:
            self.timings.took(lacking[action].task.id, RESTORE, began)
        found = [
            replace(
                lacking[action],
                tier=Tier.POOL_CACHE,
                outputs=said.outputs,
                log=said.log,
                undelivered=True,
                node=node_id_of(offers[action].holder),
                node_name=self.results.name_of(offers[action].holder),
            )
            for action, said in taken.items()
        ]
        return await asyncio.to_thread(self._settle_all, found)

    def _settle_all(self, found: Sequence[Prepared]) -> dict[TaskId, Prepared | BuildNetError]:
        settled: dict[TaskId, Prepared | BuildNetError] = {}
        for prepared in found:
            try:
                self.resolver.claim(prepared)
                self.resolver.settle(prepared)
            except BuildNetError as error:
                settled[prepared.task.id] = error
            else:
                settled[prepared.task.id] = prepared
        return settled


async def _end_of(future: asyncio.Future[Offer | None]) -> None:
    await asyncio.wait([future])
