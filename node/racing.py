"""Two runs of one command: the first result counts, the other one is dropped."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.executor import Execution, ExecutionRequest, Executor, OnOutput
from buildnet.node.report import TaskReport
from buildnet.node.sharing.other_hosts import OtherHost
from buildnet.node.store import Hold
from buildnet.pool.workspace import TaskId


class LostRaceError(BuildNetError):
    """The other run of a command was first, or this one came to nothing while that one goes on."""

    code = "LOST_RACE"


@dataclass(slots=True)
class Race:
    """Of one task. ``is_alone``: the first run is given up, so that the second one's result counts
    whatever it is. Thread-safe."""

    is_alone: bool = False
    _winner: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wins(self, run: str) -> bool:
        """Tell whether a run, which has a result, is the first one."""
        with self._lock:
            if self._winner is None:
                self._winner = run
            return self._winner == run

    @property
    def second_won(self) -> bool:
        """Whether the second run's result counts."""
        return self._winner == SECOND


FIRST, SECOND = "first", "second"


@dataclass(frozen=True, slots=True)
class Racing:
    """An executor whose result counts only if its run is the first to have one. What the second run
    prints is held back until then."""

    executor: Executor
    race: Race
    run: str

    @property
    def isolation(self) -> str:
        """See :class:`Executor`."""
        return self.executor.isolation

    def execute(
        self, request: ExecutionRequest, hold: Hold, on_output: OnOutput, cancel: CancelToken
    ) -> Execution:
        """See :class:`Executor`.

        Raises:
            LostRaceError: the result does not count.
        """
        held_back: list[bytes] = []
        is_second = self.run == SECOND
        tell = held_back.append if is_second else on_output
        execution = self.executor.execute(request, hold, tell, cancel)
        counts = not is_second or execution.outputs is not None or self.race.is_alone
        if not counts or not self.race.wins(self.run):
            raise LostRaceError("the other run of the command counts")
        for part in held_back:
            on_output(part)
        return execution


@dataclass(slots=True, eq=False)
class Contest:
    """The runs of one task's command, the first of which is on ``host``.

    ``over``: set once the second run has ended, None: there is none; ``token`` ends that one, and
    ``report`` is what became of it if its result counts. ``is_given_up``: the first one is.
    """

    host: OtherHost
    race: Race = field(default_factory=Race)
    token: CancelToken = field(default_factory=CancelToken)
    over: asyncio.Event | None = None
    report: TaskReport | None = None
    is_given_up: bool = False

    def give_up_first(self) -> None:
        """End the first run, without a word on the host that it was on."""
        self.is_given_up = True
        self.host.hosts.give_up(self.host)


@dataclass(slots=True)
class Contests:
    """Those of one build; to be used on the event loop."""

    _open: dict[TaskId, Contest] = field(default_factory=dict)

    def begin(self, task: TaskId, host: OtherHost) -> Contest:
        """Take note that a command begins on another host."""
        contest = self._open[task] = Contest(host)
        return contest

    def second(self, task: TaskId, *, alone: bool) -> Contest | None:
        """Begin a second run; ``alone``: the first one is given up. None: it is over already."""
        contest = self._open.get(task)
        if contest is None or contest.over is not None:
            return None
        contest.over = asyncio.Event()
        if alone:
            contest.race.is_alone = True
            contest.give_up_first()
        return contest

    async def settle(
        self, task: TaskId, report: TaskReport | None, token: CancelToken
    ) -> TaskReport | None:
        """Return the report that counts once the first run has ended: its own, None if it did not
        run, or the second one's; no run goes on after that. ``token``: the task's."""
        contest = self._open.pop(task, None)
        if contest is None or contest.over is None:
            return report
        first_counts = report is not None and not contest.race.second_won
        if first_counts:
            contest.token.set()
        else:
            contest.race.is_alone = True
        with token.calling(contest.token.set):
            await contest.over.wait()
        return report if first_counts else contest.report
