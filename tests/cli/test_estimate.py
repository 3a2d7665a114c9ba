"""How long a build takes, in words."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.build_progress import BuildProgress
from buildnet.cli.build_report import print_report
from buildnet.cli.building import BuildOptions
from buildnet.cli.client import Client
from buildnet.cli.estimate import estimate
from buildnet.cli.settings import Settings
from buildnet.cli.testing import FakeNode, http_answer

KNOWN: dict[str, Any] = {
    "estimated_ms": 12_400,
    "interval_ms": [10_900, 14_200],
    "confidence": 0.9,
    "confidence_level": "high",
    "parallelization_factor": 1.82,
    "network_overhead_ms": 35,
    "unchanged": 3,
    "packages": [
        {
            "name": "core",
            "task": "test",
            "plan": "run",
            "estimated_ms": 9000,
            "begins_ms": 0,
            "node": "anna",
            "measured": 5,
        }
    ],
    "problems": [{"name": "odd", "task": "build", "message": "no file matches 'x'"}],
}


def printed(directory: Path, found: dict[str, Any]) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "node.sock"))
    with FakeNode(listener, http_answer(json.dumps(found))) as node:
        client = Client(socket_path=directory / "node.sock")
        settings = Settings(color="never")
        assert estimate(BuildOptions(directory=directory, task="test"), settings, client) == 0
    assert node.body["task"] == "test"


def test_it_says_what_section_9_of_the_plan_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed(tmp_path, KNOWN)
    said = capsys.readouterr()
    assert said.out.splitlines()[:3] == [
        "Estimated time: ~12.40 s (high confidence; four times of five 10.90 s to 14.20 s)",
        "Parallelization: 1.8x speedup",
        "Network overhead: 35 ms",
    ]
    assert "core#test" in said.out
    assert said.err == "odd would fail: no file matches 'x'\n"


def test_what_is_not_known_is_not_made_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = {**KNOWN["packages"][0], "estimated_ms": None, "begins_ms": None, "measured": 0}
    printed(tmp_path, {**KNOWN, "estimated_ms": None, "packages": [package], "problems": []})
    said = capsys.readouterr().out
    assert said.startswith("Estimated time: unknown")
    assert "never" in said


def test_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(tmp_path, {**KNOWN, "packages": [], "problems": []})
    assert capsys.readouterr().out == "nothing to do: 3 up to date\n"


def test_a_build_says_once_how_long_it_takes_and_then_what_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    progress = BuildProgress(Settings(color="never", progress="tty"), lines=True)
    event = {**KNOWN, "type": "estimate", "left_ms": 12_300}
    progress.show({"type": "task_started", "name": "core", "task": "build"})
    progress.show(event)
    progress.show({**event, "left_ms": 7_700})
    said = capsys.readouterr().err
    assert said.count("takes about 12.40 s (10.90 s to 14.20 s, high confidence)") == 1
    assert "about 12 s left · running core" in said
    assert said.rstrip().endswith("about 8 s left · running core")
    progress.show({**event, "left_ms": 300})
    assert "left" not in capsys.readouterr().err


def test_of_a_short_build_there_is_no_word_of_that(capsys: pytest.CaptureFixture[str]) -> None:
    progress = BuildProgress(Settings(color="never", progress="plain"), lines=True)
    progress.show({**KNOWN, "type": "estimate", "left_ms": 900})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("takes_ms", "lines"), [(12_400, 1), (900, 0)])
def test_a_dry_run_says_it_too_where_that_is_worth_a_line(
    takes_ms: int, lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    estimate = {**KNOWN, "estimated_ms": takes_ms}
    report: dict[str, Any] = {
        "status": "succeeded",
        "error": None,
        "packages": [],
        "estimate": estimate,
    }
    assert print_report(report, Settings(color="never"), dry_run=True) == 0
    said = capsys.readouterr().out
    assert said.count("It would take about 12.40 s (10.90 s to 14.20 s, high confidence).") == lines
    assert bool(said) == bool(lines)
