"""What is told of a task that was split: its shards' reports as one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from buildnet.node.report import TaskReport
from buildnet.node.resolve import Tier
from buildnet.pool.build import Status
from buildnet.pool.tested import TaskTests

_TIERS = (Tier.FULL, Tier.POOL_CACHE, Tier.LOCAL_CACHE, Tier.HASH_SKIP, Tier.INSTANT_SKIP)
_PLANS = ("run", "restore", "nothing")
_MOST_NAMED = 5
_MOST_REASONS = 20


def gather(report: TaskReport, shards: Sequence[TaskReport]) -> None:
    """Put into a task's report what became of its shards, which have all ended."""
    failed = [each for each in shards if each.status is Status.FAILED]
    report.shards = tuple(shards)
    report.tests = TaskTests.together(each.tests for each in shards if each.tests is not None)
    report.tier = _first(_TIERS, (each.tier for each in shards))
    report.plan = _first(_PLANS, (each.plan for each in shards))
    report.duration_ms = _duration_ms(shards)
    report.isolation, report.depends_on = shards[0].isolation, shards[0].depends_on
    report.all_files = any(each.all_files for each in shards)
    last = max(shards, key=lambda each: each.ended_ns)
    report.timeline, report.executed_ms = last.timeline, last.executed_ms
    report.exit_code = next((each.exit_code for each in failed), report.exit_code)
    report.reasons = tuple(dict.fromkeys(why for each in shards for why in each.reasons))
    report.reasons = report.reasons[:_MOST_REASONS]
    report.hints = tuple(dict.fromkeys(hint for each in shards for hint in each.hints))
    report.attempts = tuple(attempt for each in shards for attempt in each.attempts)
    report.could_not_run = any(each.could_not_run for each in shards)
    names = {(each.node, each.node_name) for each in shards}
    if len(names) == 1:
        ((report.node, report.node_name),) = names
    verified = [each.verification for each in shards if each.verification is not None]
    if verified:
        report.verification = next((one for one in verified if one.agrees is False), verified[0])
    if failed:
        report.status = Status.FAILED
        report.output, report.log = failed[0].output, failed[0].log
        report.error = _why(failed, len(shards), report.tests)


def _first(order: Sequence[Any], found: Iterable[Any]) -> Any:
    there = set(found)
    return next((one for one in order if one in there), None)


def _duration_ms(shards: Sequence[TaskReport]) -> float:
    """Return how long it took from the first command's beginning to the end of the last."""
    ran = [each for each in shards if each.tier is Tier.FULL and each.ended_ns]
    if not ran:
        return max(each.duration_ms for each in shards)
    began_ns = min(each.ended_ns - each.duration_ms * 1e6 for each in ran)
    return (max(each.ended_ns for each in ran) - began_ns) / 1e6


def _why(
    failed: Sequence[TaskReport], count: int, tests: TaskTests | None
) -> dict[str, str | None]:
    first = failed[0].error or {}
    names = [each.name for each in tests.failures] if tests is not None else []
    which = f"{len(failed)} of {count} shards failed" if count > 1 else "it failed"
    if tests is not None and tests.failed:
        shown = ", ".join(names[:_MOST_NAMED])
        more = tests.failed - min(len(names), _MOST_NAMED)
        left = f" and {more} more" if more else ""
        message = f"{tests.failed} of {tests.total} tests failed: {shown}{left}"
    else:
        named = f" ({_number(failed[0])})" if count > 1 else ""
        message = f"{which}{named}: {first.get('message', 'unknown')}"
    codes = {(each.error or {}).get("code") for each in failed}
    code = codes.pop() if len(codes) == 1 else None
    return {
        "code": code if code not in {None, "COMMAND_FAILED"} else "TESTS_FAILED",
        "message": message,
        "cause": first.get("cause"),
        "hint": first.get("hint"),
    }


def _number(report: TaskReport) -> str:
    shard = report.shard
    return "" if shard is None else f"shard {shard.index + 1}/{shard.count}"
