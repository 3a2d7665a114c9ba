"""Starting a node beside others that start, run, end or were killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from buildnet import __version__
from buildnet.cli import start
from buildnet.cli.client import NodeUnreachableError
from buildnet.cli.settings import Settings
from buildnet.cli.start import StartError, ensure_node, start_detached, start_or_find
from buildnet.cli.testing import CommandLine, write_files
from buildnet.node.home import AlreadyRunningError, Home, Runtime

LISTEN = "127.0.0.1:0"
RUNTIME = Runtime("id", "other", "http://127.0.0.1:1", "/s", 1, "/h", "now", __version__)


@pytest.fixture
def buildnet(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line; whatever node it leaves running is stopped."""
    command = CommandLine(tmp_path / "home")
    yield command
    command("node", "stop")


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A data directory whose lock another one holds, and which ``BUILDNET_HOME`` names."""
    home = Home(tmp_path / "home")
    home.prepare()
    home.lock()
    monkeypatch.setenv("BUILDNET_HOME", str(home.directory))
    yield home
    home.unlock()


def after_waiting(monkeypatch: pytest.MonkeyPatch, *steps: object) -> list[float]:
    """Do one of ``steps`` each time that is waited; return the list of how long that was."""
    waits: list[float] = []
    left = list(steps)

    def sleep(duration_s: float) -> None:
        waits.append(duration_s)
        step = left.pop(0)
        if callable(step):
            step()

    monkeypatch.setattr("time.sleep", sleep)
    return waits


def test_two_starts_at_once_tell_of_one_node(buildnet: CommandLine) -> None:
    arguments = ("node", "start", "--detach", "--json", "--listen", LISTEN)
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: buildnet(*arguments), range(3)))
    assert [answer.code for answer in answers] == [0, 0, 0], [answer.err for answer in answers]
    assert len({answer.data["pid"] for answer in answers}) == 1
    assert sum("runs already" in answer.err for answer in answers) == 2


def test_two_builds_at_once_without_a_node_both_get_one(
    buildnet: CommandLine, tmp_path: Path
) -> None:
    definition = "workspace: w\npackages:\n  - name: a\n    path: .\n    build_cmd: echo > out\n"
    root = write_files(
        tmp_path / "w",
        {"buildnet.yaml": definition + "    sources: [in]\n    outputs: [out]\n", "in": ""},
    )
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: buildnet("build", "--json", cwd=root), range(3)))
    assert [answer.code for answer in answers] == [0, 0, 0], [answer.out for answer in answers]


def test_one_that_is_starting_is_waited_for(held: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = after_waiting(monkeypatch, None, lambda: held.write_runtime(RUNTIME))
    assert start.wait_until_ready(held.directory) == RUNTIME
    assert waits == [start._LOOK_AGAIN_S] * 2


def test_one_that_ends_is_waited_for_and_another_started(
    held: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_waiting(monkeypatch, None, held.unlock)
    assert start.wait_until_ready(held.directory) is None
    answers: list[Runtime | Exception] = [AlreadyRunningError("held"), RUNTIME]

    def next_start(home: Path, **_: object) -> Runtime:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(start, "start_detached", next_start)
    assert start_or_find(held.directory) == (RUNTIME, True)
    assert answers == []


def test_one_that_never_answers_is_not_waited_for_for_ever(
    held: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, start._READY_WITHIN_S + 1])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    after_waiting(monkeypatch, None)
    with pytest.raises(NodeUnreachableError) as error:
        start.wait_until_ready(held.directory)
    assert "node.log" in (error.value.hint or "")


def test_a_build_finds_the_node_that_was_started_meanwhile(
    held: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def held_by_other(home: Path, **_: object) -> Runtime:
        held.write_runtime(RUNTIME)
        raise AlreadyRunningError("held")

    monkeypatch.setattr(start, "start_detached", held_by_other)
    assert ensure_node(Settings()).is_local
    assert "starting one" in capsys.readouterr().err


def test_a_node_of_another_version_is_told(held: Home, capsys: pytest.CaptureFixture[str]) -> None:
    held.write_runtime(Runtime("id", "n", "a", "/s", 1, "/h", "now", "0.0.0"))
    ensure_node(Settings())
    assert "BuildNet 0.0.0" in capsys.readouterr().err


def test_another_node_is_asked_without_starting_one(tmp_path: Path) -> None:
    assert not ensure_node(Settings(node="http://127.0.0.1:1")).is_local


def test_a_held_directory_is_told_by_the_node_itself(held: Home) -> None:
    with pytest.raises(AlreadyRunningError):
        start_detached(held.directory, listen=LISTEN)


def test_while_a_node_starts_nobody_is_told_of_a_killed_one(buildnet: CommandLine) -> None:
    killed = buildnet.start()
    os.kill(killed["pid"], signal.SIGKILL)
    psutil.wait_procs([psutil.Process(killed["pid"])] if psutil.pid_exists(killed["pid"]) else [])
    assert (buildnet.home / "runtime.json").exists()
    starting = Home(buildnet.home)
    starting.lock()
    assert Home(buildnet.home).read_runtime() is None
    starting.unlock()


def test_an_interrupted_start_leaves_no_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(text: str) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("json.loads", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start_detached(tmp_path / "home", listen=LISTEN)
    assert not Home(tmp_path / "home").is_locked()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_in_the_midst_of_a_start_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """The process runs already, and nobody was told of it."""
    begun: list[int] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            begun.append(self.pid)
            signal.raise_signal(number)

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    monkeypatch.setattr("subprocess.Popen", Interrupted)
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            start_detached(tmp_path / "home", listen=LISTEN)
        assert signal.getsignal(signal.SIGTERM) is end
        assert signal.getsignal(signal.SIGINT) is handlers[signal.SIGINT]
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
        (process,) = begun
        left = psutil.pid_exists(process)
        if left:
            os.kill(process, signal.SIGKILL)
    assert not left


def test_stop_refuses_to_stop_another_node(buildnet: CommandLine) -> None:
    started = buildnet.start()
    for arguments, variables in (
        (["--node", started["address"]], {}),
        ([], {"BUILDNET_NODE": started["address"]}),
    ):
        answer = buildnet("node", "stop", *arguments, env=variables)
        assert answer.code == 2
        assert "error[USAGE]" in answer.err
    assert buildnet("node", "status").code == 0


_BROKEN_RUN = """
import sys
from buildnet.node import daemon

async def _run(*_):
    raise ExceptionGroup("", [ZeroDivisionError("very\\nstrange")])

daemon._run = _run
from buildnet.node.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
_BROKEN_INSTALLATION = """
import sys
sys.modules["uvicorn"] = None
from buildnet.node.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("program", "cause"),
    [
        (_BROKEN_RUN, "ZeroDivisionError: very strange"),
        (_BROKEN_INSTALLATION, "ModuleNotFoundError: "),
    ],
)
def test_an_unknown_error_at_the_start_is_told_in_one_line_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, cause: str
) -> None:
    Home(tmp_path / "home").prepare()
    popen = subprocess.Popen

    def broken(arguments: list[str], **options: object) -> subprocess.Popen[bytes]:
        assert arguments[1:3] == ["-m", "buildnet.node"]
        return popen([sys.executable, "-c", program, *arguments[3:]], **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr("subprocess.Popen", broken)
    with pytest.raises(StartError, match="could not start") as error:
        start_detached(tmp_path / "home", listen=LISTEN)
    assert error.value.exit_code == 1
    assert (error.value.cause or "").startswith(cause)
    log = tmp_path / "home/node.log"
    assert str(log) in (error.value.hint or "")
    (entry,) = [json.loads(line) for line in log.read_text().splitlines()]
    assert "Traceback" in entry["exception"]


def test_a_wrong_configuration_is_in_the_log_too(tmp_path: Path) -> None:
    home = write_files(tmp_path / "home", {"node.yaml": "node_nam: x\n"})
    with pytest.raises(StartError) as error:
        start_detached(home, listen=LISTEN)
    assert error.value.code == "CONFIG"
    (entry,) = [json.loads(line) for line in (home / "node.log").read_text().splitlines()]
    assert (entry["level"], "node_nam" in entry["message"]) == ("error", True)


def test_a_join_that_fails_says_that_the_node_it_started_still_runs(tmp_path: Path) -> None:
    fresh = CommandLine(tmp_path / "home")
    failed = fresh("node", "join", "127.0.0.1:1", "--token", "bn1-x")
    try:
        assert failed.code != 0
        assert "still runs: buildnet node stop" in failed.err
        again = fresh("node", "join", "127.0.0.1:1", "--token", "bn1-x")
        assert "still runs" not in again.err
    finally:
        fresh("node", "stop")


def test_a_node_keeps_its_name_until_it_is_given_another(tmp_path: Path) -> None:
    command = CommandLine(tmp_path / "home")
    config = tmp_path / "home" / "node.yaml"
    names = []
    for arguments in (("--name", "anna4"), (), ("--name", "berta"), ()):
        names.append(command.start(*arguments)["name"])
        assert command("node", "stop").code == 0
    config.write_text("node_name: carla\n")
    names.append(command.start()["name"])
    assert command("node", "stop").code == 0
    assert names == ["anna4", "anna4", "berta", "berta", "carla"]


def test_what_people_are_told_of_invitations_and_health(tmp_path: Path) -> None:
    command = CommandLine(tmp_path / "home")
    node_id = command.start()["node_id"]
    try:
        assert "only nodes on this host can reach this one" in command("node", "invite").err
        for arguments in (("",), ("--token", "")):
            refused = command("node", "join", *arguments)
            assert (refused.code, "empty" in refused.err) == (2, True), refused
        health = command("pool", "health", "--exit-status", "--quiet")
        assert (health.code, health.out) in ((0, ""), (1, f"{node_id}\n"))  # the host may be busy
    finally:
        command("node", "stop")
