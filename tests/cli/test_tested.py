"""What became of tests, and what changed, on a terminal: names are anybody's."""

from __future__ import annotations

from typing import Any

import pytest

from buildnet.cli.build_report import print_report
from buildnet.cli.settings import Settings
from buildnet.cli.tested import print_recorded_tests
from buildnet.cli.watching import _words

EVIL = "a\x1b]0;owned\x07b"


def test_names_and_messages_move_nothing_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tests: dict[str, Any] = {
        "total": 2,
        "passed": 1,
        "failed": 1,
        "skipped": 0,
        "time_ms": 5000.0,
        "failures": [{"name": EVIL, "file": EVIL, "message": EVIL}],
        "slowest": [{"name": EVIL, "time_ms": 4000.0}],
        "flaky": [EVIL],
        "problem": EVIL,
    }
    entry = {"name": "core", "task": "test", "tests": tests}
    print_recorded_tests({"packages": [entry]}, Settings(color="never"))
    said = capsys.readouterr().out
    assert said.count("owned") == 6
    assert not {"\x1b", "\x07"} & {*said}


def test_nor_do_paths_of_changed_files(capsys: pytest.CaptureFixture[str]) -> None:
    affected = [{"name": "core", "why": f"{EVIL} changed"}]
    since = {"base": "c" * 40, "changed_files": 1, "affected": affected}
    report = {
        **{"build_id": "b", "workspace": "w", "dry_run": True, "status": "succeeded"},
        **{"packages": [], "error": None, "since": since, "duration_ms": 1.0},
        **{"isolation_reason": None},
    }
    print_report(report, Settings(color="never"), explain=True)
    event = {"paths": [EVIL], "count": 1, "impact": "INCREMENTAL", "affected": affected}
    said = capsys.readouterr().out + _words(event)
    assert said.count("owned") == 2
    assert not {"\x1b", "\x07"} & {*said}
