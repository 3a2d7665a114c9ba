"""Asking a node for a build and showing how it goes. Imports nothing heavy: a build with nothing to
do is mostly the start of this program."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildnet.cli.output import Style, duration_text, fail
from buildnet.cli.quick import Begun, is_text
from buildnet.cli.resumed import events_of
from buildnet.cli.settings import Settings
from buildnet.cli.user import user_name
from buildnet.mesh.errors import BuildNetError

if TYPE_CHECKING:
    from buildnet.cli.client import Client

_TIMED_OUT = 124
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UP_TO_DATE = {"instant-skip": "up to date", "hash-skip": "up to date (same content)"}
_UNCHANGED = ("nothing it depends on has changed",)


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What ``buildnet build`` was asked for."""

    packages: tuple[str, ...] = ()
    task: str = "build"
    force: bool = False
    dry_run: bool = False
    explain: bool = False
    keep_going: bool = False
    directory: Path = field(default_factory=Path.cwd)


def build(options: BuildOptions, settings: Settings, client: Client) -> int:
    """Ask for a build, show its progress, print its report; return the exit code."""
    body = {
        "root": str(options.directory.absolute()),
        "packages": list(options.packages),
        "task": options.task,
        "force": options.force,
        "dry_run": options.dry_run,
        "keep_going": options.keep_going,
        # It holds secrets, and TCP is clear text: nobody but the node of this host gets it.
        "environment": _text_environment() if client.is_local else {},
        "actor": user_name(),
        "detail": "all" if _wants_all(options, settings) else "changed",
    }
    return _follow(client.stream("/api/build", body), options, settings, lambda: client)


def resume(options: BuildOptions, settings: Settings, begun: Begun) -> int:
    """Show the progress of a build that was asked for already, print its report; return the exit
    code."""

    def client() -> Client:  # loaded only where it is needed
        from buildnet.cli.client import Client

        return Client.of(settings)

    events = events_of(begun)
    asking = client().resumed(begun) if events is None else nullcontext(events)
    return _follow(asking, options, settings, client)


def _follow(
    asking: AbstractContextManager[Iterator[dict[str, Any]]],
    options: BuildOptions,
    settings: Settings,
    client: Callable[[], Client],
) -> int:
    progress = _Progress(settings, lines=not options.explain)
    report: dict[str, Any] | None = None
    with asking as events, _cancelling(client, progress) as interrupted:
        for event in _heard(events):
            progress.show(event)
            if event["type"] == "build_finished":
                report = event["report"]
    progress.end()
    if report is None:
        from buildnet.cli.client import NodeUnreachableError

        raise NodeUnreachableError(
            "the node stopped before the build was over",
            hint="start it and build again: what was done is in the cache",
        )
    code = _print_report(report, options, settings)
    return 128 + interrupted[0] if interrupted else code


def _heard(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the events up to where the node ends, in whatever way."""
    while True:
        try:
            event = next(events, None)
        except ConnectionError:
            return
        if event is None:
            return
        yield event


def fast_options(arguments: list[str]) -> BuildOptions | None:
    """Read the arguments after ``build`` if they are plain enough to do without the full parser."""
    flags = {"--force": "force", "--dry-run": "dry_run", "--explain": "explain"}
    flags["--keep-going"] = "keep_going"
    given: dict[str, bool] = {}
    packages: list[str] = []
    for argument in arguments:
        if argument in flags:
            given[flags[argument]] = True
        elif argument.startswith("-"):
            return None
        else:
            packages.append(argument)
    return BuildOptions(packages=tuple(packages), **given)  # type: ignore[arg-type]


@contextmanager
def _cancelling(client: Callable[[], Client], progress: _Progress) -> Iterator[list[int]]:
    """While open, Ctrl-C (or what ends a CI job) asks for the build's end; a second one leaves at
    once. Yields the signals that came."""
    received: list[int] = []

    def ask() -> None:
        from buildnet.cli.client import path_part

        progress.line("cancelling (Ctrl-C again to leave at once)")
        try:
            client().post(f"/api/build/{path_part(str(progress.build_id))}/cancel")
        except BuildNetError as error:
            progress.line(f"it could not be cancelled: {error.message}")

    def cancel(number: int, frame: object) -> None:
        received.append(number)
        if len(received) > 1 or progress.build_id is None:
            raise KeyboardInterrupt
        # On a thread: what the signal has interrupted may be in the middle of a print itself.
        threading.Thread(target=ask, daemon=True).start()

    before = {number: signal.signal(number, cancel) for number in _ENDING}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wants_all(options: BuildOptions, settings: Settings) -> bool:
    """Whether the packages that stand as before are to be told one by one."""
    return options.explain or options.dry_run or settings.format != "table"


def _text_environment() -> dict[str, str]:
    """Return the environment without what is no text."""
    return {name: value for name, value in os.environ.items() if is_text(name + value)}


def task_name(entry: dict[str, Any]) -> str:
    """Return ``core``, or ``core#test`` for another task than build."""
    name = str(entry["name"])
    return name if entry["task"] == "build" else f"{name}#{entry['task']}"


class _Progress:
    """Shows events on standard error: lines, a status line below them on a terminal, or JSON."""

    def __init__(self, settings: Settings, *, lines: bool) -> None:
        self._lines = lines  # of what ended; with --explain the report tells it
        self.build_id: str | None = None
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

    def show(self, event: dict[str, Any]) -> None:
        """Take in one event of the stream."""
        if self._mode == "json":
            print(json.dumps(event), file=sys.stderr)
        match event["type"]:
            case "build_started":
                self.build_id = event["build_id"]
                self._total = event["tasks"]
                self._dry_run = event["dry_run"]
            case "waiting":
                self.line(f"waiting for {event['for']}")
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

    def _finished(self, event: dict[str, Any]) -> None:
        name = task_name(event)
        self._running.pop(name, None)
        self._done += 1
        if rest := self._partial.pop(name, ""):
            self._output_line(name, rest)
        if self._dry_run or not self._lines:
            return
        mark, what = _outcome(event)
        color = {"✓": "green", "✗": "red"}.get(mark, "yellow")
        self.line(f"{self._style(color, mark)} {name:<24} {what}")

    def _status(self) -> None:
        if self._mode != "tty" or self._silent or not self._running:
            return
        text = f"{self._done}/{self._total} · running {', '.join(self._running)}"
        width = shutil.get_terminal_size().columns - 1
        self._clear()
        print(self._style("dim", text[:width]), end="", file=sys.stderr, flush=True)
        self._status_shown = True

    def _clear(self) -> None:
        if self._status_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._status_shown = False


def _outcome(entry: dict[str, Any]) -> tuple[str, str]:
    took = duration_text(entry["duration_ms"])
    if entry["status"] == "succeeded":
        words = {**_UP_TO_DATE, "local-cache": "from the cache", "full": "built"}
        what = words.get(entry["tier"], entry["tier"])
        return "✓", f"{what}, {took}" if entry["tier"] in ("full", "local-cache") else what
    if entry["status"] == "failed":
        error = entry["error"] or {}
        return "✗", f"failed: {error.get('message', 'unknown')}"
    why = "what it depends on failed" if entry["status"] == "skipped" else "not run"
    return "-", f"{entry['status']}: {why}"


def _print_report(report: dict[str, Any], options: BuildOptions, settings: Settings) -> int:
    if settings.format == "json":
        print(json.dumps(report, indent=2, ensure_ascii=False))
    elif settings.format == "yaml":
        import yaml

        print(yaml.safe_dump(report, sort_keys=False, allow_unicode=True), end="")
    elif settings.quiet:
        print(report["build_id"])
    elif options.dry_run:
        _print_plan(report, settings)
    else:
        if options.explain:
            _print_reasons(report, settings)
            if report.get("not_watched"):
                print(f"all files were looked at for changes: {report['not_watched']}")
        _print_failures(report, settings)
        print(_summary(report, settings))
        _print_hints(report, settings)
    if report["error"] is not None and settings.format == "table":
        from buildnet.cli.client import AnswerError

        error = report["error"]
        problem = AnswerError({**error, "detail": error["message"]})
        fail(settings, problem)
    if report["status"] == "succeeded":
        return 0
    codes = {(entry["error"] or {}).get("code") for entry in report["packages"]}
    return _TIMED_OUT if "TIMED_OUT" in codes else 1


def _summary(report: dict[str, Any], settings: Settings) -> str:
    unchanged = report.get("unchanged", 0)
    counts: dict[str, int] = {"up to date": unchanged} if unchanged else {}
    for entry in report["packages"]:
        if entry["task"] == "install":
            continue  # no package; it has a line of its own
        what = entry["status"]
        if what == "succeeded":
            what = {"full": "built", "local-cache": "from the cache"}.get(
                entry["tier"], "up to date"
            )
        counts[what] = counts.get(what, 0) + 1
    style = Style(settings, sys.stdout)
    total = sum(counts.values())
    parts = ", ".join(f"{count} {what}" for what, count in counts.items())
    took = duration_text(report["duration_ms"])
    color = {"succeeded": "green", "failed": "red"}.get(report["status"], "yellow")
    packages = "package" if total == 1 else "packages"
    return (
        f"{style(color, report['status'])}: {total} {packages} ({parts or 'nothing to do'}) "
        f"in {took} · build {report['build_id']}"
    )


def _print_failures(report: dict[str, Any], settings: Settings) -> None:
    style = Style(settings, sys.stderr)
    for entry in report["packages"]:
        if entry["status"] != "failed":
            continue
        error = entry["error"] or {}
        lines = (entry["output"] or "").rstrip("\n").split("\n")[-40:]
        print(f"\n{style('red', '✗ ' + task_name(entry))}", file=sys.stderr)
        for line in lines if entry["output"] else ():
            print(f"  {line}", file=sys.stderr)
        code = style("red", f"error[{error.get('code', 'FAILED')}]:")
        print(f"{code} {task_name(entry)}: {error.get('message', 'failed')}", file=sys.stderr)
        if error.get("cause"):
            print(f"{style('dim', 'cause:')} {error['cause']}", file=sys.stderr)
        hints = dict.fromkeys([*([error["hint"]] if error.get("hint") else []), *entry["hints"]])
        for hint in hints:
            print(f"{style('cyan', 'hint:')} {hint}", file=sys.stderr)


def _print_reasons(report: dict[str, Any], settings: Settings) -> None:
    style = Style(settings, sys.stdout)
    for entry in report["packages"]:
        print(f"{task_name(entry):<24} {_outcome(entry)[1]}")
        up_to_date = entry["status"] == "succeeded" and entry["tier"] in _UP_TO_DATE
        for reason in entry["reasons"] or (_UNCHANGED if up_to_date else ()):
            print(f"    {style('dim', reason)}")


def _print_hints(report: dict[str, Any], settings: Settings) -> None:
    """Print what was noticed about packages that were built; failures show theirs themselves."""
    told: dict[str, list[str]] = {}
    for entry in report["packages"]:
        if entry["status"] == "succeeded" and entry["task"] != "install":
            for hint in entry["hints"]:
                told.setdefault(hint, []).append(task_name(entry))
    style = Style(settings, sys.stderr)
    sys.stdout.flush()  # where both streams end in one file, the summary comes first
    for hint, names in told.items():
        print(f"{style('cyan', 'hint:')} {', '.join(names)}: {hint}", file=sys.stderr)


def _print_plan(report: dict[str, Any], settings: Settings) -> None:
    words = {
        "nothing": "up to date",
        "restore": "would come from the cache",
        "run": "would run",
        None: "unknown",
    }
    style = Style(settings, sys.stdout)
    for entry in report["packages"]:
        failed = entry["status"] == "failed"
        what = f"would fail: {entry['error']['message']}" if failed else words[entry["plan"]]
        print(f"{task_name(entry):<24} {what}")
        for reason in entry["reasons"]:
            print(f"    {style('dim', reason)}")
