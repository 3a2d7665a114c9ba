"""A build as it is asked for and while it runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from buildnet.ledger.history import Durability
from buildnet.node.askers import Askers
from buildnet.node.cancelled import Cancelled, at_request
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.forecasting import BuildForecast
from buildnet.node.pausing import Pausing
from buildnet.node.perform import Performer
from buildnet.node.phases import Phases
from buildnet.node.progress import Progress
from buildnet.node.report import TaskReport
from buildnet.node.since import Since
from buildnet.node.standing import Plan, StandingTask
from buildnet.node.watch.listener import Listener
from buildnet.node.workspaces import Definition, View
from buildnet.pool.build import Status
from buildnet.pool.choice import AS_THE_NODE_HAS_IT, Choice
from buildnet.pool.demand import HowFar, Orders, Priority
from buildnet.pool.estimation.forecast import Forecast
from buildnet.pool.estimation.view import in_short
from buildnet.pool.warrant import Warrant
from buildnet.pool.workspace import BUILD, TaskId, Workspace

BUILD_STARTED = "build_started"
"""The type of a build's first event."""
_log = logging.getLogger("buildnet.builds")
BUILD_FINISHED = "build_finished"
"""The type of a build's last event; who passes it on adds the report, as its reader wants it."""
TOLD_NO_MORE = "told_no_more"
"""The last event for one who did not read as fast as they came, though the build goes on."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What somebody wants built.

    ``directory`` lies in the workspace; ``packages`` none means all; ``environment`` is the
    submitter's, of which actions see what they declare under ``env_inherit``; ``explain``: also
    look for the nearest cached result of what has to be built; ``local_only``: use nothing of other
    nodes; ``durable``: run nothing before another node has the request, or it is clear that none
    will; ``wait_s``: so long is waited until it has all that its configuration asks for, which it
    then keeps to its end, None: it takes what is free; ``times``: how often each command runs,
    whose outputs are compared; ``retries``: how often one that fails runs again, builds apart;
    ``trace_inputs``: commands run where the workspace stands, and what they read is told;
    ``choice``: what its configuration and profile make of it; ``first``: directories whose packages
    are built before others; ``foretells``: the watch that builds what this dry run looked at soon:
    nodes on which it is likely to run are told; ``since``: what of the workspace a change affects,
    of which ``packages`` are.
    """

    directory: Path
    packages: tuple[str, ...] = ()
    task: str = BUILD
    force: bool = False
    dry_run: bool = False
    keep_going: bool = False
    local_only: bool = False
    durable: bool = False
    explain: bool = False
    wait_s: float | None = None
    times: int = 1
    retries: int = 0
    trace_inputs: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    actor: str = "local"
    choice: Choice = AS_THE_NODE_HAS_IT
    first: tuple[str, ...] = ()
    foretells: bytes = b""
    since: Since | None = None

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """The names of the packages, none for all of them; None: not one."""
        return None if self.since is not None and not self.packages else self.packages

    def is_like(self, other: BuildRequest, inherits: Iterable[str] | None) -> bool:
        """Whether it asks for the same as another one of the same workspace; ``inherits``: names of
        the variables that count, None: all do."""
        mine, others = self.environment, other.environment
        if inherits is not None:
            same = all(mine.get(name) == others.get(name) for name in inherits)
        else:
            same = mine == others
        return same and self == replace(
            other, directory=self.directory, environment=mine, actor=self.actor, first=self.first
        )

    @property
    def rehearses(self) -> bool:
        """Whether it only tells what would be done, to somebody who waits for that: it changes
        nothing, so it waits for no build that is at work in the workspace."""
        return self.dry_run and not self.foretells

    @property
    def keeps_to_itself(self) -> bool:
        """Whether no other node is asked for results."""
        return self.local_only or self.force or self.dry_run

    def as_dict(self) -> dict[str, Any]:
        """Return what is kept in the record of builds; the environment is not."""
        return {
            "packages": list(self.packages),
            "task": self.task,
            "force": self.force,
            "dry_run": self.dry_run,
            "keep_going": self.keep_going,
            "local_only": self.local_only,
            "durable": self.durable,
            "wait_s": self.wait_s,
            "times": self.times,
            "retries": self.retries,
            "trace_inputs": self.trace_inputs,
            "choice": self.choice.view(),
            "since": None if self.since is None else self.since.revision,
        }


@dataclass(slots=True)
class RunningBuild:
    """A build that was accepted; ``outcome`` is there once it is over.

    ``unchanged`` are the tasks that stand as before and were not looked at one by one;
    ``not_watched`` says why all files had to be looked at. Once somebody has ``looked``,
    ``had_nothing_to_do`` tells whether that was all. ``warrant``: that this node may drive it;
    ``durable``: which other node has the request; ``term``: the number under which this node drives
    it; ``ended_elsewhere``: another one brought it to its end meanwhile; ``handed_over``: another
    one goes on, its end is not told here; ``limited_since``: when its time limit began to count,
    on whichever node, by the monotonic clock of this one.
    """

    id: str
    definition: Definition
    request: BuildRequest
    started_at: float
    node_id: str
    warrant: Warrant
    progress: Progress = field(default_factory=Progress)
    began: float = field(default_factory=time.monotonic)
    performer: Performer | None = None
    forecast: BuildForecast | None = None
    rehearsed: Forecast | None = None
    """What a dry run found the build would take."""
    hook: CancelToken | None = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled_how: Cancelled | None = None
    isolation_reason: str | None = None
    keep_descriptions: Callable[[], None] | None = None
    unchanged: dict[TaskId, StandingTask] = field(default_factory=dict)
    not_watched: str | None = None
    outcome: dict[str, Any] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    estimated: asyncio.Event = field(default_factory=asyncio.Event)
    """How long it takes was estimated, or is not going to be."""
    had_nothing_to_do: bool = False
    durable: Durability | None = None
    term: int = 0
    ended_elsewhere: bool = False
    handed_over: bool = False
    limited_since: float | None = None
    phases: Phases = field(init=False)
    orders: Orders = field(init=False)
    """What people said of it."""
    pausing: Pausing = field(default_factory=Pausing)
    askers: Askers = field(default_factory=Askers)
    has_read: bool = False
    """Whether it has begun to look at the workspace."""
    plan: Plan | None = None
    """The tasks that it means, once that is known."""
    view: View | None = None
    """What it goes by of its workspace while it is at work there."""
    waits_for: str | None = None
    """What it waits for besides room, in words; see :meth:`wait_for`."""
    listeners: set[Listener] = field(default_factory=set)
    """For whom it is built what changes in the workspace."""
    at_end: list[Callable[[], None]] = field(default_factory=list)
    """Called once it is over."""
    _reports: Mapping[TaskId, TaskReport] = field(default_factory=dict)
    _estimate: dict[str, Any] | None = None
    _paused_for: str | None = None

    def __post_init__(self) -> None:
        self.phases = Phases(self.progress)
        self.orders = Orders(Priority[self.request.choice.priority.upper()])
        for warning in self.request.choice.warnings:
            self.progress.notice(f"warning: {warning}")

    def cancel(self, how: Cancelled) -> None:
        """Ask for its end; ``how``: what is told of that, if nobody did so before."""
        self.cancelled_how = self.cancelled_how or how
        self.cancelled.set()
        self.pausing.end()
        if self.hook is not None:
            self.hook.set()
        if self.performer is not None:
            self.performer.cancel()

    @property
    def actor(self) -> str:
        """Who asked for it: the first of those who still want it."""
        return self.askers.first or self.request.actor

    def is_asked_by(self, actor: str) -> bool:
        """Tell whether somebody is one of those who asked for it."""
        return actor == self.actor or self.askers.has(actor)

    def drop(self, actor: str | None, asker: int | None = None, *, by: str) -> bool:
        """Take note that it is wanted no more: by one asker, else by an actor, however often they
        asked for it, None: by anybody. Ask for its end, as wanted ``by`` who said so, once nobody
        wants it; tell whether that is so. One that this node took over from another has no askers
        here."""
        how = at_request(by, self.actor, is_theirs=self.is_asked_by(by))
        if asker is not None and len(self.askers):
            ends = self.askers.withdraw(asker)
        else:
            ends = actor is None or not self.askers.has(actor) or self.askers.leave(actor)
        if ends:
            self.cancel(how)
        return ends

    def hand_over(self, to: str) -> None:
        """Let it be somebody else's from now on."""
        self.askers.hand_over(self.actor, to)
        self.request = replace(self.request, actor=to)

    def obey(self, orders: Orders) -> None:
        """Do from now on what people say of it."""
        self.orders = orders
        self._pause("resume", orders.paused, f"buildnet queue resume {self.id}")

    def hold(self, held: bool) -> None:
        """Start no command while the whole queue is paused."""
        self._pause("queue", held, "the queue, which is paused")

    def _pause(self, reason: str, on: bool, waits_for: str) -> None:
        if self.pausing.set(reason, on):
            self._paused_for = waits_for if on else None
            self._tell_waiting()

    def wait_for(self, what: str | None) -> None:
        """Take note of what it waits for besides room, in words, None: nothing any more; all who
        watch it are told."""
        if what != self.waits_for:
            self.waits_for = what
            self._tell_waiting()

    def _tell_waiting(self) -> None:
        what = self._paused_for or self.waits_for
        told = {"type": "resumed"} if what is None else {"type": "waiting", "for": what}
        self.progress.tell(told)

    def how_far(self) -> HowFar:
        """Return how far it is."""
        far = HowFar() if self.performer is None else self.performer.how_far()
        return replace(
            far,
            workspace=self.workspace.name,
            asked_ms=int(self.started_at * 1000),
            waits_for=self.waits_for,
        )

    @property
    def workspace(self) -> Workspace:
        """The workspace as it was described when the build was accepted."""
        return self.definition.workspace

    def tell_begin(self, plan: Plan) -> None:
        """Tell that it begins, with these tasks."""
        self.plan = plan
        self.progress.tell({"type": BUILD_STARTED, **self.summary(), "tasks": len(plan.tasks)})

    def close(
        self, status: Status, duration_ms: float, error: dict[str, str | None] | None
    ) -> None:
        """Note how it ended, tell it to all who watch, and end their streams."""
        self.outcome = {
            "status": status.value,
            "duration_ms": round(duration_ms, 1),
            "error": error,
            "isolation_reason": self.isolation_reason,
            "not_watched": self.not_watched,
            "phases": self.phases.as_dict(),
        }
        self._reports = self.reports()
        if self.performer is not None:
            self.performer.notice_unhelpful()
        self.performer = None
        for call in self.at_end:
            call()
        self.progress.tell({"type": BUILD_FINISHED})
        self.progress.close()
        self.over.set()
        self.estimated.set()

    def in_short(self) -> str:
        """Return the answer for who wants to know no more than that nothing was to be done."""
        assert self.outcome is not None
        return f"{len(self.unchanged)} {self.outcome['duration_ms']} {self.id}\n"

    def report(self, *, every: bool = True) -> dict[str, Any]:
        """Return what is known of it by now; ``every``: with the packages that stand as before."""
        return {
            **self.summary(),
            **(self.outcome or {}),
            "notices": list(self.progress.notices),
            "packages": self.packages(every=every),
            "unchanged": 0 if every else len(self.unchanged),
        }

    def reports(self) -> Mapping[TaskId, TaskReport]:
        """Return the reports of the tasks that ended so far, shards included, but for those that
        are unchanged."""
        return self.performer.reports if self.performer is not None else self._reports

    def told(self) -> Mapping[TaskId, TaskReport]:
        """Return the reports without shards: those stand in that of the task that was split."""
        return {task: each for task, each in self.reports().items() if each.shard is None}

    def report_of(self, task: TaskId, known: StandingTask) -> TaskReport:
        """Return the report of a task that is unchanged."""
        planned = None if self.plan is None else self.plan.tasks.get(task)
        return TaskReport.of_standing(
            task,
            self.node_id,
            known,
            dry_run=self.request.dry_run,
            depends_on=() if planned is None else planned.depends_on,
        )

    def packages(self, *, every: bool = True) -> list[dict[str, Any]]:
        """Return the reports of the tasks that ended so far; ``every``: unchanged ones too."""
        unchanged = self.unchanged.items() if every else ()
        return [
            *(self.report_of(task, known).as_dict() for task, known in unchanged),
            *(report.told() for report in self.told().values()),
        ]

    @property
    def estimate(self) -> dict[str, Any] | None:
        """The first estimate of how long it takes, or of a dry run's build; None: there is none."""
        if self.rehearsed is not None:
            return in_short(self.rehearsed)
        if self._estimate is not None:
            return self._estimate
        if self.forecast is None or self.forecast.first is None:
            return None
        return in_short(self.forecast.first, self.forecast.first_at_ms)

    @property
    def estimated_ms(self) -> int | None:
        """How long it takes, if that is known by now: who asked is not kept waiting for it, as the
        first output would be over by then."""
        return None if self.estimate is None else self.estimate["estimated_ms"]

    def learn(self) -> None:
        """Let the node learn of it, once it is over. Blocks."""
        forecast, outcome = self.forecast, self.outcome
        if forecast is None or outcome is None or self.request.dry_run:
            return
        is_good = outcome["status"] == Status.SUCCEEDED.value and self.request.times == 1
        try:
            if not self.request.trace_inputs:  # commands are stopped at each file that they open
                took_ms = outcome["duration_ms"] if is_good else None
                forecast.learn(self._reports, self.node_id, took_ms)
        except Exception:  # nothing of the build itself is lost by that
            _log.exception("nothing was learned of how long build %s took", self.id)
        self._estimate, self.forecast = self.estimate, None

    def summary(self) -> dict[str, Any]:
        """Return what is known of the build from its start on."""
        return {
            "build_id": self.id,
            "status": "running",
            "duration_ms": None,
            "estimated_ms": None if self.estimate is None else self.estimate["estimated_ms"],
            "estimate": self.estimate,
            "coordinator": None,
            "workspace": self.workspace.name,
            "root": str(self.workspace.root),
            "node_id": self.node_id,
            "triggered_by": self.actor,
            "request": self.request.as_dict(),
            "dry_run": self.request.dry_run,
            "choice": self.request.choice.view(),
            "warnings": list(self.request.choice.warnings),
            "since": None if self.request.since is None else self.request.since.as_dict(),
            "started_at": self.started_at,
            "durable": None if self.durable is None else asdict(self.durable),
        }
