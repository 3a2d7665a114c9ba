"""Runs actions once more than they have to, on other hosts, and compares what they made."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.executor import Execution, WorkspaceExecutor
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Prepared, isolation_of
from buildnet.node.runner import TaskRunner
from buildnet.node.sharing.errands import LostHostError, WrongHostError
from buildnet.node.sharing.needs import needs_of
from buildnet.node.sharing.other_hosts import OtherHost, OtherHosts
from buildnet.node.sharing.remote_executor import OnlyHereError, UnfitHostError
from buildnet.node.telling import Telling
from buildnet.node.workers import Turn, Workers
from buildnet.pool.verification import Run, Verification, repetition_of
from buildnet.pool.workspace import Task

WAIT_S = 10.0
"""So long a slot of a host is waited for that has not run the action yet."""
_LOOK_EVERY_S = 0.05
_log = logging.getLogger("buildnet.builds")


class NotDeterministicError(BuildNetError):
    """Commands made something else when they ran again."""

    code = "NOT_DETERMINISTIC"


class NotVerifiedError(BuildNetError):
    """Commands did not run as often as they were to."""

    code = "NOT_VERIFIED"


@dataclass(slots=True)
class Verifier:
    """For one build: each action runs ``times`` times. ``installed``: gives the installed packages
    that a task sees, for other hosts; ``may_stay``: whether this host may run an action."""

    times: int
    workers: Workers
    runner: TaskRunner
    hosts: OtherHosts | None
    telling: Telling
    installed: Callable[[Task], Awaitable[Digest | None]]
    may_stay: Callable[[Prepared], bool] = lambda prepared: True

    async def verify(
        self, prepared: Prepared, report: TaskReport, ran_on: OtherHost | None, token: CancelToken
    ) -> Verification | None:
        """Run an action again that has succeeded; None: it was cancelled."""
        action = prepared.action
        if action is None or report.outputs is None:
            return None
        runs = [Run(report.node, report.node_name, 0, report.outputs, action.digest)]
        if isolation_of(action) == WorkspaceExecutor.isolation:
            self.telling.notice(f"{prepared.task.id} runs in place and can't be verified")
            return Verification(tuple(runs), "it runs in place", can_not_be=True)
        used = set() if ran_on is None else {ran_on.lease.owner}
        at_home = ran_on is None
        for number in range(1, self.times):
            try:
                run = await self._repeated(prepared, report, number, used, at_home, token)
            except BuildNetError as error:
                return self._broken_off(prepared, runs, error.message)
            except Exception:
                _log.exception("%s could not be verified", prepared.task.id)
                return self._broken_off(prepared, runs, "see the node's log")
            if run is None or token.is_set():
                return None
            at_home |= run.node_name is None
            runs.append(run)
        return Verification(tuple(runs))

    async def _repeated(
        self,
        prepared: Prepared,
        report: TaskReport,
        number: int,
        used: set[bytes],
        at_home: bool,
        token: CancelToken,
    ) -> Run | None:
        """Run an action once more, and keep what it made if that is something else; None: it was
        cancelled."""
        again = await self._again(prepared, used, at_home, token)
        if again is None:
            return None
        run, execution = again
        assert prepared.action is not None
        assert report.outputs is not None
        if run.outputs is None or run.outputs.digest == report.outputs.digest:
            return run
        name = repetition_of(prepared.action.digest, number)
        label = f"again, {run.node_name or 'here'}"
        await asyncio.to_thread(self.runner.keep_repetition, prepared, name, execution, label)
        return replace(run, result=name)

    def _broken_off(self, prepared: Prepared, runs: list[Run], why: str) -> Verification:
        self.telling.notice(f"{prepared.task.id} could not be verified: {why}")
        return Verification(tuple(runs), why)

    async def _again(
        self, prepared: Prepared, used: set[bytes], at_home: bool, token: CancelToken
    ) -> tuple[Run, Execution] | None:
        """Run it on a host that has not, if there is one; ``used`` takes in who was asked."""
        hosts, needs, may_stay = self.hosts, needs_of(prepared), self.may_stay(prepared)
        give_up_at = time.monotonic() + WAIT_S
        if hosts is not None and hosts.may_take(prepared):
            with hosts.wanting(needs):
                while not token.is_set():
                    host = hosts.choose(prepared, needs, here_is_free=False, used=used)
                    if host is not None:
                        used.add(host.lease.owner)
                        done = await self._on(host, hosts, prepared, token)
                        if done is not None:
                            return done
                    elif (may_stay and not at_home) or time.monotonic() > give_up_at:
                        break
                    elif not used.issuperset(hosts.order(needs, hosts.borrowing.members)):
                        await asyncio.sleep(_LOOK_EVERY_S)
                    elif may_stay:
                        break
                    else:  # those that may run it do so once more
                        used.clear()
                        await asyncio.sleep(_LOOK_EVERY_S)
        if not may_stay and not token.is_set():
            raise LostHostError("no host that may run it was free for that")
        return await self._here(prepared, token)

    async def _on(
        self, host: OtherHost, hosts: OtherHosts, prepared: Prepared, token: CancelToken
    ) -> tuple[Run, Execution] | None:
        """Run it on another host; None: that did not come to an end."""
        action, task = prepared.action, prepared.task
        assert action is not None
        done: list[Execution] = []
        hosts.placed(host, needs_of(prepared))
        try:
            installed = await self.installed(task)
            executor = host.executor(action, task, self.runner.label(task), installed, again=True)
            await hosts.run(
                lambda: done.append(self.runner.repeat(prepared, token, executor=executor))
            )
        except (LostHostError, UnfitHostError, WrongHostError, OnlyHereError) as error:
            _log.info("%s is not repeated on %s: %s", task.id, host.node_id, error.message)
            return None
        finally:
            hosts.end(host)
        return _run(host.node_id, host.name, done[0]), done[0]

    async def _here(self, prepared: Prepared, token: CancelToken) -> tuple[Run, Execution] | None:
        """Run it on this host; None: it was cancelled."""
        assert prepared.action is not None
        done: list[Execution] = []

        def work(turn: Turn) -> None:
            done.append(self.runner.repeat(prepared, token, cores=turn.share.cores))

        requirements = prepared.task.requirements
        cpus = self.runner.cpus
        await self.workers.run(prepared.action.digest, token, work, requirements, cpus)
        return (_run(self.telling.node_id, None, done[0]), done[0]) if done else None


def _run(node: str, node_name: str | None, execution: Execution) -> Run:
    return Run(node, node_name, execution.outcome.exit_code, execution.outputs)


def require_agreement(reports: list[TaskReport]) -> None:
    """See that what was to run again did, and made the same.

    Raises:
        NotDeterministicError: something made something else.
        NotVerifiedError: something did not run as often as it was to, though it could have.
    """
    compared = [(each, each.verification) for each in reports if each.verification is not None]
    differ = [each for each, found in compared if found.agrees is False]
    if differ:
        raise NotDeterministicError(
            f"not deterministic: {_names(differ)}",
            cause="their commands made something else when they ran again",
            hint="buildnet cache extract RESULT DIRECTORY writes what a run made, to compare them",
        )
    missing = [(each, found) for each, found in compared if found.problem and not found.can_not_be]
    if missing:
        raise NotVerifiedError(
            f"not verified: {_names([each for each, _ in missing])}",
            cause=missing[0][1].problem,
            hint="what they made is kept; verify them once it is mended: buildnet build --force "
            "--verify 2",
        )


def _names(reports: list[TaskReport]) -> str:
    names = ", ".join(str(each.task) for each in reports[:5])
    return f"{names} and {len(reports) - 5} more" if len(reports) > 5 else names
