"""What is learned of tests is kept over restarts, and lost rather than believed."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node import kept_tests
from buildnet.node.build_tests import COMMAND, BuildTests
from buildnet.node.kept_tests import KeptTests
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Tier
from buildnet.pool.build import Status
from buildnet.pool.workspace import BUILD, Task, TaskId

TASK = Task("core", "test", "x", "core")
NOBODY = cast(Any, None)


def ran(tests: BuildTests, status: Status, task: Task = TASK) -> TaskReport:
    report = TaskReport(task.id, "here", status, Tier.FULL, action=Digest.of(b"a"))
    if status is Status.FAILED:
        report.error = {"code": "COMMAND_FAILED", "message": "m", "cause": None, "hint": None}
    tests.ran(task, report)
    return report


def test_a_command_that_comes_out_otherwise_is_flaky_also_after_a_restart(tmp_path: Path) -> None:
    tests = BuildTests(KeptTests(tmp_path), NOBODY, "w1")
    assert ran(tests, Status.FAILED).tests is None
    tests.save()
    tests = BuildTests(KeptTests(tmp_path), NOBODY, "w1")
    told = ran(tests, Status.SUCCEEDED).tests
    assert told is not None
    assert told.flaky == (COMMAND,)
    tests.save()
    ((_, _, (flaky,)),) = KeptTests(tmp_path).flaky()
    assert (flaky.task, flaky.name, flaky.count) == (str(TaskId("core", "test")), "", 1)


def test_builds_and_what_did_not_come_out_are_no_tests(tmp_path: Path) -> None:
    kept = KeptTests(tmp_path)
    tests = BuildTests(kept, NOBODY, "w1")
    build = Task("core", BUILD, "x", "core")
    ran(tests, Status.FAILED, build)
    assert ran(tests, Status.SUCCEEDED, build).tests is None
    ran(tests, Status.FAILED)
    assert ran(tests, Status.CANCELLED).tests is None
    tests.save()
    assert [found for *_, found in kept.flaky()] == [()]


def test_a_file_that_makes_no_sense_is_begun_anew(tmp_path: Path) -> None:
    for text in ("", "[]", '{"tasks": {"t": 1}}', "\0"):
        (tmp_path / "w1.json").write_text(text)
        with KeptTests(tmp_path).of("w1") as learned:
            assert learned.outcomes == {}


def test_workspaces_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_tests, "MOST_WORKSPACES", 3)
    kept = KeptTests(tmp_path)
    for number in range(6):
        kept.save(f"w{number}")
        os.utime(tmp_path / f"w{number}.json", (number, number))
    kept.save("w9")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["w4.json", "w5.json", "w9.json"]


def learned(kept: KeptTests, workspace_id: str, name: str) -> None:
    with kept.of(workspace_id) as known:
        known.workspace = name
        known.came_out("core#test", "a" * 64, ["adds"], 1.0)
        known.came_out("core#test", "a" * 64, [], 2.0)
    kept.save(workspace_id)


def test_nobody_waits_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptTests(tmp_path)
    writing, written, replace = threading.Event(), threading.Event(), os.replace

    def slow(source: Path, target: Path) -> None:
        writing.set()
        assert written.wait(30)
        replace(source, target)

    monkeypatch.setattr(os, "replace", slow)
    saves = threading.Thread(target=learned, args=(kept, "one", "shop"))
    saves.start()

    def ask() -> None:
        with kept.of("one") as known:
            assert known.workspace == "shop"

    asked = threading.Thread(target=ask, daemon=True)
    try:
        assert writing.wait(30)
        asked.start()
        asked.join(10)
        assert not asked.is_alive()
    finally:
        written.set()
        saves.join()
    assert (tmp_path / "one.json").is_file()
