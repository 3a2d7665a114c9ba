"""What is remembered of a workspace's tests from one build to the next. Pure.

How long each test file takes and which shard it was in, for the next division; and which tests are
flaky: the same action, whose every input is the same, came out differently.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from buildnet.pool.sharding import (
    AUTO,
    BOUND,
    LOOSE_BOUND,
    LOOSE_MS,
    UNKNOWN_MS,
    divided,
    estimates,
    shard_count,
)
from buildnet.pool.workspace import Shard

WHOLE_COMMAND = ""
"""In place of a test's name: the command failed, and nothing tells which test did."""
MOST_TASKS = 1000
MOST_FILES = 50_000
MOST_OUTCOMES = 500
MOST_FAILED = 200
"""Tests of one outcome that are remembered by name."""
MOST_FLAKY = 500
_NEWEST = 0.6
"""What the latest time counts for, beside those before."""


@dataclass(frozen=True, slots=True)
class Division:
    """How a task is split. ``shards``: the test files of each, none where the runner divides them;
    ``predicted_ms``: how long each is thought to take."""

    shards: tuple[tuple[str, ...], ...]
    predicted_ms: tuple[float, ...]


@dataclass(slots=True)
class TaskTimes:
    """Of one task: ``times_ms`` of each test file, ``shards`` as it was split last, ``overhead_ms``
    that a shard takes besides its tests; ``parts_ms`` of each shard by its index and count.
    ``sources``, ``others``: digests of all its sources when it was split, and of those but the
    tests."""

    times_ms: dict[str, float] = field(default_factory=dict)
    shards: tuple[tuple[str, ...], ...] = ()
    overhead_ms: float = 0.0
    parts_ms: dict[str, float] = field(default_factory=dict)
    sources: str = ""
    others: str = ""

    def divide(
        self,
        wanted: int | str,
        files: Sequence[str],
        slots: int,
        *,
        sources: str = "",
        others: str = "",
        anew: bool = True,
    ) -> Division:
        """Split the task again.

        Args:
            files: its tests; none: they are not listed.
            sources: digest of all its sources, as ``others``: of those but the tests.
            anew: all of it runs, whatever is cached.
        """
        is_same = sources == self.sources and not anew and self._fits(wanted)
        is_loose = others == self.others and not anew
        self.sources, self.others = sources, others
        if is_same and {*files} == {file for shard in self.shards for file in shard}:
            return self._division()
        former = len(self.shards) or None
        if not files:
            total_ms = self._parts_ms()
            count = shard_count(wanted, total_ms, slots=slots, former=former)
            self.shards = ((),) * count
            return self._division()
        times = estimates(files, self.times_ms)
        count = shard_count(
            wanted,
            sum(times.values()),
            overhead_ms=self.overhead_ms,
            slots=slots,
            files=len(times),
            former=former if any(self.shards) else None,
        )
        self.shards = divided(
            times,
            count,
            self.shards,
            LOOSE_BOUND if is_loose else BOUND,
            LOOSE_MS if is_loose else 0.0,
        )
        return self._division()

    def _fits(self, wanted: int | str) -> bool:
        return bool(self.shards) and wanted in (AUTO, len(self.shards))

    def _division(self) -> Division:
        files = [file for shard in self.shards for file in shard]
        if not files:
            count = len(self.shards)
            return Division(self.shards, (self._parts_ms() / count,) * count)
        times = estimates(files, self.times_ms)
        loads = (sum(times[file] for file in shard) for shard in self.shards)
        return Division(self.shards, tuple(load + self.overhead_ms for load in loads))

    def _parts_ms(self) -> float:
        count = len(self.shards)
        known = [self.parts_ms.get(f"{index}/{count}") for index in range(count)]
        took = [each for each in known if each is not None]
        return sum(took) * count / len(took) if took else UNKNOWN_MS

    def ran(self, shard: Shard, took_ms: float, by_file_ms: Mapping[str, float]) -> None:
        """Take note of how long a shard took, and of its files as far as its report tells."""
        if not shard.tests:
            if len(self.parts_ms) >= MOST_FILES:
                self.parts_ms.clear()
            self.parts_ms[f"{shard.index}/{shard.count}"] = took_ms
            return
        told = {file: by_file_ms[file] for file in shard.tests if file in by_file_ms}
        if told:
            overhead_ms = max(0.0, took_ms - sum(told.values()))
            self.overhead_ms = _mixed(self.overhead_ms or None, overhead_ms)
        else:  # each file's part of the whole, as far as that is known
            thought = estimates(shard.tests, self.times_ms)
            scale = took_ms / sum(thought.values())
            told = {file: ms * scale for file, ms in thought.items()}
        for file, ms in told.items():
            if file in self.times_ms or len(self.times_ms) < MOST_FILES:
                self.times_ms[file] = _mixed(self.times_ms.get(file), ms)

    def forget_all_but(self, files: Collection[str]) -> None:
        """Forget the times of files that are no tests any more."""
        if len(self.times_ms) > 2 * len(files):
            self.times_ms = {file: self.times_ms[file] for file in files if file in self.times_ms}


def _mixed(before: float | None, now: float) -> float:
    return now if before is None else before * (1 - _NEWEST) + now * _NEWEST


@dataclass(frozen=True, slots=True)
class FlakyTest:
    """A test of ``task`` that came out differently though nothing was different. ``name`` empty:
    the command as a whole; ``count``: how often; ``first_at``, ``last_at``: unix times; ``node``:
    the name of the host of the latest change, None: the one that was asked."""

    task: str
    name: str
    count: int
    first_at: float
    last_at: float
    node: str | None = None


@dataclass(slots=True)
class LearnedTests:
    """See the module's text. ``outcomes``: by action, which tests failed when it ran last;
    ``workspace``, ``root``: what the workspace is called and where it is."""

    workspace: str = ""
    root: str = ""
    tasks: dict[str, TaskTimes] = field(default_factory=dict)
    outcomes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    flaky: dict[str, FlakyTest] = field(default_factory=dict)

    def times(self, task: str) -> TaskTimes:
        """Return what is known of a task."""
        known = self.tasks.pop(task, None) or TaskTimes()
        if len(self.tasks) >= MOST_TASKS:
            del self.tasks[next(iter(self.tasks))]
        self.tasks[task] = known  # the one that was asked for last stands last
        return known

    def came_out(
        self, task: str, action: str, failed: Collection[str], at: float, node: str | None = None
    ) -> tuple[str, ...]:
        """Take note of how an action came out; return which tests came out differently before."""
        now = tuple(sorted(failed))[:MOST_FAILED]
        before = self.outcomes.pop(action, None)
        if len(self.outcomes) >= MOST_OUTCOMES:
            del self.outcomes[next(iter(self.outcomes))]
        self.outcomes[action] = now
        if before is None:
            return ()
        changed = tuple(sorted({*before} ^ {*now}))
        if WHOLE_COMMAND in changed:
            changed = (WHOLE_COMMAND,)  # which tests failed one of the two runs does not tell
        for name in changed:
            self._is_flaky(task, name, at, node)
        return changed

    def _is_flaky(self, task: str, name: str, at: float, node: str | None) -> None:
        key = f"{task} {name}"
        known = self.flaky.pop(key, None)
        if len(self.flaky) >= MOST_FLAKY:
            del self.flaky[next(iter(self.flaky))]
        count, first_at = (1, at) if known is None else (known.count + 1, known.first_at)
        self.flaky[key] = FlakyTest(task, name, count, first_at, at, node)
