"""A command against a node of another version."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from buildnet import __version__
from buildnet.cli.main import main
from buildnet.cli.testing import FakeNode, http_answer
from buildnet.node.home import Home, Runtime


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A data directory whose node is of version 0.1.0."""
    monkeypatch.setenv("BUILDNET_HOME", str(tmp_path / "home"))
    home = Home(tmp_path / "home")
    home.prepare()
    home.lock()
    home.write_runtime(
        Runtime(
            "id",
            "other",
            "http://127.0.0.1:1",
            str(home.socket_path()),
            os.getpid(),
            str(home.directory),
            "now",
            "0.1.0",
        )
    )
    yield home
    home.unlock()


def asked(home: Home, answer: bytes, *arguments: str) -> int:
    home.socket_path().unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(home.socket_path()))
    with FakeNode(listener, answer):
        return main(list(arguments))


def test_an_answer_that_lacks_something_names_the_versions(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(home, http_answer("{}"), "node", "status") == 1
    said = capsys.readouterr().err
    assert "error[OTHER_VERSION]" in said
    assert f"the node that runs is BuildNet 0.1.0, this command is {__version__}" in said
    assert "restart it" in said


def test_a_refusal_of_another_version_says_so_too(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = json.dumps({"detail": "no such path", "code": "NOT_FOUND", "exit_code": 6})
    assert asked(home, http_answer(problem, status="404 Not Found"), "node", "status") == 6
    said = capsys.readouterr().err
    assert "this command is" in said
    assert "error[NOT_FOUND]" in said


def test_an_answer_of_the_same_version_is_a_bug(home: Home) -> None:
    runtime = home.read_runtime()
    assert runtime is not None
    home.write_runtime(replace(runtime, version=__version__))
    with pytest.raises(KeyError):
        asked(home, http_answer("{}"), "node", "status")


def test_a_node_elsewhere_may_be_of_another_version(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with FakeNode(listener, http_answer("{}")):
        assert main(["--node", url, "node", "status"]) == 1
    assert "may be of another version" in capsys.readouterr().err
