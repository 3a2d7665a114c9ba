"""Actions in ``strict``: what they see, what comes back, how they are ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.node.strict_host import StrictHost, strict_host

from buildnet.cli.testing import write_files
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.errors import ExecutionError
from buildnet.node.execute.launcher.client import Launcher, LaunchRequest, StrictView
from buildnet.node.execute.launcher.reports import receive_report
from buildnet.node.execute.limits import ActionLimits
from buildnet.node.execute.mounts import Mount

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")


def running_with(word: str) -> list[psutil.Process]:
    """Return the processes that have a word in their command line."""
    return [one for one in psutil.process_iter(["cmdline"]) if word in (one.info["cmdline"] or [])]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_action_reads_its_inputs_and_leaves_its_outputs(host: StrictHost) -> None:
    inputs = host.write({"packages/a/src/1.js": "one\n", "packages/a/src/2.js": "two\n"})
    command = "mkdir -p dist && cat src/*.js > dist/index.js && echo done && echo warned >&2"
    execution = host.run(command, "packages/a/dist", inputs=inputs)
    assert execution.outcome.succeeded, host.log(execution)
    assert host.contents(execution.outputs) == {"packages/a/dist/index.js": b"one\ntwo\n"}
    assert host.log(execution) == "done\nwarned\n" == b"".join(host.output).decode()
    assert execution.undeclared == execution.hints == ()
    assert not (host.workspace / "packages/a/dist").exists()


def test_places_names_and_numbers_are_the_same_everywhere(host: StrictHost) -> None:
    said = host.said("pwd; echo $HOME $TMPDIR; id -u; id -un; uname -n; umask; date +%Z; nice")
    assert said.split() == [
        *("/build/packages/a", "/home/buildnet", "/tmp", "65533", "buildnet", "buildnet"),
        *("0022", "UTC", str(min(19, os.nice(0) + 10))),
    ]


def test_home_and_temporary_directories_can_be_written(host: StrictHost) -> None:
    command = "echo x > $HOME/x && echo y > $TMPDIR/y && echo z > /dev/shm/z && cat ~/x"
    assert host.said(command) == "x\n"
    assert host.said("ls -A ~ /tmp /dev/shm") == "/dev/shm:\n\n/home/buildnet:\n\n/tmp:\n"


def test_a_shard_may_say_that_it_is_one(host: StrictHost) -> None:
    command = 'echo "${TEST_SHARD_STATUS_FILE:-none}"'
    assert host.said(command) == "none\n"
    command = 'touch "$TEST_SHARD_STATUS_FILE" && ls -A "$TMPDIR"'
    shard = {"TEST_TOTAL_SHARDS": "2"}
    assert host.said(command, environment=shard) == "test-shard-status\n"
    assert host.said("ls -A $TMPDIR", environment=shard) == ""


def test_a_cache_outlives_its_command(host: StrictHost, tmp_path: Path) -> None:
    cache = tmp_path / "caches" / "npm"
    assert host.said("ls -A /cache; mkdir /cache/a && echo x > /cache/a/x", cache=cache) == ""
    assert host.said("cat /cache/a/x && rm -r /cache/a", cache=cache) == "x\n"
    assert not any(cache.iterdir())
    assert "Read-only" in host.said("touch /cache/x")


def test_a_cache_is_watched_as_the_stage_is(host: StrictHost, tmp_path: Path) -> None:
    flood = "i=0; while :; do i=$((i+1)); head -c 3000000 /dev/zero > /cache/$i; sleep 0.05; done"
    limits = ActionLimits(disk_bytes=4 << 20)
    execution = host.run(flood, cache=tmp_path / "cache", limits=limits)
    assert execution.outcome.exceeded == "disk"


def test_settings_are_shown_read_only(host: StrictHost, tmp_path: Path) -> None:
    certificate, folder = tmp_path / "ca.pem", tmp_path / "certs"
    certificate.write_text("trust me")
    folder.mkdir()
    (folder / "one.pem").write_text(" and me")
    shown = {"EXTRA": certificate, "DIR": folder, "GONE": tmp_path / "gone"}
    said = host.said("cat /settings/EXTRA /settings/DIR/one.pem; ls /settings", shown=shown)
    assert said == "trust me and meDIR\nEXTRA\n"
    host.run("echo > /settings/EXTRA; echo > /settings/DIR/x; rm /settings/EXTRA", shown=shown)
    assert certificate.read_text() == "trust me"
    assert [path.name for path in folder.iterdir()] == ["one.pem"]


def test_private_files_are_in_the_home_of_their_command_alone(host: StrictHost) -> None:
    home = {".npmrc": b"token"}
    said = host.said("cat ~/.npmrc; stat -c ' %a %U' ~/.npmrc; echo x > ~/.npmrc", home=home)
    assert said == "token 600 buildnet\n"
    assert host.said("ls -A ~") == ""


def test_a_command_finds_itself_on_its_own_network(host: StrictHost) -> None:
    assert "LOOPBACK,UP" in host.said("ip address") or "lo" in host.said("cat /proc/net/dev")


def test_failures_timeouts_and_cancelling(host: StrictHost) -> None:
    failed = host.run("echo broken; exit 3", "packages/a/out")
    assert (failed.outcome.exit_code, failed.outputs) == (3, None)
    killed = host.run("kill -SEGV $$").outcome
    assert (killed.exit_code, killed.signal) == (139, "SIGSEGV")
    late = host.run("sleep 1000", timeout_s=0.1).outcome
    assert late.timed_out
    assert not late.succeeded
    cancel = CancelToken()
    stopped = host.run("echo up; sleep 1000", on_output=lambda _: cancel.set(), cancel=cancel)
    assert stopped.outcome.cancelled
    assert stopped.outputs is None


def test_a_command_may_tidy_up_when_it_is_stopped(host: StrictHost) -> None:
    cancel = CancelToken()
    execution = host.run(
        "trap 'echo tidied; exit 0' TERM; echo up; while :; do sleep 0.01; done",
        on_output=lambda _: cancel.set(),
        cancel=cancel,
    )
    assert "tidied" in host.log(execution)
    assert execution.outcome.cancelled


def test_what_a_command_leaves_running_ends_with_it(host: StrictHost) -> None:
    mark = f"4{os.getpid()}.5"
    execution = host.run(f"(setsid sleep {mark} &) ; (nohup sleep {mark} > /dev/null 2>&1 &)")
    assert execution.outcome.succeeded
    assert execution.outcome.left_behind == 2
    assert not running_with(mark)


def test_a_working_directory_that_is_missing_is_an_outcome(host: StrictHost) -> None:
    inputs = host.write({"packages/a/x": "x"})
    execution = host.run("rm -rf ../a; sh -c 'cd ../a'", inputs=inputs)
    assert execution.outcome.exit_code != 0


def test_the_log_is_bounded_and_large_output_passes(host: StrictHost) -> None:
    execution = host.run("head -c 3000000 /dev/zero")
    assert execution.log.size_bytes == 3_000_000


def test_a_tree_is_shown_and_what_is_written_to_it_stays_apart(
    host: StrictHost, tmp_path: Path
) -> None:
    modules = tmp_path / "with : and , in it" / "node_modules"
    (modules / "lib").mkdir(parents=True)
    (modules / "lib" / "index.js").write_text("from the tree\n")
    (modules / "b").symlink_to("../packages/b")
    inputs = host.write({"packages/b/index.js": "own copy\n"})
    command = (
        "cd ../..; cat node_modules/lib/index.js node_modules/b/index.js;"
        "mkdir node_modules/.cache && echo x > node_modules/.cache/x;"
        "echo more >> node_modules/lib/index.js; tail -n1 node_modules/lib/index.js"
    )
    execution = host.run(command, inputs=inputs, mounts=(Mount("node_modules", modules),))
    assert host.log(execution).startswith("from the tree\nown copy\n")
    assert (modules / "lib" / "index.js").read_text() == "from the tree\n"
    assert not (modules / ".cache").exists()
    assert execution.undeclared == ()


@pytest.mark.parametrize("overlay", [True, False])
def test_caches_that_lie_in_a_tree_are_empty_and_can_be_written(
    tmp_path: Path, launcher: Launcher, overlay: bool
) -> None:
    modules = tmp_path / "tree/packages/a/node_modules"
    write_files(modules, {".vite-temp/old": "", ".turbo/old": "", "lib/index.js": ""})
    (modules / ".cache").symlink_to("/usr")
    command = (
        "cd node_modules && ls -A . .vite-temp .turbo .cache/. && rm -r .turbo && "
        "touch .vite-temp/new .cache/new .turbo"
    )
    mounts = (Mount("packages/a/node_modules", modules),)
    with strict_host(tmp_path, launcher, overlay=overlay) as host:
        execution = host.run(command, mounts=mounts)
        assert host.log(execution) == (
            ".:\n.cache\n.turbo\n.vite-temp\nlib\n\n.cache/.:\n\n.turbo:\n\n.vite-temp:\n"
        )
    assert execution.outcome.succeeded
    assert {path.name for path in modules.rglob("*")} == {
        *(".cache", ".turbo", ".vite-temp"),
        *("old", "lib", "index.js"),
    }


def test_tools_of_a_home_directory_are_shown_with_what_came_with_them(
    host: StrictHost, tmp_path: Path
) -> None:
    installed = tmp_path.parent / f"{tmp_path.name}-tools" / "tool-1.0"
    (installed / "bin").mkdir(parents=True)
    (installed / "lib").mkdir()
    (installed / "lib" / "words").write_text("from its library\n")
    (installed / "bin" / "tool").write_text(
        '#!/bin/sh\ncat "$(dirname "$(realpath "$0")")"/../lib/*'
    )
    (installed / "bin" / "tool").chmod(0o755)
    (installed.parent / "secret").write_text("secret")
    links = tmp_path / "links" / "0123"
    links.mkdir(parents=True)
    (links / "tool").symlink_to(installed / "bin" / "tool")
    path = {"PATH": f"{links}:/usr/bin:/bin"}
    assert (
        host.said("tool; echo $PATH", environment=path)
        == "from its library\n/tools:/usr/bin:/bin\n"
    )
    assert "secret" not in host.said(f"ls {installed.parent}", environment=path)


def test_the_value_of_a_secret_is_not_in_the_log(host: StrictHost) -> None:
    token = {"NPM_TOKEN": "abcd-efgh", "PATH": "/usr/bin:/bin"}
    assert host.said('echo "$NPM_TOKEN"; printf abcd', environment=token) == "***\nabcd"


# Limits


def test_memory_is_limited(host: StrictHost) -> None:
    limits = ActionLimits(memory_bytes=64 << 20)
    execution = host.run("x=$(head -c 300000000 /dev/zero | tr '\\0' x); sleep 30", limits=limits)
    assert execution.outcome.exceeded == "memory"
    assert not execution.outcome.succeeded


def test_one_file_is_limited_and_so_are_all_together(host: StrictHost) -> None:
    limits = ActionLimits(disk_bytes=1 << 20)
    assert host.run("head -c 2000000 /dev/zero > big", limits=limits).outcome.exit_code != 0


def test_a_command_stays_on_its_cores(host: StrictHost) -> None:
    core = max(os.sched_getaffinity(0))
    limits = ActionLimits(cores=(core,))
    said = host.said("grep Cpus_allowed_list /proc/self/status", limits=limits)
    assert said.split()[-1] == str(core)


# The launcher


def test_a_launcher_that_dies_takes_its_commands_along_and_is_started_again(
    host: StrictHost,
) -> None:
    mark = f"5{os.getpid()}.5"

    def kill_launcher(_: bytes) -> None:
        assert host.launcher.pid is not None
        os.kill(host.launcher.pid, signal.SIGKILL)

    with pytest.raises(ExecutionError):
        host.run(f"echo up; sleep {mark}", on_output=kill_launcher)
    eventually(lambda: not running_with(mark))
    assert host.said("echo again") == "again\n"


@pytest.mark.parametrize("strict", [True, False])
def test_a_command_that_is_stopped_as_soon_as_it_was_asked_for_is_told_as_ended(
    host: StrictHost, tmp_path: Path, strict: bool
) -> None:
    plain = Launcher("plain", tmp_path)
    stage = tmp_path / "stage"
    for name in ("root", "home", "tmp"):
        (stage / name).mkdir(parents=True)
    view = StrictView(stage, network=False) if strict else None
    cwd = "/build" if strict else "/"
    try:
        for _ in range(10):
            command = (host.launcher if strict else plain).launch(
                LaunchRequest(["/bin/sleep", "60"], cwd, {}, view)
            )
            try:
                command.stop()
                command.connection.settimeout(20)
                report = receive_report(command.connection)
                assert report is not None, "its supervisor was ended instead"
                assert report["status"] == signal.SIGTERM
            finally:
                command.close()
    finally:
        plain.close()


def test_a_supervisor_that_is_killed_takes_its_command_along(host: StrictHost) -> None:
    mark = f"6{os.getpid()}.5"

    def kill_supervisor(_: bytes) -> None:
        assert host.launcher.pid is not None
        for child in psutil.Process(host.launcher.pid).children():
            with contextlib.suppress(psutil.Error):
                child.kill()

    with pytest.raises(ExecutionError) as raised:
        host.run(f"echo up; sleep {mark}", on_output=kill_supervisor)
    assert "supervisor" in raised.value.message
