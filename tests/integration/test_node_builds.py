"""What becomes of builds when their node, terminal or disk goes, and what its owner grants them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from buildnet.cli.client import Client
from buildnet.cli.testing import CommandLine, statuses, write_files
from buildnet.node.home import Home
from testbed.commands import ForkedCommandLine
from testbed.one_package import one_package


def is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def open_to_others(directory: Path) -> Iterator[Path]:
    """Return what others who may use the host can get to and read, if ``directory`` is open."""
    directory.chmod(0o755)
    for path in directory.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IXOTH:
            yield from open_to_others(path)
        elif not stat.S_ISLNK(mode) and mode & (stat.S_IROTH | stat.S_IWOTH):
            yield path


def test_a_build_starts_the_node_that_is_missing(
    true_buildnet: CommandLine, tmp_path: Path
) -> None:
    root = one_package(tmp_path, "cp in.txt out.txt")
    answer = true_buildnet("build", "--json", cwd=root)
    assert answer.code == 0, answer.err
    assert "starting one" in answer.err
    assert true_buildnet("node", "status").code == 0


def test_kill_9_in_the_middle_of_a_build_leaves_nothing_half(
    buildnet: CommandLine, tmp_path: Path
) -> None:
    command = "mkfifo gate 2>/dev/null; cp in.txt out.txt; touch $MARK; sleep 60"
    root = one_package(tmp_path, command, "isolation: staged")
    mark = tmp_path / "mark"
    text = (root / "buildnet.yaml").read_text()
    slow = text + f"    env: {{MARK: {mark}}}\n"
    (root / "buildnet.yaml").write_text(slow)
    started = buildnet.start()
    process = subprocess.Popen(
        [sys.executable, "-m", "buildnet.cli.main", "build"],
        cwd=root,
        env=buildnet.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while not mark.exists():
        assert process.poll() is None
    node = psutil.Process(started["pid"])
    commands = node.children(recursive=True)
    node.kill()
    node.wait(30)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "stopped" in told
    assert not (root / "a/out.txt").exists()
    (root / "buildnet.yaml").write_text(text.replace("; touch $MARK; sleep 60", ""))
    buildnet.start()
    assert not any(map(is_alive, commands))
    assert statuses(buildnet.build(root)) == {"a": "succeeded"}
    assert (root / "a/out.txt").read_text() == "in\n"
    assert buildnet("cache", "verify", "--json").data["damaged"] == []
    builds = buildnet("history", "--json").data["builds"]
    assert [build["status"] for build in builds] == ["succeeded", "cancelled"]
    stages = [one.name for one in (buildnet.home / "work").iterdir() if one.name[0] != "."]
    assert not stages


def test_after_kill_9_the_old_command_writes_nothing_into_the_new_run(
    buildnet: CommandLine, tmp_path: Path
) -> None:
    """Each run waits at a gate of its own, and both runs have the same stage."""
    gates = tmp_path / "gates"
    gates.mkdir()
    root = one_package(
        tmp_path,
        f"D=$PWD; echo start $$ >> $D/out.txt; mkfifo {gates}/$$; read line < {gates}/$$;"
        " mkdir -p $D; echo end $$ >> $D/out.txt",
        "isolation: staged",
    )

    def build() -> tuple[subprocess.Popen[bytes], int]:
        known = set(gates.iterdir())
        process = subprocess.Popen(
            [sys.executable, "-m", "buildnet.cli.main", "build"],
            cwd=root,
            env=buildnet.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not (new := set(gates.iterdir()) - known):
            assert process.poll() is None
        return process, int(new.pop().name)

    node = psutil.Process(buildnet.start()["pid"])
    first, old = build()
    node.kill()
    node.wait(30)
    assert first.wait(30) == 3
    buildnet.start()
    second, new = build()
    with contextlib.suppress(OSError, psutil.NoSuchProcess):  # nobody waits there
        os.write(os.open(gates / str(old), os.O_WRONLY | os.O_NONBLOCK), b"go\n")
        psutil.Process(old).wait(30)
    (gates / str(new)).write_text("go\n")
    assert second.wait(30) == 0
    assert (root / "a/out.txt").read_text() == f"start {new}\nend {new}\n"


def test_stopping_cancels_what_runs(buildnet: CommandLine, tmp_path: Path) -> None:
    root = one_package(tmp_path, "echo begun; sleep 60; cp in.txt out.txt")
    buildnet.start()
    process = subprocess.Popen(
        [sys.executable, "-m", "buildnet.cli.main", "build", "--json", "--progress", "plain"],
        cwd=root,
        env=buildnet.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_output(process, "begun")
    assert buildnet("node", "stop").code == 0
    out, _ = process.communicate(timeout=30)
    assert json.loads(out)["status"] == "cancelled"
    buildnet.start()
    assert buildnet("history", "--json").data["builds"][0]["status"] == "cancelled"
    (told,) = buildnet("ledger", "list", "--type", "build.cancelled", "--json").data["entries"]
    assert (told["actor"]["kind"], told["data"]["reason"]) == ("node", "the node was stopped")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_build(
    node: CommandLine, tmp_path: Path, number: signal.Signals
) -> None:
    root = one_package(tmp_path, "echo begun; sleep 60")
    process = subprocess.Popen(
        [sys.executable, "-m", "buildnet.cli.main", "build"],
        cwd=root,
        env=node.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_output(process, "begun")
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "cancelled" in out
    assert node("history", "--json").data["builds"][0]["status"] == "cancelled"


def test_a_build_outlives_its_terminal_and_is_come_back_to(
    node: CommandLine, tmp_path: Path
) -> None:
    root = one_package(tmp_path, "echo begun; sleep 60")

    def begin(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "buildnet.cli.main", "build", *arguments],
            cwd=root,
            env=node.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    first = begin()
    wait_for_output(first, "begun")
    first.send_signal(signal.SIGHUP)
    first.communicate(timeout=30)
    assert first.returncode == -signal.SIGHUP
    (build,) = node("history", "--json").data["builds"]
    attached = ("--attach", build["build_id"], "--json", "--progress", "json")
    left, stays = begin(*attached), begin(*attached)
    for process in (left, stays):
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["build_id"] == build["build_id"]
    left.send_signal(signal.SIGINT)  # which does not end the build, as it is not asked for there
    left.communicate(timeout=30)
    assert left.returncode == 130
    assert node("history", "--json").data["builds"][0]["status"] == "running"
    socket_path = Home(Path(node.environment["BUILDNET_HOME"])).socket_path()
    Client(socket_path=socket_path).post(f"/api/build/{build['build_id']}/cancel")
    out, _ = stays.communicate(timeout=30)
    assert (stays.returncode, json.loads(out)["status"]) == (1, "cancelled")


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_reader_that_goes_away_is_no_trouble_of_the_node(
    node: CommandLine, tmp_path: Path, closed: str
) -> None:
    root = one_package(tmp_path, "echo said; cp in.txt out.txt")
    reading, writing = os.pipe()
    os.close(reading)
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.run(
        [sys.executable, "-m", "buildnet.cli.main", "build"],
        cwd=root,
        env=node.environment,
        **{**streams, closed: writing},
        check=False,
    )
    os.close(writing)
    assert process.returncode == 1
    assert b"Traceback" not in (process.stderr or b"")
    assert b"stopped answering" not in (process.stderr or b"")


def wait_for_output(process: subprocess.Popen[str], text: str) -> None:
    """Read what a build tells while it runs, up to a line that ends with ``text``."""
    assert process.stderr is not None
    assert any(line.rstrip().endswith(text) for line in process.stderr), "it ended before"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps commands on their cores")
def test_commands_and_hooks_run_on_no_more_cores_than_the_owner_grants(
    buildnet: CommandLine, tmp_path: Path
) -> None:
    root = one_package(tmp_path, "nproc > out.txt")
    with (root / "buildnet.yaml").open("a") as file:
        file.write("hooks: {pre_build: /usr/bin/nproc > hook.txt}\n")
    config = {"resource_limits": {"cpu": {"max_cores": 1}}}
    write_files(buildnet.home, {"node.yaml": json.dumps(config)})
    buildnet.start()
    buildnet.build(root)
    assert (root / "a/out.txt").read_text() == (root / "hook.txt").read_text() == "1\n"


def test_the_owner_says_where_cache_and_builds_go(buildnet: CommandLine, tmp_path: Path) -> None:
    root = one_package(tmp_path, "pwd > out.txt", "isolation: staged")
    for name in ("cache", "builds"):
        write_files(tmp_path / name, {"mine.txt": "stays"})
    config = {
        "resource_limits": {
            "cpu": {"max_cores": 1},
            "storage": [
                {"path": str(tmp_path / "cache"), "max_gb": 1, "purpose": "cache"},
                {"path": str(tmp_path / "builds"), "purpose": "builds"},
            ],
        },
        "workers": {"isolation": "staged"},  # so that a command sees where it runs
    }
    write_files(buildnet.home, {"node.yaml": json.dumps(config)})
    buildnet.start()
    buildnet.build(root)
    assert (root / "a/out.txt").read_text().startswith(str(tmp_path / "builds"))
    stats = buildnet("cache", "stats", "--json").data
    assert (stats["capacity_bytes"], stats["actions"]) == (1024**3, 1)
    assert (tmp_path / "cache/buildnet-store/index.db").is_file()
    places = (buildnet.home, tmp_path / "cache", tmp_path / "builds")
    open_files = [path.name for place in places for path in open_to_others(place)]
    assert open_files == ["node.yaml", "mine.txt", "mine.txt"]  # what the test wrote itself
    assert (tmp_path / "builds/mine.txt").read_text() == "stays"
    status = buildnet("node", "status", "--json").data
    assert status["slots"] == 1
    expected = {"level": "staged", "reason": "node.yaml says so", "limits": "node"}
    assert status["isolation"] == expected
    assert buildnet("pool", "status", "--json").data["aggregate"]["total_cpu_cores"] == 1


def test_a_full_disk_is_told_and_harms_nothing(small_volume: Path, tmp_path: Path) -> None:
    buildnet = ForkedCommandLine(small_volume / "home", bare=True)
    root = one_package(tmp_path, "head -c $SIZE /dev/urandom > out.txt")
    text = (root / "buildnet.yaml").read_text()
    buildnet.start()
    try:
        (root / "buildnet.yaml").write_text(text + "    env: {SIZE: '1000000'}\n")
        buildnet.build(root)
        (root / "buildnet.yaml").write_text(text + "    env: {SIZE: '40000000'}\n")
        report = buildnet.build(root, code=1)
        assert report["packages"][0]["status"] == "failed"
        assert (root / "a/out.txt").stat().st_size == 1_000_000  # as it was
        (root / "buildnet.yaml").write_text(text + "    env: {SIZE: '10000000'}\n")
        report = buildnet.build(root, code=1)  # fits the stage, but not stage and store
        assert report["packages"][0]["error"]["code"] == "STORE_FULL"
        assert report["packages"][0]["error"]["hint"]
        (root / "buildnet.yaml").write_text(text + "    env: {SIZE: '2000000'}\n")
        assert statuses(buildnet.build(root)) == {"a": "succeeded"}
        assert buildnet("cache", "verify", "--json").data["damaged"] == []
    finally:
        buildnet("node", "stop")
