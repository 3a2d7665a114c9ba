"""One build of the dashboard: its tasks by its events, and what commands print."""

from __future__ import annotations

import pytest

from buildnet.cli.dashboard.detail import Detail
from buildnet.cli.dashboard.printed import Printed, line_of, shown

NAMES = {"n1": "anna"}


def started() -> Detail:
    detail = Detail("b1")
    detail.take({"type": "build_started", "workspace": "shop", "tasks": 3}, 0.0)
    detail.take({"type": "tasks_up_to_date", "count": 1}, 0.0)
    detail.take({"type": "task_started", "name": "api", "task": "build"}, 1.0)
    return detail


def finished(name: str, status: str = "succeeded", **more: object) -> dict[str, object]:
    entry = {"name": name, "task": "build", "status": status, "tier": "full", "node": "n1"}
    return {"type": "task_finished", **entry, "duration_ms": 250.0, **more}


def lines(detail: Detail, now: float = 5.0) -> list[str]:
    return [row.line.plain.rstrip() for row in detail.panel(80, now, NAMES).rows]


def test_tasks_that_run_come_first_then_those_that_failed() -> None:
    detail = started()
    assert lines(detail) == ["api   running        ≥ 4 s"]
    detail.take({"type": "task_started", "name": "web", "task": "test"}, 2.0)
    detail.take(finished("api"), 3.0)
    detail.take(finished("lib", "failed", error={"message": "exit code 2"}), 4.0)
    assert [line.split() for line in lines(detail)] == [
        ["web#test", "running", "≥", "3", "s"],
        ["lib", "failed", "full", "250", "ms", "anna", "exit", "code", "2"],
        ["api", "succeeded", "full", "250", "ms", "anna"],
    ]
    assert detail.line(80).plain == " Build b1 of shop: running, 3/3 tasks, 1 unchanged"


def test_a_build_that_is_told_again_from_its_beginning_is_counted_once() -> None:
    detail = started()
    detail.take({"type": "build_started", "workspace": "shop", "tasks": 3}, 9.0)
    detail.take({"type": "tasks_up_to_date", "count": 1}, 9.0)
    assert lines(detail) == []
    assert detail.line(80).plain == " Build b1 of shop: running, 1/3 tasks, 1 unchanged"


def test_of_a_build_that_is_over_the_report_tells() -> None:
    detail = Detail("b1")
    assert detail.line(80).plain == " Build b1 of unknown: not known yet"
    report = {
        "status": "failed",
        "workspace": "shop",
        "duration_ms": 5171.0,
        "error": None,
        "packages": [finished("api", "failed", error=None)],
    }
    detail.take({"type": "build_finished", "report": report}, 0.0)
    assert detail.is_over
    assert detail.line(80).plain == " Build b1 of shop: failed, took 5.17 s"
    assert lines(detail)[0].split()[:2] == ["api", "failed"]


def test_output_comes_in_pieces_and_is_shown_in_lines() -> None:
    detail = started()
    piece = {"type": "task_output", "name": "api", "task": "build"}
    assert detail.take({**piece, "text": "one\ntw"}, 1.0) == [("api", "one")]
    assert detail.take({**piece, "text": "o\n\n"}, 1.0) == [("api", "two"), ("api", "")]
    assert list(detail.printed.lines) == [("api", "one"), ("api", "two"), ("api", "")]


def test_what_was_printed_before_is_shown_once_though_the_connection_breaks() -> None:
    detail = started()
    piece = {"type": "task_output", "name": "api", "task": "build", "so_far": True}
    assert detail.take({**piece, "text": "one\n"}, 1.0) == [("api", "one")]
    detail.take({"type": "build_started", "workspace": "shop", "tasks": 2}, 2.0)
    assert detail.take({**piece, "text": "one\n"}, 2.0) == []


def test_pieces_of_several_builds_are_kept_apart_and_no_line_is_endless() -> None:
    printed = Printed()
    piece = {"name": "api", "task": "test"}
    assert printed.take({**piece, "build_id": "b1", "text": "a"}, with_build="b1") == []
    assert printed.take({**piece, "build_id": "b2", "text": "b\n"}, with_build="b2") == [
        ("b2 api#test", "b")
    ]
    assert printed.take({**piece, "build_id": "b1", "text": "\n"}) == [("api#test", "")]
    ((_, line),) = printed.take({**piece, "build_id": "b1", "text": "x" * 9000})
    assert len(line) == 4096


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("\x1b[31mred\x1b[0m plain", "red plain"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[2J\x1b[Hclear", "clear"),
        ("10%\r100%\r", "100%"),
        ("bell\x07", "bell"),
        ("other \x9b2J", "other \ufffd2J"),
        ("a\tb", "a       b"),
        ("cut \x1b[", "cut "),
    ],
)
def test_output_keeps_its_colours_and_says_nothing_else_to_the_terminal(
    line: str, text: str
) -> None:
    assert shown(line).plain == text


def test_colours_of_output_stay() -> None:
    (span,) = shown("\x1b[31mred\x1b[0m plain").spans
    assert (span.start, span.end, str(span.style)) == (0, 3, "color(1)")
    assert line_of("api", "x").plain == "api │ x"
    assert line_of("", "a note").plain == "a note"


def test_long_names_leave_room_for_how_a_build_and_its_tasks_are() -> None:
    long = "name-" + "x" * 95
    detail = Detail("1bf633aa45fc")
    detail.take({"type": "build_started", "workspace": f"{long}-shop", "tasks": 3}, 0.0)
    detail.take({**finished(f"{long}-api", "failed", error=None), "node_name": long}, 1.0)
    assert "-shop: running, 1/3 tasks" in detail.line(80).plain[:80]
    for width in (40, 60, 80, 120):
        (row,) = detail.panel(width, 2.0, {}).rows
        assert row.line.cell_len <= width
        assert all(words in row.line.plain for words in ("-api", "failed", "250 ms"))
