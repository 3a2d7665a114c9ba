"""What one node performs builds with, and how a build's parts are put together from it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from buildnet.node.artifacts import Artifacts, Keeper
from buildnet.node.build_tests import BuildTests
from buildnet.node.dependencies import InstalledDependencies
from buildnet.node.estimates import Estimates, name_of
from buildnet.node.execute.isolation import STRICT, Isolation
from buildnet.node.execute.levels import Levels
from buildnet.node.execute.staging import SOURCE_EPOCH_S
from buildnet.node.forecasting import BuildForecast
from buildnet.node.hosts_ahead import hosts_ahead
from buildnet.node.installs import Installs
from buildnet.node.kept_tests import KeptTests
from buildnet.node.own_keys import OwnKeys
from buildnet.node.perform import Performer
from buildnet.node.places import NodePlaces
from buildnet.node.pool_results import PoolResults
from buildnet.node.rehearsing import rehearse_places, stage_of
from buildnet.node.resolve import Resolver
from buildnet.node.retrying import Retrying
from buildnet.node.runner import Limits, TaskRunner
from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.sharing.far_tools import ToolsElsewhere
from buildnet.node.sharing.hinting import coming
from buildnet.node.sharing.known_hosts import THIS_NODE, KnownHosts
from buildnet.node.sharing.needs import fits_a_question
from buildnet.node.sharing.other_hosts import OtherHosts
from buildnet.node.sharing.service import Sharing
from buildnet.node.sources import Sources
from buildnet.node.standing import Standing
from buildnet.node.store import FileTable, Hold, Store
from buildnet.node.toolchain import Tool, Toolchain
from buildnet.node.workers import Workers
from buildnet.pool.build import Build
from buildnet.pool.estimation.memory import WorkspaceMemory
from buildnet.pool.estimation.simulation import SimulatedHost
from buildnet.pool.far_tools import FarTools, ToolsWanted
from buildnet.pool.glob import Patterns
from buildnet.pool.placement import Host
from buildnet.pool.places import Slots
from buildnet.pool.rehearsal import Stage
from buildnet.pool.territory import is_below
from buildnet.pool.workspace import Task, TaskId, Workspace


@dataclass(frozen=True, slots=True)
class Job:
    """What one build is performed from: a workspace, or what is stored of one on another node.

    ``tasks`` are those to be looked at, ``waiting`` those of them that do not stand; ``runner``:
    what their commands are run with; ``is_own``: whether it is a workspace of this node; ``tests``:
    what is known of its tests, ``predicted_ms``: how long their shards may take.
    """

    workspace: Workspace
    workspace_id: str
    reader: Sources
    table: FileTable
    outputs: Patterns
    isolation: Isolation
    environment: Mapping[str, str]
    standing: Standing
    tools: Mapping[str, Tool]
    words: Mapping[str, Tool | None]
    tasks: Mapping[TaskId, Task]
    waiting: Collection[TaskId]
    durations_ms: dict[TaskId, float]
    runner: type[TaskRunner] = TaskRunner
    is_own: bool = True
    tests: BuildTests | None = None
    predicted_ms: Mapping[TaskId, float] = field(default_factory=dict)


@dataclass(slots=True)
class Workshop:
    """See the module's text. ``results``: those of other members, None: nobody is asked;
    ``sharing``: through which commands run on other hosts, None: none do; ``tools``: who knows what
    tools those have."""

    keys: OwnKeys
    store: Store
    toolchain: Toolchain
    installs: Installs
    workers: Workers
    levels: Levels
    limits: Limits
    results: PoolResults | None
    sharing: Sharing | None = None
    artifacts: Artifacts | None = None
    tools: ToolsElsewhere | None = None
    kept_tests: KeptTests | None = None
    estimates: Estimates = field(init=False)

    def __post_init__(self) -> None:
        self.estimates = Estimates(self.store)

    async def split(self, build: RunningBuild, job: Job) -> Job:
        """Put shards in place of the tasks that are split into some.

        Raises:
            BuildNetError: that can't be.
        """
        if self.kept_tests is None:
            return job
        tests = BuildTests(self.kept_tests, job.workspace, job.workspace_id, build.request.force)
        found = await asyncio.to_thread(
            tests.split, job.tasks, job.waiting, job.reader, job.outputs, self._slots(build, job)
        )
        for task in found.tasks.values():
            if task.is_gathered:
                told = {"name": task.package, "task": task.name, "shards": len(task.depends_on)}
                build.progress.tell({"type": "task_split", **told})
        return replace(
            job,
            tasks=found.tasks,
            waiting=found.waiting,
            predicted_ms=found.predicted_ms,
            tests=tests,
        )

    def _slots(self, build: RunningBuild, job: Job) -> int:
        """Return how many commands of a build could run at once, if nobody else wanted to."""
        request, here = build.request, self.workers.slots
        slots = request.choice.slots_of(here)
        if self.sharing is None or self.results is None or request.local_only:
            return slots
        if job.isolation.level != STRICT:
            return slots
        elsewhere, most = self.sharing.known.slots_elsewhere, request.choice.elsewhere(here)
        return slots + (elsewhere if most is None else min(elsewhere, most))

    async def performer(self, build: RunningBuild, job: Job, hold: Hold) -> Performer:
        """Put together what performs a build."""
        request = build.request
        if request.trace_inputs:
            in_place = {task: replace(each, isolation=None) for task, each in job.tasks.items()}
            job = replace(job, tasks=in_place)
        tasks = job.tasks
        dependencies = self.installs.of(
            job.workspace,
            job.workspace_id,
            job.reader,
            job.environment,
            job.isolation,
            is_own=job.is_own,
        )
        resolver = self._resolver(build, job, dependencies, hold)
        if self.tools is not None and not request.local_only and self.sharing is not None:
            resolver.far = _asking(self.tools)
        sizes = {task: known.requirements.slots for task, known in tasks.items()}
        home = Slots(request.choice.slots_of(self.workers.slots), sizes)
        hosts = self._other_hosts(build)
        forecast = await self._forecast(build, job)
        job.durations_ms.update(job.predicted_ms)
        places = NodePlaces(home, self.workers, hosts, self._here, build.pausing, job.durations_ms)
        retrying = Retrying(request.retries)
        places.tried = retrying.tried
        performer = Performer(
            node_id=self.keys.current.node_id,
            workers=self.workers,
            tasks=tasks,
            resolver=resolver,
            dependencies=dependencies,
            hold=hold,
            progress=build.progress,
            places=places,
            machine=Build(
                {
                    task: tuple(each for each in known.depends_on if each in tasks)
                    for task, known in tasks.items()
                },
                places=places,
                keep_going=request.keep_going,
                durations_ms=job.durations_ms,
                standing=tasks.keys() - set(job.waiting),
                shards=[task for task, known in tasks.items() if known.shard is not None],
                first=[
                    task for task, known in tasks.items() if is_below(known.path, request.first)
                ],
            ),
            durations_ms=job.durations_ms,
            results=None if request.keeps_to_itself else self.results,
            dry_run=request.dry_run,
            times=request.times,
            keeper=self._keeper(build),
            forecast=forecast,
            unchanged=build.unchanged,
            tests=job.tests,
            retrying=retrying,
        )
        performer.runner = job.runner(
            key=self.keys.current,
            store=self.store,
            limits=self.limits,
            workspace_id=job.workspace_id,
            root=job.workspace.root,
            executors=await asyncio.to_thread(
                self.levels.tracing if request.trace_inputs else self.levels.executors,
                job.workspace.root,
            ),
            resolver=resolver,
            dependencies=dependencies,
            table=job.table,
            hold=hold,
            tell=performer.output_teller,
            cpus=request.choice.cpus,
        )
        return performer

    async def rehearse(self, build: RunningBuild, performer: Performer) -> None:
        """Find out where, and in what time, a build would run that was only looked at."""
        if performer.forecast is not None:
            build.rehearsed = await performer.forecast.rehearsed(performer)
        stage, known = self._stage(build.request)
        places = await asyncio.to_thread(rehearse_places, performer, stage, known)
        if build.request.foretells and self.sharing is not None and known is not None:
            found = await asyncio.to_thread(coming, performer, places, known)
            if not build.cancelled.is_set():
                self.sharing.hints.tell(build.request.foretells, found)

    def expect_no_more(self, watch: bytes) -> None:
        """Tell those who were told what a watch expects of them that it was that."""
        if self.sharing is not None:
            self.sharing.hints.tell(watch, {})

    def _resolver(
        self, build: RunningBuild, job: Job, dependencies: InstalledDependencies | None, hold: Hold
    ) -> Resolver:
        return Resolver(
            workspace=job.workspace,
            workspace_id=job.workspace_id,
            reader=job.reader,
            store=self.store,
            hold=hold,
            toolchain=self.toolchain,
            outputs=job.outputs,
            inherited=job.environment,
            isolation=job.isolation.level,
            source_epoch_s=SOURCE_EPOCH_S,
            force=build.request.force,
            explain=build.request.explain,
            dependencies=dependencies,
            standing=job.standing,
            tools=dict(job.tools),
            words=dict(job.words),
        )

    async def _forecast(self, build: RunningBuild, job: Job) -> BuildForecast:
        """Begin to estimate a build, with what is known of its commands on this node, or else on
        the one that it was taken over from."""
        tasks, known = job.tasks.values(), self.estimates
        if job.is_own:
            memory, took_ms = await asyncio.to_thread(
                lambda: (
                    known.memory(job.workspace, tasks),
                    known.durations_ms(job.workspace, tasks),
                )
            )
            job.durations_ms.update(took_ms)
        else:
            told = {name_of(task): each_ms for task, each_ms in job.durations_ms.items()}
            memory = WorkspaceMemory.told(told)
        progress = build.progress
        build.forecast = BuildForecast(
            estimates=known,
            workspace=job.workspace,
            tasks=job.tasks,
            hosts=lambda: self._hosts_ahead(build.request),
            may_move=frozenset(
                each.id
                for each in tasks
                if fits_a_question(each, each.isolation or job.isolation.level)
            ),
            began=build.began,
            seed=zlib.crc32(build.id.encode()),
            tell=progress.tell,
            tell_once=progress.tell_once,
            memory=memory,
            changed=job.standing.former.keys() & set(job.waiting),
            forced=build.request.force,
            is_held_up=lambda: build.pausing.is_on,
            on_first=build.estimated.set,
        )
        return build.forecast

    def _stage(self, request: BuildRequest) -> tuple[Stage, KnownHosts | None]:
        """Return the hosts on which a build's commands would run, and who knows of them."""
        known, lenders = None, tuple[bytes, ...]()
        if self.sharing is not None and self.results is not None:
            known, lenders = self.sharing.known, self.sharing.lenders
        return stage_of(request, self.workers.slots, known, lenders), known

    def _hosts_ahead(self, request: BuildRequest) -> list[tuple[str, SimulatedHost]]:
        return hosts_ahead(self._stage(request)[0], self.keys.current.node_id)

    def _keeper(self, build: RunningBuild) -> Keeper | None:
        request, node = build.request, build.request.choice.artifacts_on
        if self.artifacts is None or node is None or request.local_only or request.dry_run:
            return None
        most_bytes = request.choice.artifacts_bytes
        return Keeper(self.artifacts, node, build.progress.notice, most_bytes)

    def _here(self) -> Host:
        return THIS_NODE if self.sharing is None else self.sharing.known.here

    def _other_hosts(self, build: RunningBuild) -> OtherHosts | None:
        request = build.request
        if self.sharing is None or self.results is None or request.local_only or request.dry_run:
            return None
        self.sharing.demands.enter(build)
        choice, here = request.choice, self.workers.slots
        return self.sharing.hosts_for(
            build.id,
            self.results,
            build.workspace.name,
            choice.preferences,
            choice.elsewhere(here),
        )


def _asking(tools: ToolsElsewhere) -> Callable[[ToolsWanted], FarTools | None]:
    """Return what asks other hosts for tools, from any thread but the loop's, and waits."""
    loop = asyncio.get_running_loop()

    def ask(wanted: ToolsWanted) -> FarTools | None:
        return asyncio.run_coroutine_threadsafe(tools.find(wanted), loop).result()

    return ask
