"""The sources of one task: what its patterns mean, of a shard without the tests of the others."""

from __future__ import annotations

from dataclasses import replace

from buildnet.mesh.errors import BuildNetError
from buildnet.node.sources import Sources, SourceSet
from buildnet.pool.glob import Patterns
from buildnet.pool.workspace import Task


class SourceError(BuildNetError):
    """A task's declared sources are not what the file says."""

    code = "SOURCES"
    exit_code = 2


def sources_of(task: Task, reader: Sources, outputs: Patterns) -> SourceSet:
    """Read what a task's command sees of the workspace but for ``outputs``. Blocks.

    Raises:
        SourceError: a pattern matches nothing.
        BuildNetError: the sources can't be read.
    """
    sources = reader.tree(task.sources, task.path if task.default_sources else None, outputs)
    if sources.unmatched and not task.default_sources:
        raise _unmatched(sources.unmatched, "sources")
    if task.shard is None:
        return sources
    if task.tests and not task.shard.tests:
        raise _unmatched(task.tests, "tests")
    left_out = task.shard.left_out
    return replace(
        sources,
        tree=sources.tree.without(left_out),
        touched=sources.touched.difference(left_out),
        changed=sources.changed.difference(left_out),
    )


def _unmatched(patterns: tuple[str, ...], key: str) -> SourceError:
    return SourceError(
        f"no file matches {', '.join(map(repr, patterns))}",
        hint=f"correct the pattern under {key} in buildnet.yaml (patterns are relative to the "
        "workspace's root), or remove it",
    )
