from __future__ import annotations

import ast
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from buildnet.node.scan.probe import Prober, probe_environment

Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def make(body: str) -> str:
        path = tmp_path / f"program{len(list(tmp_path.iterdir()))}"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def prober() -> Prober:
    return Prober.of_process("/usr/bin:/bin")


def test_answer_and_exit_code(script: Script, prober: Prober) -> None:
    outcome = prober.run([script("echo out; echo err >&2; exit 3")])
    assert sorted(outcome.output.split()) == ["err", "out"]
    assert (outcome.exit_code, outcome.problem) == (3, "ended with exit code 3")
    assert not outcome.succeeded


def test_stderr_can_be_left_out(script: Script, prober: Prober) -> None:
    outcome = prober.run([script("echo out; echo err >&2")], merge_stderr=False)
    assert outcome.output == "out\n"
    assert outcome.succeeded


def test_nothing_can_be_read_and_the_directory_is_the_root(script: Script, prober: Prober) -> None:
    own_stdin, (reader, writer) = os.dup(0), os.pipe()
    try:
        os.dup2(reader, 0)
        outcome = prober.run([script("cat; pwd")])
    finally:
        os.dup2(own_stdin, 0)
        for descriptor in (own_stdin, reader, writer):
            os.close(descriptor)
    assert outcome.output == "/\n"


def test_a_hanging_program_and_its_children_are_killed(
    tmp_path: Path, script: Script, prober: Prober
) -> None:
    pids = tmp_path / "pids"
    hanging = script(f"sleep 1000 & echo $! > {pids}; echo $$ >> {pids}; trap '' TERM; wait")
    outcome = prober.run([hanging], timeout_s=0.5)
    assert outcome.exit_code is None
    assert outcome.problem == "did not answer within 0.5 s"
    left = [int(pid) for pid in pids.read_text().split()]
    assert len(left) == 2
    for pid in left:
        psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def test_a_background_process_that_holds_the_output_open_does_not_delay(
    tmp_path: Path, script: Script, prober: Prober
) -> None:
    pid_file = tmp_path / "pid"
    outcome = prober.run([script(f"sleep 1000 & echo $! > {pid_file}; echo 1.2.3")], timeout_s=20)
    assert outcome.output == "1.2.3\n"
    assert outcome.succeeded
    pid = int(pid_file.read_text())
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def test_a_flood_of_output_is_cut_off(script: Script, prober: Prober) -> None:
    outcome = prober.run([script("yes buildnet")], timeout_s=60, output_limit_bytes=100_000)
    assert len(outcome.output) == 100_000
    assert outcome.exit_code is None
    assert outcome.problem == "printed more than 97 KiB"


def test_garbage_is_text_all_the_same(script: Script, prober: Prober) -> None:
    outcome = prober.run([script(r"printf '\377\376\000\001 1.2'")])
    assert outcome.succeeded
    assert outcome.output.endswith("1.2")


def test_a_crash_names_the_signal(script: Script, prober: Prober) -> None:
    outcome = prober.run([script("kill -SEGV $$")])
    assert (outcome.exit_code, outcome.problem) == (-11, "was ended by SIGSEGV")


@pytest.mark.parametrize("content", [b"\x7fELF\x00\x00broken", b"\x00\x01\x02"])
def test_a_file_that_is_no_program_is_not_started(
    tmp_path: Path, prober: Prober, content: bytes
) -> None:
    path = tmp_path / "broken"
    path.write_bytes(content)
    path.chmod(0o755)
    outcome = prober.run([str(path)])
    assert not outcome.started
    assert outcome.problem == "cannot be run: Exec format error"


def test_a_missing_file_is_not_started(tmp_path: Path, prober: Prober) -> None:
    outcome = prober.run([str(tmp_path / "missing")])
    assert not outcome.started
    assert not outcome.succeeded


def test_cancelling_ends_a_probe(tmp_path: Path, script: Script) -> None:
    cancelled = threading.Event()
    prober = Prober.of_process("/usr/bin:/bin", cancelled)
    outcomes = []
    program = script("exec sleep 1000")
    thread = threading.Thread(target=lambda: outcomes.append(prober.run([program], timeout_s=1000)))
    thread.start()
    cancelled.set()
    thread.join()
    assert outcomes[0].problem == "the scan was cancelled"


def test_the_environment_is_minimal_quiet_and_english() -> None:
    own = {"HOME": "/home/me", "AWS_SECRET_ACCESS_KEY": "x", "PATH": "/evil", "LC_ALL": "de_DE"}
    environment = probe_environment("/usr/bin", own)
    assert environment["HOME"] == "/home/me"
    assert environment["PATH"] == "/usr/bin"
    assert environment["LC_ALL"] == "C"
    assert "AWS_SECRET_ACCESS_KEY" not in environment


def test_the_program_sees_that_environment_only(prober: Prober) -> None:
    question = "import os; print(sorted(os.environ))"
    outcome = prober.run([sys.executable, "-I", "-c", question])
    seen = set(ast.literal_eval(outcome.output))
    # macOS adds one of its own.
    assert seen - {"__CF_USER_TEXT_ENCODING"} == set(probe_environment("", os.environ))
