"""What became of a build, in words or as data. Imports nothing heavy."""

from __future__ import annotations

import sys

from buildnet.cli.output import Style, duration_text, fail, on_one_line, printable

TYPE_CHECKING = False  # importing typing would take longer than most builds of one package
if TYPE_CHECKING:
    from typing import Any

    from buildnet.cli.settings import Settings

_TIMED_OUT = 124
_NO_CAPACITY = 5
_TOOK_TIME = {
    "local-cache": "from the cache",
    "pool-cache": "from the pool's cache",
    "full": "built",
}
_UP_TO_DATE = {"instant-skip": "up to date", "hash-skip": "up to date (same content)"}
_MOST_PATHS = 10
WORTH_SAYING_MS = 2000
"""What takes less is over before anybody has read how long it takes."""
_UNCHANGED = ("nothing it depends on has changed",)


def task_name(entry: dict[str, Any]) -> str:
    """Return ``core``, or ``core#test`` for another task than build."""
    name = on_one_line(entry["name"])
    return name if entry["task"] == "build" else on_one_line(f"{name}#{entry['task']}")


def outcome_text(entry: dict[str, Any]) -> tuple[str, str]:
    """Return a mark and words for what became of a task."""
    took = duration_text(entry["duration_ms"])
    if entry["status"] == "succeeded":
        if entry["tier"] in _TOOK_TIME:
            return "✓", f"{_TOOK_TIME[entry['tier']]}{_where(entry)}, {took}"
        return "✓", _UP_TO_DATE.get(entry["tier"], entry["tier"])
    if entry["status"] == "failed":
        error = entry["error"] or {}
        return "✗", f"failed{_where(entry)}: {on_one_line(error.get('message', 'unknown'))}"
    if entry["status"] == "skipped":
        return "-", "skipped: what it depends on failed"
    return "-", f"cancelled: {f'ended after {took}' if entry['tier'] == 'full' else 'not run'}"


def _where(entry: dict[str, Any]) -> str:
    """Return words for the other node that ran a command or gave its result."""
    name = entry.get("node_name")
    if name is None:
        return ""
    return f" ({name})" if entry["tier"] == "pool-cache" else f" on {name}"


def print_report(
    report: dict[str, Any], settings: Settings, *, explain: bool = False, dry_run: bool = False
) -> int:
    """Print what became of a build in the wanted form; return the exit code."""
    if settings.format == "json":
        import json

        print(json.dumps(report, indent=2, ensure_ascii=False))
    elif settings.format == "yaml":
        import yaml

        print(yaml.safe_dump(report, sort_keys=False, allow_unicode=True), end="")
    elif settings.quiet:
        print(report["build_id"])
    elif dry_run:
        _print_affected(report, each=True, settings=settings)
        _print_plan(report, settings)
    else:
        _print_affected(report, each=explain, settings=settings)
        if explain:
            _print_reasons(report, settings)
            if report.get("not_watched"):
                print(f"all files were looked at for changes: {report['not_watched']}")
        _print_failures(report, settings)
        _print_verification(report, settings)
        if any(entry.get("traced") for entry in report["packages"]):
            from buildnet.cli.traced_inputs import print_traced

            print_traced(report, settings)
        _print_tests(report, settings)
        print(_summary(report, settings))
        _print_hints(report, settings)
        _print_isolation(report, settings)
    if report["error"] is not None and settings.format == "table":
        from buildnet.cli.client import AnswerError

        error = report["error"]
        problem = AnswerError({**error, "detail": error["message"]})
        fail(settings, problem)
    if report["status"] == "succeeded":
        return 0
    if (report["error"] or {}).get("code") == "NO_CAPACITY":
        return _NO_CAPACITY
    codes = {(entry["error"] or {}).get("code") for entry in (*report["packages"], report)}
    return _TIMED_OUT if "TIMED_OUT" in codes else 1


def _summary(report: dict[str, Any], settings: Settings) -> str:
    unchanged = report.get("unchanged", 0)
    counts: dict[str, int] = {"up to date": unchanged} if unchanged else {}
    for entry in report["packages"]:
        if entry["task"] == "install":
            continue  # no package; it has a line of its own
        what = entry["status"]
        if what == "succeeded":
            what = _TOOK_TIME.get(entry["tier"], "up to date")
        counts[what] = counts.get(what, 0) + 1
    style = Style(settings, sys.stdout)
    total = sum(counts.values())
    parts = ", ".join(f"{count} {what}" for what, count in counts.items())
    if not parts and report["status"] == "succeeded":
        parts = "nothing to do"
    took = duration_text(report["duration_ms"])
    color = {"succeeded": "green", "failed": "red"}.get(report["status"], "yellow")
    packages = "package" if total == 1 else "packages"
    return (
        f"{style(color, report['status'])}: {total} {packages}{f' ({parts})' if parts else ''} "
        f"in {took} · build {report['build_id']}"
    )


def _print_affected(report: dict[str, Any], settings: Settings, *, each: bool) -> None:
    """Print what a change affects, where that was asked for; ``each``: every package, and why."""
    since = report.get("since")
    if since is None:
        return
    style = Style(settings, sys.stdout)
    files, count = since["changed_files"], len(since["affected"])
    changed = "too many files to tell" if files is None else _count(files, "file")
    print(f"{changed} changed since {since['base'][:12]}: {_count(count, 'package')} affected")
    for entry in since["affected"] if each else ():
        print(f"    {printable(entry['name']):<20} {style('dim', on_one_line(entry['why']))}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


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
        if entry.get("tests"):
            from buildnet.cli.tested import print_failed_tests

            print_failed_tests(entry, settings)
        code = style("red", f"error[{error.get('code', 'FAILED')}]:")
        message = printable(error.get("message", "failed"))
        print(f"{code} {task_name(entry)}: {message}", file=sys.stderr)
        if error.get("cause"):
            print(f"{style('dim', 'cause:')} {printable(error['cause'])}", file=sys.stderr)
        hints = dict.fromkeys([*([error["hint"]] if error.get("hint") else []), *entry["hints"]])
        for hint in hints:
            print(f"{style('cyan', 'hint:')} {printable(hint)}", file=sys.stderr)


def _print_tests(report: dict[str, Any], settings: Settings) -> None:
    if any(entry.get("tests") for entry in report["packages"]):
        from buildnet.cli.tested import print_tests

        print_tests(report, settings)


def _print_verification(report: dict[str, Any], settings: Settings) -> None:
    """Print which commands made something else when they ran again, what, and where; why some did
    not run again stands among the notices."""
    style = Style(settings, sys.stderr)
    verified = [entry for entry in report["packages"] if entry.get("verification")]
    for entry in verified:
        found = entry["verification"]
        if found["agrees"] is not False:
            continue
        name = task_name(entry)
        print(f"\n{style('red', '✗ ' + name)} is not deterministic", file=sys.stderr)
        for path in found["differing"][:_MOST_PATHS]:
            print(f"  {on_one_line(path)}", file=sys.stderr)
        if found["differing_count"] > _MOST_PATHS:
            print(f"  … {found['differing_count'] - _MOST_PATHS} more", file=sys.stderr)
        for run in found["runs"]:
            made = f"made {(run['outputs'] or '')[:12]}" if run["outputs"] else "failed"
            kept = f", result {run['result'][:12]}" if run["result"] else ""
            where = f"on {run['node_name']}" if run["node_name"] else "here"
            print(f"  {style('dim', f'{where}: {made}{kept}')}", file=sys.stderr)
    if verified:
        agree = sum(
            entry["verification"]["agrees"] is True and not entry["verification"]["problem"]
            for entry in verified
        )
        print(f"verified: {agree} of {len(verified)} made the same again")


def _print_reasons(report: dict[str, Any], settings: Settings) -> None:
    style = Style(settings, sys.stdout)
    for entry in report["packages"]:
        print(f"{task_name(entry):<24} {outcome_text(entry)[1]}")
        up_to_date = entry["status"] == "succeeded" and entry["tier"] in _UP_TO_DATE
        for reason in entry["reasons"] or (_UNCHANGED if up_to_date else ()):
            print(f"    {style('dim', on_one_line(reason))}")
        nearest = entry.get("nearest")
        if nearest and nearest["reasons"] != entry["reasons"]:
            print(f"    {style('dim', 'nearest result in the cache: ' + nearest['action'][:12])}")
            for reason in nearest["reasons"]:
                print(f"        {style('dim', on_one_line(reason))}")


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


def _print_isolation(report: dict[str, Any], settings: Settings) -> None:
    """Say once why commands ran with less isolation than they get by default."""
    levels = {
        entry["isolation"]: None
        for entry in report["packages"]
        if entry["tier"] == "full" and entry["task"] != "install" and entry["isolation"] != "strict"
    }
    if report.get("isolation_reason") and levels:
        note = f"commands ran in {' and '.join(levels)}, not in strict"
        style = Style(settings, sys.stderr)
        print(f"{style('cyan', 'note:')} {note}: {report['isolation_reason']}", file=sys.stderr)


def _place(place: dict[str, Any] | None, is_spread: bool) -> str:
    """Return words for where a dry run found that a command would run; ``is_spread``: some would
    run elsewhere."""
    if place is None:
        return ""
    if place["node"] is None:
        return f", but nowhere now: {place['why']}"
    here = " here" if is_spread else ""
    return f" on {place['node_name']}" if place["node_name"] else here


def print_in_short(report: dict[str, Any], settings: Settings) -> None:
    """Print in a line or two what a build's time hung on."""
    if settings.format != "table" or settings.quiet:
        return
    from buildnet.cli.history_views import in_short

    for line in in_short(report):
        print(line)


def _print_plan(report: dict[str, Any], settings: Settings) -> None:
    words = {
        "nothing": "up to date",
        "restore": "would come from the cache",
        "run": "would run",
        None: "unknown",
    }
    style = Style(settings, sys.stdout)
    places = [entry.get("place") or {} for entry in report["packages"]]
    is_spread = any(place.get("node_name") for place in places)
    for entry in report["packages"]:
        failed = entry["status"] == "failed"
        what = (
            words[entry["plan"]]
            if not failed
            else f"would fail: {on_one_line(entry['error']['message'])}"
        )
        what += _place(entry.get("place"), is_spread)
        print(f"{task_name(entry):<24} {what}")
        for reason in entry["reasons"]:
            print(f"    {style('dim', on_one_line(reason))}")
    estimate = report.get("estimate")
    if estimate and estimate["estimated_ms"] >= WORTH_SAYING_MS:
        print(f"It would take about {expected_text(estimate)}.")


def expected_text(estimate: dict[str, Any]) -> str:
    """Return words for how long something is expected to take, and how sure that is."""
    low, high = (duration_text(each) for each in estimate["interval_ms"])
    sure = f"{estimate['confidence_level']} confidence"
    return f"{duration_text(estimate['estimated_ms'])} ({low} to {high}, {sure})"
