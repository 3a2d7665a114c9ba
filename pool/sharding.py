"""Tests spread over shards: how many shards a task has, and which test files each runs. Pure.

Files go by how long each took lately: the longest first, to the shard with the least to do
(Graham's longest processing time, 1969: at most 4/3 of the best). A shard that runs the same
unchanged files as before is a cached result, so files stay where they are as long as no shard takes
much more than it ideally would: :data:`BOUND` times where all shards run anew in any case,
:data:`LOOSE_BOUND` where some may be cached, and :data:`LOOSE_MS`.
"""

from __future__ import annotations

import math
import posixpath
import re
import shlex
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from buildnet.mesh.errors import UsageError
from buildnet.pool.workspace import Shard, Task, TaskId

AUTO = "auto"
MOST_SHARDS = 64
BOUND = 1.1
LOOSE_BOUND = 1.3
LOOSE_MS = 1000.0
FILE_MS = 1000.0
"""A test file of which nothing is known, where nothing is known of any."""
UNKNOWN_MS = 10_000.0
"""A task whose tests are not listed, before it ran."""
LEAST_MS = 1000.0
"""No shard of ``auto`` is to run tests for less."""
OVERHEAD_SHARE = 2.0
"""Nor for less than so many times what a shard takes besides its tests."""
MORE = 1.5
"""``auto`` takes more shards than before only if so many times as many would do."""
MAX_COMMAND_BYTES = 120_000
"""Linux takes 128 KiB as one argument."""

_PLACEHOLDER = re.compile(r"(?<!\$)\{(tests|shard|shards)\}")
_NUMBER = re.compile(r"(?<!\$)\{(shard|shards)\}")


class TooManyTestsError(UsageError):
    """The test files of one shard do not fit into its command line."""

    code = "TESTS_TOO_MANY"


def has_number(text: str) -> bool:
    """Whether a text is another one for each shard."""
    return "{shard}" in text


def of_any_shard(output: str) -> str:
    """Return the pattern for an output of whichever shard."""
    return _NUMBER.sub("*", output)


def estimates(files: Iterable[str], times_ms: Mapping[str, float]) -> dict[str, float]:
    """Return how long each file is thought to take: as lately, or as the others do."""
    wanted = dict.fromkeys(files)
    known = [times_ms[file] for file in wanted if file in times_ms]
    usual = statistics.median(known) if known else FILE_MS
    return {file: max(1.0, times_ms.get(file, usual)) for file in wanted}


def shard_count(
    wanted: int | str,
    total_ms: float,
    *,
    overhead_ms: float = 0.0,
    slots: int,
    files: int | None = None,
    former: int | None = None,
) -> int:
    """Return how many shards a task gets.

    Args:
        wanted: a number, or ``auto``.
        total_ms: how long all its tests take, one after the other.
        overhead_ms: what one shard takes besides its tests.
        slots: commands that the pool can run at once.
        files: how many test files there are; None: the runner divides them itself.
        former: how many shards there were last.
    """
    most = min(MOST_SHARDS, files or MOST_SHARDS)
    if isinstance(wanted, int):
        return max(1, min(wanted, most))
    least_ms = max(LEAST_MS, OVERHEAD_SHARE * overhead_ms)
    best = max(1, min(math.ceil(total_ms / least_ms), slots, most))
    if former is None or former > most:
        return best
    is_too_small = former > best and total_ms / former < least_ms / 2
    # Fewer slots than last time, of hosts that are away, are no reason to run all tests anew.
    return best if is_too_small or best >= MORE * former else former


def divided(
    times_ms: Mapping[str, float],
    count: int,
    former: Sequence[Collection[str]] = (),
    bound: float = BOUND,
    slack_ms: float = 0.0,
) -> tuple[tuple[str, ...], ...]:
    """Return the files of each of ``count`` shards (of fewer, if there are fewer files), sorted.

    Args:
        times_ms: how long each file takes.
        former: the shards as they were last; as few files as possible change their shard.
        bound: so many times longer than ideal the longest shard may take before files move.
        slack_ms: nor do they for less than so much.
    """
    count = max(1, min(count, len(times_ms)))
    if len(former) != count:
        return _sorted(_packed(times_ms, count))
    seen: set[str] = set()
    shards: list[set[str]] = []
    for files in former:
        shards.append({file for file in files if file in times_ms and file not in seen})
        seen |= shards[-1]
    _fill(shards, {file: ms for file, ms in times_ms.items() if file not in seen}, times_ms)
    best_ms = ideal_ms(times_ms, count)
    bound_ms = max(bound * best_ms, best_ms + slack_ms)
    _level(shards, times_ms, bound_ms)
    longest_ms = makespan_ms(shards, times_ms)
    if longest_ms <= bound_ms and all(shards):
        return _sorted(shards)
    packed = _packed(times_ms, count)
    if all(shards) and longest_ms <= bound * makespan_ms(packed, times_ms):
        return _sorted(shards)
    return _sorted(packed)


def ideal_ms(times_ms: Mapping[str, float], count: int) -> float:
    """Return what the longest of so many shards takes at least, however files are divided."""
    return max(sum(times_ms.values()) / count, max(times_ms.values(), default=0.0))


def makespan_ms(shards: Iterable[Collection[str]], times_ms: Mapping[str, float]) -> float:
    """Return how long the longest of some shards takes."""
    return max((_load(files, times_ms) for files in shards), default=0.0)


def _load(files: Collection[str], times_ms: Mapping[str, float]) -> float:
    return sum(times_ms[file] for file in sorted(files))


def _sorted(shards: Iterable[Collection[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(sorted(files)) for files in shards)


def _packed(times_ms: Mapping[str, float], count: int) -> list[set[str]]:
    shards: list[set[str]] = [set() for _ in range(count)]
    _fill(shards, times_ms, times_ms)
    return shards


def _fill(
    shards: list[set[str]], files: Mapping[str, float], times_ms: Mapping[str, float]
) -> None:
    """Give files to shards, the longest first, each to the one with the least to do."""
    loads = [_load(each, times_ms) for each in shards]
    for file in sorted(files, key=lambda name: (-files[name], name)):
        least = min(range(len(shards)), key=lambda number: (loads[number], number))
        shards[least].add(file)
        loads[least] += files[file]


def _level(shards: list[set[str]], times_ms: Mapping[str, float], bound_ms: float) -> None:
    """Move files one by one from the longest shard to the shortest until it is short enough, or
    that helps no more."""
    loads = [_load(each, times_ms) for each in shards]
    for _ in times_ms:
        longest = max(range(len(shards)), key=lambda number: (loads[number], -number))
        shortest = min(range(len(shards)), key=lambda number: (loads[number], number))
        if loads[longest] <= bound_ms:
            return
        gap_ms = loads[longest] - loads[shortest]
        movable = [file for file in shards[longest] if times_ms[file] < gap_ms]
        if not movable:
            return
        best = min(movable, key=lambda file: (abs(times_ms[file] - gap_ms / 2), file))
        shards[longest].remove(best)
        shards[shortest].add(best)
        loads[longest] -= times_ms[best]
        loads[shortest] += times_ms[best]


def split(task: Task, division: Sequence[Sequence[str]]) -> dict[TaskId, Task]:
    """Return the shards of a task, each a task of its own, and last the task itself, which then
    only gathers them.

    Args:
        division: the test files of each shard; none: the runner divides them itself.

    Raises:
        TooManyTestsError: the files of a shard do not fit into its command line.
    """
    everything = {file for files in division for file in files}
    count = len(division)
    shards: dict[TaskId, Task] = {}
    for index, files in enumerate(division):
        shard = Shard(task.name, index, count, tuple(files), tuple(sorted(everything - {*files})))
        each = _shard(task, shard)
        shards[each.id] = each
    shards[task.id] = replace(task, command=None, depends_on=tuple(shards), junit=(), retries=0)
    return shards


def _shard(task: Task, shard: Shard) -> Task:
    assert task.command is not None
    values = {"shard": str(shard.index + 1), "shards": str(shard.count)}
    values["tests"] = shlex.join(_argument(file, task.path) for file in shard.tests)

    def filled(text: str) -> str:
        return _PLACEHOLDER.sub(lambda match: values[match[1]], text)

    command = filled(task.command)
    if len(command.encode()) > MAX_COMMAND_BYTES:
        raise TooManyTestsError(
            f"{task.id}: the {len(shard.tests)} test files of a shard do not fit into a command",
            hint="raise shards in buildnet.yaml, or let the test runner find the files: without "
            "tests, but with {shard} and {shards} in cmd",
        )
    numbers = {
        "BUILDNET_SHARD_INDEX": str(shard.index),
        "BUILDNET_SHARD_COUNT": str(shard.count),
        "TEST_SHARD_INDEX": str(shard.index),
        "TEST_TOTAL_SHARDS": str(shard.count),
    }
    return replace(
        task,
        name=shard_name(task.name, shard.index, shard.count),
        command=command,
        env={**{name: filled(value) for name, value in task.env.items()}, **numbers},
        outputs=tuple(filled(output) for output in task.shard_outputs),
        junit=tuple(filled(pattern) for pattern in task.junit),
        shard=shard,
        shards=None,
        exports=(),
        exports_sources=False,
    )


def shard_name(task: str, index: int, count: int) -> str:
    """Return what a shard is called, as no task of a file can be."""
    return f"{task} {index + 1}/{count}"


def _argument(file: str, path: str) -> str:
    """Return how a command that runs in ``path`` names a file."""
    relative = posixpath.relpath(file, path or ".")
    return f"./{relative}" if relative.startswith("-") else relative
