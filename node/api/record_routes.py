"""What builds can be learned from: their reviews and traces, comparisons and trends."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from buildnet.node.api.answers.records import (
    BuildComparison,
    BuildReview,
    BuildTrends,
    TraceFile,
)
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.reach import Reach
from buildnet.node.auth.actions import Action
from buildnet.node.records import Records
from buildnet.node.service import NodeService
from buildnet.pool.trends import MOST_BUILDS

_Build = Annotated[str, Query(min_length=1, max_length=64)]
_Named = Annotated[str | None, Query(min_length=1, max_length=256)]


def record_routes(service: NodeService) -> APIRouter:
    """Return the routes of what is told of builds from their records."""
    router = declared_router(tags=["builds"])
    records = Records(service.builder, service.history, service.store, service.others)
    reach = Reach(service)

    @router.get("/api/build/{build_id}/review")
    @does(Action.VIEW_BUILDS, answer=BuildReview, within=True)
    async def review(build_id: str, asking: Asking) -> dict[str, Any]:
        """What a build of any node can be learned from: its critical path, what
        results that were there saved, what ran and why, and what would have saved time."""
        return await records.review(await reach.find(asking, build_id))

    @router.get("/api/build/{build_id}/trace")
    @does(Action.VIEW_BUILDS, answer=TraceFile, within=True)
    async def trace(build_id: str, asking: Asking) -> Response:
        """A build of any node as a trace in Chrome's Trace Event Format: JSON with
        `traceEvents`, for Perfetto or chrome://tracing."""
        found = await records.trace(await reach.find(asking, build_id))
        return Response(found, media_type="application/json")

    @router.get("/api/builds/compare")
    @does(Action.VIEW_BUILDS, answer=BuildComparison, within=True, of_build=True)
    async def compare(before: _Build, after: _Build, asking: Asking) -> dict[str, Any]:
        """Two builds of any nodes beside each other: what took longer, came another way, or was
        another action, and why."""
        first, second = await reach.find(asking, before), await reach.find(asking, after)
        return await records.compare(first, second)

    @router.get("/api/builds/trends")
    @does(Action.VIEW_BUILDS, answer=BuildTrends, within=True)
    async def trends(
        asking: Asking,
        workspace: _Named = None,
        package: _Named = None,
        builds: Annotated[int, Query(ge=1, le=MOST_BUILDS)] = 100,
    ) -> dict[str, Any]:
        """How the tasks of a workspace (default: that of the latest build) fared in its latest
        builds on this node: durations, how often results were there, failures. No tasks: no
        build told of them yet."""
        if workspace is None:
            workspace = await records.latest_workspace(asking.workspaces)
        if workspace is not None:
            asking.require_reach(workspace)
        return await records.trends(workspace, package, builds)

    return router
