"""What is printed of a build: above all that nothing is told twice or without need."""

from __future__ import annotations

from typing import Any

import pytest

from buildnet.cli.build_report import outcome_text, print_report, task_name
from buildnet.cli.settings import Settings

REASON = "user namespace: unshare: Operation not permitted"


def entry(name: str, tier: str, isolation: str | None, task: str = "build") -> dict[str, Any]:
    return {
        "name": name,
        "task": task,
        "status": "succeeded",
        "tier": tier,
        "isolation": isolation,
        "duration_ms": 3.0,
        "hints": [],
        "error": None,
    }


def report(reason: str | None, *packages: dict[str, Any]) -> dict[str, Any]:
    return {
        "build_id": "b1",
        "status": "succeeded",
        "duration_ms": 5.0,
        "error": None,
        "isolation_reason": reason,
        "packages": list(packages),
    }


def test_less_isolation_than_usual_is_told_once_with_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran = (entry("a", "full", "staged"), entry("b", "full", "staged"))
    assert print_report(report(REASON, *ran), Settings()) == 0
    said = capsys.readouterr().err
    assert said == f"note: commands ran in staged, not in strict: {REASON}\n"


@pytest.mark.parametrize(
    "quiet",
    [
        report(None, entry("a", "full", "staged")),  # the package asks for it
        report(REASON, entry("a", "instant-skip", "staged"), entry("b", "local-cache", "staged")),
        report(REASON, entry("dependencies", "full", "staged", task="install")),
        report(None, entry("a", "full", "strict")),
    ],
)
def test_where_nothing_ran_with_less_nothing_is_said(
    quiet: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(quiet, Settings())
    assert capsys.readouterr().err == ""


def test_what_was_cancelled_while_it_ran_is_not_said_not_to_have_run() -> None:
    ran = entry("a", "full", "strict") | {"status": "cancelled"}
    waited = entry("b", "full", "strict") | {"status": "cancelled", "tier": None}
    skipped = waited | {"status": "skipped"}
    assert outcome_text(ran) == ("-", "cancelled: ended after 3 ms")
    assert outcome_text(waited) == ("-", "cancelled: not run")
    assert outcome_text(skipped) == ("-", "skipped: what it depends on failed")


def test_a_build_that_failed_before_it_began_is_not_said_to_have_had_nothing_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = {"code": "HOOK_FAILED", "message": "the hook failed", "cause": None, "hint": None}
    assert print_report(report(None) | {"status": "failed", "error": error}, Settings()) == 1
    assert capsys.readouterr().out == "failed: 0 packages in 5 ms · build b1\n"


@pytest.mark.parametrize(
    ("tier", "status", "words"),
    [
        ("full", "succeeded", "built on demo-3, 3 ms"),
        ("pool-cache", "succeeded", "from the pool's cache (demo-3), 3 ms"),
        ("full", "failed", "failed on demo-3: it did"),
        ("instant-skip", "succeeded", "up to date"),
    ],
)
def test_another_node_that_did_it_is_named(tier: str, status: str, words: str) -> None:
    told = entry("a", tier, "strict") | {"node_name": "demo-3", "status": status}
    assert outcome_text(told | {"error": {"message": "it did"}})[1] == words


def test_a_dry_run_says_where_commands_would_run_unless_all_stay_here(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(**places: dict[str, Any]) -> list[str]:
        packages = [
            {**entry(name, "full", "strict"), "plan": "run", "reasons": [], "place": place}
            for name, place in places.items()
        ]
        print_report(report(None, *packages), Settings(), dry_run=True)
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    here = {"node": "a", "node_name": None, "why": None}
    there = {"node": "b", "node_name": "berta", "why": None}
    nowhere = {"node": None, "node_name": None, "why": "not on berta: it has no label gpu"}
    assert said(core=here, app=here) == ["core would run", "app would run"]
    assert said(core=here, app=there) == ["core would run here", "app would run on berta"]
    assert said(core=nowhere) == [
        "core would run, but nowhere now: not on berta: it has no label gpu"
    ]


def test_no_name_of_a_file_speaks_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\x1b]0;title\x07\n.txt"
    ran = entry("a", "full", "strict") | {"reasons": [f"file {name} added"]}
    error = {"code": "SOURCE", "message": name, "cause": name, "hint": name}
    failed = entry("b", "full", "strict") | {
        "status": "failed",
        "error": error,
        "reasons": [],
        "output": None,
    }
    since = {"base": "0" * 40, "changed_files": 1, "affected": [{"name": "a", "why": name}]}
    found = report(None, ran, failed) | {"since": since}
    print_report(found, Settings(), explain=True)
    planned = report(None, ran | {"plan": "run"}, failed | {"plan": None}) | {"since": since}
    print_report(planned, Settings(), dry_run=True)
    said = "".join(capsys.readouterr())
    assert said.count("]0;title") >= 7
    assert "\x1b" not in said
    assert "\x07" not in said
    # Nor does it begin lines, but for the three texts of an error.
    lines = [line for line in said.split("\n") if line.startswith(".txt")]
    assert len(lines) == 3


def test_a_name_of_elsewhere_does_not_turn_the_line_around() -> None:
    assert task_name({"name": "a\u202eb", "task": "t\x1b[31m"}) == "a\ufffdb#t\ufffd[31m"
