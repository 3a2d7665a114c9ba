"""What a build leaves to the next ones of its workspace: which tasks it found in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from buildnet.node.perform import Performer
from buildnet.node.standing import Found
from buildnet.node.workspaces import OpenWorkspace, View
from buildnet.pool.build import Status
from buildnet.pool.workspace import TaskId


def keep_known(opened: OpenWorkspace, view: View, performer: Performer) -> None:
    """Keep for the next builds what a build that has run found. Blocks."""
    resolver = performer.resolver
    opened.keep(view, found_in_place(performer), resolver.tools, resolver.words)
    if performer.tests is not None:
        performer.tests.save()


def found_in_place(performer: Performer) -> dict[TaskId, Found]:
    """Return which tasks a build found in place, in the order of dependencies."""
    all_found: dict[TaskId, Found] = {}
    for task in performer.tasks:
        report, prepared = performer.reports.get(task), performer.places.prepared.get(task)
        if report is None or prepared is None or report.status is not Status.SUCCEEDED:
            continue
        if prepared.tier is not None and not prepared.undelivered:
            found = performer.resolver.found_in_place(prepared)
            if found is not None and prepared.task.is_gathered:
                found = _of_all(
                    found, [all_found[each] for each in found.needed if each in all_found]
                )
            if found is not None:
                all_found[task] = found
    return all_found


def _of_all(gathered: Found, shards: Sequence[Found]) -> Found:
    """Return a task that was split as standing for as long as what its shards made stands."""
    standing = gathered.standing
    keys = (*standing.keys, *(key for shard in shards for key in shard.standing.keys))
    return replace(gathered, standing=replace(standing, keys=tuple(dict.fromkeys(keys))))
