"""A build at the node that drives it, as far as its request is to be on another node too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from buildnet.mesh.digest import Digest
from buildnet.node.durable.stored_plan import MAX_BYTES, Capture, StoredPlan
from buildnet.node.execute.isolation import STRICT
from buildnet.node.perform import Performer
from buildnet.node.platform import platform_properties
from buildnet.node.running import RunningBuild
from buildnet.node.store import Hold
from buildnet.node.toolchain import Toolchain, ToolMissingError
from buildnet.node.workshop import Job
from buildnet.pool.build import Status
from buildnet.pool.command_words import program_words
from buildnet.pool.demand import Orders
from buildnet.pool.durable import Driving
from buildnet.pool.warrant import Warrant
from buildnet.pool.workspace import Task, TaskId


@dataclass(frozen=True, slots=True)
class Blobs:
    """A plan and its sources, as blobs of this node's store."""

    plan: Digest
    sources: Digest


@dataclass(slots=True, eq=False)
class Guard:
    """See the module's text. ``highest``: the warrant of the highest attempt that was given, of
    this node's own before that; ``told``: what who stands in knows that people want of the build.
    ``blobs`` are there once the request was taken in; ``later``: what will see to that. ``why``:
    the reason for which the request is on this node alone. ``settled`` is set once it is durable,
    or nobody would have it."""

    build: RunningBuild
    driving: Driving
    later: asyncio.TimerHandle | None = None
    blobs: Blobs | None = None
    why: str | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    highest: Warrant = field(init=False)
    told: Orders | None = None
    _told: set[TaskId] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.highest = self.build.warrant

    def close(self) -> None:
        """Take note that the build is over."""
        if self.later is not None:
            self.later.cancel()

    def begin_to_tell(self) -> None:
        """Take note that another node than before has to be told what is finished and wanted."""
        self._told.clear()
        self.told = None

    def finished(self, most: int) -> Iterator[tuple[TaskId, Digest]]:
        """Yield tasks whose results lie with this node alone, as far as it knows, each once."""
        for task, report in self.build.reports().items():
            if not most:
                return
            if task in self._told or report.status is not Status.SUCCEEDED:
                continue
            self._told.add(task)
            if report.action is not None and report.node == self.build.node_id:
                most -= 1
                yield task, report.action


def objection(tasks: Iterable[Task], isolation: str) -> str | None:
    """Say why no other node could perform these tasks; None: one could."""
    for task in tasks:
        level = task.isolation or isolation
        if task.command is not None and level != STRICT:
            return f"{task.id} runs in {level}, and other nodes run only what runs in {STRICT}"
    return None


def take_in(build: RunningBuild, job: Job, performer: Performer) -> Blobs | None:
    """Put all that a build is performed from into the store; None: it is too large. Blocks; to be
    called while the build reads nothing."""
    tasks = tuple(job.tasks.values())
    uses_install = any(task.dependencies_tree for task in tasks)
    install = job.workspace.install if uses_install else None
    capture = Capture(job.reader, job.outputs)
    capture.read(tasks, install)
    needed = {each for task in tasks for each in task.depends_on}
    for each in needed:
        if each not in job.tasks and each in job.standing.tasks:
            capture.give(each, job.standing.tasks[each].visible)
    hold, root = performer.hold, job.workspace.root
    for digest in hold.missing(capture.files):
        hold.put_file(root / capture.files[digest], expected=digest)
    stored = _stored(build, job, tasks, capture, performer.resolver.toolchain)
    encoded, sources = stored.encode(), capture.trees.encode()
    if len(encoded) > MAX_BYTES or len(sources) > MAX_BYTES:
        return None
    return Blobs(hold.put(encoded), hold.put(sources))


def put_again(hold: Hold, plan: bytes, sources: bytes) -> Blobs:
    """Put a plan that another node made into the store. Blocks."""
    return Blobs(hold.put(plan), hold.put(sources))


def _stored(
    build: RunningBuild,
    job: Job,
    tasks: tuple[Task, ...],
    capture: Capture,
    toolchain: Toolchain,
) -> StoredPlan:
    request = build.request
    inherited = {name for task in tasks for name in task.env_inherit}
    declared = {name for task in tasks for name in task.tools}
    words = {word for task in tasks for word in program_words(task.command or "")}
    programs = {word: toolchain.program(word) for word in words - declared if "/" not in word}
    uses_install = any(task.dependencies_tree for task in tasks)
    return StoredPlan(
        build_id=build.id,
        driver=build.node_id,
        workspace=job.workspace.name,
        root=str(job.workspace.root),
        actor=request.actor,
        started_at=build.started_at,
        task=request.task,
        packages=request.packages,
        keep_going=request.keep_going,
        choice=request.choice,
        isolation=job.isolation.level,
        outputs=job.workspace.outputs,
        environment={
            name: value for name, value in request.environment.items() if name in inherited
        },
        platform=dict(platform_properties()),
        tools=dict(_identities(declared, toolchain)),
        words={word: None if tool is None else tool.identity for word, tool in programs.items()},
        tasks=tasks,
        sources=tuple(capture.sources.values()),
        given=tuple(capture.given),
        durations_ms=tuple(
            (task, ms) for task, ms in job.durations_ms.items() if task in job.tasks
        ),
        install=job.workspace.install if uses_install else None,
        retries=request.retries,
        times=request.times,
    )


def _identities(names: Iterable[str], toolchain: Toolchain) -> Iterator[tuple[str, str]]:
    for name in names:
        with suppress(ToolMissingError):  # the task fails, here as elsewhere
            yield name, toolchain.tool(name).identity
