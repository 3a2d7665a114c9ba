"""Builds through the command line and a real node: tiers, edits, failures, bad input."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from buildnet.cli.testing import CommandLine, statuses, tiers, write_files

MIB = 1 << 20

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


def test_files_that_a_pattern_no_longer_finds_go(node: CommandLine, tmp_path: Path) -> None:
    """They would count as changed outputs for ever; what somebody else wrote there stays."""
    root = _one_package(
        tmp_path, "mkdir -p out; cd out; for n in $(cat ../in.txt); do echo > $n; done"
    )
    definition = root / "buildnet.yaml"
    definition.write_text(definition.read_text().replace("a/out.txt", "a/out/*.txt"))

    def build(names: str) -> tuple[str, set[str]]:
        (root / "a/in.txt").write_text(names)
        report = node.build(root)
        return tiers(report)["a"], {path.name for path in (root / "a/out").iterdir()}

    assert build("one.txt two.txt") == ("full", {"one.txt", "two.txt"})
    assert build("one.txt") == ("full", {"one.txt"})
    assert build("one.txt") == ("hash-skip", {"one.txt"})
    assert build("one.txt two.txt") == ("local-cache", {"one.txt", "two.txt"})
    (root / "a/out/mine.md").write_text("mine")
    (root / "a/out/two.txt").write_text("mine")
    assert build("one.txt") == ("local-cache", {"one.txt", "two.txt", "mine.md"})
    (root / "a/out/two.txt").unlink()
    assert build("one.txt") == ("hash-skip", {"one.txt", "mine.md"})


def test_stale_files_of_patterns_go_though_the_old_result_is_gone(
    node: CommandLine, tmp_path: Path
) -> None:
    root = _one_package(tmp_path, "for n in $(cat in.txt); do echo > $n.out; done")
    definition = root / "buildnet.yaml"
    definition.write_text(definition.read_text().replace("a/out.txt", "a/*.out"))
    (root / "a/in.txt").write_text("one two")
    node.build(root)
    assert node("cache", "clear", "--yes").code == 0
    (root / "a/in.txt").write_text("one")
    node.build(root)
    assert sorted(path.name for path in root.glob("a/*.out")) == ["one.out"]


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


def test_only_declared_variables_reach_a_command(node: CommandLine, tmp_path: Path) -> None:
    root = write_files(
        tmp_path / "w",
        {
            "buildnet.yaml": """\
workspace: variables
packages:
  - name: a
    path: a
    build_cmd: env > out.txt
    sources: [a/in.txt]
    outputs: [a/out.txt]
    env: {GIVEN: fixed}
    env_inherit: [CHOSEN]
    env_paths: {WHERE: a/in.txt, TOP: .}
  - name: b
    path: b
    build_cmd: test -f "$WHERE" && test "$TOP/b" = "$PWD" && cp "$WHERE" out.txt
    outputs: [b/out.txt]
    isolation: staged
    env_paths: {WHERE: b/in.txt, TOP: .}
""",
            "a/in.txt": "",
            "b/in.txt": "found",
        },
    )
    answer = node("build", "--json", cwd=root, env={"CHOSEN": "1", "SECRET": "2"})
    assert answer.code == 0
    lines = (root / "a/out.txt").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines}
    assert {"GIVEN=fixed", "CHOSEN=1"} <= set(lines)
    values = dict(line.split("=", 1) for line in lines)
    assert (values["WHERE"], values["PWD"]) == (f"{values['TOP']}/a/in.txt", f"{values['TOP']}/a")
    assert (root / "b/out.txt").read_text() == "found"
    assert names - {"PWD", "_", "SHLVL", "OLDPWD"} == {
        "BUILDNET_ACTION",
        "CHOSEN",
        "GIVEN",
        "HOME",
        "LANG",
        "PATH",
        "SOURCE_DATE_EPOCH",
        "TMPDIR",
        "TOP",
        "TZ",
        "WHERE",
    }
    again = node("build", "--json", cwd=root, env={"CHOSEN": "1", "SECRET": "other"})
    assert tiers(again.data) == {"a": "instant-skip", "b": "instant-skip"}
    other = node("build", "--json", cwd=root, env={"CHOSEN": "2"})
    assert tiers(other.data) == {"a": "full", "b": "instant-skip"}


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


def test_a_timeout_ends_the_command_with_exit_code_124(node: CommandLine, tmp_path: Path) -> None:
    root = _one_package(tmp_path, "sleep 1000", "timeout: 0.2s")
    report = node.build(root, code=124)
    assert report["packages"][0]["error"]["code"] == "TIMED_OUT"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux assigns cores")
def test_a_command_has_the_cores_that_it_asks_for(node: CommandLine, tmp_path: Path) -> None:
    root = _one_package(tmp_path, "nproc > out.txt", "cores: 1")
    node.build(root)
    assert (root / "a/out.txt").read_text() == "1\n"
    definition = root / "buildnet.yaml"
    definition.write_text(definition.read_text().replace("cores: 1", "timeout: 1h"))
    assert tiers(node.build(root)) != {"a": "full"}  # what it needs is no part of its key


def test_a_package_that_needs_too_much_fails_before_it_runs(
    node: CommandLine, tmp_path: Path
) -> None:
    root = _one_package(tmp_path, "echo ran > out.txt", "cores: 100000")
    report = node.build(root, code=1)
    error = report["packages"][0]["error"]
    assert error["code"] == "REQUIREMENTS"
    assert error["message"].startswith("it needs more than this node grants: cores 100000 of at")
    assert report["packages"][0]["exit_code"] is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
def test_memory_that_a_package_may_use_is_limited(node: CommandLine, tmp_path: Path) -> None:
    command = "x=$(head -c 300000000 /dev/zero | tr '\\0' x); sleep 30"
    report = node.build(_one_package(tmp_path, command, "memory: 64 MB"), code=1)
    error = report["packages"][0]["error"]
    assert error["code"] == "LIMIT_EXCEEDED"
    assert error["hint"].startswith("raise memory of the package in buildnet.yaml")


def test_a_command_that_is_not_found_says_so(node: CommandLine, tmp_path: Path) -> None:
    report = node.build(_one_package(tmp_path, "no-such-program --now"), code=1)
    package = report["packages"][0]
    assert package["exit_code"] == 127
    assert "no-such-program" in " ".join(package["hints"])


def test_a_missing_tool_says_so(node: CommandLine, tmp_path: Path) -> None:
    report = node.build(_one_package(tmp_path, "true", "tools: [no-such-tool]"), code=1)
    assert report["packages"][0]["error"]["code"] == "TOOL_MISSING"


def test_a_pattern_that_matches_nothing_says_so(node: CommandLine, tmp_path: Path) -> None:
    root = _one_package(tmp_path, "true")
    (root / "a/in.txt").unlink()
    report = node.build(root, code=1)
    assert report["packages"][0]["error"]["code"] == "SOURCES"
    assert "a/in.txt" in report["packages"][0]["error"]["message"]


def test_an_output_that_was_not_made_says_so(node: CommandLine, tmp_path: Path) -> None:
    report = node.build(_one_package(tmp_path, "true"), code=1)
    assert report["packages"][0]["error"]["code"] == "OUTPUT_MISSING"


def test_background_processes_are_ended(node: CommandLine, tmp_path: Path) -> None:
    """In a namespace of their own their number says nothing, so they are looked for by name."""
    seconds = f"10{os.getpid()}.25"
    command = f"sleep {seconds} & setsid sleep {seconds} & echo $! > out.txt"
    root = _one_package(tmp_path, command)
    assert statuses(node.build(root)) == {"a": "succeeded"}
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if line[-1:] == [seconds]]


def test_a_flood_of_output_is_bounded(buildnet: CommandLine, tmp_path: Path) -> None:
    """In the log by the node's limit, and on its way to whoever watches."""
    write_files(buildnet.home, {"node.yaml": "workers:\n  output_limit: 1 MiB\n"})
    command = "head -c 200000000 /dev/zero | tr '\\0' 'x' | fold -w 100; echo done > out.txt"
    root = _one_package(tmp_path, command)
    node = psutil.Process(buildnet.start()["pid"])
    before_bytes = node.memory_info().rss
    report = buildnet.build(root)
    assert node.memory_info().rss < before_bytes + 24 * MIB
    _, _, size = report["packages"][0]["log"].partition("/")
    assert MIB <= int(size) <= MIB + 100  # the line that says how much was left out


def test_a_file_that_exists_but_is_not_declared_is_hinted_at(
    node: CommandLine, tmp_path: Path
) -> None:
    root = _one_package(tmp_path, "cat other.txt > out.txt")
    (root / "a/other.txt").write_text("x")
    report = node.build(root, code=1)
    assert "a/other.txt" in " ".join(report["packages"][0]["hints"])


def test_a_file_that_no_output_covers_is_told_though_the_build_succeeds(
    node: CommandLine, tmp_path: Path
) -> None:
    report = node.build(_one_package(tmp_path, "cp in.txt out.txt; touch extra.txt"))
    assert statuses(report) == {"a": "succeeded"}
    (hint,) = report["packages"][0]["hints"]
    assert "a/extra.txt" in hint


def test_builds_at_once_are_all_right(node: CommandLine, pipeline: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        reports = list(threads.map(node.build, [pipeline] * 4))
    assert {report["status"] for report in reports} == {"succeeded"}
    different = {report["build_id"]: report for report in reports}.values()
    ran = [name for report in different for name, tier in tiers(report).items() if tier == "full"]
    assert sorted(ran) == sorted(ALL)  # each once
    assert set(tiers(node.build(pipeline)).values()) == {"instant-skip"}


def _one_package(
    tmp_path: Path, command: str, more: str = "", outputs: str = "[a/out.txt]"
) -> Path:
    return write_files(
        tmp_path / "w",
        {
            "buildnet.yaml": f"""\
workspace: one
packages:
  - name: a
    path: a
    build_cmd: {command!r}
    sources: [a/in.txt]
    outputs: {outputs}
    {more}
""",
            "a/in.txt": "in\n",
        },
    )


DEEP = """\
workspace: deep
packages:
  - name: one
    path: one
    build_cmd: cp in.txt out.txt
    sources: [one/in.txt]
    outputs: [one/out.txt]
  - name: two
    path: two
    build_cmd: cat ../one/out.txt in.txt > out.txt
    dependencies: [one]
    sources: [two/in.txt]
    outputs: [two/out.txt]
  - name: both
    path: both
    dependencies: [one, two]
  - name: three
    path: three
    build_cmd: cat ../two/out.txt in.txt > out.txt; ls ..
    dependencies: [two]
    sources: [three/in.txt]
    outputs: [three/out.txt]
"""


def test_a_command_sees_its_dependencies_and_with_transitive_theirs(
    node: CommandLine, tmp_path: Path
) -> None:
    files = {f"{name}/in.txt": f"{name}\n" for name in ("one", "two", "three")}
    root = write_files(tmp_path / "deep", {"buildnet.yaml": DEEP, "both/x": "", **files})
    build = node.build(root)
    seen = node("history", build["build_id"], "--log", "three").out.split()
    assert seen == ["three", "two"]
    text = (root / "buildnet.yaml").read_text()
    (root / "buildnet.yaml").write_text(text + "    transitive: true\n")
    build = node.build(root)
    assert tiers(build)["three"] == "full"
    seen = node("history", build["build_id"], "--log", "three").out.split()
    assert seen == ["one", "three", "two"]
    grouped = text.replace("dependencies: [two]", "dependencies: [both]")
    (root / "buildnet.yaml").write_text(grouped)
    build = node.build(root, "--force")
    seen = node("history", build["build_id"], "--log", "three").out.split()
    assert seen == ["both", "one", "three", "two"]


def test_a_command_in_place_is_never_kept_under_another_versions_key(
    node: CommandLine, tmp_path: Path
) -> None:
    gate, mark = tmp_path / "gate", tmp_path / "mark"
    os.mkfifo(gate)
    command = f"touch {mark}; cat {gate}; cp in.txt out.txt"
    root = _one_package(tmp_path, command, "isolation: workspace")
    with ThreadPoolExecutor(1) as threads:
        building = threads.submit(node.build, root, code=1)
        while not mark.exists():
            assert not building.done()
        (root / "a/in.txt").write_text("edited\n")
        gate.write_text("go")
        report = building.result()
    assert report["packages"][0]["error"]["code"] == "SOURCE_CHANGED"
    (root / "a/in.txt").write_text("in\n")
    with ThreadPoolExecutor(1) as threads:
        building = threads.submit(node.build, root)
        gate.write_text("go")
        assert tiers(building.result()) == {"a": "full"}
    assert (root / "a/out.txt").read_text() == "in\n"


def test_a_command_in_place_does_not_find_what_stood_at_its_outputs(
    node: CommandLine, tmp_path: Path
) -> None:
    """Else it would become part of the result."""
    command = "mkdir -p out; cp in.txt out/$(cat in.txt); cp in.txt $(cat in.txt).o"
    root = _one_package(tmp_path, command, "isolation: workspace", '["a/out/**", "a/*.o"]')
    assert tiers(node.build(root)) == {"a": "full"}
    (root / "a/in.txt").write_text("other\n")
    (root / "a/out/left").write_text("left")
    (root / "a/mine.o").write_text("mine")
    assert tiers(node.build(root)) == {"a": "full"}
    shutil.rmtree(root / "a/out")
    (root / "a/other.o").unlink()
    (root / "a/mine.o").unlink()
    assert tiers(node.build(root)) == {"a": "local-cache"}
    made = sorted(str(path.relative_to(root / "a")) for path in root.glob("a/**/*o*"))
    assert made == ["other.o", "out", "out/other"]


def test_a_build_that_waits_for_another_can_be_cancelled(node: CommandLine, tmp_path: Path) -> None:
    gate, mark = tmp_path / "gate", tmp_path / "mark"
    os.mkfifo(gate)
    root = _one_package(tmp_path, f"touch {mark}; cat {gate} > out.txt", "isolation: staged")
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


def test_permissions_of_outputs_are_kept_and_restored(node: CommandLine, tmp_path: Path) -> None:
    modes = {"key": 0o600, "read": 0o444, "run": 0o755, "group": 0o750, "plain": 0o644}
    made = "; ".join(
        f"echo {name} > out/{name}; chmod {mode:o} out/{name}" for name, mode in modes.items()
    )
    root = _one_package(tmp_path, f"mkdir out; {made}; cp out/key out.txt; chmod 400 out.txt")
    text = (root / "buildnet.yaml").read_text()
    (root / "buildnet.yaml").write_text(text.replace("[a/out.txt]", "[a/out.txt, a/out]"))

    def found() -> dict[str, int]:
        return {name: stat.S_IMODE((root / "a/out" / name).stat().st_mode) for name in modes}

    node.build(root)
    assert found() == modes
    assert set(tiers(node.build(root)).values()) == {"instant-skip"}
    shutil.rmtree(root / "a/out")
    (root / "a/out.txt").chmod(0o644)
    assert tiers(node.build(root)) == {"a": "local-cache"}
    assert found() == modes
    assert stat.S_IMODE((root / "a/out.txt").stat().st_mode) == 0o400


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_git_tracks_is_not_replaced_by_a_wrong_output(
    equipped: CommandLine, tmp_path: Path
) -> None:
    equipped.start()
    root = _one_package(tmp_path, "echo generated > out.txt")
    (root / "a/out.txt").write_text("by hand\n")
    for arguments in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", str(root), *arguments], check=True)
    for arguments in ([], ["--dry-run"]):
        report = equipped.build(root, *arguments, code=1)
        assert report["packages"][0]["error"]["code"] == "OUTPUT_TRACKED"
    assert (root / "a/out.txt").read_text() == "by hand\n"
    equipped.build(root, "--force")
    assert (root / "a/out.txt").read_text() == "generated\n"
    (root / "a/in.txt").write_text("edited")
    assert tiers(equipped.build(root)) == {"a": "full"}  # once is enough


@pytest.mark.parametrize("output", ["buildnet.yaml", ".git/hooks", ".git"])
def test_the_workspaces_own_files_are_no_outputs(
    node: CommandLine, tmp_path: Path, output: str
) -> None:
    root = _one_package(tmp_path, "true")
    text = (root / "buildnet.yaml").read_text()
    (root / "buildnet.yaml").write_text(text.replace("a/out.txt", output))
    answer = node("build", cwd=root)
    assert answer.code == 2
    assert output in answer.err


def test_two_packages_that_make_the_same_file_are_told(node: CommandLine, tmp_path: Path) -> None:
    package = """\
  - name: {name}
    path: {name}
    build_cmd: echo {name} > ../made.{name}; echo {name} > ../made.both
    sources: [{name}/in.txt]
    outputs: ["made.{pattern}"]
"""
    packages = package.format(name="a", pattern="[ab]*") + package.format(name="b", pattern="b*")
    root = write_files(
        tmp_path / "w",
        {"buildnet.yaml": f"workspace: w\npackages:\n{packages}", "a/in.txt": "", "b/in.txt": ""},
    )
    for _ in range(2):
        report = node.build(root, "--keep-going", code=1)
        codes = [(package["error"] or {}).get("code") for package in report["packages"]]
        assert "OUTPUT_CONFLICT" in codes


def test_an_export_that_matches_nothing_says_so(node: CommandLine, tmp_path: Path) -> None:
    root = _one_package(tmp_path, "cp in.txt out.txt", "exports: [a/none]")
    report = node.build(root, code=1)
    assert report["packages"][0]["error"]["code"] == "SOURCES"
    assert not (root / "a/out.txt").exists()  # it did not run
