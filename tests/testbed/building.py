"""A workspace of commands that do not need each other, and builds of it that go on meanwhile."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from buildnet.cli.client import Client, NodeUnreachableError
from buildnet.cli.testing import write_files
from testbed.nodes import Node

PATIENCE_S = 60.0


def many_commands(
    directory: Path, text: str, command: str = "sleep 0.5; cp in.txt out.txt", count: int = 12
) -> Path:
    """Write a workspace of ``count`` packages ``p0``…, each of which has one command that makes
    ``out.txt`` from ``in.txt``; ``text`` tells its inputs from those of others."""
    packages = [
        f"  - name: p{number}\n    path: p{number}\n    build_cmd: {command}\n"
        f"    outputs: [p{number}/out.txt]\n"
        for number in range(count)
    ]
    files = {f"p{number}/in.txt": f"{text} {number}\n" for number in range(count)}
    files["buildnet.yaml"] = "workspace: many\npackages:\n" + "".join(packages)
    write_files(directory, files)
    return directory


def outputs_of(root: Path) -> dict[str, bytes]:
    """Return what the packages of such a workspace have made."""
    return {path.parent.name: path.read_bytes() for path in root.glob("p*/out.txt")}


def where(report: dict[str, Any]) -> Counter[str]:
    """Return how many packages which node has built, by id."""
    return Counter(each["node"] for each in report["packages"])


def commands_of(node: Node, program: str) -> list[psutil.Process]:
    """Return the processes of a program that run on a node."""
    found = []
    for each in node.process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if each.name() == program:
                found.append(each)
    return found


class Building:
    """A build that goes on while the test does something else; ``events`` are those so far."""

    def __init__(self, node: Node, root: Path, **asked: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self._body = {"root": str(root), "environment": {}, "actor": "test", **asked}
        self._client = Client(socket_path=node.home.socket_path())
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        try:
            with self._client.stream("/api/build", self._body) as events:
                for event in events:
                    self.events.append(event)
        except NodeUnreachableError as error:
            self.events.append({"type": "unreachable", "error": error.message})

    def count(self, kind: str) -> int:
        """Return how many events of a type there were."""
        return sum(each["type"] == kind for each in list(self.events))

    def until(self, kind: str, count: int) -> None:
        """Wait until so many events of a type have come."""
        deadline = time.monotonic() + PATIENCE_S
        while self.count(kind) < count:
            assert time.monotonic() < deadline, str(self.events)
            assert self._thread.is_alive(), str(self.events)
            time.sleep(0.01)

    def until_started(self, count: int) -> None:
        """Wait until so many commands have begun."""
        self.until("task_started", count)

    def report(self) -> dict[str, Any]:
        """Wait for its end; return what it tells."""
        self._thread.join(PATIENCE_S)
        last = self.events[-1]
        assert last["type"] == "build_finished", last
        report: dict[str, Any] = last["report"]
        return report
