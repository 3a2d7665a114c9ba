"""The graph of a build: which tasks it means, and what each waits for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from buildnet.ledger.history import TAKEN_OVER, BuildSummary
from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.answers.workspaces import BuildGraph
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.reach import Reach
from buildnet.node.auth.actions import Action
from buildnet.node.other_builds import OtherBuild
from buildnet.node.running import RunningBuild
from buildnet.node.service import NodeService


def graph_routes(service: NodeService) -> APIRouter:
    """Return the route of the graphs of builds."""
    router = declared_router(tags=["builds"])
    builder, reach = service.builder, Reach(service)

    @router.get("/api/build/{build_id}/graph")
    @does(Action.VIEW_BUILDS, answer=BuildGraph, within=True, of_build=True)
    async def graph(build_id: str, asking: Asking) -> dict[str, Any]:
        """The tasks that a build of any node means, and what each waits for: of one that runs, or
        ran lately, all of them, once it has begun; of one in the record those that it came to."""
        found = await reach.find(asking, build_id)
        if isinstance(found, OtherBuild):
            return await service.others.graph(found)
        if isinstance(found, RunningBuild):
            if found.plan is not None or found.outcome is None:
                return _planned(found)
            found = await service.history.build(found.id)
        return {
            "build_id": found.id,
            "workspace": found.workspace,
            "complete": False,
            "tasks": _recorded(found.packages, await _paths(found)),
        }

    async def _paths(build: BuildSummary) -> dict[str, str]:
        if build.durable is not None and build.durable.state == TAKEN_OVER:
            return {}  # its workspace is on another host
        with suppress(BuildNetError, OSError):
            workspace = await builder.workspace(Path(build.root))
            return {one.name: one.path for one in workspace.packages.values()}
        return {}

    return router


def _planned(build: RunningBuild) -> dict[str, Any]:
    tasks = () if build.plan is None else build.plan.tasks.values()
    return {
        "build_id": build.id,
        "workspace": build.workspace.name,
        "complete": build.plan is not None,
        "tasks": [
            {
                "name": task.package,
                "task": task.name,
                "path": task.path,
                "depends_on": [str(each) for each in task.depends_on],
            }
            for task in tasks
        ],
    }


def _recorded(
    packages: tuple[dict[str, Any], ...], paths: Mapping[str, str]
) -> list[dict[str, Any]]:
    return [
        {
            "name": one["name"],
            "task": one["task"],
            "path": paths.get(one["name"]),
            "depends_on": one.get("depends_on") or [],
        }
        for one in packages
    ]
