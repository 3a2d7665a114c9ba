"""``buildnet dashboard`` with real nodes: on a terminal, and without one."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import write_files
from testbed.nodes import Cluster, Node

PATIENCE_S = 60.0
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][0-9A-B]|\x1b[=>78]")


class Terminal:
    """The command on a terminal of its own, of 80 columns and 24 lines."""

    def __init__(self, node: Node, *arguments: str) -> None:
        self.controller, self._terminal = pty.openpty()
        termios.tcsetwinsize(self._terminal, (24, 80))
        self.before = termios.tcgetattr(self._terminal)
        self.said = ""
        environment = {**node.command.environment, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "buildnet.cli.main", "dashboard", *arguments],
            stdin=self._terminal,
            stdout=self._terminal,
            stderr=self._terminal,
            env=environment,
            start_new_session=True,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.controller)
        os.close(self._terminal)

    def press(self, keys: str) -> None:
        os.write(self.controller, keys.encode())

    def until(self, is_it: Callable[[str], object]) -> None:
        """Read up to where what was shown since the last time is what is waited for."""
        deadline, shown = time.monotonic() + PATIENCE_S, ""
        while not is_it(shown):
            assert time.monotonic() < deadline, f"not shown: {shown[-4000:]}"
            if select.select([self.controller], [], [], 1.0)[0]:
                self.said += (piece := os.read(self.controller, 1 << 16).decode(errors="replace"))
                shown += _ESCAPES.sub("", piece)

    def code(self) -> int:
        """Wait for the end, with whatever is still said; return the exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self._read(0.1)
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, wait_s: float) -> bool:
        if not select.select([self.controller], [], [], wait_s)[0]:
            return False
        self.said += os.read(self.controller, 1 << 16).decode(errors="replace")
        return True

    def is_as_before(self) -> bool:
        """Whether the terminal is as it was: its modes, the screen, the cursor, the mouse."""
        modes = {
            number: letter
            for numbers, letter in re.findall(r"\x1b\[\?([0-9;]+)([hl])", self.said)
            for number in numbers.split(";")
        }
        ends = {"1049": "l", "25": "h", "1000": "l", "1003": "l", "2004": "l"}
        return (
            termios.tcgetattr(self._terminal) == self.before
            and {number: modes.get(number, end) for number, end in ends.items()} == ends
            and "1049" in modes
        )


def begin(node: Node, root: Path, gate: Path) -> str:
    """Ask for a build that ends once ``gate`` is there; return its id."""
    command = f"echo waiting; until test -e {gate}; do sleep 0.05; done; echo done > out"
    package = (
        f"{{name: slow, path: p, build_cmd: '{command}', outputs: [p/out], isolation: workspace}}"
    )
    text = f"workspace: watched\npackages: [{package}]\n"
    write_files(root, {"buildnet.yaml": text, "p/in": "x"})
    body = {"root": str(root), "environment": {}, "actor": "ann"}
    found: str = node.post("/api/build", body)["build_id"]
    return found


def test_a_terminal_shows_a_build_that_runs_and_is_left_as_it_was(
    trio: Cluster, tmp_path: Path
) -> None:
    node, gate = trio.members[0], tmp_path / "gate"
    with Terminal(node) as terminal:
        terminal.until(lambda shown: "HEALTHY" in shown and "nothing runs" in shown)
        build = begin(trio.members[1], tmp_path / "w", gate)
        terminal.until(lambda shown: build in shown and "watched" in shown and "0/1" in shown)
        terminal.press("w")
        terminal.until(lambda shown: all(each.name in shown for each in trio.members))
        terminal.press("b\r")
        terminal.until(lambda shown: f"Build {build} of watched: running" in shown)
        gate.touch()
        terminal.until(lambda shown: "succeeded" in shown)
        terminal.press("b")
        terminal.until(lambda shown: "Ended in the last hour" in shown)
        terminal.press("q")
        assert terminal.code() == 0
        assert terminal.is_as_before()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_leave_the_terminal_as_it_was(trio: Cluster, number: int, code: int) -> None:
    with Terminal(trio.members[2]) as terminal:
        terminal.until(lambda shown: "HEALTHY" in shown)
        terminal.process.send_signal(number)
        assert terminal.code() == code
        assert terminal.is_as_before()


def test_a_node_that_goes_and_comes_back_is_told(trio: Cluster) -> None:
    node = trio.members[2]
    with Terminal(node) as terminal:
        terminal.until(lambda shown: "HEALTHY" in shown)
        node.freeze()
        try:
            terminal.until(lambda shown: "CONNECTION LOST: the node does not answer" in shown)
        finally:
            node.thaw()
        terminal.until(lambda shown: "HEALTHY" in shown)
        terminal.press("\x03")
        assert terminal.code() == 130
        assert terminal.is_as_before()


def test_without_a_node_it_ends_before_it_begins(tmp_path: Path) -> None:
    with Terminal(Node(tmp_path / "none", "none")) as terminal:
        assert terminal.code() == 3
        assert "error[NODE_UNREACHABLE]" in terminal.said
        assert "\x1b[?1049h" not in terminal.said


def test_one_screen_is_printed_for_scripts(trio: Cluster, tmp_path: Path) -> None:
    node, gate = trio.members[0], tmp_path / "gate"
    build = begin(node, tmp_path / "w", gate)
    try:
        seen = once(node, lambda data: data["running"] and data["running"][0]["running"])
        (row,) = seen["running"]
        assert (row["id"], row["workspace"], row["tasks"]) == (build, "watched", 1)
        assert row["elapsed_s"] > 0
        assert seen["resources"]["active_workers"] == 3
        assert len(seen["nodes"]) == 3
        assert seen["lost"] is None
        text = node("dashboard", "--once")
        assert text.code == 0
        for words in ("BUILDNET CLUSTER", build, "Nodes (3)", "Build started: watched by ann"):
            assert words in text.out
        assert "\x1b" not in text.out
        assert node("dashboard", "--once", "--quiet").out.split() == [build]
    finally:
        gate.touch()
    once(node, lambda data: data["builds"]["completed_last_hour"] and not data["running"])


def once(node: Node, is_it: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return the screen once it is what is waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = node("dashboard", "--once", "--json")
        assert answer.code == 0, answer.err
        found: dict[str, Any] = json.loads(answer.out)
        if is_it(found):
            return found
        assert time.monotonic() < deadline, found


def test_without_a_terminal_it_says_what_to_use(trio: Cluster) -> None:
    answer = trio.members[0]("dashboard")
    assert answer.code == 2
    assert "the live screen needs a terminal" in answer.err
    assert "--once" in answer.err
