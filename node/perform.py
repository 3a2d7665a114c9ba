"""Performs one build: turns the effects of the pure build into work on threads.

Keys and look-ups run in batches on one thread at a time (the reader's listings are shared by a
build), and so does the delivery of small results: on several threads they would wait for each
other's turn with the interpreter longer than for the disk. Commands run on the node's runner
threads, as many at once as the host grants.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from buildnet.mesh.errors import BuildNetError
from buildnet.node.artifacts import PATIENCE_S, Keeper
from buildnet.node.build_tests import BuildTests
from buildnet.node.delivering import Undelivered, deliver_all
from buildnet.node.dependencies import InstalledDependencies
from buildnet.node.dispatch import Dispatcher
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.isolation import STRICT
from buildnet.node.forecasting import BuildForecast
from buildnet.node.junit_reports import with_tests
from buildnet.node.output_teller import OutputTeller
from buildnet.node.places import NodePlaces
from buildnet.node.pool_lookup import Outcome, PoolLookup
from buildnet.node.pool_results import PoolResults
from buildnet.node.progress import Progress
from buildnet.node.report import TaskReport
from buildnet.node.resolve import SKIPS, Prepared, Resolver, Tier, isolation_of
from buildnet.node.retrying import Retrying
from buildnet.node.runner import TaskRunner
from buildnet.node.second_runs import SecondRuns
from buildnet.node.sharing.other_hosts import OtherHost
from buildnet.node.small_results import in_batches, is_small
from buildnet.node.standing import StandingTask
from buildnet.node.store import Hold
from buildnet.node.telling import Telling, UnexpectedError
from buildnet.node.verifier import require_agreement
from buildnet.node.workers import Workers
from buildnet.pool import build as core
from buildnet.pool.build import Status
from buildnet.pool.demand import HowFar
from buildnet.pool.timeline import LOOKUP
from buildnet.pool.workspace import Task, TaskId

_log = logging.getLogger("buildnet.builds")


@dataclass(slots=True)
class Performer:
    """One build at work; :meth:`run` returns its status, ``reports`` holds what became of it.

    ``places``: where commands may run; ``results``: those of the pool, None: they are not looked
    at. ``unchanged`` are the tasks that stand as before; they have no report.
    """

    node_id: str
    workers: Workers
    tasks: Mapping[TaskId, Task]
    resolver: Resolver
    dependencies: InstalledDependencies | None
    hold: Hold
    progress: Progress
    places: NodePlaces
    machine: core.Build
    durations_ms: Mapping[TaskId, float]
    results: PoolResults | None = None
    dry_run: bool = False
    times: int = 1
    keeper: Keeper | None = None
    forecast: BuildForecast | None = None
    tests: BuildTests | None = None
    retrying: Retrying = field(default_factory=Retrying)
    unchanged: dict[TaskId, StandingTask] = field(default_factory=dict)
    on_package: Callable[[str], None] = lambda package: None
    """Called with each package once all its tasks have ended."""
    runner: TaskRunner = field(init=False)
    _telling: Telling = field(init=False)
    _lookup: PoolLookup | None = None
    _events: asyncio.Queue[core.Event] = field(default_factory=asyncio.Queue)
    _tokens: dict[TaskId, CancelToken] = field(default_factory=dict)
    _resolving: asyncio.Lock = field(default_factory=asyncio.Lock)
    _looking: asyncio.TimerHandle | None = None
    _pending: set[TaskId] = field(default_factory=set)
    _left: dict[str, set[TaskId]] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def __post_init__(self) -> None:
        self._telling = Telling(self.node_id, self.progress, self.tasks)
        for task in self.tasks:
            self._left.setdefault(task.package, set()).add(task)
        if self.results is not None:
            self._lookup = PoolLookup(
                self.results, self.resolver, self.hold, self.durations_ms, self._telling.timings
            )

    async def run(self) -> Status:
        """Perform the build to its end.

        Raises:
            NotDeterministicError: a command that ran more than once did not always make the same.
            NotVerifiedError: a command that was to run again did not.
        """
        status = await self._run()
        if status is Status.SUCCEEDED:
            require_agreement(list(self.reports.values()))
        return status

    async def _run(self) -> Status:
        hosts = self.places.hosts
        dispatcher = Dispatcher(
            workers=self.workers,
            runner=self.runner,
            resolver=self.resolver,
            dependencies=self.dependencies,
            results=self.results,
            hold=self.hold,
            telling=self._telling,
            resolving=self._resolving,
            pausing=self.places.pausing,
            attempts={} if hosts is None else hosts.attempts,
            hosts=hosts,
            times=self.times,
            has_other_place=self.places.has_other_place,
            may_stay=self.places.may_stay,
            is_crowded=self.places.is_crowded,
        )
        if self.unchanged:
            self._telling.up_to_date(len(self.unchanged))
            for task, known in self.unchanged.items():
                self.resolver.stands(task, known)
        self._events.put_nowait(core.Began())
        self.places.pausing.on_over = lambda: self._events.put_nowait(core.PlacesChanged())
        if hosts is not None:
            hosts.on_change = lambda: self._events.put_nowait(core.PlacesChanged())
            hosts.on_notice = self._telling.notice
        try:
            return await self._perform(dispatcher)
        finally:
            if self._looking is not None:
                self._looking.cancel()
            if self._lookup is not None:
                self._lookup.close()

    async def _perform(self, dispatcher: Dispatcher) -> Status:
        hosts = self.places.hosts
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(self._second_runs(dispatcher).watch())]
            if self.forecast is not None and not self.dry_run:
                watching.append(group.create_task(self.forecast.run(self)))
            if self.keeper is not None:
                group.create_task(self.keeper.run())
            while True:
                resolved: list[TaskId] = []  # together: it is done task by task in microseconds
                events = await self._next_events()
                effects = self.machine.handle(*events)
                for event in events:
                    if isinstance(event, core.UpToDate | core.Executed | core.Broken):
                        self._ended((event.task,))
                for effect in effects:
                    match effect:
                        case core.Resolve(tasks):
                            resolved += tasks
                        case core.Stand(tasks):
                            self._stand(tasks)
                            self._ended(tasks)
                        case core.Execute(task):
                            # Before anything else can happen: a Stop may follow at once.
                            self._tokens[task] = CancelToken()
                            group.create_task(self._execute(task, dispatcher))
                        case core.Stop(tasks):
                            for task in tasks:
                                self._tokens[task].set()
                            dispatcher.install_token.set()
                        case core.Ended(tasks, status):
                            for task in tasks:
                                self._telling.report(self._telling.new_report(task, status))
                            self._ended(tasks)
                        case core.Finish(status):
                            for each in watching:
                                each.cancel()
                            if self.keeper is not None:
                                in_vain = status is Status.CANCELLED
                                self.keeper.close(0.0 if in_vain else PATIENCE_S)
                            return status
                if self._lookup is not None and self.machine.is_stopping:
                    self._lookup.cancel()
                ready = self.machine.ready.values()
                if hosts is not None:
                    hosts.want(ready, self.places.prepared)
                self._give_up_hopeless(ready)
                if self.forecast is not None:
                    self.forecast.turned()
                if resolved:
                    group.create_task(self._resolve(tuple(resolved)))

    def _second_runs(self, dispatcher: Dispatcher) -> SecondRuns:
        return SecondRuns(self.places, dispatcher, lambda: bool(self.machine.ready))

    async def _next_events(self) -> list[core.Event]:
        events = [await self._events.get()]
        while not self._events.empty():
            events.append(self._events.get_nowait())
        return events

    def _ended(self, tasks: Iterable[TaskId]) -> None:
        for task in tasks:
            left = self._left.get(task.package, set())
            left.discard(task)
            if not left and self._left.pop(task.package, None) is not None:
                self.on_package(task.package)

    async def quietly(self, work: Callable[[], None]) -> None:
        """Do something with what the build reads from, on a thread, while it reads nothing."""
        async with self._resolving:
            await asyncio.to_thread(work)

    def _give_up_hopeless(self, ready: Collection[core.Ready]) -> None:
        """Let tasks fail that wait for a host, where there is none and has been none for long."""
        for task, error in self.places.hopeless(ready, self._loop.time()):
            self._failed(task, error, could_not_run=True)
        wait_s = self.places.patience_left(self._loop.time())
        if wait_s is not None and self._looking is None:
            self._looking = self._loop.call_later(wait_s, self._look_again)

    def _look_again(self) -> None:
        self._looking = None
        self._events.put_nowait(core.PlacesChanged())

    def cancel(self) -> None:
        """Ask for the build's end; commands that run are ended."""
        self._events.put_nowait(core.CancelRequested())

    # Resolving

    async def _resolve(self, tasks: tuple[TaskId, ...]) -> None:
        async with self._resolving:
            outcomes = await asyncio.to_thread(self._prepare_all, tasks)
        if self._lookup is None:
            await self._go_on(outcomes)
            return
        outcomes, awaited = await self._lookup.look(outcomes)
        await asyncio.gather(
            self._go_on(outcomes),
            *(self._resolve_by_other(self._lookup, prepared) for prepared in awaited),
        )

    async def _resolve_by_other(self, lookup: PoolLookup, prepared: Prepared) -> None:
        """Go on with a task once another member has run its command, or does not any more."""
        started = time.monotonic()
        outcome = await lookup.of_other(prepared)
        waited_ms = (time.monotonic() - started) * 1000
        await self._go_on([(prepared.task.id, outcome or prepared, waited_ms)])

    async def _go_on(self, outcomes: list[Outcome]) -> None:
        """Go on with each task as what is known of it says."""
        small: list[Undelivered] = []
        large: list[Undelivered] = []
        skipped: list[str] = []
        for task, outcome, duration_ms in outcomes:
            if isinstance(outcome, BuildNetError):
                self._failed(task, outcome)
                continue
            self.places.prepared[task] = outcome
            if outcome.tier is None and self.dry_run:
                self._would_run(task, outcome)
            elif outcome.tier is None:
                self._must_run(task)
            elif outcome.undelivered and not self.dry_run:
                which = small if is_small(outcome.outputs) else large
                which.append((task, outcome, duration_ms))
            else:
                self._found(task, outcome, duration_ms)
                if not outcome.undelivered and not outcome.task.is_gathered:
                    skipped.append(str(task))
        if skipped:
            self._telling.up_to_date(len(skipped), skipped)
        await asyncio.gather(
            self._deliver_in_turn(in_batches(small)), *(self._deliver((one,)) for one in large)
        )

    def _prepare_all(self, tasks: tuple[TaskId, ...]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for task in tasks:
            started = time.monotonic()
            outcome: Prepared | BuildNetError
            try:
                if self.dry_run and any(d in self._pending for d in self.tasks[task].depends_on):
                    outcome = Prepared(
                        self.tasks[task], None, {}, reasons=("what it depends on would be built",)
                    )
                else:
                    self._telling.require_shards(self.tasks[task])
                    outcome = self.resolver.prepare(self.tasks[task])
                    if outcome.tier is not None:
                        if not self.dry_run:
                            self.runner.found(outcome)
                        self.resolver.settle(outcome)
                        outcome = with_tests(outcome, self.hold)
            except BuildNetError as error:
                outcome = error
            except Exception as error:
                _log.exception("%s could not be prepared", task)
                outcome = UnexpectedError.of(error)
            if isinstance(outcome, Prepared) and outcome.tier is None and self.dry_run:
                self._pending.add(task)
            outcomes.append((task, outcome, (time.monotonic() - started) * 1000))
            self._telling.timings.took(task, LOOKUP, started)
        return outcomes

    def _must_run(self, task: TaskId) -> None:
        self._telling.timings.waits(task)
        self._events.put_nowait(core.MustRun(task))

    def _displaced(self, task: TaskId) -> None:
        self._telling.timings.waits(task)
        self._events.put_nowait(core.Displaced(task))

    def _stand(self, tasks: tuple[TaskId, ...]) -> None:
        for task in tasks:
            known = self.resolver.standing.tasks[task]
            self.resolver.stands(task, known)
            needed = (self.reports.get(each) for each in self.tasks[task].depends_on)
            if all(each is None or each.tier in SKIPS for each in needed):
                self.unchanged[task] = known
            else:
                self.reports[task] = TaskReport.of_standing(
                    task,
                    self.node_id,
                    known,
                    Tier.HASH_SKIP,
                    dry_run=self.dry_run,
                    depends_on=self.tasks[task].depends_on,
                )
        self._telling.up_to_date(len(tasks))

    def _found(self, task: TaskId, prepared: Prepared, duration_ms: float) -> None:
        self._tell_found(task, prepared, duration_ms)
        self._events.put_nowait(core.UpToDate(task, self.resolver.has_changed(task)))

    def _tell_found(self, task: TaskId, prepared: Prepared, duration_ms: float) -> None:
        report = self._telling.new_report(task, Status.SUCCEEDED, prepared)
        report.tier = prepared.tier
        report.duration_ms = duration_ms
        report.exit_code = 0
        report.log, report.tests = prepared.log, prepared.tests
        if self.dry_run:
            report.plan = "restore" if prepared.undelivered else "nothing"
        if not self.dry_run:
            self._keep(prepared)
        if prepared.undelivered or prepared.task.is_gathered:
            self._telling.report(report)
        else:
            self._telling.keep(report)  # told together with the others of its batch

    def _keep(self, prepared: Prepared) -> None:
        """Have a result kept on the node for artifacts, if there is one."""
        action = prepared.action
        if self.keeper is not None and action is not None and isolation_of(action) == STRICT:
            self.keeper.put(action.digest, prepared.task)

    def _would_run(self, task: TaskId, prepared: Prepared) -> None:
        report = self._telling.new_report(task, Status.SKIPPED, prepared)
        report.plan = "run" if prepared.task.command is not None else "nothing"
        self._telling.report(report)
        self._events.put_nowait(core.UpToDate(task))

    async def _deliver_in_turn(self, batches: Iterable[Sequence[Undelivered]]) -> None:
        for batch in batches:
            await self._deliver(batch)

    async def _deliver(self, results: Sequence[Undelivered]) -> None:
        """Put results into the workspace, one after the other on one thread."""
        for task, outcome, duration_ms in await asyncio.to_thread(self._deliver_all, results):
            if isinstance(outcome, BuildNetError):
                self._failed(task, outcome)
            elif outcome.tier is None:
                self.places.prepared[task] = outcome
                self._must_run(task)
            else:
                self._found(task, outcome, duration_ms)

    def _deliver_all(self, results: Sequence[Undelivered]) -> list[Outcome]:
        return deliver_all(results, self.runner, self.hold, self._telling.timings)

    # Executing

    async def _execute(self, task: TaskId, dispatcher: Dispatcher) -> None:
        host = self.places.elsewhere(task)
        prepared, token = self.places.prepared[task], self._tokens[task]
        if self._lookup is not None and await self._lookup.is_second(prepared):
            await self._run_by_other(self._lookup, prepared, host)
            return
        report = await dispatcher.execute(prepared, host, token)
        if report is None:
            self._displaced(task)
            return
        if report.tier is Tier.FULL:
            hosts = self.places.hosts
            if self.tests is not None:
                speed = 1.0 if hosts is None else hosts.speed(host)
                self.tests.ran(prepared.task, report, speed)
            if hosts is not None:
                hosts.ran(host, task, report.duration_ms)
            owner = None if host is None else host.lease.owner
            if not token.is_set() and self.retrying.again(prepared.task, report, owner):
                self._telling.runs_again(report)
                self._displaced(task)
                wait_s = self.places.ask_others(task)
                self._loop.call_later(wait_s, self._events.put_nowait, core.PlacesChanged())
                return
        if self._lookup is not None:
            self._lookup.over(prepared)
        self._telling.report(report)
        succeeded = report.status is Status.SUCCEEDED
        if succeeded:
            self._keep(prepared)
        changed = succeeded and self.resolver.has_changed(task)
        self._events.put_nowait(core.Executed(task, succeeded, changed))

    async def _run_by_other(
        self, lookup: PoolLookup, prepared: Prepared, host: OtherHost | None
    ) -> None:
        """Let go of a command's place, for another member runs it; take its result, or find another
        place."""
        task, started = prepared.task.id, time.monotonic()
        if host is not None:
            host.hosts.end(host)
        self.places.give_back(task)
        self._events.put_nowait(core.PlacesChanged())
        self._telling.timings.begins(task)
        found = await lookup.of_other(prepared)
        if isinstance(found, Prepared):
            took_ms = (time.monotonic() - started) * 1000
            ((_, found, _),) = await asyncio.to_thread(self._deliver_all, [(task, found, took_ms)])
            if isinstance(found, Prepared) and found.tier is not None:
                self._tell_found(task, found, took_ms)
                changed = self.resolver.has_changed(task)
                self._events.put_nowait(core.Executed(task, True, changed))
                return
        self._displaced(task)

    # Telling

    def how_far(self) -> HowFar:
        """Return how far the build is."""
        running = self.running.values()
        left_ms, ends_ms = None, None
        if self.forecast is not None:
            left_ms, ends_ms = self.forecast.left(at_work=bool(running))
        return HowFar("", 0, len(running), len(set(running)), left_ms, ends_ms)

    def notice_unhelpful(self) -> None:
        """Tell which other hosts took none of the commands, and why."""
        for text in () if self.places.hosts is None else self.places.hosts.unhelpful():
            self.progress.notice(text)

    @property
    def reports(self) -> dict[TaskId, TaskReport]:
        """What became of the tasks so far, shards included, but of those that stand as before."""
        return self._telling.reports

    @property
    def prepared(self) -> Mapping[TaskId, Prepared]:
        """What is known of the tasks that were looked at."""
        return self.places.prepared

    @property
    def running(self) -> Mapping[TaskId, str]:
        """Commands that run, and on which node."""
        return self._telling.running

    def running_s(self, task: TaskId) -> float:
        """Return how long a command runs."""
        return time.monotonic() - self._telling.began[task]

    def output_teller(self, task: TaskId) -> OutputTeller:
        """Return what takes the output of ``task`` on any thread and passes it on."""
        return self._telling.output(task, self._loop)

    def _failed(self, task: TaskId, error: BuildNetError, *, could_not_run: bool = False) -> None:
        report = self._telling.new_report(task, Status.FAILED)
        report.fail(error)
        report.could_not_run = could_not_run
        self._telling.report(report)
        self._events.put_nowait(core.Broken(task))
