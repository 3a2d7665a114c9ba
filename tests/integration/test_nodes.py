"""A node's life through the command line: start, stop, trouble, and what it answers where."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from buildnet.cli.client import Client
from buildnet.cli.testing import CommandLine, statuses, tiers, write_files
from buildnet.node.home import Home
from testbed.commands import ForkedCommandLine


def ask(address: str, path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
    """Ask over TCP; return status and JSON."""
    connection = http.client.HTTPConnection(str(urlsplit(address).netloc), timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def wait_for_end(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(30)


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


def test_over_tcp_nobody_gets_more_than_health_and_ready(buildnet: CommandLine) -> None:
    address = buildnet.start()["address"]
    assert ask(address, "/health") == (200, {"status": "ok"})
    buildnet("pool", "status")  # waits for the first scan
    assert ask(address, "/ready") == (200, {"status": "ready"})
    for path in ("/status", "/api/node", "/api/pool", "/api/builds", "/api/openapi.json", "/none"):
        status, problem = ask(address, path)
        assert status == 401, path
        assert problem["code"] == "NOT_AUTHENTICATED"
        assert "--key FILE" in problem["hint"]
    assert ask(address, "/api/node/stop", "POST")[0] == 401
    assert ask(address, "/health", "POST")[0] == 401
    refused = buildnet("pool", "status", "--node", address)
    assert refused.code == 4
    assert "error[NOT_AUTHENTICATED]" in refused.err


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


def test_a_build_starts_the_node_that_is_missing(
    true_buildnet: CommandLine, tmp_path: Path
) -> None:
    root = _workspace(tmp_path, "cp in.txt out.txt")
    answer = true_buildnet("build", "--json", cwd=root)
    assert answer.code == 0, answer.err
    assert "starting one" in answer.err
    assert true_buildnet("node", "status").code == 0


def test_kill_9_in_the_middle_of_a_build_leaves_nothing_half(
    buildnet: CommandLine, tmp_path: Path
) -> None:
    command = "mkfifo gate 2>/dev/null; cp in.txt out.txt; touch $MARK; sleep 60"
    root = _workspace(tmp_path, command, "staged")
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
    root = _workspace(
        tmp_path,
        f"D=$PWD; echo start $$ >> $D/out.txt; mkfifo {gates}/$$; read line < {gates}/$$;"
        " mkdir -p $D; echo end $$ >> $D/out.txt",
        "staged",
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
    with contextlib.suppress(OSError):  # nobody waits there
        os.write(os.open(gates / str(old), os.O_WRONLY | os.O_NONBLOCK), b"go\n")
        wait_for_end(old)
    (gates / str(new)).write_text("go\n")
    assert second.wait(30) == 0
    assert (root / "a/out.txt").read_text() == f"start {new}\nend {new}\n"


def test_stopping_cancels_what_runs(buildnet: CommandLine, tmp_path: Path) -> None:
    root = _workspace(tmp_path, "echo begun; sleep 60; cp in.txt out.txt")
    buildnet.start()
    process = subprocess.Popen(
        [sys.executable, "-m", "buildnet.cli.main", "build", "--json", "--progress", "plain"],
        cwd=root,
        env=buildnet.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for_output(process, "begun")
    assert buildnet("node", "stop").code == 0
    out, _ = process.communicate(timeout=30)
    assert json.loads(out)["status"] == "cancelled"
    buildnet.start()
    assert buildnet("history", "--json").data["builds"][0]["status"] == "cancelled"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_build(
    node: CommandLine, tmp_path: Path, number: signal.Signals
) -> None:
    root = _workspace(tmp_path, "echo begun; sleep 60")
    process = subprocess.Popen(
        [sys.executable, "-m", "buildnet.cli.main", "build"],
        cwd=root,
        env=node.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for_output(process, "begun")
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "cancelled" in out
    assert node("history", "--json").data["builds"][0]["status"] == "cancelled"


def test_a_build_outlives_its_terminal_and_is_come_back_to(
    node: CommandLine, tmp_path: Path
) -> None:
    root = _workspace(tmp_path, "echo begun; sleep 60")

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
    _wait_for_output(first, "begun")
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


POOL_FIELDS = {"cluster", "coordinator", "nodes", "aggregate", "connections"}
NODE_FIELDS = {
    *{"id", "name", "status", "role", "address", "age_s", "latency_ms", "resources"},
    "utilization",
}
AGGREGATE_FIELDS = {
    *{"total_cpu_cores", "available_cpu_cores", "total_memory_bytes", "available_memory_bytes"},
    *{"storage_volumes", "tools", "runtimes", "last_updated"},
}


def test_the_pool_is_shown_as_tables_and_as_data(equipped: CommandLine) -> None:
    equipped.start()
    pool = equipped("pool", "status", "--json").data
    assert pool.keys() >= POOL_FIELDS
    (only,) = pool["nodes"]
    assert only.keys() >= NODE_FIELDS
    resources = only["resources"]
    assert resources["cpu"].keys() >= {"cores", "model", "architecture"}
    assert resources["memory"].keys() >= {"total_bytes", "available_bytes"}
    assert {"storage", "tools", "runtimes", "network"} <= resources.keys()
    assert all(
        tool.keys() >= {"name", "version", "path", "capabilities"} for tool in resources["tools"]
    )
    assert pool["aggregate"].keys() >= AGGREGATE_FIELDS
    assert pool["aggregate"]["total_cpu_cores"] == resources["cpu"]["cores"]
    assert only["id"][:12] in equipped("pool", "status").out
    assert equipped("pool", "nodes", "--quiet").out.split() == [only["id"]]
    only_cpu = equipped("pool", "resources", "--type", "cpu", "--json").data["resources"]
    assert [each["type"] for each in only_cpu] == ["cpu"]
    wrong = equipped("pool", "resources", "--type", "cpus")
    assert wrong.code == 2
    assert "did you mean" in wrong.err
    scanned = equipped("node", "scan", "--json").data
    assert scanned["cpu"] == resources["cpu"]
    assert "python" in equipped("node", "scan").out


@pytest.mark.parametrize("name", ["[/x]", "[bold]:x:"])
def test_names_are_never_taken_for_markup(tmp_path: Path, name: str) -> None:
    buildnet = ForkedCommandLine(tmp_path / "[red]home", bare=True)
    root = _workspace(tmp_path, "cp in.txt out.txt")
    text = (root / "buildnet.yaml").read_text()
    named = text.replace("workspace: one", f"workspace: {json.dumps(name)}")
    (root / "buildnet.yaml").write_text(named)
    started = buildnet("node", "start", "--detach", "--listen", "127.0.0.1:0", "--name", name)
    try:
        assert started.code == 0, started.err
        assert str(buildnet.home) in started.out
        for arguments in (["node", "status"], ["pool", "status"], ["pool", "nodes"]):
            shown = buildnet(*arguments)
            assert shown.code == 0, shown.err
            assert name in shown.out
        buildnet.build(root)
        build_id = buildnet("history", "--quiet").out.strip()
        for arguments in (["history"], ["history", build_id], ["pool", "resources"]):
            shown = buildnet(*arguments)
            assert shown.code == 0, shown.err
            assert name in shown.out
        assert buildnet("node", "scan").code == 0
        assert buildnet("cache", "list").code == 0
    finally:
        stopped = buildnet("node", "stop")
    assert name in stopped.out


def test_nobody_on_the_network_can_fill_the_log(buildnet: CommandLine) -> None:
    started = buildnet.start()
    address = urlsplit(started["address"])
    for request in (
        b"no HTTP at all\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ):
        with socket.create_connection((str(address.hostname), address.port or 80)) as connection:
            connection.sendall(request)
            assert connection.recv(1000)  # it was seen
    buildnet("node", "stop")
    log = [json.loads(line) for line in (buildnet.home / "node.log").read_text().splitlines()]
    assert [line for line in log if line["logger"].startswith("uvicorn")] == []
    assert "stopping" in [line["message"] for line in log]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error(buildnet: CommandLine) -> None:
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [sys.executable, "-m", "buildnet.cli.main", "version"],
            env=buildnet.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert process.returncode == 1
    assert process.stderr.startswith("error[FAILED]: ")
    assert "No space left" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_reader_that_goes_away_is_no_trouble_of_the_node(
    node: CommandLine, tmp_path: Path, closed: str
) -> None:
    root = _workspace(tmp_path, "echo said; cp in.txt out.txt")
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


def test_the_cache_can_be_looked_at_and_looked_after(node: CommandLine, tmp_path: Path) -> None:
    root = _workspace(tmp_path, "cp in.txt out.txt")
    action = node.build(root)["packages"][0]["action"]
    stats = node("cache", "stats", "--json").data
    assert stats["actions"] == 1
    listed = node("cache", "list", "--json").data["actions"]
    assert [each["action"] for each in listed] == [action]
    shown = node("cache", "show", action[:10], "--json").data
    assert (shown["kind"], shown["hash"], shown["missing"]) == ("action", action, [])
    assert node("cache", "show", "ffffffffffff").code == 6
    assert node("cache", "verify").code == 0
    assert node("cache", "gc", "--max-size", "1 lot").code == 2
    collected = node("cache", "gc", "--max-size", "0 B", "--json")
    assert (collected.code, collected.data["actions"]) == (0, 1)
    assert node("cache", "stats", "--json").data["bytes"] == 0
    node.build(root, "--force")
    assert node("cache", "delete", action[:12]).code == 2  # it asks
    ahead = node("cache", "delete", action[:12], "--dry-run")
    assert (ahead.code, ahead.out.startswith("would delete the result of ")) == (0, True)
    deleted = node("cache", "delete", action[:12], "--yes", "--json")
    assert (deleted.code, deleted.data["actions"]) == (0, 1)
    assert node("cache", "delete", "ffffffffffff", "--yes").code == 6
    node.build(root, "--force")
    assert node("cache", "delete", action[:12], "--yes").out.startswith("deleted 1 result and ")
    node.build(root, "--force")
    refused = node("cache", "clear")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert node("cache", "clear", "--dry-run").code == 0
    assert node("cache", "clear", "--yes").code == 0
    assert node("cache", "stats", "--json").data["actions"] == 0


def test_a_damaged_blob_is_dropped_and_made_again(node: CommandLine, tmp_path: Path) -> None:
    root = _workspace(tmp_path, "cp in.txt out.txt; echo more >> out.txt")
    node.build(root)
    output = (root / "a/out.txt").read_bytes()
    for blob in (node.home / "store/blobs").rglob("*"):
        if blob.is_file() and blob.read_bytes() == output:
            blob.chmod(0o644)
            blob.write_bytes(output.replace(b"more", b"lies"))
    (root / "a/out.txt").unlink()
    report = node.build(root)
    assert statuses(report) == {"a": "succeeded"}
    assert (root / "a/out.txt").read_bytes() == output


def test_history_shows_builds_and_their_output(node: CommandLine, tmp_path: Path) -> None:
    root = _workspace(tmp_path, "echo said this; cp in.txt out.txt")
    build_id = node.build(root)["build_id"]
    listed = node("history", "--json").data["builds"]
    assert [build["build_id"] for build in listed] == [build_id]
    shown = node("history", build_id[:6], "--json").data
    assert tiers(shown) == {"a": "full"}
    assert node("history", build_id, "--log", "a").out == "said this\n"
    assert node("history", "zzzz").code == 6


def test_usage_errors_are_short_and_end_with_2(buildnet: CommandLine) -> None:
    for arguments in (["nod", "status"], ["node", "start", "--port", "1"], ["--format", "xml"]):
        answer = buildnet(*arguments)
        assert answer.code == 2, arguments
        assert "Traceback" not in answer.err
        assert "error[USAGE]" in answer.err
    assert buildnet("--help").code == 0
    assert buildnet("version").out.strip()


def _wait_for_output(process: subprocess.Popen[str], text: str) -> None:
    """Read what a build tells while it runs, up to a line that ends with ``text``."""
    assert process.stderr is not None
    assert any(line.rstrip().endswith(text) for line in process.stderr), "it ended before"


def _workspace(tmp_path: Path, command: str, isolation: str = "") -> Path:
    level = f"    isolation: {isolation}\n" if isolation else ""
    return write_files(
        tmp_path / "w",
        {
            "buildnet.yaml": f"""\
workspace: one
packages:
  - name: a
    path: a
    build_cmd: {json.dumps(command)}
    sources: [a/in.txt]
    outputs: [a/out.txt]
{level}""",
            "a/in.txt": "in\n",
        },
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps commands on their cores")
def test_commands_and_hooks_run_on_no_more_cores_than_the_owner_grants(
    buildnet: CommandLine, tmp_path: Path
) -> None:
    root = _workspace(tmp_path, "nproc > out.txt")
    with (root / "buildnet.yaml").open("a") as file:
        file.write("hooks: {pre_build: /usr/bin/nproc > hook.txt}\n")
    config = {"resource_limits": {"cpu": {"max_cores": 1}}}
    write_files(buildnet.home, {"node.yaml": json.dumps(config)})
    buildnet.start()
    buildnet.build(root)
    assert (root / "a/out.txt").read_text() == (root / "hook.txt").read_text() == "1\n"


def test_the_owner_says_where_cache_and_builds_go(buildnet: CommandLine, tmp_path: Path) -> None:
    root = _workspace(tmp_path, "pwd > out.txt", "staged")
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
    root = _workspace(tmp_path, "head -c $SIZE /dev/urandom > out.txt")
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


def test_a_node_whose_data_directory_is_removed_ends_itself(buildnet: CommandLine) -> None:
    pid = buildnet.start()["pid"]
    shutil.rmtree(buildnet.home, ignore_errors=True)
    wait_for_end(pid)
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
