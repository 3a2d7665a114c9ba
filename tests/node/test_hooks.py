"""Hooks: what they run with, how they fail, and that nothing they start outlives them."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.launcher.client import Launcher
from buildnet.node.hooks import HookError, run_hook

PATH = "/usr/local/bin:/usr/bin:/bin"
# Gives up its session, its parents, its pipe and its environment, as a daemon does.
DAEMON = "env -i PATH=$PATH setsid sleep 600.{number} < /dev/null > /dev/null 2>&1 &"


@pytest.fixture(params=["launcher", "without"])
def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launcher | None]:
    if request.param == "without":
        yield None
        return
    if sys.platform != "linux":
        pytest.skip("the launcher is Linux's")
    launcher = Launcher("plain", tmp_path / "launcher")
    yield launcher
    launcher.close()


class Host:
    def __init__(self, root: Path, launcher: Launcher | None) -> None:
        self.root, self.launcher = root, launcher
        self.said: list[bytes] = []
        self.cancel = CancelToken()

    def run(self, command: str, timeout_s: float = 60.0) -> str:
        run_hook(
            "pre_build",
            command,
            self.root,
            {"PATH": PATH, "GREETING": "hello"},
            timeout_s=timeout_s,
            output_limit_bytes=1 << 20,
            output=nullcontext(self.said.append),
            cancel=self.cancel,
            launcher=self.launcher,
        )
        return b"".join(self.said).decode()


@pytest.fixture
def host(tmp_path: Path, launcher: Launcher | None) -> Host:
    return Host(tmp_path, launcher)


def sleeping(number: int) -> bool:
    return any(
        f"600.{number}" in (one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])
    )


def is_gone(number: int) -> bool:
    deadline = time.monotonic() + 10
    while sleeping(number) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not sleeping(number)


def test_a_hook_runs_in_the_workspace_with_the_environment(host: Host) -> None:
    assert host.run("pwd; echo $GREETING; echo x > made") == f"{host.root}\nhello\n"
    assert (host.root / "made").exists()


def test_a_hook_that_fails_says_how(host: Host) -> None:
    with pytest.raises(HookError, match="the hook pre_build ended with exit code 7: exit 7"):
        host.run("exit 7")
    with pytest.raises(HookError, match="took too long"):
        host.run("sleep 60", timeout_s=0.1)


def test_nothing_that_a_hook_started_outlives_it(host: Host) -> None:
    if host.launcher is None:
        pytest.skip("a daemon escapes where there is no launcher")
    host.run(DAEMON.format(number=11) + " sleep 0.1")
    assert is_gone(11)
    with pytest.raises(HookError):
        host.run(DAEMON.format(number=12) + " sleep 600", timeout_s=0.3)
    assert is_gone(12)


def test_a_cancelled_hook_ends_with_all_it_started(host: Host) -> None:
    mark = host.root / "mark"

    def cancel_when_it_runs() -> None:
        while not mark.exists():
            time.sleep(0.01)
        host.cancel.set()

    watching = threading.Thread(target=cancel_when_it_runs)
    watching.start()
    with pytest.raises(HookError):
        host.run("(sleep 600.13 & touch mark; sleep 600.13)")
    watching.join()
    assert is_gone(13)
