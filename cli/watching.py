"""``buildnet watch`` and ``buildnet build --watch``: what happens in a workspace, as it happens."""

from __future__ import annotations

import json
import sys
from typing import Any

from buildnet.cli.build_progress import BuildProgress
from buildnet.cli.build_report import print_report
from buildnet.cli.building import BuildOptions, request_of, seconds
from buildnet.cli.client import AnswerError, Client
from buildnet.cli.client.watch import watch_broke_off, watch_event
from buildnet.cli.output import Style, duration_text, fail, note, on_one_line, printable
from buildnet.cli.settings import Settings
from buildnet.cli.start import ensure_node
from buildnet.mesh.errors import BuildNetError, UsageError

_MOST_PATHS = 3


def run(
    options: BuildOptions,
    settings: Settings,
    client: Client,
    *,
    builds: bool,
    delay_s: float = 0.0,
) -> int:
    """Show what changes and is built until Ctrl-C; return the exit code, 0 if that ended it.

    Raises:
        BuildNetError: it can't be watched, or not any more.
    """
    body = {
        **request_of(options, client),
        "builds": builds,
        "delay_s": delay_s,
        "detail": "all" if options.explain or not builds else "changed",
    }
    shown = _Shown(settings, builds=builds, explain=options.explain)
    try:
        with client.stream("/api/watch", body) as events:
            for event in events:
                if settings.format != "table":
                    print(json.dumps(event, ensure_ascii=False), flush=True)
                watch_event(event)  # raises, if it is about the end
                if settings.format == "table":
                    shown.show(event)
    except KeyboardInterrupt:
        shown.end()
        print(file=sys.stderr)
        return 0
    raise watch_broke_off()


def watch_build(
    options: BuildOptions, settings: Settings, *, watch: bool, delay: str | None, estimate: bool
) -> int:
    """Build again and again, see :func:`run`.

    Raises:
        UsageError: other options say otherwise.
    """
    given = {
        "--since": options.since,
        "--durable": options.durable,
        "--detach": options.detach,
        "--dry-run": options.dry_run,
        "--estimate": estimate,
        "--force": options.force,
        "--wait": options.wait,
        "--verify": options.verify,
        "--trace-inputs": options.trace_inputs,
        "--review": options.review,
    }
    if not watch:
        raise UsageError("--delay is for --watch", hint="add it, or leave --delay away")
    if wrong := [name for name, value in given.items() if value]:
        raise UsageError(
            f"--watch builds what changes: {', '.join(wrong)} is for single builds",
            hint="leave one of them away",
        )
    delay_s = 0.0 if delay is None else seconds("--delay", delay)
    return run(options, settings, ensure_node(settings), builds=True, delay_s=delay_s)


def _told(error: dict[str, Any]) -> BuildNetError:
    return AnswerError({**error, "detail": error["message"]})


class _Shown:
    """Puts what happens into words on a terminal."""

    def __init__(self, settings: Settings, *, builds: bool, explain: bool) -> None:
        self._settings = settings
        self._builds = builds
        self._explain = explain
        self._style = Style(settings, sys.stderr)
        self._is_outdated = False
        self._begin()

    def _begin(self) -> None:
        lines = self._builds and not self._explain
        self._progress = BuildProgress(self._settings, lines=lines)

    def show(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "watching":
                what = "building" if event["builds"] else "preparing"
                text = f"{what} {event['workspace']} as it changes; Ctrl-C ends that"
                note(self._settings, text)
            case "changed":
                self._progress.line(f"{self._style('yellow', 'changed:')} {_words(event)}")
            case "building" if event["count"] > 1:
                self._progress.line(self._style("dim", f"{_paths(event)} changed in all"))
            case "outdated":
                self._is_outdated = True
                self._progress.line("what runs is outdated: it begins anew")
            case "recurring":
                text = f"each build changes {_paths(event)}, it seems: the next one waits"
                note(self._settings, f"{text} {duration_text(event['pause_ms'])}")
            case "error":
                fail(self._settings, _told(event["error"]))
            case "idle":
                self._progress.line(self._style("dim", "waiting for changes"))
            case "build_finished":
                self._finished(event["report"])
            case "building":
                pass
            case _:
                self._progress.show(event)

    def end(self) -> None:
        """Take the status line away."""
        self._progress.end()

    def _finished(self, report: dict[str, Any]) -> None:
        self._progress.end()
        was_outdated, self._is_outdated = self._is_outdated, False
        self._begin()
        if was_outdated and report["status"] == "cancelled":
            return
        if self._builds:
            print_report(report, self._settings, explain=self._explain)
        else:
            _print_prepared(report, self._settings)
        sys.stdout.flush()


def _print_prepared(report: dict[str, Any], settings: Settings) -> None:
    """Print what a build would do now."""
    plans: dict[str | None, list[str]] = {}
    for entry in report["packages"]:
        plan = "fail" if entry["status"] == "failed" else entry["plan"]
        plans.setdefault(plan, []).append(entry["name"])
    words = {"run": "would run", "restore": "would come from the cache", "fail": "would fail"}
    parts = [
        f"{', '.join(dict.fromkeys(plans[plan]))} {text}"
        for plan, text in words.items()
        if plans.get(plan)
    ]
    took = duration_text(report["duration_ms"])
    style = Style(settings, sys.stdout)
    told = "; ".join(parts) or "nothing to do"
    told += _workers(report)
    if plans.get("run") and report["estimated_ms"] is not None:
        told = f"{told}; that takes about {duration_text(report['estimated_ms'])}"
    print(f"{style('green', 'prepared')} in {took}: {told}")
    if report["error"] is not None:
        fail(settings, _told(report["error"]))


def _workers(report: dict[str, Any]) -> str:
    """Return words for how many commands the placement would give to which node."""
    places = [entry.get("place") for entry in report["packages"] if entry["plan"] == "run"]
    counts: dict[str | None, int] = {}
    for place in filter(None, places):
        name = place.get("node_name")
        counts[name] = counts.get(name, 0) + 1
    if not any(counts):
        return ""  # all of them here, as ever
    ordered = sorted(counts.items(), key=lambda one: (one[0] is not None, one[0] or ""))
    parts = [f"{count} {'here' if name is None else f'on {name}'}" for name, count in ordered]
    return f" ({printable(', '.join(parts))})"


def _words(event: dict[str, Any]) -> str:
    names = [entry["name"] for entry in event["affected"]]
    impact = event["impact"].lower().replace("_", " ")
    shown = printable(", ".join(names[:8]))
    return f"{_paths(event)} ({impact}): {shown}{', …' if len(names) > 8 else ''}"


def _paths(event: dict[str, Any]) -> str:
    shown, count = event["paths"][:_MOST_PATHS], event["count"]
    more = f" and {count - len(shown)} more" if count > len(shown) else ""
    return f"{on_one_line(', '.join(shown))}{more}"
