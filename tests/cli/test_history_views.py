"""What is shown of recorded builds: on terminals of any width, and nothing that is not known."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from buildnet.cli import history_views as views
from buildnet.cli.history import list_builds, no_builds
from buildnet.cli.history_records import Asked
from buildnet.mesh.errors import UsageError
from buildnet.pool.comparison import compare
from buildnet.pool.recorded import RecordedBuild
from buildnet.pool.review import review
from buildnet.pool.timeline import EXECUTION, LOOKUP, QUEUE, RESTORE
from testbed.recorded_builds import build_of, large_build, task_of

BUILD = build_of(
    task_of("base", 0, {LOOKUP: 10, EXECUTION: 290}),
    task_of("core", 300, {QUEUE: 100, EXECUTION: 600}, needs=["base"]),
    task_of("there", 0, {LOOKUP: 5, RESTORE: 5}, executed_ms=2000.0),
    task_of("other", 250, {EXECUTION: 160}),
)


def printed(show: Any, *arguments: Any, width: int = 80) -> str:
    stream = io.StringIO()
    show(Console(file=stream, width=width, highlight=False), *arguments)
    return stream.getvalue()


def test_of_what_no_build_tells_of_there_are_no_trends() -> None:
    none: dict[str, Any] = {"tasks": [], "workspace": "shop", "package": "app"}
    assert printed(views.print_trends, none) == "no build here tells of app in shop\n"
    none = {"tasks": [], "workspace": None, "package": None}
    assert printed(views.print_trends, none) == "no builds here\n"


def test_of_an_actor_without_builds_nothing_is_summed_up() -> None:
    others = {"builds": 1, "median_error": 0.1, "within_interval": 1.0}
    none = no_builds("agent:ci", "failed", "anna", goes_on=False)
    said = printed(list_builds, {"builds": [], "estimates": others, "next": None}, none)
    assert said == "no failed builds of agent:ci on anna\n"
    assert no_builds(None, None, None, goes_on=True) == "no more builds"


def test_flaky_tests_go_on_where_the_list_ended() -> None:
    one = {"name": "t", "task": "a#test", "workspace": "w", "count": 2, "last_at": 0.0}
    said = printed(views.print_flaky, {"flaky": [one | {"node": None}], "next": "0.ab"})
    assert "more: buildnet history --flaky --cursor 0.ab" in said
    assert "more" not in printed(views.print_flaky, {"flaky": [one | {"node": None}], "next": None})


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_a_timeline_is_no_wider_than_the_terminal(width: int) -> None:
    lines = printed(views.print_timeline, BUILD, width=width).splitlines()
    bars = [line for line in lines if line.startswith(("base", "core", "there", "other"))]
    assert len(bars) == 4
    assert max(map(len, bars)) <= width


def test_bars_stand_where_the_parts_were() -> None:
    base, there, _, core = (
        line[len("there") + 11 :]
        for line in printed(views.print_timeline, BUILD, width=116).splitlines()[1:5]
    )
    assert base.startswith("·")
    assert there.startswith("·") or there.startswith("▪")
    assert set(base.strip()) == {"·", "█"}
    assert core.startswith(" " * 29)
    assert core.strip().startswith("░")
    assert 55 <= core.count("█") <= 62


def test_of_many_tasks_those_are_shown_that_took_longest() -> None:
    said = printed(views.print_timeline, large_build(200), width=80)
    assert "… 160 more that took less" in said
    assert printed(views.print_timeline, build_of(task_of("a", 0, {}))) == ""


def test_names_of_others_do_nothing_to_the_terminal() -> None:
    build = build_of(task_of("[red]x\x1b[31m", 0, {EXECUTION: 10}))
    said = printed(views.print_timeline, build)
    assert "\x1b" not in said
    assert "[red]x" in said


def test_the_review_tells_path_savings_and_what_would_save() -> None:
    said = printed(views.print_review, review(BUILD).as_dict(), width=200)
    assert "critical path 1.00 s, 90% of it work: base → core" in said
    assert "saved 1 result that was there: their commands ran 2.00 s where they were made" in said
    assert "1 task waited 0.1 s in all for a slot (at most 100 ms)" in said
    assert "not built here before" in said


def test_where_nothing_was_measured_that_is_said() -> None:
    said = printed(views.print_review, review(build_of(task_of("a", 0, {}))).as_dict())
    assert "nothing was measured" in said


def test_a_comparison_shows_what_differs_alone() -> None:
    other = build_of(
        task_of("base", 0, {LOOKUP: 10, EXECUTION: 290}),
        task_of("core", 300, {EXECUTION: 900}, needs=["base"]),
        task_of("there", 0, {EXECUTION: 2000}),
        task_of("other", 250, {EXECUTION: 160}),
    )
    found = compare(BUILD, other, lambda old, new: None).as_dict()
    said = printed(views.print_comparison, found, width=120)
    assert "base" not in said
    assert "+300 ms" in said
    assert "local-cache → full" in said
    same = compare(BUILD, BUILD, lambda old, new: None).as_dict()
    assert "every task came the same way" in printed(views.print_comparison, same, width=120)


def test_a_line_or_two_after_a_long_build() -> None:
    path, slots = views.in_short(
        {
            "build_id": BUILD.id,
            "workspace": "shop",
            "status": "succeeded",
            "started_at": 0.0,
            "duration_ms": 1000.0,
            "packages": [dict(task.data) for task in BUILD.tasks],
        }
    )
    assert path == "critical path 1.00 s: base → core"
    assert slots.endswith("buildnet history bbbbbbbbbbbb --review")


def test_a_curve_has_a_character_for_each_value() -> None:
    assert views.sparkline([]) == ""
    assert views.sparkline([0.0, 0.0]) == "▁▁"
    assert views.sparkline([1.0, 4.0, 8.0]) == "▂▅█"


def asked(build: str | None = None, **more: Any) -> Asked:
    nothing: dict[str, Any] = {"review": False, "trace": None, "compare": None, "trends": False}
    return Asked(build, **{**nothing, **more})


def test_one_thing_is_shown_at_a_time_and_of_a_build_that_is_named() -> None:
    assert not asked().is_of_records
    assert asked("b", review=True).is_of_records
    assert asked(trends=True).is_of_records
    for wrong in (asked(review=True), asked("b", review=True, trace=Path("x"))):
        with pytest.raises(UsageError):
            assert wrong.is_of_records


def test_the_record_of_a_report_is_read_as_one() -> None:
    assert RecordedBuild.from_dict({**_report(), "phases": None}).measured == BUILD.measured


def _report() -> dict[str, Any]:
    return {
        "build_id": "b",
        "workspace": "shop",
        "status": "running",
        "started_at": 1.5,
        "packages": [dict(task.data) for task in BUILD.tasks],
    }


def test_a_part_that_only_a_later_version_knows_has_its_place_in_a_bar() -> None:
    entry = task_of("told", 0, {EXECUTION: 5})
    entry["timeline"]["parts"][0]["name"] = "teleport"
    (task,) = build_of(entry).tasks
    assert "▒" in views.bar(task, task.began_ns, task.ended_ns, 10)
