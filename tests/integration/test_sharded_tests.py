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
    without = node("history", first["build_id"], "--log", "core#test")
    assert (without.code, "core#test 1/3" in without.err) == (6, True)
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


def test_what_former_shards_left_is_removed(node: CommandLine, workspace: Path) -> None:
    def build(shards: int) -> dict[str, str]:
        text = TEXT.replace("shards: 3", f"shards: {shards}")
        (workspace / "buildnet.yaml").write_text(text)
        node.build(workspace, "--task", "test")
        return {path.name: path.read_text() for path in sorted(workspace.glob("core/n*"))}

    write_files(workspace, {"core/n9": "mine\n"})
    assert build(5) == {**{f"n{number}": f"{number}\n" for number in range(1, 6)}, "n9": "mine\n"}
    (workspace / "core/n4").write_text("edited\n")
    (workspace / "buildnet.yaml").write_text(TEXT)
    node.build(workspace, "--task", "test", "--dry-run")
    assert (workspace / "core/n5").exists()
    assert build(3) == {"n1": "1\n", "n2": "2\n", "n3": "3\n", "n4": "edited\n", "n9": "mine\n"}
    (workspace / "core/n4").unlink()
    assert set(build(5)) == {"n1", "n2", "n3", "n4", "n5", "n9"}  # from the cache
    assert set(build(1)) == {"n1", "n9"}


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
    build = report["build_id"]
    listed = node("history", build, "--json").data["packages"]
    assert [len(entry["shards"]) for entry in listed if entry["task"] == "test"] == [3]
    assert f"core#test {failed[0]}" in node("history", build).out
    assert "broken" in node("history", build, "--log", f"core#test {failed[0]}").out
    passed = next(shard for shard in entry["shards"] if shard["shard"] != failed[0])
    assert "broken" not in node("history", build, "--log", f"core#test {passed['shard']}").out
    assert node("history", build, "--log", "core#test 9/9").code == 6


def test_no_file_is_a_test(node: CommandLine, workspace: Path) -> None:
    for file in workspace.glob("core/*.test"):
        file.unlink()
    entry = entry_of(node.build(workspace, "--task", "test", code=1))
    assert entry["error"]["message"].endswith("no file matches 'core/*.test'")
    plan = node.build(workspace, "--task", "test", "--dry-run", code=1)
    assert entry_of(plan)["status"] == "failed"


JUNIT = """\
workspace: w
packages:
  - name: core
    path: core
    isolation: workspace
    tasks:
      test:
        cmd: |
          echo '<testsuite>' > out-{shard}.xml; code=0
          for each in {tests}; do
            if sh $each; then why=; else why='<failure message="no"/>'; code=1; fi
            echo "<testcase classname='$each' name='x' time='0.5'>$why</testcase>"
          done >> out-{shard}.xml
          echo '</testsuite>' >> out-{shard}.xml; exit $code
        tests: ["core/*.test"]
        shards: 2
        junit: core/out-{shard}.xml
"""


def test_reports_of_tests_and_what_is_flaky(node: CommandLine, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    flaky = f"test -e {seen} || {{ touch {seen}; exit 1; }}\n"
    files = {"core/a.test": "true\n", "core/b.test": "false\n", "core/c.test": flaky}
    workspace = write_files(tmp_path / "w", {"buildnet.yaml": JUNIT, **files})
    report = node.build(workspace, "--task", "test", "--retry", "2", code=1)
    entry = entry_of(report)
    assert entry["error"]["message"] == "1 of 3 tests failed: b.test › x"
    tests = entry["tests"]
    assert [tests[key] for key in ("total", "passed", "failed", "skipped")] == [3, 2, 1, 0]
    assert tests["failures"] == [{"name": "b.test › x", "file": None, "message": "no"}]
    assert tests["flaky"] == ["c.test › x"]
    tried = {len(shard["retries"]) for shard in entry["shards"]}
    assert 2 in tried  # the one that fails each time
    again = node("build", "--task", "test", cwd=workspace)
    assert again.code == 1
    assert "✗ b.test › x" in again.err
    assert "core#test: 2 passed, 1 failed in 2 shards" in again.out
    shown = node("history", report["build_id"]).out
    assert "✗ b.test › x" in shown
    assert "flaky: c.test › x" in shown
    (found,) = node("history", "--flaky", "--json").data["flaky"]
    assert (found["task"], found["name"], found["count"]) == ("core#test", "c.test › x", 1)
    assert "c.test › x" in node("history", "--flaky", "--workspace", "w").out
    assert not node("history", "--flaky", "--workspace", "other", "--json").data["flaky"]
    # A result of the cache tells its tests too.
    (workspace / "core/b.test").write_text("true\n")
    node.build(workspace, "--task", "test")
    for file in workspace.glob("core/out-*.xml"):
        file.unlink()
    cached = entry_of(node.build(workspace, "--task", "test"))
    assert (cached["tier"], cached["tests"]["passed"]) == ("local-cache", 3)
