"""The launcher's supervisors: those that wait for a command, and those that take one more."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.node.strict_host import running_launcher, ways

import buildnet
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.errors import ExecutionError
from buildnet.node.execute.launched import run_launched
from buildnet.node.execute.launcher import kernel, sandbox
from buildnet.node.execute.launcher.client import Launcher, LaunchRequest, StrictView
from buildnet.node.execute.launcher.messages import send_report
from buildnet.node.execute.launcher.reports import receive_report
from buildnet.node.execute.outcome import ProcessOutcome

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the launcher is Linux's")

PATIENCE_S = 20.0


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher("plain", tmp_path / "launcher")
    yield launcher
    launcher.close()


@pytest.fixture(params=ways())
def strict(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launcher]:
    with running_launcher(request.param, tmp_path / "launcher") as launcher:
        yield launcher


def run(
    launcher: Launcher,
    command: str,
    *,
    stage: Path | None = None,
    timeout_s: float | None = None,
    file_bytes: int | None = None,
    cores: tuple[int, ...] | None = None,
) -> tuple[ProcessOutcome, str]:
    log = io.BytesIO()
    request = LaunchRequest(
        ("/bin/sh", "-c", command),
        "/tmp",
        {"PATH": "/usr/bin:/bin"},
        None if stage is None else StrictView(stage.resolve(), network=False),
        file_bytes=file_bytes,
        cores=cores,
    )
    outcome = run_launched(
        launcher,
        request,
        timeout_s=timeout_s,
        on_output=lambda chunk: None,
        cancel=CancelToken(),
        log=log,
        output_limit_bytes=1 << 20,
    )
    return outcome, log.getvalue().decode()


def supervisors(launcher: Launcher) -> list[psutil.Process]:
    assert launcher.pid is not None
    return psutil.Process(launcher.pid).children()


def has_ended(process: psutil.Process) -> bool:
    """Whether a process has ended; whoever has to reap it may take its time."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for_end(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not all(map(has_ended, processes)):
        assert time.monotonic() < deadline


@pytest.fixture
def stage(tmp_path: Path, strict: Launcher) -> Path:
    for name in ("root", "home", "tmp"):
        directory = tmp_path / "stage" / name
        directory.mkdir(parents=True)
        if strict.owner is not None:
            os.chown(directory, strict.owner, strict.owner)
    tmp_path.chmod(0o755)
    return tmp_path / "stage"


def test_one_supervisor_runs_one_command_after_the_other(plain: Launcher) -> None:
    parents = {run(plain, "echo $PPID")[1] for _ in range(3)}
    assert len(parents) == 1
    assert len(supervisors(plain)) == 1


def test_a_command_has_nothing_of_the_limits_of_the_one_before(plain: Launcher) -> None:
    first = min(os.sched_getaffinity(0))
    tell = "grep Cpus_allowed_list /proc/self/status; ulimit -f"
    before = run(plain, tell)[1]
    limited = run(plain, tell, file_bytes=1 << 20, cores=(first,))[1]
    assert limited.split() == ["Cpus_allowed_list:", str(first), "2048"]
    assert run(plain, tell)[1] == before


def test_processor_time_is_that_of_one_command(plain: Launcher) -> None:
    busy, _ = run(plain, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
    idle, _ = run(plain, ":")
    assert idle.cpu_ms < busy.cpu_ms / 2


def test_what_a_command_leaves_is_ended_before_the_next(plain: Launcher) -> None:
    left, pid = run(plain, "sleep 1000 >/dev/null 2>&1 & echo $!")
    assert left.left_behind == 1
    assert not psutil.pid_exists(int(pid))
    assert run(plain, "echo next")[1] == "next\n"


def test_a_supervisor_that_ended_a_command_takes_no_other(plain: Launcher) -> None:
    stopped, parent = run(plain, "echo $PPID; sleep 1000", timeout_s=0.2)
    assert stopped.timed_out
    wait_for_end([process for process in supervisors(plain) if process.pid == int(parent)])
    after, other = run(plain, "echo $PPID")
    assert after.succeeded
    assert other != parent


def test_supervisors_that_were_ended_while_they_waited_are_not_missed(
    strict: Launcher, stage: Path
) -> None:
    assert run(strict, "echo one", stage=stage)[1] == "one\n"
    waiting = supervisors(strict)
    deadline = time.monotonic() + PATIENCE_S
    while len(waiting) < 2 and time.monotonic() < deadline:
        waiting = supervisors(strict)
    for process in waiting:
        with contextlib.suppress(psutil.NoSuchProcess):  # the first command's ends by itself
            process.kill()
    wait_for_end(waiting)
    assert run(strict, "echo two", stage=stage)[1] == "two\n"


def test_no_sandbox_is_made_beside_a_command_that_runs(strict: Launcher, stage: Path) -> None:
    with contextlib.ExitStack() as stack:
        for network in (False, True):  # of two kinds: the second one's is made last of all
            view = StrictView(stage.resolve(), network)
            command = strict.launch(LaunchRequest(("/bin/sleep", "1000"), "/tmp", {}, view))
            stack.callback(command.close)
        assert len(supervisors(strict)) == 2


def test_a_command_that_outlives_the_launcher_starts_none(strict: Launcher, stage: Path) -> None:
    view = StrictView(stage.resolve(), network=False)
    command = strict.launch(LaunchRequest(("/bin/sleep", "1000"), "/tmp", {}, view))
    strict.close()
    command.close()
    assert strict.pid is None


def test_nobody_waits_for_a_supervisor_that_has_nothing_left(strict: Launcher, stage: Path) -> None:
    view = StrictView(stage.resolve(), network=False)
    for line, left_behind in (("exit 0", 0), ("sleep 1000 >/dev/null 2>&1 &", 1)):
        command = strict.launch(LaunchRequest(("/bin/sh", "-c", line), "/tmp", {}, view))
        try:
            report = command.report()
            assert report is not None
            assert report["left_behind"] == left_behind
            assert command.wait(PATIENCE_S if left_behind else 0)
        finally:
            command.close()


@pytest.mark.parametrize("level", ["plain", "strict"])
def test_what_waits_ends_with_the_launcher(
    level: str, plain: Launcher, strict: Launcher, stage: Path
) -> None:
    launcher, place = (plain, None) if level == "plain" else (strict, stage)
    assert run(launcher, "echo one", stage=place)[1] == "one\n"
    waiting = supervisors(launcher)
    deadline = time.monotonic() + PATIENCE_S
    while not waiting and time.monotonic() < deadline:
        waiting = supervisors(launcher)
    assert waiting
    assert launcher.pid is not None
    process = psutil.Process(launcher.pid)
    process.kill()
    wait_for_end([process, *waiting])  # what waits may be less than what is about to
    assert run(launcher, "echo two", stage=place)[1] == "two\n"


@pytest.mark.parametrize("lacking", ["os.pipe2", "socket.socketpair"])
def test_a_node_without_descriptors_says_so_and_keeps_none(
    plain: Launcher, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    request = LaunchRequest(("/bin/true",), "/", {})
    plain.start()
    before = psutil.Process().num_fds()
    with monkeypatch.context() as patched:
        patched.setattr(lacking, refuse)
        with pytest.raises(ExecutionError) as caught:
            plain.launch(request)
    assert "Too many open files" in str(caught.value.cause)
    assert psutil.Process().num_fds() == before
    assert run(plain, "echo one")[1] == "one\n"


def test_two_sandboxes_that_show_the_same_file_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, place = tmp_path / "tool", tmp_path / "shown/tool"
    for file in (tool, place):
        file.parent.mkdir(exist_ok=True)
        file.write_text("")
    monkeypatch.setattr(sandbox, "HOST", "")
    monkeypatch.setattr(os.path, "lexists", lambda path: False)  # it came after it was looked for
    mounted: list[str] = []
    monkeypatch.setattr(kernel, "mount", lambda source, target, *_: mounted.append(target))
    monkeypatch.setattr(kernel, "restrict_mount", lambda target, attributes: None)
    sandbox._bind(str(tool), str(place), kernel.ATTR_RDONLY)
    assert mounted == [str(place)]


def test_the_launcher_holds_little_of_the_library_for_each_fork_pays_for_it() -> None:
    path = str(Path(buildnet.__file__).parents[1])
    code = (
        "import sys; sys.path.append(sys.argv[1]);"
        "from buildnet.node.execute.launcher.server import main; print(*sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, path], capture_output=True, text=True, check=True
    )
    large = {"collections", "enum", "functools", "json", "re", "signal", "socket", "typing"}
    assert large.isdisjoint(found.stdout.split())


def test_a_report_is_what_was_sent() -> None:
    report = {
        "status": -9,
        "peak_kib": None,
        "lasts": True,
        "left": False,
        "why": 'no "such" thing:\n\tä\U0001f642 \udc80\\',
    }
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_report(theirs, report)
        assert receive_report(ours) == report
