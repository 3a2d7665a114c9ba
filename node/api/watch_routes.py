"""Watching a workspace: it is built, or prepared, as it changes."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from pydantic import Field

from buildnet.mesh.errors import UsageError
from buildnet.node.api.asked_build import BuildBody, asked_build
from buildnet.node.api.build_routes import NDJSON
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.media import answers_as
from buildnet.node.api.reach import Reach
from buildnet.node.auth.actions import Action
from buildnet.node.auto_build.sight import Pace
from buildnet.node.service import NodeService

_MOST_DELAY_S = 600.0


class WatchBody(BuildBody):
    """A request for a build again and again. Without ``builds`` nothing is built: what changed is
    read, and told what a build would do. ``delay_s``: so long after ``watch.debounce_ms`` of
    node.yaml a build begins."""

    builds: bool = True
    delay_s: float = Field(default=0.0, ge=0, le=_MOST_DELAY_S)


def watch_routes(service: NodeService) -> APIRouter:
    """Return the routes of watching."""
    router = declared_router(tags=["builds"])
    reach = Reach(service)

    @router.post("/api/watch", response_class=Response, responses=answers_as(NDJSON))
    @does(Action.TRIGGER_BUILD, within=True, goes_on=True)
    async def watch(body: WatchBody, asking: Asking) -> StreamingResponse:
        """Build a workspace, and again each time after something changed that it is made from,
        until the answer is read no more; one JSON a line tells what happens. Over the network as
        with builds."""
        given = {
            "since": body.since,
            "durable": body.durable,
            "wait_s": body.wait_s,
            "dry_run": body.dry_run,
            "force": body.force,
            "verify": body.verify,
            "trace_inputs": body.trace_inputs,
        }
        if wrong := [name for name, value in given.items() if value]:
            raise UsageError(
                f"what is watched is built as it changes: {', '.join(wrong)} is for single builds",
                hint="leave it away",
            )
        settings = service.in_force.config
        request = await asked_build(service, reach, body, asking)
        pace = Pace.of(settings.watch, settings.auto_build, body.delay_s)
        lines = await service.builder.watches.open(
            request, pace, builds=body.builds, every=body.detail == "all"
        )
        if asking.is_owner:
            workspace = await service.builder.workspace(request.directory)
            service.opened.opened(workspace.root)
        return StreamingResponse(lines, media_type=NDJSON)

    return router
