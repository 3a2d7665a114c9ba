"""Has the commands of one build run: here, on other hosts, and the install that some wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.node.dependencies import INSTALL, InstalledDependencies
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.isolation import STRICT
from buildnet.node.offered_results import Wanted
from buildnet.node.pausing import PausedError, Pausing
from buildnet.node.pool_results import PoolResults
from buildnet.node.racing import FIRST, SECOND, Contests, LostRaceError, Racing
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Prepared, Resolver, Tier, isolation_of
from buildnet.node.runner import TaskRunner
from buildnet.node.sharing.errands import LostHostError, WrongHostError
from buildnet.node.sharing.other_hosts import OtherHost, OtherHosts
from buildnet.node.sharing.remote_executor import OnlyHereError, UnfitHostError
from buildnet.node.store import Hold
from buildnet.node.telling import Telling
from buildnet.node.verifier import Verifier
from buildnet.node.workers import Turn, Workers, either
from buildnet.pool.attempts import Attempts, may_be_the_hosts_fault
from buildnet.pool.build import Status
from buildnet.pool.requirements import Requirements
from buildnet.pool.verification import Verification
from buildnet.pool.workspace import Task, TaskId

_log = logging.getLogger("buildnet.builds")


class InstallError(BuildNetError):
    """A command can't run because the dependencies it needs could not be installed."""

    code = "INSTALL_FAILED"


@dataclass(slots=True)
class Dispatcher:
    """One build's way to where commands run. ``results``: those of the pool, None: they are not
    looked at; ``resolving``: held while something is prepared; ``pausing``: whether commands may
    start; ``hosts``: others, None: there are none; ``times``: how often each command runs."""

    workers: Workers
    runner: TaskRunner
    resolver: Resolver
    dependencies: InstalledDependencies | None
    results: PoolResults | None
    hold: Hold
    telling: Telling
    resolving: asyncio.Lock
    pausing: Pausing
    attempts: Mapping[TaskId, Attempts]
    hosts: OtherHosts | None = None
    times: int = 1
    has_other_place: Callable[[Prepared], bool] = lambda prepared: True
    """Whether a command that failed on a host may be tried elsewhere."""
    may_stay: Callable[[Prepared], bool] = lambda prepared: True
    """Whether this node may run a command."""
    is_crowded: Callable[[Prepared], bool] = lambda prepared: False
    """Whether a command that was to run here had better look for another place."""
    install_token: CancelToken = field(default_factory=CancelToken)
    contests: Contests = field(default_factory=Contests)
    _installing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def execute(
        self, prepared: Prepared, host: OtherHost | None, token: CancelToken
    ) -> TaskReport | None:
        """Run a task's command on another host's slot, or (None) here, to its end; return what
        became of it, None: it did not run there, needs another place, and some time has passed.
        Never raises but for the caller's own cancellation."""
        report = await self._executed(prepared, host, token)
        report = await self.contests.settle(prepared.task.id, report, token)
        attempts = self.attempts.get(prepared.task.id)
        if report is None and attempts is not None:
            await self._pause(attempts.pause_s, token)
        if report is None:
            return None
        if attempts is not None:
            report.attempts = tuple(attempts.made)
        if report.status is Status.SUCCEEDED and self.times > 1 and not token.is_set():
            report.verification = await self._verified(prepared, report, host, token)
        report.outputs = None  # others keep them, as long as somebody needs them
        return report

    async def _verified(
        self, prepared: Prepared, report: TaskReport, host: OtherHost | None, token: CancelToken
    ) -> Verification | None:
        verifier = Verifier(
            self.times,
            self.workers,
            self.runner,
            self.hosts,
            self.telling,
            self._installed,
            self.may_stay,
        )
        return await verifier.verify(prepared, report, host, token)

    async def _executed(
        self, prepared: Prepared, host: OtherHost | None, token: CancelToken
    ) -> TaskReport | None:
        task = prepared.task
        report = self.telling.new_report(task.id, Status.FAILED, prepared)

        def work(turn: Turn) -> None:
            self.pausing.require_off()
            self._loop.call_soon_threadsafe(self.telling.started, task.id)
            again = turn.waited and not self.resolver.force
            self.runner.run(report, prepared, token, look_again=again, cores=turn.share.cores)

        try:
            if task.dependencies_tree:
                await self._install_once(token)
            if host is None:
                if self.is_crowded(prepared):  # others were quicker
                    return None
                report.could_not_run = True
                await self._run_here(report, token, work, task.requirements)
                report.could_not_run = False
            elif not await self._run_elsewhere(host, report, prepared, token):
                self.telling.running.pop(task.id, None)
                return None
        except PausedError:
            return None
        except Exception as error:
            self.telling.fail(report, error)
        finally:
            if host is not None:
                host.hosts.end(host)
        if token.is_set() and report.status is Status.FAILED:
            report.status = Status.CANCELLED
        return report

    async def _run_elsewhere(
        self, host: OtherHost, report: TaskReport, prepared: Prepared, token: CancelToken
    ) -> bool:
        """Run a command on another host; tell whether it did, or was cancelled."""
        hosts, task = host.hosts, prepared.task
        report.node, report.node_name = host.node_id, host.name
        contest = self.contests.begin(task.id, host)

        def work(installed: Digest | None) -> None:
            assert prepared.action is not None
            self.pausing.require_off()
            self._loop.call_soon_threadsafe(self.telling.started, task.id, host.node_id)
            label, again = self.runner.label(task), self.resolver.force
            executor = host.executor(prepared.action, task, label, installed, again=again)
            racing = Racing(executor, contest.race, FIRST)
            self.runner.run(report, prepared, token, look_again=False, executor=racing)

        try:
            installed = await self._installed(task)
            await hosts.run(lambda: work(installed))
        except (LostHostError, UnfitHostError, WrongHostError, OnlyHereError) as error:
            if contest.is_given_up:
                return False
            _log.info("%s does not run on %s: %s", task.id, host.node_id, error.message)
            if hosts.failed(host, task.id, error):
                why = ": ".join(filter(None, (error.message, error.cause)))
                self.telling.notice(f"{host.name} is not used any more in this build: {why}")
        else:
            doubtful = _doubtful_error(report)
            if doubtful is None:
                return True
            if hosts.failed_there(host, task.id, doubtful).is_the_builds_fault:
                return True
            if not self.has_other_place(prepared):
                return True
        return token.is_set()

    async def _pause(self, seconds: float, token: CancelToken) -> None:
        """Wait, but not if the command is not needed any more."""
        stopped = asyncio.Event()
        with (
            token.calling(lambda: self._loop.call_soon_threadsafe(stopped.set)),
            suppress(TimeoutError),
        ):
            async with asyncio.timeout(seconds):
                await stopped.wait()

    async def run_again(self, prepared: Prepared, host: OtherHost | None, *, alone: bool) -> None:
        """Run a command, which runs on another host, a second time, on a third one or (None) here,
        until one of the two has a result. ``alone``: the first run is given up at once."""
        contest = self.contests.second(prepared.task.id, alone=alone)
        if contest is None or contest.over is None:
            return
        task, action = prepared.task, prepared.action
        assert action is not None
        report = self.telling.new_report(task.id, Status.FAILED, prepared)
        token, where = contest.token, self.runner.executors[STRICT]
        place = "here" if host is None else f"on {host.name}"
        first = contest.host.name
        self.telling.notice(
            f"{task.id} has not begun on {first}: it runs {place}"
            if alone
            else f"{task.id} takes long on {first}: it runs {place}, too"
        )

        def work(turn: Turn | None = None) -> None:
            racing = Racing(where, contest.race, SECOND)
            cores = None if turn is None else turn.share.cores
            self.runner.run(report, prepared, token, look_again=False, cores=cores, executor=racing)

        try:
            if host is None:
                await self._run_here(report, token, work, task.requirements)
            else:
                report.node, report.node_name = host.node_id, host.name
                installed, again = await self._installed(task), self.resolver.force
                label = self.runner.label(task)
                where = host.executor(action, task, label, installed, again=again)
                await host.hosts.run(work)
            if contest.race.second_won:
                if token.is_set() and report.status is Status.FAILED:
                    report.status = Status.CANCELLED
                contest.report = report
                contest.give_up_first()
        except (LostRaceError, LostHostError, UnfitHostError, WrongHostError, OnlyHereError) as no:
            _log.info("the second run of %s does not count: %s", task.id, no.message)
        except Exception as error:
            self.telling.fail(report, error)
            if contest.race.second_won or contest.race.is_alone:
                contest.report = report
        finally:
            contest.over.set()

    async def _installed(self, task: Task) -> Digest | None:
        """Return the installed packages that a task sees as what other hosts fetch; None: none."""
        if self.dependencies is None or not task.dependencies_tree:
            return None
        async with self._installing:
            return await asyncio.to_thread(self.dependencies.share, self.hold)

    async def _run_here(
        self,
        report: TaskReport,
        token: CancelToken,
        work: Callable[[Turn], None],
        needed: Requirements | None = None,
    ) -> None:
        assert report.action is not None
        await self.workers.run(report.action, token, work, needed, self.runner.cpus)

    async def _run_unless_paused(
        self, report: TaskReport, token: CancelToken, work: Callable[[Turn], None]
    ) -> None:
        while True:
            await self.pausing.over()
            try:
                return await self._run_here(report, token, work)
            except PausedError:
                continue

    async def _install_once(self, token: CancelToken) -> None:
        """See that the dependency tree is there; the first command that needs it pays for it.

        Raises:
            InstallError: installing failed, now or for an earlier command of this build.
        """
        if self.dependencies is None:
            return
        reports = self.telling.reports
        async with self._installing:
            if token.is_set():
                return
            if INSTALL not in reports:
                await self._install(self.dependencies)
        if reports[INSTALL].status is not Status.SUCCEEDED:
            raise InstallError(
                "the workspace's dependencies could not be installed",
                hint="see the output of the task dependencies#install",
            )

    async def _install(self, dependencies: InstalledDependencies) -> None:
        stopped = asyncio.Event()
        with self.install_token.calling(lambda: self._loop.call_soon_threadsafe(stopped.set)):
            alone = await either(dependencies.installing.acquire(), stopped.wait())
        if not alone:
            self.telling.report(self.telling.new_report(INSTALL, Status.CANCELLED))
            return
        try:
            await self._install_alone(dependencies)
        finally:
            dependencies.installing.release()

    async def _install_alone(self, dependencies: InstalledDependencies) -> None:
        token = self.install_token
        async with self.resolving:
            prepared = await asyncio.to_thread(dependencies.prepare, self.hold)
        if prepared.tier is None and self.results is not None:
            prepared = await self._found_in_pool(self.results, prepared, dependencies)
        report = self.telling.new_report(INSTALL, Status.FAILED, prepared)

        def work(turn: Turn) -> None:
            self.pausing.require_off()
            self._loop.call_soon_threadsafe(self.telling.started, INSTALL)
            self.runner.install(report, prepared, token)

        if prepared.tier is not None:
            report.status, report.tier = Status.SUCCEEDED, prepared.tier
            report.log = prepared.log
        else:
            try:
                await self._run_unless_paused(report, token, work)
            except Exception as error:
                self.telling.fail(report, error)
            if token.is_set() and report.status is Status.FAILED:
                report.status = Status.CANCELLED
        self.telling.report(report)

    async def _found_in_pool(
        self, results: PoolResults, prepared: Prepared, dependencies: InstalledDependencies
    ) -> Prepared:
        """Take in an installation that another member has."""
        action = prepared.action
        if action is None or isolation_of(action) != STRICT:
            return prepared
        offers = await results.find((action.digest,))
        wanted = [Wanted(offer, "", prepared.task.outputs) for offer in offers.values()]
        taken = await results.take_in(wanted, self.hold)
        if action.digest not in taken:
            return prepared
        said, holder = taken[action.digest], offers[action.digest].holder
        await asyncio.to_thread(dependencies.unpack, said.outputs, self.hold)
        return replace(
            prepared,
            tier=Tier.POOL_CACHE,
            log=said.log,
            node=node_id_of(holder),
            node_name=results.name_of(holder),
        )


def _doubtful_error(report: TaskReport) -> Mapping[str, str | None] | None:
    """Return why a command failed if that may be its host's fault; None: it is not."""
    error = report.error if report.status is Status.FAILED else None
    if error is None or error["code"] != "COMMAND_FAILED":
        return None
    return error if may_be_the_hosts_fault(report.exit_code) else None
