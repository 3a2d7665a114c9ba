"""Test reports among what a command made."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildnet.node import junit_reports
from buildnet.node.junit_reports import tests_of as told_of
from buildnet.node.store import Store
from buildnet.pool.tree import DirectoryTree, FileEntry
from buildnet.pool.workspace import Task

TASK = Task("core", "test", "true", "core", junit=("core/*.xml",))
REPORT = b"<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>"


def test_all_reports_of_a_command_together_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path, 1 << 20)
    with closing(store), store.hold() as hold:
        report = FileEntry(hold.put(REPORT), executable=False)
        outputs = DirectoryTree.from_paths({f"core/{number}.xml": report for number in range(3)})
        told: Any = told_of(TASK, outputs, hold)
        assert (told.total, told.failed, told.problem) == (6, 3, None)
        monkeypatch.setattr(junit_reports, "MAX_CASES", 4)
        told = told_of(TASK, outputs, hold)
        assert told.total == 4
        assert "more than 4 tests" in str(told.problem)
        assert told_of(replace(TASK, junit=()), outputs, hold) is None
