"""A terminal in which somebody watches a workspace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buildnet.cli.testing import TIMEOUT_S, CommandLine

Event = dict[str, Any]


class Watching:
    """``buildnet build --watch --json`` or another command that tells events until it is ended.
    ``events`` are those so far. A context manager: it ends the command."""

    def __init__(self, command: CommandLine, root: Path, *arguments: str) -> None:
        self.events: list[Event] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "buildnet.cli.main", *arguments, "--json"],
            cwd=root,
            env=command.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end(signal.SIGKILL)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith('{"type"'):
                self.events.append(json.loads(line))

    def end(self, number: int = signal.SIGINT) -> int:
        """End the command; return its exit code."""
        if self._process.poll() is None:
            os.kill(self._process.pid, number)
        code = self._process.wait(TIMEOUT_S)
        self._thread.join()
        assert self._process.stderr is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.stderr.close()
        return code

    def wait(self) -> int:
        """Wait until it ends by itself; return its exit code."""
        self._process.wait(TIMEOUT_S)
        return self.end()

    def of(self, *kinds: str) -> list[Event]:
        """Return the events of some types."""
        return [each for each in list(self.events) if each["type"] in kinds]

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + TIMEOUT_S
        while not holds():
            assert time.monotonic() < deadline, str(self.events[-40:])
            assert self._process.poll() is None, str(self.events[-40:])
            time.sleep(0.01)

    def until_started(self, package: str) -> None:
        """Wait until a command of a package has begun."""
        self.until(lambda: any(each["name"] == package for each in self.of("task_started")))

    def until_idle(self, after: int = 0) -> None:
        """Wait until it waits for changes, having told more than ``after`` events."""
        self.until(lambda: len(self.events) > after and self.events[-1]["type"] == "idle")
