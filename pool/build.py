"""A build as a state machine: which task may be looked up, run or given up next.

Pure: events go in, effects come out, and whoever performs the effects (the node's builder, a test)
feeds back what came of them. A task is *resolved* once all it depends on has succeeded: its key is
computed and looked up. What has no result is *executed* as soon as there is a place for it, the
task with the longest remaining path first. A failure skips what depends on it; without
``keep_going`` nothing new is started and the running tasks are cancelled. A task that is known to
stand unless something it depends on is changed by this build is not even resolved where nothing
was.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from graphlib import TopologicalSorter

from buildnet.pool.places import Answer, Places
from buildnet.pool.workspace import TaskId

_LOOKED_BEYOND = 32
"""So many commands that had better wait for another place are passed by at once."""
_FIRST_MS = 1e12
"""More than any command takes."""


class Status(StrEnum):
    """How a task or a build ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Began:
    """The build starts."""


@dataclass(frozen=True, slots=True)
class UpToDate:
    """The task's result is there, from the workspace or a cache. ``changed``: what depends on it
    may see something else than before this build."""

    task: TaskId
    changed: bool = True


@dataclass(frozen=True, slots=True)
class MustRun:
    """The task has no result; its command has to run."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Executed:
    """The task's command ended; ``changed`` as of :class:`UpToDate`."""

    task: TaskId
    succeeded: bool
    changed: bool = True


@dataclass(frozen=True, slots=True)
class Displaced:
    """The task's command did not run where it was to: the host is gone, say. It needs another
    place."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Broken:
    """The task could not be resolved: its inputs can't be read, say. Or it waits for a place, and
    there will be none."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody asked to end the build."""


@dataclass(frozen=True, slots=True)
class PlacesChanged:
    """There may be room for commands that there was none for."""


Event = Began | UpToDate | MustRun | Executed | Displaced | Broken | CancelRequested | PlacesChanged


@dataclass(frozen=True, slots=True)
class Ready:
    """Commands of one sort that could start if there was a place: how many, and the most urgent
    one."""

    count: int
    first: TaskId


@dataclass(frozen=True, slots=True)
class Resolve:
    """Compute these tasks' keys and look for their results."""

    tasks: tuple[TaskId, ...]


@dataclass(frozen=True, slots=True)
class Stand:
    """These tasks are up to date as before: nothing they depend on was changed."""

    tasks: tuple[TaskId, ...]


@dataclass(frozen=True, slots=True)
class Execute:
    """Run this task's command."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Stop:
    """End these running tasks; each still answers with :class:`Executed`."""

    tasks: tuple[TaskId, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """These tasks will not run: skipped or cancelled."""

    tasks: tuple[TaskId, ...]
    status: Status


@dataclass(frozen=True, slots=True)
class Finish:
    """The build is over."""

    status: Status


Effect = Resolve | Stand | Execute | Stop | Ended | Finish


class Build:
    """One build over a graph of tasks.

    Args:
        dependencies: for each task the tasks it needs; every named task must be a key.
        places: where commands may run.
        keep_going: after a failure go on with what does not depend on it.
        durations_ms: measured durations of earlier runs, for the critical path; tasks without one
            count as ``DEFAULT_DURATION_MS``.
        first: tasks that are wanted before others.
        standing: tasks that are up to date unless this build changes what they depend on.
        shards: tasks whose failure is told by the one that gathers them: that is resolved once all
            of them have ended, however they did.
    """

    DEFAULT_DURATION_MS = 1000.0

    def __init__(
        self,
        dependencies: Mapping[TaskId, tuple[TaskId, ...]],
        *,
        places: Places,
        keep_going: bool = False,
        durations_ms: Mapping[TaskId, float] | None = None,
        first: Iterable[TaskId] = (),
        standing: Iterable[TaskId] = (),
        shards: Iterable[TaskId] = (),
    ) -> None:
        self._dependents: dict[TaskId, list[TaskId]] = {task: [] for task in dependencies}
        for task, needed in dependencies.items():
            for dependency in needed:
                self._dependents[dependency].append(task)
        self._waiting_for = {task: len(set(needed)) for task, needed in dependencies.items()}
        # What is wanted first counts as what takes longest: it and what leads to it then start.
        weights_ms = {**(durations_ms or {}), **dict.fromkeys(first, _FIRST_MS)}
        self._remaining_ms = _remaining_path(dependencies, self._dependents, weights_ms)
        self._places = places
        self._keep_going = keep_going
        self._standing = set(standing)
        self._shards = frozenset(shards)
        self._resolving: set[TaskId] = set()
        self._runnable: dict[Hashable, list[tuple[float, TaskId]]] = {}
        self._running: set[TaskId] = set()
        self._ended: dict[TaskId, Status] = {}
        self._failed = False
        self._cancelled = False
        self._finished = False

    def handle(self, *events: Event) -> list[Effect]:
        """Take in what happened and return what is to be done, in this order. What happens at the
        same time is to be told together: places go to the most urgent of all tasks then."""
        effects: list[Effect] = []
        for event in events:
            self._take(event, effects)
        self._start(effects)
        self._finish(effects)
        return effects

    def _take(self, event: Event, effects: list[Effect]) -> None:
        match event:
            case Began():
                ready = [task for task, count in self._waiting_for.items() if count == 0]
                self._go_on_with(ready, effects)
            case UpToDate(task, changed):
                self._resolving.discard(task)
                self._succeed(task, changed, effects)
            case MustRun(task):
                self._resolving.discard(task)
                self._wait(task)
            case Executed(task, succeeded, changed):
                self._running.discard(task)
                self._places.give_back(task)
                if succeeded:
                    self._succeed(task, changed, effects)
                elif self._cancelled or (self._failed and not self._keep_going):
                    self._ended[task] = Status.CANCELLED
                else:
                    self._fail(task, effects)
            case Displaced(task):
                self._running.discard(task)
                self._places.give_back(task)
                self._wait(task)
            case Broken(task):
                self._resolving.discard(task)
                self._forget_waiting(task)
                if task not in self._ended:
                    self._fail(task, effects)
            case PlacesChanged():
                pass
            case CancelRequested():
                self._cancelled = True
                self._stop_running(effects)

    @property
    def ready(self) -> dict[Hashable, Ready]:
        """The commands that could start if there were more places, by sort."""
        if self.is_stopping:
            return {}
        return {sort: Ready(len(alike), alike[0][1]) for sort, alike in self._runnable.items()}

    @property
    def is_stopping(self) -> bool:
        """Whether it was cancelled, or ends for a failure."""
        return self._cancelled or (self._failed and not self._keep_going)

    def _resolve(self, tasks: list[TaskId], effects: list[Effect]) -> None:
        if tasks and not self.is_stopping:
            self._resolving.update(tasks)
            effects.append(Resolve(tuple(tasks)))

    def _succeed(self, task: TaskId, changed: bool, effects: list[Effect]) -> None:
        self._go_on_with(self._ready_after(task, changed), effects)

    def _ready_after(
        self, task: TaskId, changed: bool, status: Status = Status.SUCCEEDED
    ) -> list[TaskId]:
        self._ended[task] = status
        ready = []
        for dependent in self._dependents[task]:
            if changed:
                self._standing.discard(dependent)
            self._waiting_for[dependent] -= 1
            if self._waiting_for[dependent] == 0 and dependent not in self._ended:
                ready.append(dependent)
        return ready

    def _go_on_with(self, ready: list[TaskId], effects: list[Effect]) -> None:
        """Resolve what is ready; what stands makes ready what waits for it."""
        stand: list[TaskId] = []
        resolve: list[TaskId] = []
        waiting = deque(ready)
        while waiting:
            task = waiting.popleft()
            if task in self._standing:
                stand.append(task)
                waiting += self._ready_after(task, False)
            else:
                resolve.append(task)
        if stand:
            effects.append(Stand(tuple(stand)))
        self._resolve(resolve, effects)

    def _fail(self, task: TaskId, effects: list[Effect]) -> None:
        if task in self._shards:
            self._go_on_with(self._ready_after(task, True, Status.FAILED), effects)
            return
        self._ended[task] = Status.FAILED
        self._failed = True
        skipped: dict[TaskId, None] = {}
        unseen = list(self._dependents[task])
        while unseen:
            dependent = unseen.pop()
            if dependent not in self._ended and dependent not in skipped:
                skipped[dependent] = None
                unseen.extend(self._dependents[dependent])
        if skipped:
            self._ended.update(dict.fromkeys(skipped, Status.SKIPPED))
            effects.append(Ended(tuple(skipped), Status.SKIPPED))
        if not self._keep_going:
            self._stop_running(effects)

    def _stop_running(self, effects: list[Effect]) -> None:
        if self._running:
            effects.append(Stop(tuple(sorted(self._running))))

    def _wait(self, task: TaskId) -> None:
        alike = self._runnable.setdefault(self._places.sort(task), [])
        heapq.heappush(alike, (-self._remaining_ms[task], task))

    def _forget_waiting(self, task: TaskId) -> None:
        waits = (-self._remaining_ms[task], task)
        for sort, alike in list(self._runnable.items()):
            if waits in alike:
                alike.remove(waits)
                heapq.heapify(alike)
                if not alike:
                    del self._runnable[sort]

    def _start(self, effects: list[Effect]) -> None:
        if self.is_stopping or not self._runnable:
            return
        self._places.begin()
        offers = [(alike[0], sort) for sort, alike in self._runnable.items()]
        heapq.heapify(offers)
        later: list[tuple[Hashable, tuple[float, TaskId]]] = []
        while offers:
            waits, sort = offers[0]
            answer = self._places.take(waits[1])
            if answer is Answer.WAITS and len(later) == _LOOKED_BEYOND:
                answer = Answer.FULL
            if answer is Answer.FULL:
                heapq.heappop(offers)  # there is no place for others of its sort either
                continue
            alike = self._runnable[sort]
            heapq.heappop(alike)
            if alike:
                heapq.heapreplace(offers, (alike[0], sort))
            else:
                heapq.heappop(offers)
                del self._runnable[sort]
            if answer is Answer.WAITS:
                later.append((sort, waits))
                continue
            self._running.add(waits[1])
            effects.append(Execute(waits[1]))
        for sort, waits in later:
            heapq.heappush(self._runnable.setdefault(sort, []), waits)

    def _finish(self, effects: list[Effect]) -> None:
        if self._finished or self._running or self._resolving:
            return
        if self.is_stopping:
            left = tuple(task for task in self._waiting_for if task not in self._ended)
            if left:
                self._ended.update(dict.fromkeys(left, Status.CANCELLED))
                effects.append(Ended(left, Status.CANCELLED))
        if len(self._ended) == len(self._waiting_for):
            self._finished = True
            failed = Status.FAILED if self._failed else Status.SUCCEEDED
            effects.append(Finish(Status.CANCELLED if self._cancelled else failed))


def _remaining_path(
    dependencies: Mapping[TaskId, tuple[TaskId, ...]],
    dependents: Mapping[TaskId, list[TaskId]],
    durations_ms: Mapping[TaskId, float],
) -> dict[TaskId, float]:
    """Return for each task how long it and the longest chain of what depends on it take."""
    remaining: dict[TaskId, float] = {}
    for task in reversed(tuple(TopologicalSorter(dependencies).static_order())):
        after = max((remaining[dependent] for dependent in dependents[task]), default=0.0)
        remaining[task] = after + durations_ms.get(task, Build.DEFAULT_DURATION_MS)
    return remaining
