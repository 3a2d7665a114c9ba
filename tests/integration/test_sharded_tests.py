"""Tests in shards through the command line and a real node: split, cached one by one, failing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import CommandLine, write_files

TEXT = """\
workspace: w
packages:
  - name: lib
    path: lib
    build_cmd: cp lib.sh out.sh
    sources: [lib/lib.sh]
    outputs: [lib/out.sh]
  - name: core
    path: core
    dependencies: [lib]
    tasks:
      test:
        cmd: |
          . ../lib/out.sh
          for each in {tests}; do sh $each || exit 1; done
          echo {shard} > n{shard}
        tests: ["core/*.test"]
        shards: 3
        outputs: ["core/n{shard}"]
      after: {cmd: "cat n1 n2 n3", depends_on: [test]}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    files = {f"core/{name}.test": f"echo {name}\n" for name in "abcdef"}
    return write_files(tmp_path / "w", {"buildnet.yaml": TEXT, "lib/lib.sh": "true\n", **files})


def entry_of(report: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of the task; its shards are no entries of their own."""
    names = [(entry["name"], entry["task"]) for entry in report["packages"]]
    assert len(names) == len(set(names))
    assert not any("/" in task for _, task in names)
    (found,) = (entry for entry in report["packages"] if entry["task"] == "test")
    return dict(found)


def tiers(report: dict[str, Any]) -> list[str]:
    return sorted(shard["tier"] for shard in entry_of(report)["shards"])


def test_shards_are_cached_one_by_one(node: CommandLine, workspace: Path) -> None:
    first = node.build(workspace, "--task", "after")
    entry = entry_of(first)
    assert (entry["status"], entry["tier"]) == ("succeeded", "full")
    assert [shard["shard"] for shard in entry["shards"]] == ["1/3", "2/3", "3/3"]
    assert [shard["files"] for shard in entry["shards"]] == [2, 2, 2]
    assert {(workspace / f"core/n{number}").read_text() for number in (1, 2, 3)} == {
        "1\n",
        "2\n",
        "3\n",
    }
    # Nothing has changed: the task is told as one that stands, at once from the third time on.
    node.build(workspace, "--task", "after")
    again = node.build(workspace, "--task", "after")
    assert {entry["tier"] for entry in again["packages"]} == {"instant-skip"}
    # An edit of one test runs its shard alone, a new one changes one shard, one that is gone too.
    (workspace / "core/c.test").write_text("echo new\n")
    assert tiers(node.build(workspace, "--task", "test")) == ["full", *["instant-skip"] * 2]
    (workspace / "core/g.test").write_text("echo g\n")
    assert tiers(node.build(workspace, "--task", "test")).count("full") == 1
    # What a shard made is missing: it is put there again.
    node.build(workspace, "--task", "test")
    (workspace / "core/n2").unlink()
    node.build(workspace, "--task", "test")
    assert (workspace / "core/n2").read_text() == "2\n"
    # What all of them see has changed.
    (workspace / "lib/lib.sh").write_text("true #\n")
    assert tiers(node.build(workspace, "--task", "test")) == ["full"] * 3


def test_a_shard_that_fails_hides_none_of_the_others(node: CommandLine, workspace: Path) -> None:
    (workspace / "core/a.test").write_text("echo broken; exit 3\n")
    report = node.build(workspace, "--task", "after", code=1)
    entry = entry_of(report)
    failed = [shard["shard"] for shard in entry["shards"] if shard["status"] == "failed"]
    assert sorted(shard["status"] for shard in entry["shards"]) == [
        "failed",
        "succeeded",
        "succeeded",
    ]
    assert entry["error"]["code"] == "TESTS_FAILED"
    assert entry["error"]["message"] == (
        f"1 of 3 shards failed (shard {failed[0]}): the command failed with exit code 1"
    )
    assert "broken" in entry["output"]
    skipped = [entry["status"] for entry in report["packages"] if entry["task"] == "after"]
    assert skipped == ["skipped"]
    (workspace / "core/a.test").write_text("echo repaired\n")
    found = entry_of(node.build(workspace, "--task", "test"))["shards"]
    assert [shard["shard"] for shard in found if shard["tier"] == "full"] == failed
    listed = node("history", report["build_id"], "--json").data["packages"]
    assert [len(entry["shards"]) for entry in listed if entry["task"] == "test"] == [3]


def test_no_file_is_a_test(node: CommandLine, workspace: Path) -> None:
    for file in workspace.glob("core/*.test"):
        file.unlink()
    entry = entry_of(node.build(workspace, "--task", "test", code=1))
    assert entry["error"]["message"].endswith("no file matches 'core/*.test'")
    plan = node.build(workspace, "--task", "test", "--dry-run", code=1)
    assert entry_of(plan)["status"] == "failed"
