"""For tests: the real command line with a data directory of its own, real nodes, and fake ones."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 90


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed and ended with."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """The ``buildnet`` command with a data directory of its own.

    ``prefix`` stands before each command.
    """

    def __init__(self, home: Path, prefix: Sequence[str] = ()) -> None:
        self.home = home
        self._prefix = tuple(prefix)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home.parent),
            "BUILDNET_HOME": str(home),
            "LANG": "C.UTF-8",
        }

    def __call__(
        self, *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> Answer:
        return self.run(arguments, cwd or self.home.parent, self.environment | (env or {}))

    def run(self, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str]) -> Answer:
        """Run a command to its end."""
        process = subprocess.run(
            [*self._prefix, sys.executable, "-m", "buildnet.cli.main", *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Answer(process.returncode, process.stdout, process.stderr)

    def start(self, *arguments: str) -> dict[str, Any]:
        """Start a detached node on a free port; return what it said."""
        answer = self("node", "start", "--detach", "--json", "--listen", "127.0.0.1:0", *arguments)
        assert answer.code == 0, answer.err + answer.out
        started: dict[str, Any] = answer.data
        return started

    def build(self, workspace: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Build and return the report."""
        answer = self("build", "--json", *arguments, cwd=workspace)
        assert answer.code == code, answer.err + answer.out
        report: dict[str, Any] = answer.data
        return report


class FakeNode:
    """Answers one request on ``listener`` with ``answer``, byte for byte, then hangs up.

    Use as a context; afterwards ``request`` holds what was sent, ``body`` its JSON.
    """

    def __init__(self, listener: socket.socket, answer: bytes) -> None:
        self._listener = listener
        self._answer = answer
        self._thread = ThreadPoolExecutor(1)
        self.request = b""

    def __enter__(self) -> FakeNode:
        self._listener.listen()
        self._served = self._thread.submit(self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._served.result(TIMEOUT_S)
        finally:
            self._thread.shutdown()
            self._listener.close()

    @property
    def body(self) -> Any:
        return json.loads(self.request.partition(b"\r\n\r\n")[2])

    def _serve(self) -> None:
        self._listener.settimeout(TIMEOUT_S)
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as stream:
            size = 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                self.request += line
                if line.lower().startswith(b"content-length:"):
                    size = int(line.partition(b":")[2])
            self.request += b"\r\n" + stream.read(size)
            connection.sendall(self._answer)


def http_answer(body: str, *, status: str = "200 OK", type: str = "application/json") -> bytes:
    """Return a whole HTTP answer."""
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: {type}\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def write_files(root: Path, files: dict[str, str]) -> Path:
    """Write ``files`` (path to content) below ``root``; return it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def tiers(report: dict[str, Any]) -> dict[str, str]:
    """Return the tier that each package took."""
    return {package["name"]: package["tier"] for package in report["packages"]}


def statuses(report: dict[str, Any]) -> dict[str, str]:
    """Return the status of each package."""
    return {package["name"]: package["status"] for package in report["packages"]}
