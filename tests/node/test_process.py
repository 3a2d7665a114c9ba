"""Running one command: output, end, limits, and everything it leaves behind."""

from __future__ import annotations

import io
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from buildnet.node.execute import process
from buildnet.node.execute.bounded_log import BoundedLog
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.outcome import ProcessOutcome
from buildnet.node.execute.priority import NICENESS
from buildnet.node.execute.process import run_process
from buildnet.node.execute.process_tree import become_child_subreaper

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's child subreaper")
MIB = 1 << 20


@pytest.fixture(autouse=True)
def _subreaper() -> None:
    become_child_subreaper()


class Run:
    """One run of a shell command and what came of it."""

    def __init__(
        self,
        command: str,
        cwd: Path,
        *,
        timeout_s: float | None = None,
        cancel: CancelToken | None = None,
        on_output: Callable[[bytes], None] | None = None,
        limit: int = MIB,
        env: dict[str, str] | None = None,
    ) -> None:
        log = io.BytesIO()
        self.chunks: list[bytes] = []
        self.outcome: ProcessOutcome = run_process(
            ["/bin/sh", "-c", command],
            cwd,
            {"PATH": os.environ["PATH"], "BUILDNET_ACTION": "0123abcd", **(env or {})},
            timeout_s=timeout_s,
            on_output=on_output or self.chunks.append,
            cancel=cancel or CancelToken(),
            log=log,
            output_limit_bytes=limit,
        )
        self.log = log.getvalue()


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_output_keeps_the_order_of_both_streams(tmp_path: Path) -> None:
    run = Run("echo one; echo two >&2; echo three", tmp_path)
    assert run.log == b"one\ntwo\nthree\n"
    assert b"".join(run.chunks) == run.log
    assert run.outcome.succeeded
    assert run.outcome.signal is None
    assert run.outcome.output_truncated_bytes == 0


def test_standard_input_is_empty_and_environment_is_only_what_is_given(tmp_path: Path) -> None:
    run = Run("cat; pwd; env", tmp_path, env={"COLOUR": "blue"})
    lines = run.log.decode().splitlines()
    assert lines[0] == str(tmp_path.resolve())
    names = {line.split("=")[0] for line in lines[1:]}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "BUILDNET_ACTION", "COLOUR"}


def test_the_value_of_a_secret_is_neither_told_nor_kept(tmp_path: Path) -> None:
    run = Run(
        'echo "$NPM_TOKEN"; printf "${NPM_TOKEN%%-*}"', tmp_path, env={"NPM_TOKEN": "abcd-efgh"}
    )
    assert run.log == b"***\nabcd"
    assert b"".join(run.chunks) == run.log


def test_files_are_made_with_the_same_mask_everywhere(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        Run("touch made", tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o644


def test_exit_code_and_signal(tmp_path: Path) -> None:
    assert Run("exit 7", tmp_path).outcome.exit_code == 7
    killed = Run("kill -SEGV $$", tmp_path).outcome
    assert (killed.exit_code, killed.signal) == (139, "SIGSEGV")
    assert not killed.succeeded


def test_command_that_does_not_exist(tmp_path: Path) -> None:
    run = Run("no-such-command-here", tmp_path)
    assert run.outcome.exit_code == 127
    assert b"no-such-command-here" in run.log


def run_directly(argv: list[str], cwd: Path) -> tuple[ProcessOutcome, bytes]:
    log = io.BytesIO()
    outcome = run_process(
        argv,
        cwd,
        {},
        timeout_s=None,
        on_output=lambda _: None,
        cancel=CancelToken(),
        log=log,
    )
    return outcome, log.getvalue()


def test_programs_and_directories_that_cannot_be_used_are_outcomes(tmp_path: Path) -> None:
    outcome, log = run_directly(["/no/such/program"], tmp_path)
    assert (outcome.exit_code, log) == (
        127,
        b"buildnet: /no/such/program: No such file or directory\n",
    )
    (tmp_path / "plain").write_text("")
    outcome, log = run_directly([str(tmp_path / "plain")], tmp_path)
    assert outcome.exit_code == 126
    assert b"Permission denied" in log
    outcome, log = run_directly(["/bin/sh"], tmp_path / "missing")
    assert outcome.exit_code == 127
    assert b"working directory" in log
    outcome, log = run_directly(["/bin/sh", "-c", "a\0b"], tmp_path)
    assert outcome.exit_code == 126
    assert b"null byte" in log


def test_output_arrives_while_the_command_runs(tmp_path: Path) -> None:
    """The command ends only after its first line was seen."""
    os.mkfifo(tmp_path / "gate")

    def open_gate(chunk: bytes) -> None:
        if b"ready" in chunk:
            (tmp_path / "gate").write_text("go\n")

    run = Run("echo ready; read word < gate; echo $word", tmp_path, on_output=open_gate)
    assert run.log == b"ready\ngo\n"


def test_much_output_is_bounded_and_keeps_both_ends(tmp_path: Path) -> None:
    count = 40 * MIB
    script = f"echo first; head -c {count} /dev/zero; echo last"
    seen = 0

    def measure(chunk: bytes) -> None:
        nonlocal seen
        seen += len(chunk)

    run = Run(script, tmp_path, on_output=measure)
    total = count + len("first\n") + len("last\n")
    assert seen == total
    assert run.log.startswith(b"first\n")
    assert run.log.endswith(b"last\n")
    left_out = run.outcome.output_truncated_bytes
    assert left_out == total - MIB
    assert f"\n[... {left_out} bytes left out ...]\n".encode() in run.log
    assert len(run.log) < MIB + 100


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 10, 64])
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_bounded_log_keeps_the_first_and_the_last_half(limit: int, size: int) -> None:
    stream = bytes(range(256)) * 2
    for end in (0, 1, limit, limit + 1, 100, 512):
        file = io.BytesIO()
        log = BoundedLog(file, limit)
        for start in range(0, end, size):
            log.write(stream[start : min(end, start + size)])
        log.finish()
        if end <= limit:
            assert file.getvalue() == stream[:end]
        else:
            head, _, tail = file.getvalue().partition(b"\n[... ")
            assert head == stream[: limit - limit // 2]
            assert tail.partition(b" ...]\n")[2] == stream[end - limit // 2 : end]
            assert log.truncated_bytes == end - limit


def test_a_background_child_does_not_keep_the_action_open_and_is_ended(tmp_path: Path) -> None:
    run = Run("sleep 1000 & echo $!", tmp_path)
    assert run.outcome.succeeded
    assert not is_alive(int(run.log))
    if sys.platform == "linux":
        assert run.outcome.left_behind == 1


@linux_only
@pytest.mark.parametrize(
    "escape",
    [
        "setsid sh -c 'echo $$; echo up > ready; exec sleep 1000' &",
        "setsid sh -c 'setsid sh -c \"echo \\$\\$; echo up > ready; exec sleep 1000\" &' &",
        "env -i /usr/bin/setsid /bin/sh -c 'echo $$; echo up > ready; exec /bin/sleep 1000' &",
        "setsid sh -c 'echo $$; exec >/dev/null 2>&1 </dev/null; echo up > ready; sleep 1000' &",
    ],
    ids=["session", "double-fork", "no-environment", "no-pipe"],
)
def test_processes_that_left_the_group_are_ended(tmp_path: Path, escape: str) -> None:
    run = Run(f"mkfifo ready; {escape} read up < ready", tmp_path)
    assert run.outcome.left_behind >= 1
    assert not is_alive(int(run.log))


@linux_only
def test_children_of_an_escaped_process_are_ended_with_it(tmp_path: Path) -> None:
    (tmp_path / "hidden.sh").write_text("echo $$ > pid; echo up > ready; exec /bin/sleep 1000\n")
    (tmp_path / "parent.sh").write_text(
        "env -i /usr/bin/setsid /bin/sh hidden.sh >/dev/null 2>&1 </dev/null &\nwait\n"
    )
    run = Run("mkfifo ready; setsid sh parent.sh & read up < ready", tmp_path)
    assert run.outcome.left_behind == 2
    assert not is_alive(int((tmp_path / "pid").read_text()))


@linux_only
def test_other_processes_of_the_node_are_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as other:
        try:
            run = Run("setsid sleep 1000 & true", tmp_path)
            assert run.outcome.left_behind == 1
            assert is_alive(other.pid)
        finally:
            other.kill()


@linux_only
def test_actions_at_once_end_only_their_own_processes(tmp_path: Path) -> None:
    """The second action's daemon lives until its own end, though the first has ended before."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "gate")
    detached = "mkfifo ready; setsid sh -c 'setsid sh -c \"echo \\$\\$; echo up > ready; {}\" &' & "
    waiting = detached.format("exec sleep 1000") + "read up < ready; cat ../gate"
    quick = detached.format("exec sleep 1000") + "read up < ready"
    chunks: list[bytes] = []
    up = threading.Event()

    def on_output(chunk: bytes) -> None:
        chunks.append(chunk)
        up.set()

    with ThreadPoolExecutor(2) as pool:
        second = pool.submit(
            Run, waiting, tmp_path / "second", env={"BUILDNET_ACTION": "2"}, on_output=on_output
        )
        assert up.wait(60)
        daemon = int(chunks[0])
        first = pool.submit(Run, quick, tmp_path / "first", env={"BUILDNET_ACTION": "1"}).result()
        assert not is_alive(int(first.log))
        assert is_alive(daemon)
        (tmp_path / "gate").write_text("go")
        assert second.result().outcome.left_behind == 1
    assert not is_alive(daemon)


@linux_only
def test_nothing_stays_a_zombie(tmp_path: Path) -> None:
    Run("(sh -c 'true' &); (setsid sleep 1000 &) ; true", tmp_path)
    zombies = [
        child.pid for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE
    ]
    assert zombies == []


def test_timeout_ends_the_whole_tree(tmp_path: Path) -> None:
    run = Run("sleep 1000 & echo $!; sleep 1000", tmp_path, timeout_s=0.2)
    assert run.outcome.timed_out
    assert run.outcome.signal == "SIGTERM"
    assert run.outcome.exit_code == 143
    assert not run.outcome.succeeded
    assert not is_alive(int(run.log))


def test_a_command_may_tidy_up_after_sigterm(tmp_path: Path) -> None:
    run = Run(
        "trap 'echo tidy; exit 3' TERM; sleep 1000 & wait", tmp_path, timeout_s=0.2, limit=1000
    )
    assert run.log == b"tidy\n"
    assert run.outcome.timed_out
    assert run.outcome.exit_code == 3


@linux_only
def test_a_child_of_the_shell_has_the_grace_too(tmp_path: Path) -> None:
    child = "trap 'sleep 0.3; echo tidy; exit' TERM; echo up; while :; do sleep 0.05; done"
    cancel = CancelToken()
    run = Run(
        f'sh -c "{child}"; true',
        tmp_path,
        cancel=cancel,
        on_output=lambda chunk: cancel.set() if b"up" in chunk else None,
    )
    assert run.log.endswith(b"tidy\n")
    assert run.outcome.cancelled


def test_sigkill_follows_when_sigterm_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_S", 0.1)
    run = Run("trap '' TERM; echo $$; while :; do sleep 0.05; done", tmp_path, timeout_s=0.2)
    assert run.outcome.timed_out
    assert run.outcome.signal == "SIGKILL"
    assert not is_alive(int(run.log))


def test_cancel_from_another_thread(tmp_path: Path) -> None:
    cancel = CancelToken()

    def on_output(_: bytes) -> None:
        threading.Thread(target=cancel.set).start()

    run = Run("echo up; sleep 1000", tmp_path, cancel=cancel, on_output=on_output)
    assert run.outcome.cancelled
    assert not run.outcome.timed_out


def test_a_cancelled_command_is_never_started(tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.set()
    run = Run("touch started", tmp_path, cancel=cancel)
    assert run.outcome.cancelled
    assert not (tmp_path / "started").exists()


def test_a_failing_receiver_ends_the_command(tmp_path: Path) -> None:
    pids: list[int] = []

    def fail(chunk: bytes) -> None:
        pids.append(int(chunk))
        raise RuntimeError("receiver is gone")

    with pytest.raises(RuntimeError, match="receiver is gone"):
        Run("echo $$; sleep 1000", tmp_path, on_output=fail)
    assert not is_alive(pids[0])


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    Run("true", tmp_path)
    before = psutil.Process().num_fds()
    for _ in range(5):
        Run("sleep 1000 & true", tmp_path)
    assert psutil.Process().num_fds() == before


def test_resource_use_is_measured(tmp_path: Path) -> None:
    # More than the tests before it took of this process: less can't be told from what it inherits.
    own_peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    taken = own_peak_bytes + (64 << 20)
    code = f"x = bytearray({taken}); sum(range(3_000_000))"
    run = Run(f"'{sys.executable}' -I -S -c '{code}'", tmp_path)
    assert run.outcome.cpu_ms > 0
    assert run.outcome.max_rss_bytes is not None
    assert run.outcome.max_rss_bytes > taken
    assert Run("true", tmp_path).outcome.max_rss_bytes is None


def test_commands_run_with_low_priority(tmp_path: Path) -> None:
    # The priority is set right after the start: the command looks until it sees it.
    looking = f'until [ "$(nice)" = {NICENESS} ]; do :; done; '
    if sys.platform == "linux" and shutil.which("ionice"):
        looking += 'until [ "$(ionice)" = idle ]; do :; done; '
    assert Run(looking + "echo low", tmp_path, timeout_s=60).log == b"low\n"
    assert os.getpriority(os.PRIO_PROCESS, os.getpid()) < NICENESS
