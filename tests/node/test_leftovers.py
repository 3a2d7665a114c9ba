"""What a dead node's commands leave running is ended, and nobody else's processes are."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from buildnet.node.execute import leftovers
from buildnet.node.execute.errors import StageError
from buildnet.node.execute.executor import StagedExecutor
from buildnet.node.execute.leftovers import end_leftovers

Start = Callable[..., list[int]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a shell command, in a session of its own as a node does, and read its first line: the
    ids of the processes that it started. All of them are ended with the test."""
    shells: list[subprocess.Popen[str]] = []
    seen: list[int] = []

    def start(command: str, work: Path | None, **more: str) -> list[int]:
        environment = {"PATH": os.environ["PATH"], **more}
        if work is not None:
            stage = work / "0123456789abcdef"
            (stage / "home").mkdir(parents=True, exist_ok=True)
            environment = {"BUILDNET_ACTION": "0123", "HOME": str(stage / "home"), **environment}
        shell = subprocess.Popen(
            ["/bin/sh", "-c", command],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        shells.append(shell)
        assert shell.stdout is not None
        pids = [shell.pid, *map(int, shell.stdout.readline().split())]
        seen.extend(pids)
        return pids

    yield start
    for pid in seen:
        if is_alive(pid):
            psutil.Process(pid).kill()
    for shell in shells:
        with contextlib.suppress(ProcessLookupError):  # not reaped yet, so the number is its own
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        assert shell.stdout is not None
        shell.stdout.close()


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_command_and_all_it_started_is_ended(start: Start, tmp_path: Path) -> None:
    """Also what left its session, gave up its variables, or does not heed SIGTERM."""
    work = tmp_path / "work"
    pids = start(
        "trap '' TERM; sleep 1001 & one=$!; setsid sleep 1002 & two=$!;"
        "env -i sleep 1003 & three=$!; echo $one $two $three; sleep 1004; true",
        work,
    )
    assert len(pids) == 4
    assert all(map(is_alive, pids))
    assert end_leftovers(work) >= 4
    assert not any(map(is_alive, pids))
    assert end_leftovers(work) == 0


def test_orphans_without_variables_fall_with_their_session(start: Start, tmp_path: Path) -> None:
    """The parent has ended, so only the session tells whose it was."""
    (shell, orphan) = start(
        "o=$(env -i sleep 1001 >&2 & echo $!); echo $o; sleep 1002; true", tmp_path / "work"
    )
    assert psutil.Process(orphan).ppid() != shell
    end_leftovers(tmp_path / "work")
    assert not is_alive(orphan)


def test_background_processes_of_a_command_that_ended(start: Start, tmp_path: Path) -> None:
    (shell, background) = start("sleep 1001 >&2 & echo $!", tmp_path / "work")
    os.waitid(os.P_PID, shell, os.WEXITED | os.WNOWAIT)
    assert end_leftovers(tmp_path / "work") == 1
    assert not is_alive(background)


def test_in_place_commands_are_found_by_their_temporary_directory(
    start: Start, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    (pid,) = start(
        "echo; sleep 1001; true", None, BUILDNET_ACTION="0", TMPDIR=str(work / "in-place-x")
    )
    work.mkdir()
    end_leftovers(work)
    assert not is_alive(pid)


def test_other_directories_keep_their_processes(start: Start, tmp_path: Path) -> None:
    """Another node's, one whose name only begins the same, and processes that are no command."""
    work = tmp_path / "work"
    work.mkdir()
    waiting = "echo; sleep 1001; true"
    others = [
        start(waiting, tmp_path / "other/work"),
        start(waiting, tmp_path / "work-2"),
        start(waiting, tmp_path),
        start(waiting, None, HOME=str(work / "x/home")),
        start(waiting, None, BUILDNET_ACTION="0123"),
    ]
    (mine,) = start(waiting, work)
    end_leftovers(work)
    assert not is_alive(mine)
    assert all(is_alive(pid) for pids in others for pid in pids)


def test_whoever_shares_the_session_without_leading_it_is_kept(
    start: Start, tmp_path: Path
) -> None:
    """A person who ran something with a command's variables keeps the shell and its other jobs."""
    work = tmp_path / "work"
    home = work / "0123/home"
    shell, marked, job = start(
        f"sleep 1002 & export job=$!; BUILDNET_ACTION=0 HOME={home}"
        " sh -c 'echo $$ $job; sleep 1001; true' & wait",
        None,
    )
    work.mkdir()
    assert end_leftovers(work) >= 1
    assert not is_alive(marked)
    assert is_alive(shell)
    assert is_alive(job)


def test_a_work_directory_reached_through_a_link_is_the_same(start: Start, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (pid,) = start("echo; sleep 1001; true", tmp_path / "link/work")
    end_leftovers(tmp_path / "real/work")
    assert not is_alive(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="needs mount namespaces")
def test_the_same_path_in_a_container_is_another_directory(start: Start, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    inside = f"mount -t tmpfs none {tmp_path} && mkdir {work} && echo && sleep 1001; true"
    can = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if can.returncode != 0:
        pytest.skip("mount namespaces are not permitted")
    (pid,) = start(f"exec unshare -m sh -c '{inside}'", work)
    assert end_leftovers(work) == 0
    assert is_alive(pid)


def test_what_cannot_be_ended_is_an_error(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pid,) = start("echo; sleep 1001; true", tmp_path / "work")
    monkeypatch.setattr(leftovers, "_kill", lambda process: None)
    monkeypatch.setattr(leftovers, "GIVE_UP_AFTER_S", 0.0)
    with pytest.raises(StageError, match=str(pid)) as raised:
        StagedExecutor(tmp_path / "work")
    assert raised.value.hint


def test_the_executor_ends_them_before_it_clears_their_stages(start: Start, tmp_path: Path) -> None:
    """The command makes its directory again whenever it is gone."""
    work = tmp_path / "work"
    stage = work / "0123456789abcdef"
    (pid,) = start(f"echo; while mkdir -p {stage}/again; do :; done", work)
    StagedExecutor(work)
    assert not is_alive(pid)
    assert [path.name for path in work.iterdir()] == [".trash"]
