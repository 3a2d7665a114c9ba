"""Where a command runs: on other hosts, again on others, at home; and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.node.capacity import Capacity
from buildnet.node.dispatch import Dispatcher
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.isolation import STRICT
from buildnet.node.pausing import Pausing
from buildnet.node.progress import Progress
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Prepared, Tier
from buildnet.node.sharing.borrower import Borrowed
from buildnet.node.sharing.errands import LostHostError, SilentHostError, WrongHostError
from buildnet.node.sharing.other_hosts import OtherHost, OtherHosts
from buildnet.node.sharing.remote_executor import OnlyHereError, UnfitHostError
from buildnet.node.telling import Telling
from buildnet.node.workers import Workers
from buildnet.pool import attempts
from buildnet.pool.action import ActionSpec, encode_action
from buildnet.pool.build import Status
from buildnet.pool.tree import EMPTY_TREE
from buildnet.pool.workspace import Task

HOME = "home"

Way = Callable[[TaskReport], None]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PAUSES_S", (0.0, 0.0))


def succeed(report: TaskReport) -> None:
    report.status, report.tier, report.exit_code = Status.SUCCEEDED, Tier.FULL, 0


def failing(exit_code: int) -> Way:
    def fail(report: TaskReport) -> None:
        report.exit_code, report.tier = exit_code, Tier.FULL
        message = f"the command failed with exit code {exit_code}"
        report.error = {"code": "COMMAND_FAILED", "message": message, "cause": None, "hint": None}

    return fail


def raising(error: BuildNetError) -> Way:
    def fail(report: TaskReport) -> None:
        raise error

    return fail


@dataclass(slots=True, eq=False)
class Host(OtherHost):
    """One that runs what it gets as a test says."""

    @property
    def name(self) -> str:
        return self.lease.owner.decode()

    def executor(self, *_: Any, **__: Any) -> Any:
        return self.name


class Dispatched:
    """One command that was dispatched, to one host after the other that is not avoided, then home:
    ``report``, and where it ``ran``."""

    def __init__(self, at_home: Way = succeed, **ways: Way) -> None:
        self.ran: list[str] = []
        self.ended: list[str] = []
        self.progress = Progress()
        asyncio.run(self._run({HOME: at_home, **ways}))

    async def _run(self, ways: dict[str, Way]) -> None:
        def run(report: TaskReport, prepared: Prepared, token: CancelToken, **options: Any) -> None:
            racing = options.get("executor")
            name = HOME if racing is None else racing.executor
            self.ran.append(name)
            ways[name](report)

        spec = ActionSpec("make", "", {}, (), {"isolation": STRICT}, EMPTY_TREE)
        prepared = Prepared(Task("core", "build", "core", "make"), encode_action(spec), {})
        hosts = self._hosts()
        workers = Workers(Capacity(1))
        dispatcher = Dispatcher(
            workers=workers,
            runner=cast(Any, SimpleNamespace(run=run, label=lambda task: "core", cpus=())),
            resolver=cast(Any, SimpleNamespace(force=False)),
            dependencies=None,
            results=None,
            hold=cast(Any, None),
            telling=Telling(HOME, self.progress),
            resolving=asyncio.Lock(),
            attempts=hosts.attempts,
            pausing=Pausing(),
        )
        report = None
        while report is None:
            avoided = hosts.attempts[prepared.task.id].owners | hosts.borrowing.unfit
            names = [name for name in ways if name != HOME and name.encode() not in avoided]
            host = None
            if names and hosts.may_take(prepared):
                host = Host(hosts, Borrowed(b"lease", names[0].encode(), "build", busy=True))
            report = await asyncio.wait_for(dispatcher.execute(prepared, host, CancelToken()), 30)
        workers.close()
        self.report = report
        self.aside = sorted(owner.decode() for owner in hosts.borrowing.unfit)
        assert self.ended == [name for name in self.ran if name != HOME]

    def _hosts(self) -> OtherHosts:
        hosts = OtherHosts(cast(Any, None), cast(Any, None))
        borrower = SimpleNamespace(
            end_of=lambda borrowing, lease: self.ended.append(lease.owner.decode())
        )
        hosts.borrowing = cast(Any, SimpleNamespace(unfit=set(), leases={}, borrower=borrower))
        return hosts

    @property
    def reasons(self) -> list[tuple[str | None, str]]:
        return [(each.node_name, each.why) for each in self.report.attempts]


def test_a_command_runs_on_another_host_where_none_is_free_here() -> None:
    done = Dispatched(a=succeed)
    assert done.ran == ["a"]
    assert (done.report.node, done.report.node_name) == (node_id_of(b"a"), "a")
    assert done.report.attempts == ()


def test_a_command_is_tried_on_three_hosts_and_then_at_home() -> None:
    lost = {name: raising(LostHostError(f"{name} is gone")) for name in "abcd"}
    done = Dispatched(**lost)
    assert done.ran == ["a", "b", "c", HOME]
    assert done.report.status is Status.SUCCEEDED
    assert (done.report.node, done.report.node_name) == (HOME, None)
    assert done.reasons == [(name, f"{name} is gone") for name in "abc"]
    assert done.aside == []


def test_what_two_hosts_refuse_alike_is_tried_on_no_third() -> None:
    done = Dispatched(**{name: raising(UnfitHostError("it is too deep")) for name in "abc"})
    assert done.ran == ["a", "b", HOME]
    assert done.aside == []  # it may do for other commands
    assert done.progress.notices == []


@pytest.mark.parametrize(
    "error", [SilentHostError("it says nothing"), WrongHostError("it lies", cause="really")]
)
def test_a_host_that_cannot_be_relied_on_is_set_aside_and_told(error: BuildNetError) -> None:
    done = Dispatched(a=raising(error), b=succeed)
    assert done.ran == ["a", "b"]
    assert done.aside == ["a"]
    (notice,) = done.progress.notices
    assert notice.startswith("a is not used any more in this build: it ")
    assert done.report.as_dict()["attempts"][0]["code"] == error.code


def test_a_failure_that_may_be_the_hosts_is_tried_elsewhere() -> None:
    done = Dispatched(a=failing(127), b=succeed)
    assert done.ran == ["a", "b"]
    assert done.report.status is Status.SUCCEEDED
    assert done.reasons == [("a", "the command failed with exit code 127")]


def test_the_same_failure_on_two_hosts_is_the_builds() -> None:
    done = Dispatched(a=failing(137), b=failing(137), c=succeed)
    assert done.ran == ["a", "b"]
    assert done.report.status is Status.FAILED
    assert done.report.exit_code == 137
    assert [name for name, _ in done.reasons] == ["a", "b"]


def test_a_failure_of_its_own_is_taken_at_its_word() -> None:
    done = Dispatched(a=failing(1), b=succeed)
    assert done.ran == ["a"]
    assert done.report.status is Status.FAILED


def test_what_cannot_be_asked_for_elsewhere_runs_here_at_once() -> None:
    only_here = raising(OnlyHereError("it does not fit", cause="70000 bytes"))
    done = Dispatched(a=only_here, b=only_here)
    assert done.ran == ["a", HOME]
    assert done.report.attempts == ()


def test_what_no_host_can_run_is_told_as_given_up() -> None:
    done = Dispatched(
        raising(BuildNetError("no room at home")), a=raising(LostHostError("a is gone"))
    )
    assert done.ran == ["a", HOME]
    assert done.report.could_not_run
    assert (done.report.error or {})["message"] == "no room at home"
