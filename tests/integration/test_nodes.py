"""A node's life through the command line: start, stop, and what is in the way of that."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from buildnet.cli.testing import CommandLine, write_files
from testbed.commands import ForkedCommandLine


def wait_for_end(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(30)


def test_start_status_stop(true_buildnet: CommandLine) -> None:
    started = true_buildnet.start("--name", "workbench")
    assert {"node_id", "name", "address", "pid", "home"} <= started.keys()
    assert started["home"] == str(true_buildnet.home)
    status = true_buildnet("node", "status", "--json").data
    assert status["name"] == "workbench"
    assert status["node_id"] == started["node_id"]
    assert {
        "node_id",
        "name",
        "address",
        "role",
        "rights",
        "status",
        "cluster",
        "coordinator",
        "term",
        "uptime_s",
        "pid",
        "version",
    } <= status.keys()
    stopped = true_buildnet("node", "stop", "--json")
    assert stopped.data == {"stopped": True, "node_id": started["node_id"]}
    wait_for_end(started["pid"])
    assert {path.name for path in true_buildnet.home.iterdir()} & {
        "node.sock",
        "runtime.json",
    } == set()
    assert true_buildnet("node", "status").code == 3


def test_the_identity_stays_across_restarts(buildnet: CommandLine) -> None:
    first = buildnet.start()["node_id"]
    buildnet("node", "stop")
    assert buildnet.start()["node_id"] == first


def test_a_second_start_says_that_it_runs_already(node: CommandLine) -> None:
    before = node("node", "status", "--json").data
    for arguments in (["--detach"], []):
        again = node("node", "start", "--json", *arguments)
        assert again.code == 0
        assert "runs already" in again.err
        assert again.data["node_id"] == before["node_id"]


def test_stopping_what_does_not_run_is_no_error(buildnet: CommandLine) -> None:
    assert buildnet("node", "stop", "--json").data == {"stopped": False}


def test_in_the_foreground_a_signal_ends_it_cleanly(true_buildnet: CommandLine) -> None:
    process = subprocess.Popen(
        [
            *[sys.executable, "-m", "buildnet.cli.main", "node", "start", "--json"],
            *["--listen", "127.0.0.1:0", "--log-format", "json"],
        ],
        env=true_buildnet.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready = ""
    while not ready.rstrip().endswith("}"):
        ready += process.stdout.readline()
    assert json.loads(ready)["pid"] == process.pid
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert "stopping" in [line["message"] for line in lines]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)


def test_after_kill_9_it_starts_again(buildnet: CommandLine) -> None:
    started = buildnet.start()
    os.kill(started["pid"], signal.SIGKILL)
    wait_for_end(started["pid"])
    assert buildnet("node", "status").code == 3
    assert buildnet.start()["node_id"] == started["node_id"]


def test_a_crash_of_native_code_leaves_its_stacks_in_the_log(true_buildnet: CommandLine) -> None:
    started = true_buildnet.start()
    os.kill(started["pid"], signal.SIGSEGV)
    wait_for_end(started["pid"])
    assert "Fatal Python error: Segmentation fault" in (true_buildnet.home / "node.log").read_text()


def test_a_taken_port_is_an_error_with_a_remedy(true_buildnet: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        for arguments in (["--detach"], []):
            answer = true_buildnet("node", "start", "--listen", listen, *arguments)
            assert answer.code == 2
            assert "error[PORT_TAKEN]" in answer.err
            assert "hint:" in answer.err


def test_a_home_too_long_for_a_socket_address_works(tmp_path: Path) -> None:
    buildnet = CommandLine(tmp_path / ("long" * 20) / ("longer" * 10))
    buildnet.home.parent.mkdir()
    started = buildnet.start()
    try:
        assert buildnet("node", "status", "--json").data["node_id"] == started["node_id"]
        assert not started["socket"].startswith(str(tmp_path))
    finally:
        assert buildnet("node", "stop").code == 0
    assert not Path(started["socket"]).exists()


@pytest.fixture
def read_only_home(small_volume: Path) -> CommandLine:
    """The command line with a data directory on a volume that is mounted read-only."""
    buildnet = ForkedCommandLine(small_volume / "home", bare=True)
    buildnet.start()
    buildnet("node", "stop")
    subprocess.run(["mount", "-o", "remount,ro", str(small_volume)], check=True)
    return buildnet


def test_a_home_that_cannot_be_written_is_an_error(read_only_home: CommandLine) -> None:
    answer = read_only_home("node", "start", "--detach", "--json")
    assert answer.code == 2
    error = answer.data["error"]
    assert error["code"] == "HOME"
    assert "is read-only" in error["message"]
    assert "BUILDNET_HOME" in error["hint"]
    assert read_only_home("node", "status").code == 3
    built = read_only_home("build", "--json")
    assert (built.code, built.data["error"]["code"]) == (2, "HOME")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_without_the_right_to_write_is_an_error(buildnet: CommandLine) -> None:
    buildnet.home.mkdir(mode=0o500)
    answer = buildnet("node", "start", "--detach", "--json")
    assert (answer.code, answer.data["error"]["code"]) == (2, "HOME")
    assert "make it writable" in answer.data["error"]["hint"]


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        ("node.key", "seed: 00\npublic: 11\n", "IDENTITY"),
        ("history.db", "no database" * 100, "STATE"),
        ("store/index.db", "no database" * 100, "STATE"),
        ("node.yaml", "node_nam: x\n", "CONFIG"),
        ("node.yaml", "a: [1\n", "YAML"),
    ],
)
def test_damaged_files_are_named_and_left_alone(
    buildnet: CommandLine, file: str, content: str, code: str
) -> None:
    write_files(buildnet.home, {file: content})
    answer = buildnet("node", "start", "--detach", "--json", "--listen", "127.0.0.1:0")
    assert answer.code != 0
    error = answer.data["error"]
    assert error["code"] == code
    assert file.rpartition("/")[2] in error["message"]
    assert error["hint"]
    assert (buildnet.home / file).read_text() == content


def test_a_start_that_fails_late_ends_the_process(true_buildnet: CommandLine) -> None:
    write_files(true_buildnet.home, {"node.sock/mine.txt": "stays"})
    answer = true_buildnet("node", "start", "--detach", "--json", "--listen", "127.0.0.1:0")
    assert answer.code == 2
    assert answer.data["error"]["code"] == "HOME"
    assert "in the way" in answer.data["error"]["message"]
    assert (true_buildnet.home / "node.sock/mine.txt").read_text() == "stays"


def test_a_node_whose_data_directory_is_removed_ends_itself(buildnet: CommandLine) -> None:
    pid = buildnet.start()["pid"]
    shutil.rmtree(buildnet.home, ignore_errors=True)
    wait_for_end(pid)
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
