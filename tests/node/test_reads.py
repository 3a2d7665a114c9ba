"""The kernel tells which files a command opens."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.process import run_process
from buildnet.node.execute.reads import enter, tracer
from buildnet.node.execute.reads.tracer import Reads, TraceError, Tracer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def traced(directory: Path, command: str, *, code: int = 0) -> Reads:
    """Run a command and return what it was heard to read."""
    said = io.BytesIO()
    with Tracer() as tracer:
        outcome = run_process(
            tracer.wrap(["/bin/sh", "-c", command]),
            directory,
            {"PATH": "/usr/bin:/bin"},
            timeout_s=30,
            on_output=lambda data: None,
            cancel=CancelToken(),
            log=said,
        )
    assert outcome.exit_code == code, said.getvalue()
    tracer.require_heard()
    assert tracer.reads.unseen == 0
    return tracer.reads


def test_what_a_command_and_its_children_read_is_heard(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).write_text(name)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "link").symlink_to("../three")
    reads = traced(tmp_path, "cat one; (cd below && cat ../two link) | cat; test ! -e unseen")
    own = {path for path in reads.read if path.startswith(str(tmp_path))}
    assert own == {str(tmp_path / name) for name in ("one", "two", "three")}
    assert os.path.realpath("/bin/cat") in reads.programs


def test_what_is_not_there_is_told_apart(tmp_path: Path) -> None:
    reads = traced(tmp_path, "cat no/such/file 2>/dev/null || echo > made")
    assert str(tmp_path / "no/such/file") in reads.missing
    assert str(tmp_path / "made") not in reads.missing


def test_what_it_wrote_before_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "both").write_text("there")
    (tmp_path / "over").write_text("there")
    command = "echo made > new; cat new; cat both; echo more >> both; echo x > over; cat over"
    reads = traced(tmp_path, command)
    assert {path for path in reads.read if path.startswith(str(tmp_path))} == {
        str(tmp_path / "both")
    }
    assert str(tmp_path / "new") in reads.written


def test_a_command_that_fails_or_is_not_there_is_told_as_ever(tmp_path: Path) -> None:
    traced(tmp_path, "exit 7", code=7)
    traced(tmp_path, "no-such-program-here", code=127)


def test_who_is_not_listened_to_is_an_error(tmp_path: Path) -> None:
    tracer = Tracer()
    with tracer:
        pass  # nothing was started that could be heard
    with pytest.raises(TraceError, match="could not be traced"):
        tracer.require_heard()


def test_who_is_another_user_is_not_listened_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").write_text("1")
    users = [os.getuid() + 1]

    def user_of(connection: socket.socket) -> int:
        return users.pop() if users else real(connection)

    real = tracer._user_of
    monkeypatch.setattr(tracer, "_user_of", user_of)
    with Tracer() as other, socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(f"\0{other.wrap([])[4]}")
        stranger.settimeout(20)
        assert stranger.recv(1) == b""  # it was hung up on
        argv = other.wrap(["cat", str(tmp_path / "one")])
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    other.require_heard()
    assert str(tmp_path / "one") in other.reads.read


def test_the_filter_only_tells() -> None:
    program = enter.filter_program("x86_64")
    returned = {program[at + 4 : at + 8] for at in range(0, len(program), 8) if program[at] == 6}
    assert returned == {(0x7FFF0000).to_bytes(4, "little"), (0x7FC00000).to_bytes(4, "little")}
