"""The quick way: what it asks, what it prints, what it leaves to the long way, what it imports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from buildnet import __version__
from buildnet.cli import quick
from buildnet.cli.main import main
from buildnet.cli.testing import TIMEOUT_S, FakeNode, http_answer

SHORT = http_answer("3 1.6 0123456789ab\n", type=quick.UP_TO_DATE)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("BUILDNET")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BUILDNET_HOME", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def node(home: Path, answer: bytes) -> FakeNode:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(home / "node.sock"))
    return FakeNode(listener, answer)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the long way is taken")
def test_nothing_to_do(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD", 'a"\\\n\x01é😀')
    monkeypatch.setenv("NO_TEXT", "\udcff")
    monkeypatch.setenv("LOGNAME", "Zoé b")
    with node(home, SHORT) as asked:
        assert main(["build", "low", "hé"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ("succeeded: 3 packages (3 up to date) in 2 ms · build 0123456789ab\n")
    assert printed.err == ""
    body = asked.body
    assert body.pop("environment") == {
        name: value for name, value in os.environ.items() if name != "NO_TEXT"
    }
    assert body == {
        "root": str(home),
        "packages": ["low", "hé"],
        "detail": "changed",
    }
    assert f"buildnet-version: {__version__}\r\n".encode() in asked.request
    assert b"\r\nbuildnet-user: Zo%C3%A9%20b\r\n" in asked.request


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("1 0.2 ab\n", "\x1b[32msucceeded\x1b[0m: 1 package (1 up to date) in 0 ms · build ab\n"),
        ("0 1500 ab\n", "\x1b[32msucceeded\x1b[0m: 0 packages (nothing to do) in 1.50 s"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the long way is taken")
def test_the_words(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    expected: str,
) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with node(home, http_answer(answer, type=quick.UP_TO_DATE)):
        assert main(["build"]) == 0
    assert capsys.readouterr().out.startswith(expected)


REPORT = {"build_id": "ab", "status": "succeeded", "duration_ms": 20.0, "error": None}
EVENTS: list[dict[str, Any]] = [
    {"type": "build_started", "build_id": "ab", "tasks": 9, "dry_run": False},
    {"type": "tasks_up_to_date", "count": 9, "tasks": []},
    {"type": "build_finished", "report": {**REPORT, "packages": [], "unchanged": 9}},
]
LINES = "".join(json.dumps(event) + "\n" for event in EVENTS)


def chunked(text: str, size: int) -> bytes:
    """An answer in chunks, as the node gives it."""
    data = text.encode()
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n"
        f"buildnet-version: {__version__}\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the long way is taken")
@pytest.mark.parametrize(
    "answer",
    [
        http_answer(LINES, type="application/x-ndjson"),
        chunked(LINES, 7) + b"0\r\n\r\n",
        chunked(LINES, 100_000) + b"0\r\n\r\n",
        chunked(LINES, 300),  # hung up after the last event
    ],
)
def test_a_build_that_has_begun_is_followed_on_the_same_connection(
    home: Path, capsys: pytest.CaptureFixture[str], answer: bytes
) -> None:
    with node(home, answer):
        assert main(["build"]) == 0
    assert capsys.readouterr().out == "succeeded: 9 packages (9 up to date) in 20 ms · build ab\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the long way is taken")
def test_a_node_that_ends_during_the_build(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with node(home, chunked(LINES, 50)[:-80]):
        assert main(["build"]) == 3
    assert "stopped before the build was over" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the long way is taken")
def test_a_refusal_is_told_as_ever(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"detail": "no workspace here", "code": "WORKSPACE", "exit_code": 2, "hint": "go"}
    with node(home, http_answer(json.dumps(problem), status="400 Bad Request")):
        assert main(["build"]) == 2
    assert capsys.readouterr().err == "error[WORKSPACE]: no workspace here\nhint: go\n"


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["build", "--force"], {}),
        (["build", "-h"], {}),
        (["node", "status"], {}),
        ([], {}),
        (["build"], {"BUILDNET_NODE": "http://other"}),
        (["build"], {"BUILDNET_FORMAT": "json"}),
        (["build"], {"BUILDNET_PROGRESS": "json"}),
        (["build"], {"BUILDNET_COLOR": "pink"}),
        (["build"], {"BUILDNET_HOME": "~/elsewhere"}),
        (["build"], {"BUILDNET_HOME": "/" + "x" * 100}),
        (["build"], {}),  # no node runs
    ],
)
def test_what_is_not_plain_goes_the_long_way(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert quick.build(arguments) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the rule of Linux")
@pytest.mark.parametrize("data", [None, "", "/data"])
def test_it_knows_the_home(monkeypatch: pytest.MonkeyPatch, data: str | None) -> None:
    monkeypatch.delenv("BUILDNET_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ann")  # short: a socket's address is
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    if data is not None:
        monkeypatch.setenv("XDG_DATA_HOME", data)
    expected = platformdirs.user_data_path("buildnet", appauthor=False) / "node.sock"
    assert quick._socket_path() == str(expected)


QUICK = {"buildnet", "buildnet.cli", "buildnet.cli.main", "buildnet.cli.quick", "buildnet.cli.user"}
FOLLOWING = {f"buildnet.cli.{name}" for name in ("program", "resumed", "following", "output")}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the long way is taken")
@pytest.mark.parametrize(
    ("answer", "needed"),
    [(SHORT, QUICK), (chunked(LINES, 40), QUICK | FOLLOWING)],
    ids=["nothing to do", "something to do"],
)
def test_nothing_heavy_is_imported(home: Path, answer: bytes, needed: set[str]) -> None:
    program = "import sys; from buildnet.cli.main import main; sys.exit(main(['build']))"
    with node(home, answer):
        process = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", program],
            cwd=home,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    assert process.stdout.startswith("succeeded: ")
    imported = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    own = {name for name in imported if name.startswith("buildnet")}
    assert own >= needed
    assert needed > QUICK or own == QUICK
    heavy = "json re enum typing socket signal threading dataclasses pathlib argparse typer"
    assert not imported & {*heavy.split(), "contextlib", "shutil", "http.client", "collections"}
