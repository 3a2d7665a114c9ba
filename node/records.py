"""What is told of builds from their records: what they can be learned from, as traces, one beside
another, many together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any

from google.protobuf.message import DecodeError

from buildnet.ledger.history import BuildSummary, History
from buildnet.ledger.history_filter import Wanted
from buildnet.mesh.digest import Digest
from buildnet.node.builder import Builder
from buildnet.node.other_builds import OtherBuild, OtherBuilds
from buildnet.node.pool_builds import PoolBuild
from buildnet.node.running import RunningBuild
from buildnet.node.store import MissingBlobError, Store
from buildnet.pool.build import Status
from buildnet.pool.chrome_trace import chrome_trace
from buildnet.pool.comparison import compare
from buildnet.pool.estimation.accuracy import error_of
from buildnet.pool.explain import Change, changes_between_stored
from buildnet.pool.recorded import RecordedBuild, duration_of
from buildnet.pool.review import review
from buildnet.pool.trends import TaskRun, overall, trends
from buildnet.pool.workspace import TaskId

FoundBuild = RunningBuild | BuildSummary | OtherBuild
"""A build: of this node, as it runs or ran lately, or as recorded; or of another one."""


def recorded(build: BuildSummary) -> dict[str, Any]:
    """Return the JSON form of a build in the record."""
    entry = {each.name: getattr(build, each.name) for each in fields(build)}
    entry["build_id"] = entry.pop("id")
    entry["durable"] = None if build.durable is None else asdict(build.durable)
    entry["packages"] = list(build.packages)
    entry["notices"] = list(build.notices)
    estimate, took_ms = build.estimate, build.duration_ms
    entry["estimated_ms"] = None if estimate is None else estimate["estimated_ms"]
    is_good = build.status == Status.SUCCEEDED
    entry["estimate_error"] = error_of(estimate, took_ms) if is_good else None
    return entry


def listed(one: PoolBuild, this_node: str) -> dict[str, Any]:
    """Return the JSON form of a build in the list of all nodes' builds."""
    build = one.build
    where = {"node_id": one.node_id, "node": one.node, "this_node": one.node_id == this_node}
    if isinstance(build, BuildSummary):
        return {**recorded(build), **where}
    entry = {each.name: getattr(build, each.name) for each in fields(build)}
    entry["build_id"] = entry.pop("id")
    entry["request"] = {
        "packages": list(entry.pop("packages")),
        "packages_left_out": entry.pop("left_out"),
        "task": entry.pop("task"),
        "configuration": entry.pop("configuration"),
    }
    del entry["driver"]
    unknown = ("root", "durable", "phases", "estimated_ms", "estimate", "estimate_error")
    return {**entry, **where, "packages": [], **dict.fromkeys(unknown)}


class Records:
    """The builds of the cluster. Work over many tasks is done on threads."""

    def __init__(
        self, builder: Builder, history: History, store: Store, others: OtherBuilds
    ) -> None:
        self._builder = builder
        self._history = history
        self._store = store
        self._others = others

    async def told(self, found: FoundBuild) -> dict[str, Any]:
        """Return the JSON of a build: as recorded, if it is over, else as far as it is.

        Raises:
            BuildNetError: it is another node's, which does not tell.
        """
        if isinstance(found, OtherBuild):
            return (await self._others.record(found)).as_dict()
        if isinstance(found, RunningBuild):
            if found.outcome is None or found.request.dry_run:
                return found.report()
            found = await self._history.build(found.id)
        return recorded(found)

    async def build(self, found: FoundBuild) -> RecordedBuild:
        """Return a build as its record tells of it. Raises as :meth:`told`."""
        return await asyncio.to_thread(RecordedBuild.from_dict, await self.told(found))

    async def review(self, found: FoundBuild) -> dict[str, Any]:
        """Return what a build can be learned from. See :meth:`build`."""
        build = await self.build(found)
        return await asyncio.to_thread(lambda: review(build).as_dict())

    async def trace(self, found: FoundBuild) -> bytes:
        """Return a build as a file that viewers of traces open. See :meth:`build`."""
        build = await self.build(found)
        return await asyncio.to_thread(lambda: json.dumps(chrome_trace(build)).encode())

    async def compare(
        self,
        before: FoundBuild,
        after: FoundBuild,
    ) -> dict[str, Any]:
        """Return two builds beside each other. See :meth:`build`."""
        if isinstance(before, OtherBuild) and isinstance(after, OtherBuild):
            told = await self._others.compare(before, after)
            if told is not None:
                return told
        first, second = await self.build(before), await self.build(after)
        return await asyncio.to_thread(lambda: compare(first, second, _why(self._store)).as_dict())

    async def trends(
        self, workspace: str | None, package: str | None, builds: int
    ) -> dict[str, Any]:
        """Return how the tasks of a workspace fared in its latest builds, so many: of no task where
        no build of it had to look at anything yet, or at that package."""
        rows = [] if workspace is None else await self._history.task_runs(workspace, builds)
        runs = [
            TaskRun(build, at, str(TaskId(str(name), str(task))), status, tier, duration_of(ms))
            for build, at, name, task, status, tier, ms in map(tuple, rows)
        ]
        found = await asyncio.to_thread(lambda: trends(runs, package=package))
        return {
            "workspace": workspace,
            "package": package,
            "builds": len({run.build_id for run in runs}) if found else 0,
            "overall": overall(found),
            "tasks": [one.as_dict() for one in found],
        }

    async def latest_workspace(self, builds_of: frozenset[str] | None) -> str | None:
        """Return the workspace of the latest build; ``builds_of``: of one of these. None: there is
        no build yet."""
        page, _ = await self._history.page(limit=1, wanted=Wanted(workspaces=builds_of))
        return page[0].workspace if page else None


def _why(store: Store) -> Callable[[str, str], list[Change] | None]:
    """Return what tells how two actions differ whose descriptions are in a store."""

    def differ(old: str, new: str) -> list[Change] | None:
        before, after = (store.peek_action(Digest(each, 0)) for each in (old, new))
        if before is None or after is None:
            return None
        with suppress(MissingBlobError, DecodeError):
            return changes_between_stored(before.action, after.action, store.get)
        return None

    return differ
