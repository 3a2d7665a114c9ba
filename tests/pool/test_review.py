"""What builds can be learned from, as far as that was measured."""

from __future__ import annotations

import json
from typing import Any

from buildnet.pool.review import review
from buildnet.pool.timeline import EXECUTION, LOOKUP, QUEUE, RESTORE, TRANSFER, UPLOAD
from testbed.recorded_builds import build_of, large_build, task_of


def kinds(*tasks: dict[str, Any]) -> list[str]:
    return [finding.kind for finding in review(build_of(*tasks)).findings]


def test_savings_are_what_commands_took_where_their_results_were_made() -> None:
    found = review(
        build_of(
            task_of("there", 0, {LOOKUP: 2, RESTORE: 3}, executed_ms=400.0),
            task_of("as before", 0, {}, executed_ms=100.0),
            task_of("forgotten", 0, {LOOKUP: 1}, executed_ms=None),
            task_of("sources", 0, {LOOKUP: 1}, action=None),
            task_of("ran", 5, {EXECUTION: 50}),
        )
    ).savings
    assert (found.tasks, found.executed_ms, found.unknown, found.spent_ms) == (3, 500, 1, 6)
    assert found.by_tier == {"instant-skip": 2, "local-cache": 1}


def test_what_ran_is_told_with_its_reasons_the_longest_first() -> None:
    nearest = {"action": "c", "reasons": ["command changed"], "changes": []}
    found = review(
        build_of(
            task_of("short", 0, {EXECUTION: 10}),
            task_of("long", 0, {EXECUTION: 90}, reasons=["file a changed"], nearest=nearest),
        )
    ).as_dict()
    assert [one["task"] for one in found["missed"]] == ["long", "short"]
    assert found["missed"][0] == {
        "task": "long",
        "executed_ms": 90,
        "reasons": ["file a changed"],
        "nearest": ["command changed"],
    }


def test_slots_are_missed_only_where_waiting_cost_time() -> None:
    waits = task_of("two", 0, {QUEUE: 400, EXECUTION: 400})
    assert kinds(task_of("one", 0, {EXECUTION: 400}), waits) == ["slots"]
    (finding,) = review(build_of(task_of("one", 0, {EXECUTION: 400}), waits)).findings
    assert finding.saves_ms == 400
    assert kinds(task_of("one", 0, {EXECUTION: 1000}), waits) == []


def test_commands_that_took_longer_to_bring_than_to_run() -> None:
    far = {"node": "e" * 16, "node_name": "berta"}
    assert kinds(task_of("a", 0, {TRANSFER: 300, EXECUTION: 50, UPLOAD: 100}, **far)) == [
        "transfer"
    ]
    assert kinds(task_of("a", 0, {TRANSFER: 10, EXECUTION: 50}, **far)) == []
    assert kinds(task_of("a", 0, {TRANSFER: 300, EXECUTION: 50})) == []


def change(kind: str, name: str, package: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "name": name, "what": "changed", "package": package}


def test_files_that_nobody_named_as_sources() -> None:
    def ran(changes: list[dict[str, Any]], all_files: bool = True) -> list[str]:
        return kinds(task_of("a", 0, {EXECUTION: 50}, changes=changes, all_files=all_files))

    assert ran([change("file", "a/README.md")]) == ["sources"]
    assert ran([change("file", "a/README.md")], all_files=False) == []
    assert ran([change("file", "a/README.md"), change("tool", "node")]) == []
    assert ran([change("file", "b/out", "b")]) == []
    assert ran([]) == []


def test_results_that_no_other_host_uses() -> None:
    assert kinds(task_of("a", 0, {EXECUTION: 50}, isolation="staged")) == ["isolation"]
    assert kinds(task_of("a", 0, {LOOKUP: 1, RESTORE: 2}, isolation="staged")) == []


def test_each_task_of_the_path_has_its_share_of_the_build() -> None:
    found = review(
        build_of(
            task_of("base", 0, {EXECUTION: 300}),
            task_of("core", 300, {QUEUE: 100, EXECUTION: 600}, needs=["base"]),
        )
    ).as_dict()["critical_path"]
    assert (found["ms"], found["work_ms"], found["share"]) == (1000, 900, 0.9)
    assert [step["share"] for step in found["steps"]] == [0.3, 0.6]


def test_nothing_measured_is_nothing_learned() -> None:
    found = review(build_of(task_of("a", 0, {}))).as_dict()
    assert found["critical_path"] == {"ms": 0.0, "work_ms": 0.0, "share": None, "steps": []}
    assert found["findings"] == found["missed"] == []


def test_records_of_earlier_versions_are_read() -> None:
    old = task_of("a", 0, {EXECUTION: 50})
    for field in ("timeline", "executed_ms", "depends_on", "all_files"):
        del old[field]
    found = review(build_of(old, phases=None))
    assert found.path == ()
    assert [task.name for task in found.missed] == ["a"]


def test_a_large_review_is_json_of_bounded_size() -> None:
    found = review(large_build(500)).as_dict()
    assert len(found["missed"]) <= 100 < found["missed_count"]
    assert json.loads(json.dumps(found)) == found
