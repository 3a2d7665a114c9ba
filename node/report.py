"""What is told of each task of a build, and how failures are put into words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.dependencies import INSTALL
from buildnet.node.execute.executor import Execution
from buildnet.node.resolve import Prepared, Tier, isolation_of
from buildnet.node.standing import StandingTask
from buildnet.pool.attempts import Attempt
from buildnet.pool.build import Status
from buildnet.pool.explain import DEPENDENCIES, Change, Nearest
from buildnet.pool.input_findings import InputFindings
from buildnet.pool.tested import TaskTests
from buildnet.pool.timeline import Timed, Timeline
from buildnet.pool.tree import DirectoryTree
from buildnet.pool.verification import Verification
from buildnet.pool.workspace import Shard, TaskId

AS_BEFORE: Final = {
    "status": Status.SUCCEEDED.value,
    "tier": Tier.INSTANT_SKIP.value,
    "duration_ms": 0.0,
    "exit_code": 0,
    "log": None,
    "output": None,
    "plan": None,
    "reasons": [],
    "changes": [],
    "nearest": None,
    "hints": [],
    "error": None,
    "attempts": [],
    "verification": None,
    "traced": None,
    "place": None,
    "timeline": None,
    "tests": None,
    "shards": [],
    "retries": [],
}
"""What the JSON of a task that stands as before says differently from its last one."""
_LIMITED = {"memory": "memory", "processes": "of the process table", "disk": "room on the disk"}


@dataclass(frozen=True, slots=True)
class Retry:
    """A run that failed before the command ran again. ``node``, ``node_name`` as in the report;
    ``failed``: tests, as far as they are known."""

    node: str
    node_name: str | None
    duration_ms: float
    exit_code: int | None
    failed: tuple[str, ...]


@dataclass(slots=True)
class TaskReport:
    """What became of one task; :meth:`as_dict` is its entry of ``packages`` in a build's JSON.

    ``changes`` are the ``reasons`` in parts, as far as they are differences from the last run;
    ``nearest`` the cached result with the fewest of them.
    ``node`` is the id of who ran the command or gave its result, ``node_name`` its name if that was
    another node. ``plan`` is what a dry run found: ``nothing``, ``restore`` or ``run``. ``output``
    is the end of a failed command's output; ``log`` names the whole of it in the store.
    ``attempts`` are those on other hosts that came to nothing; ``could_not_run``: no host, not this
    one either, ran it. ``place``: where a dry run found that it would run. ``outputs``: what the
    command made, if it ran. ``executed_ms``: how long the command ran that made the result, as
    measured where it ran, in this build or before it; None: it is not known. ``all_files``: its
    sources were not named, so all files of the package are inputs. ``tests``: those that it ran, if
    it reports them; ``shards``: of a task that was split; ``shard``: which one of another task it
    is; ``retries``: runs that failed before it ran again.
    """

    task: TaskId
    node: str
    status: Status
    tier: Tier | None = None
    isolation: str | None = None
    duration_ms: float = 0.0
    action: Digest | None = None
    exit_code: int | None = None
    log: Digest | None = None
    output: str | None = None
    plan: str | None = None
    reasons: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    nearest: Nearest | None = None
    hints: tuple[str, ...] = ()
    error: dict[str, str | None] | None = None
    node_name: str | None = None
    attempts: tuple[Attempt, ...] = ()
    could_not_run: bool = False
    outputs: DirectoryTree | None = None
    verification: Verification | None = None
    traced: InputFindings | None = None
    place: dict[str, str | float | None] | None = None
    timeline: Timeline | None = None
    executed_ms: float | None = None
    cpu_ms: float | None = None
    """Processor time of the command, if it ran."""
    depends_on: tuple[TaskId, ...] = ()
    all_files: bool = False
    times: list[Timed] = field(default_factory=list)
    """What was measured of its command."""
    tests: TaskTests | None = None
    shards: tuple[TaskReport, ...] = ()
    shard: Shard | None = None
    retries: tuple[Retry, ...] = ()
    ended_ns: int = 0
    """Unix time, when it was told; 0: not yet."""
    _told: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls, task: TaskId, node: str, status: Status, prepared: Prepared | None = None
    ) -> TaskReport:
        """Begin a report with what is known from the task's preparation."""
        action = prepared.action if prepared else None
        known = prepared.task if prepared else None
        return cls(
            task,
            node,
            status,
            isolation=isolation_of(action) if action else None,
            action=action.digest if action else None,
            reasons=prepared.reasons if prepared else (),
            changes=prepared.changes if prepared else (),
            nearest=prepared.nearest if prepared else None,
            node_name=prepared.node_name if prepared else None,
            depends_on=_needed(prepared) if prepared else (),
            all_files=known.default_sources and action is not None if known else False,
        )

    @classmethod
    def of_standing(
        cls,
        task: TaskId,
        node: str,
        known: StandingTask,
        tier: Tier = Tier.INSTANT_SKIP,
        *,
        dry_run: bool = False,
        depends_on: tuple[TaskId, ...] = (),
    ) -> TaskReport:
        """Return the report of a task that stands as before."""
        return cls(
            task,
            node,
            Status.SUCCEEDED,
            tier,
            isolation=known.isolation,
            action=known.action,
            exit_code=0,
            plan="nothing" if dry_run else None,
            depends_on=depends_on,
        )

    def fail(self, error: BuildNetError) -> None:
        """Take in why the task could not be prepared or run."""
        self.status = Status.FAILED
        self.error = error.as_dict()

    def take(self, execution: Execution, read_tail: str) -> None:
        """Take in how the command ended; ``read_tail`` is the end of its output."""
        self.tier = Tier.FULL
        self.cpu_ms = execution.outcome.cpu_ms
        self.exit_code = execution.outcome.exit_code
        self.executed_ms = float(execution.outcome.duration_ms)
        self.log = execution.log
        self.hints = execution.hints
        self.outputs = execution.outputs
        if execution.outputs is not None:
            self.status = Status.SUCCEEDED
            return
        self.status = Status.FAILED
        self.output = read_tail
        self.error = _why(execution)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "name": self.task.package,
            "task": self.task.task,
            "status": self.status.value,
            "tier": self.tier.value if self.tier else None,
            "isolation": self.isolation,
            "node": self.node,
            "node_name": self.node_name,
            "duration_ms": round(self.duration_ms, 1),
            "action": self.action.hash if self.action else None,
            "exit_code": self.exit_code,
            "log": str(self.log) if self.log else None,
            "output": self.output,
            "plan": self.plan,
            "reasons": list(self.reasons),
            "changes": [asdict(change) for change in self.changes],
            "nearest": _nearest(self.nearest),
            "hints": list(self.hints),
            "error": self.error,
            "attempts": [each.as_dict() for each in self.attempts],
            "verification": self.verification.as_dict() if self.verification else None,
            "traced": self.traced.as_dict() if self.traced else None,
            "place": self.place,
            "timeline": self.timeline.as_dict() if self.timeline else None,
            "executed_ms": self.executed_ms,
            "depends_on": [str(each) for each in self.depends_on],
            "all_files": self.all_files,
            "tests": self.tests.as_dict() if self.tests else None,
            "shards": [each.as_shard() for each in self.shards],
            "retries": [asdict(each) for each in self.retries],
        }

    def told(self) -> dict[str, Any]:
        """Return the JSON form of a report that is complete, to be read alone. It is made once for
        all who are told: but for how long a cached command ran, and where one would run, which are
        found later."""
        if self._told is None:
            self._told = self.as_dict()
        self._told["executed_ms"], self._told["place"] = self.executed_ms, self.place
        return self._told

    def as_shard(self) -> dict[str, Any]:
        """Return the JSON form of a shard within its task's; field names are stable."""
        tests = self.tests
        return {
            "shard": "" if self.shard is None else f"{self.shard.index + 1}/{self.shard.count}",
            "files": 0 if self.shard is None else len(self.shard.tests),
            "status": self.status.value,
            "tier": self.tier.value if self.tier else None,
            "node": self.node,
            "node_name": self.node_name,
            "duration_ms": round(self.duration_ms, 1),
            "action": self.action.hash if self.action else None,
            "exit_code": self.exit_code,
            "log": str(self.log) if self.log else None,
            "tests": None
            if tests is None
            else {"total": tests.total, "failed": tests.failed, "skipped": tests.skipped},
            "error": self.error,
            "retries": [asdict(each) for each in self.retries],
            "timeline": self.timeline.as_dict() if self.timeline else None,
            "executed_ms": self.executed_ms,
        }


def _needed(prepared: Prepared) -> tuple[TaskId, ...]:
    action, direct = prepared.action, prepared.task.depends_on
    sees_installed = action is not None and DEPENDENCIES in action.spec.platform
    return (*direct, INSTALL) if sees_installed else direct


def _nearest(nearest: Nearest | None) -> dict[str, Any] | None:
    if nearest is None:
        return None
    return {
        "action": nearest.action.hash,
        "reasons": [str(change) for change in nearest.changes],
        "changes": [asdict(change) for change in nearest.changes],
    }


def _why(execution: Execution) -> dict[str, str | None]:
    outcome = execution.outcome
    if outcome.timed_out:
        return {
            "code": "TIMED_OUT",
            "message": f"the command was ended after {outcome.duration_ms / 1000:.1f} s",
            "cause": "it did not finish within the package's timeout",
            "hint": "raise timeout in buildnet.yaml, or find out why the command hangs",
        }
    if outcome.exceeded is not None:
        return {
            "code": "LIMIT_EXCEEDED",
            "message": f"the command was ended: it used too much {_LIMITED[outcome.exceeded]}",
            "cause": None,
            "hint": f"raise {outcome.exceeded} of the package in buildnet.yaml, at most to "
            f"workers.{outcome.exceeded} in node.yaml, or have the command use less",
        }
    if outcome.exit_code == 0 and execution.missing_outputs:
        missing = ", ".join(execution.missing_outputs)
        return {
            "code": "OUTPUT_MISSING",
            "message": f"the command succeeded but did not make {missing}",
            "cause": None,
            "hint": "correct the package's outputs in buildnet.yaml, or its command",
        }
    how = f"signal {outcome.signal}" if outcome.signal else f"exit code {outcome.exit_code}"
    return {
        "code": "COMMAND_FAILED",
        "message": f"the command failed with {how}",
        "cause": None,
        "hint": execution.hints[0] if execution.hints else None,
    }
