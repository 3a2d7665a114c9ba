"""What is told of a task is made once, and still says what is found later."""

from __future__ import annotations

from unittest import mock

from buildnet.node.report import TaskReport
from buildnet.pool.build import Status
from buildnet.pool.workspace import TaskId


def _report() -> TaskReport:
    return TaskReport.of(TaskId("core", "build"), "a-node", Status.SUCCEEDED)


def test_all_who_are_told_are_told_the_same() -> None:
    report = _report()
    assert report.told() == report.as_dict()
    with mock.patch.object(TaskReport, "as_dict", side_effect=AssertionError("made again")):
        assert report.told()["name"] == "core"


def test_what_is_found_later_is_told_later() -> None:
    report = _report()
    report.told()
    report.executed_ms, report.place = 12.5, {"node": "another"}
    assert report.told() == report.as_dict()
    assert report.told()["executed_ms"] == 12.5
