"""How a build goes on, as lines, a status line or JSON on standard error. Imports nothing heavy."""

from __future__ import annotations

import os
import sys
import time

from buildnet.cli.build_report import WORTH_SAYING_MS, expected_text, outcome_text, task_name
from buildnet.cli.output import Style

TYPE_CHECKING = False  # importing typing would take longer than most builds of one package
if TYPE_CHECKING:
    from typing import Any

    from buildnet.cli.settings import Settings

_WIDTH = 80  # where the terminal does not tell


class BuildProgress:
    """Shows events on standard error: lines, a status line below them on a terminal, or JSON."""

    def __init__(self, settings: Settings, *, lines: bool) -> None:
        self._lines = lines  # of what ended; with --explain the report tells it
        self.build_id: str | None = None
        self.asker: int | None = None
        self.durable_at: str | None = None
        self._mode = settings.progress_mode(os.environ)
        # With JSON on standard output a program is reading: no lines unless asked for.
        silent = settings.format != "table" and settings.progress == "auto"
        self._silent = silent or settings.quiet
        self._style = Style(settings, sys.stderr)
        self._dry_run = False
        self._running: dict[str, None] = {}
        self._total = 0
        self._done = 0
        self._partial: dict[str, str] = {}
        self._status_shown = False
        self._ends_at: float | None = None

    def show(self, event: dict[str, Any]) -> None:
        """Take in one event of the stream."""
        if self._mode == "json":
            import json

            print(json.dumps(event), file=sys.stderr)
        match event["type"]:
            case "build_started":
                self.build_id = event["build_id"]
                self.asker = event.get("asker")
                self._total = event["tasks"]
                self._dry_run = event["dry_run"]
            case "durable":
                self.durable_at = event["node_name"]
                self.line(f"durable: {self.durable_at} goes on if this node is lost")
            case "not_durable":
                self.durable_at = None
                self.line(f"not durable: {event['why']}")
            case "waiting":
                self.line(f"waiting for {event['for']}")
            case "notice":
                self.line(f"{self._style('cyan', 'note:')} {event['text']}")
            case "estimate":
                self._estimated(event)
            case "task_split":
                self._total += event["shards"]
                self.line(f"{task_name(event)} runs in {event['shards']} shards")
            case "task_started":
                self._running[task_name(event)] = None
            case "task_output":
                self._output(task_name(event), event["text"])
            case "output_left_out":
                self.line("[… output left out here, it came too fast; the log has more of it]")
            case "tasks_up_to_date":
                self._done += event.get("count", len(event["tasks"]))
            case "task_finished":
                self._finished(event)
        self._status()

    def line(self, text: str) -> None:
        """Print a line above the status line."""
        if self._silent or self._mode == "json":
            return
        self._clear()
        print(text, file=sys.stderr)

    def end(self) -> None:
        """Take the status line away."""
        self._clear()

    def _output(self, name: str, text: str) -> None:
        *lines, rest = (self._partial.pop(name, "") + text).split("\n")
        if rest:
            self._partial[name] = rest
        for line in lines:
            self._output_line(name, line)

    def _output_line(self, name: str, line: str) -> None:
        self.line(f"{self._style('cyan', name)} {self._style('dim', '│')} {line.rstrip(chr(13))}")

    def _estimated(self, event: dict[str, Any]) -> None:
        """Take in how long it takes; say so once, where that is worth a line."""
        if self._ends_at is None and self._lines and event["left_ms"] >= WORTH_SAYING_MS:
            self.line(self._style("dim", f"takes about {expected_text(event)}"))
        self._ends_at = time.monotonic() + event["left_ms"] / 1000

    def _left(self) -> str:
        """Return words for how much longer it takes, as far as that is known."""
        if self._ends_at is None:
            return ""
        left_s = self._ends_at - time.monotonic()
        return f"about {left_s:.0f} s left · " if left_s >= 1 else ""

    def _finished(self, event: dict[str, Any]) -> None:
        name = task_name(event)
        self._running.pop(name, None)
        self._done += 1
        if rest := self._partial.pop(name, ""):
            self._output_line(name, rest)
        if self._dry_run or not self._lines:
            return
        mark, what = outcome_text(event)
        color = {"✓": "green", "✗": "red"}.get(mark, "yellow")
        self.line(f"{self._style(color, mark)} {name:<24} {what}")

    def _status(self) -> None:
        if self._mode != "tty" or self._silent or not self._running:
            return
        text = f"{self._done}/{self._total} · {self._left()}running {', '.join(self._running)}"
        width = _terminal_width() - 1
        self._clear()
        print(self._style("dim", text[:width]), end="", file=sys.stderr, flush=True)
        self._status_shown = True

    def _clear(self) -> None:
        if self._status_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._status_shown = False


def _terminal_width() -> int:
    """Return how many columns the terminal has; ``shutil``, which tells it, takes long to load."""
    told = os.environ.get("COLUMNS", "")
    if told.isdigit() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _WIDTH
    except (OSError, ValueError):
        return _WIDTH
