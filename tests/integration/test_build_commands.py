"""What a command of a build gets, may and sees, and what is told when it fails."""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from buildnet.cli.testing import CommandLine, statuses, tiers, write_files
from testbed.one_package import one_package

MIB = 1 << 20


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


def test_a_timeout_ends_the_command_with_exit_code_124(node: CommandLine, tmp_path: Path) -> None:
    root = one_package(tmp_path, "sleep 1000", "timeout: 0.2s")
    report = node.build(root, code=124)
    assert report["packages"][0]["error"]["code"] == "TIMED_OUT"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux assigns cores")
def test_a_command_has_the_cores_that_it_asks_for(node: CommandLine, tmp_path: Path) -> None:
    root = one_package(tmp_path, "nproc > out.txt", "cores: 1")
    node.build(root)
    assert (root / "a/out.txt").read_text() == "1\n"
    definition = root / "buildnet.yaml"
    definition.write_text(definition.read_text().replace("cores: 1", "timeout: 1h"))
    assert tiers(node.build(root)) != {"a": "full"}  # what it needs is no part of its key


def test_a_package_that_needs_too_much_fails_before_it_runs(
    node: CommandLine, tmp_path: Path
) -> None:
    root = one_package(tmp_path, "echo ran > out.txt", "cores: 100000")
    report = node.build(root, code=1)
    error = report["packages"][0]["error"]
    assert error["code"] == "REQUIREMENTS"
    assert error["message"].startswith("it needs more than this node grants: cores 100000 of at")
    assert report["packages"][0]["exit_code"] is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
def test_memory_that_a_package_may_use_is_limited(node: CommandLine, tmp_path: Path) -> None:
    command = "x=$(head -c 300000000 /dev/zero | tr '\\0' x); sleep 30"
    report = node.build(one_package(tmp_path, command, "memory: 64 MB"), code=1)
    error = report["packages"][0]["error"]
    assert error["code"] == "LIMIT_EXCEEDED"
    assert error["hint"].startswith("raise memory of the package in buildnet.yaml")


def test_a_command_that_is_not_found_says_so(node: CommandLine, tmp_path: Path) -> None:
    report = node.build(one_package(tmp_path, "no-such-program --now"), code=1)
    package = report["packages"][0]
    assert package["exit_code"] == 127
    assert "no-such-program" in " ".join(package["hints"])


def test_a_missing_tool_says_so(node: CommandLine, tmp_path: Path) -> None:
    report = node.build(one_package(tmp_path, "true", "tools: [no-such-tool]"), code=1)
    assert report["packages"][0]["error"]["code"] == "TOOL_MISSING"


def test_background_processes_are_ended(node: CommandLine, tmp_path: Path) -> None:
    """In a namespace of their own their number says nothing, so they are looked for by name."""
    seconds = f"10{os.getpid()}.25"
    command = f"sleep {seconds} & setsid sleep {seconds} & echo $! > out.txt"
    root = one_package(tmp_path, command)
    assert statuses(node.build(root)) == {"a": "succeeded"}
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if line[-1:] == [seconds]]


def test_a_flood_of_output_is_bounded(buildnet: CommandLine, tmp_path: Path) -> None:
    """In the log by the node's limit, and on its way to whoever watches."""
    write_files(buildnet.home, {"node.yaml": "workers:\n  output_limit: 1 MiB\n"})
    command = "head -c 200000000 /dev/zero | tr '\\0' 'x' | fold -w 100; echo done > out.txt"
    root = one_package(tmp_path, command)
    node = psutil.Process(buildnet.start()["pid"])
    before_bytes = node.memory_info().rss
    report = buildnet.build(root)
    assert node.memory_info().rss < before_bytes + 24 * MIB
    _, _, size = report["packages"][0]["log"].partition("/")
    assert MIB <= int(size) <= MIB + 100  # the line that says how much was left out


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
    root = one_package(tmp_path, command, "isolation: workspace")
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
    root = one_package(tmp_path, command, "isolation: workspace", '["a/out/**", "a/*.o"]')
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
