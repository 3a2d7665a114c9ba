"""Builds through the command line and a real node: tiers, edits, what is explained, hooks."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buildnet.cli.testing import CommandLine, statuses, tiers, write_files
from testbed.one_package import one_package

PIPELINE = """\
workspace: pipeline
packages:
  - name: base
    path: base
    build_cmd: mkdir -p dist && tr a-z A-Z < text.txt > dist/text.txt
    sources: [base/text.txt]
    output_dir: base/dist
  - name: tool
    path: tool
    build_cmd: |
      mkdir -p dist && { echo '#!/bin/sh'; cat ../base/dist/text.txt; } > dist/run
      chmod +x dist/run && ln -s run dist/alias
    dependencies: [base]
    sources: [tool/note.txt]
    output_dir: tool/dist
  - name: other
    path: other
    build_cmd: cp in.txt out.txt
    sources: [other/in.txt]
    outputs: [other/out.txt]
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "pipeline",
        {
            "buildnet.yaml": PIPELINE,
            "base/text.txt": "echo hello\n",
            "tool/note.txt": "note\n",
            "other/in.txt": "one\n",
        },
    )


ALL = {"base", "tool", "other"}


def test_a_second_build_has_nothing_to_do(node: CommandLine, pipeline: Path) -> None:
    assert tiers(node.build(pipeline)) == dict.fromkeys(ALL, "full")
    report = node.build(pipeline)
    assert tiers(report) == dict.fromkeys(ALL, "instant-skip")
    assert statuses(report) == dict.fromkeys(ALL, "succeeded")


def test_an_edit_rebuilds_only_what_depends_on_it(node: CommandLine, pipeline: Path) -> None:
    node.build(pipeline)
    (pipeline / "base/text.txt").write_text("echo bye\n")
    found = tiers(node.build(pipeline))
    assert found == {"base": "full", "tool": "full", "other": "instant-skip"}
    assert (pipeline / "tool/dist/run").read_text() == "#!/bin/sh\nECHO BYE\n"


def test_outputs_that_come_out_the_same_end_the_rebuild(node: CommandLine, pipeline: Path) -> None:
    node.build(pipeline)
    (pipeline / "base/text.txt").write_text("Echo Hello\n")  # upper case is the same
    found = tiers(node.build(pipeline))
    assert found == {"base": "full", "tool": "hash-skip", "other": "instant-skip"}


def test_a_touched_file_with_the_same_bytes_rebuilds_nothing(
    node: CommandLine, pipeline: Path
) -> None:
    node.build(pipeline)
    os.utime(pipeline / "other/in.txt", (1, 1))
    assert tiers(node.build(pipeline))["other"] == "hash-skip"


def test_deleted_and_altered_outputs_come_back_byte_for_byte(
    node: CommandLine, pipeline: Path
) -> None:
    node.build(pipeline)
    run = pipeline / "tool/dist/run"
    content = run.read_bytes()
    shutil.rmtree(pipeline / "tool/dist")
    (pipeline / "other/out.txt").write_text("altered")
    found = tiers(node.build(pipeline))
    assert found == {"base": "instant-skip", "tool": "local-cache", "other": "local-cache"}
    assert run.read_bytes() == content
    assert stat.S_IMODE(run.stat().st_mode) == 0o755
    assert (pipeline / "tool/dist/alias").readlink() == Path("run")
    assert (pipeline / "other/out.txt").read_text() == "one\n"


def test_going_back_to_an_earlier_state_is_a_cache_hit(node: CommandLine, pipeline: Path) -> None:
    node.build(pipeline)
    (pipeline / "other/in.txt").write_text("two\n")
    node.build(pipeline)
    (pipeline / "other/in.txt").write_text("one\n")
    assert tiers(node.build(pipeline))["other"] == "local-cache"
    assert (pipeline / "other/out.txt").read_text() == "one\n"


def test_a_copy_elsewhere_hits_the_same_results(
    node: CommandLine, pipeline: Path, tmp_path: Path
) -> None:
    node.build(pipeline)
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(pipeline, copy, ignore=shutil.ignore_patterns("dist", "out.txt"))
    assert tiers(node.build(copy)) == dict.fromkeys(ALL, "local-cache")


def test_the_node_remembers_across_a_restart(buildnet: CommandLine, pipeline: Path) -> None:
    buildnet.start()
    buildnet.build(pipeline)
    assert buildnet("node", "stop").code == 0
    buildnet.start()
    assert set(tiers(buildnet.build(pipeline)).values()) == {"instant-skip"}


def test_rebuilt_after_clearing_the_cache_the_bytes_are_the_same(
    node: CommandLine, pipeline: Path
) -> None:
    node.build(pipeline)
    before = {path: path.read_bytes() for path in pipeline.rglob("*") if path.is_file()}
    assert node("cache", "clear", "--yes").code == 0
    for output in ("base/dist", "tool/dist"):
        shutil.rmtree(pipeline / output)
    (pipeline / "other/out.txt").unlink()
    assert tiers(node.build(pipeline)) == dict.fromkeys(ALL, "full")
    assert {path: path.read_bytes() for path in pipeline.rglob("*") if path.is_file()} == before


def test_named_packages_bring_what_they_depend_on(node: CommandLine, pipeline: Path) -> None:
    assert tiers(node.build(pipeline, "tool")) == {"base": "full", "tool": "full"}


def test_force_runs_everything(node: CommandLine, pipeline: Path) -> None:
    node.build(pipeline)
    assert tiers(node.build(pipeline, "--force")) == dict.fromkeys(ALL, "full")


def test_a_dry_run_tells_and_does_nothing(node: CommandLine, pipeline: Path) -> None:
    plan = {each["name"]: each["plan"] for each in node.build(pipeline, "--dry-run")["packages"]}
    assert plan == dict.fromkeys(ALL, "run")
    assert not (pipeline / "base/dist").exists()
    node.build(pipeline)
    (pipeline / "other/in.txt").write_text("two\n")
    shutil.rmtree(pipeline / "tool/dist")
    plan = {each["name"]: each["plan"] for each in node.build(pipeline, "--dry-run")["packages"]}
    assert plan == {"base": "nothing", "tool": "restore", "other": "run"}
    assert not (pipeline / "tool/dist").exists()
    assert len(node("history", "--json").data["builds"]) == 1


def test_explain_names_the_file_the_command_and_the_variable(
    node: CommandLine, pipeline: Path
) -> None:
    node.build(pipeline)
    (pipeline / "base/text.txt").write_text("echo changed\n")
    text = (pipeline / "buildnet.yaml").read_text()
    changed = text.replace("cp in.txt out.txt", "cat in.txt > out.txt")
    (pipeline / "buildnet.yaml").write_text(
        changed.replace("outputs: [other/out.txt]", "outputs: [other/out.txt]\n    env: {MODE: x}")
    )
    reasons = {each["name"]: each["reasons"] for each in node.build(pipeline)["packages"]}
    assert reasons["base"] == ["file base/text.txt changed"]
    assert reasons["tool"] == ["file base/dist/text.txt (made by base) changed"]
    assert "command changed" in reasons["other"]
    assert "variable MODE added" in reasons["other"]
    shown = node("build", "--explain", cwd=pipeline)
    assert "nothing it depends on has changed" in shown.out
    # Further from the last run than from the one before: the command is that one's again.
    (pipeline / "buildnet.yaml").write_text(text)
    (pipeline / "other/in.txt").write_text("two\n")
    told = node.build(pipeline, "--explain", "other")["packages"]
    other = next(each for each in told if each["name"] == "other")
    assert {one["kind"] for one in other["changes"]} >= {"command", "file", "variable"}
    file = {"kind": "file", "name": "other/in.txt", "what": "changed"}
    assert other["nearest"]["changes"] == [file | dict.fromkeys(("before", "after", "package"))]
    assert other["nearest"]["reasons"] == ["file other/in.txt changed"]


def test_a_failure_shows_its_output_and_stops_what_depends_on_it(
    node: CommandLine, pipeline: Path
) -> None:
    text = (pipeline / "buildnet.yaml").read_text()
    (pipeline / "buildnet.yaml").write_text(
        text.replace("mkdir -p dist && tr", "echo compiling; echo broken >&2; exit 3; tr")
    )
    answer = node("build", "--keep-going", cwd=pipeline)
    assert answer.code == 1
    assert "base │ compiling" in answer.err
    assert "error[COMMAND_FAILED]: base: the command failed with exit code 3" in answer.err
    report = node.build(pipeline, "--keep-going", code=1)
    assert statuses(report) == {"base": "failed", "tool": "skipped", "other": "succeeded"}
    failed = next(each for each in report["packages"] if each["name"] == "base")
    assert failed["output"] == "compiling\nbroken\n"
    assert failed["exit_code"] == 3
    (pipeline / "buildnet.yaml").write_text(text)
    assert set(statuses(node.build(pipeline)).values()) == {"succeeded"}


def test_builds_at_once_are_all_right(node: CommandLine, pipeline: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        reports = list(threads.map(node.build, [pipeline] * 4))
    assert {report["status"] for report in reports} == {"succeeded"}
    different = {report["build_id"]: report for report in reports}.values()
    ran = [name for report in different for name, tier in tiers(report).items() if tier == "full"]
    assert sorted(ran) == sorted(ALL)  # each once
    assert set(tiers(node.build(pipeline)).values()) == {"instant-skip"}


def test_a_build_that_waits_for_another_can_be_cancelled(node: CommandLine, tmp_path: Path) -> None:
    gate, mark = tmp_path / "gate", tmp_path / "mark"
    os.mkfifo(gate)
    root = one_package(tmp_path, f"touch {mark}; cat {gate} > out.txt", "isolation: staged")
    with ThreadPoolExecutor(1) as threads:
        building = threads.submit(node.build, root)
        while not mark.exists():
            assert not building.done()
        waiting = subprocess.Popen(
            # Not the same as the first one, with which it would be one build.
            [sys.executable, "-m", "buildnet.cli.main", "build", "--keep-going"],
            cwd=root,
            env=node.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert waiting.stderr is not None
            assert "waiting for another build" in waiting.stderr.readline()
            waiting.send_signal(signal.SIGINT)
            out, err = waiting.communicate(timeout=30)  # while the first still runs
        finally:
            gate.write_text("done")
        assert waiting.returncode == 130, out + err
        assert "cancelled" in out
        assert statuses(building.result()) == {"a": "succeeded"}


def test_hooks_run_around_a_build_and_a_failing_one_fails_it(
    equipped: CommandLine, pipeline: Path
) -> None:
    equipped.start()
    text = (pipeline / "buildnet.yaml").read_text()
    hooks = "hooks: {pre_build: 'echo first > pre.txt', post_build: 'cat other/out.txt > post.txt'}"
    (pipeline / "buildnet.yaml").write_text(text + hooks + "\n")
    equipped.build(pipeline)
    assert (pipeline / "pre.txt").read_text() == "first\n"
    assert (pipeline / "post.txt").read_text() == "one\n"
    (pipeline / "buildnet.yaml").write_text(text + "hooks: {pre_build: 'printf no; exit 7'}\n")
    assert "pre_build#hook │ no\n" in equipped("build", cwd=pipeline).err  # a line without an end
    report = equipped.build(pipeline, code=1)
    assert report["error"]["code"] == "HOOK_FAILED"
    assert "exit code 7" in report["error"]["message"]
    assert report["packages"] == []
