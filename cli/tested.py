"""What became of tests, in words. Imports nothing heavy."""

from __future__ import annotations

import sys

from buildnet.cli.output import Style, duration_text, printable

TYPE_CHECKING = False  # importing typing would take longer than most builds of one package
if TYPE_CHECKING:
    from typing import Any

    from buildnet.cli.settings import Settings

_MOST_FAILED = 20
_MOST_SLOWEST = 3
_SLOW_MS = 1000.0


def print_recorded_tests(build: dict[str, Any], settings: Settings) -> None:
    """Print what became of the tests of a build in the record."""
    for entry in build["packages"]:
        print_failed_tests(entry, settings, sys.stdout)
    print_tests(build, settings)


def print_failed_tests(entry: dict[str, Any], settings: Settings, to: Any = None) -> None:
    """Print which tests of a task failed, each with the first line of why; ``to``: on which stream,
    None: that of errors."""
    to = to or sys.stderr
    tests = entry.get("tests")
    if not tests or not tests["failures"]:
        return
    style = Style(settings, to)
    for failure in tests["failures"][:_MOST_FAILED]:
        place = f" ({printable(failure['file'])})" if failure["file"] else ""
        name = printable(failure["name"])
        print(f"  {style('red', '✗')} {name}{style('dim', place)}", file=to)
        why = failure["message"].strip().partition("\n")[0]
        if why:
            print(f"      {printable(why)}", file=to)
    left = tests["failed"] - min(len(tests["failures"]), _MOST_FAILED)
    if left:
        print(f"  … {left} more", file=to)


def print_tests(report: dict[str, Any], settings: Settings) -> None:
    """Print for each task whose tests are known how many there were, and which were flaky or took
    long."""
    style = Style(settings, sys.stdout)
    for entry in report["packages"]:
        tests = entry.get("tests")
        if not tests:
            continue
        name = str(entry["name"])
        name = name if entry["task"] == "build" else f"{name}#{entry['task']}"
        kinds = ("passed", "failed", "skipped")
        counts = [f"{tests[kind]} {kind}" for kind in kinds if tests[kind]]
        shards = len(entry.get("shards") or ())
        where = f" in {shards} shards" if shards > 1 else ""
        if counts:
            print(f"{name}: {', '.join(counts)}{where}, {duration_text(tests['time_ms'])} of tests")
        if tests["flaky"]:
            print(f"  {style('yellow', 'flaky:')} {printable(', '.join(tests['flaky']))}")
        slow = [each for each in tests["slowest"] if each["time_ms"] >= _SLOW_MS][:_MOST_SLOWEST]
        if slow:
            listed = (
                f"{printable(each['name'])} {duration_text(each['time_ms'])}" for each in slow
            )
            print(f"  {style('dim', 'slowest: ' + ', '.join(listed))}")
        if tests["problem"]:
            print(f"  {style('yellow', 'note:')} {printable(tests['problem'])}")
