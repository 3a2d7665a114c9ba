"""Reads what a task's command reports of its tests from its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from buildnet.node.resolve import Prepared
from buildnet.node.store import Hold, MissingBlobError
from buildnet.pool.glob import Patterns
from buildnet.pool.junit import MAX_BYTES, MAX_CASES, Case, JUnitError, read_junit, times_by_file
from buildnet.pool.tested import TaskTests
from buildnet.pool.tree import DirectoryTree, FileEntry
from buildnet.pool.workspace import Task

_MOST_FILES = 256
_MOST_BYTES = 64 << 20


def tests_of(task: Task, outputs: DirectoryTree | None, hold: Hold) -> TaskTests | None:
    """Return what the reports among a task's outputs tell; None: it makes none. Blocks."""
    if not task.junit or outputs is None:
        return None
    cases: list[Case] = []
    problem: str | None = None
    left = _MOST_BYTES
    found = list(_reports(task, outputs))
    for path, file in found[:_MOST_FILES]:
        left -= file.digest.size_bytes
        try:
            if file.digest.size_bytes > MAX_BYTES or left < 0:
                raise JUnitError("the test reports are too large")
            told = read_junit(hold.get(file.digest))
            if len(cases) + len(told) > MAX_CASES:
                raise JUnitError(f"the test reports tell of more than {MAX_CASES:,} tests")
            cases += told
        except JUnitError as error:
            problem = f"{path}: {error.message}"
        except MissingBlobError:
            return None  # it stands in the workspace alone, as it was told when it was made
    if not found:
        problem = f"the command made no {', '.join(task.junit)}"
    elif len(found) > _MOST_FILES:
        problem = f"only {_MOST_FILES} of {len(found)} test reports were read"
    files = task.shard.tests if task.shard is not None else ()
    tested = TaskTests.of(cases, times_by_file(cases, files, task.path))
    return replace(tested, problem=problem)


def with_tests(prepared: Prepared, hold: Hold) -> Prepared:
    """Return a result that was found with what its reports tell. Blocks."""
    if prepared.tests is not None or not prepared.task.junit:
        return prepared
    return replace(prepared, tests=tests_of(prepared.task, prepared.outputs, hold))


def _reports(task: Task, outputs: DirectoryTree) -> Iterator[tuple[str, FileEntry]]:
    patterns = Patterns(task.junit)
    for path, leaf in outputs.leaves():
        if isinstance(leaf, FileEntry) and patterns.matching(path):
            yield path, leaf
