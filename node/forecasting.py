"""One build's estimate: made when it is known what has to run, and again as it goes on.

A build with nothing to do makes none. The first one is what the build is measured by in the record;
later ones tell how much is left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from buildnet.node.estimates import Estimates, name_of
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Prepared, Tier
from buildnet.pool.build import Status
from buildnet.pool.estimation.forecast import SAMPLES, Forecast, Forecaster
from buildnet.pool.estimation.learning import Lesson
from buildnet.pool.estimation.memory import WorkspaceMemory
from buildnet.pool.estimation.piece import Ended, Fate, Piece
from buildnet.pool.estimation.sample import Sample
from buildnet.pool.estimation.simulation import SimulatedHost
from buildnet.pool.estimation.view import in_short
from buildnet.pool.timeline import stood_us
from buildnet.pool.tree import DirectoryTree
from buildnet.pool.workspace import Task, TaskId, Workspace

_log = logging.getLogger("buildnet.builds")
AGAIN_S = 1.0
"""So often a build's estimate is made again, at most."""
SETTLES_S = 0.4
"""So long after the first command begins what needs none is found: only then it is told what is
left to do. A build that is over by then is worth no estimate, which takes as much of the processor
as some tens of short commands."""
_REST = 30.0
"""So many times as long as it took, at least."""
_SAMPLES_AT_WORK = SAMPLES // 5
"""While commands run, little is computed: they need the processor more."""
_MOST_FILES = 20_000
"""The inputs of all tasks together are summed up as far as that."""


_Planned = tuple[Piece, DirectoryTree | None]
"""A task, and what it reads where that is known."""


class Seen(Protocol):
    """What is to be seen of a build at work."""

    @property
    def reports(self) -> Mapping[TaskId, TaskReport]:
        """What became of tasks so far."""

    @property
    def unchanged(self) -> Collection[TaskId]:
        """The tasks that stand as before."""

    @property
    def prepared(self) -> Mapping[TaskId, Prepared]:
        """What is known of tasks that were looked at."""

    @property
    def running(self) -> Mapping[TaskId, str]:
        """Commands that run, and the ids of their nodes."""

    def running_s(self, task: TaskId) -> float:
        """How long a command runs."""


@dataclass(slots=True, eq=False)
class BuildForecast:
    """See the module's text.

    ``hosts`` returns where its commands may run, this node first, with ids; ``may_move``: tasks
    that may run elsewhere; ``began``: when the build did, by the monotonic clock; ``changed``:
    tasks of which something was changed since they stood; ``forced``: what has a result runs, too;
    ``tell`` passes on an event and keeps it, ``tell_once`` does not.
    """

    estimates: Estimates
    workspace: Workspace
    tasks: Mapping[TaskId, Task]
    hosts: Callable[[], Sequence[tuple[str, SimulatedHost]]]
    may_move: Collection[TaskId]
    began: float
    seed: int
    tell: Callable[[dict[str, Any]], None]
    tell_once: Callable[[dict[str, Any]], None]
    memory: WorkspaceMemory
    changed: Collection[TaskId] = frozenset()
    forced: bool = False
    settles_s: float = SETTLES_S
    is_held_up: Callable[[], bool] = lambda: False
    on_first: Callable[[], None] = lambda: None
    """Called once the first estimate is there."""
    first: Forecast | None = None
    first_at_ms: float = 0.0
    """When that was made, from the build's beginning."""
    _was_held_up: bool = False
    _forecaster: Forecaster | None = None
    _planned: tuple[TaskId, ...] = ()
    _left: tuple[int, int, float] | None = None
    """How long the commands take that are left, one after the other and on all hosts, in
    milliseconds, and when that was found by the clock."""
    _speeds: dict[str, float] = field(default_factory=dict)
    _files: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _clock: Callable[[], float] = time.monotonic
    _sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def turned(self) -> None:
        """Take note that something of the build has changed."""
        self._news.set()
        self._was_held_up = self._was_held_up or self.is_held_up()

    async def run(self, build: Seen) -> None:
        """Tell the estimate and how much is left, until it is cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self.first is None and not any(
                each.tier is None or each.undelivered for each in build.prepared.values()
            ):
                continue  # nothing is to be done so far
            asked = self._clock()
            if self.first is None:
                await asyncio.sleep(self.settles_s)
            began = self._clock()
            try:
                await self._look(build, (asked - self.began) * 1000)
            except Exception:  # no build is to fail because nobody can tell how long it takes
                _log.exception("how long a build of %s takes can't be told", self.workspace.name)
                return
            await self._sleep(max(AGAIN_S, _REST * (self._clock() - began)))
            self._news.set()  # time has passed

    async def _look(self, build: Seen, elapsed_ms: float) -> None:
        is_first = self.first is None
        hosts = self.hosts()
        self._speeds |= {node: host.speed for node, host in hosts}
        planned = self._to_do(build, [node for node, _ in hosts], is_first=is_first)
        forecaster, found = await asyncio.to_thread(
            self._ahead, planned.values(), [host for _, host in hosts], _SAMPLES_AT_WORK
        )
        self._left = round(forecaster.work_ms), round(found.middle_ms), self._clock()
        if is_first:
            self.first, self.first_at_ms = found, elapsed_ms
            self._forecaster, self._planned = forecaster, tuple(planned)
            self.on_first()
        told = in_short(found, elapsed_ms)
        if told is not None:
            tell = self.tell if is_first else self.tell_once
            tell({"type": "estimate", **told, "left_ms": round(found.middle_ms)})

    def _ahead(
        self, planned: Iterable[_Planned], hosts: Sequence[SimulatedHost], most: int
    ) -> tuple[Forecaster, Forecast]:
        """Look ahead. Blocks."""
        pieces = [replace(piece, input_bytes=self._size(inputs)) for piece, inputs in planned]
        with self.estimates.lock:
            forecaster = Forecaster(self.memory, pieces, hosts)
        return forecaster, forecaster.ahead(self.seed, most)

    def _size(self, inputs: DirectoryTree | None) -> int:
        if inputs is None or self._files > _MOST_FILES:
            return 0
        files = inputs.files()
        self._files += len(files)
        return sum(each.size_bytes for each in files)

    def _to_do(
        self, build: Seen, hosts: Sequence[str], *, is_first: bool
    ) -> dict[TaskId, _Planned]:
        """Return the tasks that are not over, in the order of their dependencies. ``is_first``:
        those that run have only begun."""
        found: dict[TaskId, _Planned] = {}
        numbers: dict[TaskId, int] = {}
        for task, known in self.tasks.items():
            if task in build.reports or task in build.unchanged:
                continue
            prepared, fate = build.prepared.get(task), self._unseen(task)
            if prepared is not None:
                fate = Fate.RUN if prepared.tier is None else Fate.RESTORE
            piece = self._piece(known, numbers, fate)
            node = build.running.get(task)
            if node is not None and not is_first:
                piece = replace(
                    piece,
                    running_ms=build.running_s(task) * 1000,
                    running_on=hosts.index(node) if node in hosts else 0,
                )
            numbers[task] = len(found)
            found[task] = piece, _inputs(prepared) if is_first else None
        return found

    def _would_do(self, build: Seen) -> list[_Planned]:
        """Return the tasks that a dry run found would not stand as they are."""
        found: list[_Planned] = []
        numbers: dict[TaskId, int] = {}
        for task, known in self.tasks.items():
            report, prepared = build.reports.get(task), build.prepared.get(task)
            if report is None or prepared is None or report.plan is None:
                continue
            if prepared.tier is not None and not prepared.undelivered:
                continue
            fate = Fate.RESTORE
            if prepared.tier is None:
                fate = self._unseen(task) if prepared.action is None else Fate.RUN
            piece = self._piece(known, numbers, fate)
            numbers[task] = len(found)
            found.append((piece, _inputs(prepared)))
        return found

    def _unseen(self, task: TaskId) -> Fate:
        """Return what is known of a task that waits for others."""
        if self.forced:
            return Fate.RUN
        known = self.memory.tasks.get(name_of(task))
        is_new = known is None or not known.samples
        return Fate.CHANGED if is_new or task in self.changed else Fate.UNKNOWN

    def _piece(self, task: Task, numbers: Mapping[TaskId, int], fate: Fate) -> Piece:
        return Piece(
            name_of(task.id),
            task.name,
            tuple(numbers[each] for each in task.depends_on if each in numbers),
            fate,
            task.command is not None,
            task.requirements.slots,
            task.id in self.may_move,
        )

    def left(self, *, at_work: bool) -> tuple[int | None, int | None]:
        """Return how long the commands take that are left, one after the other, and in how long
        the build ends, in milliseconds; None: that is not known. ``at_work``: commands run; while
        none does the end comes no nearer."""
        if self._left is None or not self.memory.is_measured:
            return None, None
        work_ms, all_ms, found_at = self._left
        since_ms = round((self._clock() - found_at) * 1000) if at_work else 0
        return work_ms, max(0, all_ms - since_ms)

    async def rehearsed(self, build: Seen) -> Forecast:
        """Return the estimate of a build that was only looked at, in a dry run."""
        hosts = [host for _, host in self.hosts()]
        _, found = await asyncio.to_thread(self._ahead, self._would_do(build), hosts, SAMPLES)
        return found

    # --- learning ------------------------------------------------------------------------------

    def learn(
        self, reports: Mapping[TaskId, TaskReport], node_id: str, duration_ms: float | None
    ) -> None:
        """Take note of how the build went. Blocks. ``node_id``: of this node; ``duration_ms``:
        None: it did not go to a good end."""
        runs: dict[str, Sample] = {}
        transfers_ms: list[float] = []
        pieces = () if self._forecaster is None else self._forecaster.pieces
        sizes = {piece.name: piece.input_bytes for piece in pieces}
        for task, report in reports.items():
            is_good = report.tier is Tier.FULL and report.status is Status.SUCCEEDED
            if not is_good or report.executed_ms is None or task not in self.tasks:
                continue
            name, is_here = name_of(task), report.node == node_id
            speed = 1.0 if is_here else self._speeds.get(report.node, 1.0)
            around_ms = max(0.0, report.duration_ms - report.executed_ms)
            if not is_here:
                transfers_ms.append(around_ms)
            runs[name] = Sample(
                report.executed_ms * speed,
                around_ms if is_here else None,
                (report.cpu_ms or 0.0) * speed,
                sizes.get(name, 0),
            )
        lesson = None
        if duration_ms is not None and not self._was_held_up:
            lesson = self._lesson(reports, duration_ms)
        if runs or lesson is not None:
            self.estimates.learn(self.workspace.name, runs, transfers_ms, lesson)

    def _lesson(self, reports: Mapping[TaskId, TaskReport], duration_ms: float) -> Lesson | None:
        if self.first is None or self._forecaster is None:
            return None
        ended = []
        for task in self._planned:
            report = reports.get(task)
            ran = report is not None and report.tier is Tier.FULL
            ended.append(Ended(ran, 0.0 if report is None else report.duration_ms))
        installed_ms = sum(
            each.duration_ms
            for task, each in reports.items()
            if task not in self.tasks and each.tier is Tier.FULL
        )
        timelines = (each.timeline for each in reports.values())
        stood_ms = stood_us(each for each in timelines if each is not None) / 1000
        took_ms = max(0.0, duration_ms - self.first_at_ms - installed_ms - stood_ms)
        return Lesson(self._forecaster, self.first, ended, took_ms)


def _inputs(prepared: Prepared | None) -> DirectoryTree | None:
    return None if prepared is None or prepared.action is None else prepared.action.spec.inputs
