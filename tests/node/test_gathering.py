"""What is told of a task that was split, and when commands run again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.gathering import gather
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Tier
from buildnet.node.retrying import Retrying
from buildnet.pool.build import Status
from buildnet.pool.junit import Case
from buildnet.pool.tested import TaskTests
from buildnet.pool.workspace import BUILD, Shard, Task, TaskId

WHOLE = TaskId("core", "test")
FAILED = {"code": "COMMAND_FAILED", "message": "exit code 1", "cause": None, "hint": None}


def shard(index: int, status: Status = Status.SUCCEEDED, tier: Tier = Tier.FULL) -> TaskReport:
    report = TaskReport(TaskId("core", f"test {index + 1}/3"), "here", status, tier)
    report.shard = Shard("test", index, 3, ("a",))
    report.duration_ms, report.ended_ns = 100.0, (index + 2) * 100_000_000
    report.action = Digest.of(bytes([index]))
    if status is Status.FAILED:
        report.error, report.exit_code, report.output = dict(FAILED), 7, f"output {index}"
    return report


def gathered(*shards: TaskReport, status: Status = Status.SUCCEEDED) -> TaskReport:
    report = TaskReport(WHOLE, "here", status)
    gather(report, shards)
    return report


def test_all_shards_together() -> None:
    report = gathered(shard(0), shard(1, tier=Tier.LOCAL_CACHE), shard(2, tier=Tier.INSTANT_SKIP))
    assert (report.status, report.tier, report.action) == (Status.SUCCEEDED, Tier.FULL, None)
    assert report.duration_ms == 100.0
    assert [each["shard"] for each in report.as_dict()["shards"]] == ["1/3", "2/3", "3/3"]
    # From the first one's start to the last one's end.
    assert gathered(shard(0), shard(2)).duration_ms == 300.0


def test_one_that_failed_fails_all() -> None:
    report = gathered(shard(0), shard(1, Status.FAILED), shard(2, Status.FAILED))
    assert (report.status, report.exit_code, report.output) == (Status.FAILED, 7, "output 1")
    assert report.error is not None
    assert report.error["code"] == "TESTS_FAILED"
    assert report.error["message"] == "2 of 3 shards failed (shard 2/3): exit code 1"


def test_the_tests_that_failed_are_named() -> None:
    broken = shard(1, Status.FAILED)
    cases = [Case(f"t{number}", "failed", 1.0, "why") for number in range(7)]
    broken.tests = TaskTests.of(cases, {})
    fine = shard(0)
    fine.tests = TaskTests.of([Case("ok", "passed", 1.0)], {})
    report = gathered(fine, broken)
    assert report.error is not None
    assert report.error["message"] == "7 of 8 tests failed: t0, t1, t2, t3, t4 and 2 more"
    assert report.tests is not None
    assert (report.tests.total, report.tests.failed) == (8, 7)


def test_why_all_failed_in_one_way_is_kept() -> None:
    late = shard(1, Status.FAILED)
    late.error = {**FAILED, "code": "TIMED_OUT"}
    assert (gathered(late).error or {})["code"] == "TIMED_OUT"


@pytest.mark.parametrize("status", [Status.SKIPPED, Status.CANCELLED])
def test_what_did_not_run_is_told_as_such(status: Status) -> None:
    report = gathered(shard(0), shard(1, status), status=status)
    assert (report.status, report.error) == (status, None)


TASK = Task("core", "test", "x", "core", retries=1)


def ended(code: str | None = "COMMAND_FAILED", node: str = "here") -> TaskReport:
    status = Status.SUCCEEDED if code is None else Status.FAILED
    report = TaskReport(WHOLE, node, status, Tier.FULL, exit_code=1)
    report.error = None if code is None else {**FAILED, "code": code}
    report.tests = TaskTests.of([Case("t", "failed", 1.0)], {})
    return report


def test_a_command_runs_again_as_often_as_its_task_says() -> None:
    retrying = Retrying()
    first, second = ended(node="far"), ended()
    assert retrying.again(TASK, first, b"far")
    assert retrying.tried[WHOLE] == {b"far"}
    assert not retrying.again(TASK, second, None)
    assert [(each.node, each.failed) for each in second.retries] == [("far", ("t",))]


def test_what_was_asked_for_counts_where_it_is_more_and_not_for_builds() -> None:
    retrying = Retrying(2)
    assert [retrying.again(TASK, ended(), None) for _ in range(3)] == [True, True, False]
    build = replace(TASK, name=BUILD, retries=0)
    assert not retrying.again(build, ended(), None)


@pytest.mark.parametrize("code", [None, "OUTPUT_MISSING", "TOOL_MISSING", "LIMIT_EXCEEDED"])
def test_what_passed_or_could_not_run_does_not_run_again(code: str | None) -> None:
    assert not Retrying(3).again(TASK, ended(code), None)


def test_what_runs_too_long_does() -> None:
    assert Retrying(1).again(TASK, ended("TIMED_OUT"), None)
