"""Forked nodes and commands are what truly started ones are."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from buildnet.cli.testing import CommandLine
from buildnet.node.execute import delivery
from testbed.commands import ForkedCommandLine
from testbed.fork_server import ForkServer, can_fork, make_again
from testbed.forked_nodes import ForkedNode
from testbed.nodes import Node

pytestmark = pytest.mark.skipif(
    not can_fork({"LANG": "C.UTF-8"}), reason="processes are forked on Linux only"
)
PATIENCE_S = 60.0


@pytest.mark.parametrize(
    "arguments", [["node", "status", "--json"], ["nod"], ["ledger", "check-proof", "none"]]
)
def test_a_forked_command_says_what_a_true_one_says(tmp_path: Path, arguments: list[str]) -> None:
    true, forked = (kind(tmp_path / "home") for kind in (CommandLine, ForkedCommandLine))
    assert forked(*arguments) == true(*arguments)


def test_how_a_forked_node_ended_is_known(tmp_path: Path) -> None:
    node = Node(tmp_path / "home", "node1", listen="127.0.0.1:0", bare=True)
    for number, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -9), (signal.SIGSEGV, -11)):
        node.start()
        process = node.launched
        runtime = node.home.read_runtime()
        assert runtime is not None
        assert process.pid == runtime.pid == os.getsid(process.pid)
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == process.poll() == code
        node.kill()
    assert "Fatal Python error: Segmentation fault" in node.home.log.read_text()


def test_forked_processes_end_with_their_server(tmp_path: Path) -> None:
    with ForkServer() as server:
        node = ForkedNode(server, tmp_path / "home", "node1", listen="127.0.0.1:0", bare=True)
        node.start()
        process = node.launched
    assert process.wait(PATIENCE_S) == -signal.SIGKILL


def test_what_each_process_must_have_for_itself_is_made_again() -> None:
    before = vars(delivery)["_RUN"]
    make_again(delivery, ("_RUN",))
    assert before.split("-")[-2] != vars(delivery)["_RUN"].split("-")[-2]
