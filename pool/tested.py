"""What is told of the tests that a task ran: counts, what failed, what took longest. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from buildnet.pool.junit import Case
from buildnet.pool.learned_tests import MOST_FAILED

MOST_TOLD = 50
"""Failed tests, and flaky ones, that are told by name."""
MOST_SLOWEST = 10


@dataclass(frozen=True, slots=True)
class FailedTest:
    """A test that failed; ``file`` may be empty."""

    name: str
    file: str
    message: str


@dataclass(frozen=True, slots=True)
class TaskTests:
    """The tests of one task, or of some shards of one.

    ``failures``, ``slowest`` and ``flaky`` are bounded; ``failed_names`` are what is remembered of
    the failed ones, ``by_file_ms`` how long the tests of each file took; ``problem``: why a report
    could not be read.
    """

    total: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    time_ms: float = 0.0
    failures: tuple[FailedTest, ...] = ()
    slowest: tuple[tuple[str, float], ...] = ()
    flaky: tuple[str, ...] = ()
    problem: str | None = None
    failed_names: tuple[str, ...] = ()
    by_file_ms: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, cases: Iterable[Case], by_file_ms: Mapping[str, float]) -> TaskTests:
        """Return what is told of some tests."""
        every = tuple(cases)
        failed = [case for case in every if case.status == "failed"]
        skipped = sum(case.status == "skipped" for case in every)
        names = dict.fromkeys(case.name for case in failed)
        return cls(
            total=len(every),
            passed=len(every) - len(failed) - skipped,
            failed=len(failed),
            skipped=skipped,
            time_ms=sum(case.time_ms for case in every),
            failures=tuple(
                FailedTest(case.name, case.file, case.message) for case in failed[:MOST_TOLD]
            ),
            slowest=_slowest((case.name, case.time_ms) for case in every),
            flaky=tuple(dict.fromkeys(case.name for case in every if case.is_flaky))[:MOST_TOLD],
            failed_names=tuple(names)[:MOST_FAILED],
            by_file_ms=by_file_ms,
        )

    @classmethod
    def together(cls, parts: Iterable[TaskTests]) -> TaskTests | None:
        """Return what is told of several shards as one; None: there is nothing to tell."""
        every = tuple(parts)
        if not every:
            return None
        return cls(
            total=sum(one.total for one in every),
            passed=sum(one.passed for one in every),
            failed=sum(one.failed for one in every),
            skipped=sum(one.skipped for one in every),
            time_ms=sum(one.time_ms for one in every),
            failures=tuple(each for one in every for each in one.failures)[:MOST_TOLD],
            slowest=_slowest(each for one in every for each in one.slowest),
            flaky=tuple(dict.fromkeys(name for one in every for name in one.flaky))[:MOST_TOLD],
            problem=next((one.problem for one in every if one.problem is not None), None),
        )

    def with_flaky(self, names: Iterable[str]) -> TaskTests:
        """Return it with these tests among the flaky ones."""
        return replace(self, flaky=tuple(dict.fromkeys((*self.flaky, *names)))[:MOST_TOLD])

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "total": self.total,
            "passed": self.passed,
            "failed": self.failed,
            "skipped": self.skipped,
            "time_ms": round(self.time_ms, 1),
            "failures": [
                {"name": each.name, "file": each.file or None, "message": each.message}
                for each in self.failures
            ],
            "slowest": [{"name": name, "time_ms": round(ms, 1)} for name, ms in self.slowest],
            "flaky": list(self.flaky),
            "problem": self.problem,
        }


def _slowest(timed: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    took_time = (each for each in timed if each[1] > 0)
    return tuple(heapq.nlargest(MOST_SLOWEST, took_time, key=lambda each: each[1]))
